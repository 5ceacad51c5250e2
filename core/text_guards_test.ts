import { assertEquals } from "@std/assert";
import { decodeText } from "./text.ts";

Deno.test("decodeText() decodes each byte by itself, and two NUL around it, as TextDecoder does", () => {
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  for (let byte = 0; byte < 256; byte++) {
    for (const bytes of [Uint8Array.of(byte), Uint8Array.of(0, byte, 0)]) {
      assertEquals(decodeText(bytes, 0, bytes.length), decoder.decode(bytes), String(bytes));
    }
  }
});
