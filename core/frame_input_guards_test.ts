// Guards of FrameInput that no other test notices: what each way of forgetting keeps, and what is returned of the input.

import { assertEquals } from "@std/assert";
import { bytes, text } from "../tests/recorder.ts";
import { FrameInput } from "./frame_input.ts";

/** An input that collects data, whose frames end with a newline. */
function inputOf(received: string, { matched = null as Uint8Array | null, maxFrameBytes = 100 } = {}) {
  const input = new FrameInput(maxFrameBytes, 1024, bytes(received), matched);
  input.setTerminator("\n");
  return input;
}

/** Collects until a frame ends or bytes are missing. Returns how it ended. */
function collectFrame(input: FrameInput) {
  for (;;) {
    const result = input.next();
    if (result !== "data") return result;
    input.collectRange(input.bytes, input.pieceStart, input.pieceEnd);
  }
}

function stateOf(input: FrameInput) {
  const { collected, frameBegun, matchedTerminator } = input;
  return { unread: text(input.unread()), collected, frameBegun, matched: matchedTerminator && text(matchedTerminator) };
}

Deno.test("FrameInput returns what was received and not dispatched as a copy", () => {
  const input = inputOf("one\ntwo");
  assertEquals(collectFrame(input), "frame");
  const unread = input.unread();
  unread.fill(0);
  assertEquals({ data: text(input.takeData()), unread: text(input.unread()) }, { data: "one", unread: "two" });
});

Deno.test("FrameInput.takeFrameAndRest() returns the collected part of a frame and all behind it", () => {
  const input = inputOf("one\n");
  assertEquals(collectFrame(input), "frame");
  input.append(bytes("two\nthree"));
  assertEquals(text(input.takeFrameAndRest()), "onetwo\nthree");
  assertEquals(input.collected, false);
});

Deno.test("FrameInput.drop() drops unread bytes alone", () => {
  const input = inputOf("half");
  collectFrame(input);
  input.append(bytes("\nmore"));
  input.drop();
  assertEquals({ ...stateOf(input), text: input.takeText() }, {
    unread: "",
    collected: true,
    frameBegun: true,
    matched: null,
    text: "half",
  });
});

Deno.test("FrameInput.discard() drops unread bytes, the current frame and what was collected", () => {
  const input = inputOf("one\nhalf");
  collectFrame(input);
  collectFrame(input);
  input.append(bytes("\nmore"));
  const { frameNumber } = input;
  input.discard();
  assertEquals({ ...stateOf(input), frames: input.frameNumber - frameNumber }, {
    unread: "",
    collected: false,
    frameBegun: false,
    matched: "\n",
    frames: 1,
  });
});

Deno.test("FrameInput.restart() forgets the matched terminator, too, and keeps the one in force", () => {
  const input = inputOf("one\nhalf");
  collectFrame(input);
  collectFrame(input);
  input.append(bytes("\nmore"));
  input.restart();
  assertEquals(stateOf(input), { unread: "", collected: false, frameBegun: false, matched: null });
  input.append(bytes("two\n"));
  assertEquals({ result: collectFrame(input), text: input.takeText() }, { result: "frame", text: "two" });
});

Deno.test("FrameInput.clearCollected() clears what was collected alone", () => {
  const input = inputOf("one\ntwo");
  collectFrame(input);
  input.clearCollected();
  assertEquals(stateOf(input), { unread: "two", collected: false, frameBegun: true, matched: "\n" });
});

Deno.test("FrameInput begins with the terminator that was matched before", () => {
  assertEquals(stateOf(inputOf("", { matched: bytes("\r\n") })).matched, "\r\n");
});

Deno.test("FrameInput.ready, discarding and getTerminator() are those of the current frame", () => {
  const input = new FrameInput(2, 1024, bytes("long"));
  const before = input.ready;
  input.setTerminator("\n", undefined, "discard");
  collectFrame(input);
  const discards = input.refuseFrame();
  assertEquals({ before, ready: input.ready, discards, discarding: input.discarding, by: input.getTerminator() }, {
    before: false,
    ready: true,
    discards: true,
    discarding: true,
    by: bytes("\n"),
  });
});

Deno.test("FrameInput.refuseFrame() returns false when the policy is to close", () => {
  const input = inputOf("long", { maxFrameBytes: 2 });
  collectFrame(input);
  const { limit, received } = input.tooLongError();
  assertEquals({ discards: input.refuseFrame(), limit, received }, { discards: false, limit: 2, received: 4 });
});

Deno.test("FrameInput.end() makes data of what might have begun a terminator", () => {
  const input = inputOf("half\r");
  input.setTerminator("\r\n");
  collectFrame(input);
  const before = input.takeText();
  input.end();
  collectFrame(input);
  assertEquals({ before, after: input.takeText() }, { before: "half", after: "\r" });
});

Deno.test("FrameInput.append() takes in more bytes than one read has space for", () => {
  const input = inputOf("");
  input.setTerminator("\n", 100_000);
  const line = "x".repeat(70_000);
  input.append(bytes(`${line}\n`));
  assertEquals({ result: collectFrame(input), length: input.takeText().length }, { result: "frame", length: 70_000 });
});

Deno.test("FrameInput.reserve() copies what is collected before the buffer moves", () => {
  const input = inputOf("half");
  collectFrame(input);
  input.reserve().set(bytes("XXXX"));
  input.commit(4);
  input.reserve().fill(0);
  assertEquals(input.takeText(), "half");
});

Deno.test("FrameInput.restart() begins a frame anew, and does nothing before a terminator is set", () => {
  const input = new FrameInput(4, 1024, undefined);
  input.restart();
  input.setTerminator("\n");
  input.append(bytes("abc"));
  collectFrame(input);
  input.restart();
  input.append(bytes("defg\n"));
  assertEquals({ result: collectFrame(input), text: input.takeText() }, { result: "frame", text: "defg" });
});

Deno.test("FrameInput counts the bytes of a later frame from its own beginning", () => {
  const input = inputOf("0123456789\nab", { maxFrameBytes: 30 });
  collectFrame(input);
  input.clearCollected();
  collectFrame(input);
  input.append(bytes("cdefghij\n"));
  assertEquals({ result: collectFrame(input), text: input.takeText() }, { result: "frame", text: "abcdefghij" });
});
