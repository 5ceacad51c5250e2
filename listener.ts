/**
 * Many connections: takes them in, has a chat run on each, ends them all in good order.
 *
 * @module
 */

import type { ChatConn } from "./chat_options.ts";
import { type Clock, systemClock } from "./clock.ts";
import { errorChannel } from "./diagnostics.ts";

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
  /** Times that a connection could not be taken in, or had no chat made for it. */
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

/** Where and how to serve. */
export interface ServeOptions {
  /** The port to listen on; 0 is any free one, and `addr` tells which. */
  port: number;
  /**
   * The address to listen on.
   *
   * @default {"0.0.0.0"} every IPv4 address of the machine, as `Deno.listen`
   */
  hostname?: string;
  /**
   * How many connections the kernel holds while none is taken in.
   *
   * @default {511} as `Deno.listen`
   */
  tcpBacklog?: number;
  /**
   * At so many open connections no more are taken in: they wait in the kernel's backlog until one ends.
   *
   * @default {Infinity}
   */
  maxConnections?: number;
  /**
   * At so many open connections from one address further ones are refused: told `refusal` and closed. Useless behind a
   * proxy, whose address they all have.
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
  /** Called once with the address, when connections can come. */
  onListen?: (addr: Deno.Addr) => void;
  /**
   * Called when a connection could not be taken in, or `accept` threw. The server goes on.
   *
   * @default {console.error}
   */
  onError?: (error: unknown) => void;
  /** Where time comes from; a test passes its own. */
  clock?: Clock;
}

/** What a server needs of a listener: `Deno.Listener` fits. */
export interface ConnListener<Conn> {
  /** Where it listens. */
  readonly addr: Deno.Addr;
  /** The next connection; rejects when that one failed, or when the listener was closed. */
  accept(): Promise<Conn>;
  /** Takes in no more; a pending `accept` rejects. */
  close(): void;
  /** Keeps the process alive. */
  ref(): void;
  /** Lets the process end. */
  unref(): void;
}

/** The first pause when the system is short of something, doubled while it lasts, and the longest: Go's net/http. */
const FIRST_PAUSE_MS = 5;
const LONGEST_PAUSE_MS = 1_000;

/** How long a refused connection has for its last words, and how many may have that at a time; the others are just closed. */
const REFUSAL_MS = 2_000;
const MOST_REFUSALS = 100;

/** Errors of `accept` that are about the connection that came, and say nothing of the next: by name and by code. */
const OF_ONE_PEER = /^(ConnectionReset|ConnectionAborted|NotConnected|ECONNRESET|ECONNABORTED|ENOTCONN|EPROTO)$/;

/**
 * Serves a chat on every connection that comes. A peer that resets while it waits, too many open files, a bug in one chat:
 * none of these ends the server.
 *
 * @param options Where, and how many.
 * @param accept Makes the chat for a connection; the server runs it. When it throws, that connection is closed.
 * @returns The running server.
 * @throws {Deno.errors.AddrInUse} when the port is taken, and whatever else `Deno.listen` throws
 * @throws {RangeError} when a limit is no number, or too small
 *
 * @example
 * ```ts ignore
 * import { AsyncChat, serve } from "@asynchat/asynchat";
 *
 * class Echo extends AsyncChat {
 *   protected override handleConnect() {
 *     this.setTerminator("\n");
 *   }
 *   protected override foundTerminator() {
 *     this.push(`${this.takeText()}\n`);
 *   }
 * }
 *
 * await using server = serve({ port: 7000, maxConnections: 1000 }, (conn) => new Echo(conn));
 * await server.finished;
 * ```
 */
