/**
 * Accepts connections, runs a chat on each, and shuts down gracefully.
 *
 * A connection comes in: `AcceptLoop` -> `#accepted` (acquires a slot) -> `#shakeHands` -> `#startChat` -> `#chatEnded`
 * (releases the slot). A server shuts down: `shutdown` -> `#stop` -> `#run` (waits for what runs) -> `#finish`; at the
 * deadline `#closeChats` and `#abandonChats`.
 *
 * @module
 */

import { type Clock, systemClock } from "../chat/clock.ts";
import { errorChannel } from "../chat/diagnostics.ts";
import { errorLog, formatPeer } from "../chat/error_log.ts";
import type { ChatConn } from "../chat/options.ts";
import { watch } from "../chat/watch.ts";
import { ServerFullError, ShutdownError } from "../core/errors.ts";
import { AcceptLoop, type ConnListener } from "./accept_loop.ts";
import { addressOf, Admission, NO_ADDRESS } from "./admission.ts";
import { Counters } from "./counters.ts";
import { type Handshake, Handshakes } from "./handshake.ts";
import { IdleOrder } from "./idle_order.ts";
import { closeQuietly, Rejections } from "./rejection.ts";
import { ServerLifecycle } from "./server_state.ts";
import type { ChatServer, ConnServerOptions, Servable, ServeErrorInfo, ServerStats, ShutdownResult } from "./types.ts";

/** How soon a full server checks again whether a chat is idle; no event reports that. */
const FULL_RECHECK_MS = 1_000;

/** Chats that a server has run: none may run twice. */
const servedChats = new WeakSet<Servable>();

/** A server on any listener. */
export class ConnServer<Conn extends ChatConn> implements ChatServer {
  readonly #listener: ConnListener<Conn>;
  readonly #accept: (conn: Conn) => Servable;
  readonly #drainTimeoutMs: number;
  readonly #onError: NonNullable<ConnServerOptions["onError"]>;
  readonly #clock: Clock;
  readonly #signal: AbortSignal | undefined;

  readonly #lifecycle = new ServerLifecycle();
  readonly #acceptLoop: AcceptLoop<Conn>;
  readonly #admission: Admission;
  readonly #rejections: Rejections;
  readonly #counters = new Counters();
  readonly #handshakes: Handshakes<Conn> | null;
  readonly #chats = new Map<Servable, string>(); // with the peer's address
  readonly #idleOrder: IdleOrder | null; // null: a full server waits
  readonly #maxConnections: number;
  #cut = 0; // chats closed at the deadline
  #onEnded: () => void = () => {}; // a chat or handshake ended
  #cancelDeadline: () => void = () => {};
  #resolveFinished!: () => void;
  readonly finished: Promise<void>;

