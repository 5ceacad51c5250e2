import { asError } from "../core/errors.ts";
import type { Source } from "../core/producer.ts";
import { WriteQueue } from "../core/write_queue.ts";
import type { ChatConn } from "./options.ts";

/** As many writes of 0 bytes in a row are an error: Go's `maxConsecutiveEmptyReads`. */
const MAX_EMPTY_WRITES = 100;
/** More producers in the queue than this stop the input. Each may be an open file or stream. */
const MAX_PRODUCERS = 16;
/** What each producer beyond these counts as, in bytes, when the memory that is held is compared with a limit. */
const PRODUCER_BYTES = 1024;

/**
 * What a writer does at the moment:
 *
 *     new ──start──▶ idle ◀──▶ writing ◀──▶ awaiting producer
 *                                 └─ sealed and empty ──▶ closing ──▶ closed
 *
 * A failure and `stop` lead to closed from everywhere.
 */
export type WriterState = "new" | "idle" | "writing" | "awaiting producer" | "closing" | "closed";

/** What a writer reports. A writer that was stopped reports nothing. */
export interface WriterEvents {
  /** The queue was sealed, all of it is written, and our side has ended. */
  outputEnded(): void;
  /** The connection threw. */
  outputFailed(error: Error): void;
  /** A producer threw, when it was pulled or when it was cancelled. */
  producerFailed(error: unknown): void;
}

/** Resolves when the push with this number is written. */
interface FlushWaiter {
  pushCount: number;
  promise: Promise<void>;
  resolve: () => void;
}

/** Writes a queue to a connection: the only one that calls `write` and `closeWrite`, one call at a time. */
export class Writer {
  #conn: ChatConn;
  readonly #events: WriterEvents;
  readonly #queue = new WriteQueue();
  #state: WriterState = "new";
  #pulling: Source | null = null; // the producer in its pull()
  #generation = 0; // of the queue: grows when it is dropped
  #bytesSent = 0;
  #trimmedAt = 0; // pushes at the last trim()
  #pendingWrite: Promise<number> | null = null;
  #flushWaiters: FlushWaiter[] = [];
  #capacityWaiter: { mark: number; resolve: () => void } | null = null;

  /**
   * @param conn Where to write.
   * @param events Called with what happens.
   */
  constructor(conn: ChatConn, events: WriterEvents) {
    this.#conn = conn;
    this.#events = events;
  }

  /** What the writer does at the moment. */
  get state(): WriterState {
    return this.#state;
  }

  /** Bytes pushed and not yet written. */
  get bufferedAmount(): number {
    return this.#queue.bufferedAmount;
  }

  /** Bytes written. */
  get bytesSent(): number {
    return this.#bytesSent;
  }

  /** What is held in memory, in bytes; each producer beyond the 16th counts as 1 KiB. */
  get heldBytes(): number {
    const { bufferedAmount, sources } = this.#queue;
    return bufferedAmount + Math.max(0, sources - MAX_PRODUCERS) * PRODUCER_BYTES;
  }

  /** Whether the peer has something to take: bytes that are ready, or the end of our side. */
  get pending(): boolean {
    return this.#state === "closing" || this.#queue.ready;
  }

  /** Whether a producer is queued: output is not complete. */
  get producing(): boolean {
    return this.#queue.current !== null;
  }

  /** Whether a push would be written. */
  get accepting(): boolean {
    return this.#state !== "closed" && !this.#queue.sealed;
  }

