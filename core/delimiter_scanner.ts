/**
 * Finds where a terminator may begin. For a short frame a loop over its bytes, or a call of `indexOf`, takes longer than
 * all else that is done for it; so a stretch of the buffer is looked through at once, sixteen bytes at a time, by a WebAssembly
 * function, and the places are noted. There is one list of places for all: who comes after somebody else looks again,
 * and at a short stretch first, so that taking turns costs little.
 */

const NOTHING = new Uint8Array(0);

const SHORTEST_STRETCH = 256;
const LONGEST_STRETCH = 8192;
/** To look through less than this by a loop is faster than to copy it to where the function sees it. */
const SHORT = 64;

/**
 * `f(first, second, distance, length)` looks at memory from 0 to `length` and notes, as 16-bit numbers from 16,384 on, where `first`
 * stands and `second` stands `distance` behind it. Gives back where the next number would be.
 */
// deno-fmt-ignore
const PROGRAM = new Uint8Array([
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
const PLACES_AT = 16_384;

type Search = (first: number, second: number, distance: number, length: number) => number;

let memory = NOTHING;
let places = new Uint16Array(LONGEST_STRETCH);
let search: Search | null = null;
let looks = 0; // how many stretches have been looked through: who had looked last knows by it that the list is still its own

try {
  const { m, f } = new WebAssembly.Instance(new WebAssembly.Module(PROGRAM)).exports;
  const buffer = (m as WebAssembly.Memory).buffer as ArrayBuffer;
  memory = new Uint8Array(buffer);
  places = new Uint16Array(buffer, PLACES_AT, LONGEST_STRETCH);
  search = f as unknown as Search;
} catch {
  // Without WebAssembly, as under `--jitless`, the loop does it.
}

/** Goes through the places where one terminator may begin. */
export class DelimiterScanner {
  #bytes = NOTHING as Uint8Array; // what was looked through, from #base to #end
  #needle = NOTHING as Uint8Array;
  #base = 0;
  #end = 0;
  #look = 0; //             the number of the look
  #next = 0; //             the place to tell next
  #count = 0; //            how many places there are
  #stretch = SHORTEST_STRETCH;

  /**
   * The first place from `at` on where `needle` may begin: its first byte stands there. -1 when there is none in `bytes`.
   *
   * Whoever asks again with the same bytes asks from the same place or a later one, unless the needle is another.
   */
  find(bytes: Uint8Array, at: number, needle: Uint8Array): number {
    if (this.#look !== looks || bytes !== this.#bytes || needle !== this.#needle) this.#begin(bytes, needle);
    while (this.#next < this.#count) {
      const place = this.#base + places[this.#next]!;
      if (place >= at) return place;
      this.#next++;
    }
    return this.#findFurther(bytes, at, needle);
  }

  #findFurther(bytes: Uint8Array, at: number, needle: Uint8Array): number {
    for (;;) {
      const from = Math.max(at, this.#end);
      if (bytes.length - from < SHORT || search === null) {
        this.#bytes = NOTHING; // else a buffer that is no longer in use would be held
        return indexOf(bytes, needle[0]!, from);
      }
      this.#lookAt(from, Math.min(from + this.#stretch, bytes.length), search);
      this.#stretch = Math.min(2 * this.#stretch, LONGEST_STRETCH);
      if (this.#count > 0) return from + places[0]!;
    }
  }

  #begin(bytes: Uint8Array, needle: Uint8Array): void {
    if (this.#look !== looks) this.#stretch = SHORTEST_STRETCH;
    this.#bytes = bytes;
    this.#needle = needle;
    this.#end = this.#next = this.#count = 0;
  }

  #lookAt(from: number, to: number, search: Search): void {
    const needle = this.#needle;
    const bytes = this.#bytes;
    const size = to - from;
    const distance = needle.length > 1 ? 1 : 0;
    memory.set(bytes.subarray(from, Math.min(to + 1, bytes.length)));
    if (to === bytes.length) memory[size] = needle[distance]!; // so that a first byte at the very end counts
    let count = (search(needle[0]!, needle[distance]!, distance, size) - PLACES_AT) / 2;
    while (count > 0 && places[count - 1]! >= size) count--; // what stands there is left from before
    this.#base = from;
    this.#end = to;
    this.#next = 0;
    this.#count = count;
    this.#look = ++looks;
  }
}

/** `Uint8Array.indexOf`, whose call takes longer than it takes to go through a few dozen bytes. */
function indexOf(bytes: Uint8Array, byte: number, from: number): number {
  for (let at = from; at < bytes.length; at++) if (bytes[at] === byte) return at;
  return -1;
}
