import type { Clock } from "../chat/clock.ts";

/** What a server runs on each connection; an `AsyncChat` is one. Its counts are added to the server's `stats`. */
export interface Servable {
  /** Starts. Fulfills when it has ended. */
  run(): Promise<void>;
  /** Starts a graceful close. */
  closeWhenDone(): void;
  /** Starts a graceful close because the server shuts down; without it `closeWhenDone()` is called. */
  serverStopping?(): void;
  /** Closes now. */
  close(reason?: Error): void;
  /** Whether it may not give way when the server is full: it works or sends. */
  readonly busy?: boolean;
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
  /** Connections without a chat: their handshake is pending, or timed out and their file is not free yet. */
  handshaking: number;
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

/** What a server was doing when an error occurred, and for which peer. */
export interface ServeErrorInfo {
  /** The peer's address; `undefined` when there is no connection. */
  readonly remoteAddr: unknown;
  /**
   * Where it failed: "listen" is the start and the end of listening, "accept" the listener's next connection,
   * "handshake" TLS or a PROXY header, "chat" the making or running of a chat.
   */
  readonly phase: "listen" | "accept" | "handshake" | "chat";
}

/** How a graceful shutdown ended. */
export interface ShutdownResult {
  /** The number of chats that had not ended before `drainTimeoutMs` and were closed. */
  readonly cut: number;
}

/** The limits of a server, and where it reports errors. */
export interface ConnServerOptions {
  /**
   * The most connections at a time, those that are handshaking or being rejected included. At the limit the server
   * stops accepting: further connections wait in the kernel's backlog. `whenFull` changes that.
   *
   * @default {Infinity}
   */
  maxConnections?: number;
  /**
   * What happens at `maxConnections`. With "closeOldestIdle" one more connection is accepted, and the one that has
   * been idle longest is closed: a handshake that is not complete, or a chat without a frame and without output. Its
   * `handleClose` gets a `ServerFullError`. A busy chat never gives way: when all are busy, the next connection waits.
   *
   * @default {"wait"}
   */
  whenFull?: "wait" | "closeOldestIdle";
  /**
   * The most connections at a time from one address; for IPv6 from one /64 network. `::ffff:192.0.2.1` counts as
   * `192.0.2.1`. At the limit further ones are rejected: they are sent `refusal`
   * and closed. Behind a proxy all connections have the proxy's address, unless `proxyProtocol` reveals the clients'.
   *
   * @default {Infinity}
   */
  maxConnectionsPerAddress?: number;
  /**
   * Sent to a rejected connection before closing it, such as FTP's `421 Too many connections\r\n`. At most 100 at a
   * time are sent it, and a tenth of `maxConnections`; further ones are closed at once.
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
   * Called when a connection fails outside of its chat. The server goes on. It may be async; when it
   * throws or rejects, that is printed.
   *
   * @default prints one line with the peer's address, at most ten a second, and never throws
   */
  onError?: (error: unknown, info: ServeErrorInfo) => void;
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
   * those that have not ended with a `ShutdownError`. It does not wait longer for a hook that is still pending then.
   * Later calls change nothing.
   *
   * @returns A promise that fulfills when the server has finished, with the number of chats that were cut.
   */
  shutdown(): Promise<ShutdownResult>;
  /** Keeps the process alive while the server listens; the default. */
  ref(): void;
  /** Lets the process end although the server listens. */
  unref(): void;
}
