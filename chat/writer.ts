import type { ChatConn } from "./options.ts";
import { asError } from "../core/errors.ts";
import { WriteQueue } from "../core/write_queue.ts";
import type { Source } from "../core/producer.ts";

/** Writes of nothing in a row that are too many to be chance: Go's `maxConsecutiveEmptyReads`. */
const MAX_EMPTY_WRITES = 100;
/** Producers in the queue that stop the input. Each may be a file or a stream that is open. */
const MAX_PRODUCERS = 16;

/**
 * The one that writes: empties an queue into a connection, asks producers, tells who waits how far it is.
 *
 * It ends once, and says so: after the last byte when it was sealed, or with what went wrong. A pump that was stopped says nothing.
 */
export class Writer {
  #conn: ChatConn;
  readonly #onEnd: (error?: Error) => void;
  readonly #onProducerError: (error: unknown) => void;
  readonly #queue = new WriteQueue();
  #started = false;
  #running = false; //      the loop is at work, or about to be
  #ended = false; //         it has ended, or was stopped
  #ending = false; //       all is written, and closeWrite() is pending
  #waitsForProducer = false;
  #pulling: Source | null = null; // the producer that is being asked at this moment
  #generation = 0; //            a loop that waited for a producer when the queue was dropped is another loop's past
  #bytesSent = 0;
  #flushWaiters: { ticket: number; resolve: () => void }[] = [];
  #capacityWaiter: { mark: number; resolve: () => void } | null = null;

  /**
   * @param conn Where to write.
   * @param onEnd Called when all is written and our side is ended, or with what the connection threw.
   * @param onProducerError Called with what a producer threw, when it was asked or when it was told to end.
   */
  constructor(conn: ChatConn, onEnd: (error?: Error) => void, onProducerError: (error: unknown) => void) {
    this.#conn = conn;
    this.#onEnd = onEnd;
    this.#onProducerError = onProducerError;
  }

  get bufferedAmount(): number {
    return this.#queue.bufferedAmount;
  }

  get bytesSent(): number {
    return this.#bytesSent;
  }

  /** Whether the peer has something to take: bytes, or the end of our side. */
  get pending(): boolean {
    return this.#ending || this.#queue.bufferedAmount > 0;
  }

  /** Whether a push would be sent. */
  get accepting(): boolean {
    return !this.#ended && !this.#queue.sealed;
  }

  /** Whether nothing more will be written. */
  get ended(): boolean {
    return this.#ended;
  }

  /** Begins to write; before that, pushes wait, and it may be decided where to. */
  start(conn: ChatConn = this.#conn): void {
    this.#conn = conn;
    this.#started = true;
    this.#wake();
  }

  push(data: Uint8Array | string): void {
    this.#queue.push(data);
    this.#wake();
  }

  pushSource(source: Source): void {
    this.#queue.pushSource(source);
    this.#wake();
  }

  /** Nothing more will be pushed: after what is queued, ends our side of the connection. */
  seal(): void {
    this.#queue.seal();
    this.#wake();
  }

