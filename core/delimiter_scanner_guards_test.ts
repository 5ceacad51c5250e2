// Guards of DelimiterScanner that no other test notices: how much of a large buffer is copied into WebAssembly memory.

import { assertEquals } from "@std/assert";
import { bytes } from "../tests/recorder.ts";
import { DelimiterScanner } from "./delimiter_scanner.ts";

Deno.test("DelimiterScanner.find() scans a buffer that is larger than WebAssembly memory", () => {
  const offsets = [0, 300, 70_000, 199_990];
  const haystack = new Uint8Array(200_000).fill(0x61);
  for (const at of offsets) haystack.set(bytes("\r\n"), at);
  const scanner = new DelimiterScanner();
  const delimiter = bytes("\r\n");
  const found: number[] = [];
  for (let at = 0; (at = scanner.find(haystack, at, delimiter)) >= 0; at++) found.push(at);
  assertEquals(found, offsets);
});
