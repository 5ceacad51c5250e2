import { listenTcp } from "../listener/loopback.ts";
import type { ServerStats } from "../listener/types.ts";

/** Where a worker listens, and its limits. */
export interface WorkerOptions {
  port: number;
  hostname: string;
  maxConnections?: number;
  maxConnectionsPerAddress?: number;
}

/** The message that starts a worker. */
export interface WorkerConfig extends WorkerOptions {
  /** Whether to report each answer. */
  verbose: boolean;
}

/** A message from a worker: ready, a line for the log, one for errors, its counts after the end, or why it cannot serve. */
export type WorkerReport = "listening" | { line: string } | { error: string } | { stats: ServerStats } | {
  problem: string;
};

/** A greeter on several cores. */
export interface GreeterWorkers {
  addr: Deno.NetAddr;
  /** Fulfills with the summed counts once all workers have stopped. Rejects when one fails. */
  finished: Promise<ServerStats>;
  /** Shuts all workers down gracefully. */
  shutdown(): void;
}

/**
 * Serves the greeter on `count` threads. The kernel distributes the connections over them.
 *
 * @param count The number of workers; each has its own event loop.
 * @param options Where to listen, and the limits of each worker.
 * @param onError Called with one line for each error.
 * @param onAnswer Called with one line for each answered request.
 * @throws {Error} when workers cannot share a port here, or `--allow-read` is missing
 * @throws {Deno.errors.AddrInUse} when the port is in use; other errors of `Deno.listen` pass through
 */
export async function serveInWorkers(
  count: number,
  options: WorkerOptions,
  onError: (line: string) => void,
  onAnswer?: (line: string) => void,
): Promise<GreeterWorkers> {
  checkPlatform();
  // A listener with reusePort would share a port that another program has opened with it.
  const probe = listenTcp({ port: options.port, hostname: options.hostname }, (at) => Deno.listen(at));
  const addr = probe.addr as Deno.NetAddr;
  probe.close();
  const config: WorkerConfig = { ...options, port: addr.port, verbose: onAnswer !== undefined };
  const workers = Array.from({ length: count }, () => start(config, onError, onAnswer));
  const finished = Promise.all(workers.map(({ finished }) => finished)).then((all) => all.reduce(sum));
  finished.catch(() => {}); // reported by the next line, or to the caller who awaits it
  await Promise.race([Promise.all(workers.map(({ listening }) => listening)), finished]);
  return { addr, finished, shutdown: () => workers.forEach(({ worker }) => worker.postMessage("shutdown")) };
}

const SCRIPT = new URL("./worker.ts", import.meta.url);

/** Throws where Deno itself would end the process with a misleading message. */
function checkPlatform(): void {
  if (Deno.build.os !== "linux") {
    throw new Error(`workers need Linux: got ${Deno.build.os}, use --workers 1`);
  }
  if (!("listenDatagram" in Deno)) throw new Error("workers need --unstable-net");
  if (SCRIPT.protocol !== "file:" || Deno.permissions.querySync({ name: "read", path: SCRIPT }).state === "granted") {
    return;
  }
  throw new Error("workers need --allow-read");
}

function start(
  config: WorkerConfig,
  onError: (line: string) => void,
  onAnswer: ((line: string) => void) | undefined,
) {
  const worker = new Worker(SCRIPT, { type: "module" });
  const listening = Promise.withResolvers<void>();
  const finished = Promise.withResolvers<ServerStats>();
  worker.onmessage = ({ data }: MessageEvent<WorkerReport>) => {
    if (data === "listening") return listening.resolve();
    if ("line" in data) return onAnswer?.(data.line);
    if ("error" in data) return onError(data.error);
    worker.terminate();
    if ("stats" in data) finished.resolve(data.stats);
    else finished.reject(new Error(data.problem));
  };
  worker.onerror = (event) => {
    event.preventDefault();
    finished.reject(new Error(`a worker failed: ${event.message}`));
  };
  worker.postMessage(config);
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
