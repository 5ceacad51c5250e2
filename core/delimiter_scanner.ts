/**
 * Finds where a delimiter may begin, a window of the buffer at a time.
 *
 * For a short frame, a loop over its bytes or a call of `indexOf` costs more than all other work on the frame. So a WebAssembly
 * function scans a whole window, 16 bytes at a time, and notes the offsets of all candidates.
 *
 * Outcomes of `find`: the offset of the next candidate, or -1 when the buffer has none.
 *
 * Invariants: no occurrence is skipped; a candidate may be a false one, so the caller compares the whole; all scanners share one
 * list of offsets, and another scanner's scan invalidates it (`scanId`); while the list is valid, no byte is scanned twice. A
 * scanner that has lost the list restarts with a small window, so that connections taking turns cost little.
 */

const EMPTY = new Uint8Array(0);

const MIN_WINDOW = 256;
const MAX_WINDOW = 8192;
/** Below this a loop is faster than a copy into WebAssembly memory. */
const MIN_SCAN = 64;

/**
 * `f(first, second, distance, length)` scans memory from 0 to `length`. Where `first` stands, and `second` stands `distance`
 * behind it, it notes the offset as a 16-bit number, from `OFFSETS_AT` on. It returns where the next number would be.
 */
// deno-fmt-ignore
const MODULE_BYTES = new Uint8Array([
  0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00, //              "\0asm", version 1
  0x01, 0x09, 0x01, 0x60, 4, 0x7f, 0x7f, 0x7f, 0x7f, 1, 0x7f, //  type 0: four i32 give one
  0x03, 0x02, 0x01, 0x00, //                                      function 0 is of type 0
  0x05, 0x03, 0x01, 0x00, 0x01, //                                memory 0: one page of 64 KiB
  0x07, 0x09, 0x02, 0x01, 0x6d, 0x02, 0, 0x01, 0x66, 0x00, 0, //  exports: "m" is memory 0, "f" is function 0
  0x0a, 0x6c, 0x01, 0x6a, //                                      code of one function, 106 bytes:
  0x02, 3, 0x7f, 2, 0x7b, //                locals: i32 at (4), out (5), mask (6); v128 firsts (7), seconds (8)
  0x20, 0, 0xfd, 0x0f, 0x21, 7, //          firsts = i8x16.splat(first)
  0x20, 1, 0xfd, 0x0f, 0x21, 8, //          seconds = i8x16.splat(second)
  0x41, 0x80, 0x80, 0x01, 0x21, 5, //       out = 16384
  0x03, 0x40, //                            loop
  0x20, 4, 0xfd, 0x00, 0, 0, //               v128.load(at)
  0x20, 7, 0xfd, 0x23, //                     i8x16.eq firsts
  0x20, 4, 0x20, 2, 0x6a, //                  at + distance
  0xfd, 0x00, 0, 0, //                        v128.load
  0x20, 8, 0xfd, 0x23, //                     i8x16.eq seconds
  0xfd, 0x4e, 0xfd, 0x64, 0x22, 6, //         mask = i8x16.bitmask(v128.and)
  0x04, 0x40, //                              if mask
  0x03, 0x40, //                                loop
  0x20, 5, 0x20, 4, 0x20, 6, 0x68, 0x6a, //       out, at + i32.ctz(mask)
  0x3b, 1, 0, //                                  i32.store16
  0x20, 5, 0x41, 2, 0x6a, 0x21, 5, //             out += 2
  0x20, 6, 0x20, 6, 0x41, 1, 0x6b, //             mask, mask - 1
  0x71, 0x22, 6, //                               mask = i32.and
  0x0d, 0, 0x0b, 0x0b, //                         br_if, end, end
  0x20, 4, 0x41, 16, 0x6a, 0x22, 4, //        at += 16
  0x20, 3, 0x49, 0x0d, 0, 0x0b, //            br_if at < length, end
  0x20, 5, 0x0b, //                         out
]);
const OFFSETS_AT = 16_384;

type ScanFunction = (first: number, second: number, distance: number, length: number) => number;

