// What the collector keeps of a frame, and what becomes of the rest: FrameInput.collectRange() and collect() at the limit.

import { assertEquals } from "@std/assert";
import { everyCut } from "../testing/cuts.ts";
import { bytes, text } from "../tests/recorder.ts";
import { FrameInput } from "./frame_input.ts";
import type { Terminator, TooLongPolicy } from "./frame_splitter.ts";

/** The two ways of a default hook: a range of the receive buffer, or a view of it. */
type Way = "collectRange" | "collect";

/** Collects as the default hooks do, and takes nothing but what is too long. */
class Collecting {
  readonly input = new FrameInput(1000, 1024, undefined);
  readonly results: string[] = [];
  readonly #way: Way;
  onData = () => {};
  onFrame = () => {};
  onTooLong = () => {};

  constructor(way: Way, terminator: Terminator, limit: number, policy: TooLongPolicy) {
    this.#way = way;
    this.input.setTerminator(terminator, limit, policy);
  }

  /** Returns the results, and what is collected at the end. */
  receive(pieces: Uint8Array[]): { results: string[]; collected: string } {
    const { input, results } = this;
    for (const piece of pieces) {
      input.append(piece);
      if (!this.#drain()) break;
    }
    return { results, collected: input.takeText() };
  }

  #drain(): boolean {
    const { input, results } = this;
    for (;;) {
      const result = input.next();
      if (result === "more") return true;
      if (result === "frame") {
        results.push("frame");
        this.onFrame();
        continue;
      }
      const error = result === "data" ? this.#collect() : input.tooLongError();
      if (error === null) continue;
      const discards = input.refuseFrame();
      results.push(`too long ${input.takeText()} ${error.received}/${error.limit}`);
      if (!discards) return false;
      this.onTooLong();
    }
  }

  #collect() {
    const { bytes, pieceStart, pieceEnd } = this.input;
    this.onData();
    return this.#way === "collectRange"
      ? this.input.collectRange(bytes, pieceStart, pieceEnd)
      : this.input.collect(bytes.subarray(pieceStart, pieceEnd));
  }
}

/** Checks the results for every cut of `sent`. */
function checkEveryCut(
  sent: string,
  create: () => Collecting,
  expected: { results: string[]; collected: string },
): void {
  for (const pieces of everyCut(bytes(sent))) {
    assertEquals(create().receive(pieces), expected, `cut as ${JSON.stringify(pieces.map(text))}`);
  }
}

for (const way of ["collectRange", "collect"] as const) {
  Deno.test(`FrameInput.${way}() collects exactly the limit of raw data, however it is cut`, () => {
    checkEveryCut("0123", () => new Collecting(way, null, 4, "close"), { results: [], collected: "0123" });
    for (const policy of ["close", "discard"] as const) {
      checkEveryCut("012345678", () => new Collecting(way, null, 4, policy), {
        results: ["too long 0123 5/4"],
        collected: "",
      });
    }
  });

  Deno.test(`FrameInput.${way}() leaves the rest of raw data to a terminator set then, however it is cut`, () => {
    for (const terminator of ["\n", ["\n", "\r\n"]]) {
      const create = () => {
        const collecting = new Collecting(way, null, 4, "discard");
        collecting.onTooLong = () => collecting.input.setTerminator(terminator);
        return collecting;
      };
      checkEveryCut("012345\nab\nc", create, { results: ["too long 0123 5/4", "frame", "frame"], collected: "45abc" });
    }
    const counting = () => {
      const collecting = new Collecting(way, null, 4, "discard");
      collecting.onTooLong = () => collecting.input.setTerminator(3);
      return collecting;
    };
    checkEveryCut("0123456789", counting, { results: ["too long 0123 5/4", "frame"], collected: "456789" });
  });

  Deno.test(`FrameInput.${way}() bounds frames that are not taken, however they are cut`, () => {
    const sent = "01\n234\n5\n6\n7";
    for (const terminator of ["\n", ["\n", "\r\n"]]) {
      checkEveryCut(sent, () => new Collecting(way, terminator, 4, "close"), {
        results: ["frame", "too long 0123 5/4"],
        collected: "",
      });
      checkEveryCut(sent, () => new Collecting(way, terminator, 4, "discard"), {
        results: ["frame", "too long 0123 5/4", "frame", "frame"],
        collected: "567",
      });
    }
  });

  Deno.test(`FrameInput.${way}() bounds a count behind a frame that is not taken, however it is cut`, () => {
    const create = () => {
      const collecting = new Collecting(way, "\n", 4, "discard");
      collecting.onFrame = () => {
        if (collecting.results.length === 1) collecting.input.setTerminator(4, 4, "discard");
      };
      collecting.onTooLong = () => collecting.input.setTerminator("\n");
      return collecting;
    };
    checkEveryCut("01\n2345\n6\n", create, {
      results: ["frame", "too long 0123 5/4", "frame", "frame"],
      collected: "6",
    });
  });

  Deno.test(`FrameInput.${way}() collects nothing more under a lower limit, however it is cut`, () => {
    const create = (policy: TooLongPolicy) => () => {
      const collecting = new Collecting(way, "\n", 10, policy);
      collecting.onFrame = () => {
        if (collecting.results.length === 1) collecting.input.setTerminator("\n", 2, policy);
      };
      return collecting;
    };
    const tooLong = "too long 01234 6/2";
    checkEveryCut("01234\n5\n6\n", create("close"), { results: ["frame", tooLong], collected: "" });
    checkEveryCut("01234\n5\n6\n", create("discard"), { results: ["frame", tooLong, "frame"], collected: "6" });
  });

  Deno.test(`FrameInput.${way}() takes nothing back after a discard or a change of terminator in the hook`, () => {
    const discarding = new Collecting(way, null, 4, "discard");
    discarding.onData = () => discarding.input.discard();
    discarding.onTooLong = () => {
      discarding.onData = () => {};
      discarding.input.setTerminator("\n");
    };
    assertEquals(discarding.receive(["0123456", "ab\n"].map(bytes)), {
      results: ["too long 0123 5/4", "frame"],
      collected: "ab",
    });
    const changing = new Collecting(way, null, 4, "discard");
    changing.onData = () => {
      changing.onData = () => {};
      changing.input.setTerminator(3, 4, "discard");
    };
    changing.onTooLong = () => changing.input.setTerminator("\n");
    assertEquals(changing.receive(["0123456", "abcde\n"].map(bytes)), {
      results: ["too long 0123 5/4", "frame"],
      collected: "de",
    });
  });
}

Deno.test("FrameInput.collect() takes nothing back of bytes that are not the last piece", () => {
  const { input } = new Collecting("collect", null, 4, "discard");
  input.append(bytes("012345"));
  assertEquals(input.next(), "data");
  const piece = input.bytes.subarray(input.pieceStart, input.pieceEnd);
  assertEquals(input.collect(piece.slice())?.received, 5);
  assertEquals({ collected: input.takeText(), unread: text(input.unread()) }, { collected: "0123", unread: "" });
  assertEquals(input.collect(piece.subarray(0, 5))?.received, 5);
  assertEquals({ collected: input.takeText(), unread: text(input.unread()) }, { collected: "0123", unread: "" });
  assertEquals(input.collect(piece)?.received, 5);
  assertEquals({ collected: input.takeText(), unread: text(input.unread()) }, { collected: "0123", unread: "45" });
});
