// Producers among the pushes: who is asked when, and what is written when.

import { assert, assertEquals, assertLessOrEqual, assertStrictEquals } from "@std/assert";
import { concat, equals } from "@std/bytes";
import { seededRandom } from "../testing/cuts.ts";
import { WriteQueue } from "./write_queue.ts";
import type { Source } from "./producer.ts";

const LARGEST_COPY = 16_384;
const bytes = (text: string) => new TextEncoder().encode(text);
const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

/** A producer as an outbox sees it: it asks nothing of it. */
const source = (): Source => ({ pull: () => null, cancel() {} });

/** Writes all that is ready; what each write had, as text. */
function writes(outbox: WriteQueue): string[] {
  const written: string[] = [];
  for (let bytes = outbox.peek(); bytes !== null; bytes = outbox.peek()) {
    written.push(text(bytes));
    outbox.advance(bytes.length);
  }
  return written;
}

/** An outbox to which `pushed` was pushed. */
function filled(...pushed: (string | Uint8Array | Source)[]): WriteQueue {
  const outbox = new WriteQueue();
  for (const item of pushed) {
    if (typeof item === "string" || item instanceof Uint8Array) outbox.push(item);
    else outbox.pushSource(item);
  }
  return outbox;
}

// ---------------------------------------------------------------------------------------------------------------- tickets

Deno.test("WriteQueue.writtenTicket is the last push that is written, it and all before it", () => {
  const outbox = filled("a", "b");
  assertEquals([outbox.tickets, outbox.writtenTicket], [2, 0]);
  outbox.peek();
  outbox.push("c");
  assertEquals([outbox.tickets, outbox.writtenTicket], [3, 0]);
  outbox.advance(1);
  outbox.advance(1);
  assertEquals(outbox.writtenTicket, 2);
  writes(outbox);
  assertEquals(outbox.writtenTicket, 3);
});

Deno.test("WriteQueue.writtenTicket takes an empty push as written when all before it is", () => {
  const outbox = filled("", new Uint8Array(0));
  assertEquals([outbox.tickets, outbox.writtenTicket], [2, 2]);
  outbox.push("a");
  const writing = outbox.peek()!;
  outbox.push("");
  assertEquals(outbox.writtenTicket, 2);
  outbox.advance(writing.length);
  assertEquals(outbox.writtenTicket, 4);
});

Deno.test("WriteQueue.writtenTicket takes a producer as written when its last byte is and it has ended", () => {
  const [first, second] = [source(), source()];
  const outbox = filled("a", first, "b", second, "c");
  const seen: [string, number][] = [];
  const look = () => seen.push([writes(outbox).join(""), outbox.writtenTicket]);
  look();
  outbox.feed(first, bytes("1"));
  look();
  outbox.feed(first, bytes("2"));
  outbox.feed(first, null);
  look();
  outbox.feed(second, null);
  look();
  assertEquals(seen, [["a", 1], ["1", 1], ["2b", 3], ["c", 5]]);
});

Deno.test("WriteQueue.writtenTicket waits for bytes of a producer that has ended", () => {
  const only = source();
  const outbox = filled(only);
  outbox.feed(only, bytes("ab"));
  outbox.feed(only, null);
  outbox.peek();
  outbox.advance(1);
  assertEquals(outbox.writtenTicket, 0);
  outbox.advance(1);
  assertEquals(outbox.writtenTicket, 1);
});

Deno.test("WriteQueue.writtenTicket takes a producer that makes nothing as written when all before it is", () => {
  const [first, second] = [source(), source()];
  const outbox = filled(first, "a", second);
  outbox.feed(first, null);
  assertEquals(outbox.writtenTicket, 1);
  outbox.feed(second, null);
  assertEquals(outbox.writtenTicket, 1);
  writes(outbox);
  assertEquals(outbox.writtenTicket, 3);
});

// --------------------------------------------------------------------------------------------------------------- producers

