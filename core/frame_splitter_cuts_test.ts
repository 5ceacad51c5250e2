// The splitter against an oracle that has the whole input at once. The oracle works on text, a character a byte, so that it
// shares no code with the splitter. Results are text too: data as it is, <t> for a frame that t ended, ! for "too long".

import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { everyCut, randomCut, seededRandom } from "../testing/cuts.ts";
import { ReceiveBuffer } from "./receive_buffer.ts";
import { FrameSplitter, type TooLongPolicy } from "./frame_splitter.ts";

/** The arguments of one call of `setTerminator`. */
interface Setting {
  end: string | number | null | readonly string[];
  limit?: number;
  onTooLong?: TooLongPolicy;
}

/** The first setting, then one for each "frame" and each "too long"; `null` changes nothing. */
type Schedule = readonly [Setting, ...(Setting | null)[]];

const RAW: Setting = { end: null };
const NO_LIMIT = 1_000_000;

// ------------------------------------------------------------------------------------------------------------ the oracle

/** Returns the results for the whole of `text`: a token for each byte of data and each other result. */
function oracle(text: string, schedule: Schedule): string[] {
  return trace(text, schedule).filter(isShown);
}

/** As `oracle`, and where each discarded frame ends: `(t)` when t ended it. */
function trace(text: string, [first, ...later]: Schedule): string[] {
  const results: string[] = [];
  for (let setting = first;;) {
    const { limit = NO_LIMIT, onTooLong = "close" } = setting;
    const end = endOfFrame(text, setting.end);
    const data = end === "none" || end === "raw" ? text : text.slice(0, end.at);
    const countTooLong = typeof setting.end === "number" && setting.end > limit; // refused before any data
    const tooLong = countTooLong || (end !== "raw" && data.length > limit);
    if (!countTooLong) results.push(...(tooLong ? data.slice(0, limit) : data));
    if (tooLong) results.push("!");
    if (end === "none" || end === "raw" || (tooLong && onTooLong === "close")) return results;
    results.push(tooLong ? `(${end.terminator})` : `<${end.terminator}>`);
    text = text.slice(end.at + end.terminator.length);
    setting = later.shift() ?? (typeof setting.end === "number" ? RAW : setting);
  }
}

function isShown(token: string): boolean {
  return !token.startsWith("(");
}

function endOfFrame(text: string, end: Setting["end"]): { at: number; terminator: string } | "none" | "raw" {
  if (end === null) return "raw";
  if (typeof end === "number") return text.length < end ? "none" : { at: end, terminator: "" };
  for (let at = 0; at < text.length; at++) {
    const [longest] = [end].flat().filter((each) => text.startsWith(each, at)).sort((a, b) => b.length - a.length);
    if (longest !== undefined) return { at, terminator: longest };
  }
  return "none";
}

/** Returns the results that are certain after `text`: the common beginning of the results of all continuations. */
function certain(text: string, schedule: Schedule): string[] {
  const ends = schedule.flatMap((setting) => setting?.end ?? []).filter((end) => typeof end === "string");
  const alphabet = [...new Set(["~", ...ends.join("")])];
  let continuations = [""];
  for (let length = Math.max(0, ...ends.map((end) => end.length)); length > 1; length--) {
    continuations = ["", ...continuations.flatMap((rest) => alphabet.map((each) => each + rest))];
  }
  return continuations.map((rest) => trace(text + rest, schedule)).reduce((common, results) => {
    const differs = common.findIndex((token, at) => token !== results[at]);
    return differs < 0 ? common : common.slice(0, differs);
  }).filter(isShown);
}

// ----------------------------------------------------------------------------------------------------------- the splitter

const bytes = (text: string) => Uint8Array.from(text, (each) => each.charCodeAt(0));
const text = (bytes: Uint8Array) => Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");