  /**
   * Starts to accept.
   *
   * @param accept Makes the chat of a connection.
   * @param handshake What precedes the chat.
   */
  constructor(
    listener: ConnListener<Conn>,
    options: ConnServerOptions,
    accept: (conn: Conn) => Servable,
    handshake?: Handshake<Conn>,
  ) {
    this.#listener = listener;
    this.#accept = accept;
    this.#drainTimeoutMs = options.drainTimeoutMs ?? 10_000;
    this.#onError = options.onError ?? printError;
    this.#clock = options.clock ?? systemClock;
    this.#signal = options.signal;
    this.#maxConnections = options.maxConnections ?? Infinity;
    this.#idleOrder = options.whenFull === "closeOldestIdle" ? new IdleOrder() : null;
    this.#admission = new Admission(this.#maxConnections, options.maxConnectionsPerAddress ?? Infinity);
    this.#handshakes = handshake === undefined ? null : new Handshakes(handshake, this.#clock);
    this.#rejections = new Rejections(options.refusal ?? "", this.#maxConnections, this.#clock);
    this.#acceptLoop = new AcceptLoop(listener, this.#lifecycle, this.#clock, {
      hasCapacity: () => this.#hasCapacity(),
      ...(this.#idleOrder === null ? {} : { recheckMs: FULL_RECHECK_MS }),
      onConnection: (conn) => this.#accepted(conn),
      onError: (error) => this.report(error, "accept"),
      onCloseError: (error) => this.report(error, "listen"),
    });
    this.finished = new Promise((resolve) => this.#resolveFinished = resolve);
    this.#signal?.addEventListener("abort", this.#abort);
    void this.#run();
    if (this.#signal?.aborted) this.#abort();
  }

  get addr(): Deno.Addr {
    return this.#listener.addr;
  }

  get connections(): number {
    return this.#chats.size;
  }

  get stats(): ServerStats {
    return this.#counters.snapshot(this.#chats.keys(), this.#handshakes?.files ?? 0);
  }

  ref(): void {
    this.#listener.ref();
  }

  unref(): void {
    this.#listener.unref();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.shutdown();
  }

  // ------------------------------------------------- a connection comes in

  #hasCapacity(): boolean {
    if (!this.#admission.full) return true;
    if (this.#idleOrder === null || this.#admission.exceeded) return false;
    return (this.#handshakes?.closable ?? 0) > 0 || this.#idleOrder.oldest() !== undefined;
  }

  /** Closes the oldest handshake or the chat that is idle longest, whichever kind there is more of. */
  #makeRoom(idleOrder: IdleOrder): void {
    const error = new ServerFullError(this.#maxConnections);
    const handshakes = this.#handshakes?.closable ?? 0;
    const chat = handshakes > this.#chats.size ? undefined : idleOrder.oldest();
    if (chat === undefined) return this.#handshakes?.closeOldest(error);
    idleOrder.delete(chat);
    chat.close(error);
  }

  #accepted(conn: Conn): void {
    if (this.#idleOrder !== null && this.#admission.full) this.#makeRoom(this.#idleOrder);
    const handshakes = this.#handshakes;
    const address = handshakes?.revealsAddress ? NO_ADDRESS : addressOf(conn);
    if (!this.#admission.acquireSlot(address)) this.#reject(conn, handshakes === null);
    else if (handshakes === null) this.#startChat(conn, address);
    else void this.#shakeHands(conn, address, handshakes);
  }

  /** Closes a connection above a limit. Before its handshake the peer would not understand a refusal. */
  #reject(conn: Conn, handshakeDone: boolean): void {
    this.#counters.count("refused");
    const ended = handshakeDone ? this.#rejections.reject(conn) : this.#handshakes?.reject(conn);
    if (ended === undefined) return;
    this.#admission.acquireSlot(NO_ADDRESS); // it holds a file
    void ended.then(() => this.#releaseSlot(NO_ADDRESS));
  }

  async #shakeHands(conn: Conn, address: string, handshakes: Handshakes<Conn>): Promise<void> {
    let done = false;
    let failure: unknown;
    try {
      await handshakes.run(conn);
      done = !this.#lifecycle.stopped; // else `#stop` has closed the connection
    } catch (error) {
      failure = error;
    }
    if (done) this.#handshakeDone(conn, address);
    else this.#handshakeFailed(conn, address, failure);
    this.#onEnded();
  }

  #handshakeDone(conn: Conn, address: string): void {
    const revealed = addressOf(conn);
    if (this.#admission.moveSlot(address, revealed)) return this.#startChat(conn, revealed);
    this.#acceptLoop.resume();
    this.#reject(conn, true);
  }

  #handshakeFailed(conn: Conn, address: string, failure: unknown): void {
    const { remoteAddr } = conn;
    const free = this.#handshakes?.whenFree(conn);
    if (free === undefined) {
      closeQuietly(conn);
      this.#releaseSlot(address);
    } else void free.then(() => this.#releaseSlot(address));
    if (!this.#lifecycle.stopped) this.report(failure, "handshake", remoteAddr);
  }

  #startChat(conn: Conn, address: string): void {
    let chat: Servable;
    let ended: Promise<void>;
    try {
      chat = this.#accept(conn);
      if (servedChats.has(chat)) {
        throw new TypeError("Cannot serve: accept returned the chat of another connection, expected a new one");
      }
      servedChats.add(chat);
      ended = chat.run();
    } catch (error) {
      const { remoteAddr } = conn;
      closeQuietly(conn);
      this.#releaseSlot(address);
      return this.report(error, "chat", remoteAddr);
    }
    this.#counters.count("accepted");
    this.#chats.set(chat, address);
    this.#idleOrder?.add(chat);
    ended.catch((error) => this.report(error, "chat", conn.remoteAddr)).then(() => this.#chatEnded(chat));
  }

  #chatEnded(chat: Servable): void {
    const address = this.#chats.get(chat);
    if (address === undefined) return; // it was abandoned
    this.#chats.delete(chat);
    this.#idleOrder?.delete(chat);
    this.#counters.chatEnded(chat);
    this.#releaseSlot(address);
    this.#onEnded();
  }

  #releaseSlot(address: string): void {
    this.#admission.releaseSlot(address);
    this.#acceptLoop.resume();
  }

  /** Counts an error and calls `onError`. Never throws. */
  report(error: unknown, phase: ServeErrorInfo["phase"], remoteAddr?: unknown): void {
    this.#counters.count("acceptErrors");
    if (errorChannel.hasSubscribers) errorChannel.publish({ server: this, error });
    const failed = (second: unknown) => errorLog.report("Uncaught in onError", second);
    try {
      watch(this.#onError(error, { remoteAddr, phase }), failed);
    } catch (second) {
      failed(second);
    }
  }

  // ---------------------------------------------------- a server shuts down

  async shutdown(): Promise<ShutdownResult> {
    if (this.#stop()) {
      for (const chat of this.#chats.keys()) {
        if (chat.serverStopping === undefined) chat.closeWhenDone();
        else chat.serverStopping();
      }
      if (this.#chats.size > 0) {
        const error = new ShutdownError(this.#drainTimeoutMs);
        this.#cancelDeadline = this.#clock.after(this.#drainTimeoutMs, () => this.#closeChats(error));
      }
    }
    await this.finished;
    return { cut: this.#cut };
  }

  readonly #abort = () => {
    this.#stop();
    this.#closeChats(new ShutdownError(0, { cause: this.#signal?.reason }));
  };

  /** Stops accepting, and closes what has no chat. Returns whether the server was not stopped before. */
  #stop(): boolean {
    if (!this.#lifecycle.transition("stop")) return false;
    this.#acceptLoop.stop();
    this.#handshakes?.close();
    this.#rejections.close();
    return true;
  }

  /** Closes the chats at once. Those without a pending hook end in this turn. */
  #closeChats(error: ShutdownError): void {
    this.#cancelDeadline();
    this.#cut += this.#chats.size;
    for (const chat of this.#chats.keys()) chat.close(error);
    this.#cancelDeadline = this.#clock.after(0, () => this.#abandonChats(error));
  }

  /** Waits no longer for hooks that are still pending. */
  #abandonChats(error: ShutdownError): void {
    for (const chat of this.#chats.keys()) this.#counters.chatEnded(chat, error);
    this.#chats.clear();
    this.#onEnded();
  }

  /** Accepts until the server is stopped, and waits for chats and handshakes to end. */
  async #run(): Promise<void> {
    await this.#acceptLoop.run();
    while (this.#chats.size + (this.#handshakes?.size ?? 0) > 0) {
      await new Promise<void>((resolve) => this.#onEnded = resolve);
    }
    this.#finish();
  }

  #finish(): void {
    this.#lifecycle.transition("all ended");
    this.#cancelDeadline();
    this.#signal?.removeEventListener("abort", this.#abort);
    this.#resolveFinished();
  }
}

function printError(error: unknown, { remoteAddr }: ServeErrorInfo): void {
  errorLog.report(`Cannot serve a connection${formatPeer(remoteAddr)}`, error);
}
