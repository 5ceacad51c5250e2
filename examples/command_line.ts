/** What the servers here share: `--port`, `--hostname` and `--help`, faults in one line, an end in good order on Ctrl-C. */

import { parseArgs } from "node:util";
import { type ChatServer, type Servable, serve } from "@asynchat/asynchat";

/** Prints one line and ends with exit code 1. */
export function fail(message: string): never {
  console.error(message);
  Deno.exit(1);
}

/** The command line's `--name value` pairs, with `--help`; an unknown one is told in one line. */
export function flags<T extends Record<string, string>>(help: string, defaults: T): T {
  const names = Object.keys(defaults);
  const options = Object.fromEntries(
    [...names, "help"].map((name) => [name, { type: name === "help" ? "boolean" : "string" }] as const),
  );
  try {
    const { values } = parseArgs({ args: Deno.args, options });
    if (values.help !== true) return { ...defaults, ...values };
  } catch (error) {
    fail(`${(error as Error).message.split(/[.\n]/)[0]}. --help says what there is`);
  }
  console.log(help);
  Deno.exit(0);
}

/** Serves there, and prints where that is, until Ctrl-C or SIGTERM. */
export async function serveChats(
  { port, hostname }: { port: string; hostname: string },
  accept: (conn: Deno.Conn) => Servable,
): Promise<void> {
  let server: ChatServer;
  try {
    server = serve({ port: Number(port), hostname, drainTimeoutMs: 2_000 }, accept);
  } catch (error) {
    fail(`Cannot serve at ${hostname}:${port}: ${(error as Error).message}`);
  }
  const stop = () => void server.shutdown().then(() => Deno.exit(0));
  for (const signal of ["SIGINT", "SIGTERM"] as const) Deno.addSignalListener(signal, stop);
  console.log(`Serving at ${hostname}:${(server.addr as Deno.NetAddr).port}`);
  await server.finished;
}
