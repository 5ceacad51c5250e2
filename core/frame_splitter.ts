/**
 * Splits the bytes of a {@linkcode ReceiveBuffer} into frames. The caller pulls: each `next()` returns one of four results.
 *
 * Outcomes:
 * - `"data"`     the bytes from `pieceStart` to `pieceEnd` belong to the current frame; they are consumed
 * - `"frame"`    the current frame is complete; its terminator is consumed
 * - `"too long"` the current frame exceeds its limit, see `tooLongError()`; returned once when the policy is "discard",
 *                and by every call when it is "close"
 * - `"more"`     no result before more bytes come, or `finish()` ends the input
 *
 * Invariants:
 * - the pieces between two `"frame"` results, joined, depend on the bytes alone, not on how they were cut
 * - the work is linear: a byte is compared a few times at most with each byte of the terminators
 * - the terminator may change after any result; a terminator that was found, but not returned yet, is data to the new one
 * - only the splitter consumes the buffer
 */

import type { ReceiveBuffer } from "./receive_buffer.ts";
import { describe, FrameTooLongError } from "./errors.ts";
import { DelimiterScanner } from "./delimiter_scanner.ts";

/**
 * How a frame ends: at a byte string (a `string` is encoded as UTF-8), at the first of several, after a count of bytes (0: at
 * once), or never (`null`: raw, all input is data).
 */
export type Terminator = string | Uint8Array | number | null | readonly (string | Uint8Array)[];

/** What to do with an oversized frame: close the chat, or discard the frame up to and with its terminator. */
export type TooLongPolicy = "close" | "discard";

/** A result of {@linkcode FrameSplitter.next}. */
export type SplitResult = "data" | "frame" | "too long" | "more";

/** A terminator prepared for the search: one of three kinds, or raw. */
interface Framing {
  readonly delimiter: Uint8Array | null;
  readonly delimiters: DelimiterSet | null;
  /** Length of a counted frame; -1 otherwise. */
  readonly count: number;
  readonly limit: number;
  readonly policy: TooLongPolicy;
}

/** Several byte strings, any of which ends a frame. */
interface DelimiterSet {
  readonly given: readonly Uint8Array[];
  readonly longestFirst: readonly Uint8Array[];
  /** 1 at each byte that begins one. */
  readonly firstBytes: Uint8Array;
}

const encoder = new TextEncoder();

/** Encoded terminators, by their text: encoding two takes longer than finding a thousand. */
const encodedTerminators = new Map<string, Uint8Array>();
const MAX_CACHED = 64;
const MAX_CACHED_LENGTH = 64; // a boundary chosen by the peer may be long

/** Splits buffered bytes into frames. The terminator may change between any two results. */
export class FrameSplitter {
  readonly #buffer: ReceiveBuffer;
  readonly #scanner = new DelimiterScanner();
  readonly #raw: Framing; //                     in force after a count
  #framing: Framing | null = null; //            null: no terminator set yet
  #framingAfterDiscard: Framing | null = null; // set while discarding
  #remaining = 0; //       missing bytes of a count
  #frameNumber = 0;
  #changedFrame = -1; //   whose terminator changed after it had begun
  #frameBytes = 0; //      data of the current frame, returned
  #pieceStart = 0; //      the last "data", in buffer.filled
  #pieceEnd = 0;
  #foundLength = -1; //    of the terminator ahead; -1: none
  #foundDelimiter: Uint8Array | null = null;
  #matched: Uint8Array | null = null;
  #discarding = false; //  the current frame is being discarded
  #inputEnded = false;

  /**
   * @param buffer The bytes to split; only the splitter consumes them.
   * @param limit The limit that applies again after a counted frame.
   * @param matched What ended the frame before the first.
   */
  constructor(buffer: ReceiveBuffer, limit: number, matched: Uint8Array | null = null) {
    this.#buffer = buffer;
    this.#raw = toFraming(null, limit, "close");
    this.#matched = matched;
  }

  /** Whether a terminator has been set. */
  get ready(): boolean {
    return this.#framing !== null;
  }

