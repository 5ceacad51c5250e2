/**
 * Holds the bytes that have been read and not yet consumed.
 *
 * A read takes free space with `reserve()`, writes into it, and reports with `commit(n)` how many bytes came. `consume(n)`
 * advances the front.
 *
 * Invariants: nothing moves except in `reserve()`, so a read may stay pending indefinitely, and a view of `filled` is valid until
 * the next `reserve()`; free space never overlaps bytes that wait; memory is at most twice
 * the waiting bytes and the next read's space together.
 * The space adapts to the traffic: a read that fills it doubles the next, two in a row that use less than a quarter halve it.
 */

/** The space for the first read. Most commands fit, and 10,000 idle connections cost 10 MB. */
const MIN_READ = 1024;

/** As many reads of 0 bytes in a row are an error: Go's `maxConsecutiveEmptyReads`. */
const MAX_EMPTY_READS = 100;

const EMPTY = new Uint8Array(0);

/** A growable run of bytes, filled at the back and consumed at the front. */
export class ReceiveBuffer {
  readonly #maxRead: number;
  #storage = EMPTY;
  #filled = EMPTY; //     the storage up to the last byte
  #start = 0; //          the first byte not consumed
  #readSize: number; //   space for the next read
  #reserved = 0; //       space of the pending read
  #smallReads = 0; //     in a row, each below a quarter
  #emptyReads = 0; //     in a row

  /**
   * @param maxRead The largest read in bytes.
   * @param unread Bytes received before; copied, and not bounded by `maxRead`.
   */
  constructor(maxRead: number, unread: Uint8Array = EMPTY) {
    this.#maxRead = maxRead;
    this.#readSize = Math.min(MIN_READ, maxRead);
    if (unread.length > 0) this.#storage = this.#filled = new Uint8Array(unread);
  }

  /** How many bytes wait to be consumed. */
  get length(): number {
    return this.#filled.length - this.#start;
  }

  /** The storage from its beginning to the last byte received; bytes before `start` are consumed. */
  get filled(): Uint8Array {
    return this.#filled;
  }

  /** The offset of the first waiting byte in `filled`. */
  get start(): number {
    return this.#start;
  }

  /** Returns free space for the next read. Views of `filled` are invalid from here on. */
  reserve(): Uint8Array {
    const kept = this.length;
    const capacity = kept + this.#readSize;
    if (this.#storage.length < capacity || this.#storage.length > 2 * capacity) {
      const storage = new Uint8Array(capacity + kept); // spare room: a tail growing by a byte a read must not move it each time
      storage.set(this.#filled.subarray(this.#start));
      this.#storage = storage;
    } else if (this.#start > 0) {
      this.#storage.copyWithin(0, this.#start, this.#start + kept);
    }
    this.#start = 0;
    this.#filled = this.#storage.subarray(0, kept);
    this.#reserved = this.#readSize;
    return this.#storage.subarray(kept, capacity);
  }

  /**
   * Takes in the first `count` bytes of the space that `reserve()` returned.
   *
   * @throws {RangeError} when `count` is not a whole number from 0 to the size of that space
   * @throws {Error} when `count` is 0 for the hundredth time in a row
   */
  commit(count: number): void {
    if (!(Number.isInteger(count) && count >= 0 && count <= this.#reserved)) {
      throw new RangeError(`Cannot commit a read: got ${count} bytes, expected 0 to ${this.#reserved}`);
    }
    this.#reserved = 0;
    this.#emptyReads = count === 0 ? this.#emptyReads + 1 : 0;
    if (this.#emptyReads === MAX_EMPTY_READS) {
      throw new Error(`Cannot read: the connection returned 0 bytes ${MAX_EMPTY_READS} times in a row`);
    }
    this.#filled = this.#storage.subarray(0, this.#filled.length + count);
    if (count === this.#readSize) {
      this.#smallReads = 0;
      this.#readSize = Math.min(2 * this.#readSize, this.#maxRead);
    } else if (count >= this.#readSize / 4) {
      this.#smallReads = 0;
    } else if (++this.#smallReads === 2) {
      this.#smallReads = 0;
      this.#readSize = Math.max(this.#readSize / 2 | 0, Math.min(MIN_READ, this.#maxRead));
    }
  }

  /** Advances the front by `count` bytes, which stay readable until the next `reserve()`. */
  consume(count: number): void {
    this.#start += count;
  }

  /** Discards the bytes that wait. */
  clear(): void {
    this.#start = this.#filled.length;
  }
}
