import { asError, ChatClosedError, ChatTimeoutError, describe, OutgoingOverflowError } from "../core/errors.ts";
import { FrameInput } from "../core/frame_input.ts";
import type { Terminator } from "../core/frame_splitter.ts";
import { type Action, Lifecycle } from "../core/lifecycle.ts";
import { type ProducerLike, toSource, toUnusedSource } from "../core/producer.ts";
import type { ActivitySample, TimeoutKind } from "../core/time_limits.ts";
import type { Clock } from "./clock.ts";
import { closeChannel, connectChannel, errorChannel } from "./diagnostics.ts";
import { Dispatcher, type Gate } from "./dispatcher.ts";
import type { Hooks } from "./hooks.ts";
import {
  type ChatConn,
  checkByteCount,
  type ResolvedChatOptions,
  type TerminatorOptions,
  type TlsUpgrade,
} from "./options.ts";
import { noTerminator, ReadLoop } from "./read_loop.ts";
import { type Timed, Timeouts } from "./timeouts.ts";
import { startTls } from "./tls_upgrade.ts";
import { type ChatState, type Detached, PUBLIC_STATE } from "./types.ts";
import { watch } from "./watch.ts";
import { Writer, type WriterEvents } from "./writer.ts";

/** How long a closing chat waits for the peer to end its side: the lingering close of gunicorn and Apache. */
const LINGER_MS = 2_000;

/**
 * The engine of one chat. It owns the parts (read loop, dispatcher, writer) and does what the {@linkcode Lifecycle} asks, in
 * `apply` alone. One class for all chats, so that its fields stay fast whatever subclasses of AsyncChat there are.
 */
export class Connection implements Gate, Timed, WriterEvents {
  readonly lifecycle = new Lifecycle();
  readonly input: FrameInput;
  readonly options: ResolvedChatOptions;
  readonly #hooks: Hooks; // the chat
  readonly #defaults: Hooks; // of AsyncChat itself
  readonly dispatcher: Dispatcher;
  readonly #readLoop: ReadLoop;
  conn: ChatConn;
  writer: Writer;
  #plainWriter: Writer | null = null; // wrote before TLS
  #bytesSentBefore = 0; // by writers before #plainWriter
  upgrade: Promise<void> | undefined; // to TLS; pending meanwhile
  #finished: Promise<void> | null = null;
  #finish: (() => void) | null = null;
  #abort: AbortController | null = null; // made on demand
  #watchesPeer = false; // a hook has used the signal
  #awaitsCapacity = false;
  #timeouts: Timeouts | null = null;
  #cancelLinger: (() => void) | null = null;

  constructor(chat: Hooks, defaults: Hooks, conn: ChatConn, options: ResolvedChatOptions) {
    this.#hooks = chat;
    this.#defaults = defaults;
    this.conn = conn;
    this.options = options;
    this.input = new FrameInput(options.maxFrameBytes, options.maxReadBytes, options.unread);
    this.dispatcher = new Dispatcher(chat, defaults, this, this.input);
    this.#readLoop = new ReadLoop(this, this.input, this.dispatcher);
    this.writer = this.#newWriter();
  }

