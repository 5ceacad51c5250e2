/**
 * Chats over a pair of web streams: a child process, or what a program is piped to.
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
 * A stream to read and one to write as a connection, which owns them from here on. Errors of the streams are passed on as they
 * come. Nothing is read that is not asked for, but for the one piece that a read did not take whole.
 */
export class StreamConn implements ChatConn {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  #rest: Uint8Array = new Uint8Array();

  /**
   * Makes a connection of two streams that nobody else uses.
   *
   * @param readable What the peer says.
   * @param writable What we say.
   * @throws {TypeError} when one of them is locked
   */
  constructor(readable: ReadableStream<Uint8Array>, writable: WritableStream<Uint8Array>) {
    this.#reader = readable.getReader();
    this.#writer = writable.getWriter();
    this.#writer.closed.catch(() => {}); // the write that failed tells
    this.#reader.closed.catch(() => {});
  }

  /** Reads what has come, or waits for it; `null` when the stream has ended. */
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

  /** Writes all of `p`, and waits until the stream has it. */
  async write(p: Uint8Array): Promise<number> {
    await this.#writer.write(p);
    return p.length;
  }

  /** Ends the stream that is written to, after what was written. */
  closeWrite(): Promise<void> {
    return this.#writer.close();
  }

  /** Ends both at once. A pending read ends, a pending write rejects. */
  close(): void {
    this.#rest = new Uint8Array();
    this.#reader.cancel().catch(() => {});
    this.#writer.abort().catch(() => {});
  }
}
