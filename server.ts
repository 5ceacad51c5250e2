/**
 * The greeter program: `http://localhost:8888/kongxx` answers `Hello kongxx!`. A small HTTP/1 server over this library.
 *
 * Run it with `deno run --allow-net server.ts`; `--help` lists its options. In a program of your own:
 *
 * @example
 * ```ts ignore
 * import { serveGreeter } from "@asynchat/asynchat/server";
 *
 * await using server = serveGreeter({ port: 8888 });
 * await server.finished;
 * ```
 *
 * @module
 */

import { parseArgs } from "node:util";
import type { ServerStats } from "./listener/types.ts";
import { DEFAULT_PORT, serveGreeter } from "./server/greeter.ts";
import { serveInWorkers } from "./server/workers.ts";

export { Greeter, type GreeterOptions, serveGreeter } from "./server/greeter.ts";

const HELP = `Greets over HTTP: http://localhost:8888/kongxx answers Hello kongxx!

Usage: deno run --allow-net server.ts [options]

  --port <number>       port to listen on, 0 for any free one (default ${DEFAULT_PORT})
  --hostname <address>  address to listen on, 0.0.0.0 for all (default localhost)
  --workers <number>    number of threads, on Linux (default 1); more than 1 needs --allow-read
  --verbose             print a line for each request, and a summary at the end
  --help                print this`;

const STOP_SIGNALS = ["SIGINT", Deno.build.os === "windows" ? "SIGBREAK" : "SIGTERM"] as const;

if (import.meta.main) await main();

async function main(): Promise<void> {
  const flags = parseFlags(Deno.args);
  if (flags.help) return console.log(HELP);
  try {
    const server = await start(flags);
    console.log(`Serving at http://${flags.hostname}:${(server.addr as Deno.NetAddr).port}/`);
    stopOnSignal(() => server.shutdown());
    const stats = await server.finished;
    if (flags.verbose) console.log(summarize(stats));
  } catch (error) {
    fail(`Cannot serve at ${flags.hostname}:${flags.port}: ${explain(error)}`);
  }
}

interface Flags {
  port: number;
  hostname: string;
  workers: number;
  verbose: boolean;
  help: boolean;
}

/** Reads the options; a bad one ends the process. */
function parseFlags(args: string[]): Flags {
  try {
    const { values } = parseArgs({
      args,
      options: {
        port: { type: "string", default: String(DEFAULT_PORT) },
        hostname: { type: "string", default: "localhost" },
        workers: { type: "string", default: "1" },
        verbose: { type: "boolean", default: false },
        help: { type: "boolean", default: false },
      },
    });
    const port = parseNumber("port", values.port, 0, 65_535);
    return { ...values, port, workers: parseNumber("workers", values.workers, 1, 999) };
  } catch (error) {
    fail(`Cannot start: ${(error as Error).message.split(". ")[0]} (--help lists the options)`);
  }
}

function parseNumber(name: string, text: string, min: number, max: number): number {
  const value = /^[0-9]+$/.test(text) && text.length <= String(max).length ? Number(text) : NaN;
  if (value >= min && value <= max) return value;
  throw new RangeError(`--${name} is "${text}", expected ${min} to ${max}`);
}

async function start({ port, hostname, workers, verbose }: Flags) {
  const onAnswer = verbose ? (line: string) => console.log(line) : undefined;
  if (workers > 1) return await serveInWorkers(workers, { port, hostname }, onAnswer);
  const server = serveGreeter({ port, hostname, ...(onAnswer && { onAnswer }) });
  return { addr: server.addr, shutdown: () => server.shutdown(), finished: server.finished.then(() => server.stats) };
}

/** Calls `stop` at the first signal. A second one ends the process at once. */
function stopOnSignal(stop: () => void): void {
  const onSignal = () => {
    for (const signal of STOP_SIGNALS) Deno.removeSignalListener(signal, onSignal);
    stop();
  };
  for (const signal of STOP_SIGNALS) Deno.addSignalListener(signal, onSignal);
}

function summarize({ accepted, refused, acceptErrors, framesReceived, bytesReceived, bytesSent, closes }: ServerStats) {
  const ends = Object.entries(closes).map(([reason, count]) => `${count} ${reason}`).join(", ") || "none";
  return `Served ${accepted} connections (${refused} rejected, ${acceptErrors} errors): ${framesReceived} frames, ` +
    `${bytesReceived} bytes in, ${bytesSent} out; ended: ${ends}`;
}

/** Describes in one line why the program cannot serve. */
function explain(error: unknown): string {
  if (error instanceof Deno.errors.AddrInUse) return "the port is in use (--port selects another)";
  if (error instanceof Deno.errors.NotCapable) return "network access is denied (needs --allow-net)";
  if (error instanceof Deno.errors.PermissionDenied) return "the system denies this port (use 1024 or above)";
  return error instanceof Error ? error.message : String(error);
}

function fail(message: string): never {
  console.error(message);
  Deno.exit(1);
}
