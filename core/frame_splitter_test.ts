// What a splitter is asked besides next(), its answers one by one, and what it refuses. That the answers do not depend on
// the cuts is told in splitter_cuts_test.ts.

import { assertEquals, assertFalse, assertThrows } from "@std/assert";
import { Buffer } from "node:buffer";
import { ReceiveBuffer } from "./receive_buffer.ts";
import { findPrefixAtEnd, FrameSplitter, type Terminator, type TooLongPolicy } from "./frame_splitter.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

/** A splitter over bytes that have come. */
class Desk {
  readonly buffer: ReceiveBuffer;
  readonly splitter: FrameSplitter;

  constructor(come: string, terminator?: Terminator, limit = 100, onTooLong: TooLongPolicy = "close") {
    this.buffer = new ReceiveBuffer(1024, bytes(come));
    this.splitter = new FrameSplitter(this.buffer, 100);
    if (terminator !== undefined) this.splitter.setTerminator(terminator, limit, onTooLong);
  }

  come(data: string | Uint8Array): void {
    const more = typeof data === "string" ? bytes(data) : data;
    this.buffer.reserve().set(more);
    this.buffer.commit(more.length);
  }

  set(terminator: Terminator, limit = 100, onTooLong: TooLongPolicy = "close"): void {
    this.splitter.setTerminator(terminator, limit, onTooLong);
  }

  /** The bytes of the last "data" answer. */
  piece(): Uint8Array {
    return this.buffer.filled.subarray(this.splitter.pieceStart, this.splitter.pieceEnd);
  }

  /** The next answer, of data with the bytes. */
  next(): string {
    const step = this.splitter.next();
    return step === "data" ? `data ${text(this.piece())}` : step;
  }

  /** All answers up to "more" or to the first "too long". */
  all(): string[] {
    const answers: string[] = [];
    while (answers.at(-1) !== "more" && answers.at(-1) !== "too long") {
      answers.push(this.next());
      if (answers.length > 100) throw new Error(`There is no end of answers: ${answers}`);
    }
    return answers;
  }

  /** All that comes is thrown away, as in an emergency. */
  discard(): void {
    this.buffer.clear();
    this.splitter.reset();
  }
}

// -------------------------------------------------------------------------------------------------------- setTerminator()

Deno.test("FrameSplitter.setTerminator() refuses what is no terminator", () => {
  const wrong: [value: unknown, name: string][] = [
    [undefined, "undefined"],
    [true, "boolean"],
    [1n, "bigint"],
    [() => "\n", "function"],
    [{ length: 1 }, "Object"],
    [new Uint16Array(1), "Uint16Array"],
    [new ArrayBuffer(1), "ArrayBuffer"],
    [new Set(["\n"]), "Set"],
    [["\n", 1], "number"],
    [["\n", null], "null"],
    [[["\n"]], "Array"],
  ];
  for (const [value, name] of wrong) {
    const error = assertThrows(() => new Desk("").set(value as Terminator), TypeError);
    const expected = "string, Uint8Array, a list of these, a count or null";
    assertEquals(error.message, `Cannot set the terminator: expected ${expected}, got ${name}`);
  }
});

Deno.test("FrameSplitter.setTerminator() refuses an empty list and an empty member", () => {
  const wrong: [list: Terminator, what: string][] = [
    [[], "an empty list"],
    [["\n", ""], "a list with an empty member"],
    [["", "\n"], "a list with an empty member"],
    [[new Uint8Array(0)], "a list with an empty member"],
  ];
  for (const [list, what] of wrong) {
    const error = assertThrows(() => new Desk("").set(list), TypeError);
    assertEquals(error.message, `Cannot set the terminator: expected one or more byte strings, got ${what}`);
  }
});

Deno.test("FrameSplitter.setTerminator() refuses a number that is no count", () => {
  for (const count of [-1, 1.5, NaN, Infinity, -Infinity, 2 ** 53]) {
    const error = assertThrows(() => new Desk("").set(count, Infinity), RangeError);
    assertEquals(
      error.message,
      `Cannot set the terminator: count is ${count}, expected a whole number of at least 0`,
    );
  }
});

Deno.test("FrameSplitter.setTerminator() refuses a count above the limit, and takes the limit itself", () => {
  const error = assertThrows(() => new Desk("").set(11, 10), RangeError);
  assertEquals(
    error.message,
    "Cannot set the terminator: count is 11, limit is 10 (raise maxFrameBytes)",
  );
  assertEquals(new Desk("0123456789a", 10, 10).all(), ["data 0123456789", "frame", "data a", "more"]);
});

