// Producers of every kind, which note in the model what they make.

import type { ProducerLike } from "../../mod.ts";
import type { Item } from "../chat_model_io.ts";
import type { ProducerKind } from "./schedule.ts";
import { ownByte, ownBytes } from "./wire.ts";

const ENDLESS_PIECE = 1_000;

/** A producer; "events" and "stream" make nothing before `release()`. */
export class SimulatedProducer {
  readonly error = new Error("producer failed");
  readonly kind: ProducerKind;
  item: Item | null = null; // once it is accepted
  cancels = 0;
  failed = false;
  #waiting: PromiseWithResolvers<Uint8Array<ArrayBuffer> | null> | null = null;
  readonly #touch: () => void;
  readonly #id: number;
  readonly #sizes: number[];

  /** @param touch Called when something has happened. */
  constructor(kind: ProducerKind, sizes: readonly number[], id: number, touch: () => void) {
    this.#touch = touch;
    this.kind = kind;
    this.#sizes = [...sizes];
    this.#id = id;
  }

  /** Whether it waits for an event. */
  get waits(): boolean {
    return this.#waiting !== null && !this.failed && this.cancels === 0;
  }

  /** Whether it can be cancelled. */
  get cancellable(): boolean {
    return this.kind !== "more" && this.kind !== "promise";
  }

  toLike(): ProducerLike {
    const result = (piece: Uint8Array<ArrayBuffer> | null) =>
      piece === null ? { done: true as const, value: undefined } : { done: false as const, value: piece };
    const cancel = (value?: unknown) => {
      this.cancels++;
      return { done: true as const, value };
    };
    const wait = () => (this.#waiting = Promise.withResolvers()).promise;
    switch (this.kind) {
      case "more":
        return { more: () => this.#next() ?? new Uint8Array(0) };
      case "promise":
        return { more: () => Promise.resolve(this.#next(true) ?? new Uint8Array(0)) };
      case "generator":
      case "events": {
        const next = () => this.kind === "events" ? wait().then(result) : Promise.resolve(result(this.#next(true)));
        return {
          [Symbol.asyncIterator]: () => ({ next, return: (value?: unknown) => Promise.resolve(cancel(value)) }),
        };
      }
      case "stream":
        return new ReadableStream<Uint8Array>({
          pull: async (controller) => {
            const piece = await wait();
            if (this.cancels > 0) return;
            if (piece === null) controller.close();
            else controller.enqueue(piece);
          },
          cancel: (reason) => void cancel(reason),
        }, { highWaterMark: 0 });
      default:
        return { [Symbol.iterator]: () => ({ next: () => result(this.#next()), return: cancel }) };
    }
  }

  /** The event: the next piece, the end, or a failure. */
  release(how: "piece" | "end" | "fail"): void {
    const waiting = this.#waiting!;
    this.#waiting = null;
    if (how === "end") this.#sizes.length = 0;
    if (how !== "fail") return waiting.resolve(this.#next(true));
    this.failed = true;
    waiting.reject(this.error);
  }

  #next(isLate = false): Uint8Array<ArrayBuffer> | null {
    const item = this.item!;
    this.#touch();
    const size = this.kind === "endless" ? ENDLESS_PIECE : this.#sizes.shift();
    if (size === undefined && this.kind === "failing") {
      this.failed = true;
      throw this.error;
    }
    if (size === undefined) item.done = true;
    else item.text += ownByte(this.#id).repeat(size);
    item.late = isLate ? size ?? 0 : 0;
    return size === undefined ? null : ownBytes(this.#id, size);
  }
}
