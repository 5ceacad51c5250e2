/**
 * The greeter: `http://localhost:8888/kongxx` says `Hello kongxx!`. The first program written with this library, and a small
 * HTTP/1 server that keeps to the rules.
 *
 * Run it: `deno run --allow-net server.ts`, or `--help` for its flags. In a program of your own:
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
import type { ChatServer, ServerStats } from "./listener/types.ts";
import { DEFAULT_PORT, serveGreeter } from "./server/greeter.ts";
import { serveInWorkers } from "./server/workers.ts";

export { Greeter, type GreeterOptions, serveGreeter } from "./server/greeter.ts";

const HELP = `Greets whoever asks: http://localhost:8888/kongxx says Hello kongxx!

Usage: deno run --allow-net server.ts [options]

  --port <number>       port to listen on, 0 for any free one (default ${DEFAULT_PORT})
  --hostname <address>  address to listen on, 0.0.0.0 for all (default localhost)
  --workers <number>    threads to serve with, on Linux (default 1); needs --allow-read as well
  --verbose             print a line about each request, and one at the end about all
  --help                print this`;

interface Flags {
  port: number;
  hostname: string;
  workers: number;
  verbose: boolean;
  help: boolean;
}

function parseFlags(args: string[]): Flags {
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
  const port = /^[0-9]{1,5}$/.test(values.port) ? Number(values.port) : NaN;
  if (!(port <= 65_535)) throw new RangeError(`--port is "${values.port}", 0 to 65535 is wanted`);
  const workers = /^[0-9]{1,3}$/.test(values.workers) ? Number(values.workers) : NaN;
  if (!(workers >= 1)) throw new RangeError(`--workers is "${values.workers}", 1 to 999 is wanted`);
  return { ...values, port, workers };
}

/** Says in one line what is wrong with how the program was started. */
function explain(error: unknown, { port, hostname }: Flags): string {
  const where = `Cannot serve at ${hostname}:${port}`;
  if (error instanceof Deno.errors.AddrInUse) return `${where}: the port is in use, a free one is wanted (--port)`;
  if (error instanceof Deno.errors.NotCapable) return `${where}: the network is not allowed, --allow-net is wanted`;
  if (error instanceof Deno.errors.PermissionDenied) {
    return `${where}: the system does not allow it, a port from 1024 on is wanted (--port)`;
  }
  return `${where}: ${error instanceof Error ? error.message : error}`;
}

function fail(message: string): never {
  console.error(message);
  Deno.exit(1);
}

async function main(): Promise<void> {
  let flags: Flags;
  try {
    flags = parseFlags(Deno.args);
  } catch (error) {
    fail(`Cannot start: ${(error as Error).message.split(". ")[0]} (--help lists the options)`);
  }
  if (flags.help) return console.log(HELP);
  const { port, hostname, verbose, workers } = flags;
  const onAnswer = verbose ? { onAnswer: (line: string) => console.log(line) } : {};
  let server: Pick<ChatServer, "addr"> & { shutdown(): void; finished: Promise<ServerStats> };
  try {
    if (workers > 1) {
      server = await serveInWorkers(workers, { port, hostname }, onAnswer.onAnswer);
    } else {
      const one = serveGreeter({ port, hostname, ...onAnswer });
      server = { addr: one.addr, shutdown: () => one.shutdown(), finished: one.finished.then(() => one.stats) };
    }
  } catch (error) {
    fail(explain(error, flags));
  }
  console.log(`Serving at http://${hostname}:${(server.addr as Deno.NetAddr).port}/`);
  const stop = () => {
    for (const signal of signals) Deno.removeSignalListener(signal, stop); // a second one ends the process at once
    server.shutdown();
  };
  const signals = Deno.build.os === "windows" ? ["SIGINT", "SIGBREAK"] as const : ["SIGINT", "SIGTERM"] as const;
  for (const signal of signals) Deno.addSignalListener(signal, stop);
  try {
    const stats = await server.finished;
    if (verbose) console.log(summary(stats));
  } catch (error) {
    fail(explain(error, flags));
  }
}

function summary(stats: ServerStats): string {
  const { accepted, refused, framesReceived, bytesReceived, bytesSent, acceptErrors, closes } = stats;
  const ends = Object.entries(closes).map(([reason, count]) => `${count} ${reason}`).join(", ") || "none";
  return `Served ${accepted} connections (${refused} refused, ${acceptErrors} errors): ${framesReceived} frames, ` +
    `${bytesReceived} bytes in, ${bytesSent} out; ended: ${ends}`;
}

if (import.meta.main) await main();
