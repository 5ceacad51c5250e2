// Producers among the pushes: when each is pulled, and when what it makes is written.

import { assert, assertEquals, assertLessOrEqual, assertStrictEquals } from "@std/assert";
import { concat, equals } from "@std/bytes";
import { seededRandom } from "../testing/cuts.ts";
import { bytes, text } from "../tests/recorder.ts";
import { MAX_COPY, queueOf, source, writeAll } from "../tests/write_queue_harness.ts";
import type { Source } from "./producer.ts";
import { WriteQueue } from "./write_queue.ts";

// ------------------------------------------------------------------------------------------------------------ writtenCount

const countsOf = ({ pushCount, writtenCount }: WriteQueue) => ({ pushCount, writtenCount });

Deno.test("WriteQueue.writtenCount is the last push that is written with all before it", () => {
  const queue = queueOf("a", "b");
  assertEquals(countsOf(queue), { pushCount: 2, writtenCount: 0 });
  queue.peek();
  queue.push("c");
  assertEquals(countsOf(queue), { pushCount: 3, writtenCount: 0 });
  queue.advance(1);
  queue.advance(1);
  assertEquals(queue.writtenCount, 2);
  writeAll(queue);
  assertEquals(queue.writtenCount, 3);
});

Deno.test("WriteQueue.writtenCount counts an empty push as written when all before it is", () => {
  const queue = queueOf("", new Uint8Array(0));
  assertEquals(countsOf(queue), { pushCount: 2, writtenCount: 2 });
  queue.push("a");
  const writing = queue.peek()!;
  queue.push("");
  assertEquals(queue.writtenCount, 2);
  queue.advance(writing.length);
  assertEquals(queue.writtenCount, 4);
});

Deno.test("WriteQueue.writtenCount counts a producer once it has ended and its last byte is written", () => {
  const [first, second] = [source(), source()];
  const queue = queueOf("a", first, "b", second, "c");
  const seen: { written: string; writtenCount: number }[] = [];
  const write = () => seen.push({ written: writeAll(queue).join(""), writtenCount: queue.writtenCount });
  write();
  queue.feed(first, bytes("1"));
  write();
  queue.feed(first, bytes("2"));
  queue.feed(first, null);
  write();
  queue.feed(second, null);
  write();
  assertEquals(seen, [
    { written: "a", writtenCount: 1 },
    { written: "1", writtenCount: 1 },
    { written: "2b", writtenCount: 3 },
    { written: "c", writtenCount: 5 },
  ]);
});

Deno.test("WriteQueue.writtenCount waits for the bytes of a producer that has ended", () => {
  const only = source();
  const queue = queueOf(only);
  queue.feed(only, bytes("ab"));
  queue.feed(only, null);
  queue.peek();
  queue.advance(1);
  assertEquals(queue.writtenCount, 0);
  queue.advance(1);
  assertEquals(queue.writtenCount, 1);
});

Deno.test("WriteQueue.writtenCount counts a producer without bytes when all before it is written", () => {
  const [first, second] = [source(), source()];
  const queue = queueOf(first, "a", second);
  queue.feed(first, null);
  assertEquals(queue.writtenCount, 1);
  queue.feed(second, null);
  assertEquals(queue.writtenCount, 1);
  writeAll(queue);
  assertEquals(queue.writtenCount, 3);
});

// --------------------------------------------------------------------------------------------------------------- producers

Deno.test("WriteQueue.source() returns the producer while its chunks fit into the same write", () => {
  const only = source();
  const queue = queueOf("a", only, "z");
  assertStrictEquals(queue.source(), only);
  for (const chunk of ["b", "", "c"]) queue.feed(only, bytes(chunk));
  assertStrictEquals(queue.source(), only);
  queue.feed(only, null);
  assertEquals(queue.source(), null);
  assertEquals(writeAll(queue), ["abcz"]);
});

Deno.test("WriteQueue.source() is null while 64 KiB are ready, until a byte is written", () => {
  const only = source();
  const queue = queueOf(only);
  for (let chunks = 0; chunks < 8; chunks++) {
    assertStrictEquals(queue.source(), only, `after ${chunks} chunks`);
    queue.feed(only, new Uint8Array(8192));
  }
  const { bufferedAmount } = queue;
  assertEquals({ source: queue.source(), bufferedAmount }, { source: null, bufferedAmount: 65_536 });
  queue.peek();
  queue.advance(1);
  assertStrictEquals(queue.source(), only);
});

