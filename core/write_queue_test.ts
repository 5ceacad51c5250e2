import { assertEquals, assertLessOrEqual, assertStrictEquals, assertThrows } from "@std/assert";
import { WriteQueue } from "./write_queue.ts";
import type { Source } from "./producer.ts";

const LARGEST_COPY = 16_384;
const bytes = (text: string) => new TextEncoder().encode(text);
const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

/** A producer as an queue sees it: it asks nothing of it. */
const source = (): Source => ({ pull: () => null, cancel() {} });

/** Writes all that is ready; what each write had, as text. */
function writes(queue: WriteQueue): string[] {
  const written: string[] = [];
  for (let bytes = queue.peek(); bytes !== null; bytes = queue.peek()) {
    written.push(text(bytes));
    queue.advance(bytes.length);
  }
  return written;
}

/** An queue to which `pushed` was pushed. */
function filled(...pushed: (string | Uint8Array | Source)[]): WriteQueue {
  const queue = new WriteQueue();
  for (const item of pushed) {
    if (typeof item === "string" || item instanceof Uint8Array) queue.push(item);
    else queue.pushSource(item);
  }
  return queue;
}

// ------------------------------------------------------------------------------------------------------------- coalescing

Deno.test("WriteQueue.peek() gives null of nothing", () => {
  assertEquals([new WriteQueue().peek(), filled("", new Uint8Array(0)).peek()], [null, null]);
});

Deno.test("WriteQueue.peek() gives small pushes as one, text as UTF-8", () => {
  assertEquals(writes(filled("a", bytes("bc"), "", "€", bytes("d"))), ["abc€d"]);
});

Deno.test("WriteQueue.peek() gives many small pushes in blocks of 64 KiB, as few as that", () => {
  const pushed = Array.from({ length: 3000 }, (_, i) => `${i} ${"x".repeat(100)}\n`);
  for (const queue of [filled(...pushed), filled(...pushed.map(bytes))]) {
    const written = writes(queue);
    assertEquals(written.join(""), pushed.join(""));
    assertLessOrEqual(Math.max(...written.map((each) => each.length)), 65_536);
    assertEquals(written.length, Math.ceil(pushed.join("").length / 65_000));
  }
});

