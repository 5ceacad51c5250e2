import type { FrameTooLongError } from "../core/errors.ts";
import type { FrameInput } from "../core/frame_input.ts";
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

  /** Dispatches all that has arrived. Waits for pending hooks, and for capacity in the output. */
  async dispatch(): Promise<void> {
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
        let waiting: void | Promise<void> = undefined;
        do {
          const result = input.next();
          if (result === "data") {
            const { bytes, pieceStart, pieceEnd } = input;
            if (takesRanges) waiting = collectIncomingRange.call(hooks, bytes, pieceStart, pieceEnd);
            else if (takesData) waiting = collectIncomingData.call(hooks, viewOf(bytes, pieceStart, pieceEnd));
            else this.collectRange(bytes, pieceStart, pieceEnd);
          } else if (result === "frame") {
            this.framesReceived++;
            waiting = foundTerminator.call(hooks);
          } else if (result === "more") {
            return true;
          } else {
            this.#refuse(input.tooLongError());
          }
        } while (waiting === undefined && !this.#interrupted);
        this.#holdWhilePending(waiting);
      }
    } catch (error) {
      this.#gate.hookFailed(error);
    }
    return false;
  }

  /** Calls one hook. Returns a promise only when the hook does. */
  call(hook: (hooks: Hooks) => void | Promise<void>): Promise<void> | null {
    try {
      this.#holdWhilePending(hook(this.#hooks));
    } catch (error) {
      this.#gate.hookFailed(error);
    }
    return this.#running;
  }

  /** Collects a range of the receive buffer for `takeData`, unless that exceeds the frame's limit. */
  collectRange(bytes: Uint8Array, start: number, end: number): void {
    const error = this.#input.exceedsLimit(end - start);
    if (error === null) this.#input.collectRange(bytes, start, end);
    else this.#refuse(error);
  }

  /** Collects a copy of `data`, unless that exceeds the frame's limit. */
  collect(data: Uint8Array): void {
    const error = this.#input.exceedsLimit(data.length);
    if (error === null) this.#input.collect(data);
    else this.#refuse(error);
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
    if (this.#gate.dispatching) await this.call((hooks) => hooks.frameTooLong(error));
    this.#oversized = null;
    this.#input.clearCollected();
    if (!discards) this.#gate.drain(error);
  }

  /** Keeps the next hook from being called while this one's promise, or an upgrade that it started, is pending. */
  #holdWhilePending(hook: void | Promise<void>): void {
    const waiting = hook ?? this.#gate.upgrade;
    if (waiting !== undefined) this.#running = this.#hold(waiting);
  }

  async #hold(hook: Promise<void>): Promise<void> {
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
