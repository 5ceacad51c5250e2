/** The kinds of things that make bytes when there is room for them, seen as one kind. */

import { describe } from "./errors.ts";

/** Makes the next piece each time it is asked; an empty piece says that it has finished. As in asynchat. */
export interface Producer {
  /** The next piece, or a promise of it; it is borrowed until the next call. */
  more(): Uint8Array | Promise<Uint8Array>;
}

/** What `pushWithProducer` takes. The pieces are borrowed until the next is asked for. */
export type ProducerLike =
  | Producer
  | Iterable<Uint8Array>
  | AsyncIterable<Uint8Array>
  | ReadableStream<Uint8Array>;

/** Any producer, ready to be pulled. `null` is the end. */
export interface Source {
  pull(): Uint8Array | null | Promise<Uint8Array | null>;
  /** Tells a producer that has not ended that nobody will ask again; what it answers is the caller's to wait for. */
  cancel(reason: unknown): unknown;
}

/**
 * Gives out `data` in pieces of `bufferSize` bytes, as asynchat's `simple_producer`.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { SimpleProducer } from "@asynchat/asynchat";
 *
 * const producer = new SimpleProducer(new Uint8Array(700));
 * assertEquals([producer.more().length, producer.more().length, producer.more().length], [512, 188, 0]);
 * ```
 */
export class SimpleProducer implements Producer {
  #rest: Uint8Array;
  readonly #bufferSize: number;

  /**
   * Makes a producer of bytes that are there already.
   *
   * @param data The bytes to give out; they are not copied.
   * @param bufferSize The size of a piece in bytes.
   * @throws {RangeError} when `bufferSize` is not a whole number from 1 on
   */
  constructor(data: Uint8Array, bufferSize = 512) {
    if (!(Number.isSafeInteger(bufferSize) && bufferSize > 0)) {
      throw new RangeError(`Cannot make a producer: bufferSize is ${bufferSize}, a whole number from 1 on is wanted`);
    }
    this.#rest = data;
    this.#bufferSize = bufferSize;
  }

  /** The next piece; empty when all has been given out. */
  more(): Uint8Array {
    const piece = this.#rest.subarray(0, this.#bufferSize);
    this.#rest = this.#rest.subarray(piece.length);
    return piece;
  }
}

/**
 * Makes one kind of the five: `more()` at once or as a promise, iterable, async iterable, stream.
 *
 * @throws {TypeError} when it is none of them, or a stream that somebody else reads
 */
export function toSource(producer: ProducerLike): Source {
  if (producer instanceof ReadableStream) {
    if (producer.locked) {
      throw new TypeError("Cannot push with a producer: the stream is locked to a reader, an unlocked one is wanted");
    }
    const reader = producer.getReader();
    return new IteratorSource({ next: () => reader.read(), return: (reason) => reader.cancel(reason) });
  }
  if (typeof producer === "object" && producer !== null) {
    if ("more" in producer && typeof producer.more === "function") return new ProducerSource(producer);
    if (Symbol.asyncIterator in producer) return new IteratorSource(() => producer[Symbol.asyncIterator]());
    if (Symbol.iterator in producer) return new IteratorSource(() => producer[Symbol.iterator]());
  }
  throw new TypeError(
    `Cannot push with a producer: ${describe(producer)} was given, ` +
      "bytes, an object with more(), an iterable, an async iterable or a ReadableStream is wanted",
  );
}

class ProducerSource implements Source {
  readonly #producer: Producer;

  constructor(producer: Producer) {
    this.#producer = producer;
  }

  pull(): Uint8Array | null | Promise<Uint8Array | null> {
    const piece = this.#producer.more();
    return isPromise(piece) ? Promise.resolve(piece).then(endIfEmpty) : endIfEmpty(piece);
  }

  cancel(): void {} // asynchat's producers have no way to be told
}

/** The part of an iterator, of either kind, or of a stream's reader, that is needed here. */
interface AnyIterator {
  next(): IteratorLike | Promise<IteratorLike>;
  return?(reason: unknown): unknown;
}

interface IteratorLike {
  done?: boolean | undefined;
  value?: Uint8Array | undefined;
}

class IteratorSource implements Source {
  #iterator: AnyIterator | null;
  readonly #begin: (() => AnyIterator) | null;

  /** An iterator in use; or how to begin, which is not done before the first pull. */
  constructor(source: AnyIterator | (() => AnyIterator)) {
    this.#begin = typeof source === "function" ? source : null;
    this.#iterator = typeof source === "function" ? null : source;
  }

  pull(): Uint8Array | null | Promise<Uint8Array | null> {
    this.#iterator ??= this.#begin!();
    const result = this.#iterator.next();
    return isPromise(result) ? Promise.resolve(result).then(valueOrEnd) : valueOrEnd(result);
  }

  cancel(reason: unknown): unknown {
    // One that was handed over as an iterator, not as an iterable, may hold something before it is asked: a stream's values() does.
    return (this.#iterator ?? this.#begin!()).return?.(reason);
  }
}

function isPromise<T>(value: T | PromiseLike<T>): value is PromiseLike<T> {
  return typeof (value as PromiseLike<T> | null | undefined)?.then === "function";
}

function endIfEmpty(piece: Uint8Array): Uint8Array | null {
  return checkPiece(piece).length > 0 ? piece : null;
}

function valueOrEnd({ done, value }: IteratorLike): Uint8Array | null {
  return done ? null : checkPiece(value);
}

function checkPiece(piece: unknown): Uint8Array {
  if (piece instanceof Uint8Array) return piece;
  throw new TypeError(`Cannot send what the producer made: it is ${describe(piece)}, a Uint8Array is wanted`);
}
