import { assert, assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import { concat } from "@std/bytes/concat";
import { everyCut, randomCut, seededRandom } from "./cuts.ts";

/** Up to 256 bytes, all different. */
const bytes = (length: number) => Uint8Array.from({ length }, (_, at) => at);

Deno.test("everyCut() gives each cut once, complete and without empty pieces", () => {
  for (let length = 1; length <= 10; length++) {
    const seen = new Set<string>();
    for (const pieces of everyCut(bytes(length))) {
      assertEquals(concat(pieces), bytes(length));
      assert(pieces.every((piece) => piece.length > 0));
      seen.add(pieces.map((piece) => piece.length).join());
    }
    assertEquals(seen.size, 2 ** (length - 1));
  }
});

Deno.test("everyCut() begins with one piece and ends with one-byte pieces", () => {
  const cuts = [...everyCut(bytes(14))];
  assertEquals(cuts.length, 8192);
  assertEquals({ first: cuts[0]!.length, last: cuts.at(-1)!.length }, { first: 1, last: 14 });
});

Deno.test("everyCut() of no bytes is one cut without pieces", () => {
  assertEquals([...everyCut(bytes(0))], [[]]);
});

Deno.test("everyCut() gives views", () => {
  const whole = bytes(3);
  for (const pieces of everyCut(whole)) assert(pieces.every((piece) => piece.buffer === whole.buffer));
});

Deno.test("randomCut() gives all bytes in pieces of 1 to about twice the mean", () => {
  for (let seed = 0; seed < 50; seed++) {
    for (const mean of [1, 2, 8, 100]) {
      const whole = bytes(250);
      const sizes = randomCut(whole, seed, mean).map((piece) => piece.length);
      assertEquals(concat(randomCut(whole, seed, mean)), whole, `seed ${seed}`);
      assert(sizes.every((size) => size >= 1 && size <= 2 * mean), `seed ${seed}, ${mean}: ${sizes}`);
    }
  }
});

Deno.test("randomCut() gives pieces of the mean size, by default 8", () => {
  const whole = new Uint8Array(100_000);
  for (const [cut, mean] of [[randomCut(whole, 1), 8], [randomCut(whole, 1, 50), 50]] as const) {
    const actual = whole.length / cut.length;
    assert(Math.abs(actual - mean) < mean / 10, `mean size: got ${actual}, expected about ${mean}`);
  }
});

Deno.test("randomCut() gives the same cut for the same seed only", () => {
  const whole = bytes(200);
  assertEquals(randomCut(whole, 7), randomCut(whole, 7));
  assertNotEquals(randomCut(whole, 7), randomCut(whole, 8));
});

Deno.test("randomCut() of no bytes gives no pieces", () => {
  assertEquals(randomCut(bytes(0), 1), []);
});

Deno.test("seededRandom() gives the numbers of mulberry32, in [0, 1)", () => {
  const random = seededRandom(1);
  // The first five of the published algorithm for the seed 1, times 2^32.
  const published = [2_693_262_067, 11_749_833, 2_265_367_787, 4_213_581_821, 4_159_151_403];
  assertEquals(Array.from({ length: 5 }, () => random() * 2 ** 32), published);
  for (let drawn = 0; drawn < 10_000; drawn++) {
    const number = random();
    assert(number >= 0 && number < 1, String(number));
  }
});

Deno.test("seededRandom() uses the low 32 bits of the seed; generators are independent", () => {
  const [one, other, third] = [seededRandom(5), seededRandom(5 + 2 ** 32), seededRandom(6)];
  const drawn = Array.from({ length: 100 }, () => [one(), third(), other()] as const);
  assert(drawn.every(([a, _, b]) => a === b));
  assert(drawn.every(([a, c]) => a !== c));
});

Deno.test("randomCut() throws a RangeError for a mean below 1", () => {
  for (const mean of [0, -1, 0.5, NaN]) {
    assertThrows(() => randomCut(bytes(2), 1, mean), RangeError, `mean is ${mean}, expected at least 1`);
  }
});
