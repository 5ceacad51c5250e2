/**
 * Queues output in order: bytes, and producers that make bytes when pulled. The writer drives it:
 *
 * 1. while `source()` returns a producer, the writer pulls it and passes the chunk to `feed()`;
 * 2. `peek()` returns the bytes to write next, `advance(n)` reports how many the connection has accepted;
 * 3. when both return `null`, all output is written; `sealed` means that no more will be pushed.
 *
 * Invariants: bytes leave in the order of the pushes; small pushes are copied into blocks, so what is pushed in one turn is one
 * write; larger ones are borrowed until written; a block is not appended to while it is being written, since the kernel may still
 * read it; a producer is not pulled while its last chunk is borrowed.
 */

import type { Source } from "./producer.ts";

/** Above this a copy costs more than the write that it saves. */
const MAX_COPY = 16_384;
/** The size at which a block is full: asyncore's `ac_out_buffer_size`. */
const MAX_BLOCK = 65_536;
const MIN_BLOCK = 512;

/** A written block up to this size is kept for the next push: allocating one takes longer than a short response. */
const MAX_SPARE_BLOCK = 8192;

const encoder = new TextEncoder();

/** Up to this a loop is faster than a view and a native call. */
const MAX_LOOP_COPY = 32;

/** Bytes ready to be written: `bytes` from `start` to `end`. */
interface Chunk {
  bytes: Uint8Array; //        the whole of a block
  start: number; //            bytes before it are written
  end: number;
  view: Uint8Array | null; //  of the range, created on demand
  isBlock: boolean; //         ours; else the bytes are borrowed
  pushNumber: number; //       the last push that ends here
}

/** A producer, or a chunk behind one. Linked, since shifting a long array moves all its elements. */
interface Waiting {
  source: Source | null;
  chunk: Chunk | null;
  pushNumber: number; // its own push
  lastPush: number; //   the last one that is complete with it
  next: Waiting | null;
}

/** An ordered queue of bytes and producers. */
export class WriteQueue {
  // All chunks are written first; then what waits behind a producer, with that producer at the head.
  readonly #chunks: Chunk[] = [];
  #waiting: Waiting | null = null;
  #lastWaiting: Waiting | null = null;
  #writing: Chunk | null = null; // returned by peek()
  #spareBlock: Uint8Array | null = null;
  #readyBytes = 0; //      in #chunks
  #waitingBytes = 0; //    in #waiting
  #borrowedChunks = 0; //  in #chunks
  #sources = 0; //         producers in #waiting
  #pushCount = 0;
  #writtenCount = 0; //    pushes written, with all before them
  #sealed = false;

  /** Bytes pushed, or made by a producer, and not written. */
  get bufferedAmount(): number {
    return this.#readyBytes + this.#waitingBytes;
  }

  /** How many pushes there have been. */
  get pushCount(): number {
    return this.#pushCount;
  }

  /** The number of the last push that is written together with all before it. */
  get writtenCount(): number {
    return this.#writtenCount;
  }

  /** Whether there is nothing to write and no producer to pull. */
  get empty(): boolean {
    return this.#chunks.length === 0 && this.#waiting === null;
  }

  /** Whether the first chunk is ready to be written. */
  get ready(): boolean {
    return this.#readyBytes > 0;
  }

  /** Whether nothing more may be pushed. */
  get sealed(): boolean {
    return this.#sealed;
  }

  /** How many producers are queued, the current one included. */
  get sources(): number {
    return this.#sources;
  }

  /** The first queued producer, whether it may be pulled now or not. */
  get current(): Source | null {
    return this.#waiting?.source ?? null;
  }

  /** Appends bytes, or text as UTF-8. Bytes above 16 KiB are borrowed until they are written. */
  push(data: Uint8Array | string): void {
    const pushNumber = ++this.#pushCount;
    if (typeof data === "string") this.#appendText(data, pushNumber);
    else this.#append(data, pushNumber, this.#waiting !== null);
  }

  /** Appends a producer. */
  pushSource(source: Source): void {
    const pushNumber = ++this.#pushCount;
    this.#sources++;
    this.#enqueue({ source, chunk: null, pushNumber, lastPush: pushNumber, next: null });
  }

