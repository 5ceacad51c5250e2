import { assert, assertEquals } from "@std/assert";
import { seededRandom } from "../testing/cuts.ts";
import { DelimiterScanner } from "./delimiter_scanner.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

/** The same module, as it is where there is no WebAssembly. */
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

const KINDS = { "with WebAssembly": DelimiterScanner, "without": await withoutWebAssembly() };

/** Every place where the whole of `needle` stands, as far as it is there. */
function placesOf(haystack: Uint8Array, needle: Uint8Array): number[] {
  const places: number[] = [];
  for (let at = 0; at < haystack.length; at++) {
    const part = haystack.subarray(at, at + needle.length);
    if (part.every((byte, i) => byte === needle[i])) places.push(at);
  }
  return places;
}

/** What a finder says, asked again and again one further. Places where only the first byte stands may be among them. */
function found(finder: DelimiterScanner, haystack: Uint8Array, needle: Uint8Array, from = 0): number[] {
  const places: number[] = [];
  for (let at = from; (at = finder.find(haystack, at, needle)) >= 0; at++) places.push(at);
  return places;
}

for (const [kind, Kind] of Object.entries(KINDS)) {
  Deno.test(`DelimiterScanner, ${kind}, finds every place in any bytes, of any length`, () => {
    const seed = Math.floor(Math.random() * 2 ** 31);
    const random = seededRandom(seed);
    const finder = new Kind();
    for (let turn = 0; turn < 2_000; turn++) {
      const length = Math.floor(random() * (turn % 100 === 0 ? 40_000 : 700));
      const variety = 1 + Math.floor(random() * (turn % 2 === 0 ? 3 : 255));
      const haystack = new Uint8Array(length).map(() => random() * variety);
      const needle = new Uint8Array(1 + Math.floor(random() * 3)).map(() => random() * variety);
      const from = random() < 0.5 ? 0 : Math.floor(random() * length);
      const places = found(finder, haystack, needle, from);
      const what = `seed ${seed}, turn ${turn}`;
      assert(places.every((at, i) => haystack[at] === needle[0] && at > (places[i - 1] ?? from - 1)), what);
      const real = placesOf(haystack, needle).filter((at) => at >= from);
      assertEquals(places.filter((at) => real.includes(at)), real, what);
    }
  });

  Deno.test(`DelimiterScanner, ${kind}, tells a first byte at the very end, for the rest may follow`, () => {
    for (const length of [1, 63, 64, 65, 255, 256, 257, 768, 8192, 20_000]) {
      const haystack = new Uint8Array(length).fill(0x61);
      haystack[length - 1] = 0x0d;
      assertEquals(found(new Kind(), haystack, bytes("\r\n")), [length - 1], `${length} bytes`);
    }
  });

  Deno.test(`DelimiterScanner, ${kind}, finds what lies across the end of a stretch`, () => {
    for (
      let at = 200;
      at < 9_000;
      at += at % 256 === 250 ? 1 : at % 256 < 10 || at % 256 > 250 ? 1 : 240 - at % 256 + 10
    ) {
      const haystack = new Uint8Array(9_100).fill(0x61);
      haystack.set(bytes("\r\n"), at);
      assertEquals(found(new Kind(), haystack, bytes("\r\n")), [at]);
    }
  });

  Deno.test(`DelimiterScanner, ${kind}, tells nothing of what another finder has looked at`, () => {
    const [one, two] = [new Kind(), new Kind()];
    const [here, there] = [bytes("a\nb\nc\n".repeat(100)), bytes("abcdefgh\n".repeat(100))];
    for (let i = 0; i < 100; i++) {
      assertEquals(one.find(here, 2 * i, bytes("\n")), 2 * i + 1);
      assertEquals(two.find(there, 9 * i, bytes("\n")), 9 * i + 8);
    }
  });

  Deno.test(`DelimiterScanner, ${kind}, takes up another needle, and other bytes, at once`, () => {
    const finder = new Kind();
    const haystack = bytes("a\nb\rc\n".repeat(50));
    assertEquals(finder.find(haystack, 0, bytes("\n")), 1);
    assertEquals(finder.find(haystack, 0, bytes("\r")), 3);
    assertEquals(finder.find(haystack, 4, bytes("\n")), 5);
    assertEquals(finder.find(bytes("aaaa\n".repeat(50)), 0, bytes("\n")), 4);
    assertEquals(finder.find(new Uint8Array(0), 0, bytes("\n")), -1);
  });
}

Deno.test("DelimiterScanner, without WebAssembly, is another than with it", () => {
  assert(KINDS.without !== DelimiterScanner);
});