Deno.test("FrameSplitter.setTerminator() that throws leaves the old one in force, and the frame as it was", () => {
  const desk = new Desk("ab", "\n", 3);
  assertEquals(desk.all(), ["data ab", "more"]);
  assertThrows(() => desk.set(-1));
  assertThrows(() => desk.set([""]));
  desk.come("cd\n");
  assertEquals(desk.all(), ["data c", "too long"]);
});

Deno.test("FrameSplitter.setTerminator() copies the bytes", () => {
  const one = bytes("\r\n");
  const desk = new Desk("a\r\n", one);
  one.fill(0);
  assertEquals(desk.all(), ["data a", "frame", "more"]);
  const several = [bytes("\r\n"), bytes("\n")];
  desk.set(several);
  several[1]!.fill(0);
  several.length = 1;
  desk.come("b\n");
  assertEquals(desk.all(), ["data b", "frame", "more"]);
});

Deno.test("FrameSplitter.setTerminator() copies the bytes also of a Buffer, whose slice() is a view", () => {
  const one = Buffer.from("\n");
  const desk = new Desk("a\n", one);
  one.fill(0);
  assertEquals(desk.all(), ["data a", "frame", "more"]);
  (desk.splitter.getTerminator() as Uint8Array).fill(0);
  assertEquals(desk.splitter.getTerminator(), bytes("\n"));
});

Deno.test("FrameSplitter.setTerminator() takes text as UTF-8 and bytes as they are", () => {
  assertEquals(new Desk("a€b", "€").all(), ["data a", "frame", "data b", "more"]);
  assertEquals(new Desk("a€b", ["x", "€"]).all(), ["data a", "frame", "data b", "more"]);
  assertEquals(new Desk("a||b", bytes("<||>").subarray(1, 3)).all(), ["data a", "frame", "data b", "more"]);
  const binary = new Desk("", new Uint8Array([0xff, 0]));
  binary.come(new Uint8Array([0x41, 0xff, 0xff, 0]));
  assertEquals([binary.splitter.next(), binary.piece()], ["data", new Uint8Array([0x41, 0xff])]);
  assertEquals(binary.all(), ["frame", "more"]);
});

Deno.test("FrameSplitter.setTerminator() takes null, 0 and all that is empty as raw", () => {
  for (const raw of [null, 0, -0, "", new Uint8Array(0)]) {
    const desk = new Desk("ab\n", raw, 1);
    assertEquals([desk.all(), desk.splitter.getTerminator()], [["data ab\n", "more"], null]);
  }
});

// A frame that has begun and not ended, in every kind; and what the next kind makes of what comes then.
const begun: [kind: string, terminator: Terminator][] = [
  ["one terminator", "\n"],
  ["several", ["\r\n", "\n"]],
  ["a count", 50],
  ["raw", null],
];
const next: [kind: string, terminator: Terminator, answers: string[]][] = [
  ["one terminator", "\r\n", ["data x\ny", "frame", "data z", "more"]],
  ["several", ["\n", "\r\n"], ["data x", "frame", "data y", "frame", "data z", "more"]],
  ["a count", 3, ["data x\ny", "frame", "data \r\nz", "more"]],
  ["raw", null, ["data x\ny\r\nz", "more"]],
];
for (const [from, first] of begun) {
  for (const [to, second, answers] of next) {
    Deno.test(`FrameSplitter.setTerminator() at a piece of data goes from ${from} to ${to} at once`, () => {
      const desk = new Desk("ab", first);
      assertEquals(desk.next(), "data ab");
      desk.set(second);
      desk.come("x\ny\r\nz");
      assertEquals(desk.all(), answers);
    });
  }
}

Deno.test("FrameSplitter.setTerminator() applies to a terminator that was seen and not told", () => {
  const desk = new Desk("ab\r\n", "\r\n");
  assertEquals(desk.next(), "data ab");
  desk.set("\n");
  assertEquals(desk.all(), ["data \r", "frame", "more"]);
});

Deno.test("FrameSplitter.setTerminator() applies to what was held back", () => {
  const desk = new Desk("ab\r", "\r\n");
  assertEquals(desk.all(), ["data ab", "more"]);
  desk.set("\r");
  assertEquals(desk.all(), ["frame", "more"]);
});

