/**
 * Returns the length of the longest proper prefix of `needle` that `haystack` ends with. This is asynchat's
 * `find_prefix_at_end`, for code that does its own splitting.
 *
 * @param haystack The bytes received so far.
 * @param needle The terminator that may have begun at their end.
 * @returns The length in bytes; 0 when no prefix is there.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { findPrefixAtEnd } from "@asynchat/asynchat";
 *
 * const bytes = new TextEncoder();
 * assertEquals(findPrefixAtEnd(bytes.encode("qwerty\r"), bytes.encode("\r\n")), 1);
 * assertEquals(findPrefixAtEnd(bytes.encode("qwertydkjf"), bytes.encode("\r\n")), 0);
 * ```
 */
export function findPrefixAtEnd(haystack: Uint8Array, needle: Uint8Array): number {
  for (let length = Math.min(needle.length - 1, haystack.length); length > 0; length--) {
    const start = haystack.length - length;
    let at = 0;
    while (at < length && needle[at] === haystack[start + at]) at++;
    if (at === length) return length;
  }
  return 0;
}
