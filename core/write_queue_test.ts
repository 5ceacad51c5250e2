import { assertEquals, assertLessOrEqual, assertStrictEquals, assertThrows } from "@std/assert";
import { bytes, text } from "../tests/recorder.ts";
import { MAX_COPY, queueOf, source, writeAll } from "../tests/write_queue_harness.ts";
import { WriteQueue } from "./write_queue.ts";

// ------------------------------------------------------------------------------------------------------------- coalescing

Deno.test("WriteQueue.peek() returns null for an empty queue and for empty pushes", () => {
  assertEquals(new WriteQueue().peek(), null);
  assertEquals(queueOf("", new Uint8Array(0)).peek(), null);
});

Deno.test("WriteQueue.peek() joins small pushes, text as UTF-8", () => {
  assertEquals(writeAll(queueOf("a", bytes("bc"), "", "€", bytes("d"))), ["abc€d"]);
});

Deno.test("WriteQueue.peek() returns small pushes in as few blocks of 64 KiB as possible", () => {
  const pushed = Array.from({ length: 3000 }, (_, i) => `${i} ${"x".repeat(100)}\n`);
  for (const queue of [queueOf(...pushed), queueOf(...pushed.map(bytes))]) {
    const written = writeAll(queue);
    assertEquals(written.join(""), pushed.join(""));
    assertLessOrEqual(Math.max(...written.map((each) => each.length)), 65_536);
    assertEquals(written.length, Math.ceil(pushed.join("").length / 65_000));
  }
});

Deno.test("WriteQueue.push() of a byte at a time copies at most twice what is pushed", () => {
  const queue = new WriteQueue();
  const { set } = Uint8Array.prototype;
  let copied = 0;
  Uint8Array.prototype.set = function (this: Uint8Array, source: ArrayLike<number>, offset?: number) {
    copied += source.length;
    set.call(this, source, offset);
  };
  try {
    for (let pushed = 0; pushed < 200_000; pushed++) queue.push(new Uint8Array(1));
  } finally {
    Uint8Array.prototype.set = set;
  }
  assertEquals(queue.bufferedAmount, 200_000);
  assertLessOrEqual(copied, 400_000);
});

Deno.test("WriteQueue.push() copies bytes up to 16 KiB: their owner may reuse them at once", () => {
  for (const size of [1, 512, MAX_COPY]) {
    const data = new Uint8Array(size).fill(0x61);
    const queue = queueOf(data);
    data.fill(0);
    assertEquals(writeAll(queue), ["a".repeat(size)]);
  }
});

Deno.test("WriteQueue.push() borrows larger bytes: the same array is written", () => {
  const data = new Uint8Array(MAX_COPY + 1);
  assertStrictEquals(queueOf(data).peek(), data);
});

Deno.test("WriteQueue.peek() returns a large push alone, between the small ones around it", () => {
  const large = "x".repeat(MAX_COPY + 1);
  assertEquals(writeAll(queueOf("a", "b", bytes(large), "c", "d")), ["ab", large, "cd"]);
  assertEquals(writeAll(queueOf("a", "b", large, "c", "d")), ["ab", large, "cd"]);
});

Deno.test("WriteQueue.push() accepts text of any length and any characters", () => {
  for (const unit of ["x", "é", "€", "😀", "\ud800", "\udc00"]) {
    for (const count of [1, 170, 171, 2730, 2731, 5461, 5462, 16_384, 16_385, 40_000]) {
      const pushed = unit.repeat(count);
      assertEquals(writeAll(queueOf("<", pushed, ">")).join(""), `<${pushed.toWellFormed()}>`, `${count} of ${unit}`);
    }
  }
});

// -------------------------------------------------------------------------------------------------- what a write has got

Deno.test("WriteQueue.push() does not change the memory of a pending write", () => {
  const queue = queueOf("ab");
  const writing = queue.peek()!;
  const memory = new Uint8Array(writing.buffer);
  const before = memory.slice();
  queue.push("cd");
  queue.push(bytes("ef"));
  assertEquals({ writing: text(writing), memory }, { writing: "ab", memory: before });
  queue.advance(2);
  assertEquals(writeAll(queue), ["cdef"]);
});

Deno.test("WriteQueue.push() does not change the memory of the rest after a short write", () => {
  const queue = queueOf("abcd");
  queue.peek();
  queue.advance(1);
  queue.push("ef");
  const writing = queue.peek()!;
  const memory = new Uint8Array(writing.buffer);
  const before = memory.slice();
  queue.push("gh");
  assertEquals({ writing: text(writing), memory }, { writing: "bcd", memory: before });
  queue.advance(3);
  assertEquals(writeAll(queue), ["efgh"]);
});

Deno.test("WriteQueue.peek() returns the same bytes again until they are written", () => {
  const queue = queueOf("ab");
  assertStrictEquals(queue.peek(), queue.peek());
});

