/**
 * Measures how long an honest client waits for answers while slowhttptest holds 1,000 connections, in each of its
 * modes. `deno task slow`; exits with 1 when an answer is wrong. docs/reliability.md has the output.
 */

import { parseArgs } from "node:util";
import { Served } from "./served_process.ts";
import { askDuring, besiege, type Honest, maxOpen, WAYS } from "./slow_clients.ts";

const { values } = parseArgs({
  options: {
    connections: { type: "string", default: "1000" },
    seconds: { type: "string", default: "15" },
  },
});
const connections = Number(values.connections);
const seconds = Number(values.seconds);

function row(way: string, honest: Honest, open: number, more: string): string {
  const at = (share: number) => honest.ms[Math.min(Math.floor(honest.ms.length * share), honest.ms.length - 1)]!;
  const ms = [0.5, 0.99, 1].map((share) => at(share).toFixed(1).padStart(7)).join("");
  return `${way.padEnd(14)}${String(open).padStart(6)}${String(honest.asked).padStart(7)}${
    String(honest.wrong).padStart(7)
  }${ms}  ${more}`;
}

// Twice the connections: slowhttptest replaces those that are closed.
const limits = {
  idleTimeoutMs: 5_000,
  frameTimeoutMs: 5_000,
  writeTimeoutMs: 5_000,
  maxConnections: 2 * connections,
  maxConnectionsPerAddress: 2 * connections,
};
let wrong = 0;

console.log(`${connections} slow connections, limits of 5 s; what an honest client sees, in ms from connect to end:\n`);
console.log("                open  asked  wrong    p50    p99    max  ended");
{
  await using served = await Served.start({ kind: "greeter", ...limits });
  const alone = new Promise((resolve) => setTimeout(resolve, 5_000));
  const [honest, open] = await Promise.all([askDuring(served.port, alone), maxOpen(served, alone)]);
  wrong += honest.wrong;
  console.log(row("none", honest, open, ""));
}
for (const way of Object.keys(WAYS)) {
  await using served = await Served.start({ kind: "greeter", ...limits });
  const siege = besiege(served.port, way, { connections, perSecond: 500, seconds, everySeconds: 2 });
  const [honest, open] = await Promise.all([askDuring(served.port, siege), maxOpen(served, siege)]);
  wrong += honest.wrong;
  if (open < connections) {
    console.log(
      `${way}: got ${open} connections at a time, expected ${connections} (is ulimit -Hn high enough?)`,
    );
    wrong++;
  }
  const { statuses, stats } = await served.figures();
  const timedOut = statuses["408"] ?? 0;
  console.log(row(way, honest, open, timedOut > 0 ? `${timedOut} with 408` : `${stats.closes.done ?? 0} gracefully`));
}
Deno.exitCode = wrong === 0 ? 0 : 1;
