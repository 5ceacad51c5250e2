/**
 * Runs chats over a pair of web streams: a child process, or the standard input and output of the program.
 *
 * @example A child process
 * ```ts ignore
 * import { StreamConn } from "@asynchat/asynchat/streams";
 *
 * const child = new Deno.Command("bc", { stdin: "piped", stdout: "piped" }).spawn();
 * await new Calculator(new StreamConn(child.stdout, child.stdin)).run();
 * ```
 *
 * @example The program's own input and output
 * ```ts ignore
 * import { StreamConn } from "@asynchat/asynchat/streams";
 *
 * await new Commands(new StreamConn(Deno.stdin.readable, Deno.stdout.writable)).run();
 * ```
 *
 * @module
 */

import type { ChatConn } from "../chat/options.ts";

/**
 * Adapts a readable and a writable stream to a connection, which owns them from then on.
 *
 * Keeps back-pressure in both directions: it pulls one chunk at a time, and keeps the part of it that a read had no
 * space for. At EOF, `read` fulfills with `null`. Errors of the streams pass through unchanged.
 */
export class StreamConn implements ChatConn {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  #rest: Uint8Array = new Uint8Array();

  /**
   * Creates a connection over two streams, and locks them.
   *
   * @param readable The bytes from the peer.
   * @param writable The bytes to the peer.
   * @throws {TypeError} when one of them is locked
   */
  constructor(readable: ReadableStream<Uint8Array>, writable: WritableStream<Uint8Array>) {
    this.#reader = readable.getReader();
    this.#writer = writable.getWriter();
    this.#writer.closed.catch(() => {}); // reported by the failed call
    this.#reader.closed.catch(() => {});
  }

  /**
   * Reads into `p` what has arrived, or waits for the next chunk.
   *
   * @returns The number of bytes read, or `null` at EOF.
   * @throws {Error} of the stream, passed through
   */
  async read(p: Uint8Array): Promise<number | null> {
    if (this.#rest.length === 0 && p.length > 0) {
      const { done, value } = await this.#reader.read();
      if (done) return null;
      this.#rest = value;
    }
    const count = Math.min(this.#rest.length, p.length);
    p.set(this.#rest.subarray(0, count));
    this.#rest = this.#rest.subarray(count);
    return count;
  }

  /**
   * Writes all of `p`, and waits until the stream has taken it. Copies `p`: a stream may keep its chunks longer.
   *
   * @returns The length of `p`.
   * @throws {Error} of the stream, passed through
   */
  async write(p: Uint8Array): Promise<number> {
    await this.#writer.write(new Uint8Array(p)); // `slice` of a Buffer is a view
    return p.length;
  }

  /** Closes the writable stream after what was written. */
  closeWrite(): Promise<void> {
    return this.#writer.close();
  }

  /** Closes both streams immediately. A pending read fulfills with `null`, a pending write rejects. */
  close(): void {
    this.#rest = new Uint8Array();
    this.#reader.cancel().catch(() => {});
    this.#writer.abort().catch(() => {});
  }
}
