/**
 * One connection: what comes is read, cut into frames and told to the hooks; what the hooks push is written.
 *
 * @module
 */

import {
  type ChatConn,
  type ChatOptions,
  checkByteCount,
  resolveChatOptions,
  type ResolvedChatOptions,
  type TerminatorOptions,
  type TlsUpgrade,
} from "./chat/options.ts";
import { ReceiveBuffer } from "./core/receive_buffer.ts";
import { shortestLimit, TimeLimits, type TimeoutKind } from "./core/time_limits.ts";
import {
  asError,
  ChatClosedError,
  ChatTimeoutError,
  describe,
  FrameTooLongError,
  OutgoingOverflowError,
} from "./core/errors.ts";
import { FrameCollector } from "./core/frame_collector.ts";
import { type ProducerLike, toSource } from "./core/producer.ts";
import { FrameSplitter, type SplitResult, type Terminator } from "./core/frame_splitter.ts";
import { closeChannel, connectChannel, errorChannel } from "./chat/diagnostics.ts";
import { startTls } from "./chat/tls_upgrade.ts";
import { CoarseTimer, type TimerMember } from "./chat/coarse_timer.ts";
import { Writer } from "./chat/writer.ts";

/** Where a chat is in its life: not yet run, running, sending its last words, over. */
export type ChatState = "new" | "open" | "closing" | "closed";

/** What `detach()` gives back: the connection, and what was on its way through the chat. */
export interface Detached {
  /** The connection, open as it was. */
  conn: ChatConn;
  /** Bytes that were read and belong to no frame told so far. */
  unread: Uint8Array;
  /** Bytes that were pushed and not written, in order. */
  unsent: Uint8Array[];
}

/** After its last byte a chat waits this long for the peer to end too: gunicorn's and Apache's lingering close. */
const LINGER_MS = 2_000;
/** Reads of nothing in a row that are too many to be chance: Go's `maxConsecutiveEmptyReads`. */
const MOST_EMPTY_READS = 100;

/**
 * A conversation over a stream of bytes. Derive from it, say with `setTerminator` how the next piece of the stream ends, and
 * override `foundTerminator`, which is called when it has ended. `run()` drives it.
 *
 * One hook runs at a time: while one waits (its promise is pending) the next is not called and nothing is read. A hook that
 * throws ends its own chat and no other. `handleClose` comes last, exactly once, however the chat ends.
 *
 * @example A server's side of a line protocol
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { AsyncChat } from "@asynchat/asynchat";
 * import { memoryPair } from "@asynchat/asynchat/testing";
 *
 * class Shout extends AsyncChat {
 *   protected override handleConnect() {
 *     this.setTerminator("\r\n");
 *   }
 *   protected override foundTerminator() {
 *     const line = this.takeText();
 *     if (line === "quit") return this.closeWhenDone();
 *     this.push(`${line.toUpperCase()}!\r\n`);
 *   }
 * }
 *
 * const [ours, theirs] = memoryPair();
 * const over = new Shout(ours).run();
 * await theirs.send("hello\r\nquit\r\n");
 * assertEquals(await theirs.receiveText(), "HELLO!\r\n");
 * theirs.close();
 * await over;
 * ```
 */
export abstract class AsyncChat implements AsyncDisposable {
  readonly #options: ResolvedChatOptions;
  readonly #buffer: ReceiveBuffer; //      in:  read -> buffer -> splitter -> hook
  readonly #splitter: FrameSplitter;
  readonly #collector = new FrameCollector();
  #writer: Writer; //                   out: push -> queue -> write
  #plainWriter: Writer | null = null; // what did so before startTls()
  #conn: ChatConn;