  /** Declares that no more will be pushed. */
  seal(): void {
    this.#sealed = true;
  }

  /** Returns the producer to pull now; `null` when there is none, or output is to be written first. */
  source(): Source | null {
    // A borrowed chunk may be the producer's reused buffer: write it before pulling again.
    return this.#borrowedChunks > 0 || this.#readyBytes >= MAX_BLOCK ? null : this.current;
  }

  /** Appends a chunk of the producer that `source()` returned; `null` is its end. A producer that was dropped is ignored. */
  feed(source: Source, chunk: Uint8Array | null): void {
    const first = this.#waiting;
    if (first?.source !== source) return;
    if (chunk !== null) return this.#append(chunk, first.pushNumber - 1, false);
    this.#sources--;
    this.#completePush(first.lastPush, false);
    let next = first.next;
    for (; next !== null && next.source === null; next = next.next) this.#becomeReady(next.chunk!);
    this.#waiting = next;
    if (next === null) this.#lastWaiting = null;
  }

  /** Returns the bytes to write next, unchanged until `advance()`; `null` when none are ready. */
  peek(): Uint8Array | null {
    const chunk = this.#chunks[0];
    if (chunk === undefined) return null;
    this.#writing = chunk;
    return viewOf(chunk);
  }

  /**
   * Removes the first `count` of the bytes that `peek()` returned: the connection has accepted them.
   *
   * @throws {RangeError} when `count` is not a whole number from 0 to the number of those bytes
   */
  advance(count: number): void {
    const chunk = this.#writing;
    if (chunk === null) return; // dropped by clear() during the write
    const size = chunk.end - chunk.start;
    if (!(Number.isInteger(count) && count >= 0 && count <= size)) {
      throw new RangeError(`Cannot write: the connection reported ${count} bytes written, expected 0 to ${size}`);
    }
    this.#readyBytes -= count;
    if (count < size) {
      chunk.start += count;
      chunk.view = null;
      return;
    }
    this.#writing = null;
    this.#chunks.shift();
    if (chunk.isBlock) this.#keepSpare(chunk);
    else this.#borrowedChunks--;
    this.#writtenCount = chunk.pushNumber;
  }

  /** Releases the block that is kept for the next push; for a queue that has been idle. */
  trim(): void {
    this.#spareBlock = null;
  }

  /** Drops all output and counts it as written. Returns the queued producers in order, for the caller to cancel. */
  clear(): Source[] {
    const sources: Source[] = [];
    for (let each = this.#waiting; each !== null; each = each.next) if (each.source !== null) sources.push(each.source);
    this.#chunks.length = 0;
    this.#waiting = this.#lastWaiting = null;
    this.#writing = null;
    this.#readyBytes =
      this.#waitingBytes =
      this.#borrowedChunks =
      this.#sources =
        0;
    this.#writtenCount = this.#pushCount;
    return sources;
  }

  /** Returns the bytes that are ready and not written, in order. */
  unsent(): Uint8Array[] {
    return this.#chunks.map(viewOf);
  }

  #enqueue(entry: Waiting): void {
    if (this.#waiting === null) this.#waiting = entry;
    else this.#lastWaiting!.next = entry;
    this.#lastWaiting = entry;
  }

  /** Appends bytes, `behind` the producers or before them. */
  #append(data: Uint8Array, pushNumber: number, behind: boolean): void {
    const { length } = data;
    if (length > MAX_COPY) {
      this.#addChunk({ bytes: data, start: 0, end: length, view: data, isBlock: false, pushNumber }, behind);
      this.#count(length, behind);
    } else if (length > 0) {
      const chunk = this.#blockFor(length, behind);
      const { bytes, end } = chunk;
      if (length > MAX_LOOP_COPY) bytes.set(data, end);
      else for (let i = 0; i < length; i++) bytes[end + i] = data[i]!;
      this.#extend(chunk, length, pushNumber, behind);
    } else {
      this.#completePush(pushNumber, behind);
    }
  }

