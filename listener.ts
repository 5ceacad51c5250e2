/**
 * Many connections: takes them in, has a chat run on each, ends them all in good order.
 *
 * @module
 */

import { type Clock, systemClock } from "./clock.ts";

/** What a server runs on each connection; an `AsyncChat` is one. */
export interface Servable {
  /** Starts; fulfils when it is over. */
  run(): Promise<void>;
  /** Ends in good order. */
  closeWhenDone(): void;
  /** Ends now. */
  close(reason?: Error): void;
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
 * @throws {RangeError} when `maxConnections` or `drainTimeoutMs` is no number, or negative
 *
 * @example
 * ```ts no-run
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
export class ConnServer<Conn extends { close(): void }> implements ChatServer {
  readonly #listener: ConnListener<Conn>;
  readonly #accept: (conn: Conn) => Servable;
  readonly #chats = new Set<Servable>();
  readonly #maxConnections: number;
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

  shutdown(): Promise<void> {
    if (!this.#stopping) {
      this.#stop();
      for (const chat of this.#chats) chat.closeWhenDone();
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
    let chat: Servable;
    let over: Promise<void>;
    try {
      chat = this.#accept(conn);
      over = chat.run();
    } catch (error) {
      this.#report(error);
      try {
        conn.close();
      } catch {
        // whoever threw has closed it
      }
      return;
    }
    this.#chats.add(chat);
    over.catch((error) => this.#report(error)).then(() => {
      this.#chats.delete(chat);
      this.#wake?.();
      this.#finishIfDone();
    });
  }

  #report(error: unknown): void {
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
    this.#wake?.();
  }

  readonly #abort = () => {
    if (!this.#stopping) this.#stop();
    this.#closeAll();
  };

  #closeAll(): void {
    this.#callOffDeadline?.();
    for (const chat of this.#chats) chat.close();
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

function checkOptions({ maxConnections = Infinity, drainTimeoutMs = 0 }: ServeOptions): void {
  for (
    const [name, value, least] of [["maxConnections", maxConnections, 1], [
      "drainTimeoutMs",
      drainTimeoutMs,
      0,
    ]] as const
  ) {
    if (typeof value === "number" && value >= least) continue;
    throw new RangeError(`Cannot serve: ${name} is ${value}, ${least} or more is wanted`);
  }
}