/** Runs a splitter by a schedule and records its results. */
class ScheduledSplitter {
  readonly results: string[] = [];
  readonly #buffer = new ReceiveBuffer(65_536);
  readonly #splitter = new FrameSplitter(this.#buffer, NO_LIMIT);
  readonly #schedule: (Setting | null)[];
  #closed = false;

  constructor(schedule: Schedule) {
    this.#schedule = [...schedule];
    this.#set();
    this.#drain();
  }

  /** Receives a piece, in several reads if one has no room for it. */
  receive(piece: Uint8Array): void {
    for (let rest = piece; rest.length > 0;) {
      const space = this.#buffer.reserve();
      const count = Math.min(space.length, rest.length);
      space.set(rest.subarray(0, count));
      this.#buffer.commit(count);
      this.#drain();
      rest = rest.subarray(count);
    }
  }

  finish(): void {
    this.#splitter.finish();
    this.#drain();
  }

  #drain(): void {
    // Each byte can be data, and can end a frame; a count of 0 ends one without a byte.
    const max = this.results.length + 2 * this.#buffer.length + this.#schedule.length + 1;
    while (!this.#closed) {
      if (this.results.length > max) throw new Error(`Too many results: ${this.results.slice(-100)}`);
      const result = this.#splitter.next();
      if (result === "more") return;
      if (result === "data") {
        const data = text(this.#buffer.filled.subarray(this.#splitter.pieceStart, this.#splitter.pieceEnd));
        this.results.push(...(data === "" ? ["(empty piece)"] : data));
      } else {
        this.results.push(result === "too long" ? "!" : `<${text(this.#splitter.matchedTerminator ?? bytes(""))}>`);
        this.#closed = result === "too long" && !this.#splitter.discarding;
        this.#set();
      }
    }
  }

  #set(): void {
    const setting = this.#schedule.shift() ?? null;
    if (setting === null) return;
    const { end, limit = NO_LIMIT, onTooLong = "close" } = setting;
    this.#splitter.setTerminator(end, limit, onTooLong);
  }
}

function split(pieces: Uint8Array[], schedule: Schedule): string {
  const splitter = new ScheduledSplitter(schedule);
  for (const piece of pieces) splitter.receive(piece);
  splitter.finish();
  return splitter.results.join("");
}

/** Checks that every cut of `input` has the `expected` results, and after each piece all that are certain, and no more. */
function checkEveryCut(input: string, schedule: Schedule, expected: string): void {
  assertEquals(oracle(input, schedule).join(""), expected, "the oracle or the expectation is wrong");
  const certainAfter = Array.from({ length: input.length + 1 }, (_, at) => {
    return certain(input.slice(0, at), schedule).join("");
  });
  for (const pieces of everyCut(bytes(input))) {
    const splitter = new ScheduledSplitter(schedule);
    const cut = () => `cut as ${JSON.stringify(pieces.map(text))}`;
    let at = 0;
    for (const piece of [bytes(""), ...pieces]) {
      splitter.receive(piece);
      at += piece.length;
      const soFar = splitter.results.join("");
      if (soFar !== certainAfter[at]) assertEquals(soFar, certainAfter[at], `after ${at} bytes, ${cut()}`);
    }
    splitter.finish();
    if (splitter.results.join("") !== expected) assertEquals(splitter.results.join(""), expected, cut());
  }
}

// ------------------------------------------------------------------------------------------------------------- every cut

const CRLF: Setting = { end: "\r\n" };
const NEWLINES: Setting = { end: ["\r", "\n", "\r\n"] };
const atMost = (limit: number, end: Setting["end"], onTooLong: TooLongPolicy = "discard") => ({
  end,
  limit,
  onTooLong,
});