Deno.test("WriteQueue.push() of a byte at a time copies no more than a few times what is pushed", () => {
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

Deno.test("WriteQueue.push() copies bytes up to 16 KiB, whose owner may use them again at once", () => {
  for (const size of [1, 512, LARGEST_COPY]) {
    const data = new Uint8Array(size).fill(0x61);
    const queue = filled(data);
    data.fill(0);
    assertEquals(writes(queue), ["a".repeat(size)]);
  }
});

Deno.test("WriteQueue.push() lends larger bytes: the very same are written", () => {
  const data = new Uint8Array(LARGEST_COPY + 1);
  assertStrictEquals(filled(data).peek(), data);
});

Deno.test("WriteQueue.peek() gives a large push by itself, between the small ones before and after it", () => {
  const large = "x".repeat(LARGEST_COPY + 1);
  assertEquals(writes(filled("a", "b", bytes(large), "c", "d")), ["ab", large, "cd"]);
  assertEquals(writes(filled("a", "b", large, "c", "d")), ["ab", large, "cd"]);
});

Deno.test("WriteQueue.push() takes text of any length and any characters", () => {
  for (const unit of ["x", "é", "€", "😀", "\ud800", "\udc00"]) {
    for (const count of [1, 170, 171, 2730, 2731, 5461, 5462, 16_384, 16_385, 40_000]) {
      const pushed = unit.repeat(count);
      assertEquals(writes(filled("<", pushed, ">")).join(""), `<${pushed.toWellFormed()}>`, `${count} of ${unit}`);
    }
  }
});

// -------------------------------------------------------------------------------------------------- what a write has got

Deno.test("WriteQueue.push() adds nothing to the memory that a write has got", () => {
  const queue = filled("ab");
  const writing = queue.peek()!;
  const memory = new Uint8Array(writing.buffer);
  const before = memory.slice();
  queue.push("cd");
  queue.push(bytes("ef"));
  assertEquals([text(writing), memory], ["ab", before]);
  queue.advance(2);
  assertEquals(writes(queue), ["cdef"]);
});

Deno.test("WriteQueue.push() adds nothing to what is left after a short write either", () => {
  const queue = filled("abcd");
  queue.peek();
  queue.advance(1);
  queue.push("ef");
  const writing = queue.peek()!;
  const memory = new Uint8Array(writing.buffer);
  const before = memory.slice();
  queue.push("gh");
  assertEquals([text(writing), memory], ["bcd", before]);
  queue.advance(3);
  assertEquals(writes(queue), ["efgh"]);
});

Deno.test("WriteQueue.peek() gives the same bytes again until they are written", () => {
  const queue = filled("ab");
  assertStrictEquals(queue.peek(), queue.peek());
});

Deno.test("WriteQueue.advance() after a short write leaves the rest", () => {
  const large = "x".repeat(LARGEST_COPY + 1);
  const queue = filled("abc", large);
  const sizes = [1, 0, 2, 5, LARGEST_COPY - 4];
  const left = sizes.map((size) => {
    queue.peek();
    queue.advance(size);
    return queue.bufferedAmount;
  });
  assertEquals(left, [LARGEST_COPY + 3, LARGEST_COPY + 3, LARGEST_COPY + 1, LARGEST_COPY - 4, 0]);
  assertEquals(queue.peek(), null);
});

Deno.test("WriteQueue.advance() refuses more than was given, and what is no count", () => {
  for (const count of [-1, 3, 0.5, NaN, Infinity, "1", undefined, null]) {
    const queue = filled("ab", bytes("x".repeat(LARGEST_COPY + 1)));
    queue.peek();
    const error = assertThrows(() => queue.advance(count as number), RangeError);
    assertEquals(error.message, `Cannot write: the connection reported ${count} bytes written, expected 0 to 2`);
    assertEquals(queue.bufferedAmount, LARGEST_COPY + 3);
  }
});

Deno.test("WriteQueue.writing is from peek() to the end of what it gave", () => {
  const queue = filled("ab");
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

Deno.test("WriteQueue.bufferedAmount counts the bytes that are pushed or made, and not yet written", () => {
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
    () => void writes(queue),
  ];
  for (const step of steps) {
    step();
    seen.push(queue.bufferedAmount);
  }
  assertEquals(seen, [0, 3, 3, 9, 10, 14, 14, 7, 7, 0]);
});

Deno.test("WriteQueue.seal() says that no more will be pushed, and drops nothing", () => {
  const queue = filled("a");
  assertEquals(queue.sealed, false);
  queue.seal();
  assertEquals([queue.sealed, writes(queue), queue.sealed], [true, ["a"], true]);
});

// ------------------------------------------------------------------------------------------------------- clear(), unsent()

Deno.test("WriteQueue.clear() drops all and gives the producers that waited, the one at work first", () => {
  const [first, second] = [source(), source()];
  const queue = filled("a", first, "b", second, "c");
  queue.feed(first, bytes("1"));
  const dropped = queue.clear();
  assertEquals(dropped.length, 2);
  assertStrictEquals(dropped[0], first);
  assertStrictEquals(dropped[1], second);
  assertEquals([queue.bufferedAmount, queue.peek(), queue.current, queue.writtenCount], [0, null, null, 5]);
  assertEquals(queue.clear(), []);
});

Deno.test("WriteQueue.clear() while a write is pending: what it says is not heard, and what is pushed then is", () => {
  const queue = filled("abc");
  queue.peek();
  queue.clear();
  assertEquals(queue.writing, false);
  queue.push("d");
  queue.advance(3);
  assertEquals([queue.bufferedAmount, queue.writtenCount], [1, 1]);
  assertEquals([writes(queue), queue.writtenCount], [["d"], 2]);
});

Deno.test("WriteQueue.clear() forgets that bytes were lent: a producer pushed then is asked", () => {
  const queue = filled(new Uint8Array(LARGEST_COPY + 1));
  queue.peek();
  queue.clear();
  const only = source();
  queue.pushSource(only);
  assertStrictEquals(queue.source(), only);
});

Deno.test("WriteQueue.unsent() gives what is not written, in order, and leaves it", () => {
  const large = new Uint8Array(LARGEST_COPY + 1);
  const queue = filled("abc", large, "d");
  queue.peek();
  queue.advance(1);
  const unsent = queue.unsent();
  assertEquals(unsent, [bytes("bc"), large, bytes("d")]);
  assertStrictEquals(unsent[1], large);
  assertEquals(queue.bufferedAmount, 2 + large.length + 1);
  assertEquals(new WriteQueue().unsent(), []);
});
