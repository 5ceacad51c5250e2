/** The scenarios (a) to (h): each is a list of cases, run by every peer that can. */

import { CLASSES } from "./classes.ts";
import type { Found, Job, Peer, ToolName } from "./peers.ts";
import { PeerProcess, run } from "./processes.ts";

/** The measures of a case. A higher rate is better; of all others, less is better. */
export type Measure = "rate" | "cpuUs" | "seconds" | "bytesEach" | "nsPerByte";
export type Sample = Partial<Record<Measure, number>>;

/** The size of a sample. */
export interface Effort {
  readonly seconds: number;
  readonly connections: number;
}

/** The tools and cores for a sample. */
export interface Bench {
  readonly tools: Found["commands"];
  readonly effort: Effort;
  readonly scratchDir: string;
  /** Prefixes of the commands: a core for each. */
  readonly peerCore: readonly string[];
  readonly loadCore: readonly string[];
}

export interface Case {
  readonly scenario: string;
  /** Unique; begins with the scenario. */
  readonly name: string;
  readonly title: string;
  readonly job: Job;
  /** Required besides the peers. */
  readonly tools: readonly ToolName[];
  readonly shows: Measure;
  measure(peer: Peer, bench: Bench): Promise<Sample>;
}

/** The output of a load generator. */
interface Loaded {
  seconds: number;
  cpu: number;
  count: number;
  data: number;
  wire: number;
  bytesEach: number;
  errors: number;
}

/** Warm-up of a peer, as a part of the measured time, for its compiler. */
const WARM_UP = 0.25;

export const LINE_SIZES = [8, 40, 200, 2_000, 20_000] as const;
const SEPARATORS = { crlf: "CR LF", lf: "LF" } as const;
const MEMORY_PIECE = 65_536;
/** The payload of an Ethernet packet. */
const PACKET = 1_460;

function* scenarioA(): Generator<Case> {
  for (const [separator, shown] of Object.entries(SEPARATORS)) {
    for (const mean of LINE_SIZES) {
      yield {
        scenario: "a",
        name: `a ${separator} ${mean}`,
        title: `lines of ${mean} B on average, ended by ${shown}, over loopback`,
        job: "lines",
        tools: ["load"],
        shows: "rate",
        measure: (peer, bench) => counted(peer, bench, ["lines", separator], ["lines", mean, separator]),
      };
    }
  }
}

function* scenarioB(): Generator<Case> {
  for (const size of [16, 4_096]) {
    yield {
      scenario: "b",
      name: `b ${size}`,
      title: `frames of ${size} B behind a count of 4 B`,
      job: "prefixed",
      tools: ["load"],
      shows: "rate",
      measure: (peer, bench) => counted(peer, bench, ["prefixed"], ["prefixed", size]),
    };
  }
}

function* scenarioC(): Generator<Case> {
  for (const connections of [1, 64]) {
    for (const inFlight of [1, 64]) {
      yield {
        scenario: "c",
        name: `c ${connections}x${inFlight}`,
        title: `echo of a line of 32 B, ${connections} connections, ${inFlight} in flight on each`,
        job: "echo",
        tools: ["load"],
        shows: "rate",
        measure: (peer, bench) =>
          served(peer, bench, ["echo"], async (process, warm) => {
            const seconds = bench.effort.seconds * warm;
            return rates(await load(bench, process, "echo", connections, inFlight, seconds));
          }),
      };
    }
  }
}

function* scenarioD(): Generator<Case> {
  const kinds = { keep: "kept connections", pipelined: "16 deep pipelined", close: "one connection a request" };
  for (const [kind, shown] of Object.entries(kinds)) {
    yield {
      scenario: "d",
      name: `d ${kind}`,
      title: `the greeter, 64 clients, ${shown}`,
      job: "http",
      tools: ["load", "wrk"],
      shows: "rate",
      measure: (peer, bench) =>
        served(peer, bench, ["http", kind === "close" ? "close" : "keep"], (process) => greeted(process, bench, kind)),
    };
  }
}

function* scenarioE(): Generator<Case> {
  yield {
    scenario: "e",
    name: "e",
    title: "many connections, a line echoed on each, then idle",
    job: "many",
    tools: ["load"],
    shows: "seconds",
    measure: (peer, bench) =>
      served(peer, bench, ["echo"], async (process, warm) => {
        const connections = Math.ceil(bench.effort.connections * (warm < 1 ? 0.01 : 1));
        const { seconds, cpu, bytesEach } = await load(bench, process, "open", connections);
        return { seconds, bytesEach, cpuUs: cpu * 1e6 / connections };
      }),
  };
}

function* scenarioF(): Generator<Case> {
  for (const [separator, shown] of Object.entries(SEPARATORS)) {
    for (const mean of LINE_SIZES) {
      yield {
        scenario: "f",
        name: `f ${separator} ${mean}`,
        title: `lines of ${mean} B on average, ended by ${shown}, in memory, 64 KiB a read`,
        job: "memory",
        tools: [],
        shows: "rate",
        measure: (peer, bench) => inMemory(peer, bench, separator, lines(mean, separator), 1, MEMORY_PIECE),
      };
    }
  }
}

function* scenarioG(): Generator<Case> {
  const cases: [mebibytes: number, piece: number][] = [[1, PACKET], [4, PACKET], [16, PACKET], [64, PACKET], [1, 1]];
  for (const [mebibytes, piece] of cases) {
    yield {
      scenario: "g",
      name: `g ${mebibytes} MiB by ${piece}`,
      title: `a frame of ${mebibytes} MiB that comes ${piece} B at a time, in memory`,
      job: "grow",
      tools: [],
      shows: "nsPerByte",
      measure: (peer, bench) => inMemory(peer, bench, "crlf", MEBIBYTE, mebibytes, piece),
    };
  }
}

