// The results of FrameSplitter one by one, its getters, and the terminators it rejects. That the results do not depend on the
// cuts is tested in frame_splitter_cuts_test.ts.

import { assertEquals, assertFalse, assertThrows } from "@std/assert";
import { Buffer } from "node:buffer";
import { bytes, text } from "../tests/recorder.ts";
import { SplitterHarness } from "../tests/splitter_harness.ts";
import { findPrefixAtEnd } from "./find_prefix_at_end.ts";
import type { Terminator } from "./frame_splitter.ts";

// -------------------------------------------------------------------------------------------------------- setTerminator()

Deno.test("FrameSplitter.setTerminator() rejects a value of any other type", () => {
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
    const error = assertThrows(() => new SplitterHarness("").set(value as Terminator), TypeError);
    const expected = "string, Uint8Array, a list of these, a count or null";
    assertEquals(error.message, `Cannot set the terminator: expected ${expected}, got ${name}`);
  }
});

Deno.test("FrameSplitter.setTerminator() rejects an empty list and an empty member", () => {
  const wrong: [list: Terminator, what: string][] = [
    [[], "an empty list"],
    [["\n", ""], "a list with an empty member"],
    [["", "\n"], "a list with an empty member"],
    [[new Uint8Array(0)], "a list with an empty member"],
  ];
  for (const [list, what] of wrong) {
    const error = assertThrows(() => new SplitterHarness("").set(list), TypeError);
    assertEquals(error.message, `Cannot set the terminator: expected one or more byte strings, got ${what}`);
  }
});

Deno.test("FrameSplitter.setTerminator() rejects a number that is not a count", () => {
  for (const count of [-1, 1.5, NaN, Infinity, -Infinity, 2 ** 53]) {
    const error = assertThrows(() => new SplitterHarness("").set(count, Infinity), RangeError);
    assertEquals(
      error.message,
      `Cannot set the terminator: count is ${count}, expected a whole number of at least 0`,
    );
  }
});

Deno.test("FrameSplitter.setTerminator() rejects an empty byte string: raw is null", () => {
  for (const empty of ["", new Uint8Array(0), Buffer.alloc(0)]) {
    const harness = new SplitterHarness("a\n", "\n");
    const error = assertThrows(() => harness.set(empty), TypeError);
    assertEquals(error.message, "Cannot set the terminator: expected one or more bytes, got none (raw is null)");
    assertEquals(harness.results(), ["data a", "frame", "more"]);
  }
});

Deno.test("FrameSplitter.setTerminator() accepts a count above the limit: the frame is too long at once", () => {
  assertEquals(new SplitterHarness("0123456789a", 10, 10).results(), ["data 0123456789", "frame", "data a", "more"]);
  for (const received of ["", "0123456789a"]) {
    const harness = new SplitterHarness(received, 11, 10);
    assertEquals(harness.results(), ["too long"]);
    const { limit, received: counted } = harness.splitter.tooLongError();
    assertEquals({ limit, counted }, { limit: 10, counted: 11 });
    assertEquals(harness.results(), ["too long"], "again, as the policy is to close");
    assertEquals({ left: harness.buffer.length }, { left: received.length });
  }
});

Deno.test("FrameSplitter.setTerminator() of a count above the limit is undone by another before the next result", () => {
  const harness = new SplitterHarness("ab\n", 11, 10);
  harness.set("\n");
  assertEquals(harness.results(), ["data ab", "frame", "more"]);
});

Deno.test("FrameSplitter.setTerminator() that throws changes neither terminator nor frame", () => {
  const harness = new SplitterHarness("ab", "\n", 3);
  assertEquals(harness.results(), ["data ab", "more"]);
  assertThrows(() => harness.set(-1));
  assertThrows(() => harness.set([""]));
  harness.receive("cd\n");
  assertEquals(harness.results(), ["data c", "too long"]);
});

Deno.test("FrameSplitter.setTerminator() copies the bytes", () => {
  const one = bytes("\r\n");
  const harness = new SplitterHarness("a\r\n", one);
  one.fill(0);
  assertEquals(harness.results(), ["data a", "frame", "more"]);
  const several = [bytes("\r\n"), bytes("\n")];
  harness.set(several);
  several[1]!.fill(0);
  several.length = 1;
  harness.receive("b\n");
  assertEquals(harness.results(), ["data b", "frame", "more"]);
});

