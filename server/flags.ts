import { parseArgs } from "node:util";
import { DEFAULT_PORT, MAX_CONNECTIONS, MAX_CONNECTIONS_PER_ADDRESS } from "./greeter.ts";

/** What `--help` prints. */
export const HELP = `Greets over HTTP: http://localhost:8888/kongxx answers Hello kongxx!

Usage: deno run --allow-net server.ts [options]

  --port <number>             port to listen on, 0 for any free one (default ${DEFAULT_PORT})
  --hostname <address>        address to listen on, 0.0.0.0 for all of IPv4, :: for all
                              (default localhost: both 127.0.0.1 and ::1)
  --workers <number>          number of threads, on Linux (default 1); more than 1 needs --allow-read
  --max-connections <number>  connections at a time, of each thread (default ${MAX_CONNECTIONS}); when it is
                              full, the one that is idle longest is closed
  --max-per-address <number>  connections at a time from one address (default ${MAX_CONNECTIONS_PER_ADDRESS})
  --verbose                   print a line for each request, and a summary at the end
  --help                      print this`;

/** The options of the program. */
export interface Flags {
  port: number;
  hostname: string;
  workers: number;
  maxConnections: number;
  maxConnectionsPerAddress: number;
  verbose: boolean;
  help: boolean;
}

/**
 * Parses the options of the program.
 *
 * @throws {Error} when an option is unknown or its value is not allowed
 */
export function parseFlags(args: string[]): Flags {
  const { values } = parseArgs({
    args,
    options: {
      port: { type: "string", default: String(DEFAULT_PORT) },
      hostname: { type: "string", default: "localhost" },
      workers: { type: "string", default: "1" },
      "max-connections": { type: "string", default: String(MAX_CONNECTIONS) },
      "max-per-address": { type: "string", default: String(MAX_CONNECTIONS_PER_ADDRESS) },
      verbose: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  const { hostname, verbose, help } = values;
  return {
    port: parseNumber("port", values.port, 0, 65_535),
    hostname,
    workers: parseNumber("workers", values.workers, 1, 999),
    maxConnections: parseNumber("max-connections", values["max-connections"], 1, 999_999),
    maxConnectionsPerAddress: parseNumber("max-per-address", values["max-per-address"], 1, 999_999),
    verbose,
    help,
  };
}

function parseNumber(name: string, text: string, min: number, max: number): number {
  const value = /^[0-9]+$/.test(text) && text.length <= String(max).length ? Number(text) : NaN;
  if (value >= min && value <= max) return value;
  throw new RangeError(`--${name} is "${text}", expected ${min} to ${max}`);
}
