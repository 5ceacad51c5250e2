// Frames that are too long, refused, cut off by the end of the stream, or discarded.

import { assertEquals, assertFalse, assertInstanceOf } from "@std/assert";
import { everyCut } from "../testing/cuts.ts";
import { bytes, text } from "../tests/recorder.ts";
import { SplitterHarness } from "../tests/splitter_harness.ts";
import { FrameTooLongError } from "./errors.ts";

// --------------------------------------------------------------------------------------------------------------- limits

Deno.test('FrameSplitter.next() returns what fits of an oversized frame, then "too long"', () => {
  const harness = new SplitterHarness("abcde\n", "\n", 3);
  assertEquals(harness.results(), ["data abc", "too long"]);
});

Deno.test('FrameSplitter.next() repeats "too long" when the policy is "close"', () => {
  const harness = new SplitterHarness("abcde\nf\n", "\n", 3);
  const results = Array.from({ length: 4 }, () => harness.next());
  assertEquals(results, ["data abc", "too long", "too long", "too long"]);
  const { splitter, buffer } = harness;
  assertEquals({ discarding: splitter.discarding, left: buffer.length }, { discarding: false, left: 5 });
});

Deno.test("FrameSplitter.tooLongError() has the limit and the bytes received", () => {
  const harness = new SplitterHarness("abcde\r", "\r\n", 3, "discard");
  assertEquals(harness.results(), ["data abc", "too long"]);
  const error = harness.splitter.tooLongError();
  assertInstanceOf(error, FrameTooLongError);
  const { limit, received } = error;
  assertEquals({ limit, received }, { limit: 3, received: 5 });
});

Deno.test("FrameSplitter.tooLongError() counts earlier reads, and starts at 0 with each frame", () => {
  const harness = new SplitterHarness("xyz\nab", "\n", 3);
  assertEquals(harness.results(), ["data xyz", "frame", "data ab", "more"]);
  harness.receive("cd");
  assertEquals(harness.results(), ["data c", "too long"]);
  assertEquals(harness.splitter.tooLongError().received, 4);
});

Deno.test("FrameSplitter.discarding lasts until the end of the frame", () => {
  const harness = new SplitterHarness("abc", "\r\n", 2, "discard");
  const seen = [harness.splitter.discarding];
  harness.results();
  seen.push(harness.splitter.discarding);
  for (const piece of ["def", "\r", "\n"]) {
    harness.receive(piece);
    assertEquals(harness.next(), "more");
    seen.push(harness.splitter.discarding);
  }
  assertEquals(seen, [false, true, true, true, false]);
});

Deno.test("FrameSplitter.limit is the limit of the current frame", () => {
  const harness = new SplitterHarness("abc", "\n", 2, "discard");
  assertEquals(harness.splitter.limit, 2);
  harness.results();
  harness.set(1, 9);
  assertEquals(harness.splitter.limit, 2, "while it is discarded");
  harness.receive("\n");
  harness.results();
  assertEquals(harness.splitter.limit, 9);
  harness.receive("x");
  harness.results();
  assertEquals(harness.splitter.limit, 100, "after a count");
});

// -------------------------------------------------------------------------------------------------------- refuseFrame()

Deno.test("FrameSplitter.refuseFrame() discards the frame and its end, however it is cut", () => {
  for (const terminator of ["\r\n", ["\r\n", "\r\n\n"]]) {
    for (const pieces of everyCut(bytes("abc\rd\r\nok\r\n"))) {
      const harness = new SplitterHarness("", terminator, 100, "discard");
      const results: string[] = [];
      for (const piece of pieces) {
        harness.receive(piece);
        for (let result = harness.next(); result !== "more"; result = harness.next()) {
          results.push(result);
          if (results.length === 1) harness.splitter.refuseFrame();
        }
      }
      harness.splitter.finish();
      results.push(...harness.results());
      const after = results.slice(1).map((result) => result.replace("data ", "")).join(" ").replace("o k", "ok");
      assertEquals(after, "ok frame more", JSON.stringify(pieces.map(text)));
    }
  }
});

Deno.test('FrameSplitter.refuseFrame() discards nothing when the policy is "close"', () => {
  const harness = new SplitterHarness("ab", "\n");
  harness.next();
  harness.splitter.refuseFrame();
  assertFalse(harness.splitter.discarding);
  harness.receive("c\n");
  assertEquals(harness.results(), ["data c", "frame", "more"]);
});

Deno.test("FrameSplitter.refuseFrame() in raw mode discards until a terminator is set", () => {
  const harness = new SplitterHarness("ab", null, 1, "discard");
  assertEquals(harness.next(), "data ab");
  harness.splitter.refuseFrame();
  harness.receive("cd");
  assertEquals({ result: harness.next(), left: harness.buffer.length }, { result: "more", left: 0 });
  harness.set("\n");
  assertFalse(harness.splitter.discarding);
  harness.receive("e\n");
  assertEquals(harness.results(), ["data e", "frame", "more"]);
});

Deno.test("FrameSplitter.refuseFrame() discards the rest of a count; raw follows", () => {
  const harness = new SplitterHarness("ab", 4, 100, "discard");
  assertEquals(harness.next(), "data ab");
  harness.splitter.refuseFrame();
  harness.receive("cdef");
  assertEquals(harness.results(), ["data ef", "more"]);
});

Deno.test("FrameSplitter.refuseFrame() discards the rest of a count; a terminator set meanwhile follows", () => {
  const harness = new SplitterHarness("ab", 4, 100, "discard");
  assertEquals(harness.next(), "data ab");
  harness.splitter.refuseFrame();
  harness.set("\n");
  harness.receive("c\nd\n");
  assertEquals(harness.results(), ["data d", "frame", "more"]);
});