Deno.test("FrameSplitter.setTerminator() copies a Buffer, whose slice() is a view", () => {
  const one = Buffer.from("\n");
  const harness = new SplitterHarness("a\n", one);
  one.fill(0);
  assertEquals(harness.results(), ["data a", "frame", "more"]);
  (harness.splitter.getTerminator() as Uint8Array).fill(0);
  assertEquals(harness.splitter.getTerminator(), bytes("\n"));
});

Deno.test("FrameSplitter.setTerminator() encodes text as UTF-8, and leaves bytes as they are", () => {
  assertEquals(new SplitterHarness("a€b", "€").results(), ["data a", "frame", "data b", "more"]);
  assertEquals(new SplitterHarness("a€b", ["x", "€"]).results(), ["data a", "frame", "data b", "more"]);
  assertEquals(new SplitterHarness("a||b", bytes("<||>").subarray(1, 3)).results(), [
    "data a",
    "frame",
    "data b",
    "more",
  ]);
  const binary = new SplitterHarness("", new Uint8Array([0xff, 0]));
  binary.receive(new Uint8Array([0x41, 0xff, 0xff, 0]));
  assertEquals({ result: binary.splitter.next(), piece: binary.piece() }, {
    result: "data",
    piece: new Uint8Array([0x41, 0xff]),
  });
  assertEquals(binary.results(), ["frame", "more"]);
});

Deno.test("FrameSplitter.setTerminator() treats null as raw", () => {
  const harness = new SplitterHarness("ab\n", null, 1);
  assertEquals({ results: harness.results(), terminator: harness.splitter.getTerminator() }, {
    results: ["data ab\n", "more"],
    terminator: null,
  });
});

Deno.test("FrameSplitter.setTerminator() of 0 completes an empty frame at once; raw follows", () => {
  for (const zero of [0, -0]) {
    for (const received of ["", "ab\n"]) {
      const harness = new SplitterHarness(received, zero, 1);
      const { splitter } = harness;
      assertEquals({ terminator: splitter.getTerminator(), ready: splitter.ready, begun: splitter.frameBegun }, {
        terminator: 0,
        ready: true,
        begun: received !== "",
      });
      const first = splitter.frameNumber;
      assertEquals(harness.next(), "frame");
      assertEquals({ terminator: splitter.getTerminator(), matched: splitter.matchedTerminator }, {
        terminator: null,
        matched: null,
      });
      assertEquals(splitter.frameNumber, first + 1);
      assertEquals(harness.results(), received === "" ? ["more"] : ["data ab\n", "more"]);
    }
  }
});

Deno.test("FrameSplitter.setTerminator() of 0 is undone by another before the next result", () => {
  for (
    const [terminator, results] of [["\n", ["data ab", "frame"]], [null, ["data ab\n"]], [1, [
      "data a",
      "frame",
    ]]] as const
  ) {
    const harness = new SplitterHarness("ab\n", 0);
    harness.set(terminator);
    assertEquals(harness.results().slice(0, results.length), [...results]);
  }
});

Deno.test("FrameSplitter.setTerminator() of 0 ends the stream's last frame, before and after finish()", () => {
  for (const finishes of [false, true]) {
    const harness = new SplitterHarness("0\n", "\n");
    assertEquals([harness.next(), harness.next()], ["data 0", "frame"]);
    if (finishes) harness.splitter.finish();
    harness.set(0);
    if (!finishes) harness.splitter.finish();
    assertEquals(harness.results(), ["frame", "more"]);
  }
});

// An incomplete frame of each kind, and what each next kind makes of the following bytes.
const begun: [kind: string, terminator: Terminator][] = [
  ["one terminator", "\n"],
  ["several", ["\r\n", "\n"]],
  ["a count", 50],
  ["raw", null],
];
const next: [kind: string, terminator: Terminator, results: string[]][] = [
  ["one terminator", "\r\n", ["data x\ny", "frame", "data z", "more"]],
  ["several", ["\n", "\r\n"], ["data x", "frame", "data y", "frame", "data z", "more"]],
  ["a count", 3, ["data x\ny", "frame", "data \r\nz", "more"]],
  ["a count of 0", 0, ["frame", "data x\ny\r\nz", "more"]],
  ["a count above the limit", 101, ["too long"]],
  ["raw", null, ["data x\ny\r\nz", "more"]],
];
for (const [from, first] of begun) {
  for (const [to, second, results] of next) {
    Deno.test(`FrameSplitter.setTerminator() after a piece of data switches from ${from} to ${to} at once`, () => {
      const harness = new SplitterHarness("ab", first);
      assertEquals(harness.next(), "data ab");
      harness.set(second);
      harness.receive("x\ny\r\nz");
      assertEquals(harness.results(), results);
    });
  }
}