Deno.test("FrameSplitter.setTerminator() begins a frame, which may have all of its limit", () => {
  const desk = new Desk("abc", "\n", 3);
  assertEquals(desk.all(), ["data abc", "more"]);
  desk.set("\n", 3);
  desk.come("def\n");
  assertEquals(desk.all(), ["data def", "frame", "more"]);
});

Deno.test("FrameSplitter.setTerminator() while a frame is skipped waits for its end, and the last call counts", () => {
  const desk = new Desk("abc", "\n", 2, "discard");
  assertEquals(desk.all(), ["data ab", "too long"]);
  desk.set(1);
  desk.set("\r");
  assertEquals(desk.splitter.discarding, true);
  desk.come("\r\nok\r");
  assertEquals(desk.all(), ["data ok", "frame", "more"]);
});

// --------------------------------------------------------------------------------- getTerminator() and matchedTerminator

Deno.test("FrameSplitter.getTerminator() is null before any was set", () => {
  const { splitter } = new Desk("");
  assertEquals([splitter.getTerminator(), splitter.ready], [null, false]);
  splitter.setTerminator(null, 1, "close");
  assertEquals([splitter.getTerminator(), splitter.ready], [null, true]);
});

Deno.test("FrameSplitter.getTerminator() gives copies", () => {
  const desk = new Desk("a\r\n", "\r\n");
  (desk.splitter.getTerminator() as Uint8Array).fill(0);
  assertEquals(desk.splitter.getTerminator(), bytes("\r\n"));
  desk.set(["\r\n"]);
  (desk.splitter.getTerminator() as Uint8Array[])[0]!.fill(0);
  assertEquals(desk.all(), ["data a", "frame", "more"]);
});

Deno.test("FrameSplitter.getTerminator() gives several in the order in which they were set", () => {
  const { splitter } = new Desk("", ["\n", "\r\n", bytes("\r")]);
  assertEquals(splitter.getTerminator(), [bytes("\n"), bytes("\r\n"), bytes("\r")]);
  splitter.setTerminator(["\n"], 1, "close");
  assertEquals(splitter.getTerminator(), [bytes("\n")]);
});

Deno.test("FrameSplitter.getTerminator() gives of a count what is still to come, and null when it has fired", () => {
  const desk = new Desk("", 3);
  const seen = [desk.splitter.getTerminator()];
  for (const piece of ["a", "b", "c"]) {
    desk.come(piece);
    desk.all();
    seen.push(desk.splitter.getTerminator());
  }
  assertEquals(seen, [3, 2, 1, null]);
});

Deno.test("FrameSplitter.getTerminator() gives what will be in force when the skipped frame is over", () => {
  const desk = new Desk("ab", "\n", 1, "discard");
  desk.all();
  assertEquals(desk.splitter.getTerminator(), bytes("\n"));
  for (const [terminator, got] of [[7, 7], ["\r", bytes("\r")], [null, null]] as const) {
    desk.set(terminator);
    assertEquals(desk.splitter.getTerminator(), got);
  }
});

Deno.test("FrameSplitter.matchedTerminator says which of several ended the last frame, and null of a count", () => {
  const desk = new Desk("a\r\nb\ncd", ["\n", "\r\n"]);
  const seen = [desk.splitter.matchedTerminator];
  for (const answer of ["data a", "frame", "data b", "frame", "data c", "frame"]) {
    assertEquals(desk.next(), answer);
    if (answer !== "frame") continue;
    seen.push(desk.splitter.matchedTerminator);
    if (seen.length === 3) desk.set(1);
  }
  assertEquals(seen, [null, bytes("\r\n"), bytes("\n"), null]);
});

Deno.test("FrameSplitter.matchedTerminator stays when the terminator is changed, and while the next frame comes", () => {
  const desk = new Desk("a\nb", "\n");
  assertEquals(desk.all(), ["data a", "frame", "data b", "more"]);
  desk.set("\r");
  assertEquals(desk.splitter.matchedTerminator, bytes("\n"));
});

// ---------------------------------------------------------------------------------------- next(), the piece, what it counts

Deno.test("FrameSplitter.next() has nothing to tell of nothing", () => {
  for (const terminator of ["\n", ["\n", "\r"], 3, null]) {
    const desk = new Desk("", terminator);
    assertEquals([desk.next(), desk.next()], ["more", "more"]);
  }
});

