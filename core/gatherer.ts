/** Where the default `collectIncomingData` keeps the pieces of a frame until they are taken. */

const NOTHING = new Uint8Array(0);
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** Room kept from one frame to the next; what a longer one needed is given back. */
const KEPT_CAPACITY = 4096;

/** Joins pieces of bytes into one run. */
export class Gatherer {
  #storage = NOTHING;
  #length = 0;

  /** How many bytes have been gathered and not taken. */
  get length(): number {
    return this.#length;
  }

  /** Copies `data` behind what is there. */
  add(data: Uint8Array): void {
    const length = this.#length + data.length;
    if (length > this.#storage.length) {
      const storage = new Uint8Array(Math.max(length, 2 * this.#storage.length));
      storage.set(this.#storage.subarray(0, this.#length));
      this.#storage = storage;
    }
    this.#storage.set(data, this.#length);
    this.#length = length;
  }

  /** What was gathered, as bytes that the caller owns; then it is empty. */
  takeData(): Uint8Array {
    const data = this.#storage.slice(0, this.#length);
    this.clear();
    return data;
  }

  /** What was gathered, decoded as UTF-8 with U+FFFD for what is not; then it is empty. */
  takeText(): string {
    const text = decoder.decode(this.#storage.subarray(0, this.#length));
    this.clear();
    return text;
  }

  /** Forgets what was gathered. */
  clear(): void {
    this.#length = 0;
    if (this.#storage.length > KEPT_CAPACITY) this.#storage = NOTHING;
  }
}
