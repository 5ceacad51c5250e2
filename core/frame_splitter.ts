/**
 * Cuts the bytes of a {@linkcode ReceiveBuffer} into frames. It is pulled: each `next()` gives one of four answers.
 *
 * - `"data"`     the bytes from `pieceStart` to `pieceEnd` belong to the current frame; they have been consumed
 * - `"frame"`    the current frame is complete; its terminator has been consumed
 * - `"too long"` the current frame has more data than it may have, `tooLongError()` says how much; told once where the
 *                policy is to discard, for then the frame is skipped, and again and again where it is to close
 * - `"more"`     nothing can be said before more bytes come or `finish()` tells that none will
 *
 * Two things hold whatever the reads looked like: joined, the pieces between two `"frame"` answers depend on the bytes alone;
 * and the work is linear in them: a byte is compared a few times at most with each byte of the terminators.
 * The terminator may be changed after any answer. Bytes of a terminator that has been seen and not yet told are bytes still.
 */

import type { ReceiveBuffer } from "./receive_buffer.ts";
import { describe, FrameTooLongError } from "./errors.ts";
import { DelimiterScanner } from "./delimiter_scanner.ts";

/**
 * How the next frame ends: with a byte string (a `string` is taken as UTF-8), with whichever of several comes first, after
 * a count of bytes, or not at all (`null`, `0`, `""`, empty bytes: everything that comes is data).
 */
export type Terminator = string | Uint8Array | number | null | readonly (string | Uint8Array)[];

/** What to do with a frame that is too long: end the chat, or drop the frame and go on behind its terminator. */
export type TooLongPolicy = "close" | "discard";

/** An answer of {@linkcode FrameSplitter.next}. */
export type SplitResult = "data" | "frame" | "too long" | "more";

/** A terminator as it was set, ready for the search. */
interface Framing {
  /** The byte string, where there is one. */
  readonly needle: Uint8Array | null;
  readonly several: DelimiterSet | null;
  /** Bytes to come, for a count; 0 otherwise. */
  readonly count: number;
  readonly limit: number;
  readonly policy: TooLongPolicy;
}

/** DelimiterSet byte strings. */
interface DelimiterSet {
  readonly given: readonly Uint8Array[];
  readonly longestFirst: readonly Uint8Array[];
  /** 1 at each byte that begins one, so that most bytes cost one look. */
  readonly firstBytes: Uint8Array;
}

const encoder = new TextEncoder();

/** Terminators given as text, as bytes: to encode two of them takes longer than to find a thousand. */
const encoded = new Map<string, Uint8Array>();
const MOST_ENCODED = 64;
const LONGEST_ENCODED = 64; // a boundary that a peer chose may be long

/** Reads bytes as frames; the terminator may change between any two answers. */
export class FrameSplitter {
  readonly #buffer: ReceiveBuffer;
  readonly #finder = new DelimiterScanner();
  readonly #raw: Framing; //            what follows a count
  #framing: Framing | null = null; //   null before any terminator was set
  #framingAfterDiscard: Framing | null = null; // set while a frame was being skipped; in force when that is over
  #remaining = 0; //       of a count: bytes still to come
  #frameNumber = 0;
  #frameBytes = 0; //      data of the current frame told so far
  #pieceStart = 0; //      the last "data" answer, as a range of buffer.filled
  #pieceEnd = 0;
  #found = -1; //          length of the terminator that lies at the front, seen and not told; -1: none
  #foundNeedle: Uint8Array | null = null;
  #matched: Uint8Array | null = null;
  #copied: Uint8Array | null = null; // what was matched when it was asked for last, and what was given then
  #copy: Uint8Array | null = null;
  #discarding = false; //    the current frame is dropped, up to and with its terminator
  #finished = false; //    no more bytes will come

  /**
   * @param buffer Where the bytes come from; only the splitter consumes them.
   * @param limit The limit that is in force again after a count has fired.
   */
  constructor(buffer: ReceiveBuffer, limit: number) {
    this.#buffer = buffer;
    this.#raw = toFraming(null, limit, "close");
  }

