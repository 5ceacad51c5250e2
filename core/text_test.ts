import { assertEquals } from "@std/assert";
import { decodeText } from "./text.ts";

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

Deno.test("decodeText() equals TextDecoder for every length, offset and kind of text", () => {
  const kinds = ["ASCII \0\r\n\x7f", "Grüße, 10 €", "\ufeff𝄞"].map((text) => new TextEncoder().encode(text.repeat(20)));
  for (const bytes of [...kinds, Uint8Array.from({ length: 256 }, (_, i) => i)]) {
    for (let start = 0; start < 24; start++) {
      for (let end = start; end <= start + 40; end++) { // cut through characters too
        assertEquals(decodeText(bytes, start, end), decoder.decode(bytes.subarray(start, end)), `${start} to ${end}`);
      }
    }
  }
});

Deno.test("decodeText() decodes a single non-ASCII byte at every offset", () => {
  for (let at = 0; at < 32; at++) {
    const bytes = new Uint8Array(32).fill(97);
    bytes[at] = 0x80;
    assertEquals(decodeText(bytes, 0, 32), "a".repeat(at) + "\ufffd" + "a".repeat(31 - at));
  }
});