  /** Fulfils when all that was pushed before is written or dropped; what went into the same block of 64 KiB at most counts with it. */
  flushed(): Promise<void> {
    const ticket = this.#queue.pushCount;
    if (ticket === this.#queue.writtenCount) return Promise.resolve();
    return new Promise((resolve) => this.#flushWaiters.push({ ticket, resolve }));
  }

  /** Whether more waits than it should: more than `mark` bytes, or many producers, whose bytes nobody can count. */
  exceeds(mark: number): boolean {
    return this.#queue.bufferedAmount > mark || this.#queue.sources > MAX_PRODUCERS;
  }

  /** Fulfils when that is no longer so, or `release()` was called. One may wait at a time. */
  waitForCapacity(mark: number): Promise<void> {
    return new Promise((resolve) => this.#capacityWaiter = { mark, resolve });
  }

  /** Lets go who waits for room, whether there is any or not. */
  release(): void {
    this.#capacityWaiter?.resolve();
    this.#capacityWaiter = null;
  }

  /** Drops what is queued and tells the producers so. A write that is pending goes on. */
  drop(reason?: Error): void {
    this.#generation++;
    if (this.#waitsForProducer) this.#waitsForProducer = this.#running = false;
    for (const source of this.#queue.clear()) void this.cancel(source, reason);
    this.#settleWaiters();
  }

  /** Tells a producer that nobody will ask it again. One that has failed may answer with its failure, which is known. */
  async cancel(source: Source, reason: Error | undefined): Promise<void> {
    try {
      if (source === this.#pulling) await null; // a generator that ends its own chat cannot be told while it runs
      await source.cancel(reason);
    } catch (error) {
      if (error !== reason && error !== reason?.cause) this.#onProducerError(error);
    }
  }

  /** Drops what is queued, and writes nothing more. */
  stop(reason?: Error): void {
    this.#ending = false;
    this.#ended = true;
    this.drop(reason);
  }

  /** Stops, and gives back what was not written. */
  takeUnsent(): Uint8Array[] {
    if (this.#queue.writing) {
      throw new TypeError("Cannot detach: a write is pending, a call after flushed() is wanted");
    }
    if (this.#queue.current !== null) {
      throw new TypeError("Cannot detach: a producer is queued, a call after flushed() is wanted");
    }
    const unsent = this.#queue.unsent();
    this.stop();
    return unsent;
  }

  /** Starts the loop if it rests. It waits for the end of this turn, so that what is pushed in one turn is one write. */
  #wake(): void {
    if (this.#running || this.#ended || !this.#started) return;
    this.#running = true;
    queueMicrotask(() => this.#run());
  }

  async #run(): Promise<void> {
    try {
      let generation = 0; // as they were when it was asked
      let emptyWrites = 0;
      let made: Promise<Uint8Array | null> | null = null; // by a producer that could not answer at once
      let asked: Source | null = null;
      while (!this.#ended) {
        // A producer is asked for as long as it answers at once, so that its small pieces go out together.
        while (made === null && (asked = this.#queue.source()) !== null) {
          generation = this.#generation;
          made = this.#pull(asked);
        }
        if (this.#ended) return; // it threw, or it ended the chat
        if (made !== null && generation !== this.#generation) { // it was dropped, by itself when it was asked, or since
          made = null;
          continue;
        }
        const bytes = this.#queue.peek();
        if (bytes !== null) {
          const count = await this.#conn.write(bytes);
          this.#queue.advance(count);
          this.#bytesSent += count;
          this.#settleWaiters();
          emptyWrites = count === 0 ? emptyWrites + 1 : 0;
          if (emptyWrites === MAX_EMPTY_WRITES) throw tooManyEmptyWrites(bytes.length);
        } else if (made !== null) {
          this.#settleWaiters(); // those before it may have ended with nothing to write
          this.#waitsForProducer = true;
          const piece: Uint8Array | null = await made;
          if (generation !== this.#generation) return;
          this.#waitsForProducer = false;
          made = null;
          this.#queue.feed(asked!, piece);
          this.#settleWaiters();
        } else if (this.#queue.sealed) {
          this.#ending = true;
          await this.#conn.closeWrite?.();
          return this.#end();
        } else {
          this.#running = false;
          return this.#settleWaiters();
        }
      }
    } catch (error) {
      this.#end(asError(error));
    }
  }

  /** Pulls a producer; what it has made at once is taken in, a promise is given back. */
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
    if (this.#queue.current === source) { // else it was dropped, and this is how it took it
      this.stop(asError(error));
      this.#onProducerError(error);
    }
    return null;
  }

  #end(error?: Error): void {
    if (this.#ended) return;
    this.stop(error);
    this.#onEnd(error);
  }

  #settleWaiters(): void {
    const written = this.#queue.writtenCount;
    let told = 0;
    while (told < this.#flushWaiters.length && this.#flushWaiters[told]!.ticket <= written) {
      this.#flushWaiters[told++]!.resolve();
    }
    if (told > 0) this.#flushWaiters.splice(0, told);
    if (this.#capacityWaiter !== null && !this.exceeds(this.#capacityWaiter.mark)) this.release();
  }
}

function tooManyEmptyWrites(length: number): Error {
  return new Error(`Cannot write: ${MAX_EMPTY_WRITES} writes in a row took 0 of ${length} bytes, 1 or more is wanted`);
}
