/**
 * What is to be sent, in order: bytes, and producers that make bytes when asked. Whoever writes pulls:
 *
 * 1. while `source()` gives one, pull it and hand what it made to `feed()`;
 * 2. `peek()` gives the bytes to write next, `advance(n)` says how many of them the connection took;
 * 3. with neither, all that was pushed is written; `sealed` says that nothing more will come.
 *
 * Small pieces are copied into blocks, so what was pushed in one turn is one write; large ones are lent until written.
 * Nobody appends to a block that a write has: the kernel may still be reading it.
 */

import type { Source } from "./producer.ts";

/** Above this a copy costs more than the write it saves. */
const LARGEST_COPY = 16_384;
/** A block is written when it has grown to this: asyncore's `ac_out_buffer_size`. */
const LARGEST_BLOCK = 65_536;
const SMALLEST_BLOCK = 512;

/** Blocks that were written, to be used again by whoever comes next: a new one takes longer than a short answer. */
const spare: Uint8Array[] = [];
const MOST_SPARE = 32;
const LARGEST_SPARE = 8192;

const encoder = new TextEncoder();

/** Up to here a loop is faster than a view and a call of what is native. */
const SHORT = 32;

/** Bytes ready to be written: what `bytes` has from `start` to `end`. */
interface Chunk {
  bytes: Uint8Array; //  of a block, the whole of it
  start: number; //      what is before has been written
  end: number;
  view: Uint8Array | null; // of these, made when it is asked for
  isBlock: boolean; //   ours, and may be added to; else the bytes are lent
  ticket: number; //     the last push that is in here to its end
}

/** A producer, or bytes behind one. Linked, as taking the first of a long array moves the others. */
interface Waiting {
  source: Source | null;
  bytes: Uint8Array;
  ticket: number;
  next: Waiting | null;
}

/** A queue of bytes and producers. */
export class WriteQueue {
  // Chunks go first, all of them; then what waits behind a producer, that producer at the head.
  readonly #chunks: Chunk[] = [];
  #waiting: Waiting | null = null;
  #lastWaiting: Waiting | null = null;
  #writing: Chunk | null = null; // the chunk that peek() gave
  #ready = 0; //        bytes in #chunks
  #behind = 0; //       bytes in #waiting
  #lent = 0; //         chunks in #chunks that are lent
  #sources = 0; //      producers in #waiting
  #pushCount = 0; //      pushes so far
  #written = 0; //      the last push that is written, it and all before it
  #sealed = false;

  /** Bytes pushed, or made by a producer, and not yet written. */
  get bufferedAmount(): number {
    return this.#ready + this.#behind;
  }

  /** How many pushes there have been. */
  get pushCount(): number {
    return this.#pushCount;
  }

  /** The number of the last push that has been written with all before it. */
  get writtenCount(): number {
    return this.#written;
  }

  /** Whether there is nothing to write and no producer to pull. */
  get empty(): boolean {
    return this.#chunks.length === 0 && this.#waiting === null;
  }

  /** Whether nothing more may be pushed. */
  get sealed(): boolean {
    return this.#sealed;
  }

  /** How many producers are at work or wait. */
  get sources(): number {
    return this.#sources;
  }

  /** The producer at work or next at work, whether it is to be asked now or not. */
  get current(): Source | null {
    return this.#waiting?.source ?? null;
  }

  /** Puts bytes, or text as UTF-8, at the end of the queue. Large bytes are lent until they are written. */
  push(data: Uint8Array | string): void {
    const ticket = ++this.#pushCount;
    if (this.#waiting !== null) {
      const bytes = typeof data === "string"
        ? encoder.encode(data)
        : data.length > LARGEST_COPY
        ? data
        : new Uint8Array(data);
      this.#wait({ source: null, bytes, ticket, next: null });
      this.#behind += bytes.length;
    } else if (typeof data === "string") {
      this.#appendText(data, ticket);
    } else {
      this.#append(data, ticket);
    }
  }

  /** Puts a producer at the end of the queue. */
  pushSource(source: Source): void {
    this.#sources++;
    this.#wait({ source, bytes: NOTHING, ticket: ++this.#pushCount, next: null });
  }

  /** Nothing more will be pushed. */
  seal(): void {
    this.#sealed = true;
  }

  /** The producer to ask now; `null` when there is none, or what it made before is to be written first. */
  source(): Source | null {
    // A lent piece is the producer's own buffer as like as not: it is not asked again before that is written.
    return this.#lent > 0 || this.#ready >= LARGEST_BLOCK ? null : this.current;
  }

  /** Takes in what the producer that `source()` gave has made; `null` is its end. One that was dropped meanwhile is not heard. */
  feed(source: Source, piece: Uint8Array | null): void {
    const first = this.#waiting;
    if (first?.source !== source) return;
    if (piece !== null) return this.#append(piece, first.ticket - 1);
    this.#sources--;
    this.#done(first.ticket);
    let next = first.next;
    for (; next !== null && next.source === null; next = next.next) { // bytes that waited for this producer only
      this.#behind -= next.bytes.length;
      this.#append(next.bytes, next.ticket);
    }
    this.#waiting = next;
    if (next === null) this.#lastWaiting = null;
  }