Deno.test("WriteQueue.source() is asked while what it makes goes into the same write", () => {
  const only = source();
  const outbox = filled("a", only, "z");
  assertStrictEquals(outbox.source(), only);
  for (const piece of ["b", "", "c"]) outbox.feed(only, bytes(piece));
  assertStrictEquals(outbox.source(), only);
  outbox.feed(only, null);
  assertEquals([outbox.source(), writes(outbox)], [null, ["abcz"]]);
});

Deno.test("WriteQueue.source() is not asked while 64 KiB are ready, and is again when they are written", () => {
  const only = source();
  const outbox = filled(only);
  for (let asked = 0; asked < 8; asked++) {
    assertStrictEquals(outbox.source(), only, `after ${asked} pieces`);
    outbox.feed(only, new Uint8Array(8192));
  }
  assertEquals([outbox.source(), outbox.bufferedAmount], [null, 65_536]);
  outbox.peek();
  outbox.advance(1);
  assertStrictEquals(outbox.source(), only);
});

Deno.test("WriteQueue.source() is not asked before a piece that was lent is written", () => {
  const only = source();
  const outbox = filled(only);
  const piece = new Uint8Array(LARGEST_COPY + 1);
  outbox.feed(only, piece);
  assertEquals(outbox.source(), null);
  assertStrictEquals(outbox.peek(), piece);
  outbox.advance(LARGEST_COPY);
  assertEquals(outbox.source(), null);
  outbox.advance(1);
  assertStrictEquals(outbox.source(), only);
});

Deno.test("WriteQueue.feed() copies small pieces, whose producer may use them again at once", () => {
  const only = source();
  const outbox = filled(only);
  const piece = bytes("ab");
  outbox.feed(only, piece);
  piece.fill(0x63);
  outbox.feed(only, piece);
  assertEquals(writes(outbox), ["abcc"]);
});

Deno.test("WriteQueue.feed() of an empty piece is no end, and leaves nothing to write", () => {
  const only = source();
  const outbox = filled(only);
  outbox.feed(only, new Uint8Array(0));
  assertEquals([outbox.peek(), outbox.current === only, outbox.writtenTicket], [null, true, 0]);
});

Deno.test("WriteQueue.feed() does not hear a producer that is not the first, or has ended, or was dropped", () => {
  const [first, second] = [source(), source()];
  const outbox = filled(first, second);
  outbox.feed(second, bytes("too early"));
  outbox.feed(second, null);
  outbox.feed(first, null);
  outbox.feed(first, bytes("too late"));
  assertEquals([outbox.peek(), outbox.writtenTicket], [null, 1]);
  assertStrictEquals(outbox.source(), second);
  outbox.clear();
  outbox.feed(second, bytes("dropped"));
  outbox.feed(second, null);
  assertEquals([outbox.peek(), outbox.bufferedAmount], [null, 0]);
});

Deno.test("WriteQueue.push() behind a producer keeps its place, large or small, text or bytes", () => {
  const [first, second] = [source(), source()];
  const large = new Uint8Array(LARGEST_COPY + 1).fill(0x78);
  const outbox = filled("a", first, "€", bytes("c"), large, "", second, "e");
  outbox.feed(first, bytes("1"));
  assertEquals(writes(outbox), ["a1"]);
  outbox.feed(first, null);
  assertEquals(outbox.source(), null, "a large push goes first");
  assertEquals(writes(outbox), ["€c", text(large)]);
  assertStrictEquals(outbox.source(), second);
  outbox.feed(second, bytes("2"));
  outbox.feed(second, null);
  assertEquals([writes(outbox), outbox.tickets, outbox.writtenTicket], [["2e"], 8, 8]);
});

