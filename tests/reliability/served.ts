/**
 * The server under test, in a process of its own: see served_process.ts.
 *
 * Its argument is a {@linkcode ServedOptions} as JSON. It prints its port, then a line of figures for each line of
 * input (after a garbage collection unless that line is empty). It shuts down gracefully at the end of its input, and
 * on SIGTERM.
 */

import { AsyncChat, type ChatOptions, type ChatServer, serve, type ServerStats } from "../../mod.ts";
import { serveGreeter } from "../../server.ts";

/** What to serve, and the limits. */
export interface ServedOptions extends Omit<ChatOptions, "clock" | "unread"> {
  /** "bare echo" does not use this library. */
  kind: "greeter" | "echo" | "bare echo";
  maxConnections?: number;
  maxConnectionsPerAddress?: number;
  whenFull?: "wait" | "closeOldestIdle";
}

/** Figures of the server process. */
export interface Figures {
  /** Resident memory. */
  rssBytes: number;
  /** The JavaScript heap and its buffers. */
  heldBytes: number;
  /** Answers of the greeter, by status. */
  statuses: Record<string, number>;
  stats: ServerStats;
}

/** Echoes lines. */
export class EchoChat extends AsyncChat {
  protected override handleConnect() {
    this.setTerminator("\n");
  }
  protected override foundTerminator() {
    this.push(`${this.takeText()}\n`);
  }
}

/** The same with `Deno.Conn` alone, for comparison. */
async function bareEcho(conn: Deno.Conn): Promise<void> {
  const buffer = new Uint8Array(1024);
  try {
    for (let count; (count = await conn.read(buffer)) !== null;) await conn.write(buffer.subarray(0, count));
  } catch {
    // the peer closed
  }
  conn.close();
}

/** A minimal server of `bareEcho` that counts connections. */
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
  const shutdown = async () => {
    listener.close();
    await finished;
    return { cut: 0 };
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
  // Also because Deno 2.9.6 installs its own signal handler half a second after the start, and panics when out of files
  // then.
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
