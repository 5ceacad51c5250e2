// Guards of FrameSplitter that no other test notices: what a restart forgets, and the bounds of the cache of terminators.

import { assertEquals, assertGreaterOrEqual } from "@std/assert";
import { bytes, text } from "../tests/recorder.ts";
import { FrameSplitter, type Terminator } from "./frame_splitter.ts";
import { ReceiveBuffer } from "./receive_buffer.ts";

const LIMIT = 65_536;

function splitterOf(input: string): FrameSplitter {
  return new FrameSplitter(new ReceiveBuffer(1024, bytes(input)), LIMIT);
}

/** Pulls until a frame ends. */
function endFrame(splitter: FrameSplitter): void {
  for (let step = splitter.next(); step !== "frame"; step = splitter.next()) assertEquals(step, "data");
}

/** How many of `terminators` have to be encoded when they are set one after the other. */
function encodedBy(terminators: Terminator[]): number {
  const { encode, encodeInto } = TextEncoder.prototype;
  let encoded = 0;
  TextEncoder.prototype.encode = function (input) {
    encoded++;
    return encode.call(this, input);
  };
  TextEncoder.prototype.encodeInto = function (source, destination) {
    encoded++;
    return encodeInto.call(this, source, destination);
  };
  try {
    const splitter = new FrameSplitter(new ReceiveBuffer(1024), LIMIT);
    for (const terminator of terminators) splitter.setTerminator(terminator, LIMIT, "close");
  } finally {
    Object.assign(TextEncoder.prototype, { encode, encodeInto });
  }
  return encoded;
}

Deno.test("FrameSplitter.matchedTerminator is null after restart()", () => {
  for (const terminator of ["\r\n", ["\n", "\r\n"]]) {
    const splitter = splitterOf("first\r\nsecond\r\n");
    splitter.setTerminator(terminator, LIMIT, "close");
    endFrame(splitter);
    const before = text(splitter.matchedTerminator!);
    splitter.restart();
    const restarted = splitter.matchedTerminator;
    endFrame(splitter); // the terminator itself stays
    const after = text(splitter.matchedTerminator!);
    assertEquals({ before, restarted, after }, { before: "\r\n", restarted: null, after: "\r\n" });
  }
});

Deno.test("FrameSplitter.matchedTerminator is null after restart() also when first read then", () => {
  const splitter = splitterOf("first\r\nsecond\r\n");
  splitter.setTerminator("\r\n", LIMIT, "close");
  endFrame(splitter);
  splitter.restart();
  assertEquals(splitter.matchedTerminator, null);
});

Deno.test("FrameSplitter.setTerminator() does not keep every text that it was ever given", () => {
  // A peer may choose terminators: a boundary of MIME, the end of a here-document.
  const distinct = Array.from({ length: 1_000 }, (_, i) => `end of part ${i}`);
  assertEquals(encodedBy(distinct), distinct.length);
  assertGreaterOrEqual(encodedBy(distinct), distinct.length - 64, "at most 64 are kept");
});

Deno.test("FrameSplitter.setTerminator() keeps no long text, and finds it all the same", () => {
  const long = "-".repeat(65);
  assertEquals(encodedBy([long, long, long]), 3);
  const splitter = splitterOf(`part${long}rest`);
  splitter.setTerminator(long, LIMIT, "close");
  endFrame(splitter);
  assertEquals(text(splitter.matchedTerminator!), long);
});
