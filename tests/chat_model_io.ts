// For chat/model_test.ts: what a chat must write, producers that a test releases, and a connection that checks how it is used.

import type { ChatConn, ProducerLike } from "../mod.ts";
import type { FakeClock, MemoryConn } from "../testing/mod.ts";
import type { Faults, FrameOracle } from "./chat_model.ts";
import { bytes, text } from "./recorder.ts";

/** One push. */
export interface Item {
  readonly id: number;
  text: string; //   pushed or produced, and not written
  done: boolean; //  no more will be produced
  late: number; //   of it, bytes that may be taken in after all before them is written
}

/** What has been pushed, in order, and what of it the connection has taken. */
export class OutputModel {
  items: Item[] = [];
  lastId = 0;
  wire = "";
  inflight: string | null = null; // the write that is pending
  isFloating = false; //     it was dropped meanwhile
  readonly #faults: Faults;

  constructor(faults: Faults) {
    this.#faults = faults;
  }

  get amount(): number {
    return this.items.reduce((sum, { text }) => sum + text.length, 0);
  }

  get lateAmount(): number {
    return this.items.reduce((sum, { text, late }) => sum + Math.min(text.length, late), 0);
  }

  /** What may be written now: up to a producer that may make more. */
  get ready(): string {
    const end = this.items.findIndex(({ done }) => !done);
    return this.items.slice(0, end < 0 ? undefined : end + 1).map(({ text }) => text).join("");
  }

  push(text: string, done = true): Item {
    const item = { id: ++this.lastId, text, done, late: 0 };
    this.items.push(item);
    return item;
  }

  writes(text: string): void {
    this.#faults.expect(this.inflight === null, "one write is pending");
    this.#faults.expect(text.length > 0, "a write has bytes");
    this.#faults.expect(this.ready.startsWith(text), "a write has what was pushed, in order", text, this.ready);
    this.inflight = text;
  }

  written(count: number): void {
    this.wire += this.inflight!.slice(0, count);
    for (let rest = this.isFloating ? 0 : count; rest > 0;) {
      const first = this.items[0];
      if (first === undefined || (first.text === "" && !first.done)) break; // writes() has reported it
      const part = Math.min(first.text.length, rest);
      first.text = first.text.slice(part);
      rest -= part;
      if (first.text === "" && first.done) this.items.shift();
    }
    this.inflight = null;
    this.isFloating = false;
  }

  /** Forgets what is written to its end. */
  settle(): void {
    while (this.items[0]?.text === "" && this.items[0].done) this.items.shift();
  }

  drop(): void {
    this.isFloating = this.inflight !== null;
    this.items = [];
  }
}

export type ProducerKind = "iterable" | "more" | "failing" | "gated" | "stream";

/** A producer that notes what it has made; the gated ones make nothing before `release()`. */
export class TestProducer {
  cancels = 0;
  failed = false;
  readonly error = new Error("producer failed");
  stream: ReadableStream | null = null;
  readonly kind: ProducerKind;
  item: Item | null = null; // once it is accepted
  #asked: PromiseWithResolvers<Uint8Array<ArrayBuffer> | null> | null = null;
  readonly #pieces: string[];

  constructor(kind: ProducerKind, pieces: readonly string[]) {
    this.kind = kind;
    this.#pieces = [...pieces];
  }

  get isGated(): boolean {
    return this.kind === "gated" || this.kind === "stream";
  }

  get waits(): boolean {
    return this.#asked !== null;
  }

