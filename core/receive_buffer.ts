/**
 * The bytes that have been read and not yet handed on.
 *
 * A reader asks for free space with `reserve()`, lets the connection write into it, and says with `commit(n)` how much came.
 * Between the two nothing moves, so a read may stay pending for as long as it likes. Whoever takes bytes away advances the
 * front; they stay where they are until the next `reserve()`, so a view handed out is good until then.
 *
 * The space follows the traffic: a read that fills it doubles the next, two that barely use it halve it.
 */

/** The space for the first read: most commands fit, and ten thousand idle connections cost ten megabytes. */
const SMALLEST_READ = 1024;

const NOTHING = new Uint8Array(0);

/** One growable run of bytes, filled at the back and emptied at the front. */
export class ReceiveBuffer {
  readonly #largestRead: number;
  #storage = NOTHING;
  #filled = NOTHING; //   the storage up to the last byte that came: what a search may look at
  #start = 0; //          the first byte not yet handed on
  #space: number; //      how much to offer to the next read
  #reserved = 0; //       how much the read that is on its way was offered
  #quietReads = 0; //     reads in a row that used less than a quarter of it

  constructor(largestRead: number, unread: Uint8Array = NOTHING) {
    this.#largestRead = largestRead;
    this.#space = Math.min(SMALLEST_READ, largestRead);
    if (unread.length > 0) this.#storage = this.#filled = new Uint8Array(unread);
  }

  /** How many bytes wait. */
  get length(): number {
    return this.#filled.length - this.#start;
  }

  /** The storage from its beginning to the last byte that came; what waits lies from `start` on. */
  get filled(): Uint8Array {
    return this.#filled;
  }

  /** Where in `filled` the first waiting byte is. */
  get start(): number {
    return this.#start;
  }

  /** Free space for the next read. Views handed out before are void from here on. */
  reserve(): Uint8Array {
    const kept = this.length;
    const capacity = kept + this.#space;
    if (this.#storage.length < capacity || this.#storage.length > 2 * capacity) {
      const storage = new Uint8Array(capacity + kept); // else a tail that grows by a byte a read moves the storage each time
      storage.set(this.#filled.subarray(this.#start));
      this.#storage = storage;
    } else if (this.#start > 0) {
      this.#storage.copyWithin(0, this.#start, this.#start + kept);
    }
    this.#start = 0;
    this.#filled = this.#storage.subarray(0, kept);
    this.#reserved = this.#space;
    return this.#storage.subarray(kept, capacity);
  }

  /**
   * Takes in the first `count` bytes of the space that `reserve()` gave.
   *
   * @throws {RangeError} when that is more than was reserved, or not a count at all
   */
  commit(count: number): void {
    if (!(Number.isInteger(count) && count >= 0 && count <= this.#reserved)) {
      throw new RangeError(`Cannot commit a read: it says ${count} bytes, 0 to ${this.#reserved} are wanted`);
    }
    this.#reserved = 0;
    this.#filled = this.#storage.subarray(0, this.#filled.length + count);
    if (count === this.#space) {
      this.#quietReads = 0;
      this.#space = Math.min(2 * this.#space, this.#largestRead);
    } else if (count >= this.#space / 4) {
      this.#quietReads = 0;
    } else if (++this.#quietReads === 2) {
      this.#quietReads = 0;
      this.#space = Math.max(this.#space / 2 | 0, Math.min(SMALLEST_READ, this.#largestRead));
    }
  }

  /** Moves the front past `count` bytes, which stay readable until the next `reserve()`. */
  consume(count: number): void {
    this.#start += count;
  }

  /** Forgets what waits. */
  clear(): void {
    this.#start = this.#filled.length;
  }
}