Deno.test("WriteQueue.source() is null until a borrowed chunk is written", () => {
  const only = source();
  const queue = queueOf(only);
  const chunk = new Uint8Array(MAX_COPY + 1);
  queue.feed(only, chunk);
  assertEquals(queue.source(), null);
  assertStrictEquals(queue.peek(), chunk);
  queue.advance(MAX_COPY);
  assertEquals(queue.source(), null);
  queue.advance(1);
  assertStrictEquals(queue.source(), only);
});

Deno.test("WriteQueue.feed() copies small chunks: their producer may reuse them at once", () => {
  const only = source();
  const queue = queueOf(only);
  const chunk = bytes("ab");
  queue.feed(only, chunk);
  chunk.fill(0x63);
  queue.feed(only, chunk);
  assertEquals(writeAll(queue), ["abcc"]);
});

Deno.test("WriteQueue.feed() of an empty chunk is not the end, and leaves nothing to write", () => {
  const only = source();
  const queue = queueOf(only);
  queue.feed(only, new Uint8Array(0));
  assertEquals(queue.peek(), null);
  assertStrictEquals(queue.current, only);
  assertEquals(queue.writtenCount, 0);
});

Deno.test("WriteQueue.feed() ignores a producer that is not first, has ended or was dropped", () => {
  const [first, second] = [source(), source()];
  const queue = queueOf(first, second);
  queue.feed(second, bytes("too early"));
  queue.feed(second, null);
  queue.feed(first, null);
  queue.feed(first, bytes("too late"));
  const { writtenCount } = queue;
  assertEquals({ next: queue.peek(), writtenCount }, { next: null, writtenCount: 1 });
  assertStrictEquals(queue.source(), second);
  queue.clear();
  queue.feed(second, bytes("dropped"));
  queue.feed(second, null);
  const { bufferedAmount } = queue;
  assertEquals({ next: queue.peek(), bufferedAmount }, { next: null, bufferedAmount: 0 });
});

Deno.test("WriteQueue.push() behind a producer keeps the order, large or small, text or bytes", () => {
  const [first, second] = [source(), source()];
  const large = new Uint8Array(MAX_COPY + 1).fill(0x78);
  const queue = queueOf("a", first, "€", bytes("c"), large, "", second, "e");
  queue.feed(first, bytes("1"));
  assertEquals(writeAll(queue), ["a1"]);
  queue.feed(first, null);
  assertEquals(queue.source(), null, "a large push is written first");
  assertEquals(writeAll(queue), ["€c", text(large)]);
  assertStrictEquals(queue.source(), second);
  queue.feed(second, bytes("2"));
  queue.feed(second, null);
  assertEquals(writeAll(queue), ["2e"]);
  assertEquals(countsOf(queue), { pushCount: 8, writtenCount: 8 });
});

Deno.test("WriteQueue.current is the first queued producer, whether it may be pulled or not", () => {
  const [first, second] = [source(), source()];
  const queue = queueOf("a");
  assertEquals(queue.current, null);
  queue.pushSource(first);
  queue.pushSource(second);
  queue.feed(first, new Uint8Array(MAX_COPY + 1));
  assertStrictEquals(queue.current, first);
  queue.feed(first, null);
  assertStrictEquals(queue.current, second);
  queue.feed(second, null);
  assertEquals(queue.current, null);
});

Deno.test("WriteQueue.sources counts the queued producers, the current one included", () => {
  const [first, second, third] = [source(), source(), source()];
  const queue = queueOf("a", first, "b", second);
  const seen = [queue.sources];
  queue.feed(first, bytes("1"));
  seen.push(queue.sources);
  queue.feed(first, null);
  seen.push(queue.sources);
  queue.pushSource(third);
  seen.push(queue.sources);
  queue.clear();
  seen.push(queue.sources);
  queue.feed(third, null);
  seen.push(queue.sources);
  assertEquals(seen, [2, 2, 1, 2, 0, 0]);
});

