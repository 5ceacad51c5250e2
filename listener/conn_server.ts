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
import type { ChatConn } from "../chat/options.ts";
import { AcceptLoop, type ConnListener } from "./accept_loop.ts";
import { addressOf, Admission, NO_ADDRESS } from "./admission.ts";
import { Counters } from "./counters.ts";
import { type Handshake, Handshakes } from "./handshake.ts";
import { closeQuietly, Rejections } from "./rejection.ts";
import { ServerLifecycle } from "./server_state.ts";
import type { ChatServer, ConnServerOptions, Servable, ServerStats } from "./types.ts";

/** A server on any listener. */
export class ConnServer<Conn extends ChatConn> implements ChatServer {
  readonly #listener: ConnListener<Conn>;
  readonly #accept: (conn: Conn) => Servable;
  readonly #drainTimeoutMs: number;
  readonly #onError: (error: unknown) => void;
  readonly #clock: Clock;
  readonly #signal: AbortSignal | undefined;

  readonly #lifecycle = new ServerLifecycle();
  readonly #acceptLoop: AcceptLoop<Conn>;
  readonly #admission: Admission;
  readonly #rejections: Rejections;
  readonly #counters = new Counters();
  readonly #handshakes: Handshakes<Conn> | null;
  readonly #chats = new Map<Servable, string>(); // with the peer's address
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
    this.#onError = options.onError ?? ((error) => console.error("Cannot serve a connection:", error));
    this.#clock = options.clock ?? systemClock;
    this.#signal = options.signal;
    this.#admission = new Admission(options.maxConnections ?? Infinity, options.maxConnectionsPerAddress ?? Infinity);
    this.#handshakes = handshake === undefined ? null : new Handshakes(handshake, this.#clock);
    this.#rejections = new Rejections(options.refusal ?? "", this.#clock);
    this.#acceptLoop = new AcceptLoop(listener, this.#lifecycle, this.#clock, {
      hasCapacity: () => !this.#admission.full,
      onConnection: (conn) => this.#accepted(conn),
      onError: (error) => this.#report(error),
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
    return this.#counters.snapshot(this.#chats.keys());
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

  // ------------------------------------------------- a connection comes in

  #accepted(conn: Conn): void {
    const handshakes = this.#handshakes;
    const address = handshakes?.revealsAddress ? NO_ADDRESS : addressOf(conn);
    if (!this.#admission.acquireSlot(address)) this.#reject(conn, handshakes === null);
    else if (handshakes === null) this.#startChat(conn, address);
    else void this.#shakeHands(conn, address, handshakes);
  }

  /** Closes a connection above a limit. Before its handshake the peer would not understand a refusal. */
  #reject(conn: Conn, handshakeDone: boolean): void {
    this.#counters.count("refused");
    if (handshakeDone) this.#rejections.reject(conn);
    else closeQuietly(conn);
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
    closeQuietly(conn);
    this.#releaseSlot(address);
    if (!this.#lifecycle.stopped) this.#report(failure);
  }

  #startChat(conn: Conn, address: string): void {
    let chat: Servable;
    let ended: Promise<void>;
    try {
      chat = this.#accept(conn);
      ended = chat.run();
    } catch (error) {
      closeQuietly(conn);
      this.#releaseSlot(address);
      return this.#report(error);
    }
    this.#counters.count("accepted");
    this.#chats.set(chat, address);
    ended.catch((error) => this.#report(error)).then(() => this.#chatEnded(chat));
  }

  #chatEnded(chat: Servable): void {
    const address = this.#chats.get(chat);
    if (address === undefined) return; // it was abandoned
    this.#chats.delete(chat);
    this.#counters.chatEnded(chat);
    this.#releaseSlot(address);
    this.#onEnded();
  }

  #releaseSlot(address: string): void {
    this.#admission.releaseSlot(address);
    this.#acceptLoop.resume();
  }

  #report(error: unknown): void {
    this.#counters.count("acceptErrors");
    if (errorChannel.hasSubscribers) errorChannel.publish({ server: this, error });
    try {
      this.#onError(error);
    } catch (second) {
      console.error("Uncaught in onError:", second);
    }
  }

  // ---------------------------------------------------- a server shuts down

  shutdown(): Promise<void> {
    if (!this.#stop()) return this.finished;
    for (const chat of this.#chats.keys()) chat.closeWhenDone();
    if (this.#chats.size > 0) {
      this.#cancelDeadline = this.#clock.after(this.#drainTimeoutMs, () => this.#closeChats());
    }
    return this.finished;
  }

  readonly #abort = () => {
    this.#stop();
    this.#closeChats();
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
  #closeChats(): void {
    this.#cancelDeadline();
    for (const chat of this.#chats.keys()) chat.close();
    this.#cancelDeadline = this.#clock.after(0, () => this.#abandonChats());
  }

  /** Waits no longer for hooks that are still pending. */
  #abandonChats(): void {
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
