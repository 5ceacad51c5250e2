/**
 * What chats cost over time. `deno task soak` opens many idle ones and asks what memory each takes, then has many come and go
 * and asks whether memory stays where it was. The server is a process of its own. Exits with 1 when a bound is broken.
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
    idle: { type: "string", default: "10000" }, //       how many chats are open at once
    passing: { type: "string", default: "200000" }, //   how many come and go
    first: { type: "string", default: "20000" }, //      after how many of those memory is taken as what it should stay
    rest: { type: "string", default: "0" }, //           seconds in which V8 may collect by itself; 0: it is asked to
  },
});
const idle = Number(values.idle);
const passing = Number(values.passing);
const first = Number(values.first);
const rest = Number(values.rest);

const MOST_KIB_EACH = 10;
const MOST_GROWTH = 0.1;
const AT_A_TIME = 50;

const line = new TextEncoder().encode("hello\n");
const kib = (bytes: number) => `${(bytes / 1024).toFixed(1)} KiB`;
const mib = (bytes: number) => `${(bytes / 1_048_576).toFixed(1)} MiB`;

/** Runs `action` `count` times, so many at a time. */
async function times(count: number, action: () => Promise<void>): Promise<void> {
  let left = count;
  const worker = async () => {
    while (left-- > 0) await action();
  };
  await Promise.all(Array.from({ length: Math.min(AT_A_TIME, count) }, worker));
}

/** Connects, and has one line come back. */
async function meet(port: number): Promise<Deno.TcpConn> {
  const conn = await connect(port);
  await conn.write(line);
  const answer = new Uint8Array(line.length);
  if (await conn.read(answer) !== line.length || answer.some((byte, i) => byte !== line[i])) {
    throw new Error("A line has come back as another");
  }
  return conn;
}

/**
 * The resident memory of a server at rest. After half a minute without traffic V8 collects by itself, and gives back what its
 * young generation no longer needs; asked to collect as a last resort it does the same at once.
 */
async function residentMemory(served: Served): Promise<number> {
  if (rest > 0) await new Promise((resolve) => setTimeout(resolve, 1000 * rest));
  else await served.figures(true);
  return (await served.figures(rest === 0)).rssBytes;
}

/** What each of so many idle chats adds to the resident memory of a server: when they have just come, and at rest. */
async function idleCost(kind: ServedOptions["kind"]): Promise<{ early: number; each: number }> {
  await using served = await Served.start({ kind });
  const bare = await residentMemory(served);
  const conns: Deno.Conn[] = [];
  await times(idle, async () => {
    conns.push(await meet(served.port));
  });
  const { rssBytes, stats } = await served.figures();
  if (stats.open !== idle) throw new Error(`${stats.open} chats are open, ${idle} are wanted`);
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
  const what = `${idle} idle chats: ${kib(each)} of resident memory each, ${kib(early)} when they have just come`;
  check(what, each <= MOST_KIB_EACH * 1024, `${MOST_KIB_EACH} KiB at most at rest`);
  const bare = await idleCost("bare echo");
  console.log(`       without this library, a Deno.Conn and a buffer of 1 KiB: ${kib(bare.each)}, ${kib(bare.early)}`);
}
if (passing > 0) {
  await using served = await Served.start({ kind: "echo" });
  const comeAndGo = () => meet(served.port).then((conn) => conn.close());
  await times(first, comeAndGo);
  const before = await residentMemory(served);
  await times(passing - first, comeAndGo);
  await until("all are gone", async () => (await served.figures()).stats.open === 0);
  const after = await residentMemory(served);
  const { accepted, acceptErrors, closes } = (await served.figures()).stats;
  const what = `${passing} chats came and went: ${mib(before)} after ${first}, ${mib(after)} in the end`;
  check(what, after <= before * (1 + MOST_GROWTH), `${100 * MOST_GROWTH} % more at most`);
  const holds = accepted === passing && acceptErrors === 0 && closes.done === passing;
  check(`${accepted} were taken in and ended: ${JSON.stringify(closes)}`, holds, "every one, and in good order");
}
Deno.exitCode = broken === 0 ? 0 : 1;
