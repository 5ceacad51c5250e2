import type { FrameTooLongError } from "../core/errors.ts";
import type { FrameInput } from "../core/frame_input.ts";
import { isPromiseLike } from "../core/is_promise_like.ts";
import type { Hooks } from "./hooks.ts";

/** What decides whether the next hook may be called. */
export interface Gate {
  /** Whether frames are dispatched at all. */
  readonly dispatching: boolean;
  /** Whether more output is queued than `highWaterMark`. */
  readonly outputFull: boolean;
  /** Pending while the connection is upgraded to TLS. */
  readonly upgrade: Promise<void> | undefined;
  /** Fulfils when the output has capacity. */
  waitForCapacity(): Promise<void>;
  hookStarted(): void;
  hookSettled(): void;
  hookFailed(error: unknown): void;
  /** A frame was refused, and the policy is to close. */
  drain(cause: Error): void;
}

/**
 * Turns received bytes into hook calls, one at a time and in order; the only place where hooks are called, but for
 * `handleError` and `handleClose`.
 */
export class Dispatcher {
  readonly #hooks: Hooks;
  readonly #defaults: Hooks; // of AsyncChat itself
  readonly #gate: Gate;
  readonly #input: FrameInput;
  #running: Promise<void> | null = null; // the hook that is pending
  #oversized: FrameTooLongError | null = null; // refused before the next hook
  #interrupted = false; // the gate may have closed
  #dispatching: Promise<void> | null = null;
  framesReceived = 0;

  constructor(hooks: Hooks, defaults: Hooks, gate: Gate, input: FrameInput) {
    this.#hooks = hooks;
    this.#defaults = defaults;
    this.#gate = gate;
    this.#input = input;
  }

  /** The hook whose promise is pending. */
  get running(): Promise<void> | null {
    return this.#running;
  }

  /** Makes the hot loop check the gate before the next hook. To be called by all that may close it. */
  interrupt(): void {
    this.#interrupted = true;
  }

  /** Dispatches all that has arrived. Waits for pending hooks, and for capacity in the output. One run at a time. */
  dispatch(): Promise<void> {
    return this.#dispatching ??= this.#dispatchAll().finally(() => this.#dispatching = null);
  }

  async #dispatchAll(): Promise<void> {
    while (this.#gate.dispatching) {
      if (this.#running !== null) await this.#running; // handleTimeout may run between two reads
      else if (this.#oversized !== null) await this.#refuseFrame(this.#oversized);
      else if (this.#gate.outputFull) await this.#gate.waitForCapacity();
      else if (this.dispatchNow()) return;
    }
  }

  /** Dispatches until a hook is pending or the gate closes: the hot loop. Returns whether all that arrived is dispatched. */
  dispatchNow(): boolean {
    const hooks = this.#hooks;
    const input = this.#input;
    // Looked up once a read: on a subclass instance each lookup is megamorphic once a process has five chat classes.
    const { collectIncomingRange, collectIncomingData, foundTerminator } = hooks;
    const takesRanges = collectIncomingRange !== this.#defaults.collectIncomingRange;
    const takesData = collectIncomingData !== this.#defaults.collectIncomingData;
    try {
      while (this.#gateIsOpen()) {
        this.#interrupted = false;
        let result: unknown = undefined;
        do {
          const next = input.next();
          if (next === "data") {
            const { bytes, pieceStart, pieceEnd } = input;
            if (takesRanges) result = collectIncomingRange.call(hooks, bytes, pieceStart, pieceEnd);
            else if (takesData) result = collectIncomingData.call(hooks, viewOf(bytes, pieceStart, pieceEnd));
            else this.collectRange(bytes, pieceStart, pieceEnd);
          } else if (next === "frame") {
            this.framesReceived++;
            result = foundTerminator.call(hooks);
          } else if (next === "more") {
            return true;
          } else {
            this.#refuse(input.tooLongError());
          }
        } while (!this.#interrupted && typeof result !== "object");
        this.#holdWhilePending(result);
      }
    } catch (error) {
      this.#hookThrew(error);
    }
    return false;
  }

  /** Calls one hook. Returns a promise only when the hook does. */
  call(hook: (hooks: Hooks) => unknown): Promise<void> | null {
    try {
      this.#holdWhilePending(hook(this.#hooks));
    } catch (error) {
      this.#hookThrew(error);
    }
    return this.#running;
  }

  /** Collects a range of the receive buffer for `takeData`, up to the frame's limit. */
  collectRange(bytes: Uint8Array, start: number, end: number): void {
    const error = this.#input.collectRange(bytes, start, end);
    if (error !== null) this.#refuse(error);
  }

  /** Collects a copy of `data`, up to the frame's limit. */
  collect(data: Uint8Array): void {
    const error = this.#input.collect(data);
    if (error !== null) this.#refuse(error);
  }

  #gateIsOpen(): boolean {
    return this.#gate.dispatching && this.#running === null && this.#oversized === null && !this.#gate.outputFull;
  }

  #refuse(error: FrameTooLongError): void {
    this.#oversized = error;
    this.#interrupted = true;
  }

  async #refuseFrame(error: FrameTooLongError): Promise<void> {
    const discards = this.#input.refuseFrame();
    const pending = this.call((hooks) => hooks.frameTooLong(error));
    if (!discards && !this.#gate.dispatching) this.#gate.drain(error); // closed by the hook: this is why
    await pending;
    this.#oversized = null;
    this.#input.clearCollected();
    if (!discards) this.#gate.drain(error);
  }

  /** A hook that threw may have started an upgrade before. */
  #hookThrew(error: unknown): void {
    this.#gate.hookFailed(error);
    this.#holdWhilePending(undefined);
  }

  /** Keeps the next hook from being called while this one's promise, or an upgrade that it started, is pending. */
  #holdWhilePending(result: unknown): void {
    const pending = isPromiseLike(result) ? result : this.#gate.upgrade;
    if (pending !== undefined) this.#running = this.#hold(pending);
  }

  async #hold(hook: PromiseLike<unknown>): Promise<void> {
    this.#gate.hookStarted();
    try {
      await hook;
    } catch (error) {
      this.#gate.hookFailed(error);
    }
    if (this.#gate.upgrade !== undefined) await this.#gate.upgrade; // one that the hook did not await
    this.#running = null;
    this.#gate.hookSettled();
  }
}

/** As `subarray`, which looks for a species first. */
function viewOf(bytes: Uint8Array, start: number, end: number): Uint8Array {
  return new Uint8Array(bytes.buffer, bytes.byteOffset + start, end - start);
}
