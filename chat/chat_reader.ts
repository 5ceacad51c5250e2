/**
 * {@linkcode ChatReader}: frames for code that awaits them, over the same {@linkcode FrameInput} as a chat.
 *
 * @module
 */

import { IncompleteFrameError } from "../core/errors.ts";
import { FrameInput } from "../core/frame_input.ts";
import type { Terminator } from "../core/frame_splitter.ts";
import { decodeText } from "../core/text.ts";
import { type ChatConn, checkByteCount } from "./options.ts";

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
  readonly #input: FrameInput;
  #pending = false; // a read() of the caller
  #ended = false; // the peer's side

  /**
   * Creates a reader of a connection.
   *
   * @param conn The connection; no other code reads from it from here on.
   * @param options Limits.
   * @throws {RangeError} when a limit is not a whole number of at least 1
   */
  constructor(conn: Pick<ChatConn, "read">, options: ChatReaderOptions = {}) {
    const { maxFrameBytes = 65_536, maxReadBytes = 65_536 } = options;
    checkByteCount("create a reader", "maxFrameBytes", maxFrameBytes);
    checkByteCount("create a reader", "maxReadBytes", maxReadBytes);
    this.#conn = conn;
    this.#input = new FrameInput(maxFrameBytes, maxReadBytes, options.unread);
  }

  /**
   * Reads the next frame, without its terminator. At the end of the stream returns `null` when no frame has begun. Raw (`null`,
   * `0`, `""`): returns what has arrived, as soon as there is any.
   *
   * @param terminator How the frame ends, as for `AsyncChat.setTerminator`; another may be given each time.
   * @returns Bytes that the caller owns.
   * @throws {FrameTooLongError} when it has more data than `maxFrameBytes`; what follows cannot be read as frames any more
   * @throws {IncompleteFrameError} when the peer ends within the frame; its `partial` is what had come
   * @throws {TypeError} when it is not a terminator, or another read is pending
   * @throws {RangeError} when a count is negative, fractional, or above `maxFrameBytes`
   * @throws what the connection's `read` throws, as it comes
   */
  async read(terminator: Terminator): Promise<Uint8Array | null> {
    if (this.#pending) throw new TypeError("Cannot read: another read is pending, await it first");
    const input = this.#input;
    input.setTerminator(terminator);
    const isRaw = input.getTerminator() === null;
    this.#pending = true;
    try {
      for (;;) {
        const result = input.next();
        if (result === "frame") return input.takeData();
        if (result === "too long") throw input.tooLongError();
        if (result === "data") {
          input.collectRange(input.bytes, input.pieceStart, input.pieceEnd);
          if (isRaw) return input.takeData();
        } else if (this.#ended) {
          if (!input.collected) return null;
          throw new IncompleteFrameError(input.takeData());
        } else {
          await this.#fill();
        }
      }
    } finally {
      this.#pending = false;
    }
  }

  /** As `read()`, decoded as UTF-8; invalid bytes become U+FFFD. */
  async readText(terminator: Terminator): Promise<string | null> {
    const data = await this.read(terminator);
    return data === null ? null : decodeText(data, 0, data.length);
  }

  /** The byte string that ended the last frame; `null` after a count. */
  get matchedTerminator(): Uint8Array | null {
    return this.#input.matchedTerminator;
  }

  async #fill(): Promise<void> {
    const count = await this.#conn.read(this.#input.reserve());
    if (count !== null) return this.#input.commit(count);
    this.#ended = true;
    this.#input.end();
  }
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