Deno.test("FrameSplitter.setTerminator() applies to a terminator that was found but not returned", () => {
  const harness = new SplitterHarness("ab\r\n", "\r\n");
  assertEquals(harness.next(), "data ab");
  harness.set("\n");
  assertEquals(harness.results(), ["data \r", "frame", "more"]);
});

Deno.test("FrameSplitter.setTerminator() applies to held-back bytes", () => {
  const harness = new SplitterHarness("ab\r", "\r\n");
  assertEquals(harness.results(), ["data ab", "more"]);
  harness.set("\r");
  assertEquals(harness.results(), ["frame", "more"]);
});

Deno.test("FrameSplitter.setTerminator() begins a frame with its whole limit", () => {
  const harness = new SplitterHarness("abc", "\n", 3);
  assertEquals(harness.results(), ["data abc", "more"]);
  harness.set("\n", 3);
  harness.receive("def\n");
  assertEquals(harness.results(), ["data def", "frame", "more"]);
});

Deno.test("FrameSplitter.setTerminator() while discarding applies at the frame's end; the last call counts", () => {
  const harness = new SplitterHarness("abc", "\n", 2, "discard");
  assertEquals(harness.results(), ["data ab", "too long"]);
  harness.set(1);
  harness.set("\r");
  assertEquals(harness.splitter.discarding, true);
  harness.receive("\r\nok\r");
  assertEquals(harness.results(), ["data ok", "frame", "more"]);
});

// --------------------------------------------------------------------------------- getTerminator() and matchedTerminator

Deno.test("FrameSplitter.getTerminator() is null before any terminator is set", () => {
  const { splitter } = new SplitterHarness("");
  assertEquals({ terminator: splitter.getTerminator(), ready: splitter.ready }, { terminator: null, ready: false });
  splitter.setTerminator(null, 1, "close");
  assertEquals({ terminator: splitter.getTerminator(), ready: splitter.ready }, { terminator: null, ready: true });
});

Deno.test("FrameSplitter.getTerminator() returns copies", () => {
  const harness = new SplitterHarness("a\r\n", "\r\n");
  (harness.splitter.getTerminator() as Uint8Array).fill(0);
  assertEquals(harness.splitter.getTerminator(), bytes("\r\n"));
  harness.set(["\r\n"]);
  (harness.splitter.getTerminator() as Uint8Array[])[0]!.fill(0);
  assertEquals(harness.results(), ["data a", "frame", "more"]);
});

Deno.test("FrameSplitter.getTerminator() returns several in the order in which they were set", () => {
  const { splitter } = new SplitterHarness("", ["\n", "\r\n", bytes("\r")]);
  assertEquals(splitter.getTerminator(), [bytes("\n"), bytes("\r\n"), bytes("\r")]);
  splitter.setTerminator(["\n"], 1, "close");
  assertEquals(splitter.getTerminator(), [bytes("\n")]);
});

Deno.test("FrameSplitter.getTerminator() returns what is missing of a count, then null", () => {
  const harness = new SplitterHarness("", 3);
  const seen = [harness.splitter.getTerminator()];
  for (const piece of ["a", "b", "c"]) {
    harness.receive(piece);
    harness.results();
    seen.push(harness.splitter.getTerminator());
  }
  assertEquals(seen, [3, 2, 1, null]);
});

Deno.test("FrameSplitter.getTerminator() returns what applies after the discarded frame", () => {
  const harness = new SplitterHarness("ab", "\n", 1, "discard");
  harness.results();
  assertEquals(harness.splitter.getTerminator(), bytes("\n"));
  for (const [terminator, got] of [[7, 7], ["\r", bytes("\r")], [null, null]] as const) {
    harness.set(terminator);
    assertEquals(harness.splitter.getTerminator(), got);
  }
});

Deno.test("FrameSplitter.matchedTerminator is the one of several that ended the frame; null for a count", () => {
  const harness = new SplitterHarness("a\r\nb\ncd", ["\n", "\r\n"]);
  const seen = [harness.splitter.matchedTerminator];
  for (const result of ["data a", "frame", "data b", "frame", "data c", "frame"]) {
    assertEquals(harness.next(), result);
    if (result !== "frame") continue;
    seen.push(harness.splitter.matchedTerminator);
    if (seen.length === 3) harness.set(1);
  }
  assertEquals(seen, [null, bytes("\r\n"), bytes("\n"), null]);
});

