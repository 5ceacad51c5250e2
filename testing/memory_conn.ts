import { concat } from "@std/bytes/concat";
import type { ChatConn } from "../chat/options.ts";

/** The calls of a {@linkcode MemoryConn} that can be made to fail. */
export type MemoryCall = "read" | "write" | "closeWrite" | "close";

/** Options of one end of a {@linkcode memoryPair}. All are optional. */
export interface MemoryConnOptions {
  /**
   * The most bytes that one read returns. A read never returns more than one write of the other end.
   *
   * @default {Infinity}
   */
  maxReadBytes?: number;
  /**
   * The most bytes that one write takes. A small value makes writes short, as on a socket.
   *
   * @default {Infinity}
   */
  maxWriteBytes?: number;
  /**
   * The most bytes that the other end has not read yet. A write waits while it is reached.
   *
   * @default {65536}
   */
  capacity?: number;
  /** The `nth` call of this kind, from 1, rejects with `error` (`close` throws it) and has no other effect. */
  fail?: { call: MemoryCall; nth: number; error: Error };
}

/** One direction: the bytes that one end wrote and the other has not read. */
class Pipe {
  readonly #capacity: number;
  #pieces: Uint8Array[] = [];
  #size = 0;
  ended = false; //              the writing end is closed
  error: Error | null = null; // of the next read or write
  #wake: (() => void)[] = [];

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  get space(): number {
    return this.#capacity - this.#size;
  }

  get empty(): boolean {
    return this.#size === 0;
  }

  put(bytes: Uint8Array): void {
    this.#pieces.push(new Uint8Array(bytes));
    this.#size += bytes.length;
    this.notify();
  }

  take(into: Uint8Array): number {
    const first = this.#pieces[0]!;
    const count = Math.min(first.length, into.length);
    into.set(first.subarray(0, count));
    if (count === first.length) this.#pieces.shift();
    else this.#pieces[0] = first.subarray(count);
    this.#size -= count;
    this.notify();
    return count;
  }

  drop(): void {
    this.#pieces = [];
    this.#size = 0;
  }

