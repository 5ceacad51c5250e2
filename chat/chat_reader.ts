/**
 * {@linkcode ChatReader}: frames for code that awaits them, over the same {@linkcode FrameInput} as a chat.
 *
 * @module
 */

import { asError, ChatTimeoutError, IncompleteFrameError } from "../core/errors.ts";
import { FrameInput } from "../core/frame_input.ts";
import type { Terminator } from "../core/frame_splitter.ts";
import { decodeText } from "../core/text.ts";
import { type Clock, systemClock } from "./clock.ts";
import { type ChatConn, checkByteCount, checkUnread } from "./options.ts";

/** The limits of a {@linkcode ChatReader}. */
export interface ChatReaderOptions {
  /**
   * The most data in bytes that a frame may have, its terminator not counted.
   *
   * @default {65536}
   */
  maxFrameBytes?: number;
  /**
   * The largest read in bytes; reads begin at 1 KiB and grow while they fill their space.
   *
   * @default {65536}
   */
  maxReadBytes?: number;
  /** Bytes that were read from the connection before; they come first. Copied. */
  unread?: Uint8Array;
  /** The source of time; tests pass their own. */
  clock?: Clock;
}

/** The limits of one read of a {@linkcode ChatReader}. */
export interface ReadOptions {
  /** Ends the wait when it is aborted: the read rejects with its reason. */
  signal?: AbortSignal;
  /**
   * How long the frame may take to arrive, in milliseconds.
   *
   * @default {Infinity}
   */
  timeoutMs?: number;
}

/**
 * Reads a connection frame by frame, each with a terminator of its own. It owns reading from the connection and nothing
 * else: writing and closing stay with the caller.
 *
 * @example A client that asks and waits
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { ChatReader } from "@asynchat/asynchat";
 * import { memoryPair } from "@asynchat/asynchat/testing";
 *
 * const [conn, server] = memoryPair();
 * await server.send("5\r\nhellobye\n");
 * const reader = new ChatReader(conn);
 * const length = Number(await reader.readText("\r\n"));
 * assertEquals(await reader.readText(length), "hello");
 * assertEquals(await reader.readText(["\r\n", "\n"]), "bye");
 * server.close();
 * assertEquals(await reader.read("\n"), null);
 * conn.close();
 * ```
 */
export class ChatReader {
  readonly #conn: Pick<ChatConn, "read">;
  readonly #options: { readonly maxFrameBytes: number; readonly maxReadBytes: number };
  readonly #clock: Clock;
  #input: FrameInput;
  #pending = false; // a read() of the caller
  #filling: Promise<Filled> | null = null; // a read of the connection; outlives an aborted read()
  #ended = false; // the peer's side
  #fault: Error | null = null; // no later read can succeed

  /**
   * Creates a reader of a connection.
   *
   * @param conn The connection; no other code reads from it from here on.
   * @param options Limits.
   * @throws {RangeError} when a limit is not a whole number of at least 1
   * @throws {TypeError} when `unread` is not a Uint8Array
   */
  constructor(conn: Pick<ChatConn, "read">, options: ChatReaderOptions = {}) {
    const { maxFrameBytes = 65_536, maxReadBytes = 65_536, unread, clock = systemClock } = options;
    checkByteCount("create a reader", "maxFrameBytes", maxFrameBytes);
    checkByteCount("create a reader", "maxReadBytes", maxReadBytes);
    checkUnread("create a reader", unread);
    this.#conn = conn;
    this.#options = { maxFrameBytes, maxReadBytes };
    this.#clock = clock;
    this.#input = new FrameInput(maxFrameBytes, maxReadBytes, unread);
  }