  /** The maximum data of the current frame. It does not bound raw data, but a collector bounds itself by it. */
  get limit(): number {
    return this.#framing!.limit;
  }

  /** The number of the current frame. A change of the terminator in a frame that has begun does not change it. */
  get frameNumber(): number {
    return this.#frameNumber;
  }

  /** Whether a byte of the current frame has come; false when raw. */
  get frameBegun(): boolean {
    return this.#framing !== null && !isRaw(this.#framing) && (this.#buffer.length > 0 || this.#hasData);
  }

  /** Whether the current frame is being discarded. */
  get discarding(): boolean {
    return this.#discarding;
  }

  /** A copy of the byte string that ended the last frame; `null` after a count. */
  get matchedTerminator(): Uint8Array | null {
    return this.#matched?.slice() ?? null;
  }

  /**
   * Sets how frames end from the next waiting byte on. While a frame is discarded, it applies from the end of that frame on.
   * When it throws, the terminator and the current frame are unchanged.
   *
   * A count above the limit is a frame that is too long.
   *
   * @throws {TypeError} when `terminator` is of another type, empty, or a list that is empty or has an empty member
   * @throws {RangeError} when a count is not a whole number of at least 0
   */
  setTerminator(terminator: Terminator, limit: number, policy: TooLongPolicy): void {
    const framing = toFraming(terminator, limit, policy);
    if (this.#discarding && !isRaw(this.#framing)) {
      this.#framingAfterDiscard = framing;
      return;
    }
    // Else a peer could have each byte restart the clock of its frame.
    this.#changedFrame = this.#hasData && !isRaw(this.#framing) ? this.#frameNumber : -1;
    this.#begin(framing);
  }