  /** Whether any terminator has been set. */
  get ready(): boolean {
    return this.#framing !== null;
  }

  /** The most data that the current frame may have; raw data is not counted, but who gathers it needs a bound. */
  get limit(): number {
    return this.#framing!.limit;
  }

  /** Which frame it is, counting all that began, also at a change of the terminator. */
  get frameNumber(): number {
    return this.#frameNumber;
  }

  /** Whether a byte of the current frame has come; raw, there are no frames. */
  get frameBegun(): boolean {
    return this.#framing !== null && !isRaw(this.#framing) && (this.#frameBytes > 0 || this.#buffer.length > 0);
  }

  /** Whether the current frame is being dropped. */
  get discarding(): boolean {
    return this.#discarding;
  }

  /** Which byte string ended the last frame; `null` where a count did. */
  get matchedTerminator(): Uint8Array | null {
    if (this.#matched !== this.#copied) {
      this.#copied = this.#matched;
      this.#copy = this.#matched?.slice() ?? null; // what is done to it shall change no terminator
    }
    return this.#copy;
  }

  /**
   * Sets how frames end from the next waiting byte on; inside a frame that is being skipped, from the end of that frame on.
   *
   * @throws {TypeError} when it is no terminator, or a list that is empty or has an empty member
   * @throws {RangeError} when it is a number but no count, or a count above `limit`
   */
  setTerminator(terminator: Terminator, limit: number, policy: TooLongPolicy): void {
    const framing = toFraming(terminator, limit, policy);
    if (this.#discarding && !isRaw(this.#framing)) this.#framingAfterDiscard = framing;
    else this.#begin(framing);
  }

  /** The terminator in force, or about to be; of a count, what is still to come. */
  getTerminator(): Uint8Array | number | null | readonly Uint8Array[] {
    const framing = this.#framingAfterDiscard ?? this.#framing;
    if (framing === null || isRaw(framing)) return null;
    if (framing.count > 0) return framing === this.#framing ? this.#remaining : framing.count;
    return framing.needle?.slice() ?? framing.several!.given.map((needle) => needle.slice());
  }

  /** The next answer; see the head of this file. */
  next(): SplitResult {
    for (;;) {
      if (this.#found >= 0) {
        const skipped = this.#discarding;
        this.#endFrame();
        if (!skipped) return "frame";
      }
      const framing = this.#framing!;
      const { start, filled } = this.#buffer;
      if (start === filled.length) return "more";
      const end = this.#endOfData(framing, filled, start);
      if (end > start) {
        // The usual case, here because a call takes longer than all of it.
        const total = this.#frameBytes + end - start;
        if (total <= framing.limit && framing.count === 0 && !this.#discarding) {
          this.#buffer.consume(end - start);
          this.#frameBytes = total;
          this.#pieceStart = start;
          this.#pieceEnd = end;
          return "data";
        }
        const step = this.#take(start, end, framing);
        if (step !== "more") return step;
      } else if (this.#found < 0) {
        return "more";
      }
    }
  }

  /** Where in the buffer's `filled` the bytes of the last `"data"` answer begin; they are good until it reserves space for the next read. */
  get pieceStart(): number {
    return this.#pieceStart;
  }

  /** Where they end. */
  get pieceEnd(): number {
    return this.#pieceEnd;
  }

  /** The current frame as an error, after `"too long"`. */
  tooLongError(): FrameTooLongError {
    return new FrameTooLongError(this.#framing!.limit, this.#frameBytes + this.#pieceEnd - this.#pieceStart);
  }

  /** The current frame is too long, here or for whoever gathers it: drops the rest of it, if that is the policy. */
  refuseFrame(): void {
    this.#discarding = this.#framing!.policy === "discard";
  }

  /** Tells that no more bytes will come: what might have become a terminator is data now. */
  finish(): void {
    this.#finished = true;
  }

  /** Forgets the frame that has begun, for when its bytes were thrown away. One that is being skipped still is. */
  reset(): void {
    this.#frameBytes = 0;
    if (this.#found > 0) this.#found = 0; // its terminator is gone with them, but it had come: the frame is complete
  }

  /** Begins anew, as behind bytes that are nobody's: no frame has begun, and none is told. The terminator stays. */
  restart(): void {
    if (this.#framing !== null) this.#begin(this.#framingAfterDiscard ?? this.#framing);
    this.#framingAfterDiscard = null;
    this.#matched = null;
  }

  /** Deals with the data before `end`: it is told, dropped, or too long. "more" is: dropped, look again. */
  #take(start: number, end: number, framing: Framing): SplitResult {
    let size = end - start;
    const room = framing.limit - this.#frameBytes;
    if (!this.#discarding && size > room && !isRaw(framing)) {
      this.#found = -1;
      if (room === 0) {
        this.#pieceStart = start;
        this.#pieceEnd = end;
        this.refuseFrame();
        return "too long";
      }
      size = room; // what fits is told first: so the same is told, however the bytes came
    }
    this.#buffer.consume(size);
    this.#frameBytes += size;
    if (framing.count > 0 && (this.#remaining -= size) === 0) {
      this.#found = 0;
      this.#foundNeedle = null;
    }
    if (this.#discarding) return "more";
    this.#pieceStart = start;
    this.#pieceEnd = start + size;
    return "data";
  }

  /** The frame's terminator lies at the front: consumes it and begins the next frame. */
  #endFrame(): void {
    this.#buffer.consume(this.#found);
    if (this.#matched !== this.#foundNeedle) this.#matched = this.#foundNeedle;
    this.#found = -1;
    this.#frameNumber++;
    this.#frameBytes = 0;
    if (this.#discarding || this.#foundNeedle === null) this.#changeFraming();
  }

  /** What was set while the frame was skipped is in force; a count fires once, and what follows it is raw, as in asynchat. */
  #changeFraming(): void {
    this.#discarding = false;
    this.#framing = this.#framingAfterDiscard ?? (this.#framing!.count > 0 ? this.#raw : this.#framing);
    this.#remaining = this.#framing!.count;
    this.#framingAfterDiscard = null;
  }

  #begin(framing: Framing): void {
    this.#framing = framing;
    this.#frameNumber++;
    this.#remaining = framing.count;
    this.#frameBytes = 0;
    this.#found = -1;
    this.#discarding = false;
  }

  /**
   * Where the data ends that begins at `from`, as far as can be told: before the leftmost terminator (then `#found` says so),
   * or before bytes that may yet become one, or with the count, or with the last byte.
   */
  #endOfData(framing: Framing, bytes: Uint8Array, from: number): number {
    if (framing.needle !== null) return this.#searchOne(framing.needle, bytes, from);
    if (framing.several !== null) return this.#searchSeveral(framing.several, bytes, from);
    return framing.count > 0 ? Math.min(bytes.length, from + this.#remaining) : bytes.length;
  }

  #searchOne(needle: Uint8Array, bytes: Uint8Array, from: number): number {
    for (let at = from; (at = this.#finder.find(bytes, at, needle)) >= 0; at++) {
      if (this.#isAt(needle, bytes, at)) return at;
    }
    return bytes.length;
  }

  #searchSeveral({ longestFirst, firstBytes }: DelimiterSet, bytes: Uint8Array, from: number): number {
    for (let at = from; at < bytes.length; at++) {
      if (firstBytes[bytes[at]!] === 0) continue;
      // The longest comes first: what may still become a longer one is waited for before a shorter one counts.
      if (longestFirst.some((needle) => this.#isAt(needle, bytes, at))) return at;
    }
    return bytes.length;
  }

  /** Whether the data ends at `at`: with this terminator, or because more bytes could make it one. */
  #isAt(needle: Uint8Array, bytes: Uint8Array, at: number): boolean {
    const same = equalBytes(needle, bytes, at);
    if (same === needle.length) {
      this.#found = same;
      if (this.#foundNeedle !== needle) this.#foundNeedle = needle;
      return true;
    }
    return at + same === bytes.length && !this.#finished;
  }
}

/** How many bytes of `needle` stand in `bytes` from `at` on. */
function equalBytes(needle: Uint8Array, bytes: Uint8Array, at: number): number {
  const most = Math.min(needle.length, bytes.length - at);
  let same = 0;
  while (same < most && needle[same] === bytes[at + same]) same++;
  return same;
}

function isRaw(framing: Framing | null): boolean {
  return framing !== null && framing.needle === null && framing.several === null && framing.count === 0;
}

function toFraming(terminator: Terminator, limit: number, policy: TooLongPolicy): Framing {
  if (terminator === null) return { needle: null, several: null, count: 0, limit, policy };
  if (typeof terminator === "number") {
    return { needle: null, several: null, count: checkCount(terminator, limit), limit, policy };
  }
  if (Array.isArray(terminator)) return { needle: null, several: toSeveral(terminator), count: 0, limit, policy };
  const needle = toNeedle(terminator);
  return { needle: needle.length > 0 ? needle : null, several: null, count: 0, limit, policy };
}

function checkCount(count: number, limit: number): number {
  if (!Number.isSafeInteger(count) || count < 0) {
    throw new RangeError(`Cannot set the terminator: the count is ${count}, a whole number from 0 on is wanted`);
  }
  if (count <= limit) return count;
  throw new RangeError(
    `Cannot set the terminator: the count is ${count}, at most ${limit} is wanted (raise maxFrameBytes for more)`,
  );
}

function toSeveral(terminators: readonly unknown[]): DelimiterSet {
  const given = terminators.map(toNeedle);
  const longestFirst = given.toSorted((a, b) => b.length - a.length);
  if ((longestFirst.at(-1)?.length ?? 0) === 0) {
    const what = given.length === 0 ? "the list is empty" : "the list has an empty member";
    throw new TypeError(`Cannot set the terminator: ${what}, one or more byte strings are wanted`);
  }
  const firstBytes = new Uint8Array(256);
  for (const needle of given) firstBytes[needle[0]!] = 1;
  return { given, longestFirst, firstBytes };
}

function toNeedle(value: unknown): Uint8Array {
  if (typeof value === "string") {
    let needle = encoded.get(value);
    if (needle === undefined) {
      needle = encoder.encode(value);
      if (value.length > LONGEST_ENCODED) return needle;
      if (encoded.size === MOST_ENCODED) encoded.clear();
      encoded.set(value, needle);
    }
    return needle;
  }
  if (value instanceof Uint8Array) return new Uint8Array(value); // not slice(): a Buffer's is a view
  throw new TypeError(
    `Cannot set the terminator: ${
      describe(value)
    } was given, a string, a Uint8Array, a list of these, a count or null is wanted`,
  );
}

/**
 * The length of the longest beginning of `needle`, short of the whole, that `haystack` ends with: asynchat's
 * `find_prefix_at_end`, for code that does its own splitting.
 *
 * @param haystack The bytes that have come.
 * @param needle The terminator that may have begun at their end.
 * @returns 0 when it has not.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { findPrefixAtEnd } from "@asynchat/asynchat";
 *
 * const bytes = new TextEncoder();
 * assertEquals(findPrefixAtEnd(bytes.encode("qwerty\r"), bytes.encode("\r\n")), 1);
 * assertEquals(findPrefixAtEnd(bytes.encode("qwertydkjf"), bytes.encode("\r\n")), 0);
 * ```
 */
export function findPrefixAtEnd(haystack: Uint8Array, needle: Uint8Array): number {
  const longest = Math.min(needle.length - 1, haystack.length);
  for (let length = longest; length > 0; length--) {
    if (equalBytes(needle, haystack, haystack.length - length) === length) return length;
  }
  return 0;
}