const cases: [name: string, input: string, schedule: Schedule, expected: string][] = [
  // one terminator
  ["ends a frame at a terminator of one byte", "\n\na\nb", [{ end: "\n" }], "<\n><\n>a<\n>b"],
  ["ends a frame at a terminator of two bytes", "ab\r\n\r\nc\r\n", [CRLF], "ab<\r\n><\r\n>c<\r\n>"],
  ["returns a false start of a terminator as data", "a\rb\r\r\nc\r", [CRLF], "a\rb\r<\r\n>c\r"],
  ["finds aab in aaab", "aaabaabaa", [{ end: "aab" }], "a<aab><aab>aa"],
  ["finds the first empty line", "a\r\n\r\r\n\r\nb\r\n\r", [{ end: "\r\n\r\n" }], "a\r\n\r<\r\n\r\n>b\r\n\r"],
  ["finds qqq in qqqqqqq", "qqqqqqq", [{ end: "qqq" }], "<qqq><qqq>q"],
  ["finds abab in aababababa", "aababababa", [{ end: "abab" }], "a<abab><abab>a"],
  ["finds abcabd behind its own beginning", "abcabcabdabc", [{ end: "abcabd" }], "abc<abcabd>abc"],
  // several
  [
    "accepts all three line ends at once",
    "a\rb\nc\r\n\r\r\n\n\r",
    [NEWLINES],
    "a<\r>b<\n>c<\r\n><\r><\r\n><\n><\r>",
  ],
  ["takes the longest of several at one offset", "xabcabcdaab", [{ end: ["ab", "abcd", "a"] }], "x<ab>c<abcd><a><ab>"],
  ["takes the leftmost of several before a longer one", "abcabcdabc", [{ end: ["abcd", "bc"] }], "a<bc><abcd>a<bc>"],
  ["takes the leftmost of several that do not overlap", "xabbbabb", [{ end: ["bbb", "a"] }], "x<a><bbb><a>bb"],
  ["takes one of several that lies in another", "aabaabbaab", [{ end: ["aabb", "ab"] }], "a<ab><aabb>a<ab>"],
  ["accepts a terminator that is listed twice", "a\n\nb", [{ end: ["\n", "\n"] }], "a<\n><\n>b"],
  ["treats a list of one as that terminator", "a\r\r\nb", [{ end: ["\r\n"] }], "a\r<\r\n>b"],
  // counts and raw
  ["ends a frame after a count; raw follows", "abcde\nf", [{ end: 3 }], "abc<>de\nf"],
  ["accepts a count after a count", "abbccc", [{ end: 1 }, { end: 2 }, { end: 3 }], "a<>bb<>ccc<>"],
  ["returns the data of a count that is never reached", "abc", [{ end: 5 }], "abc"],
  ["returns all as data when raw", "ab\r\nc", [RAW], "ab\r\nc"],
  [
    "reads a body by its length between lines",
    "2\nx\n3\n",
    [{ end: "\n" }, { end: 2 }, { end: "\n" }],
    "2<\n>x\n<>3<\n>",
  ],
  ["applies a new terminator to bytes that begin it", "a\nbb\n\nc", [{ end: "\n" }, { end: "\n\n" }], "a<\n>bb<\n\n>c"],
  ["applies a shorter terminator to held-back bytes", "a\r\n\n", [{ end: "\r" }, { end: "\n" }], "a<\r><\n><\n>"],
  // a count of 0
  ["ends an empty frame at a count of 0; raw follows", "ab", [{ end: 0 }], "<>ab"],
  ["ends an empty frame at a count of 0 without input", "", [{ end: 0 }], "<>"],
  [
    "ends a frame for each of several zeros",
    "ab\n",
    [{ end: 0 }, { end: 0 }, { end: 0 }, { end: "\n" }],
    "<><><>ab<\n>",
  ],
  ["ends an empty frame between lines", "0\nab\n", [{ end: "\n" }, { end: 0 }, { end: "\n" }], "0<\n><>ab<\n>"],
  ["ends an empty frame between several", "0\r\nab\r", [NEWLINES, { end: 0 }, NEWLINES], "0<\r\n><>ab<\r>"],
  ["ends an empty frame between counts", "aabb", [{ end: 2 }, { end: 0 }, { end: 1 }], "aa<><>b<>b"],
  ["ends an empty frame behind the last byte", "0\n", [{ end: "\n" }, { end: 0 }], "0<\n><>"],
  ["ends two empty frames behind the last byte", "0\n", [{ end: "\n" }, { end: 0 }, { end: 0 }], "0<\n><><>"],
  ["ends an empty frame at a limit of 0", "0\nab", [{ end: "\n" }, atMost(0, 0, "close")], "0<\n><>ab"],
  ["ends an empty frame behind a discarded one", "abc\nx\n", [atMost(2, "\n"), { end: 0 }, CRLF], "ab!<>x\n"],
  ["ends an empty frame behind a discarded one at the last byte", "abc\n", [atMost(2, "\n"), { end: 0 }], "ab!<>"],
  [
    "ends zeros behind a discarded frame",
    "abc\nx",
    [atMost(2, "\n"), { end: 0 }, { end: 0 }, { end: 1 }],
    "ab!<><>x<>",
  ],
  // a count above the limit
  ["refuses a count above the limit at once", "abcd", [atMost(2, 3, "close")], "!"],
  ["refuses a count above the limit without input", "", [atMost(2, 3, "close")], "!"],
  ["refuses a count above the limit between lines", "3\nabc\n", [{ end: "\n" }, atMost(2, 3, "close")], "3<\n>!"],
  ["accepts a count of exactly the limit", "abcd", [atMost(3, 3, "close")], "abc<>d"],
  ["discards as many bytes as the count; raw follows", "abcd\ne", [atMost(2, 3)], "!d\ne"],
  ["discards a count, and a line follows", "3\nabcd\ne", [{ end: "\n" }, atMost(2, 3), { end: "\n" }], "3<\n>!d<\n>e"],
  ["discards a count that contains terminators", "\r\n\r\na\r\n", [atMost(1, 4), CRLF], "!a<\r\n>"],
  ["discards a count, and several follow", "abc\r\nd\re", [atMost(2, 3), NEWLINES], "!<\r\n>d<\r>e"],
  ["discards a count, and a count follows", "abcdef", [atMost(2, 3), { end: 2 }], "!de<>f"],
  ["discards a count, and a count of 0 follows", "abcd", [atMost(2, 3), { end: 0 }], "!<>d"],
  ["discards a count up to the last byte, and a count of 0 follows", "abc", [atMost(2, 3), { end: 0 }], "!<>"],
  ["discards one count after the other", "abcdefg", [atMost(2, 3), atMost(0, 1), atMost(1, 2), { end: 1 }], "!!!g<>"],
  ["discards a count that is never reached", "abc", [atMost(2, 5), { end: "\n" }], "!"],
  ["discards a line, then a count", "abc\nabcx", [atMost(2, "\n"), atMost(2, 3), { end: 1 }], "ab!!x<>"],
  // limits
  ["accepts a frame of exactly the limit", "abc\r\nabc\r\n", [atMost(3, "\r\n", "close")], "abc<\r\n>abc<\r\n>"],
  ["accepts exactly the limit with a false start in it", "ab\r\r\n", [atMost(3, "\r\n", "close")], "ab\r<\r\n>"],
  ["refuses one byte above the limit", "ab\r\nabcd\r\n", [atMost(3, "\r\n", "close")], "ab<\r\n>abc!"],
  ["counts a false start as data", "abc\rx\r\n", [atMost(3, "\r\n", "close")], "abc!"],
  ["counts a held-back tail as data at the end", "abc\r", [atMost(3, "\r\n", "close")], "abc!"],
  ["counts data that overlaps a terminator", "aabaaaab", [atMost(1, "aab", "close")], "<aab>a!"],
  ["counts false starts of an empty line", "a\r\n\r\n\r\nb\r\n\r\n", [atMost(0, "\r\n\r\n")], "!!"],
  ["discards a frame and returns the next", "abcdef\r\nok\r\n", [atMost(3, "\r\n")], "abc!ok<\r\n>"],
  ["discards one frame after the other", "aaa\nbbb\n\nc\n", [atMost(2, "\n")], "aa!bb!<\n>c<\n>"],
  ["discards up to the end of the input", "abcdef\r", [atMost(3, "\r\n")], "abc!"],
  ["discards false starts too", "abcd\r\r\r\nx\r\n", [atMost(3, "\r\n")], "abc!x<\r\n>"],
  ["discards a frame that aab ends behind its own beginning", "baaaabaab", [atMost(2, "aab")], "ba!<aab>"],
  ["discards up to the leftmost of several", "abc\rd\r\ne\nf", [atMost(2, NEWLINES.end)], "ab!d<\r\n>e<\n>f"],
  ["discards up to the longest of several", "abc\r\n\nd", [atMost(2, ["\r\n\n", "\r"])], "ab!d"],
  ["applies the limit of each setting", "ab\nabc\nabcd\n", [atMost(2, "\n"), atMost(3, "\n")], "ab<\n>abc<\n>abc!"],
  ["does not limit raw data", "a\nabcdef", [atMost(2, "\n", "close"), atMost(2, null, "close")], "a<\n>abcdef"],
  ["does not limit raw data after a count", "abcdefgh", [atMost(2, 2, "close")], "ab<>cdefgh"],
  // set while discarding
  ["discards up to the old end when a count is set", "abc\nxyz", [atMost(1, "\n"), { end: 2 }], "a!xy<>z"],
  [
    "discards up to the old end when another terminator is set",
    "abc\rd\nxy\rz",
    [atMost(1, "\n"), { end: "\r" }],
    "a!xy<\r>z",
  ],
  ["discards up to the old end when several are set", "abc\r\nx\ry", [atMost(1, "\r\n"), NEWLINES], "a!x<\r>y"],
  ["discards up to the old end when raw is set", "abc\nx\ny", [atMost(1, "\n"), RAW], "a!x\ny"],
  ["discards up to the old end when a lower limit is set", "abc\nx\ny\n", [atMost(1, "\n"), atMost(0, "\n")], "a!!!"],
];

