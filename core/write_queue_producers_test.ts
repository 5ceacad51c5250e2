// Producers among the pushes: who is asked when, and what is written when.

import { assert, assertEquals, assertLessOrEqual, assertStrictEquals } from "@std/assert";
import { concat, equals } from "@std/bytes";
import { seededRandom } from "../testing/cuts.ts";
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

// ---------------------------------------------------------------------------------------------------------------- pushCount

Deno.test("WriteQueue.writtenCount is the last push that is written, it and all before it", () => {
  const queue = filled("a", "b");
  assertEquals([queue.pushCount, queue.writtenCount], [2, 0]);
  queue.peek();
  queue.push("c");
  assertEquals([queue.pushCount, queue.writtenCount], [3, 0]);
  queue.advance(1);
  queue.advance(1);
  assertEquals(queue.writtenCount, 2);
  writes(queue);
  assertEquals(queue.writtenCount, 3);
});

Deno.test("WriteQueue.writtenCount takes an empty push as written when all before it is", () => {
  const queue = filled("", new Uint8Array(0));
  assertEquals([queue.pushCount, queue.writtenCount], [2, 2]);
  queue.push("a");
  const writing = queue.peek()!;
  queue.push("");
  assertEquals(queue.writtenCount, 2);
  queue.advance(writing.length);
  assertEquals(queue.writtenCount, 4);
});

Deno.test("WriteQueue.writtenCount takes a producer as written when its last byte is and it has ended", () => {
  const [first, second] = [source(), source()];
  const queue = filled("a", first, "b", second, "c");
  const seen: [string, number][] = [];
  const look = () => seen.push([writes(queue).join(""), queue.writtenCount]);
  look();
  queue.feed(first, bytes("1"));
  look();
  queue.feed(first, bytes("2"));
  queue.feed(first, null);
  look();
  queue.feed(second, null);
  look();
  assertEquals(seen, [["a", 1], ["1", 1], ["2b", 3], ["c", 5]]);
});

Deno.test("WriteQueue.writtenCount waits for bytes of a producer that has ended", () => {
  const only = source();
  const queue = filled(only);
  queue.feed(only, bytes("ab"));
  queue.feed(only, null);
  queue.peek();
  queue.advance(1);
  assertEquals(queue.writtenCount, 0);
  queue.advance(1);
  assertEquals(queue.writtenCount, 1);
});

Deno.test("WriteQueue.writtenCount takes a producer that makes nothing as written when all before it is", () => {
  const [first, second] = [source(), source()];
  const queue = filled(first, "a", second);
  queue.feed(first, null);
  assertEquals(queue.writtenCount, 1);
  queue.feed(second, null);
  assertEquals(queue.writtenCount, 1);
  writes(queue);
  assertEquals(queue.writtenCount, 3);
});

// --------------------------------------------------------------------------------------------------------------- producers

Deno.test("WriteQueue.source() is asked while what it makes goes into the same write", () => {
  const only = source();
  const queue = filled("a", only, "z");
  assertStrictEquals(queue.source(), only);
  for (const piece of ["b", "", "c"]) queue.feed(only, bytes(piece));
  assertStrictEquals(queue.source(), only);
  queue.feed(only, null);
  assertEquals([queue.source(), writes(queue)], [null, ["abcz"]]);
});

Deno.test("WriteQueue.source() is not asked while 64 KiB are ready, and is again when they are written", () => {
  const only = source();
  const queue = filled(only);
  for (let asked = 0; asked < 8; asked++) {
    assertStrictEquals(queue.source(), only, `after ${asked} pieces`);
    queue.feed(only, new Uint8Array(8192));
  }
  assertEquals([queue.source(), queue.bufferedAmount], [null, 65_536]);
  queue.peek();
  queue.advance(1);
  assertStrictEquals(queue.source(), only);
});

Deno.test("WriteQueue.source() is not asked before a piece that was lent is written", () => {
  const only = source();
  const queue = filled(only);
  const piece = new Uint8Array(LARGEST_COPY + 1);
  queue.feed(only, piece);
  assertEquals(queue.source(), null);
  assertStrictEquals(queue.peek(), piece);
  queue.advance(LARGEST_COPY);
  assertEquals(queue.source(), null);
  queue.advance(1);
  assertStrictEquals(queue.source(), only);
});

Deno.test("WriteQueue.feed() copies small pieces, whose producer may use them again at once", () => {
  const only = source();
  const queue = filled(only);
  const piece = bytes("ab");
  queue.feed(only, piece);
  piece.fill(0x63);
  queue.feed(only, piece);
  assertEquals(writes(queue), ["abcc"]);
});

Deno.test("WriteQueue.feed() of an empty piece is no end, and leaves nothing to write", () => {
  const only = source();
  const queue = filled(only);
  queue.feed(only, new Uint8Array(0));
  assertEquals([queue.peek(), queue.current === only, queue.writtenCount], [null, true, 0]);
});

Deno.test("WriteQueue.feed() does not hear a producer that is not the first, or has ended, or was dropped", () => {
  const [first, second] = [source(), source()];
  const queue = filled(first, second);
  queue.feed(second, bytes("too early"));
  queue.feed(second, null);
  queue.feed(first, null);
  queue.feed(first, bytes("too late"));
  assertEquals([queue.peek(), queue.writtenCount], [null, 1]);
  assertStrictEquals(queue.source(), second);
  queue.clear();
  queue.feed(second, bytes("dropped"));
  queue.feed(second, null);
  assertEquals([queue.peek(), queue.bufferedAmount], [null, 0]);
});

