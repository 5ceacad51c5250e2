import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { canRun, hasNet } from "../tests/permissions.ts";
import { drawChart } from "./chart.ts";
import { judge } from "./goals.ts";
import { findTools, type Job, OTHERS, OURS, type Peer } from "./peers.ts";
import { PeerProcess, run } from "./processes.ts";
import { Results } from "./results.ts";

const ignore = !hasNet || !canRun(Deno.execPath());

const deno = ignore ? [] : (await findTools("", ["deno"])).commands.deno!;
const peersFor = (job: Job) =>
  [...OURS, ...OTHERS].filter(({ tool, jobs, name }) => tool === "deno" && jobs.includes(job) && name !== "greeter");
const isBare = (peer: Peer) => peer.name === "bare read loop";

/** Sends `pieces` to a peer; returns its answer and its counts. */
async function ask(peer: Peer, mode: string[], pieces: string[]): Promise<{ answer: string; counts: string }> {
  await using process = await PeerProcess.start([...deno, ...peer.args, ...mode]);
  using conn = await Deno.connect({ hostname: "127.0.0.1", port: process.port });
  for (const piece of pieces) await conn.write(new TextEncoder().encode(piece));
  await conn.closeWrite();
  let answer = "";
  const buffer = new Uint8Array(1024);
  for (let size; (size = await conn.read(buffer)) !== null;) {
    answer += new TextDecoder().decode(buffer.subarray(0, size));
  }
  return { answer, counts: mode[0] === "echo" ? "" : await process.nextLine() };
}

Deno.test({
  name: "bench: the peers that run on Deno count the same lines",
  ignore,
  async fn() {
    for (const peer of peersFor("lines")) {
      const { counts } = await ask(peer, ["lines", "crlf"], ["one\r\n\r\nthr", "ee\r", "\nfour\r\n"]);
      assertEquals(counts, isBare(peer) ? "- 20" : "4 12", peer.name);
    }
  },
});

Deno.test({
  name: "bench: the peers that run on Deno count the same length-prefixed frames",
  ignore,
  async fn() {
    for (const peer of peersFor("prefixed")) {
      const { counts } = await ask(peer, ["prefixed"], ["\0\0\0\x05hello\0\0", "\0\x02", "yo"]);
      assertEquals(counts, isBare(peer) ? "- 15" : "2 7", peer.name);
    }
  },
});

Deno.test({
  name: "bench: the peers that run on Deno echo the same lines",
  ignore,
  async fn() {
    for (const peer of peersFor("echo")) {
      const { answer } = await ask(peer, ["echo"], ["one\r\ntwo", "\r\n"]);
      assertEquals(answer, "one\r\ntwo\r\n", peer.name);
    }
  },
});

Deno.test({
  name: "bench: the peers that run on Deno count the same lines of a file in each pass",
  ignore,
  async fn() {
    const file = new URL("../LICENSE", import.meta.url).pathname;
    const lines = (await Deno.readTextFile(file)).repeat(2).split("\n"); // the separator ends the last line
    for (const peer of peersFor("memory")) {
      const output = await run([...deno, ...peer.args, "memory", "lf", file, "2", "100", "0.01"]);
      const [frames, bytes] = output.split(" ").map(Number);
      const passes = frames! / lines.length;
      assert(Number.isInteger(passes) && passes > 0, `${peer.name}: ${output}`);
      assertEquals(bytes, passes * lines.join("").length, peer.name);
    }
  },
});

Deno.test({
  name: "bench: each of several classes counts its lines right, and has a rate",
  ignore,
  async fn() {
    for (const peer of peersFor("classes")) {
      const rate = Number(await run([...deno, ...peer.args, "classes", "2", "1", "0.01"]));
      assert(rate > 0, `${peer.name}: ${rate}`);
    }
  },
});

/** Two rounds of one case; in the second the machine is half as fast. */
function twoRounds(caseName: string, rates: Record<string, number>): Results {
  const results = new Results();
  for (const [peer, rate] of Object.entries(rates)) {
    results.add(caseName, peer, 0, { rate, cpuUs: 1 / rate });
    results.add(caseName, peer, 1, { rate: rate / 2, cpuUs: 2 / rate });
  }
  return results;
}

Deno.test("bench: ratios are computed per round, and inverted for costs", () => {
  const results = twoRounds("x", { us: 300, them: 100 });
  assertEquals(results.spread("x", "us", "rate"), { median: 225, low: 150, high: 300 });
  for (const measure of ["rate", "cpuUs"] as const) {
    const { median, low, high } = results.ratio(measure, ["x", "us"], ["x", "them"])!;
    for (const ratio of [median, low, high]) assertEquals(Math.round(ratio * 1e6), 3e6);
  }
  assertEquals(results.ratio("rate", ["x", "us"], ["x", "absent"]), null);
});

Deno.test("bench: a goal applies to the variant that it names, or to the fastest", () => {
  const results = twoRounds("a crlf 8", { collectIncomingData: 10, collectIncomingRange: 30, asynchat: 1, Go: 20 });
  assertEquals(
    judge(results, ["a crlf 8"]).map(({ us, other, ratio, atLeast, met }) => [us, other, ratio.median, atLeast, met]),
    [
      ["collectIncomingData", "asynchat", 10, 20, false],
      ["collectIncomingRange", "Go", 1.5, 1, true],
      ["collectIncomingData", "Go", 0.5, 0.5, true],
    ],
  );
});

Deno.test("bench: the chart has a bar for each peer but the limit, to scale, and the note", () => {
  const rates = { "bare read loop": 3e8, collectIncomingData: 8e7, asynchat: 2e7 };
  const svg = drawChart(twoRounds("a crlf 40", rates), "<today>");
  const bars = [...svg.matchAll(/<rect class="(\w+)" .* width="([0-9.]+)"/g)];
  assertEquals(bars.map(([, kind]) => kind), ["our", "their"]);
  const [our, their] = bars.map(([, , width]) => Number(width));
  assert(their! > 1 && our === 4 * their!, `${our} beside ${their}`);
  assertStringIncludes(svg, ">225M<");
  assertStringIncludes(svg, "&lt;today&gt;");
});
