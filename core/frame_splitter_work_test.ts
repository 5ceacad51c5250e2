// How often a byte is looked at: the work is in proportion to what comes, whatever comes and however it comes.

import { assertEquals, assertLessOrEqual } from "@std/assert";
import { ReceiveBuffer } from "./receive_buffer.ts";
import { FrameSplitter, type Terminator, type TooLongPolicy } from "./frame_splitter.ts";

/** A buffer that counts the bytes of it that are looked at. */
class CountingBuffer extends ReceiveBuffer {
  looks = 0;

  #seen = super.filled;
  #watched = super.filled;

  override get filled(): Uint8Array {
    if (super.filled !== this.#seen) {
      this.#seen = super.filled;
      this.#watched = new Proxy(this.#seen, {
        get: (target, name) => {
          if (typeof name === "string" && /^\d+$/.test(name)) this.looks++;
          if (name === "subarray") return (from: number, to: number) => this.#subarray(target, from, to);
          return Reflect.get(target, name, target);
        },
      });
    }
    return this.#watched;
  }

  /** A stretch that is looked through at once. The byte behind it is there to be compared with, and counts in the next one. */
  #subarray(target: Uint8Array, from: number, to: number): Uint8Array {
    this.looks += to - from - (to < target.length ? 1 : 0);
    return target.subarray(from, to);
  }
}

/** How often a byte of `input` is looked at on average when it comes in reads of `size` bytes. */
function looks(input: string, size: number, terminator: Terminator, limit: number, onTooLong: TooLongPolicy): number {
  const buffer = new CountingBuffer(1024);
  const splitter = new FrameSplitter(buffer, limit);
  splitter.setTerminator(terminator, limit, onTooLong);
  const bytes = new TextEncoder().encode(input);
  for (let at = 0; at < bytes.length; at += size) {
    const read = bytes.subarray(at, at + size);
    buffer.reserve().set(read);
    buffer.commit(read.length);
    for (let step = splitter.next(), steps = 0; step !== "more"; step = splitter.next()) {
      if (++steps > 10_000) throw new Error("There is no end of answers");
    }
  }
  return buffer.looks / bytes.length;
}

Deno.test("FrameSplitter.next() looks about once at a byte that begins no terminator, however it is cut", () => {
  for (const size of [1, 7, 1024]) {
    assertEquals(looks("x".repeat(8192), size, "\r\n", 10_000, "close"), 1, `${size} bytes a read`);
    assertEquals(looks("x".repeat(8192), size, ["\r\n", "\n"], 10_000, "close"), 1, `${size} bytes a read`);
    assertEquals(looks("x".repeat(8192), size, null, 10_000, "close"), 0, `${size} bytes a read`);
    assertEquals(looks("x".repeat(8192), size, 8192, 10_000, "close"), 0, `${size} bytes a read`);
  }
});

Deno.test("FrameSplitter.next() does not look again at a frame whose end comes late", () => {
  const line = `${"x".repeat(4094)}\r\n`;
  for (const size of [1, 7, 1024]) {
    assertLessOrEqual(looks(line.repeat(2), size, "\r\n", 10_000, "close"), 1.01, `${size} bytes a read`);
  }
});

Deno.test("FrameSplitter.next() does not look again at a frame of just the limit", () => {
  const line = `${"x".repeat(510)}\r\n`;
  for (const size of [1, 7, 1024]) {
    assertLessOrEqual(looks(line.repeat(4), size, "\r\n", 510, "close"), 1.01, `${size} bytes a read`);
  }
});

Deno.test("FrameSplitter.next() skips a frame that is too long without looking at it again", () => {
  for (const size of [1, 7, 1024]) {
    assertLessOrEqual(looks("x".repeat(8192), size, "\r\n", 100, "discard"), 1.5, `${size} bytes a read`);
  }
});

Deno.test("FrameSplitter.next() looks at each of many short frames that came at once a few times, not at those behind it", () => {
  assertLessOrEqual(looks("ab\r\n".repeat(2048), 1024, "\r\n", 100, "close"), 2);
  assertLessOrEqual(looks("ab\r\n".repeat(2048), 1024, ["\r\n", "\n"], 100, "close"), 2);
});

Deno.test("FrameSplitter.next() does work that grows with what comes and not with its square, also on the worst input", () => {
  const worst: [input: string, terminator: Terminator][] = [
    ["a", `${"a".repeat(15)}b`],
    ["a", [`${"a".repeat(15)}b`, `${"a".repeat(14)}c`]],
    ["\r", "\r\n\r\n"],
    ["ab", "abababac"],
  ];
  for (const [unit, terminator] of worst) {
    const several = [terminator].flat().map((each) => (each as string).length);
    const most = 3 * several.length * (Math.max(...several) + 1); // it is searched for, compared, and compared again
    for (const size of [1, 3, 1024]) {
      const few = looks(unit.repeat(2000), size, terminator, 1_000_000, "close");
      const many = looks(unit.repeat(8000), size, terminator, 1_000_000, "close");
      assertLessOrEqual(many, few * 1.02, `${size} bytes a read, ${terminator}`);
      assertLessOrEqual(many, most, `${size} bytes a read, ${terminator}`);
    }
  }
});