  /**
   * Reads the next frame, without its terminator. At the end of the stream returns `null` when no frame has begun. Raw
   * (`null`): returns what has arrived, as soon as there is any.
   *
   * When `signal` is aborted or `timeoutMs` have passed, the frame is left for the next read, which may have another
   * terminator. After a `FrameTooLongError` or an error of the connection, every later read rejects with the same error.
   *
   * @param terminator How the frame ends, as for `AsyncChat.setTerminator`; another may be given each time.
   * @param options Limits of this read.
   * @returns Bytes that the caller owns.
   * @throws {FrameTooLongError} when it has more data than `maxFrameBytes`
   * @throws {IncompleteFrameError} when the peer ends within the frame; its `partial` is what had come
   * @throws {ChatTimeoutError} when `timeoutMs` have passed
   * @throws {TypeError} when it is not a terminator, or another read is pending
   * @throws {RangeError} when a count is negative or fractional
   * @throws what the connection's `read` throws, as it comes
   */
  async read(terminator: Terminator, options: ReadOptions = {}): Promise<Uint8Array | null> {
    if (this.#pending) throw new TypeError("Cannot read: another read is pending, await it first");
    if (this.#fault !== null) throw this.#fault;
    options.signal?.throwIfAborted();
    this.#input.setTerminator(terminator);
    const interruption = interruptionOf(options, this.#clock);
    this.#pending = true;
    try {
      return await this.#readFrame(terminator === null, interruption);
    } finally {
      interruption?.cancel();
      this.#pending = false;
    }
  }

  /** As `read()`, decoded as UTF-8; invalid bytes become U+FFFD. */
  async readText(terminator: Terminator, options: ReadOptions = {}): Promise<string | null> {
    const data = await this.read(terminator, options);
    return data === null ? null : decodeText(data, 0, data.length);
  }

  /** The byte string that ended the last frame; `null` after a count. */
  get matchedTerminator(): Uint8Array | null {
    return this.#input.matchedTerminator;
  }

  async #readFrame(isRaw: boolean, interruption: Interruption | null): Promise<Uint8Array | null> {
    const input = this.#input;
    for (;;) {
      const result = input.next();
      if (result === "frame") return input.takeData();
      if (result === "too long") throw this.#fault = input.tooLongError();
      if (result === "data") {
        input.collectRange(input.bytes, input.pieceStart, input.pieceEnd);
        if (isRaw) return input.takeData();
      } else if (this.#ended) {
        if (!input.collected) return null;
        throw new IncompleteFrameError(input.takeData()); // and then null: the stream has ended
      } else {
        await this.#fill(interruption);
      }
    }
  }

  /** Waits for the next bytes. A read that is pending when the wait is interrupted is awaited again by the next. */
  async #fill(interruption: Interruption | null): Promise<void> {
    this.#filling ??= this.#readConn(this.#input);
    const filled = await (interruption === null ? this.#filling : Promise.race([this.#filling, interruption.promise]));
    if (filled === null) {
      this.#rewind();
      throw interruption!.reason();
    }
    this.#filling = null;
    if (filled.error !== null) throw this.#fault = filled.error;
    try {
      if (filled.count === null) {
        this.#ended = true;
        this.#input.end();
      } else if (filled.input === this.#input) {
        this.#input.commit(filled.count);
      } else {
        this.#input.append(filled.space.subarray(0, filled.count));
      }
    } catch (error) {
      throw this.#fault = asError(error);
    }
  }

  async #readConn(input: FrameInput): Promise<Filled> {
    const space = input.reserve();
    try {
      return { input, space, count: await this.#conn.read(space), error: null };
    } catch (error) {
      return { input, space, count: null, error: asError(error) };
    }
  }

  /** Starts over in front of the current frame. The pending read keeps its space in the input that is replaced. */
  #rewind(): void {
    const { maxFrameBytes, maxReadBytes } = this.#options;
    this.#input = new FrameInput(
      maxFrameBytes,
      maxReadBytes,
      this.#input.takeFrameAndRest(),
      this.#input.matchedTerminator,
    );
  }
}

/** The result of a read of the connection. */
interface Filled {
  input: FrameInput; // whose space it was read into
  space: Uint8Array;
  count: number | null;
  error: Error | null;
}

/** What may end the wait of a read. */
interface Interruption {
  /** Fulfils with `null` when it is to end. */
  promise: Promise<null>;
  reason(): unknown;
  cancel(): void;
}

/** The signal and the time limit of a read as one; `null` when there is neither. */
function interruptionOf({ signal, timeoutMs = Infinity }: ReadOptions, clock: Clock): Interruption | null {
  if (!(timeoutMs >= 0)) {
    throw new RangeError(`Cannot read: timeoutMs is ${timeoutMs}, expected milliseconds`);
  }
  if (signal === undefined && timeoutMs === Infinity) return null;
  let interrupt = () => {};
  const promise = new Promise<null>((resolve) => interrupt = () => resolve(null));
  const cancelTimeout = timeoutMs === Infinity ? () => {} : clock.after(timeoutMs, interrupt);
  signal?.addEventListener("abort", interrupt, { once: true });
  return {
    promise,
    reason: () => signal?.aborted ? signal.reason : new ChatTimeoutError("frame", timeoutMs),
    cancel() {
      cancelTimeout();
      signal?.removeEventListener("abort", interrupt);
    },
  };
}

/**
 * Iterates over the frames of a connection, all with one terminator, up to its end. The connection stays open, also when the
 * loop is left early.
 *
 * @param conn The connection; no other code reads from it, also not after a loop that was left: bytes may have been read ahead.
 * @param terminator How each frame ends, as for `AsyncChat.setTerminator`.
 * @param options Limits.
 * @returns Each frame without its terminator, as bytes that the caller owns. The loop throws as {@linkcode ChatReader.read} does.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { frames } from "@asynchat/asynchat";
 * import { scriptedConn } from "@asynchat/asynchat/testing";
 *
 * const lines: string[] = [];
 * const { conn } = scriptedConn(["one\r\ntw", "o\r\n"]);
 * for await (const line of frames(conn, "\r\n")) lines.push(new TextDecoder().decode(line));
 * assertEquals(lines, ["one", "two"]);
 * ```
 */
export async function* frames(
  conn: Pick<ChatConn, "read">,
  terminator: Terminator,
  options: ChatReaderOptions = {},
): AsyncGenerator<Uint8Array, void, void> {
  const reader = new ChatReader(conn, options);
  for (let frame; (frame = await reader.read(terminator)) !== null;) yield frame;
}
