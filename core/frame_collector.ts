/** Where the default collector keeps the data of a frame until it is taken. */

import { decodeText } from "./text.ts";

const NOTHING = new Uint8Array(0);

/** Room kept from one frame to the next; what a longer one needed is given back. */
const KEPT_CAPACITY = 4096;
/** What is taken is cut from a common slab, up to half a slab: memory of its own costs ten times as much. Node's `Buffer.poolSize`. */
const SLAB_BYTES = 8192;
/** Above this what is taken is not copied. */
const LARGE = 1_048_576;
/** Up to here a loop is faster than a view and a call of `set`. */
const SHORT_COPY = 32;

let slab: Uint8Array = NOTHING;
let slabUsed = 0;

/** Joins pieces of bytes into one run. One that comes alone is not copied before it has to be. */
export class FrameCollector {
  #storage = NOTHING;
  #length = 0; //           bytes in #storage
  #lent: Uint8Array = NOTHING; // the first piece, while it may lie where it is and is the only one
  #lentStart = 0;
  #lentEnd = 0;

  /** How many bytes have been gathered and not taken. */
  get length(): number {
    return this.#length + this.#lentEnd - this.#lentStart;
  }

  /** Adds `bytes` from `start` to `end`, which stay as they are until `keep()`. */
  borrow(bytes: Uint8Array, start: number, end: number): void {
    if (this.length > 0) return this.add(bytes.subarray(start, end));
    this.#lent = bytes;
    this.#lentStart = start;
    this.#lentEnd = end;
  }

  /** Copies what was lent. */
  copyBorrowed(): void {
    if (this.#lentEnd === this.#lentStart) return;
    const data = this.#lent.subarray(this.#lentStart, this.#lentEnd);
    this.#giveBack();
    this.add(data);
  }

  /** Copies `data` behind what is there. */
  add(data: Uint8Array): void {
    this.copyBorrowed();
    const length = this.#length + data.length;
    if (length > this.#storage.length) {
      // Pages that nothing is written to are not there yet, so that a large storage may grow by more, to be copied less often.
      const growth = length > LARGE ? 4 : 2;
      const storage = new Uint8Array(Math.max(length, growth * this.#storage.length));
      storage.set(this.#storage.subarray(0, this.#length));
      this.#storage = storage;
    }
    this.#storage.set(data, this.#length);
    this.#length = length;
  }

  /** What was gathered, as bytes that the caller owns; then it is empty. */
  takeData(): Uint8Array {
    const length = this.#length;
    // A large run is handed over with the storage that it lies in: to copy it takes longer.
    const data = length > LARGE
      ? this.#storage.subarray(0, length)
      : length > 0
      ? copyOf(this.#storage, 0, length)
      : copyOf(this.#lent, this.#lentStart, this.#lentEnd);
    this.clear();
    return data;
  }

  /** What was gathered, decoded as UTF-8 with U+FFFD for what is not; then it is empty. */
  takeText(): string {
    const text = this.#length > 0
      ? decodeText(this.#storage, 0, this.#length)
      : decodeText(this.#lent, this.#lentStart, this.#lentEnd);
    this.clear();
    return text;
  }

  /** Forgets what was gathered. */
  clear(): void {
    this.#giveBack();
    this.#length = 0;
    if (this.#storage.length > KEPT_CAPACITY) this.#storage = NOTHING;
  }

  #giveBack(): void {
    this.#lent = NOTHING;
    this.#lentStart = this.#lentEnd = 0;
  }
}

function copyOf(bytes: Uint8Array, start: number, end: number): Uint8Array {
  const size = end - start;
  if (size > SLAB_BYTES / 2) return bytes.slice(start, end);
  if (size > slab.length - slabUsed) { // also when somebody has transferred it: then its length is 0
    slab = new Uint8Array(SLAB_BYTES);
    slabUsed = 0;
  }
  const copy = new Uint8Array(slab.buffer, slabUsed, size); // subarray() would look for a species first
  slabUsed += size + 7 & ~7; // so that a DataView's typed cousins fit on it, as on a Buffer
  if (size > SHORT_COPY) copy.set(bytes.subarray(start, end));
  else for (let i = 0; i < size; i++) copy[i] = bytes[start + i]!;
  return copy;
}
