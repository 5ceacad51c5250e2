// Guards of FrameSplitter that no other test notices: what a restart forgets, when a frame has begun, and the bounds of the
// cache of terminators.

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

Deno.test("FrameSplitter.frameBegun is false without a terminator, also when bytes wait", () => {
  assertEquals(splitterOf("waiting").frameBegun, false);
});

Deno.test("FrameSplitter.frameBegun is false at the first terminator after reset() or restart()", () => {
  for (const method of ["reset", "restart"] as const) {
    const splitter = splitterOf("");
    splitter[method]();
    splitter.setTerminator("\n", LIMIT, "close");
    splitter.setTerminator(";", LIMIT, "close");
    assertEquals(splitter.frameBegun, false, method);
  }
});

Deno.test("FrameSplitter.frameBegun is false between the first frame and the second", () => {
  const splitter = splitterOf("a\n");
  splitter.setTerminator("\n", LIMIT, "close");
  endFrame(splitter);
  assertEquals({ frameNumber: splitter.frameNumber, frameBegun: splitter.frameBegun }, {
    frameNumber: 1,
    frameBegun: false,
  });
});

Deno.test("FrameSplitter.pieceEnd is -1 after a change of the terminator, and after reset()", () => {
  const changes: Record<string, (splitter: FrameSplitter) => void> = {
    setTerminator: (splitter) => splitter.setTerminator(";", LIMIT, "close"),
    reset: (splitter) => splitter.reset(),
  };
  for (const [name, change] of Object.entries(changes)) {
    const splitter = splitterOf("data");
    splitter.setTerminator("\n", LIMIT, "close");
    assertEquals({ result: splitter.next(), pieceEnd: splitter.pieceEnd }, { result: "data", pieceEnd: 4 });
    change(splitter);
    assertEquals(splitter.pieceEnd, -1, name);
  }
});

Deno.test("FrameSplitter.getTerminator() returns a count of 0, and a count set while a frame is discarded", () => {
  const splitter = splitterOf("too long");
  splitter.setTerminator(0, LIMIT, "close");
  assertEquals(splitter.getTerminator(), 0);
  splitter.setTerminator("\n", 3, "discard");
  assertEquals([splitter.next(), splitter.next(), splitter.next()], ["data", "too long", "more"]);
  for (const count of [5, 0]) {
    splitter.setTerminator(count, LIMIT, "close");
    assertEquals({ discarding: splitter.discarding, terminator: splitter.getTerminator() }, {
      discarding: true,
      terminator: count,
    });
  }
});

Deno.test("FrameSplitter.restart() begins a count again, and ends discarding with the terminator that was set", () => {
  const counting = splitterOf("abc");
  counting.setTerminator(5, LIMIT, "close");
  const result = counting.next();
  const before = counting.getTerminator();
  counting.restart();
  assertEquals({ result, before, restarted: counting.getTerminator() }, { result: "data", before: 2, restarted: 5 });

  const discarding = splitterOf("too long");
  discarding.setTerminator("\n", 3, "discard");
  assertEquals([discarding.next(), discarding.next()], ["data", "too long"]);
  discarding.setTerminator(7, LIMIT, "close");
  discarding.restart();
  assertEquals({ discarding: discarding.discarding, terminator: discarding.getTerminator() }, {
    discarding: false,
    terminator: 7,
  });
});
