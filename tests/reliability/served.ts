/**
 * A server that gets hurt: the tests here start it as a process of its own and ask it for its figures.
 *
 * Its argument is a {@linkcode ServedOptions} as JSON. It prints its port, then a line of figures for each line that comes
 * on its input (with a garbage collection before, if the line says so), and ends in good order when its input ends, or on SIGTERM.
 */

import { AsyncChat, type ChatOptions, type ChatServer, serve, type ServerStats } from "../../mod.ts";
import { serveGreeter } from "../../server.ts";

/** What to serve, with what limits. */
export interface ServedOptions extends Omit<ChatOptions, "clock" | "unread"> {
  /** The greeter, lines that come back, or the same without this library: a read and a write. */
  kind: "greeter" | "echo" | "bare echo";
  maxConnections?: number;
}

/** What it tells of itself. */
export interface Figures {
  /** Resident memory. */
  rssBytes: number;
  /** What JavaScript holds, its buffers included. */
  heldBytes: number;
  /** How often the greeter answered with which status. */
  statuses: Record<string, number>;
  stats: ServerStats;
}

/** Every line comes back. */
export class EchoChat extends AsyncChat {
  protected override handleConnect() {
    this.setTerminator("\n");
  }
  protected override foundTerminator() {
    this.push(`${this.takeText()}\n`);
  }
}

/** What the same costs with `Deno.Conn` alone. */
async function bareEcho(conn: Deno.Conn): Promise<void> {
  const buffer = new Uint8Array(1024);
  try {
    for (let count; (count = await conn.read(buffer)) !== null;) await conn.write(buffer.subarray(0, count));
  } catch {
    // it is gone
  }
  conn.close();
}

/** As much of a server as a count of its connections. */
function serveBare(): Pick<ChatServer, "addr" | "shutdown"> & { readonly stats: Partial<ServerStats> } {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const stats = { accepted: 0, open: 0 };
  const finished = (async () => {
    for await (const conn of listener) {
      stats.accepted++;
      stats.open++;
      bareEcho(conn).then(() => stats.open--);
    }
  })();
  const shutdown = () => {
    listener.close();
    return finished;
  };
  return { addr: listener.addr, stats, shutdown };
}

if (import.meta.main) {
  const { kind, ...options } = JSON.parse(Deno.args[0]!) as ServedOptions;
  const statuses: Figures["statuses"] = {};
  const onAnswer = (line: string) => {
    const status = line.slice(line.lastIndexOf(" ") + 1);
    statuses[status] = (statuses[status] ?? 0) + 1;
  };
  const where = { hostname: "127.0.0.1", port: 0 };
  const server = kind === "greeter"
    ? serveGreeter({ ...where, ...options, onAnswer })
    : kind === "echo"
    ? serve({ ...where, ...options }, (conn) => new EchoChat(conn, options))
    : serveBare();
  // Also because Deno 2.9.6 makes its own signal handler half a second after the start, and panics if there is no file for it.
  Deno.addSignalListener("SIGTERM", () => server.shutdown().then(() => Deno.exit(0)));
  console.log((server.addr as Deno.NetAddr).port);
  const { gc } = globalThis as { gc?: (options: unknown) => void };
  const collectGarbage = () => gc?.({ type: "major", execution: "sync", flavor: "last-resort" });
  for await (const line of Deno.stdin.readable) {
    if (line.length > 1) collectGarbage();
    const { rss: rssBytes, heapUsed, external } = Deno.memoryUsage();
    const heldBytes = heapUsed + external;
    console.log(JSON.stringify({ rssBytes, heldBytes, statuses, stats: server.stats }));
  }
  await server.shutdown();
}
