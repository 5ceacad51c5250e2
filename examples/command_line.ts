/** Shared by the examples: command-line flags, one-line errors, graceful shutdown on Ctrl-C. */

import { parseArgs } from "node:util";
import { type ChatServer, type Servable, serve } from "@asynchat/asynchat";

/** Prints one line and exits with code 1. */
export function fail(message: string): never {
  console.error(message);
  Deno.exit(1);
}

/** Parses the command line's `--name value` pairs. `--help` prints `help`; an unknown flag prints one line. Both exit. */
export function flags<T extends Record<string, string>>(help: string, defaults: T): T {
  const names = Object.keys(defaults);
  const options = Object.fromEntries(
    [...names, "help"].map((name) => [name, { type: name === "help" ? "boolean" : "string" }] as const),
  );
  try {
    const { values } = parseArgs({ args: Deno.args, options });
    if (values.help !== true) return { ...defaults, ...values };
  } catch (error) {
    fail(`${(error as Error).message.split(/[.\n]/)[0]}. See --help`);
  }
  console.log(help);
  Deno.exit(0);
}

/** Serves at an address and prints it. Shuts down gracefully on Ctrl-C or SIGTERM. */
export async function serveChats(
  { port, hostname }: { port: string; hostname: string },
  accept: (conn: Deno.Conn) => Servable,
  limits: { maxConnections?: number } = {},
): Promise<void> {
  let server: ChatServer;
  try {
    server = serve({ port: Number(port), hostname, drainTimeoutMs: 2_000, ...limits }, accept);
  } catch (error) {
    fail(`Cannot serve at ${hostname}:${port}: ${(error as Error).message}`);
  }
  const stop = () => void server.shutdown().then(() => Deno.exit(0));
  for (const signal of ["SIGINT", "SIGTERM"] as const) Deno.addSignalListener(signal, stop);
  console.log(`Serving at ${hostname}:${(server.addr as Deno.NetAddr).port}`);
  await server.finished;
}