  #state: ChatState = "new";
  #reason: Error | undefined; //           why it ended: the first cause counts
  #closedByOwner = false; //               the owner said so: a push from then on is a mistake, and is told
  #inputOver = false; //                   the peer has sent its last byte, or reading failed
  #lost = false; //                        a write failed: nobody listens, but what had come is still told
  #reading = false; //                     a read is pending
  #held: Promise<void> | null = null; //   the hook that is waiting
  #sealDue = false; //                     closeWhenDone() came meanwhile: it may still push
  #closedUnderHook = false; //             so did the end
  #tooLong: FrameTooLongError | null = null; // found by the splitter or by the default collector, to be told next
  #abort: AbortController | null = null; // made when somebody asks for the signal
  #timeout: ChatTimeoutError | null = null; // to be told next
  #upgrading: Promise<void> | undefined; // on the way to TLS: nothing is read, told or written
  #paused = false; //                      nothing is read or told for want of room in the output
  #swept: TimerMember | null = null; //          where its time limits are watched
  #callOffLinger: (() => void) | null = null;
  #closeTold = false; //                   handleClose was called: no hook follows
  #over: Promise<void> | null = null; //   what run() gives: made by its first call
  #tellOver: () => void = () => {};
  #bytesReceived = 0;
  #bytesSentBefore = 0; //                 by the writers before #plainWriter
  #framesReceived = 0;

  /**
   * Makes a chat over a connection, which it owns from here on. Nothing is read or written before `run()`.
   *
   * @param conn The connection.
   * @param options Limits; see {@linkcode ChatOptions} for the defaults.
   * @throws {TypeError} when `conn` has no `read`, `write` and `close`
   * @throws {RangeError} when a limit is not a whole number from 1 on
   */
  constructor(conn: ChatConn, options: ChatOptions = {}) {
    for (const name of ["read", "write", "close"] as const) {
      if (typeof conn?.[name] === "function") continue;
      throw new TypeError(`Cannot make a chat: ${describe(conn)} has no ${name}(), a connection is wanted`);
    }
    this.#conn = conn;
    this.#options = resolveChatOptions(options);
    this.#buffer = new ReceiveBuffer(this.#options.maxReadBytes, this.#options.unread);
    this.#splitter = new FrameSplitter(this.#buffer, this.#options.maxFrameBytes);
    this.#writer = this.#newWriter();
  }

