/**
 * Frames for code that would rather wait for them than be called: over the same buffer and the same splitter as a chat.
 *
 * @module
 */

import { type ChatConn, checkByteCount } from "./options.ts";
import { ReceiveBuffer } from "../core/receive_buffer.ts";
import { decodeText } from "../core/text.ts";
import { IncompleteFrameError } from "../core/errors.ts";
import { FrameCollector } from "../core/frame_collector.ts";
import { FrameSplitter, type Terminator } from "../core/frame_splitter.ts";

/** The limits of a {@linkcode ChatReader}. */
export interface ChatReaderOptions {
  /**
   * The most data in bytes that a frame may have, its terminator not counted.
   *
   * @default {65536}
   */
  maxFrameBytes?: number;
  /**
   * The largest read in bytes; reads begin at 1 KiB and grow while they come back full.
   *
   * @default {65536}
   */
  maxReadBytes?: number;
  /** Bytes that were read from the connection before, and come first. They are copied. */
  unread?: Uint8Array;
}

/**
 * Reads a connection frame by frame, each with a terminator of its own. It owns the reading of the connection and nothing
 * else: write to it, and close it, as you like.
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
  readonly #buffer: ReceiveBuffer;
  readonly #splitter: FrameSplitter;
  readonly #collector = new FrameCollector();
  readonly #maxFrameBytes: number;
  #reading = false;
  #ended = false;

  /**
   * Makes a reader of a connection.
   *
   * @param conn The connection; nobody else reads it from here on.
   * @param options Limits.
   * @throws {RangeError} when a limit is not a whole number from 1 on
   */
  constructor(conn: Pick<ChatConn, "read">, options: ChatReaderOptions = {}) {
    const { maxFrameBytes = 65_536, maxReadBytes = 65_536 } = options;
    checkByteCount("make a reader", "maxFrameBytes", maxFrameBytes);
    checkByteCount("make a reader", "maxReadBytes", maxReadBytes);
    this.#conn = conn;
    this.#buffer = new ReceiveBuffer(maxReadBytes, options.unread);
    this.#splitter = new FrameSplitter(this.#buffer, maxFrameBytes);
    this.#maxFrameBytes = maxFrameBytes;
  }

  /**
   * The next frame, without its terminator, as bytes that the caller owns; `null` when the peer has ended and none has begun.
   * Raw (`null`, `0`, `""`): what has come, as soon as something has.
   *
   * @param terminator How the frame ends, as for `AsyncChat.setTerminator`; another may be given each time.
   * @throws {FrameTooLongError} when it has more data than `maxFrameBytes`; what follows cannot be read as frames any more
   * @throws {IncompleteFrameError} when the peer ends within the frame; its `partial` is what had come
   * @throws {TypeError} when it is no terminator, or another read is pending
   * @throws {RangeError} when a count is negative, not whole, or above `maxFrameBytes`
   * @throws what the connection's `read` throws, as it comes
   */
  async read(terminator: Terminator): Promise<Uint8Array | null> {
    if (this.#reading) throw new TypeError("Cannot read: another read is pending, one at a time is wanted");
    this.#splitter.setTerminator(terminator, this.#maxFrameBytes, "close");
    const isRaw = this.#splitter.getTerminator() === null;
    this.#reading = true;
    try {
      for (;;) {
        const step = this.#splitter.next();
        if (step === "frame") return this.#collector.takeData();
        if (step === "too long") throw this.#splitter.tooLongError();
        if (step === "data") {
          this.#collector.borrow(this.#buffer.filled, this.#splitter.pieceStart, this.#splitter.pieceEnd);
          if (isRaw) return this.#collector.takeData();
        } else if (this.#ended) {
          if (this.#collector.length === 0) return null;
          throw new IncompleteFrameError(this.#collector.takeData());
        } else {
          await this.#fill();
        }
      }
    } finally {
      this.#reading = false;
    }
  }

  /** The same as text: UTF-8, with U+FFFD for what is not. */
  async readText(terminator: Terminator): Promise<string | null> {
    const data = await this.read(terminator);
    return data === null ? null : decodeText(data, 0, data.length);
  }

  /** The byte string that ended the last frame; `null` after a count. */
  get matchedTerminator(): Uint8Array | null {
    return this.#splitter.matchedTerminator;
  }

  async #fill(): Promise<void> {
    this.#collector.copyBorrowed(); // reserving space moves what it has been lent
    const count = await this.#conn.read(this.#buffer.reserve());
    this.#buffer.commit(count ?? 0);
    if (count !== null) return;
    this.#ended = true;
    this.#splitter.finish();
  }
}

/**
 * The frames of a connection, all with one terminator, up to its end. The connection stays open, also when the loop is left.
 *
 * @param conn The connection; nobody else reads it meanwhile, or after a loop that was left: bytes may have been read ahead.
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
