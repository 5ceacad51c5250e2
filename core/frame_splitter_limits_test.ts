// Frames that are too long, refused, cut off by the end of the stream or thrown away.

import { assertEquals, assertFalse, assertInstanceOf } from "@std/assert";
import { everyCut } from "../testing/cuts.ts";
import { ReceiveBuffer } from "./receive_buffer.ts";
import { FrameTooLongError } from "./errors.ts";
import { FrameSplitter, type Terminator, type TooLongPolicy } from "./frame_splitter.ts";

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

// --------------------------------------------------------------------------------------------------------------- limits

Deno.test("FrameSplitter.next() tells what fits of a frame that is too long, then that it is", () => {
  const desk = new Desk("abcde\n", "\n", 3);
  assertEquals(desk.all(), ["data abc", "too long"]);
});

Deno.test("FrameSplitter.next() is told again and again that a frame is too long, where the policy is to close", () => {
  const desk = new Desk("abcde\nf\n", "\n", 3);
  assertEquals(["data abc", "too long", "too long", "too long"], [desk.next(), desk.next(), desk.next(), desk.next()]);
  assertEquals([desk.splitter.discarding, desk.buffer.length], [false, 5]);
});

Deno.test("FrameSplitter.tooLongError() says the limit and how much had come", () => {
  const desk = new Desk("abcde\r", "\r\n", 3, "discard");
  assertEquals(desk.all(), ["data abc", "too long"]);
  const error = desk.splitter.tooLongError();
  assertInstanceOf(error, FrameTooLongError);
  assertEquals([error.limit, error.received], [3, 5]);
});

Deno.test("FrameSplitter.tooLongError() counts what came in earlier reads, and from each frame anew", () => {
  const desk = new Desk("xyz\nab", "\n", 3);
  assertEquals(desk.all(), ["data xyz", "frame", "data ab", "more"]);
  desk.come("cd");
  assertEquals(desk.all(), ["data c", "too long"]);
  assertEquals(desk.splitter.tooLongError().received, 4);
});

Deno.test("FrameSplitter.skipping lasts until the end of the frame", () => {
  const desk = new Desk("abc", "\r\n", 2, "discard");
  const seen = [desk.splitter.discarding];
  desk.all();
  seen.push(desk.splitter.discarding);
  for (const piece of ["def", "\r", "\n"]) {
    desk.come(piece);
    assertEquals(desk.next(), "more");
    seen.push(desk.splitter.discarding);
  }
  assertEquals(seen, [false, true, true, true, false]);
});

Deno.test("FrameSplitter.limit is the limit of the frame that is being told", () => {
  const desk = new Desk("abc", "\n", 2, "discard");
  assertEquals(desk.splitter.limit, 2);
  desk.all();
  desk.set(1, 9);
  assertEquals(desk.splitter.limit, 2, "while it is skipped");
  desk.come("\n");
  desk.all();
  assertEquals(desk.splitter.limit, 9);
  desk.come("x");
  desk.all();
  assertEquals(desk.splitter.limit, 100, "behind a count");
});

// -------------------------------------------------------------------------------------------------------- refuseFrame()

Deno.test("FrameSplitter.refuseFrame() drops the rest of the frame, and its end is no frame, however it is cut", () => {
  for (const terminator of ["\r\n", ["\r\n", "\r\n\n"]]) {
    for (const pieces of everyCut(bytes("abc\rd\r\nok\r\n"))) {
      const desk = new Desk("", terminator, 100, "discard");
      const answers: string[] = [];
      for (const piece of pieces) {
        desk.come(piece);
        for (let answer = desk.next(); answer !== "more"; answer = desk.next()) {
          answers.push(answer);
          if (answers.length === 1) desk.splitter.refuseFrame();
        }
      }
      desk.splitter.finish();
      answers.push(...desk.all());
      const after = answers.slice(1).map((answer) => answer.replace("data ", "")).join(" ").replace("o k", "ok");
      assertEquals(after, "ok frame more", JSON.stringify(pieces.map(text)));
    }
  }
});

Deno.test("FrameSplitter.refuseFrame() where the policy is to close drops nothing", () => {
  const desk = new Desk("ab", "\n");
  desk.next();
  desk.splitter.refuseFrame();
  assertFalse(desk.splitter.discarding);
  desk.come("c\n");
  assertEquals(desk.all(), ["data c", "frame", "more"]);
});

Deno.test("FrameSplitter.refuseFrame() in raw mode drops all until a terminator is set, which counts at once", () => {
  const desk = new Desk("ab", null, 1, "discard");
  assertEquals(desk.next(), "data ab");
  desk.splitter.refuseFrame();
  desk.come("cd");
  assertEquals([desk.next(), desk.buffer.length], ["more", 0]);
  desk.set("\n");
  assertFalse(desk.splitter.discarding);
  desk.come("e\n");
  assertEquals(desk.all(), ["data e", "frame", "more"]);
});

Deno.test("FrameSplitter.refuseFrame() drops the rest of a count, and what follows is raw", () => {
  const desk = new Desk("ab", 4, 100, "discard");
  assertEquals(desk.next(), "data ab");
  desk.splitter.refuseFrame();
  desk.come("cdef");
  assertEquals(desk.all(), ["data ef", "more"]);
});

Deno.test("FrameSplitter.refuseFrame() drops the rest of a count, and what was set meanwhile follows", () => {
  const desk = new Desk("ab", 4, 100, "discard");
  assertEquals(desk.next(), "data ab");
  desk.splitter.refuseFrame();
  desk.set("\n");
  desk.come("c\nd\n");
  assertEquals(desk.all(), ["data d", "frame", "more"]);
});

