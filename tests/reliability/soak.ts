/**
 * Measures the memory of chats over time: of many idle ones, and after many have come and gone. `deno task soak`; the
 * server is a process of its own. Exits with 1 when a bound is exceeded.
 *
 * Needs `ulimit -Hn` above the number of idle chats, for the server and for this process.
 */

import { parseArgs } from "node:util";
import { until } from "../processes.ts";
import type { ServedOptions } from "./served.ts";
import { Served } from "./served_process.ts";
import { connect } from "./wire.ts";

const { values } = parseArgs({
  options: {
    idle: { type: "string", default: "10000" }, //       chats that are open at once
    passing: { type: "string", default: "200000" }, //   chats that come and go
    first: { type: "string", default: "20000" }, //      of these, the warm-up before the first measurement
    rest: { type: "string", default: "0" }, //           idle seconds for V8 to collect by itself; 0: collect explicitly
  },
});
const idle = Number(values.idle);
const passing = Number(values.passing);
const first = Number(values.first);
const rest = Number(values.rest);

const MAX_KIB_EACH = 10;
const MAX_GROWTH = 0.1;
const CONCURRENCY = 50;

const line = new TextEncoder().encode("hello\n");
const kib = (bytes: number) => `${(bytes / 1024).toFixed(1)} KiB`;
const mib = (bytes: number) => `${(bytes / 1_048_576).toFixed(1)} MiB`;

/** Runs `action` `count` times, 50 concurrently. */
async function times(count: number, action: () => Promise<void>): Promise<void> {
  let left = count;
  const worker = async () => {
    while (left-- > 0) await action();
  };
  await Promise.all(Array.from({ length: Math.min(CONCURRENCY, count) }, worker));
}

/** Connects, and has one line echoed. */
async function connectAndEcho(port: number): Promise<Deno.TcpConn> {
  const conn = await connect(port);
  await conn.write(line);
  const answer = new Uint8Array(line.length);
  if (await conn.read(answer) !== line.length || answer.some((byte, i) => byte !== line[i])) {
    throw new Error("The echo differs from the line");
  }
  return conn;
}

/**
 * Measures the resident memory of an idle server. After 30 s without traffic V8 collects by itself, and releases the
 * memory of its young generation; an explicit last-resort collection does the same at once.
 */
async function residentMemory(served: Served): Promise<number> {
  // Within two checks of its time limits, a second apart, an idle chat gives back what it keeps for the next push.
  await new Promise((resolve) => setTimeout(resolve, 1000 * Math.max(rest, 3)));
  if (rest === 0) await served.figures(true);
  return (await served.figures(rest === 0)).rssBytes;
}

/** Measures the resident memory that each idle chat adds: right after connecting, and at rest. */
async function idleCost(kind: ServedOptions["kind"]): Promise<{ early: number; each: number }> {
  await using served = await Served.start({ kind });
  const bare = await residentMemory(served);
  const conns: Deno.Conn[] = [];
  await times(idle, async () => {
    conns.push(await connectAndEcho(served.port));
  });
  const { rssBytes, stats } = await served.figures();
  if (stats.open !== idle) throw new Error(`Open chats: got ${stats.open}, expected ${idle}`);
  const each = (await residentMemory(served) - bare) / idle;
  for (const conn of conns) conn.close();
  return { early: (rssBytes - bare) / idle, each };
}

let broken = 0;
function check(what: string, holds: boolean, bound: string): void {
  console.log(`${holds ? "ok    " : "BROKEN"} ${what} (${bound})`);
  if (!holds) broken++;
}

if (idle > 0) {
  const { each, early } = await idleCost("echo");
  const what = `${idle} idle chats: ${kib(each)} of resident memory each, ${kib(early)} right after connecting`;
  check(what, each <= MAX_KIB_EACH * 1024, `${MAX_KIB_EACH} KiB at most at rest`);
  const bare = await idleCost("bare echo");
  console.log(`       without this library, a Deno.Conn and a buffer of 1 KiB: ${kib(bare.each)}, ${kib(bare.early)}`);
}
if (passing > 0) {
  await using served = await Served.start({ kind: "echo" });
  const connectAndClose = () => connectAndEcho(served.port).then((conn) => conn.close());
  await times(first, connectAndClose);
  const before = await residentMemory(served);
  await times(passing - first, connectAndClose);
  await until("all are closed", async () => (await served.figures()).stats.open === 0);
  const after = await residentMemory(served);
  const { accepted, acceptErrors, closes } = (await served.figures()).stats;
  const what = `${passing} chats came and went: ${mib(before)} after ${first}, ${mib(after)} in the end`;
  check(what, after <= before * (1 + MAX_GROWTH), `${100 * MAX_GROWTH} % more at most`);
  const holds = accepted === passing && acceptErrors === 0 && closes.done === passing;
  check(`${accepted} were accepted and closed: ${JSON.stringify(closes)}`, holds, "every one, gracefully");
}
Deno.exitCode = broken === 0 ? 0 : 1;
