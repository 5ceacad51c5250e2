/**
 * What one connection has received: the buffer that reads fill, the splitter that finds frames in it, and the collector that
 * keeps the data of a frame until it is taken. AsyncChat and ChatReader share it.
 *
 * Invariants: only the splitter consumes the buffer; what the collector has borrowed from the buffer is copied before the
 * buffer moves (`reserve`), so no reader has to remember that.
 */

import { FrameTooLongError } from "./errors.ts";
import { FrameCollector } from "./frame_collector.ts";
import { FrameSplitter, type SplitResult, type Terminator, type TooLongPolicy } from "./frame_splitter.ts";
import { ReceiveBuffer } from "./receive_buffer.ts";

const EMPTY: Uint8Array = new Uint8Array(0);

/** Turns received bytes into pieces and ends of frames, and collects data for the default hooks. */
export class FrameInput {
  readonly #buffer: ReceiveBuffer;
  readonly #splitter: FrameSplitter;
  readonly #collector = new FrameCollector();
  readonly #maxFrameBytes: number;

  /**
   * @param maxFrameBytes The limit of frames whose terminator has no limit of its own.
   * @param maxReadBytes The largest read.
   * @param unread Bytes received before; copied.
   * @param matched The terminator of the frame before them.
   */
  constructor(
    maxFrameBytes: number,
    maxReadBytes: number,
    unread: Uint8Array | undefined,
    matched: Uint8Array | null = null,
  ) {
    this.#maxFrameBytes = maxFrameBytes;
    this.#buffer = new ReceiveBuffer(maxReadBytes, unread);
    this.#splitter = new FrameSplitter(this.#buffer, maxFrameBytes, matched);
  }

  // -------------------------------------------------------------- reading

  /** Returns free space for the next read. Pieces returned before are invalid from here on. */
  reserve(): Uint8Array {
    this.#collector.copyBorrowed();
    return this.#buffer.reserve();
  }

  /**
   * Takes in the result of that read.
   *
   * @throws {RangeError} when `count` is not a count of bytes, or exceeds the space
   * @throws {Error} when it is 0 for the hundredth time in a row
   */
  commit(count: number): void {
    this.#buffer.commit(count);
  }