  #appendText(text: string, pushNumber: number): void {
    const behind = this.#waiting !== null;
    const maxBytes = 3 * text.length; // a UTF-16 unit is at most three bytes of UTF-8
    if (maxBytes > MAX_COPY) return this.#append(encoder.encode(text), pushNumber, behind);
    if (maxBytes === 0) return this.#completePush(pushNumber, behind);
    const chunk = this.#blockFor(maxBytes, behind);
    const { bytes, end } = chunk;
    const isWritten = text.length <= MAX_LOOP_COPY && writeAscii(text, bytes, end);
    const length = isWritten ? text.length : encoder.encodeInto(text, bytes.subarray(end)).written;
    this.#extend(chunk, length, pushNumber, behind);
  }

  /** Returns the last block, enlarged if need be, when `size` bytes may be appended to it; else a new block. */
  #blockFor(size: number, behind: boolean): Chunk {
    const last = behind ? this.#lastWaiting!.chunk : this.#chunks.at(-1);
    if (last?.isBlock && last !== this.#writing) {
      const needed = last.end + size;
      if (needed <= last.bytes.length) return last;
      if (needed <= MAX_BLOCK) {
        last.bytes = enlarge(
          last.bytes.subarray(0, last.end),
          Math.min(Math.max(needed, 4 * last.bytes.length), MAX_BLOCK),
        );
        return last;
      }
    }
    const spare = this.#spareBlock;
    const reuses = spare !== null && size <= spare.length;
    if (reuses) this.#spareBlock = null;
    const bytes = reuses ? spare : new Uint8Array(Math.max(size, MIN_BLOCK));
    const chunk = { bytes, start: 0, end: 0, view: null, isBlock: true, pushNumber: 0 };
    this.#addChunk(chunk, behind);
    return chunk;
  }

  #addChunk(chunk: Chunk, behind: boolean): void {
    const { pushNumber } = chunk;
    if (behind) return this.#enqueue({ source: null, chunk, pushNumber, lastPush: pushNumber, next: null });
    this.#chunks.push(chunk);
    if (!chunk.isBlock) this.#borrowedChunks++;
  }

  #extend(chunk: Chunk, size: number, pushNumber: number, behind: boolean): void {
    chunk.end += size;
    chunk.view = null;
    chunk.pushNumber = pushNumber;
    this.#count(size, behind);
  }

  #count(size: number, behind: boolean): void {
    if (behind) this.#waitingBytes += size;
    else this.#readyBytes += size;
  }

  /** The producer before this chunk has ended. A small one joins the block before it. */
  #becomeReady(chunk: Chunk): void {
    const size = chunk.end;
    this.#waitingBytes -= size;
    if (chunk.isBlock && size <= MAX_COPY) return this.#append(viewOf(chunk), chunk.pushNumber, false);
    this.#addChunk(chunk, false);
    this.#readyBytes += size;
  }

  /** Completes a push that has no bytes left: it counts as written with what is before it. */
  #completePush(pushNumber: number, behind: boolean): void {
    if (behind && this.#lastWaiting!.chunk === null) {
      this.#lastWaiting!.lastPush = pushNumber;
      return;
    }
    const last = behind ? this.#lastWaiting!.chunk! : this.#chunks.at(-1);
    if (last === undefined) this.#writtenCount = pushNumber;
    else last.pushNumber = pushNumber;
  }

  /** Keeps a written block for this queue alone, so that no byte can reach another connection. A large one must have been used. */
  #keepSpare({ bytes, end }: Chunk): void {
    const wasUsed = bytes.length <= MIN_BLOCK || end > bytes.length / 4;
    this.#spareBlock = wasUsed && bytes.length <= MAX_SPARE_BLOCK ? bytes : null;
  }
}

function viewOf(chunk: Chunk): Uint8Array {
  return chunk.view ??= chunk.bytes.subarray(chunk.start, chunk.end);
}

/** Writes ASCII text. Returns false when a character is not ASCII: the caller overwrites what was written. */
function writeAscii(text: string, bytes: Uint8Array, at: number): boolean {
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