  /** Waits for the next change. */
  changed(): Promise<void> {
    return new Promise((resolve) => this.#wake.push(resolve));
  }

  notify(): void {
    for (const wake of this.#wake.splice(0)) wake();
  }
}

/**
 * One end of a connection in memory. One write of the other end becomes one read or more.
 *
 * Behaves like `Deno.TcpConn`. Closing rejects a pending call with an error named "Interrupted". When the other end is
 * closed, reads return `null` and writes reject with "BrokenPipe"; after its `closeWrite` alone, writes still succeed.
 * Calls on a closed end reject with "BadResource".
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { memoryPair } from "@asynchat/asynchat/testing";
 *
 * const [a, b] = memoryPair();
 * await a.send("hello");
 * await a.closeWrite();
 * assertEquals(await b.receiveText(), "hello");
 * a.close();
 * b.close();
 * ```
 */
export class MemoryConn implements ChatConn {
  /** The address of this end. */
  readonly localAddr: { transport: "memory"; name: string };
  /** The address of the other end. */
  readonly remoteAddr: { transport: "memory"; name: string };
  /** The number of calls of each kind, failed ones included. */
  readonly calls: Record<MemoryCall, number> = { read: 0, write: 0, closeWrite: 0, close: 0 };

  readonly #options: MemoryConnOptions;
  readonly #incoming: Pipe;
  readonly #outgoing: Pipe;
  #closed = false;

  /** Use {@linkcode memoryPair} instead, which creates both ends. */
  constructor(names: [string, string], pipes: [unknown, unknown], options: MemoryConnOptions) {
    this.localAddr = { transport: "memory", name: names[0] };
    this.remoteAddr = { transport: "memory", name: names[1] };
    this.#incoming = pipes[0] as Pipe;
    this.#outgoing = pipes[1] as Pipe;
    this.#options = options;
  }

  /** Whether this end is closed. */
  get closed(): boolean {
    return this.#closed;
  }

  /**
   * Reads into `p` from the next write of the other end, and waits for one if there is none.
   *
   * @returns The number of bytes, or `null` at EOF.
   */
  async read(p: Uint8Array): Promise<number | null> {
    this.#count("read");
    this.#checkOpen();
    if (p.length === 0) return 0;
    const into = p.subarray(0, this.#options.maxReadBytes ?? Infinity);
    while (this.#incoming.empty) {
      if (this.#incoming.error) throw this.#takeError(this.#incoming);
      if (this.#incoming.ended) return null;
      await this.#incoming.changed();
      if (this.#closed) throw networkError("Interrupted", "EINTR", "operation canceled");
    }
    return this.#incoming.take(into);
  }

  /**
   * Writes from `p`, and waits while `capacity` is reached. Copies what it takes.
   *
   * @returns How many bytes were taken, maybe not all.
   */
  async write(p: Uint8Array): Promise<number> {
    this.#count("write");
    this.#checkOpen();
    while (p.length > 0) {
      if (this.#outgoing.error) throw this.#takeError(this.#outgoing);
      if (this.#outgoing.ended) throw networkError("BrokenPipe", "EPIPE", "Broken pipe (os error 32)");
      const count = Math.min(p.length, this.#outgoing.space, this.#options.maxWriteBytes ?? Infinity);
      if (count > 0) {
        this.#outgoing.put(p.subarray(0, count));
        return count;
      }
      await this.#outgoing.changed();
      if (this.#closed) throw networkError("Interrupted", "EINTR", "operation canceled");
    }
    return 0;
  }

  /** Ends this side: the other end reads EOF after what was written. */
  // deno-lint-ignore require-await -- an error rejects, as on a socket
  async closeWrite(): Promise<void> {
    this.#count("closeWrite");
    this.#checkOpen();
    this.#outgoing.ended = true;
    this.#outgoing.notify();
  }

  /** Closes both directions. The other end can still read what was written. */
  close(): void {
    this.#count("close");
    this.#checkOpen();
    this.#closed = true;
    this.#incoming.drop();
    this.#incoming.ended = this.#outgoing.ended = true;
    this.#incoming.notify();
    this.#outgoing.notify();
  }

  /**
   * Closes both directions like a TCP reset. Once the other end has read what was written, its next read or write
   * rejects with "ConnectionReset".
   */
  reset(): void {
    this.#checkOpen();
    this.#incoming.error = this.#outgoing.error = networkError(
      "ConnectionReset",
      "ECONNRESET",
      "Connection reset by peer (os error 104)",
    );
    this.close();
  }

  /** Writes all of `data`; text as UTF-8. */
  async send(data: string | Uint8Array): Promise<void> {
    let rest = typeof data === "string" ? new TextEncoder().encode(data) : data;
    while (rest.length > 0) rest = rest.subarray(await this.write(rest));
  }

  /** Writes each piece, and waits until the other end has read it. */
  async sendInPieces(pieces: Iterable<string | Uint8Array>): Promise<void> {
    for (const piece of pieces) {
      await this.send(piece);
      while (!this.#outgoing.empty && !this.#outgoing.ended) await this.#outgoing.changed();
    }
  }

  /** Reads `size` bytes, or to EOF if that comes first. */
  async receive(size = Infinity): Promise<Uint8Array> {
    const parts: Uint8Array[] = [];
    let length = 0;
    while (length < size) {
      const part = new Uint8Array(Math.min(size - length, 65_536));
      const count = await this.read(part);
      if (count === null) break;
      parts.push(part.subarray(0, count));
      length += count;
    }
    return concat(parts);
  }

  /** Reads like `receive`, and decodes as UTF-8. */
  async receiveText(size = Infinity): Promise<string> {
    return new TextDecoder().decode(await this.receive(size));
  }

  /** Closes this end if it is open. */
  [Symbol.dispose](): void {
    if (!this.#closed) this.close();
  }

  #count(call: MemoryCall): void {
    const nth = ++this.calls[call];
    const { fail } = this.#options;
    if (fail?.call === call && fail.nth === nth) throw fail.error;
  }

  #checkOpen(): void {
    if (this.#closed) throw networkError("BadResource", "EBADF", "Bad resource ID");
  }

  #takeError(pipe: Pipe): Error {
    const error = pipe.error!;
    pipe.error = null;
    return error;
  }
}

/**
 * Creates a connection in memory: two ends, each of which reads what the other writes.
 *
 * @param ours Options of the first end, by convention that of the chat under test.
 * @param theirs Options of the second end, the peer.
 */
export function memoryPair(
  ours: MemoryConnOptions = {},
  theirs: MemoryConnOptions = {},
): [ours: MemoryConn, theirs: MemoryConn] {
  const there = new Pipe(ours.capacity ?? 65_536);
  const back = new Pipe(theirs.capacity ?? 65_536);
  return [
    new MemoryConn(["ours", "theirs"], [back, there], ours),
    new MemoryConn(["theirs", "ours"], [there, back], theirs),
  ];
}

/** A connection whose peer follows a script: see {@linkcode scriptedConn}. */
export interface ScriptedConn {
  /** The end of the chat under test. */
  conn: MemoryConn;
  /** All that the chat wrote. Fulfills when it closes or half-closes the connection, at any point of the script. */
  written: Promise<string>;
}

/**
 * Creates a connection whose peer sends `pieces`, one write each, then ends its side, and reads to EOF.
 *
 * @param pieces What the peer sends; text as UTF-8.
 * @param options Options of the chat's end.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { AsyncChat } from "@asynchat/asynchat";
 * import { scriptedConn } from "@asynchat/asynchat/testing";
 *
 * class Echo extends AsyncChat {
 *   protected override handleConnect() {
 *     this.setTerminator("\n");
 *   }
 *   protected override foundTerminator() {
 *     this.push(`${this.takeText()}\n`);
 *   }
 * }
 *
 * const { conn, written } = scriptedConn(["a\nb", "c\n"]);
 * await new Echo(conn).run();
 * assertEquals(await written, "a\nbc\n");
 * ```
 */
export function scriptedConn(pieces: Iterable<string | Uint8Array>, options: MemoryConnOptions = {}): ScriptedConn {
  const [conn, peer] = memoryPair(options, { capacity: Infinity });
  return { conn, written: play(peer, pieces) };
}

async function play(peer: MemoryConn, pieces: Iterable<string | Uint8Array>): Promise<string> {
  try {
    for (const piece of pieces) await peer.send(piece);
  } catch {
    // the chat closed early: what it wrote can still be read
  }
  await peer.closeWrite();
  const written = await peer.receiveText();
  peer.close();
  return written;
}

/** Creates an error with the name and code of a network error. */
function networkError(name: string, code: string, message: string): Error {
  return Object.assign(new Error(message), { name, code });
}
