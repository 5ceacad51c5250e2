import type { Clock } from "../chat/clock.ts";

/** What a server runs on each connection; an `AsyncChat` is one. What it counts goes into the server's `stats`. */
export interface Servable {
  /** Starts; fulfils when it is over. */
  run(): Promise<void>;
  /** Ends in good order. */
  closeWhenDone(): void;
  /** Ends now. */
  close(reason?: Error): void;
  /** Bytes read so far. */
  readonly bytesReceived?: number;
  /** Bytes written so far. */
  readonly bytesSent?: number;
  /** Frames that have ended so far. */
  readonly framesReceived?: number;
  /** Why it ended, if not in good order. */
  readonly closeReason?: Error | undefined;
}

/** What a server has seen since it began. */
export interface ServerStats {
  /** Connections that were taken in, the refused ones not counted. */
  accepted: number;
  /** Connections that were refused for `maxConnectionsPerAddress`. */
  refused: number;
  /** Connections that are open now. */
  open: number;
  /** Times that a connection could not be taken in, failed before its chat began, or had no chat made for it. */
  acceptErrors: number;
  /** Bytes read, on all connections. */
  bytesReceived: number;
  /** Bytes written, on all connections. */
  bytesSent: number;
  /** Frames that have ended, on all connections. */
  framesReceived: number;
  /** How many chats ended for what reason: by the name of the error, or "done". */
  closes: Record<string, number>;
}

/** How many connections a server takes in, and what becomes of them. */
export interface ConnServerOptions {
  /**
   * At so many open connections no more are taken in: they wait in the kernel's backlog until one ends.
   *
   * @default {Infinity}
   */
  maxConnections?: number;
  /**
   * At so many open connections from one address further ones are refused: told `refusal` and closed. Behind a proxy that
   * does not tell its clients' addresses (`proxyProtocol`) it is useless: they all have the proxy's.
   *
   * @default {Infinity}
   */
  maxConnectionsPerAddress?: number;
  /** The last words to a connection that is refused, such as FTP's `421 Too many connections\r\n`; none by default. */
  refusal?: string | Uint8Array;
  /**
   * How long `shutdown()` waits for chats to send their last words, in milliseconds, before it closes them.
   *
   * @default {10000}
   */
  drainTimeoutMs?: number;
  /** When aborted, the server stops and closes its connections at once. For a stop in good order call `shutdown()`. */
  signal?: AbortSignal;
  /**
   * Called when a connection could not be taken in, did not begin as it has to (`proxyProtocol`), or `accept` threw. The
   * server goes on.
   *
   * @default {console.error}
   */
  onError?: (error: unknown) => void;
  /** Where time comes from; a test passes its own. */
  clock?: Clock;
}

/** A server as `serve()` gives it. */
export interface ChatServer extends AsyncDisposable {
  /** Where it listens. */
  readonly addr: Deno.Addr;
  /** Fulfils when the server has stopped and its last chat is over. Never rejects. */
  readonly finished: Promise<void>;
  /** How many connections are open. */
  readonly connections: number;
  /** What has happened so far, counted; a copy. */
  readonly stats: ServerStats;
  /**
   * Stops in good order: takes in no more, has every chat send its last words (`closeWhenDone()`), closes after
   * `drainTimeoutMs` those that are not done. A hook that never ends does not keep it from ending then.
   *
   * @returns `finished`.
   */
  shutdown(): Promise<void>;
  /** Keeps the process alive while the server listens; the default. */
  ref(): void;
  /** Lets the process end although the server listens. */
  unref(): void;
}
