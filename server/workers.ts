import type { ServerStats } from "../listener/types.ts";

/** Where a worker serves, and whether it tells each answer. */
export interface WorkerConfig {
  port: number;
  hostname: string;
  verbose: boolean;
}

/** What a worker tells: that it listens, a line about an answer, what it has counted when it has stopped, or why it cannot serve. */
export type WorkerReport = "listening" | { line: string } | { stats: ServerStats } | { problem: string };

/** A greeter on several cores. */
export interface GreeterWorkers {
  addr: Deno.NetAddr;
  /** Fulfils with the sum of what all have counted, when the last of them has stopped. Rejects when one of them broke. */
  finished: Promise<ServerStats>;
  /** Has all of them stop in good order. */
  shutdown(): void;
}

/**
 * Serves the greeter with so many workers, each a thread with an event loop of its own; the kernel deals out the connections.
 *
 * @param count How many.
 * @param where The port and the address.
 * @param onAnswer Called with a line about each request that was answered.
 * @throws {Error} where workers cannot share a port, or may not be started
 * @throws {Deno.errors.AddrInUse} when the port is taken, and whatever else `Deno.listen` throws
 */
export async function serveInWorkers(
  count: number,
  { port, hostname }: { port: number; hostname: string },
  onAnswer?: (line: string) => void,
): Promise<GreeterWorkers> {
  checkPlatform();
  // With reusePort a port that is taken would be shared with whoever has it.
  const probe = Deno.listen({ port, hostname });
  const { addr } = probe;
  probe.close();
  const order: WorkerConfig = { port: addr.port, hostname, verbose: onAnswer !== undefined };
  const workers = Array.from({ length: count }, () => start(order, onAnswer));
  const finished = Promise.all(workers.map(({ finished }) => finished)).then((all) => all.reduce(sum));
  finished.catch(() => {}); // it is told by whoever waits for it, or by the next line
  await Promise.race([Promise.all(workers.map(({ listening }) => listening)), finished]);
  return { addr, finished, shutdown: () => workers.forEach(({ worker }) => worker.postMessage("shutdown")) };
}

const SCRIPT = new URL("./worker.ts", import.meta.url);

/** Without the flag Deno ends the process, and says something else. */
function checkPlatform(): void {
  if (Deno.build.os !== "linux") {
    throw new Error(`workers share a port on Linux only, and this is ${Deno.build.os}: --workers 1 is wanted`);
  }
  if (!("listenDatagram" in Deno)) throw new Error("workers share a port with --unstable-net only, it is wanted");
  if (SCRIPT.protocol !== "file:" || Deno.permissions.querySync({ name: "read", path: SCRIPT }).state === "granted") {
    return;
  }
  throw new Error("workers may not be started without reading their program, --allow-read is wanted");
}

function start(order: WorkerConfig, onAnswer: ((line: string) => void) | undefined) {
  const worker = new Worker(SCRIPT, { type: "module" });
  const listening = Promise.withResolvers<void>();
  const finished = Promise.withResolvers<ServerStats>();
  worker.onmessage = ({ data }: MessageEvent<WorkerReport>) => {
    if (data === "listening") return listening.resolve();
    if ("line" in data) return onAnswer?.(data.line);
    worker.terminate();
    if ("stats" in data) finished.resolve(data.stats);
    else finished.reject(new Error(data.problem));
  };
  worker.onerror = (event) => {
    event.preventDefault();
    finished.reject(new Error(`a worker has ended: ${event.message}`));
  };
  worker.postMessage(order);
  return { worker, listening: listening.promise, finished: finished.promise };
}

function sum(one: ServerStats, other: ServerStats): ServerStats {
  const total = { ...one, closes: { ...one.closes } };
  for (const name of Object.keys(one) as (keyof ServerStats)[]) if (name !== "closes") total[name] += other[name];
  for (const [reason, count] of Object.entries(other.closes)) {
    total.closes[reason] = (total.closes[reason] ?? 0) + count;
  }
  return total;
}