for (const [name, input, schedule, expected] of cases) {
  Deno.test(`FrameSplitter.next() ${name}, however it is cut`, () => checkEveryCut(input, schedule, expected));
}

// A head that the first kind ends, and the results of the next kind for the rest: these expectations need no oracle.
const heads: [kind: string, head: string, setting: Setting, expected: string][] = [
  ["one terminator", "ab\n", { end: "\n" }, "ab<\n>"],
  ["several", "ab\r\n", { end: ["\r\n", "\r"] }, "ab<\r\n>"],
  ["a count", "ab", { end: 2 }, "ab<>"],
  ["a count of 0", "", { end: 0 }, "<>"],
  ["a discarded frame", "abc\n", atMost(2, "\n"), "ab!"],
  ["a discarded count", "abc", atMost(2, 3), "!"],
];
const tails: [kind: string, setting: Setting, expected: string][] = [
  ["one terminator", { end: "\r\n" }, "x\ny<\r\n>z"],
  ["several", { end: ["\n", "\r\n"] }, "x<\n>y<\r\n>z"],
  ["a count", { end: 3 }, "x\ny<>\r\nz"],
  ["null", { end: null }, "x\ny\r\nz"],
  ["a count of 0", { end: 0 }, "<>x\ny\r\nz"],
  ["a count above its limit", atMost(4, 5, "close"), "!"],
  ["a count to discard", atMost(4, 5), "!z"],
];
for (const [from, head, first, resultsOfHead] of heads) {
  for (const [to, second, resultsOfTail] of tails) {
    Deno.test(`FrameSplitter.setTerminator() after a frame switches from ${from} to ${to}, however it is cut`, () =>
      checkEveryCut(`${head}x\ny\r\nz`, [first, second], resultsOfHead + resultsOfTail));
  }
}

