/**
 * Many connections: takes them in, has a chat run on each, ends them all in good order.
 *
 * @module
 */

import type { ChatConn } from "../chat/options.ts";
import type { ChatServer, ConnServerOptions, Servable, ServerStats } from "./types.ts";
import { type Clock, systemClock } from "../chat/clock.ts";
import { HandshakeTimeoutError } from "../core/errors.ts";
import { errorChannel } from "../chat/diagnostics.ts";

/** What has to happen on a connection before its chat begins. Others are taken in meanwhile. */
export interface Handshake<Conn> {
  /** What is waited for, for the error. */
  readonly name: string;
  /** How long it may take, in milliseconds; then the connection is closed. */
  readonly timeoutMs: number;
  /** Whether the peer's address is known only afterwards. */
  readonly revealsAddress?: boolean;
  /** Does it; when it throws, the connection is closed. */
  run(conn: Conn): Promise<unknown>;
}

/** What a server needs of a listener: `Deno.Listener` fits. */
export interface ConnListener<Conn> {
  /** Where it listens. */
  readonly addr: Deno.Addr;
  /** Where it takes a moment to know whether it can: fulfils when it listens, rejects when it never will. */
  readonly ready?: Promise<unknown>;
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

/** The accept loop, over any listener. */
export class ConnServer<Conn extends ChatConn> implements ChatServer {
  readonly #listener: ConnListener<Conn>;
  readonly #accept: (conn: Conn) => Servable;
  readonly #handshake: Handshake<Conn> | undefined;
  readonly #chats = new Map<Servable, string>(); // with the peer's address; "" where there is none
  readonly #perAddress = new Map<string, number>();
  readonly #arriving = new Set<Conn>(); //          those whose handshake is not over
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
  readonly finished: Promise<void>;
  #finish!: () => void;
  #stopping = false;
  #listening = true; //                     the accept loop runs
  #wake: (() => void) | null = null; //      ends the loop's pause, or its wait for a connection to end
  #callOffDeadline: (() => void) | null = null;

  constructor(
    listener: ConnListener<Conn>,
    options: ConnServerOptions,
    accept: (conn: Conn) => Servable,
    handshake?: Handshake<Conn>,
  ) {
    this.finished = new Promise((resolve) => this.#finish = resolve);
    this.#listener = listener;
    this.#accept = accept;
    this.#handshake = handshake;
    this.#maxConnections = options.maxConnections ?? Infinity;
    this.#maxConnectionsPerAddress = options.maxConnectionsPerAddress ?? Infinity;
    const { refusal = "" } = options;
    this.#refusal = typeof refusal === "string" ? new TextEncoder().encode(refusal) : refusal;
    this.#drainTimeoutMs = options.drainTimeoutMs ?? 10_000;
    this.#onError = options.onError ?? ((error) => console.error("Cannot serve a connection:", error));
    this.#clock = options.clock ?? systemClock;
    this.#signal = options.signal;
    this.#signal?.addEventListener("abort", this.#abort);
    // Deno 2.9 opens a file when a stack is first asked for that comes from here, and panics when it may not: to print an
    // error while files are short would end the process. So a stack is asked for now, while there are some.
    void new Error().stack;
    void this.#listen();
    if (this.#signal?.aborted) this.#abort();
  }

  get addr(): Deno.Addr {
    return this.#listener.addr;
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
      if (this.#chats.size + this.#arriving.size >= this.#maxConnections) {
        await new Promise<void>((resolve) => this.#wake = resolve);
        continue;
      }
      try {
        const conn = await this.#listener.accept();
        if (this.#stopping) conn.close();
        else if (this.#handshake === undefined) this.#begin(conn);
        else void this.#shakeHands(conn, this.#handshake);
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

  /** Has the handshake of a connection done while others are taken in, then its chat begun. */
  async #shakeHands(conn: Conn, handshake: Handshake<Conn>): Promise<void> {
    const address = handshake.revealsAddress ? "" : addressOf(conn);
    if (!this.#enter(address)) { // it would not understand last words before its handshake
      this.#ended.refused++;
      return closeQuietly(conn);
    }
    this.#arriving.add(conn);
    let late: HandshakeTimeoutError | undefined;
    const callOff = this.#clock.after(handshake.timeoutMs, () => {
      late = new HandshakeTimeoutError(handshake.name, handshake.timeoutMs);
      closeQuietly(conn); // which ends whatever it waits for
    });
    let fault: unknown;
    try {
      await handshake.run(conn);
    } catch (error) {
      fault = error;
    }
    callOff();
    this.#arriving.delete(conn);
    this.#leave(address);
    fault = late ?? fault;
    if (fault === undefined && !this.#stopping) {
      this.#begin(conn);
    } else {
      closeQuietly(conn);
      if (!this.#stopping) this.#report(fault);
    }
    this.#wake?.();
    this.#finishIfDone();
  }

  #begin(conn: Conn): void {
    const address = addressOf(conn);
    if (!this.#enter(address)) return void this.#refuse(conn);
    let chat: Servable;
    let over: Promise<void>;
    try {
      chat = this.#accept(conn);
      over = chat.run();
    } catch (error) {
      this.#leave(address);
      this.#report(error);
      return closeQuietly(conn);
    }
    this.#ended.accepted++;
    this.#chats.set(chat, address);
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
    this.#leave(address);
    addCounts(this.#ended, chat);
    const reason = chat.closeReason?.name ?? "done";
    this.#ended.closes[reason] = (this.#ended.closes[reason] ?? 0) + 1;
  }

  /** Counts a connection to its address, unless that has as many as it may. */
  #enter(address: string): boolean {
    if (address === "") return true;
    const open = this.#perAddress.get(address) ?? 0;
    if (open >= this.#maxConnectionsPerAddress) return false;
    this.#perAddress.set(address, open + 1);
    return true;
  }

  #leave(address: string): void {
    const open = this.#perAddress.get(address) ?? 0;
    if (open > 1) this.#perAddress.set(address, open - 1);
    else this.#perAddress.delete(address);
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
    for (const conn of [...this.#arriving, ...this.#refused]) closeQuietly(conn);
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
    if (this.#listening || this.#chats.size > 0 || this.#arriving.size > 0) return;
    this.#callOffDeadline?.();
    this.#signal?.removeEventListener("abort", this.#abort);
    this.#finish();
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