let memory = EMPTY;
let offsets = new Uint16Array(MAX_WINDOW);
let scan: ScanFunction | null = null;
let scanId = 0; // of the last scan by any scanner

try {
  const { m, f } = new WebAssembly.Instance(new WebAssembly.Module(MODULE_BYTES)).exports;
  const buffer = (m as WebAssembly.Memory).buffer as ArrayBuffer;
  memory = new Uint8Array(buffer);
  offsets = new Uint16Array(buffer, OFFSETS_AT, MAX_WINDOW);
  scan = f as unknown as ScanFunction;
} catch {
  // Without WebAssembly, as under `--jitless`, the loop in indexOf() does the work.
}

/** Steps through the offsets where one delimiter may begin. */
export class DelimiterScanner {
  #bytes = EMPTY as Uint8Array; //     the buffer that was scanned
  #delimiter = EMPTY as Uint8Array;
  #windowStart = 0;
  #windowEnd = 0; //                   bytes before it have been scanned
  #scanId = 0; //                      of this scanner's last scan
  #nextOffset = 0; //                  index in `offsets`
  #offsetCount = 0;
  #windowSize = MIN_WINDOW; //         of the next scan

  /**
   * Returns the first offset from `at` on where `delimiter` may begin, or -1. Its first byte is at that offset.
   *
   * When a call has the same `bytes` and `delimiter` as the one before, its `at` must not be smaller.
   */
  find(bytes: Uint8Array, at: number, delimiter: Uint8Array): number {
    if (this.#scanId !== scanId || bytes !== this.#bytes || delimiter !== this.#delimiter) {
      this.#restart(bytes, delimiter);
    }
    while (this.#nextOffset < this.#offsetCount) {
      const offset = this.#windowStart + offsets[this.#nextOffset]!;
      if (offset >= at) return offset;
      this.#nextOffset++;
    }
    return this.#findInNextWindow(bytes, at, delimiter);
  }

  #findInNextWindow(bytes: Uint8Array, at: number, delimiter: Uint8Array): number {
    for (;;) {
      const from = Math.max(at, this.#windowEnd);
      if (bytes.length - from < MIN_SCAN || scan === null) {
        this.#bytes = EMPTY; // do not keep a buffer alive that is no longer in use
        return indexOf(bytes, delimiter[0]!, from);
      }
      this.#scanWindow(from, Math.min(from + this.#windowSize, bytes.length), scan);
      this.#windowSize = Math.min(2 * this.#windowSize, MAX_WINDOW);
      if (this.#offsetCount > 0) return from + offsets[0]!;
    }
  }

  #restart(bytes: Uint8Array, delimiter: Uint8Array): void {
    if (this.#scanId !== scanId) this.#windowSize = MIN_WINDOW;
    this.#bytes = bytes;
    this.#delimiter = delimiter;
    this.#windowEnd = this.#nextOffset = this.#offsetCount = 0;
  }

  #scanWindow(from: number, to: number, scan: ScanFunction): void {
    const delimiter = this.#delimiter;
    const bytes = this.#bytes;
    const size = to - from;
    const distance = delimiter.length > 1 ? 1 : 0;
    memory.set(bytes.subarray(from, Math.min(to + 1, bytes.length)));
    if (to === bytes.length) memory[size] = delimiter[distance]!; // so that a first byte at the very end counts
    let count = (scan(delimiter[0]!, delimiter[distance]!, distance, size) - OFFSETS_AT) / 2;
    while (count > 0 && offsets[count - 1]! >= size) count--; // left from an earlier scan, behind the window
    this.#windowStart = from;
    this.#windowEnd = to;
    this.#nextOffset = 0;
    this.#offsetCount = count;
    this.#scanId = ++scanId;
  }
}

/** Replaces `Uint8Array.indexOf`: its call costs more than a loop over a few dozen bytes. */
function indexOf(bytes: Uint8Array, byte: number, from: number): number {
  for (let at = from; at < bytes.length; at++) if (bytes[at] === byte) return at;
  return -1;
}