Deno.test("FrameSplitter.refuseFrame() after the end was found: a new terminator applies behind it", () => {
  const harness = new SplitterHarness("ab\ncd\r", "\n", 100, "discard");
  assertEquals(harness.next(), "data ab");
  harness.splitter.refuseFrame();
  harness.set("\r");
  assertEquals(harness.results(), ["data cd", "frame", "more"]);
});

// ------------------------------------------------------------------------------------------------------------- finish()

Deno.test("FrameSplitter.finish() turns held-back bytes into data", () => {
  const harness = new SplitterHarness("ab\r\n\r", "\r\n\r\n");
  assertEquals(harness.results(), ["data ab", "more"]);
  harness.splitter.finish();
  assertEquals(harness.results(), ["data \r\n\r", "more"]);
});

Deno.test("FrameSplitter.finish() resolves to the shorter of several: a longer one cannot come", () => {
  const harness = new SplitterHarness("a\r", ["\r", "\r\n"]);
  assertEquals(harness.results(), ["data a", "more"]);
  harness.splitter.finish();
  assertEquals(harness.results(), ["frame", "more"]);
  assertEquals(harness.splitter.matchedTerminator, bytes("\r"));
});

Deno.test("FrameSplitter.finish() finds a terminator inside a longer one that cannot come", () => {
  const harness = new SplitterHarness("abc", ["abcd", "bc"]);
  assertEquals(harness.results(), ["more"]);
  harness.splitter.finish();
  assertEquals(harness.results(), ["data a", "frame", "more"]);
});

Deno.test('FrameSplitter.finish() returns "too long" when the held-back tail exceeds the limit', () => {
  const harness = new SplitterHarness("abc\r", "\r\n", 3);
  assertEquals(harness.results(), ["data abc", "more"]);
  harness.splitter.finish();
  assertEquals(harness.results(), ["too long"]);
});

Deno.test("FrameSplitter.finish() leaves no result of a frame that is being discarded", () => {
  const harness = new SplitterHarness("abc\r", "\r\n", 2, "discard");
  assertEquals(harness.results(), ["data ab", "too long"]);
  assertEquals(harness.results(), ["more"]);
  harness.splitter.finish();
  assertEquals({ results: harness.results(), left: harness.buffer.length }, { results: ["more"], left: 0 });
});

Deno.test("FrameSplitter.finish() keeps complete frames", () => {
  const harness = new SplitterHarness("a\nb\nc", "\n");
  assertEquals(harness.next(), "data a");
  harness.splitter.finish();
  assertEquals(harness.results(), ["frame", "data b", "frame", "data c", "more"]);
});

Deno.test("FrameSplitter.finish() does not end a count", () => {
  const harness = new SplitterHarness("ab", 3);
  harness.splitter.finish();
  assertEquals({ results: harness.results(), missing: harness.splitter.getTerminator() }, {
    results: ["data ab", "more"],
    missing: 1,
  });
});

Deno.test("FrameSplitter.finish() without input leaves no result", () => {
  for (const terminator of ["\n", ["\n", "\r"], 3, null]) {
    const harness = new SplitterHarness("", terminator);
    harness.splitter.finish();
    assertEquals(harness.results(), ["more"]);
  }
});

// -------------------------------------------------------------------------------------------------------------- reset()

Deno.test("FrameSplitter.reset() restarts the count towards the limit", () => {
  const harness = new SplitterHarness("abc", "\n", 3);
  assertEquals(harness.results(), ["data abc", "more"]);
  harness.discard();
  assertFalse(harness.splitter.frameBegun);
  harness.receive("def\n");
  assertEquals(harness.results(), ["data def", "frame", "more"]);
});

Deno.test("FrameSplitter.reset() forgets held-back bytes", () => {
  const harness = new SplitterHarness("ab\r", "\r\n");
  assertEquals(harness.results(), ["data ab", "more"]);
  harness.discard();
  harness.receive("\nc\r\n");
  assertEquals(harness.results(), ["data \nc", "frame", "more"]);
});

Deno.test("FrameSplitter.reset() keeps a frame complete whose terminator was found", () => {
  const harness = new SplitterHarness("ab\r\nxy\r\n", "\r\n");
  assertEquals(harness.next(), "data ab");
  harness.discard();
  harness.receive("cd\r\n");
  assertEquals(harness.results(), ["frame", "data cd", "frame", "more"]);
});

Deno.test("FrameSplitter.reset() keeps a complete count, and what is missing of another", () => {
  const complete = new SplitterHarness("abc", 3);
  assertEquals(complete.next(), "data abc");
  complete.discard();
  assertEquals(complete.results(), ["frame", "more"]);
  const begun = new SplitterHarness("ab", 3);
  assertEquals(begun.next(), "data ab");
  begun.discard();
  begun.receive("cd");
  assertEquals(begun.results(), ["data c", "frame", "data d", "more"]);
});

Deno.test("FrameSplitter.reset() continues to discard up to the end of the frame", () => {
  const harness = new SplitterHarness("abc", "\n", 2, "discard");
  assertEquals(harness.results(), ["data ab", "too long"]);
  harness.discard();
  harness.receive("def\nok\n");
  assertEquals(harness.results(), ["data ok", "frame", "more"]);
});

Deno.test("FrameSplitter.reset() ends a discarded frame whose terminator was found", () => {
  const harness = new SplitterHarness("ab\n", "\n", 100, "discard");
  assertEquals(harness.next(), "data ab");
  harness.splitter.refuseFrame();
  harness.discard();
  harness.receive("ok\n");
  assertEquals(harness.results(), ["data ok", "frame", "more"]);
});
