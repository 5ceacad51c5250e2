import { assertEquals } from "@std/assert";
import { bytes } from "../tests/recorder.ts";
import { findPrefixAtEnd } from "./find_prefix_at_end.ts";

/** All texts of "a" and "b" with at most `max` letters. */
function textsUpTo(max: number): string[] {
  return max === 0 ? [""] : ["", ...textsUpTo(max - 1).flatMap((text) => [`a${text}`, `b${text}`])];
}

Deno.test("findPrefixAtEnd() returns the longest proper prefix for all short texts of two letters", () => {
  for (const haystack of textsUpTo(5)) {
    for (const needle of textsUpTo(4)) {
      const prefixes = Array.from({ length: needle.length }, (_, length) => needle.slice(0, length));
      const expected = prefixes.findLast((prefix) => haystack.endsWith(prefix))?.length ?? 0;
      assertEquals(findPrefixAtEnd(bytes(haystack), bytes(needle)), expected, `"${haystack}", "${needle}"`);
    }
  }
});

Deno.test("findPrefixAtEnd() returns 0 when the haystack ends with the whole needle alone", () => {
  assertEquals(findPrefixAtEnd(bytes("qwerty\r\n"), bytes("\r\n")), 0);
});

Deno.test("findPrefixAtEnd() compares no byte before the haystack and none behind the prefix", () => {
  const reads: number[] = [];
  const haystack = new Proxy(bytes("aab"), {
    get(target, name) {
      if (typeof name === "string" && /^-?\d+$/.test(name)) reads.push(Number(name));
      return Reflect.get(target, name, target);
    },
  });
  assertEquals(findPrefixAtEnd(haystack, bytes("aabc")), 3);
  assertEquals(reads, [0, 1, 2]);
});
