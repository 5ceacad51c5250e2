import { Connection } from "./chat/connection.ts";
import { errorLog, formatPeer } from "./chat/error_log.ts";
import type { Hooks } from "./chat/hooks.ts";
import { type ChatConn, type ChatOptions, checkConn, resolveChatOptions } from "./chat/options.ts";
import type { TerminatorOptions, TlsUpgrade } from "./chat/options.ts";
import type { ChatState, Detached } from "./chat/types.ts";
import { asError, type ChatTimeoutError, type FrameTooLongError } from "./core/errors.ts";
import type { Terminator } from "./core/frame_splitter.ts";
import type { ProducerLike } from "./core/producer.ts";

/**
 * Reads a connection as frames and calls a hook for each. Subclass it, set a terminator, and override `foundTerminator`.
 *
 * Hooks may be async. They are called one at a time: while a hook's promise is pending, no other is called and nothing is
 * read. A hook that throws ends its own chat and no other. `handleClose` is called last, exactly once, however the chat ends.
 *
 * @example A server's side of a line protocol
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { AsyncChat } from "@asynchat/asynchat";
 * import { scriptedConn } from "@asynchat/asynchat/testing";
 *
 * class Shout extends AsyncChat {
 *   protected override handleConnect() {
 *     this.setTerminator("\r\n");
 *   }
 *   protected override foundTerminator() {
 *     this.push(`${this.takeText().toUpperCase()}!\r\n`);
 *   }
 * }
 *
 * const { conn, written } = scriptedConn(["hello\r\n"]);
 * await new Shout(conn).run();
 * assertEquals(await written, "HELLO!\r\n");
 * ```
 */
export abstract class AsyncChat implements AsyncDisposable {
  readonly #connection: Connection;

  /**
   * Creates a chat that owns `conn`. Nothing is read or written before `run()`. {@linkcode ChatOptions} has the defaults.
   *
   * @throws {TypeError} when `conn` has no `read`, `write` or `close`
   * @throws {RangeError} when a limit is not a whole number of at least 1
   */
  constructor(conn: ChatConn, options: ChatOptions = {}) {
    checkConn(conn);
    const defaults = AsyncChat.prototype as unknown as Hooks; // hooks are protected here: the engine alone calls them
    this.#connection = new Connection(this as unknown as Hooks, defaults, conn, resolveChatOptions(options));
  }

  /**
   * Starts the chat. Later calls return the same promise.
   *
   * @returns A promise that fulfills after `handleClose`. It never rejects: errors reach `handleClose`.
   * @throws {TypeError} when no terminator is set and `handleConnect` is not overridden; when it sets none, see `handleError`
   */
  run(): Promise<void> {
    return this.#connection.run();
  }

  // --------------------------- hooks: each may be async, or return a promise

  /** Called first, once: a server greets here, a client sends its first request. Does nothing by default. */
  protected handleConnect(): void {}

  /**
   * Called with data of the current frame as it arrives, never with none. By default collects it for `takeData()` and
   * `takeText()`, up to the frame's limit.
   *
   * @param data A view of the receive buffer, valid until the hook returns or its promise settles. Copy it to keep it.
   */
  protected collectIncomingData(data: Uint8Array): void {
    this.#connection.dispatcher.collect(data);
  }

  /**
   * Called with data of the current frame as a range of the receive buffer. By default calls `collectIncomingData` with a
   * view of it. For hot paths: overriding this hook avoids allocating a view per chunk.
   *
   * @param buffer The receive buffer, valid until the hook returns or its promise settles. Not to be written to.
   * @param start Where the data begins; it ends before `end`, which is greater.
   */
  protected collectIncomingRange(buffer: Uint8Array, start: number, end: number): void {
    if (this.collectIncomingData !== AsyncChat.prototype.collectIncomingData) {
      return this.collectIncomingData(buffer.subarray(start, end)); // maybe a promise
    }
    this.#connection.dispatcher.collectRange(buffer, start, end);
  }

  /**
   * Called when the frame has ended: its terminator has come, and is not part of the data. A terminator set here applies to
   * the very next byte. After a count the chat is raw unless a terminator is set here.
   */
  protected abstract foundTerminator(): void;