// ----------------------------------------------------------------------------------------------------------- random cuts

Deno.test("FrameSplitter.next() returns the same for long inputs, however they are cut", () => {
  for (let seed = 1; seed <= 150; seed++) {
    const random = seededRandom(seed);
    const oneOf = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)]!;
    const setting = (): Setting => ({
      end: oneOf([
        oneOf(["\n", "\r\n", "aab"]),
        oneOf([["\r", "\n", "\r\n"], ["aab", "ab"]]),
        Math.floor(random() * 3000),
        oneOf([0, 1]),
      ]),
      limit: oneOf([1500, 3000, NO_LIMIT]),
      onTooLong: "discard",
    });
    const schedule: Schedule = [setting(), ...Array.from({ length: 20 }, setting), CRLF];
    const input = Array.from({ length: 12_000 }, () => random() < 0.9 ? "a" : oneOf(["b", "\r", "\n", "\r\n"])).join(
      "",
    );
    const results = split(randomCut(bytes(input), seed, oneOf([1, 10, 1000, 10_000])), schedule);
    const expected = oracle(input, schedule).join("");
    if (results !== expected) assertEquals(results, expected, `seed ${seed}`);
  }
});

// ------------------------------------------------------------------------------------------------------------ properties

const anyEnd = fc.oneof(
  fc.string({ unit: fc.constantFrom("a", "b"), minLength: 1, maxLength: 4 }),
  fc.array(fc.string({ unit: fc.constantFrom("a", "b"), minLength: 1, maxLength: 4 }), { minLength: 1, maxLength: 4 }),
  fc.nat(6),
);
const anySetting: fc.Arbitrary<Setting> = fc.record({
  end: anyEnd,
  limit: fc.constantFrom(0, 3, 6, 7, NO_LIMIT),
  onTooLong: fc.constantFrom("close", "discard"),
});
const anySchedule = fc.tuple(anySetting, fc.array(fc.option(anySetting), { maxLength: 8 }))
  .map(([first, later]): Schedule => [first, ...later]);
