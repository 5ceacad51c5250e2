import { concat } from "@std/bytes/concat";
import type { ChatConn } from "../chat/options.ts";

/** The calls of a connection that can be made to fail. */
export type MemoryCall = "read" | "write" | "closeWrite" | "close";

/** How one end of a {@linkcode memoryPair} behaves. Every member may be left out. */
export interface MemoryConnOptions {
  /**
   * The most bytes that one read gives. A read never gives more than one write of the other end had.
   *
   * @default {Infinity}
   */
  maxReadBytes?: number;
  /**
   * The most bytes that one write takes: with less than was asked, writes are short, as they are on a socket.
   *
   * @default {Infinity}
   */
  maxWriteBytes?: number;
  /**
   * How many bytes may be on their way to the other end; a write waits for room beyond that.
   *
   * @default {65536}
   */
  capacity?: number;
  /** Makes the `nth` call of this kind, counted from 1, reject (or throw, for `close`) with `error`. It has no other effect. */
  fail?: { call: MemoryCall; nth: number; error: Error };
}

/** One direction: what one end wrote and the other has not read. */
class Pipe {
  readonly #capacity: number;
  #pieces: Uint8Array[] = [];
  #size = 0;
  ended = false; //              the writing end will write no more
  error: Error | null = null; // what a read and a write get once the pieces are gone
  #wake: (() => void)[] = [];

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  get room(): number {
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

  /** Waits until something has changed. */
  changed(): Promise<void> {
    return new Promise((resolve) => this.#wake.push(resolve));
  }

  notify(): void {
    for (const wake of this.#wake.splice(0)) wake();
  }
}

/**
 * One end of a connection that needs no network: what one end writes the other reads, in pieces as they were written.
 *
 * It behaves as `Deno.TcpConn` does: closing rejects a pending read with an error named "Interrupted", a closed peer makes
 * reads end and writes fail with "BrokenPipe", a half-closed one may still be written to, and the other way round.
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
  /** Our end's address. */
  readonly localAddr: { transport: "memory"; name: string };
  /** The other end's address. */
  readonly remoteAddr: { transport: "memory"; name: string };
  /** How often each call was made. */
  readonly calls: Record<MemoryCall, number> = { read: 0, write: 0, closeWrite: 0, close: 0 };

  readonly #options: MemoryConnOptions;
  readonly #incoming: Pipe;
  readonly #outgoing: Pipe;
  #closed = false;

  /** Use {@linkcode memoryPair}: an end alone has nobody to talk to. */
  constructor(names: [string, string], pipes: [unknown, unknown], options: MemoryConnOptions) {
    this.localAddr = { transport: "memory", name: names[0] };
    this.remoteAddr = { transport: "memory", name: names[1] };
    this.#incoming = pipes[0] as Pipe;
    this.#outgoing = pipes[1] as Pipe;
    this.#options = options;
  }

  /** Whether this end was closed. */
  get closed(): boolean {
    return this.#closed;
  }

  /** Reads what the other end wrote, at most one of its pieces; waits for one; `null` when there will be none. */
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

  /** Writes, maybe not all; waits while the other end has enough to read. */
  async write(p: Uint8Array): Promise<number> {
    this.#count("write");
    this.#checkOpen();
    while (p.length > 0) {
      if (this.#outgoing.error) throw this.#takeError(this.#outgoing);
      if (this.#outgoing.ended) throw networkError("BrokenPipe", "EPIPE", "Broken pipe (os error 32)");
      const count = Math.min(p.length, this.#outgoing.room, this.#options.maxWriteBytes ?? Infinity);
      if (count > 0) {
        this.#outgoing.put(p.subarray(0, count));
        return count;
      }
      await this.#outgoing.changed();
      if (this.#closed) throw networkError("Interrupted", "EINTR", "operation canceled");
    }
    return 0;
  }

  /** Tells the other end that no more will be written. */
  // deno-lint-ignore require-await -- a fault is a rejection, as on a socket
  async closeWrite(): Promise<void> {
    this.#count("closeWrite");
    this.#checkOpen();
    this.#outgoing.ended = true;
    this.#outgoing.notify();
  }

  /** Ends both ways. What the other end has not read yet it still can. */
  close(): void {
    this.#count("close");
    this.#checkOpen();
    this.#closed = true;
    this.#incoming.drop();
    this.#incoming.ended = this.#outgoing.ended = true;
    this.#incoming.notify();
    this.#outgoing.notify();
  }

  /** Ends both ways as a reset does: the other end's next read or write rejects with "ConnectionReset", once it has read what came before. */
  reset(): void {
    this.#checkOpen();
    this.#incoming.error = this.#outgoing.error = networkError(
      "ConnectionReset",
      "ECONNRESET",
      "Connection reset by peer (os error 104)",
    );
    this.close();
  }

  /** Writes all of `data`, text as UTF-8. */
  async send(data: string | Uint8Array): Promise<void> {
    let rest = typeof data === "string" ? new TextEncoder().encode(data) : data;
    while (rest.length > 0) rest = rest.subarray(await this.write(rest));
  }

  /** Writes `data`, one write a piece, and gives the other end time to read each. */
  async sendInPieces(pieces: Iterable<string | Uint8Array>): Promise<void> {
    for (const piece of pieces) {
      await this.send(piece);
      while (!this.#outgoing.empty && !this.#outgoing.ended) await this.#outgoing.changed();
    }
  }

  /** Reads to the end, or until `size` bytes have come. */
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

  /** As `receive`, decoded as UTF-8. */
  async receiveText(size = Infinity): Promise<string> {
    return new TextDecoder().decode(await this.receive(size));
  }

  /** Closes this end unless it is closed. */
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
 * A connection without a network, as its two ends.
 *
 * @param ours How the first end behaves: by custom the one that the chat under test gets.
 * @param theirs How the second end behaves: the test's own.
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

/** An end whose peer's script has been written in advance; see {@linkcode scriptedConn}. */
export interface ScriptedConn {
  /** For the chat under test. */
  conn: MemoryConn;
  /** What the chat wrote, once it has closed or half-closed the connection; it may do so before it has heard everything. */
  written: Promise<string>;
}

/**
 * A connection whose peer says `pieces`, one a read, and then no more, and takes what it is sent.
 *
 * @param pieces What it says; text is UTF-8.
 * @param options How the connection behaves.
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
    // the chat has closed the connection: what it wrote before can still be read
  }
  await peer.closeWrite();
  const written = await peer.receiveText();
  peer.close();
  return written;
}

/** An error as the network's are: told by its name and code. */
function networkError(name: string, code: string, message: string): Error {
  return Object.assign(new Error(message), { name, code });
}