  /** The bytes to write next; they stay as they are until `advance()`. `null` when none are ready. */
  peek(): Uint8Array | null {
    const chunk = this.#chunks[0];
    if (chunk === undefined) return null;
    this.#writing = chunk;
    return viewOf(chunk);
  }

  /**
   * The first `count` of the bytes that `peek()` gave have been written.
   *
   * @throws {RangeError} when they were fewer, or it is not a count at all
   */
  advance(count: number): void {
    const chunk = this.#writing;
    if (chunk === null) return; // they were dropped meanwhile
    const size = chunk.end - chunk.start;
    if (!(Number.isInteger(count) && count >= 0 && count <= size)) {
      throw new RangeError(`Cannot go on writing: the connection says ${count} of ${size} bytes are written`);
    }
    this.#ready -= count;
    if (count < size) {
      chunk.start += count;
      chunk.view = null;
      return;
    }
    this.#writing = null;
    this.#chunks.shift();
    if (!chunk.isBlock) this.#lent--;
    else if (chunk.bytes.length <= LARGEST_SPARE && spare.length < MOST_SPARE) spare.push(chunk.bytes);
    this.#written = chunk.ticket;
  }

  /** Whether bytes are being written at this moment. */
  get writing(): boolean {
    return this.#writing !== null;
  }

  /** Drops everything and says which producers were waiting, the one at work first. */
  clear(): Source[] {
    const sources: Source[] = [];
    for (let each = this.#waiting; each !== null; each = each.next) if (each.source !== null) sources.push(each.source);
    this.#chunks.length = 0;
    this.#waiting = this.#lastWaiting = null;
    this.#writing = null;
    this.#ready =
      this.#behind =
      this.#lent =
      this.#sources =
        0;
    this.#written = this.#pushCount;
    return sources;
  }

  /** The bytes that have not been written, in order. */
  unsent(): Uint8Array[] {
    return this.#chunks.map(viewOf);
  }

  #wait(entry: Waiting): void {
    if (this.#waiting === null) this.#waiting = entry;
    else this.#lastWaiting!.next = entry;
    this.#lastWaiting = entry;
  }

  #append(data: Uint8Array, ticket: number): void {
    const { length } = data;
    if (length > LARGEST_COPY) {
      this.#chunks.push({ bytes: data, start: 0, end: length, view: data, isBlock: false, ticket });
      this.#ready += length;
      this.#lent++;
    } else if (length > 0) {
      const chunk = this.#blockFor(length);
      const { bytes, end } = chunk;
      if (length > SHORT) bytes.set(data, end);
      else for (let i = 0; i < length; i++) bytes[end + i] = data[i]!;
      this.#grow(chunk, length, ticket);
    } else {
      this.#done(ticket);
    }
  }

  #appendText(text: string, ticket: number): void {
    const most = 3 * text.length; // a UTF-16 unit is at most three bytes of UTF-8
    if (most > LARGEST_COPY) {
      this.#append(encoder.encode(text), ticket);
    } else if (most > 0) {
      const chunk = this.#blockFor(most);
      const { bytes, end } = chunk;
      const isPut = text.length <= SHORT && putAscii(text, bytes, end);
      this.#grow(chunk, isPut ? text.length : encoder.encodeInto(text, bytes.subarray(end)).written, ticket);
    } else {
      this.#done(ticket);
    }
  }

  /** The last chunk, if it is a block that may grow and has room or can be given it, or a new one. */
  #blockFor(size: number): Chunk {
    const last = this.#chunks.at(-1);
    if (last !== undefined && last.isBlock && last !== this.#writing) {
      const needed = last.end + size;
      if (needed <= last.bytes.length) return last;
      if (needed <= LARGEST_BLOCK) {
        last.bytes = enlarge(
          last.bytes.subarray(0, last.end),
          Math.min(Math.max(needed, 4 * last.bytes.length), LARGEST_BLOCK),
        );
        return last;
      }
    }
    const used = spare.pop();
    const bytes = used !== undefined && size <= used.length ? used : new Uint8Array(Math.max(size, SMALLEST_BLOCK));
    const chunk = { bytes, start: 0, end: 0, view: null, isBlock: true, ticket: 0 };
    this.#chunks.push(chunk);
    return chunk;
  }

  #grow(chunk: Chunk, size: number, ticket: number): void {
    chunk.end += size;
    chunk.view = null;
    chunk.ticket = ticket;
    this.#ready += size;
  }

  /** A push with nothing left to write: it is written when all before it is. */
  #done(ticket: number): void {
    const last = this.#chunks.at(-1);
    if (last === undefined) this.#written = ticket;
    else last.ticket = ticket;
  }
}

const NOTHING = new Uint8Array(0);

function viewOf(chunk: Chunk): Uint8Array {
  return chunk.view ??= chunk.bytes.subarray(chunk.start, chunk.end);
}

/** Puts text where it is ASCII. Whether it was; if not, what stands there is to be overwritten. */
function putAscii(text: string, bytes: Uint8Array, at: number): boolean {
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (unit > 0x7f) return false;
    bytes[at + i] = unit;
  }
  return true;
}

function enlarge(bytes: Uint8Array, size: number): Uint8Array {
  const larger = new Uint8Array(size);
  larger.set(bytes);
  return larger;
}