Deno.test("WriteQueue.feed() of the end releases 100,000 waiting pushes", () => {
  const only = source();
  const queue = queueOf(only);
  for (let pushed = 0; pushed < 100_000; pushed++) queue.push("x");
  queue.feed(only, null);
  const written = writeAll(queue).join("").length;
  assertEquals({ written, writtenCount: queue.writtenCount }, { written: 100_000, writtenCount: 100_001 });
});

// ---------------------------------------------------------------------------------------------------------------- a model

/** A push in the model. */
interface Pushed {
  source: Source | null;
  chunks: Uint8Array[]; // so far
  size: number;
  ended: boolean;
}

/** Makes random calls on a queue and on its model. */
class RandomRun {
  readonly queue = new WriteQueue();
  readonly #random: () => number;
  readonly #pushed: Pushed[] = [];
  readonly #sent: Uint8Array[] = [];
  #sentSize = 0;
  #lastByte = 0;

  constructor(seed: number) {
    this.#random = seededRandom(seed);
  }

  push(): void {
    const data = this.#randomData();
    this.queue.push(this.#random() < 0.5 ? data : text(data));
    this.#pushed.push({ source: null, chunks: [data], size: data.length, ended: true });
  }

  pushSource(): void {
    const pushed = { source: source(), chunks: [], size: 0, ended: false };
    this.queue.pushSource(pushed.source);
    this.#pushed.push(pushed);
  }

  feed(): void {
    const current = this.queue.source();
    if (current === null) return;
    const pushed = this.#pushed.find(({ source }) => source === current)!;
    pushed.ended = this.#random() < 0.4;
    const chunk = this.#randomData();
    this.queue.feed(current, pushed.ended ? null : chunk);
    if (pushed.ended) return;
    pushed.chunks.push(chunk);
    pushed.size += chunk.length;
  }

  write(): void {
    const bytes = this.queue.peek();
    if (bytes === null) return;
    const count = this.#random() < 0.5 ? bytes.length : this.#randomBelow(bytes.length + 1);
    this.#sent.push(bytes.slice(0, count));
    this.#sentSize += count;
    this.queue.advance(count);
  }

  randomCall(methods: ("push" | "pushSource" | "feed" | "write")[]): void {
    this[methods[this.#randomBelow(methods.length)]!]();
  }

  check(message: string): void {
    const { bufferedAmount, writtenCount } = this.queue;
    let size = 0; // of all pushes so far
    let complete = 0; // pushes written with all before them
    this.#pushed.forEach((pushed, at) => {
      size += pushed.size;
      if (complete === at && pushed.ended && size <= this.#sentSize) complete++;
    });
    assertEquals(bufferedAmount, size - this.#sentSize, message);
    // Pushes in one block are counted together, when the whole block is written.
    if (this.queue.unsent().length > 0) assertLessOrEqual(writtenCount, complete, message);
    else assertEquals(writtenCount, complete, message);
  }

  get done(): boolean {
    return this.queue.current === null && this.queue.bufferedAmount === 0;
  }

  checkAllSent(message: string): void {
    assertEquals(this.queue.writtenCount, this.#pushed.length, message);
    assert(equals(concat(this.#sent), concat(this.#pushed.flatMap(({ chunks }) => chunks))), message);
  }

  #randomData(): Uint8Array {
    const size = this.#random() < 0.05 ? MAX_COPY + this.#randomBelow(3) : this.#randomBelow(300);
    return new Uint8Array(size).map(() => this.#lastByte = (this.#lastByte + 1) % 128);
  }

  #randomBelow(limit: number): number {
    return Math.floor(this.#random() * limit);
  }
}

Deno.test("WriteQueue writes in the order of the pushes and counts them, for random calls", () => {
  for (let seed = 1; seed <= 300; seed++) {
    const run = new RandomRun(seed);
    for (let calls = 0; calls < 80; calls++) {
      run.randomCall(["push", "push", "pushSource", "feed", "write"]);
      run.check(`seed ${seed}`);
    }
    for (let calls = 0; calls < 2000 && !run.done; calls++) run.randomCall(["feed", "write"]);
    run.check(`seed ${seed}`);
    run.checkAllSent(`seed ${seed}`);
  }
});