  /** Starts the chat, the first time; returns the promise of its end. */
  run(): Promise<void> {
    if (this.#finished !== null) return this.#finished;
    const wasClosed = this.lifecycle.closed;
    if (!this.input.ready && this.state === "new" && this.#hooks.handleConnect === this.#defaults.handleConnect) {
      throw noTerminator();
    }
    this.lifecycle.run();
    this.#finished = new Promise((resolve) => this.#finish = resolve);
    if (connectChannel.hasSubscribers) connectChannel.publish({ chat: this.#hooks });
    if (wasClosed) void this.#callCloseHook();
    else this.#start();
    return this.#finished;
  }

  #start(): void {
    if (this.options.noDelay && this.dispatching) this.#disableNagle();
    this.writer.start();
    if (!this.lifecycle.closed) this.#timeouts = Timeouts.watch(this.options, this.clock, this);
    void this.#readLoop.run();
  }

  // ------------------------------------------------- the dispatcher's gate

  get dispatching(): boolean {
    return this.lifecycle.dispatching;
  }

  get outputFull(): boolean {
    return this.writer.exceeds(this.options.highWaterMark);
  }

  async waitForCapacity(): Promise<void> {
    this.#awaitsCapacity = true;
    await this.writer.waitForCapacity(this.options.highWaterMark);
    await this.upgrade; // begun from outside, since no read was pending
    this.#awaitsCapacity = false;
  }

  hookStarted(): void {
    this.lifecycle.hookStarted();
    this.watchPeer();
  }

  hookSettled(): void {
    this.apply(this.lifecycle.hookSettled());
  }

  hookFailed(error: unknown, handleError = this.#hooks.handleError): void {
    // A hook that was pending when the chat ended, and finds it ended, is not at fault.
    if (this.#abort?.signal.aborted && error === this.#abort.signal.reason) return;
    if (this.lifecycle.closedDuringHook && error instanceof ChatClosedError) return;
    if (errorChannel.hasSubscribers) errorChannel.publish({ chat: this.#hooks, error });
    const failed = (second: unknown) => void this.#defaults.handleError.call(this.#hooks, second);
    try {
      watch(handleError.call(this.#hooks, error), failed);
    } catch (second) {
      failed(second);
    }
  }

  drain(cause?: Error): void {
    this.apply(this.lifecycle.drain(cause));
  }

  // ----------------------------------------------------- what the owner asks

  setTerminator(terminator: Terminator, options?: TerminatorOptions): void {
    if (options === undefined) {
      this.input.setTerminator(terminator);
      return this.#dispatchHeldBack();
    }
    const { maxFrameBytes = this.options.maxFrameBytes, onTooLong = "close" } = options;
    checkByteCount("set the terminator", "maxFrameBytes", maxFrameBytes);
    if (onTooLong !== "close" && onTooLong !== "discard") {
      throw new TypeError(`Cannot set the terminator: onTooLong is "${onTooLong}", expected "close" or "discard"`);
    }
    this.input.setTerminator(terminator, maxFrameBytes, onTooLong);
    this.#dispatchHeldBack();
  }

  /** When a read is pending, the terminator was set from outside of the read loop: it applies to bytes that are held back. */
  #dispatchHeldBack(): void {
    if (this.#readLoop.pending && this.dispatching) queueMicrotask(() => void this.dispatcher.dispatch());
  }

  push(data: Uint8Array | string): boolean {
    if (typeof data !== "string" && !(data instanceof Uint8Array)) {
      throw new TypeError(`Cannot push: expected string or Uint8Array, got ${describe(data)}`);
    }
    if (!this.writer.accepting) return false;
    this.writer.push(data);
    if (this.outputFull) this.dispatcher.interrupt();
    return this.#checkHeld();
  }

  pushWithProducer(producer: ProducerLike): boolean {
    if (!this.writer.accepting) {
      void this.writer.cancel(toUnusedSource(producer), this.lifecycle.reason);
      return false;
    }
    this.writer.pushSource(toSource(producer));
    this.dispatcher.interrupt();
    return this.#checkHeld();
  }

  /** Closes the chat when more is held than `maxBufferedBytes`. */
  #checkHeld(): boolean {
    const { heldBytes } = this.writer;
    const { maxBufferedBytes } = this.options;
    if (heldBytes > maxBufferedBytes) this.close(new OutgoingOverflowError(maxBufferedBytes, heldBytes));
    return !this.lifecycle.closed;
  }

  endOutput(): void {
    if (typeof this.conn.closeWrite !== "function") {
      throw new TypeError("Cannot close for writing: the connection has no closeWrite()");
    }
    this.apply(this.lifecycle.endOutput());
  }

  close(reason?: Error): void {
    this.apply(this.lifecycle.close(reason));
  }

  discardBuffers(): void {
    this.input.discard();
    this.writer.drop();
  }

  detach(): Detached {
    if (this.lifecycle.closed) throw new ChatClosedError("detach");
    this.#checkBetweenReads("detach");
    const unsent = this.writer.takeUnsent();
    const { conn, bytes } = this.#readLoop.release();
    const unread = this.input.unread(bytes);
    this.apply(this.lifecycle.detach());
    return { conn, unread, unsent };
  }

  startTls(upgrade: TlsUpgrade): Promise<void> {
    if (this.lifecycle.phase !== "open" || this.lifecycle.inputEnded || !this.writer.accepting) {
      throw new ChatClosedError("start TLS");
    }
    this.#checkBetweenReads("start TLS");
    this.dispatcher.interrupt();
    const upgraded = this.#upgrade(upgrade);
    this.upgrade = upgraded.catch(() => {}).then(() => this.upgrade = undefined);
    return upgraded;
  }

  get signal(): AbortSignal {
    if (this.#abort === null) {
      this.#abort = new AbortController();
      if (this.lifecycle.lost || this.lifecycle.closed) this.#abort.abort(this.lifecycle.reason);
    }
    return this.#abort.signal;
  }

  /** The signal for a hook: while it is pending, a reset is noticed. */
  get hookSignal(): AbortSignal {
    this.#watchesPeer = true;
    this.watchPeer();
    return this.signal;
  }

  /** Reads ahead if a hook is pending that has asked for it. To be called whenever no read is pending any more. */
  watchPeer(): void {
    const isPending = this.lifecycle.hookPending && this.upgrade === undefined;
    if (this.#watchesPeer && isPending) this.#readLoop.readAhead();
  }

  get clock(): Clock {
    return this.options.clock;
  }

  get state(): ChatState {
    return PUBLIC_STATE[this.lifecycle.phase];
  }

  get busy(): boolean {
    return this.lifecycle.hookPending || this.writer.pending;
  }

  get bytesReceived(): number {
    return this.#readLoop.bytesReceived;
  }

  get bytesSent(): number {
    return this.#bytesSentBefore + (this.#plainWriter?.bytesSent ?? 0) + this.writer.bytesSent;
  }

  // ------------------------------------------------------------------ the end

  /** Does what an event of the lifecycle asks; the only place that does. */
  apply(action: Action): void {
    this.dispatcher.interrupt();
    if (!this.dispatching) this.writer.release();
    switch (action) {
      case "none":
        return;
      case "seal output":
        return this.writer.seal();
      case "start lingering":
        this.#cancelLinger ??= this.clock.after(LINGER_MS, () => this.close());
        if (this.lifecycle.phase !== "broken") return;
        this.writer.stop(this.lifecycle.reason);
        this.#abort?.abort(this.lifecycle.reason); // a listener may close
        return;
      case "close":
        this.#release();
        return this.#closeConn();
      case "release":
        return this.#release();
    }
  }

  /** Frees everything but the connection. `handleClose` follows when no hook is pending. */
  #release(): void {
    const { reason } = this.lifecycle;
    this.#cancelLinger?.();
    this.#timeouts?.stop();
    this.#readLoop.stop();
    this.input.drop();
    this.writer.stop(reason);
    this.#abort?.abort(reason);
    this.#plainWriter?.stop(reason); // after the upgrade has noticed that it failed
    if (this.#finished !== null) void this.#callCloseHook();
  }

  #closeConn(): void {
    try {
      watch(this.conn.close(), (error) => this.lifecycle.closeFailed(asError(error)));
    } catch (error) {
      this.lifecycle.closeFailed(asError(error));
    }
  }

  async #callCloseHook(): Promise<void> {
    await null;
    while (this.dispatcher.running !== null) await this.dispatcher.running;
    const { reason } = this.lifecycle;
    if (closeChannel.hasSubscribers) closeChannel.publish({ chat: this.#hooks, reason });
    this.lifecycle.lastHookStarted();
    try {
      await this.#hooks.handleClose(reason);
    } catch (error) {
      this.hookFailed(error);
    }
    this.lifecycle.lastHookSettled();
    this.#finish!();
  }

  // ------------------------------------------------------------------- output

  #newWriter(): Writer {
    return new Writer(this.conn, this);
  }

  outputEnded(): void {
    this.apply(this.lifecycle.outputFinished());
  }

  outputFailed(error: Error): void {
    this.apply(this.lifecycle.outputFailed(error));
  }

  producerFailed(error: unknown): void {
    // A producer that fails when it is cancelled may do so after the last hook.
    this.hookFailed(error, this.lifecycle.lastHookCalled ? this.#defaults.handleError : this.#hooks.handleError);
    this.close(asError(error)); // also if handleError did not: the peer would not notice the gap
  }

  async #upgrade(upgrade: TlsUpgrade): Promise<void> {
    const { writer, signal, clock } = this;
    const { conn, bytes } = this.#readLoop.release();
    const unread = this.input.unread(bytes);
    this.input.restart();
    this.#bytesSentBefore += this.#plainWriter?.bytesSent ?? 0;
    this.#plainWriter = writer;
    this.writer = this.#newWriter(); // what is pushed from here on waits for TLS
    try {
      const secured = await startTls({ conn, unread, writer, signal, clock }, upgrade);
      if (signal.aborted) secured.close(); // in that very turn
      signal.throwIfAborted();
      this.conn = secured;
    } catch (error) {
      this.close(asError(error));
      throw signal.reason;
    }
    this.writer.start(this.conn);
  }

  #checkBetweenReads(action: string): void {
    if (!this.#readLoop.pending && this.upgrade === undefined) return;
    const where = "call it inside a hook that a read has called (not in handleTimeout)";
    throw new TypeError(`Cannot ${action}: a read or a handshake is pending, ${where}`);
  }

  #disableNagle(): void {
    try {
      watch(this.conn.setNoDelay?.(true), () => {});
    } catch {
      // The connection is gone already: the first read reports how.
    }
  }

  // --------------------------------------------------------------------- time

  sample(): ActivitySample {
    this.writer.trim();
    const hookPending = this.dispatcher.running !== null;
    const { dispatching, inputEnded, closing } = this.lifecycle;
    return {
      peerWaits: hookPending || this.#awaitsCapacity || inputEnded || !dispatching,
      bytesReceived: this.bytesReceived,
      frameNumber: this.input.frameNumber,
      frameBegun: this.input.frameBegun,
      bytesSent: this.bytesSent,
      outputPending: this.writer.pending,
      producing: this.writer.producing,
      hookPending,
      inputEnded,
      closing,
    };
  }

  timedOut(kind: TimeoutKind): void {
    const error = new ChatTimeoutError(kind, this.options[`${kind === "close" ? "write" : kind}TimeoutMs`]);
    if (this.dispatching && this.dispatcher.running === null) {
      void this.dispatcher.call((hooks) => hooks.handleTimeout(error));
    } else {
      this.close(error);
    }
  }
}
