// Guards of DelimiterScanner that no other test notices: which windows are scanned, and that few candidates are false.

import { assertEquals } from "@std/assert";
import { bytes } from "../tests/recorder.ts";
import { DelimiterScanner } from "./delimiter_scanner.ts";

const CRLF = bytes("\r\n");

/** A buffer that records which parts of it are copied into WebAssembly memory: a window and the byte behind it. */
class RecordingBuffer extends Uint8Array<ArrayBuffer> {
  readonly windows: [from: number, to: number][] = [];

  constructor(length: number) {
    super(new ArrayBuffer(length));
  }

  override subarray(from: number, to: number): Uint8Array<ArrayBuffer> {
    this.windows.push([from, to]);
    return new Uint8Array(this.buffer, this.byteOffset + from, to - from);
  }
}

/** Returns a buffer with `marks` at their offsets, and "a" at all others. */
function bufferOf(length: number, marks: Record<number, string> = {}): RecordingBuffer {
  const buffer = new RecordingBuffer(length);
  buffer.fill(0x61);
  for (const [at, mark] of Object.entries(marks)) buffer.set(bytes(mark), Number(at));
  return buffer;
}

Deno.test("DelimiterScanner.find() scans 64 bytes as a window, and no fewer", () => {
  const [short, long] = [bufferOf(63), bufferOf(64)];
  assertEquals([short, long].map((buffer) => new DelimiterScanner().find(buffer, 0, CRLF)), [-1, -1]);
  assertEquals({ short: short.windows, long: long.windows }, { short: [], long: [[0, 64]] });
});

Deno.test("DelimiterScanner.find() scans a window once for all delimiters in it", () => {
  const buffer = bufferOf(200, { 10: "\r\n", 50: "\r\n", 90: "\r\n" });
  const scanner = new DelimiterScanner();
  assertEquals([0, 11, 51, 91].map((at) => scanner.find(buffer, at, CRLF)), [10, 50, 90, -1]);
  assertEquals(buffer.windows, [[0, 200]]);
});

Deno.test("DelimiterScanner.find() keeps its window size for a new buffer until another scanner scans", () => {
  const scanner = new DelimiterScanner();
  const firstWindow = () => {
    const buffer = bufferOf(40_000);
    scanner.find(buffer, 0, CRLF);
    return buffer.windows[0];
  };
  const [first, second] = [firstWindow(), firstWindow()];
  new DelimiterScanner().find(bufferOf(1_000), 0, CRLF);
  const third = firstWindow();
  assertEquals({ first, second, third }, { first: [0, 257], second: [0, 8193], third: [0, 257] });
});

Deno.test("DelimiterScanner.find() scans another buffer for the same delimiter anew", () => {
  const scanner = new DelimiterScanner();
  assertEquals(scanner.find(bufferOf(200, { 10: "\r\n", 50: "\r\n" }), 0, CRLF), 10);
  assertEquals(scanner.find(bufferOf(200, { 70: "\r\n" }), 0, CRLF), 70);
});

Deno.test("DelimiterScanner.find() skips a first byte whose second does not follow, also at a window's end", () => {
  assertEquals(new DelimiterScanner().find(bufferOf(200, { 10: "\r", 50: "\r\n" }), 0, CRLF), 50);
  assertEquals(new DelimiterScanner().find(bufferOf(600, { 255: "\r" }), 0, CRLF), -1);
});

Deno.test("DelimiterScanner.find() scans a buffer that is larger than WebAssembly memory", () => {
  const offsets = [0, 300, 70_000, 199_990];
  const haystack = new Uint8Array(200_000).fill(0x61);
  for (const at of offsets) haystack.set(CRLF, at);
  const scanner = new DelimiterScanner();
  const found: number[] = [];
  for (let at = 0; (at = scanner.find(haystack, at, CRLF)) >= 0; at++) found.push(at);
  assertEquals(found, offsets);
});
