/** For the tests here: slowhttptest, and an honest client that asks meanwhile. */

import { isGreeted } from "./wire.ts";
import type { Served } from "./served_process.ts";

/** A way to be slow, and the arguments that make slowhttptest so. */
export const WAYS: Readonly<Record<string, readonly string[]>> = {
  "slow headers": ["-H", "-x", "24"],
  // A POST is refused at its head; a GET with content is what may be slow here.
  "slow body": ["-B", "-t", "GET", "-s", "8192", "-x", "10"],
  // Ten requests at once, whose answers are read 32 bytes a second through a small window.
  "slow read": ["-X", "-k", "10", "-w", "512", "-y", "1024", "-n", "1", "-z", "32"],
};

/** How slow, how many, how long. */
export interface Siege {
  connections: number;
  perSecond: number;
  seconds: number;
  /** Seconds between two pieces of a header or body. */
  everySeconds: number;
}

/** Runs slowhttptest to its end: when its time is up, or when all its connections have been ended. */
export async function besiege(port: number, way: string, siege: Siege): Promise<void> {
  const args = [
    ...WAYS[way]!,
    ...["-c", siege.connections, "-r", siege.perSecond, "-l", siege.seconds, "-i", siege.everySeconds].map(String),
    ...["-p", "30", "-v", "0", "-u", `http://127.0.0.1:${port}/${"n".repeat(1_000)}`],
  ];
  const pipes = { stdin: "null", stdout: "null", stderr: "null" } as const;
  await new Deno.Command("slowhttptest", { args, ...pipes }).output();
}

/** What an honest client saw. */
export interface Honest {
  asked: number;
  /** How many answers were not what they should be. */
  wrong: number;
  /** How long each took from connecting to the end, in ascending order. */
  ms: number[];
}

/** Asks now and then, on a connection of its own each time, until `during` settles. */
export async function askDuring(port: number, during: Promise<unknown>): Promise<Honest> {
  const honest: Honest = { asked: 0, wrong: 0, ms: [] };
  let over = false;
  const stop = during.finally(() => over = true);
  while (!over) {
    const began = performance.now();
    const ok = await isGreeted(port, `honest${honest.asked++}`).catch(() => false);
    honest.ms.push(performance.now() - began);
    if (!ok) honest.wrong++;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  await stop;
  honest.ms.sort((a, b) => a - b);
  return honest;
}

/** The most connections that were open at a time, until `during` settles. */
export async function mostOpen(served: Served, during: Promise<unknown>): Promise<number> {
  let most = 0;
  let over = false;
  const stop = during.finally(() => over = true);
  while (!over) {
    most = Math.max(most, (await served.figures()).stats.open);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  await stop;
  return most;
}