Deno.test("FrameSplitter.matchedTerminator stays through the next frame and a change of terminator", () => {
  const harness = new SplitterHarness("a\nb", "\n");
  assertEquals(harness.results(), ["data a", "frame", "data b", "more"]);
  harness.set("\r");
  assertEquals(harness.splitter.matchedTerminator, bytes("\n"));
});

// ---------------------------------------------------------------------------------------- next(), the piece, what it counts

Deno.test("FrameSplitter.next() returns more for no input", () => {
  for (const terminator of ["\n", ["\n", "\r"], 3, null]) {
    const harness = new SplitterHarness("", terminator);
    assertEquals([harness.next(), harness.next()], ["more", "more"]);
  }
});

Deno.test("FrameSplitter.next() returns the data of a complete count before its frame", () => {
  assertEquals(new SplitterHarness("abc", 3).results(), ["data abc", "frame", "more"]);
});

Deno.test("FrameSplitter.pieceStart and pieceEnd are a range of the buffer, valid until the next read", () => {
  const harness = new SplitterHarness("ab\ncd\n", "\n");
  assertEquals(harness.next(), "data ab");
  const piece = harness.piece();
  assertEquals([harness.next(), harness.next(), harness.next(), harness.next()], ["frame", "data cd", "frame", "more"]);
  harness.buffer.clear();
  assertEquals(text(piece), "ab");
});

Deno.test("FrameSplitter.next() returns 100,000 frames of one read", () => {
  const harness = new SplitterHarness("\n".repeat(100_000), "\n");
  let frames = 0;
  while (frames <= 100_000 && harness.splitter.next() === "frame") frames++;
  assertEquals({ frames, left: harness.buffer.length }, { frames: 100_000, left: 0 });
});

Deno.test("FrameSplitter.next() refuses 100,000 frames of one read", () => {
  const harness = new SplitterHarness("ab\n".repeat(100_000), "\n", 0, "discard");
  let refused = 0;
  while (refused <= 100_000 && harness.splitter.next() === "too long") refused++;
  assertEquals({ refused, left: harness.buffer.length }, { refused: 100_000, left: 0 });
});

Deno.test("FrameSplitter.frameNumber counts frames, no raw data, and no change of terminator", () => {
  const harness = new SplitterHarness("a\nb\nc", "\n");
  const { splitter } = harness;
  const first = splitter.frameNumber;
  const seen: number[] = [];
  const note = () => seen.push(splitter.frameNumber - first);
  harness.results();
  note();
  for (const terminator of ["\r", 5, ["\r", "\n"], null, "\n"]) {
    harness.set(terminator);
    note();
  }
  harness.receive("d\n");
  harness.results();
  note();
  harness.set(null);
  harness.receive("def");
  harness.results();
  note();
  assertEquals(seen, [2, 2, 2, 2, 2, 2, 3, 3]);
});

Deno.test("FrameSplitter.frameNumber counts a discarded frame, reset() and restart()", () => {
  const harness = new SplitterHarness("abc\n", "\n", 2, "discard");
  const { splitter } = harness;
  const first = splitter.frameNumber;
  const seen: number[] = [];
  const note = () => seen.push(splitter.frameNumber - first);
  assertEquals(harness.results(), ["data ab", "too long"]);
  note();
  assertEquals(harness.results(), ["more"]);
  note();
  splitter.reset();
  note();
  splitter.restart();
  note();
  assertEquals(seen, [0, 1, 2, 3]);
});

Deno.test("FrameSplitter.frameBegun is true from the first byte on, also a held-back one", () => {
  const harness = new SplitterHarness("");
  assertFalse(harness.splitter.frameBegun, "no terminator");
  harness.set("\r\n");
  assertFalse(harness.splitter.frameBegun, "no byte");
  const seen = ["\r", "\n", "a", "\r\n"].map((piece) => {
    harness.receive(piece);
    harness.results();
    return harness.splitter.frameBegun;
  });
  assertEquals(seen, [true, false, true, false]);
  harness.set(null);
  harness.receive("a");
  assertFalse(harness.splitter.frameBegun, "raw");
});

