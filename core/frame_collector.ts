/**
 * Keeps the data of a frame for the default hooks, until it is taken.
 *
 * Outcomes of `takeData`: a copy cut from a slab of this collector, a copy in memory of its own (above `MAX_SLAB_COPY`), or the
 * storage itself (above `MAX_COPY`). In each case the caller owns the bytes; no memory is shared with another connection.
 *
 * Invariants: bytes are borrowed only while they are the only ones; the caller copies them with `copyBorrowed()` before they
 * move; no two results overlap; storage above `MAX_KEPT_CAPACITY` is not kept after a frame.
 */

import { decodeText } from "./text.ts";

const EMPTY = new Uint8Array(0);

/** Storage up to this size is reused for the next frame. */
const MAX_KEPT_CAPACITY = 4096;
/** Small results are cut from a slab: an allocation of their own costs four times as much. A kept one pins the slab. */
const MAX_SLAB_COPY = 256;
const SLAB_BYTES = 2048;
/** Above this a result is the storage itself. */
const MAX_COPY = 1_048_576;
/** Up to this a loop is faster than a view and a call of `set`. */
const MAX_LOOP_COPY = 32;

/** Joins pieces of a frame into one run of bytes. A single piece is borrowed, not copied. */
export class FrameCollector {
  #storage = EMPTY;
  #length = 0; // bytes in #storage
  #borrowed: Uint8Array = EMPTY; // the buffer of the only piece
  #borrowedStart = 0;
  #borrowedEnd = 0;
  #slab = EMPTY;
  #slabUsed = 0;

  /** How many bytes have been collected and not taken. */
  get length(): number {
    return this.#length + this.#borrowedEnd - this.#borrowedStart;
  }

  /** Adds `bytes` from `start` to `end`. The caller must not change them before `copyBorrowed()` or a take. */
  borrow(bytes: Uint8Array, start: number, end: number): void {
    if (this.length > 0) return this.add(bytes.subarray(start, end));
    this.#borrowed = bytes;
    this.#borrowedStart = start;
    this.#borrowedEnd = end;
  }

  /** Copies what was borrowed, so that the caller may reuse its buffer. */
  copyBorrowed(): void {
    if (this.#borrowedEnd === this.#borrowedStart) return;
    const data = this.#borrowed.subarray(this.#borrowedStart, this.#borrowedEnd);
    this.#dropBorrowed();
    this.add(data);
  }

  /** Appends a copy of `data`. */
  add(data: Uint8Array): void {
    this.copyBorrowed();
    const length = this.#length + data.length;
    if (length > this.#storage.length) {
      // The system commits a page at its first write, so large storage may grow by more, and is copied less often.
      const growth = length > MAX_COPY ? 4 : 2;
      const storage = new Uint8Array(Math.max(length, growth * this.#storage.length));
      storage.set(this.#storage.subarray(0, this.#length));
      this.#storage = storage;
    }
    this.#storage.set(data, this.#length);
    this.#length = length;
  }

  /** Returns and clears what was collected. The caller owns the bytes. */
  takeData(): Uint8Array {
    const length = this.#length;
    // For a large result the storage is handed over: a copy takes longer.
    const data = length > MAX_COPY
      ? this.#storage.subarray(0, length)
      : length > 0
      ? this.#copy(this.#storage, 0, length)
      : this.#copy(this.#borrowed, this.#borrowedStart, this.#borrowedEnd);
    this.clear();
    return data;
  }

  /** Returns and clears what was collected, decoded as UTF-8. Invalid bytes become U+FFFD. */
  takeText(): string {
    const text = this.#length > 0
      ? decodeText(this.#storage, 0, this.#length)
      : decodeText(this.#borrowed, this.#borrowedStart, this.#borrowedEnd);
    this.clear();
    return text;
  }

  /** Discards what was collected. */
  clear(): void {
    this.#dropBorrowed();
    this.#length = 0;
    if (this.#storage.length > MAX_KEPT_CAPACITY) this.#storage = EMPTY;
  }

  #dropBorrowed(): void {
    this.#borrowed = EMPTY;
    this.#borrowedStart = this.#borrowedEnd = 0;
  }

  #copy(bytes: Uint8Array, start: number, end: number): Uint8Array {
    const size = end - start;
    if (size > MAX_SLAB_COPY) return bytes.slice(start, end);
    // Its length is 0 at first, and once a caller has transferred its buffer; then it may not be used for an empty frame either.
    if (size > this.#slab.length - this.#slabUsed || this.#slab.length === 0) {
      this.#slab = new Uint8Array(SLAB_BYTES);
      this.#slabUsed = 0;
    }
    const copy = new Uint8Array(this.#slab.buffer, this.#slabUsed, size); // subarray() looks up the species first
    this.#slabUsed += size + 7 & ~7; // aligned for any typed array, as Node's pool
    if (size > MAX_LOOP_COPY) copy.set(bytes.subarray(start, end));
    else for (let i = 0; i < size; i++) copy[i] = bytes[start + i]!;
    return copy;
  }
}