  /** Whether data of the current frame was returned, maybe under an earlier terminator. */
  get #hasData(): boolean {
    return this.#frameBytes > 0 || this.#changedFrame === this.#frameNumber;
  }

  /** Returns a copy of the terminator in force, or of the one set while discarding; of a count, what is missing. */
  getTerminator(): Uint8Array | number | null | readonly Uint8Array[] {
    const framing = this.#framingAfterDiscard ?? this.#framing;
    if (framing === null || isRaw(framing)) return null;
    if (framing.count >= 0) return framing === this.#framing ? this.#remaining : framing.count;
    return framing.delimiter?.slice() ?? framing.delimiters!.given.map((delimiter) => delimiter.slice());
  }

  /** Returns the next result; see the head of this file. */
  next(): SplitResult {
    for (;;) {
      if (this.#foundLength >= 0) {
        const discarded = this.#discarding;
        this.#endFrame();
        if (!discarded) return "frame";
        continue; // a count of 0 that was set meanwhile is complete already
      }
      const framing = this.#framing!;
      const { start, filled } = this.#buffer;
      if (framing.count > framing.limit && !this.#discarding) return this.#tooLong(start, start);
      if (start === filled.length) return "more";
      const end = this.#endOfData(framing, filled, start);
      if (end > start) {
        // The common case, inline: a call would take longer than all of it.
        const total = this.#frameBytes + end - start;
        if (total <= framing.limit && framing.count < 0 && !this.#discarding) {
          this.#buffer.consume(end - start);
          this.#frameBytes = total;
          this.#pieceStart = start;
          this.#pieceEnd = end;
          return "data";
        }
        const result = this.#takeData(start, end, framing);
        if (result !== "more") return result;
      } else if (this.#foundLength < 0) {
        return "more";
      }
    }
  }

  /** Where the last `"data"` begins in the buffer's `filled`; valid until the buffer's next `reserve()`. */
  get pieceStart(): number {
    return this.#pieceStart;
  }

  /** Where the last `"data"` ends; -1 after a change of the terminator, or a reset. */
  get pieceEnd(): number {
    return this.#pieceEnd;
  }

  /** Returns the error for the current frame, after `"too long"`. */
  tooLongError(): FrameTooLongError {
    const { limit, count } = this.#framing!;
    return new FrameTooLongError(limit, Math.max(count, this.#frameBytes + this.#pieceEnd - this.#pieceStart));
  }

  /** Takes back the last `count` bytes of the last `"data"`: the next result begins with them. Not after a change or a reset. */
  takeBack(count: number): void {
    this.#buffer.consume(-count);
    this.#frameBytes -= count;
    this.#pieceEnd -= count;
    this.#foundLength = -1;
    if (this.#framing!.count >= 0) this.#remaining += count;
  }

  /** Refuses the current frame, as too long here or for a collector. When the policy is "discard", its rest is discarded. */
  refuseFrame(): void {
    this.#discarding = this.#framing!.policy === "discard";
  }

  /** Ends the input: a partial terminator that was held back is data now. */
  finish(): void {
    this.#inputEnded = true;
  }

  /** Resets the current frame, after the buffer was cleared. A frame that is being discarded still is. */
  reset(): void {
    this.#frameNumber++;
    this.#frameBytes = 0;
    this.#pieceEnd = -1;
    if (this.#foundLength > 0) this.#foundLength = 0; // its terminator was cleared too, but it had come: the frame is complete
  }

  /** Starts over, as on a new stream: no frame has begun, and no terminator was matched. The terminator stays. */
  restart(): void {
    this.#frameNumber++;
    if (this.#framing !== null) this.#begin(this.#framingAfterDiscard ?? this.#framing);
    this.#framingAfterDiscard = null;
    this.#matched = null;
  }

  /** Handles data up to `end`: it is returned, discarded or too long. "more" means discarded: search again. */
  #takeData(start: number, end: number, framing: Framing): SplitResult {
    let size = end - start;
    const allowed = framing.limit - this.#frameBytes;
    if (!this.#discarding && size > allowed && !isRaw(framing)) {
      this.#foundLength = -1;
      if (allowed === 0) return this.#tooLong(start, end);
      size = allowed; // what fits is returned first, so that the results do not depend on the cuts
    }
    this.#buffer.consume(size);
    this.#frameBytes += size;
    if (framing.count >= 0 && (this.#remaining -= size) === 0) {
      this.#foundLength = 0;
      this.#foundDelimiter = null;
    }
    if (this.#discarding) return "more";
    this.#pieceStart = start;
    this.#pieceEnd = start + size;
    return "data";
  }

  #tooLong(start: number, end: number): SplitResult {
    this.#pieceStart = start;
    this.#pieceEnd = end;
    this.refuseFrame();
    return "too long";
  }

  /** Consumes the terminator at the front and begins the next frame. */
  #endFrame(): void {
    this.#buffer.consume(this.#foundLength);
    if (this.#matched !== this.#foundDelimiter) this.#matched = this.#foundDelimiter;
    this.#foundLength = -1;
    this.#frameNumber++;
    this.#frameBytes = 0;
    if (this.#discarding || this.#foundDelimiter === null) this.#changeFraming();
  }

  /** Applies what was set while discarding. A count applies once: raw follows, as in asynchat. */
  #changeFraming(): void {
    const next = this.#framingAfterDiscard ?? (this.#framing!.count >= 0 ? this.#raw : this.#framing!);
    this.#framingAfterDiscard = null;
    this.#begin(next);
  }

  #begin(framing: Framing): void {
    this.#framing = framing;
    this.#remaining = framing.count;
    this.#frameBytes = 0;
    this.#pieceEnd = -1;
    this.#foundLength = -1;
    this.#discarding = false;
    if (framing.count !== 0) return;
    this.#foundLength = 0; // complete at once
    this.#foundDelimiter = null;
  }

  /**
   * Returns where the data that begins at `from` ends: before the leftmost terminator (then `#foundLength` is set), before a
   * partial one, with the count, or with the last byte.
   */
  #endOfData(framing: Framing, bytes: Uint8Array, from: number): number {
    if (framing.delimiter !== null) return this.#searchDelimiter(framing.delimiter, bytes, from);
    if (framing.delimiters !== null) return this.#searchSet(framing.delimiters, bytes, from);
    return framing.count >= 0 ? Math.min(bytes.length, from + this.#remaining) : bytes.length;
  }

  #searchDelimiter(delimiter: Uint8Array, bytes: Uint8Array, from: number): number {
    for (let at = from; (at = this.#scanner.find(bytes, at, delimiter)) >= 0; at++) {
      if (this.#endsAt(delimiter, bytes, at)) return at;
    }
    return bytes.length;
  }

  #searchSet({ longestFirst, firstBytes }: DelimiterSet, bytes: Uint8Array, from: number): number {
    for (let at = from; at < bytes.length; at++) {
      if (firstBytes[bytes[at]!] === 0) continue;
      // Longest first: a partial match of a longer one must be resolved before a shorter one counts.
      if (longestFirst.some((delimiter) => this.#endsAt(delimiter, bytes, at))) return at;
    }
    return bytes.length;
  }

  /** Whether data ends at `at`: `delimiter` is there, or more bytes could complete it. */
  #endsAt(delimiter: Uint8Array, bytes: Uint8Array, at: number): boolean {
    const length = matchLength(delimiter, bytes, at);
    if (length === delimiter.length) {
      this.#foundLength = length;
      if (this.#foundDelimiter !== delimiter) this.#foundDelimiter = delimiter;
      return true;
    }
    return at + length === bytes.length && !this.#inputEnded;
  }
}

/** Returns how many bytes of `delimiter` match `bytes` from `at` on. */
function matchLength(delimiter: Uint8Array, bytes: Uint8Array, at: number): number {
  const max = Math.min(delimiter.length, bytes.length - at);
  let length = 0;
  while (length < max && delimiter[length] === bytes[at + length]) length++;
  return length;
}

function isRaw(framing: Framing | null): boolean {
  return framing !== null && framing.delimiter === null && framing.delimiters === null && framing.count < 0;
}

function toFraming(terminator: Terminator, limit: number, policy: TooLongPolicy): Framing {
  if (typeof terminator === "number") {
    return { delimiter: null, delimiters: null, count: checkCount(terminator), limit, policy };
  }
  if (Array.isArray(terminator)) {
    return { delimiter: null, delimiters: toDelimiterSet(terminator), count: -1, limit, policy };
  }
  const delimiter = terminator === null ? null : toDelimiter(terminator);
  if (delimiter?.length !== 0) return { delimiter, delimiters: null, count: -1, limit, policy };
  throw new TypeError("Cannot set the terminator: expected one or more bytes, got none (raw is null)");
}

function checkCount(count: number): number {
  if (Number.isSafeInteger(count) && count >= 0) return count;
  throw new RangeError(`Cannot set the terminator: count is ${count}, expected a whole number of at least 0`);
}

function toDelimiterSet(terminators: readonly unknown[]): DelimiterSet {
  const given = terminators.map(toDelimiter);
  const longestFirst = given.toSorted((a, b) => b.length - a.length);
  if ((longestFirst.at(-1)?.length ?? 0) === 0) {
    const problem = given.length === 0 ? "an empty list" : "a list with an empty member";
    throw new TypeError(`Cannot set the terminator: expected one or more byte strings, got ${problem}`);
  }
  const firstBytes = new Uint8Array(256);
  for (const delimiter of given) firstBytes[delimiter[0]!] = 1;
  return { given, longestFirst, firstBytes };
}

function toDelimiter(value: unknown): Uint8Array {
  if (typeof value === "string") {
    let delimiter = encodedTerminators.get(value);
    if (delimiter === undefined) {
      delimiter = encoder.encode(value);
      if (value.length > MAX_CACHED_LENGTH) return delimiter;
      if (encodedTerminators.size === MAX_CACHED) encodedTerminators.clear();
      encodedTerminators.set(value, delimiter);
    }
    return delimiter;
  }
  if (value instanceof Uint8Array) return new Uint8Array(value); // not slice(): on a Buffer it returns a view
  const expected = "string, Uint8Array, a list of these, a count or null";
  throw new TypeError(`Cannot set the terminator: expected ${expected}, got ${describe(value)}`);
}
