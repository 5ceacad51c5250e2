import { assert, assertEquals } from "@std/assert";
import { seededRandom } from "../testing/cuts.ts";
import { bytes } from "../tests/recorder.ts";
import { DelimiterScanner } from "./delimiter_scanner.ts";

/** Imports the module again, as on a system without WebAssembly. */
async function withoutWebAssembly(): Promise<typeof DelimiterScanner> {
  const { WebAssembly } = globalThis;
  try {
    Object.assign(globalThis, { WebAssembly: undefined });
    return (await import("./delimiter_scanner.ts#without-webassembly"))
      .DelimiterScanner as unknown as typeof DelimiterScanner;
  } finally {
    Object.assign(globalThis, { WebAssembly });
  }
}

const SCANNERS = { "with WebAssembly": DelimiterScanner, "without WebAssembly": await withoutWebAssembly() };

/** Returns each offset where `delimiter` stands, or begins at the end of `haystack`. */
function offsetsOf(haystack: Uint8Array, delimiter: Uint8Array): number[] {
  const offsets: number[] = [];
  for (let at = 0; at < haystack.length; at++) {
    const part = haystack.subarray(at, at + delimiter.length);
    if (part.every((byte, i) => byte === delimiter[i])) offsets.push(at);
  }
  return offsets;
}

/** Returns all candidates that a scanner finds; false ones may be among them. */
function candidates(scanner: DelimiterScanner, haystack: Uint8Array, delimiter: Uint8Array, from = 0): number[] {
  const offsets: number[] = [];
  for (let at = from; (at = scanner.find(haystack, at, delimiter)) >= 0; at++) offsets.push(at);
  return offsets;
}

for (const [variant, Scanner] of Object.entries(SCANNERS)) {
  Deno.test(`DelimiterScanner, ${variant}, finds every offset in random bytes of any length`, () => {
    const seed = Math.floor(Math.random() * 2 ** 31);
    const random = seededRandom(seed);
    const scanner = new Scanner();
    for (let round = 0; round < 2_000; round++) {
      const length = Math.floor(random() * (round % 100 === 0 ? 40_000 : 700));
      const variety = 1 + Math.floor(random() * (round % 2 === 0 ? 3 : 255));
      const haystack = new Uint8Array(length).map(() => random() * variety);
      const delimiter = new Uint8Array(1 + Math.floor(random() * 3)).map(() => random() * variety);
      const from = random() < 0.5 ? 0 : Math.floor(random() * length);
      const offsets = candidates(scanner, haystack, delimiter, from);
      const message = `seed ${seed}, round ${round}`;
      assert(offsets.every((at, i) => haystack[at] === delimiter[0] && at > (offsets[i - 1] ?? from - 1)), message);
      const expected = offsetsOf(haystack, delimiter).filter((at) => at >= from);
      assertEquals(offsets.filter((at) => expected.includes(at)), expected, message);
    }
  });

  Deno.test(`DelimiterScanner, ${variant}, finds a first byte at the very end`, () => {
    for (const length of [1, 63, 64, 65, 255, 256, 257, 768, 8192, 20_000]) {
      const haystack = new Uint8Array(length).fill(0x61);
      haystack[length - 1] = 0x0d;
      assertEquals(candidates(new Scanner(), haystack, bytes("\r\n")), [length - 1], `${length} bytes`);
    }
  });

  Deno.test(`DelimiterScanner, ${variant}, finds a delimiter across the end of a window`, () => {
    for (
      let at = 200;
      at < 9_000;
      at += at % 256 === 250 ? 1 : at % 256 < 10 || at % 256 > 250 ? 1 : 240 - at % 256 + 10
    ) {
      const haystack = new Uint8Array(9_100).fill(0x61);
      haystack.set(bytes("\r\n"), at);
      assertEquals(candidates(new Scanner(), haystack, bytes("\r\n")), [at]);
    }
  });

  Deno.test(`DelimiterScanner, ${variant}, ignores the offsets of another scanner`, () => {
    const [one, two] = [new Scanner(), new Scanner()];
    const [here, there] = [bytes("a\nb\nc\n".repeat(100)), bytes("abcdefgh\n".repeat(100))];
    for (let i = 0; i < 100; i++) {
      assertEquals(one.find(here, 2 * i, bytes("\n")), 2 * i + 1);
      assertEquals(two.find(there, 9 * i, bytes("\n")), 9 * i + 8);
    }
  });

  Deno.test(`DelimiterScanner, ${variant}, follows a change of delimiter or bytes at once`, () => {
    const scanner = new Scanner();
    const haystack = bytes("a\nb\rc\n".repeat(50));
    assertEquals(scanner.find(haystack, 0, bytes("\n")), 1);
    assertEquals(scanner.find(haystack, 0, bytes("\r")), 3);
    assertEquals(scanner.find(haystack, 4, bytes("\n")), 5);
    assertEquals(scanner.find(bytes("aaaa\n".repeat(50)), 0, bytes("\n")), 4);
    assertEquals(scanner.find(new Uint8Array(0), 0, bytes("\n")), -1);
  });
}

Deno.test("DelimiterScanner, without WebAssembly, is a second copy of the module", () => {
  assert(SCANNERS["without WebAssembly"] !== DelimiterScanner);
});