Deno.test("FrameSplitter.frameBegun stays true when the terminator changes within a frame, not beyond", () => {
  const begin = () => {
    const harness = new SplitterHarness("ab", "\r\n");
    assertEquals(harness.results(), ["data ab", "more"]);
    return harness;
  };
  const harness = begin();
  const { splitter } = harness;
  assertEquals(splitter.frameBegun, true);
  for (const terminator of ["\n", ["\n", "\r"], 5, "\r\n"]) {
    harness.set(terminator);
    assertEquals(splitter.frameBegun, true, String(terminator));
  }
  harness.receive("\r\n");
  harness.results();
  assertFalse(splitter.frameBegun, "the frame is complete");
  harness.set("\n");
  assertFalse(splitter.frameBegun, "no byte of the next");

  const raw = begin();
  raw.set(null);
  assertFalse(raw.splitter.frameBegun, "raw");
  raw.set("\n");
  assertFalse(raw.splitter.frameBegun, "raw data belongs to no frame");

  for (const reset of ["reset", "restart"] as const) {
    const begun = begin();
    begun.set("\r");
    begun.splitter[reset]();
    assertFalse(begun.splitter.frameBegun, reset);
  }
});

// ---------------------------------------------------------------------------------------------------- findPrefixAtEnd()

Deno.test("findPrefixAtEnd() returns the length of the longest proper prefix at the end", () => {
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

Deno.test("FrameSplitter.setTerminator() distinguishes any number of texts, short and long", () => {
  for (let turn = 0; turn < 2; turn++) {
    for (let i = 0; i < 100; i++) {
      const end = `<${"-".repeat(i)}>`;
      assertEquals(new SplitterHarness(`a<${"-".repeat(i)}b${end}`, end, 300).results(), [
        `data a<${"-".repeat(i)}b`,
        "frame",
        "more",
      ]);
    }
  }
});

Deno.test("FrameSplitter.matchedTerminator and getTerminator() are fresh copies: a write changes nothing", () => {
  for (const terminator of [";", [";", ";;;"]]) {
    const harness = new SplitterHarness("a;b;c;\n", terminator);
    const { splitter } = harness;
    harness.next();
    harness.next();
    assertEquals(splitter.matchedTerminator === splitter.matchedTerminator, false);
    splitter.matchedTerminator!.fill(0x62);
    assertEquals(splitter.matchedTerminator, bytes(";"));
    for (const copy of [splitter.getTerminator()].flat() as Uint8Array[]) copy.fill(0x62);
    assertEquals(splitter.getTerminator(), typeof terminator === "string" ? bytes(";") : terminator.map(bytes));
    assertEquals(harness.results(), ["data b", "frame", "data c", "frame", "data \n", "more"]);
  }
  assertEquals(
    new SplitterHarness("a;", ";").results(),
    ["data a", "frame", "more"],
    "also not the one that is cached",
  );
});

// ------------------------------------------------------------------------------------------------------------ takeBack()

Deno.test("FrameSplitter.takeBack() returns the end of the last piece again", () => {
  for (const [terminator, end] of [["\n", "frame"], [["\n", "\r\n"], "frame"], [4, "frame"], [null, "more"]] as const) {
    const harness = new SplitterHarness("abcd\n", terminator, 4);
    const whole = terminator === null ? "data abcd\n" : "data abcd";
    assertEquals(harness.next(), whole);
    harness.splitter.takeBack(3);
    assertEquals({ piece: text(harness.piece()), left: harness.buffer.length }, {
      piece: whole.slice(5, -3),
      left: terminator === null ? 3 : 4,
    });
    assertEquals([harness.next(), harness.next()], [`data ${whole.slice(-3)}`, end]);
  }
});

Deno.test("FrameSplitter.takeBack() lets another terminator apply to what it took back", () => {
  const harness = new SplitterHarness("a;b\n", "\n");
  assertEquals(harness.next(), "data a;b");
  harness.splitter.takeBack(2);
  harness.set(";");
  assertEquals(harness.results(), ["frame", "data b\n", "more"]);
});

Deno.test("FrameSplitter.takeBack() gives back what a count has counted, also all of it", () => {
  const harness = new SplitterHarness("abc", 5);
  assertEquals(harness.results(), ["data abc", "more"]);
  harness.splitter.takeBack(3);
  assertEquals(harness.splitter.getTerminator(), 5);
  harness.receive("def");
  assertEquals(harness.results(), ["data abcde", "frame", "data f", "more"]);
});

Deno.test("FrameSplitter.takeBack() finds the same terminators again in a long window", () => {
  const line = "x".repeat(40);
  const harness = new SplitterHarness(`${line}\n`.repeat(30), "\n");
  for (let frame = 0; frame < 30; frame++) {
    assertEquals(harness.next(), `data ${line}`);
    harness.splitter.takeBack(7);
    assertEquals([harness.next(), harness.next()], ["data xxxxxxx", "frame"]);
  }
  assertEquals(harness.next(), "more");
});
