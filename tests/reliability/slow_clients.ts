/** Runs slowhttptest, and an honest client meanwhile. */

import { isGreeted } from "./wire.ts";
import type { Served } from "./served_process.ts";

/** The modes of slowhttptest, with their arguments. */
export const WAYS: Readonly<Record<string, readonly string[]>> = {
  "slow headers": ["-H", "-x", "24"],
  // The greeter rejects a POST at its head, so the slow body is that of a GET.
  "slow body": ["-B", "-t", "GET", "-s", "8192", "-x", "10"],
  // Ten pipelined requests; the answers are read at 32 bytes a second through a small window.
  "slow read": ["-X", "-k", "10", "-w", "512", "-y", "1024", "-n", "1", "-z", "32"],
};

/** Parameters of a run of slowhttptest. */
export interface Siege {
  connections: number;
  perSecond: number;
  seconds: number;
  /** Seconds between two pieces of a request. */
  everySeconds: number;
}

/** Runs slowhttptest until its time is up or all its connections are closed. */
export async function besiege(port: number, way: string, siege: Siege): Promise<void> {
  const args = [
    ...WAYS[way]!,
    ...["-c", siege.connections, "-r", siege.perSecond, "-l", siege.seconds, "-i", siege.everySeconds].map(String),
    ...["-p", "30", "-v", "0", "-u", `http://127.0.0.1:${port}/${"n".repeat(1_000)}`],
  ];
  const pipes = { stdin: "null", stdout: "null", stderr: "null" } as const;
  await new Deno.Command("slowhttptest", { args, ...pipes }).output();
}

/** The answers of an honest client. */
export interface Honest {
  asked: number;
  /** Wrong or missing answers. */
  wrong: number;
  /** Times from connect to EOF, ascending. */
  ms: number[];
}

/** Sends requests, each on a new connection, until `during` settles. */
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

/** Polls the number of open connections until `during` settles; returns the maximum. */
export async function maxOpen(served: Served, during: Promise<unknown>): Promise<number> {
  let max = 0;
  let over = false;
  const stop = during.finally(() => over = true);
  while (!over) {
    max = Math.max(max, (await served.figures()).stats.open);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  await stop;
  return max;
}