Deno.test("WriteQueue.push() behind a producer keeps its place, large or small, text or bytes", () => {
  const [first, second] = [source(), source()];
  const large = new Uint8Array(LARGEST_COPY + 1).fill(0x78);
  const queue = filled("a", first, "€", bytes("c"), large, "", second, "e");
  queue.feed(first, bytes("1"));
  assertEquals(writes(queue), ["a1"]);
  queue.feed(first, null);
  assertEquals(queue.source(), null, "a large push goes first");
  assertEquals(writes(queue), ["€c", text(large)]);
  assertStrictEquals(queue.source(), second);
  queue.feed(second, bytes("2"));
  queue.feed(second, null);
  assertEquals([writes(queue), queue.pushCount, queue.writtenCount], [["2e"], 8, 8]);
});

Deno.test("WriteQueue.current is the producer at work or next at work, whether it is to be asked or not", () => {
  const [first, second] = [source(), source()];
  const queue = filled("a");
  assertEquals(queue.current, null);
  queue.pushSource(first);
  queue.pushSource(second);
  queue.feed(first, new Uint8Array(LARGEST_COPY + 1));
  assertStrictEquals(queue.current, first);
  queue.feed(first, null);
  assertStrictEquals(queue.current, second);
  queue.feed(second, null);
  assertEquals(queue.current, null);
});

Deno.test("WriteQueue.sources counts the producers at work and those that wait", () => {
  const [first, second, third] = [source(), source(), source()];
  const queue = filled("a", first, "b", second);
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

Deno.test("WriteQueue.feed() of the end frees a hundred thousand pushes that waited", () => {
  const only = source();
  const queue = filled(only);
  for (let pushed = 0; pushed < 100_000; pushed++) queue.push("x");
  queue.feed(only, null);
  assertEquals([writes(queue).join("").length, queue.writtenCount], [100_000, 100_001]);
});

// ---------------------------------------------------------------------------------------------------------------- a model

/** A push as the model sees it: what it has made so far, and whether it may make more. */
interface Pushed {
  source: Source | null;
  made: Uint8Array[];
  size: number;
  ended: boolean;
}

/** An queue and its model, to which random things are done. */
class Play {
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
    const data = this.#make();
    this.queue.push(this.#random() < 0.5 ? data : text(data));
    this.#pushed.push({ source: null, made: [data], size: data.length, ended: true });
  }

  pushSource(): void {
    const pushed = { source: source(), made: [], size: 0, ended: false };
    this.queue.pushSource(pushed.source);
    this.#pushed.push(pushed);
  }

  feed(): void {
    const asked = this.queue.source();
    if (asked === null) return;
    const pushed = this.#pushed.find(({ source }) => source === asked)!;
    pushed.ended = this.#random() < 0.4;
    const piece = this.#make();
    this.queue.feed(asked, pushed.ended ? null : piece);
    if (pushed.ended) return;
    pushed.made.push(piece);
    pushed.size += piece.length;
  }

  write(): void {
    const bytes = this.queue.peek();
    if (bytes === null) return;
    const count = this.#random() < 0.5 ? bytes.length : this.#number(bytes.length + 1);
    this.#sent.push(bytes.slice(0, count));
    this.#sentSize += count;
    this.queue.advance(count);
  }

  randomly(steps: ("push" | "pushSource" | "feed" | "write")[]): void {
    this[steps[this.#number(steps.length)]!]();
  }

  check(message: string): void {
    const { bufferedAmount, writtenCount } = this.queue;
    let size = 0; // of all that is pushed and made
    let whole = 0; // pushes that are written, and all before them
    this.#pushed.forEach((pushed, at) => {
      size += pushed.size;
      if (whole === at && pushed.ended && size <= this.#sentSize) whole++;
    });
    assertEquals(bufferedAmount, size - this.#sentSize, message);
    // Pushes that go in one block are written together, so it may be behind; it is not once the block is written.
    if (this.queue.unsent().length > 0) assertLessOrEqual(writtenCount, whole, message);
    else assertEquals(writtenCount, whole, message);
  }

  get over(): boolean {
    return this.queue.current === null && this.queue.bufferedAmount === 0;
  }

  checkAllSent(message: string): void {
    assertEquals(this.queue.writtenCount, this.#pushed.length, message);
    assert(equals(concat(this.#sent), concat(this.#pushed.flatMap(({ made }) => made))), message);
  }

  #make(): Uint8Array {
    const size = this.#random() < 0.05 ? LARGEST_COPY + this.#number(3) : this.#number(300);
    return new Uint8Array(size).map(() => this.#lastByte = (this.#lastByte + 1) % 128);
  }

  #number(below: number): number {
    return Math.floor(this.#random() * below);
  }
}

Deno.test("WriteQueue sends what is pushed and made in the order of the pushes, and knows how far it is, whatever is done", () => {
  for (let seed = 1; seed <= 300; seed++) {
    const play = new Play(seed);
    for (let calls = 0; calls < 80; calls++) {
      play.randomly(["push", "push", "pushSource", "feed", "write"]);
      play.check(`seed ${seed}`);
    }
    for (let calls = 0; calls < 2000 && !play.over; calls++) play.randomly(["feed", "write"]);
    play.check(`seed ${seed}`);
    play.checkAllSent(`seed ${seed}`);
  }
});