  /**
   * Called once for a frame with more data than its limit, which was collected up to the limit and is discarded after this
   * hook. By default closes the chat with `error`, or does nothing with `onTooLong: "discard"`. With "close", the chat sends
   * what this hook pushed and ends.
   */
  protected frameTooLong(error: FrameTooLongError): void {
    if (!this.#connection.input.discarding) this.#connection.close(error);
  }

  /**
   * Called when a time limit has passed; `error.kind` names it. By default closes the chat with `error`; an override that
   * does not restarts that limit. When a hook is pending or the chat is closing, the limit ends the chat without this hook.
   */
  protected handleTimeout(error: ChatTimeoutError): void {
    this.#connection.close(error);
  }

  /**
   * Called when the peer will send no more, after all complete frames and the rest of an incomplete one. The chat may still
   * push. By default calls `closeWhenDone()`.
   */
  protected handleEof(): void {
    this.closeWhenDone();
  }

  /**
   * Called when a hook threw or its promise was rejected. By default prints a line (ten a second at most, for all
   * chats) and closes the chat with the error; when an override does not close it, the chat goes on.
   */
  protected handleError(error: unknown): void {
    errorLog.report(`Uncaught in a hook of ${this.constructor.name}${formatPeer(this.conn.remoteAddr)}`, error);
    this.#connection.close(asError(error));
  }

  /**
   * Called last, exactly once, after the connection was closed or detached. Does nothing by default.
   *
   * @param reason What ended the chat, `undefined` after a normal end: what was passed to `close()`, an error of this
   * library (`FrameTooLongError`, `ChatTimeoutError`, ...), what a hook or a producer threw, or the network's error.
   */
  protected handleClose(_reason?: Error): void {}

  // -------------------------------------------------------------- framing

  /**
   * Sets how frames end, from the next byte on; bytes already received are included. While a frame is being discarded, it
   * applies from the end of that frame.
   *
   * A byte string, or text as UTF-8: the frame ends before it. A list: the leftmost match wins, at one place the longest. A
   * count: the frame ends after that many bytes, once; then the chat is raw; 0 ends it at once. `null`: raw, no frame ends.
   *
   * @param terminator The end of the frame. Bytes are copied.
   * @throws {TypeError} when it is none of these, empty, or a list that is empty or has an empty member
   * @throws {RangeError} when a count is negative or fractional; one above the limit is a frame that is too long
   */
  setTerminator(terminator: Terminator, options?: TerminatorOptions): void {
    this.#connection.setTerminator(terminator, options);
  }

  /** Returns a copy of the current terminator: the missing bytes of a count, `null` for raw and for none. */
  getTerminator(): Uint8Array | number | null | readonly Uint8Array[] {
    return this.#connection.input.getTerminator();
  }

  /** The byte string that ended the last frame, which shows which of several it was; `null` after a count. */
  get matchedTerminator(): Uint8Array | null {
    return this.#connection.input.matchedTerminator;
  }

  /** Returns and clears what the default `collectIncomingData` collected. The caller owns the bytes. */
  takeData(): Uint8Array {
    return this.#connection.input.takeData();
  }

  /** As `takeData()`, decoded as UTF-8; invalid bytes become U+FFFD. */
  takeText(): string {
    return this.#connection.input.takeText();
  }

  // -------------------------------------------------------------- sending

  /**
   * Queues bytes, or text as UTF-8. What is pushed in one turn is sent in one write. When more than `maxBufferedBytes` are
   * queued, the chat ends with an `OutgoingOverflowError`, which is not thrown here.
   *
   * @param data Bytes are borrowed: leave them unchanged until `flushed()`. Small ones are copied at once.
   * @returns Whether it is queued: `false` when the chat is closing or closed, or the peer is gone.
   * @throws {TypeError} when it is neither text nor a Uint8Array
   */
  push(data: Uint8Array | string): boolean {
    return this.#connection.push(data);
  }

  /**
   * Queues a producer, which is pulled when there is capacity. Bytes are pushed as they are. When the chat ends first, it is
   * cancelled: `return()` of an iterator, `cancel()` of a stream. When it throws, the chat ends with its error.
   *
   * @param producer An object with `more()` that returns bytes or a promise of them, as in asynchat; an iterable, an async
   * iterable, or a stream. Each piece is borrowed until the next is pulled.
   * @returns Whether it is queued. If not, as for `push()`, it is cancelled at once.
   * @throws {TypeError} when it is none of these, or a stream that is locked
   */
  pushWithProducer(producer: ProducerLike | Uint8Array): boolean {
    if (producer instanceof Uint8Array) return this.push(producer);
    return this.#connection.pushWithProducer(producer);
  }

  /** Waits until everything pushed so far is written, or dropped because the chat ended. Never rejects. */
  flushed(): Promise<void> {
    return this.#connection.writer.flushed();
  }

  /** Bytes pushed and not yet written. What producers have not made does not count. */
  get bufferedAmount(): number {
    return this.#connection.writer.bufferedAmount;
  }

  // --------------------------------------------------------------- ending

  /**
   * Ends our side after what is queued; input goes on. For a client that has sent its last request.
   *
   * @throws {TypeError} when the connection has no `closeWrite()`
   */
  closeWrite(): void {
    this.#connection.endOutput();
  }

  /**
   * Starts a graceful close: stops dispatching, flushes the queue, ends our side, drops input until the peer has ended its
   * side or two seconds have passed, and closes. A pending hook may push until it settles; only `handleClose` follows.
   */
  closeWhenDone(): void {
    this.#connection.drain();
  }

  /**
   * Closes the connection now, with an error as the reason if there was one; what is queued is dropped. Only
   * `handleClose(reason)` follows, after the pending hook.
   */
  close(reason?: Error): void {
    this.#connection.close(reason);
  }

  /** Discards input that was not dispatched, what was collected, and output that was not written. The chat goes on. */
  discardBuffers(): void {
    this.#connection.discardBuffers();
  }

  /**
   * Ends the chat and leaves the connection open, for other code to use. Call it in a hook, where no read is pending.
   *
   * @returns The connection, the bytes read from it and not dispatched, and the bytes that were to be written to it.
   * @throws {ChatClosedError} when the chat has ended
   * @throws {TypeError} when a read or write is pending, or a producer is queued
   */
  detach(): Detached {
    return this.#connection.detach();
  }

  /**
   * Upgrades the connection to TLS: flushes the queue, shakes hands, and goes on over TLS, for which later pushes wait. Await
   * it in a hook: `await this.startTls(serverTls({ cert, key }))`. When the handshake fails or takes too long, the chat ends.
   *
   * Plaintext that was received and not dispatched never reaches a hook, as it may be forged (CVE-2011-0411): on a client the
   * chat ends with an `UnreadPlaintextError`, on a server the handshake fails. The frame that has begun and what was
   * collected are discarded; the terminator stays.
   *
   * @param upgrade The side of the handshake and its parameters: `clientTls` or `serverTls` of `./tls`, or your own.
   * @returns A promise that fulfills when the connection is secure, and rejects with the reason when the chat has ended.
   * @throws {ChatClosedError} when the chat is closing or has ended
   * @throws {TypeError} when a read or another upgrade is pending
   */
  protected startTls(upgrade: TlsUpgrade): Promise<void> {
    return this.#connection.startTls(upgrade);
  }

  /** Aborted, with the error if there is one, when the connection is lost or the chat has ended: for a hook that waits. */
  get signal(): AbortSignal {
    return this.#connection.hookSignal;
  }

  /** The connection of the chat; after `startTls()` the one that replaced it. */
  get conn(): ChatConn {
    return this.#connection.conn;
  }

  /** Where the chat is in its life. */
  get state(): ChatState {
    return this.#connection.state;
  }

  /** What ended the chat or is about to, as `handleClose` gets it; `undefined` while it goes on, and after a normal end. */
  get closeReason(): Error | undefined {
    return this.#connection.lifecycle.reason;
  }

  /** Whether a hook is pending or output is queued. A server that is full closes no busy chat. */
  get busy(): boolean {
    return this.#connection.busy;
  }

  /** Bytes read so far. */
  get bytesReceived(): number {
    return this.#connection.bytesReceived;
  }

  /** Bytes written so far. */
  get bytesSent(): number {
    return this.#connection.bytesSent;
  }

  /** Frames dispatched so far. */
  get framesReceived(): number {
    return this.#connection.dispatcher.framesReceived;
  }

  /** Calls `closeWhenDone()`, and waits until the chat has ended. */
  [Symbol.asyncDispose](): Promise<void> {
    this.closeWhenDone();
    return this.run();
  }
}
