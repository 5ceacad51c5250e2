import { listenTcp } from "../listener/loopback.ts";
import { onThreadEnd } from "./life_lock.ts";
import { Counters } from "../listener/counters.ts";
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
  /** The name of the lock that the worker holds while it lives. */
  lock: string;
}

/** A message from a worker: ready, a line for the log, one for errors, its counts after the end, or why it cannot serve. */
export type WorkerReport = "listening" | { line: string } | { error: string } | { stats: ServerStats } | {
  problem: string;
};

/** Where lines of workers go. */
export interface WorkerLog {
  /** Called with one line for each error, and for each worker that is replaced. */
  onError(line: string): void;
  /** Called with one line for each answered request. */
  onAnswer?: (line: string) => void;
}

/** A greeter on several cores. */
export interface GreeterWorkers {
  addr: Deno.NetAddr;
  /** Fulfills with the summed counts once all workers have stopped. Rejects when one fails. */
  finished: Promise<ServerStats>;
  /** Shuts all workers down gracefully. */
  shutdown(): void;
}

/**
 * Serves the greeter on `count` threads. The kernel distributes the connections over them. One that stops by itself is
 * replaced; its connections are closed, and its counts are lost.
 *
 * @param count The number of workers; each has its own event loop.
 * @param options Where to listen, and the limits of each worker.
 * @param log What is called for a line of the log.
 * @param script What a worker runs; tests pass their own.
 * @throws {Error} when workers cannot share a port here, or `--allow-read` is missing
 * @throws {Deno.errors.AddrInUse} when the port is in use; other errors of `Deno.listen` pass through
 */
export async function serveInWorkers(
  count: number,
  options: WorkerOptions,
  log: WorkerLog,
  script: URL = SCRIPT,
): Promise<GreeterWorkers> {
  checkPlatform();
  // A listener with reusePort would share a port that another program has opened with it.
  const probe = listenTcp({ port: options.port, hostname: options.hostname }, (at) => Deno.listen(at));
  const addr = probe.addr as Deno.NetAddr;
  probe.close();
  const config = { ...options, port: addr.port, verbose: log.onAnswer !== undefined };
  const workers = Array.from({ length: count }, (_, i) => new Supervised(`Worker ${i + 1}`, script, config, log));
  const finished = Promise.all(workers.map(({ finished }) => finished)).then((all) => all.reduce(sum));
  finished.catch(() => {}); // reported by the next line, or to the caller who awaits it
  await Promise.race([Promise.all(workers.map(({ listening }) => listening)), finished]);
  return { addr, finished, shutdown: () => workers.forEach((worker) => worker.shutdown()) };
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

/** How soon after its start a worker that has stopped is replaced: one that cannot run must not fill the log. */
const MIN_RESTART_MS = 1_000;

/** A worker, and those that replace it. */
class Supervised {
  readonly #name: string;
  readonly #script: URL;
  readonly #config: WorkerConfig;
  readonly #log: WorkerLog;
  readonly #listening = Promise.withResolvers<void>();
  readonly #finished = Promise.withResolvers<ServerStats>();
  #worker: Worker | null = null; // null: has stopped
  #startedAt = 0;
  #restart: ReturnType<typeof setTimeout> | undefined;
  #ending = false;

  constructor(name: string, script: URL, config: Omit<WorkerConfig, "lock">, log: WorkerLog) {
    this.#name = name;
    this.#script = script;
    this.#config = { ...config, lock: `${name} of ${crypto.randomUUID()}` };
    this.#log = log;
    this.#start();
  }

  /** Fulfills when the first listens. */
  get listening(): Promise<void> {
    return this.#listening.promise;
  }

  /** Fulfills with the counts of the last one. */
  get finished(): Promise<ServerStats> {
    return this.#finished.promise;
  }

  shutdown(): void {
    this.#ending = true;
    clearTimeout(this.#restart);
    if (this.#worker === null) this.#finished.resolve(new Counters().snapshot([], 0));
    else this.#worker.postMessage("shutdown");
  }

  #start(): void {
    const worker = new Worker(this.#script, { type: "module" });
    this.#worker = worker;
    this.#startedAt = performance.now();
    let listens = false;
    worker.onmessage = ({ data }: MessageEvent<WorkerReport>) => {
      if (data === "listening") {
        listens = true;
        this.#listening.resolve();
        return onThreadEnd(this.#config.lock, () => this.#stopped(worker)); // Deno has no event for it
      }
      if ("line" in data) return this.#log.onAnswer?.(data.line);
      if ("error" in data) return this.#log.onError(data.error);
      this.#worker = null;
      worker.terminate();
      if ("stats" in data) this.#finished.resolve(data.stats);
      else this.#finished.reject(new Error(data.problem));
    };
    worker.onerror = (event) => {
      event.preventDefault();
      if (listens) this.#log.onError(`${this.#name} failed: ${event.message}`);
      else this.#finished.reject(new Error(`a worker failed: ${event.message}`));
    };
    worker.postMessage(this.#config);
  }

  #stopped(worker: Worker): void {
    if (this.#worker !== worker) return; // it was to end
    this.#worker = null;
    if (this.#ending) return this.shutdown();
    this.#log.onError(`${this.#name} has stopped: starting another`);
    const sinceStart = performance.now() - this.#startedAt;
    this.#restart = setTimeout(() => this.#start(), Math.max(0, MIN_RESTART_MS - sinceStart));
  }
}

function sum(one: ServerStats, other: ServerStats): ServerStats {
  const total = { ...one, closes: { ...one.closes } };
  for (const name of Object.keys(one) as (keyof ServerStats)[]) if (name !== "closes") total[name] += other[name];
  for (const [reason, count] of Object.entries(other.closes)) {
    total.closes[reason] = (total.closes[reason] ?? 0) + count;
  }
  return total;
}