Deno.test("WriteQueue.advance() keeps the rest after a short write", () => {
  const large = "x".repeat(MAX_COPY + 1);
  const queue = queueOf("abc", large);
  const sizes = [1, 0, 2, 5, MAX_COPY - 4];
  const left = sizes.map((size) => {
    queue.peek();
    queue.advance(size);
    return queue.bufferedAmount;
  });
  assertEquals(left, [MAX_COPY + 3, MAX_COPY + 3, MAX_COPY + 1, MAX_COPY - 4, 0]);
  assertEquals(queue.peek(), null);
});

Deno.test("WriteQueue.advance() rejects more than peek() returned, and what is not a count", () => {
  for (const count of [-1, 3, 0.5, NaN, Infinity, "1", undefined, null]) {
    const queue = queueOf("ab", bytes("x".repeat(MAX_COPY + 1)));
    queue.peek();
    const error = assertThrows(() => queue.advance(count as number), RangeError);
    assertEquals(error.message, `Cannot write: the connection reported ${count} bytes written, expected 0 to 2`);
    assertEquals(queue.bufferedAmount, MAX_COPY + 3);
  }
});

Deno.test("WriteQueue.writing is true from peek() until its bytes are written", () => {
  const queue = queueOf("ab");
  const seen = [queue.writing];
  queue.peek();
  seen.push(queue.writing);
  queue.advance(1);
  seen.push(queue.writing);
  queue.advance(1);
  seen.push(queue.writing);
  assertEquals(seen, [false, true, true, false]);
});

// ----------------------------------------------------------------------------------------------------------- amount, seal

Deno.test("WriteQueue.bufferedAmount counts bytes that are pushed or produced, and not written", () => {
  const only = source();
  const queue = new WriteQueue();
  const seen = [queue.bufferedAmount];
  const steps: (() => void)[] = [
    () => queue.push("€"),
    () => queue.pushSource(only),
    () => queue.push("€€"),
    () => queue.push(bytes("b")),
    () => queue.feed(only, bytes("1234")),
    () => void queue.peek(),
    () => queue.advance(7),
    () => queue.feed(only, null),
    () => void writeAll(queue),
  ];
  for (const step of steps) {
    step();
    seen.push(queue.bufferedAmount);
  }
  assertEquals(seen, [0, 3, 3, 9, 10, 14, 14, 7, 7, 0]);
});

Deno.test("WriteQueue.seal() sets sealed and drops nothing", () => {
  const queue = queueOf("a");
  assertEquals(queue.sealed, false);
  queue.seal();
  assertEquals(queue.sealed, true);
  assertEquals(writeAll(queue), ["a"]);
  assertEquals(queue.sealed, true);
});

// ------------------------------------------------------------------------------------------------------- clear(), unsent()

Deno.test("WriteQueue.clear() drops all output and returns the queued producers in order", () => {
  const [first, second] = [source(), source()];
  const queue = queueOf("a", first, "b", second, "c");
  queue.feed(first, bytes("1"));
  const dropped = queue.clear();
  assertEquals(dropped.length, 2);
  assertStrictEquals(dropped[0], first);
  assertStrictEquals(dropped[1], second);
  const { bufferedAmount, current, writtenCount } = queue;
  assertEquals({ bufferedAmount, next: queue.peek(), current, writtenCount }, {
    bufferedAmount: 0,
    next: null,
    current: null,
    writtenCount: 5,
  });
  assertEquals(queue.clear(), []);
});

Deno.test("WriteQueue.clear() during a write ignores its result, and accepts later pushes", () => {
  const queue = queueOf("abc");
  queue.peek();
  queue.clear();
  assertEquals(queue.writing, false);
  queue.push("d");
  queue.advance(3);
  const { bufferedAmount, writtenCount } = queue;
  assertEquals({ bufferedAmount, writtenCount }, { bufferedAmount: 1, writtenCount: 1 });
  assertEquals(writeAll(queue), ["d"]);
  assertEquals(queue.writtenCount, 2);
});

Deno.test("WriteQueue.clear() forgets borrowed bytes: a producer pushed later is pulled", () => {
  const queue = queueOf(new Uint8Array(MAX_COPY + 1));
  queue.peek();
  queue.clear();
  const only = source();
  queue.pushSource(only);
  assertStrictEquals(queue.source(), only);
});

Deno.test("WriteQueue.unsent() returns what is not written, in order, and keeps it", () => {
  const large = new Uint8Array(MAX_COPY + 1);
  const queue = queueOf("abc", large, "d");
  queue.peek();
  queue.advance(1);
  const unsent = queue.unsent();
  assertEquals(unsent, [bytes("bc"), large, bytes("d")]);
  assertStrictEquals(unsent[1], large);
  assertEquals(queue.bufferedAmount, 2 + large.length + 1);
  assertEquals(new WriteQueue().unsent(), []);
});