  /** Releases memory that is kept for the next push, when there was none since the last call. */
  trim(): void {
    if (this.#queue.pushCount === this.#trimmedAt) this.#queue.trim();
    this.#trimmedAt = this.#queue.pushCount;
  }

  /** Starts to write. Until then pushes are queued, and may still go to another connection. */
  start(conn: ChatConn = this.#conn): void {
    if (this.#state !== "new") return;
    this.#conn = conn;
    this.#state = "idle";
    if (!this.#queue.empty || this.#queue.sealed) this.#wake();
  }

  /** Queues bytes or text. */
  push(data: Uint8Array | string): void {
    this.#queue.push(data);
    this.#wake();
  }

  /** Queues a producer. */
  pushSource(source: Source): void {
    this.#queue.pushSource(source);
    this.#wake();
  }

  /** Ends our side of the connection after what is queued. */
  seal(): void {
    this.#queue.seal();
    this.#wake();
  }

  /** Fulfils when all pushed before is written or dropped. What shares a block of at most 64 KiB with it counts as well. */
  flushed(): Promise<void> {
    const { pushCount } = this.#queue;
    if (pushCount === this.#queue.writtenCount) return Promise.resolve();
    const last = this.#flushWaiters.at(-1);
    if (last?.pushCount === pushCount) return last.promise;
    let resolve = () => {};
    const promise = new Promise<void>((resolvePromise) => resolve = resolvePromise);
    this.#flushWaiters.push({ pushCount, promise, resolve });
    return promise;
  }

  /** Fulfils when all pushed before is flushed and no write is pending, not even one whose bytes were dropped. */
  async settled(): Promise<void> {
    await this.flushed();
    await this.#pendingWrite?.catch(() => {});
  }

  /** Whether more is queued than `mark` bytes, or more producers than may be: their bytes cannot be counted. */
  exceeds(mark: number): boolean {
    return this.#queue.bufferedAmount > mark || this.#queue.sources > MAX_PRODUCERS;
  }

  /** Fulfils when that is no longer so, or `release()` is called. One caller at a time. */
  waitForCapacity(mark: number): Promise<void> {
    return new Promise((resolve) => this.#capacityWaiter = { mark, resolve });
  }

  /** Wakes the capacity waiter, whether there is capacity or not. */
  release(): void {
    this.#capacityWaiter?.resolve();
    this.#capacityWaiter = null;
  }

  /** Drops what is queued and cancels the producers. A pending write continues. */
  drop(reason?: Error): void {
    this.#generation++;
    if (this.#state === "awaiting producer") this.#state = "idle";
    for (const source of this.#queue.clear()) void this.cancel(source, reason);
    this.#settleWaiters();
    if (this.#queue.sealed) this.#wake(); // the end of our side is still to be sent
  }

  /** Cancels a producer that will not be pulled again. It may answer with `reason` itself. */
  async cancel(source: Source, reason: Error | undefined): Promise<void> {
    try {
      if (source === this.#pulling) await null; // a generator that ends its own chat cannot be returned while it runs
      await source.cancel(reason);
    } catch (error) {
      if (error !== reason && error !== reason?.cause) this.#events.producerFailed(error);
    }
  }

  /** Drops what is queued, and writes nothing more. */
  stop(reason?: Error): void {
    this.#state = "closed";
    this.drop(reason);
  }

  /**
   * Stops, and returns what was not written.
   *
   * @throws {TypeError} when a write is pending or a producer is queued
   */
  takeUnsent(): Uint8Array[] {
    if (this.#pendingWrite !== null) throw new TypeError("Cannot detach: a write is pending, await flushed() first");
    if (this.#queue.current !== null) throw new TypeError("Cannot detach: a producer is queued, await flushed() first");
    const unsent = this.#queue.unsent();
    this.stop();
    return unsent;
  }

  /** Starts the loop at the end of this turn, so that what is pushed in one turn is one write. */
  #wake(): void {
    if (this.#state !== "idle") return;
    this.#state = "writing";
    queueMicrotask(() => this.#run());
  }

  async #run(): Promise<void> {
    try {
      let generation = 0; // of the queue that the producer was pulled from
      let emptyWrites = 0;
      let made: Promise<Uint8Array | null> | null = null; // a pulled piece that is not there yet
      let pulled: Source | null = null;
      while (this.#state !== "closed") {
        // A producer is pulled for as long as it answers at once, so that small pieces are written together.
        while (made === null && (pulled = this.#queue.source()) !== null) {
          generation = this.#generation;
          made = this.#pull(pulled);
        }
        if (this.#isClosed()) return; // the producer threw, or closed the chat
        if (made !== null && generation !== this.#generation) { // the queue was dropped meanwhile
          made = null;
          continue;
        }
        const bytes = this.#queue.peek();
        if (bytes !== null) {
          this.#pendingWrite = this.#conn.write(bytes);
          const count = await this.#pendingWrite;
          this.#pendingWrite = null;
          this.#queue.advance(count);
          this.#bytesSent += count;
          this.#settleWaiters();
          emptyWrites = count === 0 ? emptyWrites + 1 : 0;
          if (emptyWrites === MAX_EMPTY_WRITES) throw tooManyEmptyWrites(bytes.length);
        } else if (made !== null) {
          this.#settleWaiters(); // those before it may have ended with nothing to write
          this.#state = "awaiting producer";
          const piece: Uint8Array | null = await made;
          if (generation !== this.#generation) return;
          this.#state = "writing";
          made = null;
          this.#queue.feed(pulled!, piece);
          this.#settleWaiters();
        } else if (this.#queue.sealed) {
          this.#state = "closing";
          await this.#conn.closeWrite?.();
          return this.#end();
        } else {
          this.#state = "idle";
          return this.#settleWaiters();
        }
      }
    } catch (error) {
      this.#pendingWrite = null;
      this.#end(asError(error));
    }
  }

  /** Pulls a producer. A piece that is there at once is queued, a promise is returned. */
  #pull(source: Source): Promise<Uint8Array | null> | null {
    this.#pulling = source;
    try {
      const piece = source.pull();
      if (!(piece instanceof Promise)) {
        this.#queue.feed(source, piece);
        return null;
      }
      return piece.catch((error) => this.#producerFailed(source, error));
    } catch (error) {
      return this.#producerFailed(source, error);
    } finally {
      this.#pulling = null;
    }
  }

  #producerFailed(source: Source, error: unknown): null {
    if (this.#queue.current === source) { // else it was dropped, and this is its answer
      this.stop(asError(error));
      this.#events.producerFailed(error);
    }
    return null;
  }

  #end(error?: Error): void {
    if (this.#isClosed()) return;
    this.stop(error);
    if (error === undefined) this.#events.outputEnded();
    else this.#events.outputFailed(error);
  }

  #isClosed(): boolean {
    return this.#state === "closed";
  }

  #settleWaiters(): void {
    const { writtenCount } = this.#queue;
    let settled = 0;
    while (settled < this.#flushWaiters.length && this.#flushWaiters[settled]!.pushCount <= writtenCount) {
      this.#flushWaiters[settled++]!.resolve();
    }
    if (settled > 0) this.#flushWaiters.splice(0, settled);
    if (this.#capacityWaiter !== null && !this.exceeds(this.#capacityWaiter.mark)) this.release();
  }
}

function tooManyEmptyWrites(length: number): Error {
  return new Error(`Cannot write: the connection took 0 of ${length} bytes ${MAX_EMPTY_WRITES} times in a row`);
}