Deno.test("FrameSplitter.refuseFrame() of a frame whose end was seen: what is set then follows that end", () => {
  const desk = new Desk("ab\ncd\r", "\n", 100, "discard");
  assertEquals(desk.next(), "data ab");
  desk.splitter.refuseFrame();
  desk.set("\r");
  assertEquals(desk.all(), ["data cd", "frame", "more"]);
});

// ------------------------------------------------------------------------------------------------------------- finish()

Deno.test("FrameSplitter.finish() makes data of what was held back", () => {
  const desk = new Desk("ab\r\n\r", "\r\n\r\n");
  assertEquals(desk.all(), ["data ab", "more"]);
  desk.splitter.finish();
  assertEquals(desk.all(), ["data \r\n\r", "more"]);
});

Deno.test("FrameSplitter.finish() lets the shorter of several count, for a longer one cannot come", () => {
  const desk = new Desk("a\r", ["\r", "\r\n"]);
  assertEquals(desk.all(), ["data a", "more"]);
  desk.splitter.finish();
  assertEquals(desk.all(), ["frame", "more"]);
  assertEquals(desk.splitter.matchedTerminator, bytes("\r"));
});

Deno.test("FrameSplitter.finish() lets one of several count that lies in another that cannot come", () => {
  const desk = new Desk("abc", ["abcd", "bc"]);
  assertEquals(desk.all(), ["more"]);
  desk.splitter.finish();
  assertEquals(desk.all(), ["data a", "frame", "more"]);
});

Deno.test("FrameSplitter.finish() finds a frame too long whose tail was held back", () => {
  const desk = new Desk("abc\r", "\r\n", 3);
  assertEquals(desk.all(), ["data abc", "more"]);
  desk.splitter.finish();
  assertEquals(desk.all(), ["too long"]);
});

Deno.test("FrameSplitter.finish() leaves nothing to tell of a frame that is skipped", () => {
  const desk = new Desk("abc\r", "\r\n", 2, "discard");
  assertEquals(desk.all(), ["data ab", "too long"]);
  assertEquals(desk.all(), ["more"]);
  desk.splitter.finish();
  assertEquals([desk.all(), desk.buffer.length], [["more"], 0]);
});

Deno.test("FrameSplitter.finish() leaves frames to be told that are complete", () => {
  const desk = new Desk("a\nb\nc", "\n");
  assertEquals(desk.next(), "data a");
  desk.splitter.finish();
  assertEquals(desk.all(), ["frame", "data b", "frame", "data c", "more"]);
});

Deno.test("FrameSplitter.finish() ends no count", () => {
  const desk = new Desk("ab", 3);
  desk.splitter.finish();
  assertEquals([desk.all(), desk.splitter.getTerminator()], [["data ab", "more"], 1]);
});

Deno.test("FrameSplitter.finish() where nothing has come leaves nothing to tell", () => {
  for (const terminator of ["\n", ["\n", "\r"], 3, null]) {
    const desk = new Desk("", terminator);
    desk.splitter.finish();
    assertEquals(desk.all(), ["more"]);
  }
});

// -------------------------------------------------------------------------------------------------------------- reset()

Deno.test("FrameSplitter.reset() begins the count towards the limit anew", () => {
  const desk = new Desk("abc", "\n", 3);
  assertEquals(desk.all(), ["data abc", "more"]);
  desk.discard();
  assertFalse(desk.splitter.frameBegun);
  desk.come("def\n");
  assertEquals(desk.all(), ["data def", "frame", "more"]);
});

Deno.test("FrameSplitter.reset() forgets what was held back", () => {
  const desk = new Desk("ab\r", "\r\n");
  assertEquals(desk.all(), ["data ab", "more"]);
  desk.discard();
  desk.come("\nc\r\n");
  assertEquals(desk.all(), ["data \nc", "frame", "more"]);
});

Deno.test("FrameSplitter.reset() leaves a frame complete whose terminator had come, and takes nothing of the next", () => {
  const desk = new Desk("ab\r\nxy\r\n", "\r\n");
  assertEquals(desk.next(), "data ab");
  desk.discard();
  desk.come("cd\r\n");
  assertEquals(desk.all(), ["frame", "data cd", "frame", "more"]);
});

Deno.test("FrameSplitter.reset() leaves a count complete that was, and of another what is still to come", () => {
  const complete = new Desk("abc", 3);
  assertEquals(complete.next(), "data abc");
  complete.discard();
  assertEquals(complete.all(), ["frame", "more"]);
  const begun = new Desk("ab", 3);
  assertEquals(begun.next(), "data ab");
  begun.discard();
  begun.come("cd");
  assertEquals(begun.all(), ["data c", "frame", "data d", "more"]);
});

Deno.test("FrameSplitter.reset() leaves a frame skipped that is, up to its end", () => {
  const desk = new Desk("abc", "\n", 2, "discard");
  assertEquals(desk.all(), ["data ab", "too long"]);
  desk.discard();
  desk.come("def\nok\n");
  assertEquals(desk.all(), ["data ok", "frame", "more"]);
});

Deno.test("FrameSplitter.reset() ends a skipped frame whose terminator had come", () => {
  const desk = new Desk("ab\n", "\n", 100, "discard");
  assertEquals(desk.next(), "data ab");
  desk.splitter.refuseFrame();
  desk.discard();
  desk.come("ok\n");
  assertEquals(desk.all(), ["data ok", "frame", "more"]);
});