function* scenarioH(): Generator<Case> {
  const cases: [which: number, count: number][] = [[1, 1], [1, CLASSES], [CLASSES, CLASSES]];
  for (const [which, count] of cases) {
    yield {
      scenario: "h",
      name: `h ${which} of ${count}`,
      title: `lines of 40 B in memory, class ${which} of ${count} that the process has run`,
      job: "classes",
      tools: [],
      shows: "rate",
      measure: async (peer, bench) => {
        const mode = ["classes", count, which - 1, bench.effort.seconds].map(String);
        return { rate: Number(await run(commandOf(peer, bench, mode))) };
      },
    };
  }
}

export const CASES: readonly Case[] = [
  ...scenarioA(),
  ...scenarioB(),
  ...scenarioC(),
  ...scenarioD(),
  ...scenarioE(),
  ...scenarioF(),
  ...scenarioG(),
  ...scenarioH(),
];

/** Starts a peer, warms it up, and measures it. */
async function served(
  peer: Peer,
  bench: Bench,
  mode: readonly string[],
  measure: (process: PeerProcess, part: number) => Promise<Sample>,
): Promise<Sample> {
  await using process = await PeerProcess.start(commandOf(peer, bench, mode));
  await measure(process, WARM_UP);
  return await measure(process, 1);
}

function commandOf(peer: Peer, bench: Bench, mode: readonly string[]): string[] {
  return [...bench.peerCore, ...bench.tools[peer.tool]!, ...peer.args, ...mode];
}

async function load(bench: Bench, process: PeerProcess, what: string, ...args: (string | number)[]): Promise<Loaded> {
  const { port, pid } = process;
  return JSON.parse(await run([...bench.loadCore, ...bench.tools.load!, what, ...[port, pid, ...args].map(String)]));
}

function rates({ count, seconds, cpu }: Loaded): Sample {
  return { rate: count / seconds, cpuUs: cpu * 1e6 / count };
}

/** Streams frames to the peer. Throws when it counts wrong. */
function counted(peer: Peer, bench: Bench, mode: readonly string[], sent: [string, ...(string | number)[]]) {
  return served(peer, bench, mode, async (process, part) => {
    const loaded = await load(bench, process, ...sent, bench.effort.seconds * part);
    const counts = await process.nextLine();
    check(counts, [`${loaded.count} ${loaded.data}`, `- ${loaded.wire}`]);
    return rates(loaded);
  });
}

/** Throws when a peer counts wrong. */
function check(counts: string, expected: string[]): void {
  if (!expected.includes(counts)) throw new Error(`Wrong count: got "${counts}", expected "${expected[0]}"`);
}

async function greeted(process: PeerProcess, bench: Bench, kind: string): Promise<Sample> {
  const url = `http://127.0.0.1:${process.port}/kongxx`;
  const page = await (await fetch(url, { headers: { Connection: "close" } })).text();
  check(page, ["<html>\r\n<body>\r\nHello kongxx! \r\n</body>\r\n</html>\r\n"]);
  const cpu = async () => (await load(bench, process, "cpu")).cpu;
  const before = await cpu();
  const loaded: Loaded = JSON.parse(
    await run([
      ...bench.loadCore,
      ...bench.tools.wrk!,
      "--threads=1",
      "--connections=64",
      `--duration=${Math.ceil(bench.effort.seconds)}s`, // wrk accepts whole seconds only
      `--script=${new URL("wrk.lua", import.meta.url).pathname}`,
      ...(kind === "close" ? ["--header=Connection: close"] : []),
      url,
      "--",
      kind === "pipelined" ? "16" : "1",
    ]).then((output) => output.split("\n").at(-1)!),
  );
  if (loaded.errors > 0) throw new Error(`wrk reported ${loaded.errors} errors`);
  return rates({ ...loaded, cpu: await cpu() - before });
}

/** Bytes, and their frames when a separator follows. */
interface Text {
  readonly bytes: Uint8Array;
  readonly frames: number;
  readonly data: number;
}

/** About 4 MiB of lines of random length, `mean` on average; the same on each call. */
function lines(mean: number, separator: string): Text {
  const end = separator === "lf" ? [0x0a] : [0x0d, 0x0a];
  const bytes = new Uint8Array((4 << 20) + 2 * mean);
  let at = 0, frames = 0, seed = 1;
  while (true) {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) & 0x7fffffff; // the rand() of the C standard
    bytes.fill(0x61 + frames++ % 26, at, at += 1 + (seed >> 8) % (2 * mean - 1));
    if (at >= 4 << 20) return { bytes: bytes.subarray(0, at), frames, data: at - (frames - 1) * end.length };
    for (const byte of end) bytes[at++] = byte;
  }
}

/** The repeated part of long frames: small, so that only the splitter's memory grows with the frame. */
const MEBIBYTE: Text = { bytes: new Uint8Array(1 << 20).fill(0x61), frames: 1, data: 1 << 20 };

async function inMemory(peer: Peer, bench: Bench, separator: string, text: Text, times: number, piece: number) {
  const file = `${bench.scratchDir}/lines`;
  await Deno.writeFile(file, text.bytes);
  const mode = ["memory", separator, file, times, piece, bench.effort.seconds].map(String);
  const [frames, data, seconds] = (await run(commandOf(peer, bench, mode))).split(" ").map(Number);
  const passes = Math.round(frames! / text.frames);
  check(`${frames} ${data}`, [`${passes * text.frames} ${passes * text.data * times}`]);
  return { rate: frames! / seconds!, nsPerByte: seconds! * 1e9 / data! };
}