Deno.test("WriteQueue.current is the producer at work or next at work, whether it is to be asked or not", () => {
  const [first, second] = [source(), source()];
  const outbox = filled("a");
  assertEquals(outbox.current, null);
  outbox.pushSource(first);
  outbox.pushSource(second);
  outbox.feed(first, new Uint8Array(LARGEST_COPY + 1));
  assertStrictEquals(outbox.current, first);
  outbox.feed(first, null);
  assertStrictEquals(outbox.current, second);
  outbox.feed(second, null);
  assertEquals(outbox.current, null);
});

Deno.test("WriteQueue.sources counts the producers at work and those that wait", () => {
  const [first, second, third] = [source(), source(), source()];
  const outbox = filled("a", first, "b", second);
  const seen = [outbox.sources];
  outbox.feed(first, bytes("1"));
  seen.push(outbox.sources);
  outbox.feed(first, null);
  seen.push(outbox.sources);
  outbox.pushSource(third);
  seen.push(outbox.sources);
  outbox.clear();
  seen.push(outbox.sources);
  outbox.feed(third, null);
  seen.push(outbox.sources);
  assertEquals(seen, [2, 2, 1, 2, 0, 0]);
});

Deno.test("WriteQueue.feed() of the end frees a hundred thousand pushes that waited", () => {
  const only = source();
  const outbox = filled(only);
  for (let pushed = 0; pushed < 100_000; pushed++) outbox.push("x");
  outbox.feed(only, null);
  assertEquals([writes(outbox).join("").length, outbox.writtenTicket], [100_000, 100_001]);
});

// ---------------------------------------------------------------------------------------------------------------- a model

/** A push as the model sees it: what it has made so far, and whether it may make more. */
interface Pushed {
  source: Source | null;
  made: Uint8Array[];
  size: number;
  ended: boolean;
}

/** An outbox and its model, to which random things are done. */
class Play {
  readonly outbox = new WriteQueue();
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
    this.outbox.push(this.#random() < 0.5 ? data : text(data));
    this.#pushed.push({ source: null, made: [data], size: data.length, ended: true });
  }

  pushSource(): void {
    const pushed = { source: source(), made: [], size: 0, ended: false };
    this.outbox.pushSource(pushed.source);
    this.#pushed.push(pushed);
  }

  feed(): void {
    const asked = this.outbox.source();
    if (asked === null) return;
    const pushed = this.#pushed.find(({ source }) => source === asked)!;
    pushed.ended = this.#random() < 0.4;
    const piece = this.#make();
    this.outbox.feed(asked, pushed.ended ? null : piece);
    if (pushed.ended) return;
    pushed.made.push(piece);
    pushed.size += piece.length;
  }

  write(): void {
    const bytes = this.outbox.peek();
    if (bytes === null) return;
    const count = this.#random() < 0.5 ? bytes.length : this.#number(bytes.length + 1);
    this.#sent.push(bytes.slice(0, count));
    this.#sentSize += count;
    this.outbox.advance(count);
  }

  randomly(steps: ("push" | "pushSource" | "feed" | "write")[]): void {
    this[steps[this.#number(steps.length)]!]();
  }

  check(message: string): void {
    const { bufferedAmount, writtenTicket } = this.outbox;
    let size = 0; // of all that is pushed and made
    let whole = 0; // pushes that are written, and all before them
    this.#pushed.forEach((pushed, at) => {
      size += pushed.size;
      if (whole === at && pushed.ended && size <= this.#sentSize) whole++;
    });
    assertEquals(bufferedAmount, size - this.#sentSize, message);
    // Pushes that go in one block are written together, so it may be behind; it is not once the block is written.
    if (this.outbox.unsent().length > 0) assertLessOrEqual(writtenTicket, whole, message);
    else assertEquals(writtenTicket, whole, message);
  }

  get over(): boolean {
    return this.outbox.current === null && this.outbox.bufferedAmount === 0;
  }

  checkAllSent(message: string): void {
    assertEquals(this.outbox.writtenTicket, this.#pushed.length, message);
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