export function serve(options: ServeOptions, accept: (conn: Deno.Conn) => Servable): ChatServer {
  checkOptions(options);
  // Deno 2.9 opens a file when a stack is asked for the first time, and panics when it may not: to print an error while files
  // are short would end the process. So a stack is asked for now, while there are some.
  void new Error().stack;
  const { port, hostname, tcpBacklog } = options;
  const listener = Deno.listen({
    port,
    ...(hostname === undefined ? {} : { hostname }),
    ...(tcpBacklog === undefined ? {} : { tcpBacklog }),
  });
  try {
    options.onListen?.(listener.addr);
  } catch (error) {
    listener.close();
    throw error;
  }
  return new ConnServer(listener, options, accept);
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

/** The accept loop, over any listener. */
export class ConnServer<Conn extends ChatConn> implements ChatServer {
  readonly #listener: ConnListener<Conn>;
  readonly #accept: (conn: Conn) => Servable;
  readonly #chats = new Map<Servable, string>(); // with the peer's address; "" where there is none
  readonly #perAddress = new Map<string, number>();
  readonly #refused = new Set<Conn>(); //           those that still hear their last words
  readonly #ended: ServerStats = {
    accepted: 0,
    refused: 0,
    open: 0,
    acceptErrors: 0,
    bytesReceived: 0,
    bytesSent: 0,
    framesReceived: 0,
    closes: {},
  };
  readonly #maxConnections: number;
  readonly #maxConnectionsPerAddress: number;
  readonly #refusal: Uint8Array;
  readonly #drainTimeoutMs: number;
  readonly #onError: (error: unknown) => void;
  readonly #clock: Clock;
  readonly #signal: AbortSignal | undefined;
  readonly #finished = Promise.withResolvers<void>();
  #stopping = false;
  #listening = true; //                     the accept loop runs
  #wake: (() => void) | null = null; //      ends the loop's pause, or its wait for a connection to end
  #callOffDeadline: (() => void) | null = null;

  constructor(listener: ConnListener<Conn>, options: Omit<ServeOptions, "port">, accept: (conn: Conn) => Servable) {
    this.#listener = listener;
    this.#accept = accept;
    this.#maxConnections = options.maxConnections ?? Infinity;
    this.#maxConnectionsPerAddress = options.maxConnectionsPerAddress ?? Infinity;
    const { refusal = "" } = options;
    this.#refusal = typeof refusal === "string" ? new TextEncoder().encode(refusal) : refusal;
    this.#drainTimeoutMs = options.drainTimeoutMs ?? 10_000;
    this.#onError = options.onError ?? ((error) => console.error("Cannot serve a connection:", error));
    this.#clock = options.clock ?? systemClock;
    this.#signal = options.signal;
    this.#signal?.addEventListener("abort", this.#abort);
    void this.#listen();
    if (this.#signal?.aborted) this.#abort();
  }

  get addr(): Deno.Addr {
    return this.#listener.addr;
  }

  get finished(): Promise<void> {
    return this.#finished.promise;
  }

  get connections(): number {
    return this.#chats.size;
  }

  get stats(): ServerStats {
    const stats = { ...this.#ended, open: this.#chats.size, closes: { ...this.#ended.closes } };
    for (const chat of this.#chats.keys()) addCounts(stats, chat);
    return stats;
  }

  shutdown(): Promise<void> {
    if (!this.#stopping) {
      this.#stop();
      for (const chat of this.#chats.keys()) chat.closeWhenDone();
      if (this.#chats.size > 0) {
        this.#callOffDeadline = this.#clock.after(this.#drainTimeoutMs, () => this.#closeAll());
      }
    }
    return this.finished;
  }

  ref(): void {
    this.#listener.ref();
  }

  unref(): void {
    this.#listener.unref();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.shutdown();
  }

  async #listen(): Promise<void> {
    let pauseMs = 0;
    while (!this.#stopping) {
      if (this.#chats.size >= this.#maxConnections) {
        await new Promise<void>((resolve) => this.#wake = resolve);
        continue;
      }
      try {
        const conn = await this.#listener.accept();
        if (this.#stopping) conn.close();
        else this.#begin(conn);
        pauseMs = 0;
      } catch (error) {
        if (this.#stopping) break;
        this.#report(error);
        const { name, code } = error as { name?: string; code?: string };
        if (OF_ONE_PEER.test(name ?? "") || OF_ONE_PEER.test(code ?? "")) continue;
        // Too many open files and the like: accept() would fail again at once, and again.
        pauseMs = Math.min(2 * pauseMs || FIRST_PAUSE_MS, LONGEST_PAUSE_MS);
        await this.#pause(pauseMs);
      }
    }
    this.#listening = false;
    this.#finishIfDone();
  }

  #begin(conn: Conn): void {
    const address = addressOf(conn);
    const open = address === "" ? 0 : this.#perAddress.get(address) ?? 0;
    if (open >= this.#maxConnectionsPerAddress) return void this.#refuse(conn);
    let chat: Servable;
    let over: Promise<void>;
    try {
      chat = this.#accept(conn);
      over = chat.run();
    } catch (error) {
      this.#report(error);
      return closeQuietly(conn);
    }
    this.#ended.accepted++;
    this.#chats.set(chat, address);
    if (address !== "") this.#perAddress.set(address, open + 1);
    over.catch((error) => this.#report(error)).then(() => {
      this.#forget(chat);
      this.#wake?.();
      this.#finishIfDone();
    });
  }

  /** A chat is over: what it counted is kept. */
  #forget(chat: Servable): void {
    const address = this.#chats.get(chat);
    if (address === undefined) return; // it was over so late that nobody waited for it
    this.#chats.delete(chat);
    const open = this.#perAddress.get(address) ?? 0;
    if (open > 1) this.#perAddress.set(address, open - 1);
    else this.#perAddress.delete(address);
    addCounts(this.#ended, chat);
    const reason = chat.closeReason?.name ?? "done";
    this.#ended.closes[reason] = (this.#ended.closes[reason] ?? 0) + 1;
  }

  /** Says the last words and closes as a chat does, so that they arrive. */
  async #refuse(conn: Conn): Promise<void> {
    this.#ended.refused++;
    if (this.#refusal.length === 0 || this.#refused.size >= MOST_REFUSALS) return closeQuietly(conn);
    this.#refused.add(conn);
    const callOff = this.#clock.after(REFUSAL_MS, () => closeQuietly(conn));
    try {
      await conn.write(this.#refusal);
      await conn.closeWrite?.();
      const dropped = new Uint8Array(4096);
      while (await conn.read(dropped) !== null);
    } catch {
      // It is gone, or its time is up: it was refused anyway.
    }
    callOff();
    if (this.#refused.delete(conn)) closeQuietly(conn);
  }

  #report(error: unknown): void {
    this.#ended.acceptErrors++;
    if (errorChannel.hasSubscribers) errorChannel.publish({ server: this, error });
    try {
      this.#onError(error);
    } catch (second) {
      console.error("Uncaught in onError:", second);
    }
  }

  async #pause(ms: number): Promise<void> {
    let callOff = () => {};
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
      callOff = this.#clock.after(ms, resolve);
    });
    callOff();
  }

  #stop(): void {
    this.#stopping = true;
    this.#listener.close();
    for (const conn of this.#refused) closeQuietly(conn);
    this.#refused.clear();
    this.#wake?.();
  }

  readonly #abort = () => {
    if (!this.#stopping) this.#stop();
    this.#closeAll();
  };

  #closeAll(): void {
    this.#callOffDeadline?.();
    for (const chat of this.#chats.keys()) chat.close();
    if (this.#chats.size === 0) return;
    this.#callOffDeadline = this.#clock.after(0, () => {
      this.#chats.clear(); // each was over in that turn, but for one with a hook that waits: nobody waits for that
      this.#finishIfDone();
    });
  }

  #finishIfDone(): void {
    if (this.#listening || this.#chats.size > 0) return;
    this.#callOffDeadline?.();
    this.#signal?.removeEventListener("abort", this.#abort);
    this.#finished.resolve();
  }
}

/** Adds what a chat has counted. */
function addCounts(stats: ServerStats, chat: Servable): void {
  stats.bytesReceived += chat.bytesReceived ?? 0;
  stats.bytesSent += chat.bytesSent ?? 0;
  stats.framesReceived += chat.framesReceived ?? 0;
}

/** The peer's address without its port; "" where it has none that could be counted. */
function addressOf(conn: ChatConn): string {
  const { hostname } = (conn.remoteAddr ?? {}) as { hostname?: unknown };
  return typeof hostname === "string" ? hostname : "";
}

/** Closes a connection that somebody may have closed already. */
function closeQuietly(conn: ChatConn): void {
  try {
    conn.close();
  } catch {
    // so it was
  }
}

function checkOptions(options: ServeOptions): void {
  const { maxConnections = Infinity, maxConnectionsPerAddress = Infinity, drainTimeoutMs = 0 } = options;
  checkAtLeast(1, { maxConnections, maxConnectionsPerAddress });
  checkAtLeast(0, { drainTimeoutMs });
}

function checkAtLeast(least: number, values: Record<string, number>): void {
  for (const name in values) {
    const value = values[name]!;
    if (typeof value === "number" && value >= least) continue;
    throw new RangeError(`Cannot serve: ${name} is ${value}, ${least} or more is wanted`);
  }
}
