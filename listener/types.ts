import type { Clock } from "../chat/clock.ts";

/** What a server runs on each connection; an `AsyncChat` is one. Its counts are added to the server's `stats`. */
export interface Servable {
  /** Starts. Fulfills when it has ended. */
  run(): Promise<void>;
  /** Starts a graceful close. */
  closeWhenDone(): void;
  /** Closes now. */
  close(reason?: Error): void;
  /** Bytes read so far. */
  readonly bytesReceived?: number;
  /** Bytes written so far. */
  readonly bytesSent?: number;
  /** Frames received so far. */
  readonly framesReceived?: number;
  /** The error that ended it; `undefined` after a normal end. */
  readonly closeReason?: Error | undefined;
}

/** What a server has counted since it started. */
export interface ServerStats {
  /** Connections whose chat was started. */
  accepted: number;
  /** Connections rejected because of `maxConnectionsPerAddress`. */
  refused: number;
  /** Connections with a running chat. */
  open: number;
  /** Connections that failed before their chat started, and errors of the listener. */
  acceptErrors: number;
  /** Bytes read, on all connections. */
  bytesReceived: number;
  /** Bytes written, on all connections. */
  bytesSent: number;
  /** Frames received, on all connections. */
  framesReceived: number;
  /** Chats that have ended, by the name of the error that ended them, or "done". */
  closes: Record<string, number>;
}

/** The limits of a server, and where it reports errors. */
export interface ConnServerOptions {
  /**
   * The most connections at a time, those that are handshaking included. At the limit the server stops accepting:
   * further connections wait in the kernel's backlog.
   *
   * @default {Infinity}
   */
  maxConnections?: number;
  /**
   * The most connections at a time from one address. At the limit further ones are rejected: they are sent `refusal`
   * and closed. Behind a proxy all connections have the proxy's address, unless `proxyProtocol` reveals the clients'.
   *
   * @default {Infinity}
   */
  maxConnectionsPerAddress?: number;
  /**
   * Sent to a rejected connection before closing it, such as FTP's `421 Too many connections\r\n`. At most 100 at a
   * time are sent it; further ones are closed at once.
   *
   * @default {""} no refusal is sent
   */
  refusal?: string | Uint8Array;
  /**
   * How long `shutdown()` waits for chats to end, in milliseconds, before it closes them.
   *
   * @default {10000}
   */
  drainTimeoutMs?: number;
  /** Stops the server and closes all connections at once when it is aborted. For a graceful stop call `shutdown()`. */
  signal?: AbortSignal;
  /**
   * Called when a connection fails before its chat starts. The server goes on. `accept` of the listener failed, or the
   * handshake (TLS, `proxyProtocol`), or no chat could be made.
   *
   * @default {console.error}
   */
  onError?: (error: unknown) => void;
  /** The source of time; tests pass their own. */
  clock?: Clock;
}

/** A running server, as `serve()` returns it. */
export interface ChatServer extends AsyncDisposable {
  /** The address it listens on. */
  readonly addr: Deno.Addr;
  /** Fulfills when the server has stopped and its last chat has ended. Never rejects. */
  readonly finished: Promise<void>;
  /** The number of connections with a running chat. */
  readonly connections: number;
  /** What has been counted so far; a copy. */
  readonly stats: ServerStats;
  /**
   * Shuts down gracefully: stops accepting, calls `closeWhenDone()` on every chat, and after `drainTimeoutMs` closes
   * those that have not ended. It does not wait longer for a hook that is still pending then. Later calls change
   * nothing.
   *
   * @returns `finished`.
   */
  shutdown(): Promise<void>;
  /** Keeps the process alive while the server listens; the default. */
  ref(): void;
  /** Lets the process end although the server listens. */
  unref(): void;
}