Deno.test("FrameSplitter.next() tells the data of a count that is complete before the frame", () => {
  assertEquals(new Desk("abc", 3).all(), ["data abc", "frame", "more"]);
});

Deno.test("FrameSplitter.pieceStart and pieceEnd are a range of the buffer, good until the next read is prepared", () => {
  const desk = new Desk("ab\ncd\n", "\n");
  assertEquals(desk.next(), "data ab");
  const piece = desk.piece();
  assertEquals([desk.next(), desk.next(), desk.next(), desk.next()], ["frame", "data cd", "frame", "more"]);
  desk.buffer.clear();
  assertEquals(text(piece), "ab");
});

Deno.test("FrameSplitter.next() tells a hundred thousand frames that came at once", () => {
  const desk = new Desk("\n".repeat(100_000), "\n");
  let frames = 0;
  while (frames <= 100_000 && desk.splitter.next() === "frame") frames++;
  assertEquals([frames, desk.buffer.length], [100_000, 0]);
});

Deno.test("FrameSplitter.next() refuses a hundred thousand frames that came at once", () => {
  const desk = new Desk("ab\n".repeat(100_000), "\n", 0, "discard");
  let refused = 0;
  while (refused <= 100_000 && desk.splitter.next() === "too long") refused++;
  assertEquals([refused, desk.buffer.length], [100_000, 0]);
});

Deno.test("FrameSplitter.frameNumber counts the frames that began, also at a change, but not those told in raw mode", () => {
  const desk = new Desk("a\nb\nc", "\n");
  const first = desk.splitter.frameNumber;
  desk.all();
  assertEquals(desk.splitter.frameNumber, first + 2);
  desk.set("\r");
  assertEquals(desk.splitter.frameNumber, first + 3);
  desk.set(null);
  desk.come("def");
  desk.all();
  assertEquals(desk.splitter.frameNumber, first + 4);
});

Deno.test("FrameSplitter.frameBegun says whether a byte of the frame has come, also one that is held back", () => {
  const desk = new Desk("");
  assertFalse(desk.splitter.frameBegun, "no terminator");
  desk.set("\r\n");
  assertFalse(desk.splitter.frameBegun, "no byte");
  const seen = ["\r", "\n", "a", "\r\n"].map((piece) => {
    desk.come(piece);
    desk.all();
    return desk.splitter.frameBegun;
  });
  assertEquals(seen, [true, false, true, false]);
  desk.set(null);
  desk.come("a");
  assertFalse(desk.splitter.frameBegun, "raw");
});

// ---------------------------------------------------------------------------------------------------- findPrefixAtEnd()

Deno.test("findPrefixAtEnd() gives the longest beginning of the needle at the end, short of the whole", () => {
  const found: [haystack: string, needle: string, length: number][] = [
    ["qwerty\r", "\r\n", 1],
    ["qwertydkjf", "\r\n", 0],
    ["qwerty\r\n", "\r\n", 0],
    ["aaa", "aab", 2],
    ["abab", "ababa", 4],
    ["abab", "abab", 2],
    ["a", "abc", 1],
    ["xab", "ab", 0],
    ["", "ab", 0],
    ["ab", "", 0],
    ["ab", "b", 0],
  ];
  for (const [haystack, needle, length] of found) {
    assertEquals(findPrefixAtEnd(bytes(haystack), bytes(needle)), length, `${haystack} ${needle}`);
  }
});

Deno.test("FrameSplitter.setTerminator() knows any number of texts apart, short and long", () => {
  for (let turn = 0; turn < 2; turn++) {
    for (let i = 0; i < 100; i++) {
      const end = `<${"-".repeat(i)}>`;
      assertEquals(new Desk(`a<${"-".repeat(i)}b${end}`, end, 300).all(), [
        `data a<${"-".repeat(i)}b`,
        "frame",
        "more",
      ]);
    }
  }
});

Deno.test("FrameSplitter.matchedTerminator and getTerminator() give copies: what is done to them changes no terminator", () => {
  const desk = new Desk("a;b;c;", ";");
  desk.next();
  desk.next();
  desk.splitter.matchedTerminator!.fill(0x62);
  (desk.splitter.getTerminator() as Uint8Array).fill(0x62);
  assertEquals(desk.all(), ["data b", "frame", "data c", "frame", "more"]);
});