const anyInput = fc.string({ unit: fc.constantFrom("a", "b", "c"), maxLength: 60 });
const anySeed = fc.integer();

Deno.test("FrameSplitter.next() returns the same for any two cuts, and equals the oracle", () => {
  fc.assert(
    fc.property(anyInput, anySchedule, anySeed, anySeed, (input, schedule, one, other) => {
      const results = split(randomCut(bytes(input), one, 2), schedule);
      assertEquals(results, split(randomCut(bytes(input), other, 7), schedule));
      assertEquals(results, oracle(input, schedule).join(""));
    }),
    { numRuns: 5000 },
  );
});

Deno.test("FrameSplitter.next() returns all that is certain at any time, and no more", () => {
  fc.assert(
    fc.property(anyInput, anySchedule, anySeed, (input, schedule, seed) => {
      const splitter = new ScheduledSplitter(schedule);
      for (const piece of randomCut(bytes(input), seed, 2)) splitter.receive(piece);
      assertEquals(splitter.results.join(""), certain(input, schedule).join(""));
    }),
    { numRuns: 1000 },
  );
});

Deno.test("FrameSplitter.next() loses no byte: data and terminators are the input", () => {
  const unlimited = anySchedule.map((schedule) =>
    schedule.map((setting) => setting && { end: setting.end }) as unknown as Schedule
  );
  fc.assert(
    fc.property(anyInput, unlimited, anySeed, (input, schedule, seed) => {
      assertEquals(split(randomCut(bytes(input), seed, 3), schedule).replaceAll(/[<>]/g, ""), input);
    }),
    { numRuns: 1000 },
  );
});