  /**
   * Starts the chat, the first time; every call gives the same promise.
   *
   * @returns A promise that fulfils when the chat is over, after `handleClose`. It never rejects: what went wrong reaches `handleClose`.
   * @throws {TypeError} when no terminator was set, and there is no `handleConnect` of your own that might. (One that
   * does not either has that error given to `handleError`.)
   */
  run(): Promise<void> {
    if (this.#over !== null) return this.#over;
    const wasClosed = this.#state === "closed";
    if (this.#state === "new") {
      if (!this.#splitter.ready && this.handleConnect === AsyncChat.prototype.handleConnect) throw noTerminator();
      this.#state = "open";
    }
    this.#over = new Promise((resolve) => this.#tellOver = resolve);
    if (connectChannel.hasSubscribers) connectChannel.publish({ chat: this });
    if (wasClosed) void this.#sayGoodbye();
    else this.#live();
    return this.#over;
  }

  // ---------------------------------------------------------------- hooks

  /** Called first, once: a server greets here, a client asks its first question. Does nothing by default. */
  protected handleConnect(): void | Promise<void> {}

  /**
   * Called with data of the current frame as it comes, in as many pieces as it comes in, never with none. Gathers it for
   * `takeData()` and `takeText()` by default, up to the frame's limit.
   *
   * @param data A view into the receive buffer, good until the hook returns or its promise settles. Copy what is kept longer.
   */
  protected collectIncomingData(data: Uint8Array): void | Promise<void> {
    if (this.#mayGather(data.length)) this.#collector.add(data);
  }

  /**
   * Called with data of the current frame as a range of the buffer that it lies in. Calls `collectIncomingData` with a view of
   * it by default. Making that view takes longer than finding a short frame: override this one instead where each
   * nanosecond counts.
   *
   * @param buffer The receive buffer, as it is until the hook returns or its promise settles. Not to be written to.
   * @param start Where in it the data begins.
   * @param end Where it ends; greater than `start`.
   */
  protected collectIncomingRange(buffer: Uint8Array, start: number, end: number): void | Promise<void> {
    if (this.collectIncomingData !== AsyncChat.prototype.collectIncomingData) {
      return this.collectIncomingData(buffer.subarray(start, end));
    }
    if (this.#mayGather(end - start)) this.#collector.borrow(buffer, start, end);
  }

  /**
   * Called when the frame has ended: its terminator has come, and is not part of the data. A terminator set here applies
   * to the very next byte. After a count the chat is raw unless one is set.
   */
  protected abstract foundTerminator(): void | Promise<void>;

  /**
   * Called once for a frame with more data than its limit, which `collectIncomingData` got up to the limit; what was
   * gathered is dropped after this hook. By default it ends the chat with `error`, unless the terminator was set with
   * `onTooLong: "discard"`: then it does nothing. Where the policy is "close", the chat says what this hook pushed and ends.
   *
   * @param error How long, and how long it might have been.
   */
  protected frameTooLong(error: FrameTooLongError): void | Promise<void> {
    if (!this.#splitter.discarding) this.#shut(error);
  }

  /**
   * Called when the peer has taken too long, `error.kind` tells for what. Ends the chat with `error` by default; if yours
   * does not, that clock begins anew. A limit that passes while a hook waits (for `flushed()`, say) or while the chat is
   * closing ends it without this hook.
   *
   * @param error What was waited for, and for how long.
   */
  protected handleTimeout(error: ChatTimeoutError): void | Promise<void> {
    this.#shut(error);
  }

  /**
   * Called when the peer will send no more, after all complete frames and what was left of the last one. It may still be
   * sent to. Calls `closeWhenDone()` by default.
   */
  protected handleEof(): void | Promise<void> {
    this.closeWhenDone();
  }

  /**
   * Called when a hook threw or its promise was rejected. Prints the error and ends the chat with it by default; if yours
   * does not, the chat goes on.
   *
   * @param error What was thrown.
   */
  protected handleError(error: unknown): void {
    console.error(`Uncaught in a hook of ${this.constructor.name}:`, error);
    this.#shut(asError(error));
  }

  /**
   * Called last, once, whatever happened; the connection is closed (or detached) and no hook runs any more. Does nothing by default.
   *
   * @param reason Why the chat ended, if not because both sides wanted it: what was given to `close()`, a
   * {@linkcode FrameTooLongError}, a {@linkcode ChatTimeoutError}, an {@linkcode OutgoingOverflowError}, what a hook or producer threw, or the network's error as it came.
   */
  protected handleClose(_reason?: Error): void | Promise<void> {}

  // -------------------------------------------------------------- framing

  /**
   * Says how frames end from the next byte on, those already read included. (While a frame is being discarded: from its end on.)
   *
   * A byte string, or text taken as UTF-8: the frame ends before it. DelimiterSet: before the leftmost that matches, at one place
   * the longest; more bytes are waited for only where they could change that. A count: after so many bytes, once; then the
   * chat is raw. `null`, `0`, `""` or empty bytes: raw, all that comes is data, and no frame ends.
   *
   * @param terminator The end of the frame. Bytes are copied.
   * @param options The limits of this terminator.
   * @throws {TypeError} when it is none of these, or a list that is empty or has an empty member
   * @throws {RangeError} when a count is negative, not whole, or above `maxFrameBytes`
   */
  setTerminator(terminator: Terminator, options: TerminatorOptions = {}): void {
    const { maxFrameBytes = this.#options.maxFrameBytes, onTooLong = "close" } = options;
    checkByteCount("set the terminator", "maxFrameBytes", maxFrameBytes);
    if (onTooLong !== "close" && onTooLong !== "discard") {
      throw new TypeError(`Cannot set the terminator: onTooLong is "${onTooLong}", "close" or "discard" is wanted`);
    }
    this.#splitter.setTerminator(terminator, maxFrameBytes, onTooLong);
  }

  /** The terminator in force, as a copy: of a count what is still to come, `null` for raw and for none. */
  getTerminator(): Uint8Array | number | null | readonly Uint8Array[] {
    return this.#splitter.getTerminator();
  }

  /** The byte string that ended the last frame: tells which of several it was. `null` after a count. */
  get matchedTerminator(): Uint8Array | null {
    return this.#splitter.matchedTerminator;
  }

  /** What the default `collectIncomingData` has gathered since the last take, as bytes that the caller owns. */
  takeData(): Uint8Array {
    return this.#collector.takeData();
  }

  /** What the default `collectIncomingData` has gathered since the last take, as UTF-8; U+FFFD stands for what is not. */
  takeText(): string {
    return this.#collector.takeText();
  }

  // -------------------------------------------------------------- sending

  /**
   * Queues bytes, or text as UTF-8, for sending. What is pushed in one turn goes out in one write. Does nothing when the peer is gone.
   * When more than `maxBufferedBytes` wait, the chat ends with an {@linkcode OutgoingOverflowError}; whoever pushed is not told here.
   *
   * @param data Bytes are borrowed: leave them as they are until `flushed()`. Small ones are copied at once.
   * @throws {TypeError} when it is neither text nor a Uint8Array
   * @throws {ChatClosedError} after `close()`, `closeWhenDone()` and `closeWrite()`
   */
  push(data: Uint8Array | string): void {
    if (typeof data !== "string" && !(data instanceof Uint8Array)) {
      throw new TypeError(`Cannot push: ${describe(data)} was given, a string or a Uint8Array is wanted`);
    }
    if (!this.#sendable("push")) return;
    this.#writer.push(data);
    const { bufferedAmount } = this.#writer;
    const { maxBufferedBytes } = this.#options;
    if (bufferedAmount > maxBufferedBytes) this.#shut(new OutgoingOverflowError(maxBufferedBytes, bufferedAmount));
  }

  /**
   * Queues something that makes bytes when there is room for them: an object with `more()`, at once or as a promise, as in
   * asynchat; an iterable, an async iterable or a stream. Bytes are pushed as they are.
   *
   * When the peer goes it is told: `return()` of an iterator, `cancel()` of a stream. One that throws ends the chat with its error.
   *
   * @param producer The maker of bytes. Each piece is borrowed until the next is asked for.
   * @throws {TypeError} when it is none of these, or a stream that is locked
   * @throws {ChatClosedError} after `close()`, `closeWhenDone()` and `closeWrite()`
   */
  pushWithProducer(producer: ProducerLike | Uint8Array): void {
    if (producer instanceof Uint8Array) return this.push(producer);
    const source = toSource(producer);
    if (this.#sendable("push with a producer")) this.#writer.pushSource(source);
    else void this.#writer.cancel(source, this.#reason);
  }

  /** Waits until everything pushed so far is written, or dropped because the chat is over. Never rejects. */
  flushed(): Promise<void> {
    return this.#writer.flushed();
  }

  /** Bytes pushed and not yet written. What producers have not made does not count. */
  get bufferedAmount(): number {
    return this.#writer.bufferedAmount;
  }

  // --------------------------------------------------------------- ending

  /**
   * Sends what is queued, then tells the peer that no more will come. Input goes on: for a client that has asked its last question.
   *
   * @throws {TypeError} when the connection has no `closeWrite()`
   */
  closeWrite(): void {
    if (typeof this.conn.closeWrite !== "function") {
      throw new TypeError("Cannot close for writing: the connection has no closeWrite(), one that has it is wanted");
    }
    if (this.#state === "closed") return;
    this.#closedByOwner = true;
    this.#writer.seal();
  }

  /**
   * Looks at no more input, sends what is queued, and closes so that the last byte arrives: ends our side, drops what still
   * comes until the peer has ended its side or two seconds have passed, and closes the connection. A hook that is waiting
   * may push until it is done; no other hook follows but `handleClose`.
   */
  closeWhenDone(): void {
    if (this.#state === "closed") return;
    this.#closedByOwner ||= !this.#inputOver;
    this.#finish();
  }

  /**
   * Closes the connection now; what is queued is dropped. No hook follows but `handleClose(reason)`, which waits for the hook that is running.
   *
   * @param reason Why, if it is a fault.
   */
  close(reason?: Error): void {
    if (this.#state === "closed") return;
    this.#closedByOwner = true;
    this.#shut(reason);
  }

  /** For emergencies: forgets input that was read and not told, what was gathered, and output that was not written. */
  discardBuffers(): void {
    this.#buffer.clear();
    this.#splitter.reset();
    this.#collector.clear();
    this.#writer.drop();
  }

  /**
   * Hands the connection over to somebody else: the chat is over and the connection stays open. To be called in a hook, where no read is pending.
   *
   * @returns The connection with the bytes read from it and not yet told, and the bytes that were to be written to it.
   * @throws {ChatClosedError} when the chat is over
   * @throws {TypeError} when a read or write is pending, or a producer is queued
   */
  detach(): Detached {
    if (this.#state === "closed") throw new ChatClosedError("detach");
    if (this.#reading || this.#upgrading !== undefined) {
      throw new TypeError("Cannot detach: a read or a handshake is pending, a call from inside a hook is wanted");
    }
    const unsent = this.#writer.takeUnsent();
    const unread = this.#buffer.filled.slice(this.#buffer.start);
    this.#closedByOwner = true;
    this.#end();
    return { conn: this.#conn, unread, unsent };
  }

  /**
   * Goes on over TLS: sends what is queued, shakes hands, and begins anew on a connection that nobody else can write to. To be
   * called in a hook, and awaited there: `await this.startTls(serverTls({ cert, key }))`. What is pushed meanwhile waits.
   *
   * What was read and not told never reaches a hook, for somebody on the way may have put it there (CVE-2011-0411): for a
   * client it ends the chat with an `UnreadPlaintextError`, for a server it belongs to the handshake, which fails for it. A frame that
   * has begun and what was gathered are forgotten; the terminator stays. When there is no handshake in time, or a bad
   * one, the chat ends with the reason. It never goes on without TLS.
   *
   * @param upgrade Which side of the handshake, and with what: `clientTls` or `serverTls` of `./tls`, or one of your own.
   * @returns A promise that fulfils when all is secure; it rejects with the reason when the chat has ended.
   * @throws {ChatClosedError} when the chat is over or about to be
   * @throws {TypeError} when a read is pending, or TLS is on its way
   */
  protected startTls(upgrade: TlsUpgrade): Promise<void> {
    if (this.#state !== "open" || this.#inputOver || !this.#writer.accepting) throw new ChatClosedError("start TLS");
    if (this.#reading || this.#upgrading !== undefined) {
      throw new TypeError("Cannot start TLS: a read or a handshake is pending, a call from inside a hook is wanted");
    }
    const upgraded = this.#upgrade(upgrade);
    this.#upgrading = upgraded.catch(() => {}).then(() => this.#upgrading = undefined);
    return upgraded;
  }

  /** Aborted when the connection is lost or the chat is over, with the error if there is one: for a hook that is waiting. */
  get signal(): AbortSignal {
    if (this.#abort === null) {
      this.#abort = new AbortController();
      if (this.#lost || this.#state === "closed") this.#abort.abort(this.#reason);
    }
    return this.#abort.signal;
  }

  /** The connection that the chat was made over, or since `startTls()` the one that took its place. */
  get conn(): ChatConn {
    return this.#conn;
  }

  /** Where the chat is in its life. */
  get state(): ChatState {
    return this.#state;
  }

  /** Why the chat has ended or is about to, as `handleClose` is told; `undefined` while it goes on, and where both sides wanted it. */
  get closeReason(): Error | undefined {
    return this.#reason;
  }

  /** Bytes read so far. */
  get bytesReceived(): number {
    return this.#bytesReceived;
  }

  /** Bytes written so far. */
  get bytesSent(): number {
    return this.#bytesSentBefore + (this.#plainWriter?.bytesSent ?? 0) + this.#writer.bytesSent;
  }

  /** Frames that have ended so far. */
  get framesReceived(): number {
    return this.#framesReceived;
  }

  /** `closeWhenDone()`, and waits until the chat is over. */
  [Symbol.asyncDispose](): Promise<void> {
    this.closeWhenDone();
    return this.run();
  }

  // ------------------------------------------------------------ the engine

  #live(): void {
    if (this.#options.noDelay && this.#state === "open") this.#switchNagleOff();
    this.#writer.start();
    this.#watchTime();
    void this.#receive();
  }

  /** The chat has ended, or had before it ran: tells so, when no hook is running any more. */
  async #sayGoodbye(): Promise<void> {
    await null;
    while (this.#held !== null) await this.#held;
    if (closeChannel.hasSubscribers) closeChannel.publish({ chat: this, reason: this.#reason });
    this.#closeTold = true;
    try {
      await this.handleClose(this.#reason);
    } catch (error) {
      this.#hookFailed(error);
    }
    this.#tellOver();
  }

  /** The read pump: reads, tells the hooks, reads again. Where it waits, so does the peer. */
  async #receive(): Promise<void> {
    if (this.#state === "open") {
      await this.#tell("connect");
      if (this.#state === "open" && !this.#splitter.ready) {
        this.#hookFailed(noTerminator());
        this.#shut(noTerminator()); // whatever handleError made of it: there is nothing to go on with
      }
    }
    for (let emptyReads = 0; !this.#inputOver && this.#state !== "closed";) {
      if (this.#state === "closing") {
        // What still comes is dropped, so that the peer is not stuck in sending while we wait for it to take our last bytes.
        this.#buffer.clear();
      } else if (!this.#tellOn()) {
        await this.#dispatch();
        continue;
      }
      try {
        this.#reading = true;
        this.#collector.copyBorrowed(); // reserving space moves what it has been lent
        const count = await this.#conn.read(this.#buffer.reserve());
        this.#reading = false;
        if ((this.#state as ChatState) === "closed") return;
        this.#inputOver = count === null;
        this.#buffer.commit(count ?? 0);
        this.#bytesReceived += count ?? 0;
        emptyReads = count === 0 ? emptyReads + 1 : 0;
        if (emptyReads === MOST_EMPTY_READS) throw tooManyEmptyReads();
      } catch (error) {
        this.#reading = false;
        this.#inputOver = true;
        return this.#shut(asError(error));
      }
    }
    if (this.#lost) return this.#shut();
    this.#splitter.finish();
    await this.#dispatch();
    if (this.#state === "open") await this.#tell("eof");
    this.#closeIfDone();
  }

  /** Tells the hooks all that can be told of the bytes that have come. Waits where a hook does, and for room in the output. */
  async #dispatch(): Promise<void> {
    while (this.#state === "open") {
      if (this.#held !== null) await this.#held; // also handleTimeout, which came between two reads
      else if (this.#tooLong !== null) await this.#refuseFrame(this.#tooLong);
      else if (this.#writer.exceeds(this.#options.highWaterMark)) await this.#room();
      else if (this.#tellOn()) return;
    }
  }

  async #room(): Promise<void> {
    this.#paused = true;
    await this.#writer.waitForCapacity(this.#options.highWaterMark);
    await this.#upgrading; // by somebody who knew that nothing was being read
    this.#paused = false;
  }

  /** Goes from hook to hook as far as it can without waiting. Whether that is to the last byte. */
  #tellOn(): boolean {
    const mark = this.#options.highWaterMark;
    try {
      while (
        this.#state === "open" && this.#held === null && this.#tooLong === null && !this.#writer.exceeds(mark)
      ) {
        const step = this.#splitter.next();
        if (step === "more") return true;
        if (step === "too long") {
          this.#tooLong = this.#splitter.tooLongError();
        } else {
          const waiting = this.#callHook(step) ?? this.#upgrading;
          if (waiting !== undefined) this.#held = this.#hold(waiting);
        }
      }
    } catch (error) {
      this.#hookFailed(error);
    }
    return false;
  }

  /** Whether so much more fits into the frame that is being gathered; if not, it is refused next. */
  #mayGather(size: number): boolean {
    const received = this.#collector.length + size;
    const { limit } = this.#splitter;
    if (received > limit) this.#tooLong = new FrameTooLongError(limit, received);
    return received <= limit;
  }

  /** Tells one thing. Gives a promise only where the hook did. */
  #tell(event: SplitResult | "connect" | "eof" | "timeout"): Promise<void> | undefined {
    try {
      const waiting = this.#callHook(event) ?? this.#upgrading;
      if (waiting !== undefined) return this.#held = this.#hold(waiting);
    } catch (error) {
      this.#hookFailed(error);
    }
  }

  /** Calls the hook that `event` belongs to: the one place where hooks are called. */
  #callHook(event: SplitResult | "connect" | "eof" | "timeout"): void | Promise<void> {
    switch (event) {
      case "data":
        return this.collectIncomingRange(this.#buffer.filled, this.#splitter.pieceStart, this.#splitter.pieceEnd);
      case "frame":
        this.#framesReceived++;
        return this.foundTerminator();
      case "too long":
        return this.frameTooLong(this.#tooLong!);
      case "connect":
        return this.handleConnect();
      case "eof":
        return this.handleEof();
      case "timeout":
        return this.handleTimeout(this.#timeout!);
    }
  }

  async #hold(hook: Promise<void>): Promise<void> {
    try {
      await hook;
    } catch (error) {
      this.#hookFailed(error);
    }
    if (this.#upgrading !== undefined) await this.#upgrading; // which the hook did not wait for
    this.#held = null;
    if (this.#sealDue) this.#seal();
  }

  async #refuseFrame(error: FrameTooLongError): Promise<void> {
    this.#splitter.refuseFrame();
    const goesOn = this.#splitter.discarding;
    if (this.#state === "open") await this.#tell("too long");
    this.#tooLong = null;
    this.#collector.clear();
    if (goesOn) return;
    this.#reason ??= error;
    this.#finish();
  }

  #hookFailed(error: unknown, handleError = this.handleError): void {
    // A hook that waited and was told that the chat is over is not at fault.
    if (this.#abort?.signal.aborted && error === this.#abort.signal.reason) return;
    if (this.#closedUnderHook && error instanceof ChatClosedError) return;
    if (errorChannel.hasSubscribers) errorChannel.publish({ chat: this, error });
    try {
      handleError.call(this, error);
    } catch (second) {
      AsyncChat.prototype.handleError.call(this, second);
    }
  }

  #producerFailed(error: unknown): void {
    // One that fails in being told of the end may do so after the last hook.
    this.#hookFailed(error, this.#closeTold ? AsyncChat.prototype.handleError : this.handleError);
    this.#shut(asError(error)); // whatever handleError made of it: what comes after the gap would be taken for what is missing
  }

  #sendable(action: string): boolean {
    if (this.#writer.accepting) return true;
    if (this.#closedByOwner) throw new ChatClosedError(action);
    return false;
  }

  /** The end in good order: no more input is told, what is queued is sent. */
  #finish(): void {
    if (this.#state === "closing" || this.#state === "closed") return;
    this.#state = "closing";
    this.#writer.release();
    if (this.#held === null) this.#seal();
    else this.#sealDue = true;
  }

  #seal(): void {
    this.#sealDue = false;
    if (this.#writer.ended) this.#closeIfDone();
    else this.#writer.seal();
  }

  /** The write pump has sent the last byte and ended our side, or could not write. */
  #outputEnded(error?: Error): void {
    if (error === undefined) return this.#closeIfDone();
    if (this.#state === "closing" || this.#inputOver) return this.#shut(error);
    // Nobody listens any more, but what the peer sent before it went is still read and told.
    this.#lost = true;
    this.#reason ??= error;
    this.#abort?.abort(error);
    this.#linger();
  }

  /** Closing, and our last byte is sent: closes the connection as soon as the peer has ended its side too, and late rather than never. */
  #closeIfDone(): void {
    if (this.#state !== "closing" || !this.#writer.ended) return;
    // The kernel answers bytes that nobody read with a reset, which can overtake our last reply (RFC 9112, 9.6).
    if (this.#inputOver) this.#shut();
    else this.#linger();
  }

  async #upgrade(upgrade: TlsUpgrade): Promise<void> {
    const unread = this.#buffer.filled.slice(this.#buffer.start);
    this.#buffer.clear();
    this.#splitter.restart();
    this.#collector.clear();
    this.#bytesSentBefore += this.#plainWriter?.bytesSent ?? 0;
    const writer = this.#plainWriter = this.#writer;
    this.#writer = this.#newWriter(); // what is pushed from here on is for TLS alone
    try {
      const before = { conn: this.#conn, unread, writer, signal: this.signal, clock: this.#options.clock };
      const conn = await startTls(before, upgrade);
      if (before.signal.aborted) conn.close(); // in that very turn
      before.signal.throwIfAborted();
      this.#conn = conn;
    } catch (error) {
      this.#shut(asError(error));
      throw this.signal.reason;
    }
    this.#writer.start(this.#conn);
  }

  #newWriter(): Writer {
    return new Writer(this.#conn, (error) => this.#outputEnded(error), (error) => this.#producerFailed(error));
  }

  #watchTime(): void {
    const toleranceMs = shortestLimit(this.#options);
    if (toleranceMs === Infinity || this.#state === "closed") return;
    const { clock } = this.#options;
    const deadlines = new TimeLimits(this.#options, clock.now());
    this.#swept = {
      toleranceMs,
      check: (now) => {
        const kind = deadlines.check(now, {
          peerWaits: this.#held !== null || this.#paused || this.#inputOver || this.#state !== "open",
          bytesReceived: this.#bytesReceived,
          frameNumber: this.#splitter.frameNumber,
          frameBegun: this.#splitter.frameBegun,
          bytesSent: this.bytesSent,
          outputPending: this.#writer.pending,
        });
        if (kind !== null) this.#timedOut(kind);
      },
    };
    CoarseTimer.of(clock).add(this.#swept);
  }

  #timedOut(kind: TimeoutKind): void {
    this.#timeout = new ChatTimeoutError(kind, this.#options[`${kind}TimeoutMs`]);
    if (this.#state === "open" && this.#held === null) this.#tell("timeout");
    else this.#shut(this.#timeout);
  }

  #linger(): void {
    this.#callOffLinger ??= this.#options.clock.after(LINGER_MS, () => this.#shut());
  }

  /** The end, now: closes the connection. */
  #shut(reason?: Error): void {
    if (this.#state === "closed") return;
    this.#reason ??= reason;
    this.#end();
    try {
      this.#conn.close();
    } catch (error) {
      this.#reason ??= asError(error);
    }
  }

  #end(): void {
    this.#state = "closed";
    this.#closedUnderHook = this.#held !== null;
    this.#callOffLinger?.();
    if (this.#swept !== null) CoarseTimer.of(this.#options.clock).delete(this.#swept);
    this.#buffer.clear();
    this.#writer.stop(this.#reason);
    this.#writer.release();
    this.#abort?.abort(this.#reason);
    if (this.#over !== null) void this.#sayGoodbye();
  }

  #switchNagleOff(): void {
    try {
      this.#conn.setNoDelay?.(true);
    } catch {
      // The connection is gone already: the first read says how.
    }
  }
}

function tooManyEmptyReads(): Error {
  return new Error(`Cannot read: ${MOST_EMPTY_READS} reads in a row gave 0 bytes, 1 or more or the end is wanted`);
}

function noTerminator(): TypeError {
  return new TypeError(
    "Cannot run the chat: no terminator is set, a call of setTerminator() before the first read is wanted",
  );
}