  /** Takes in bytes that were read elsewhere. */
  append(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length;) {
      const space = this.reserve();
      const part = bytes.subarray(at, at + space.length);
      space.set(part);
      this.commit(part.length);
      at += part.length;
    }
  }

  /** No more bytes will come: what might have begun a terminator is data now. */
  end(): void {
    this.#splitter.finish();
  }

  /** Drops received bytes that were not dispatched; for a connection that is closing. */
  drop(): void {
    this.#buffer.clear();
  }

  // -------------------------------------------------------------- framing

  /** Sets how frames end from the next byte on; see `FrameSplitter.setTerminator`. */
  setTerminator(terminator: Terminator, limit = this.#maxFrameBytes, policy: TooLongPolicy = "close"): void {
    this.#splitter.setTerminator(terminator, limit, policy);
  }

  /** Returns a copy of the current terminator; of a count, what is still missing. */
  getTerminator(): Uint8Array | number | null | readonly Uint8Array[] {
    return this.#splitter.getTerminator();
  }

  /** Whether a terminator has been set. */
  get ready(): boolean {
    return this.#splitter.ready;
  }

  /** The byte string that ended the last frame. */
  get matchedTerminator(): Uint8Array | null {
    return this.#splitter.matchedTerminator;
  }

  /** The current frame's number. */
  get frameNumber(): number {
    return this.#splitter.frameNumber;
  }

  /** Whether a byte of the current frame has come. */
  get frameBegun(): boolean {
    return this.#splitter.frameBegun;
  }

  /** Whether the current frame is being discarded. */
  get discarding(): boolean {
    return this.#splitter.discarding;
  }

  /** Returns the next result; after "data" the piece is `bytes` from `pieceStart` to `pieceEnd`. */
  next(): SplitResult {
    return this.#splitter.next();
  }

  /** The buffer that the last piece lies in. */
  get bytes(): Uint8Array {
    return this.#buffer.filled;
  }

  /** Where the last piece begins in `bytes`. */
  get pieceStart(): number {
    return this.#splitter.pieceStart;
  }

  /** Where the last piece ends. */
  get pieceEnd(): number {
    return this.#splitter.pieceEnd;
  }

  /** The current frame as an error, after "too long". */
  tooLongError(): FrameTooLongError {
    return this.#splitter.tooLongError();
  }

  /** Refuses the current frame. Returns whether its rest is discarded, or false when the policy is to close. */
  refuseFrame(): boolean {
    this.#splitter.refuseFrame();
    return this.#splitter.discarding;
  }

  // ----------------------------------------------------------- collecting

  /**
   * Collects a range of `bytes`, which is borrowed until the next `reserve`. Returns an error when that exceeds the frame's
   * limit: then what fits is collected, and the rest of the last piece is taken back, so that it does not depend on the cuts.
   */
  collectRange(bytes: Uint8Array, start: number, end: number): FrameTooLongError | null {
    if (end - start <= this.#splitter.limit - this.#collector.length) {
      this.#collector.borrow(bytes, start, end);
      return null;
    }
    const fitting = start + this.#capacity;
    if (fitting > start) this.#collector.borrow(bytes, start, fitting);
    return this.#overflow(bytes, end, end - fitting);
  }

  /** Collects a copy of `data`. At the limit as `collectRange`. */
  collect(data: Uint8Array): FrameTooLongError | null {
    const { length } = data;
    const capacity = this.#capacity;
    if (length <= capacity) {
      this.#collector.add(data);
      return null;
    }
    if (capacity > 0) this.#collector.add(data.subarray(0, capacity));
    return this.#overflow(data, length, length - capacity);
  }

  /** What may still be collected. More than the limit may be collected already, under a higher one. */
  get #capacity(): number {
    return Math.max(0, this.#splitter.limit - this.#collector.length);
  }

  /** Takes back the last `rest` bytes before `end` of `bytes`, if the last piece ends there. */
  #overflow(bytes: Uint8Array, end: number, rest: number): FrameTooLongError {
    const { filled } = this.#buffer;
    const isPiece = bytes.buffer === filled.buffer &&
      bytes.byteOffset + end === filled.byteOffset + this.#splitter.pieceEnd;
    if (isPiece) this.#splitter.takeBack(rest);
    return new FrameTooLongError(this.#splitter.limit, this.#collector.length + 1);
  }

  /** Whether anything is collected. */
  get collected(): boolean {
    return this.#collector.length > 0;
  }

  /** Returns and clears what was collected; the caller owns the bytes. */
  takeData(): Uint8Array {
    return this.#collector.takeData();
  }

  /** Returns and clears what was collected, as text. */
  takeText(): string {
    return this.#collector.takeText();
  }

  /** Clears what was collected. */
  clearCollected(): void {
    this.#collector.clear();
  }

  // --------------------------------------------------------------- resets

  /** Returns a copy of the bytes that were received and not dispatched, and of those that were read ahead. */
  unread(ahead = EMPTY): Uint8Array {
    return join(this.#waiting, ahead);
  }

  /** Returns a copy of the collected part of the current frame, and of the bytes that follow it. */
  takeFrameAndRest(): Uint8Array {
    return join(this.takeData(), this.#waiting);
  }

  /** Discards what was received: buffered bytes, the current frame, and what was collected. */
  discard(): void {
    this.#buffer.clear();
    this.#splitter.reset();
    this.#collector.clear();
  }

  /** As `discard`, and nothing of the past counts any more; the terminator stays. */
  restart(): void {
    this.#buffer.clear();
    this.#splitter.restart();
    this.#collector.clear();
  }

  get #waiting(): Uint8Array {
    return this.#buffer.filled.subarray(this.#buffer.start);
  }
}

function join(first: Uint8Array, second: Uint8Array): Uint8Array {
  const joined = new Uint8Array(first.length + second.length);
  joined.set(first);
  joined.set(second, first.length);
  return joined;
}
