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

import type { ServerStats } from "./listener/types.ts";
import { type Flags, HELP, parseFlags } from "./server/flags.ts";
import { serveGreeter } from "./server/greeter.ts";
import { LogSink, printErrorsTo } from "./server/log_sink.ts";
import { serveInWorkers } from "./server/workers.ts";

export { Greeter, type GreeterOptions, serveGreeter } from "./server/greeter.ts";

const STOP_SIGNALS = ["SIGINT", Deno.build.os === "windows" ? "SIGBREAK" : "SIGTERM"] as const;

/** How long the end waits for a reader of the log. */
const FLUSH_MS = 500;

if (import.meta.main) await main();

async function main(): Promise<void> {
  const flags = readFlags();
  if (flags.help) return console.log(HELP);
  const out = new LogSink(Deno.stdout);
  const errors = new LogSink(Deno.stderr);
  printErrorsTo((line) => errors.line(line));
  try {
    const starting = start(flags, (line) => out.line(line), (line) => errors.line(line));
    stopOnSignal(() => void starting.then((server) => void server.shutdown(), () => {}));
    const server = await starting;
    out.line(`Serving at http://${inUrl(flags.hostname)}:${(server.addr as Deno.NetAddr).port}/`);
    const stats = await server.finished;
    if (flags.verbose) out.line(summarize(stats));
  } catch (error) {
    errors.line(`Cannot serve at ${inUrl(flags.hostname)}:${flags.port}: ${explain(error)}`);
    Deno.exitCode = 1;
  }
  await Promise.all([out.flush(FLUSH_MS), errors.flush(FLUSH_MS)]);
  Deno.exit(); // a write to a reader that has stopped would keep the process
}

/** Reads the options; a bad one ends the process. */
function readFlags(): Flags {
  try {
    return parseFlags(Deno.args);
  } catch (error) {
    console.error(`Cannot start: ${(error as Error).message.split(/\.\s/)[0]} (--help lists the options)`);
    Deno.exit(1);
  }
}

async function start(flags: Flags, log: (line: string) => void, logError: (line: string) => void) {
  const { workers, verbose, help: _, ...options } = flags;
  const onAnswer = verbose ? log : undefined;
  if (workers > 1) return await serveInWorkers(workers, options, { onError: logError, ...(onAnswer && { onAnswer }) });
  const server = serveGreeter({ ...options, ...(onAnswer && { onAnswer }) });
  return { addr: server.addr, shutdown: () => server.shutdown(), finished: server.finished.then(() => server.stats) };
}

/** An address as a URL has it: IPv6 in brackets. */
function inUrl(hostname: string): string {
  return hostname.includes(":") ? `[${hostname}]` : hostname;
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
