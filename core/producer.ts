/**
 * Turns each kind of producer into a {@linkcode Source}, from which the writer pulls.
 *
 * Outcomes of `pull`: a chunk, `null` for the end, or a promise of these; a producer's error is thrown or rejects unchanged.
 *
 * Invariants: nothing is pulled before the first `pull()`; a chunk is the producer's own bytes, never a copy; only bytes
 * pass, any other value raises a TypeError.
 */

import { describe } from "./errors.ts";

/** Makes output a chunk at a time, as in asynchat. An empty chunk is its end. */
export interface Producer {
  /** Returns the next chunk, or a promise of it. The chunk is borrowed until the next call. */
  more(): Uint8Array | Promise<Uint8Array>;
}

/** What `pushWithProducer` accepts. A chunk is borrowed until the next one is pulled. */
export type ProducerLike =
  | Producer
  | Iterable<Uint8Array>
  | AsyncIterable<Uint8Array>
  | ReadableStream<Uint8Array>;

/** Any kind of producer, ready to be pulled. */
export interface Source {
  /** Returns the next chunk, or a promise of it; `null` is the end. */
  pull(): Uint8Array | null | Promise<Uint8Array | null>;
  /** Cancels a producer that has not ended. Returns its answer, which the caller awaits. */
  cancel(reason: unknown): unknown;
}

/**
 * Produces `data` in chunks of `bufferSize` bytes, as asynchat's `simple_producer`.
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
   * Creates a producer of bytes in memory.
   *
   * @param data The bytes to produce; borrowed, not copied.
   * @param bufferSize The size of a chunk in bytes; 512 by default.
   * @throws {RangeError} when `bufferSize` is not a whole number of at least 1
   */
  constructor(data: Uint8Array, bufferSize = 512) {
    if (!(Number.isSafeInteger(bufferSize) && bufferSize > 0)) {
      throw new RangeError(
        `Cannot create a producer: bufferSize is ${bufferSize}, expected a whole number of at least 1`,
      );
    }
    this.#rest = data;
    this.#bufferSize = bufferSize;
  }

  /** Returns the next chunk; an empty one after the last. */
  more(): Uint8Array {
    const chunk = this.#rest.subarray(0, this.#bufferSize);
    this.#rest = this.#rest.subarray(chunk.length);
    return chunk;
  }
}

/**
 * Converts any kind of producer: `more()` returning chunks or promises, iterable, async iterable, stream.
 *
 * @throws {TypeError} when it is none of these, or a stream that is locked to a reader
 */
export function toSource(producer: ProducerLike): Source {
  if (producer instanceof ReadableStream) {
    if (producer.locked) {
      throw new TypeError("Cannot push with a producer: the stream is locked to a reader, expected an unlocked stream");
    }
    const reader = producer.getReader();
    return new IteratorSource({ next: () => reader.read(), return: (reason) => reader.cancel(reason) });
  }
  if (typeof producer === "object" && producer !== null) {
    if ("more" in producer && typeof producer.more === "function") return new ProducerSource(producer);
    if (Symbol.asyncIterator in producer) return new IteratorSource(() => producer[Symbol.asyncIterator]());
    if (Symbol.iterator in producer) return new IteratorSource(() => producer[Symbol.iterator]());
  }
  const expected = "Uint8Array, an object with more(), an iterable, an async iterable or a ReadableStream";
  throw new TypeError(`Cannot push with a producer: expected ${expected}, got ${describe(producer)}`);
}

class ProducerSource implements Source {
  readonly #producer: Producer;

  constructor(producer: Producer) {
    this.#producer = producer;
  }

  pull(): Uint8Array | null | Promise<Uint8Array | null> {
    const chunk = this.#producer.more();
    return isPromise(chunk) ? Promise.resolve(chunk).then(endIfEmpty) : endIfEmpty(chunk);
  }

  cancel(): void {} // asynchat's producers cannot be cancelled
}

/** The common part of an iterator, an async iterator and a stream's reader. */
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

  /** @param source An iterator, or a function that begins one at the first pull. */
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
    // An iterator that was passed as an iterable may hold resources before its first pull: a stream's values() does.
    return (this.#iterator ?? this.#begin!()).return?.(reason);
  }
}

function isPromise<T>(value: T | PromiseLike<T>): value is PromiseLike<T> {
  return typeof (value as PromiseLike<T> | null | undefined)?.then === "function";
}

function endIfEmpty(chunk: Uint8Array): Uint8Array | null {
  return checkChunk(chunk).length > 0 ? chunk : null;
}

function valueOrEnd({ done, value }: IteratorLike): Uint8Array | null {
  return done ? null : checkChunk(value);
}

function checkChunk(chunk: unknown): Uint8Array {
  if (chunk instanceof Uint8Array) return chunk;
  throw new TypeError(`Cannot send a producer's chunk: expected Uint8Array, got ${describe(chunk)}`);
}