  toLike(): ProducerLike {
    const cancel = () => void this.cancels++;
    const next = () => this.#result(this.#next());
    const iterator = { next, return: (value?: unknown) => (cancel(), { done: true as const, value }) };
    const ask = () => (this.#asked = Promise.withResolvers()).promise;
    switch (this.kind) {
      case "more":
        return { more: () => this.#next() ?? new Uint8Array(0) };
      case "iterable":
      case "failing":
        return { [Symbol.iterator]: () => iterator };
      case "gated":
        return {
          [Symbol.asyncIterator]: () => ({
            next: () => ask().then((piece) => this.#result(piece)),
            return: (value?: unknown) => Promise.resolve(iterator.return(value)),
          }),
        };
      default:
        return this.stream = new ReadableStream<Uint8Array>({
          pull: async (controller) => {
            const piece = await ask();
            if (this.cancels > 0) return;
            if (piece === null) controller.close();
            else controller.enqueue(piece);
          },
          cancel,
        }, { highWaterMark: 0 });
    }
  }

  /** Answers a gated producer's `pull`: with the next piece, with the end, or with a failure. */
  release(how: "piece" | "end" | "fail"): void {
    const asked = this.#asked!;
    this.#asked = null;
    if (how === "end") this.#pieces.length = 0;
    if (how !== "fail") return asked.resolve(this.#next());
    this.failed = true;
    asked.reject(this.error);
  }

  #next(): Uint8Array<ArrayBuffer> | null {
    const piece = this.#pieces.shift();
    if (piece === undefined && this.kind === "failing") {
      this.failed = true;
      throw this.error;
    }
    if (piece === undefined) this.item!.done = true;
    else this.item!.text += piece;
    if (this.isGated) this.item!.late = piece?.length ?? 0;
    return piece === undefined ? null : new Uint8Array(bytes(piece));
  }

  #result(piece: Uint8Array | null): IteratorResult<Uint8Array> {
    return piece === null ? { done: true, value: undefined } : { done: false, value: piece };
  }
}

/** A connection that checks how it is used and feeds the models. */
export class WatchedConn implements ChatConn {
  reading = false;
  closes = 0;
  ends = 0;
  endedAt = Infinity; //     when our side ended
  inputEnded = false;
  errors: unknown[] = [];
  readError: unknown;
  writeError: unknown;
  aheadError: unknown; //    of a read that was made while a hook was pending
  lostAt = Infinity;
  bytesRead = 0;
  bytesReadAtEnd = 0; //     of our side
  lastReadAt = 0;
  lastWriteAt = 0;
  activity = 0; //           how much has happened
  ahead: number | null = null; // bytes read ahead that the chat has not taken in
  isReadingAhead = false;
  isDetached = false;
  beforeRead = (_size: number): boolean => false; // what the test checks; whether it is made ahead
  readonly inner: MemoryConn;
  readonly #faults: Faults;
  readonly #input: FrameOracle;
  readonly #output: OutputModel;
  readonly #clock: FakeClock;

  constructor(inner: MemoryConn, faults: Faults, input: FrameOracle, output: OutputModel, clock: FakeClock) {
    this.inner = inner;
    this.#faults = faults;
    this.#input = input;
    this.#output = output;
    this.#clock = clock;
  }

  /** Why nothing can be sent any more. */
  get lostError(): unknown {
    return this.writeError ?? this.aheadError;
  }

  async read(p: Uint8Array): Promise<number | null> {
    this.activity++;
    if (this.isDetached) return await this.inner.read(p);
    this.#faults.expect(!this.reading, "one read is pending");
    this.#faults.expect(this.closes === 0 && !this.inputEnded, "nothing is read after the end");
    const isAhead = this.isReadingAhead = this.beforeRead(p.length);
    this.reading = true;
    try {
      const count = await this.inner.read(p);
      if (this.isDetached) return count;
      this.bytesRead += count ?? 0;
      this.lastReadAt = this.#clock.now();
      this.inputEnded = count === null;
      if (isAhead && count !== null) this.ahead = count;
      else this.#input.arrived(count);
      return count;
    } catch (error) {
      if (this.closes === 0 && !this.isDetached) {
        this.errors.push(this.readError = error);
        if (isAhead && this.ends === 0) {
          this.aheadError = error;
          if (this.lostAt === Infinity) this.lostAt = this.#clock.now();
        }
      }
      throw error;
    } finally {
      this.activity++;
      this.reading = this.isReadingAhead = false;
    }
  }

  async write(p: Uint8Array): Promise<number> {
    this.activity++;
    this.#faults.expect(this.closes === 0 && this.ends === 0, "nothing is written after the end");
    const given = text(p);
    this.#output.writes(given);
    this.lastWriteAt = this.#clock.now();
    try {
      const count = await this.inner.write(p);
      this.lastWriteAt = this.#clock.now();
      this.#faults.equal(text(p), given, "bytes stay as they are while a write is pending");
      this.#output.written(count);
      return count;
    } catch (error) {
      this.#output.inflight = null;
      this.lostAt = this.#clock.now();
      if (this.closes === 0) this.errors.push(this.writeError = error);
      throw error;
    } finally {
      this.activity++;
    }
  }

  async closeWrite(): Promise<void> {
    this.activity++;
    this.#output.settle();
    this.#faults.equal(++this.ends, 1, "our side is ended once");
    this.#faults.expect(this.closes === 0, "our side is ended before the connection is closed");
    this.#faults.equal(this.#output.items.length, 0, "our side is ended after the last byte");
    await this.inner.closeWrite();
    this.endedAt = this.#clock.now();
    this.bytesReadAtEnd = this.bytesRead;
  }

  close(): void {
    this.activity++;
    this.#faults.equal(++this.closes, 1, "the connection is closed once");
    this.inner.close();
  }
}
