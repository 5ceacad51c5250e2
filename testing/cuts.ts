/**
 * Generates every way to cut `bytes` into non-empty pieces.
 *
 * There are 2^(n-1) ways for n bytes: use 14 bytes or fewer. The pieces are views of `bytes`.
 *
 * @param bytes The bytes that a peer sends.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { everyCut } from "@asynchat/asynchat/testing";
 *
 * const cuts = [...everyCut(new Uint8Array([1, 2, 3]))];
 * assertEquals(cuts.map((pieces) => pieces.map((piece) => piece.length)), [[3], [1, 2], [2, 1], [1, 1, 1]]);
 * ```
 */
export function* everyCut(bytes: Uint8Array): Generator<Uint8Array[]> {
  for (let mask = 0; mask < 2 ** Math.max(bytes.length - 1, 0); mask++) {
    const pieces: Uint8Array[] = [];
    let begin = 0;
    for (let end = 1; end <= bytes.length; end++) {
      if (end < bytes.length && (mask >> (end - 1) & 1) === 0) continue;
      pieces.push(bytes.subarray(begin, end));
      begin = end;
    }
    yield pieces;
  }
}

/**
 * Cuts `bytes` at random into pieces of 1 to about `2 * mean` bytes. The same seed gives the same cut.
 *
 * The pieces are views of `bytes`.
 *
 * @param bytes The bytes that a peer sends.
 * @param seed Any number; include it in the message of a failed assertion.
 * @param mean The mean size of a piece in bytes.
 * @throws {RangeError} when `mean` is less than 1
 */
export function randomCut(bytes: Uint8Array, seed: number, mean = 8): Uint8Array[] {
  if (!(mean >= 1)) throw new RangeError(`Cannot cut the bytes: mean is ${mean}, expected at least 1`);
  const random = seededRandom(seed);
  const pieces: Uint8Array[] = [];
  for (let at = 0; at < bytes.length;) {
    const size = 1 + Math.floor(random() * (2 * mean - 1));
    pieces.push(bytes.subarray(at, at + size));
    at += size;
  }
  return pieces;
}

/**
 * Creates a generator of random numbers in [0, 1): mulberry32. The same seed gives the same numbers.
 *
 * @param seed Any number; its low 32 bits are used.
 */
export function seededRandom(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = state + 0x6d2b79f5 | 0;
    let mixed = Math.imul(state ^ state >>> 15, 1 | state);
    mixed = mixed + Math.imul(mixed ^ mixed >>> 7, 61 | mixed) ^ mixed;
    return ((mixed ^ mixed >>> 14) >>> 0) / 4_294_967_296;
  };
}
