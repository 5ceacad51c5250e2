// How often a byte is read: the work is linear in the input, for any input and any cuts.

import { assertEquals, assertLessOrEqual } from "@std/assert";
import { bytes } from "../tests/recorder.ts";
import { ReceiveBuffer } from "./receive_buffer.ts";
import { FrameSplitter, type Terminator, type TooLongPolicy } from "./frame_splitter.ts";

/** A buffer that counts how often its bytes are read. */
class CountingBuffer extends ReceiveBuffer {
  byteReads = 0;

  #source = super.filled;
  #proxy = super.filled;

  override get filled(): Uint8Array {
    if (super.filled !== this.#source) {
      this.#source = super.filled;
      this.#proxy = new Proxy(this.#source, {
        get: (target, name) => {
          if (typeof name === "string" && /^\d+$/.test(name)) this.byteReads++;
          if (name === "subarray") return (from: number, to: number) => this.#subarray(target, from, to);
          return Reflect.get(target, name, target);
        },
      });
    }
    return this.#proxy;
  }

  /** Counts a scanned window. The byte behind it is only compared with, and counts in the next window. */
  #subarray(target: Uint8Array, from: number, to: number): Uint8Array {
    this.byteReads += to - from - (to < target.length ? 1 : 0);
    return target.subarray(from, to);
  }
}

interface Input {
  readonly input: string;
  readonly readSize: number;
  readonly terminator: Terminator;
  readonly limit?: number;
  readonly onTooLong?: TooLongPolicy;
}

/** Returns how often a byte of `input` is read on average, when it comes in reads of `readSize` bytes. */
function readsPerByte({ input, readSize, terminator, limit = 10_000, onTooLong = "close" }: Input): number {
  const buffer = new CountingBuffer(1024);
  const splitter = new FrameSplitter(buffer, limit);
  splitter.setTerminator(terminator, limit, onTooLong);
  const received = bytes(input);
  for (let at = 0; at < received.length; at += readSize) {
    const read = received.subarray(at, at + readSize);
    buffer.reserve().set(read);
    buffer.commit(read.length);
    for (let result = splitter.next(), results = 0; result !== "more"; result = splitter.next()) {
      if (++results > 10_000) throw new Error("Too many results");
    }
  }
  return buffer.byteReads / received.length;
}

Deno.test("FrameSplitter.next() reads a byte that begins no terminator once, however it is cut", () => {
  const input = "x".repeat(8192);
  for (const readSize of [1, 7, 1024]) {
    assertEquals(readsPerByte({ input, readSize, terminator: "\r\n" }), 1, `reads of ${readSize}`);
    assertEquals(readsPerByte({ input, readSize, terminator: ["\r\n", "\n"] }), 1, `reads of ${readSize}`);
    assertEquals(readsPerByte({ input, readSize, terminator: null }), 0, `reads of ${readSize}`);
    assertEquals(readsPerByte({ input, readSize, terminator: 8192 }), 0, `reads of ${readSize}`);
  }
});

Deno.test("FrameSplitter.next() does not rescan a frame whose end comes late", () => {
  const input = `${"x".repeat(4094)}\r\n`.repeat(2);
  for (const readSize of [1, 7, 1024]) {
    assertLessOrEqual(readsPerByte({ input, readSize, terminator: "\r\n" }), 1.01, `reads of ${readSize}`);
  }
});

Deno.test("FrameSplitter.next() does not rescan a frame of exactly the limit", () => {
  const input = `${"x".repeat(510)}\r\n`.repeat(4);
  for (const readSize of [1, 7, 1024]) {
    assertLessOrEqual(readsPerByte({ input, readSize, terminator: "\r\n", limit: 510 }), 1.01, `reads of ${readSize}`);
  }
});

Deno.test("FrameSplitter.next() discards an oversized frame without rescanning it", () => {
  const framing = { terminator: "\r\n", limit: 100, onTooLong: "discard" } as const;
  for (const readSize of [1, 7, 1024]) {
    assertLessOrEqual(readsPerByte({ input: "x".repeat(8192), readSize, ...framing }), 1.5, `reads of ${readSize}`);
  }
});

Deno.test("FrameSplitter.next() reads the bytes of many short frames in one read at most twice", () => {
  const input = "ab\r\n".repeat(2048);
  assertLessOrEqual(readsPerByte({ input, readSize: 1024, terminator: "\r\n", limit: 100 }), 2);
  assertLessOrEqual(readsPerByte({ input, readSize: 1024, terminator: ["\r\n", "\n"], limit: 100 }), 2);
});

Deno.test("FrameSplitter.next() does linear work on the worst input", () => {
  const worstCases: { unit: string; terminator: string | string[] }[] = [
    { unit: "a", terminator: `${"a".repeat(15)}b` },
    { unit: "a", terminator: [`${"a".repeat(15)}b`, `${"a".repeat(14)}c`] },
    { unit: "\r", terminator: "\r\n\r\n" },
    { unit: "ab", terminator: "abababac" },
  ];
  for (const { unit, terminator } of worstCases) {
    const lengths = [terminator].flat().map(({ length }) => length);
    const max = 3 * lengths.length * (Math.max(...lengths) + 1); // scanned, compared, and compared again
    for (const readSize of [1, 3, 1024]) {
      const framing = { readSize, terminator, limit: 1_000_000 };
      const short = readsPerByte({ input: unit.repeat(2000), ...framing });
      const long = readsPerByte({ input: unit.repeat(8000), ...framing });
      assertLessOrEqual(long, short * 1.02, `reads of ${readSize}, ${terminator}`);
      assertLessOrEqual(long, max, `reads of ${readSize}, ${terminator}`);
    }
  }
});
