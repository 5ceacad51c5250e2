/**
 * Checks the time limits of one chat against samples of its counters, taken periodically. Reads and writes pay nothing for it:
 * the time of a byte is not recorded.
 *
 * Outcomes of `check`: `null`, or the kind of the limit that has expired: "write" before "frame" before "idle".
 *
 * Invariants: a limit expires never early, and at most one sample late; an expired limit starts anew;
 * "idle" and "frame" stand still while the peer waits for us; a limit of 0 never expires.
 */

/** What took too long: the next byte, the end of a frame, or a write. */
export type TimeoutKind = "idle" | "frame" | "write";

/** The limits in milliseconds; 0 is no limit. */
export interface TimeoutLimits {
  readonly idleTimeoutMs: number;
  readonly frameTimeoutMs: number;
  readonly writeTimeoutMs: number;
}

/** What is known of a chat at the time of a check. */
export interface ActivitySample {
  /** A hook is pending, or output is full. */
  readonly peerWaits: boolean;
  readonly bytesReceived: number;
  /** Changes with each new frame. */
  readonly frameNumber: number;
  /** A byte of that frame has come. */
  readonly frameBegun: boolean;
  readonly bytesSent: number;
  /** Bytes wait for the peer to accept them. */
  readonly outputPending: boolean;
}

/** The clocks of one chat. */
export class TimeLimits {
  readonly #limits: TimeoutLimits;
  #checkedAt: number;
  #idleSince: number; //     the last check with input or output pending
  #frameSince: number; //    the first check with this frame begun
  #writeSince: number; //    the last check with output progressing
  #bytesReceived = 0;
  #bytesSent = 0;
  #frameNumber = -1; //      of the frame begun; -1: none

  constructor(limits: TimeoutLimits, now: number) {
    this.#limits = limits;
    this.#checkedAt =
      this.#idleSince =
      this.#frameSince =
      this.#writeSince =
        now;
  }

  /** Returns the limit that has expired at `now`, if any. Its clock starts anew, for a hook that keeps the chat open. */
  check(now: number, sample: ActivitySample): TimeoutKind | null {
    const elapsed = now - this.#checkedAt;
    this.#checkedAt = now;
    if (sample.peerWaits) { // these two clocks stand still
      this.#idleSince += elapsed;
      this.#frameSince += elapsed;
    }
    // A peer that is receiving need not send: the write limit covers it.
    if (sample.bytesReceived !== this.#bytesReceived || sample.outputPending) this.#idleSince = now;
    const frameNumber = sample.frameBegun ? sample.frameNumber : -1;
    if (frameNumber !== this.#frameNumber) this.#frameSince = now;
    if (sample.bytesSent !== this.#bytesSent || !sample.outputPending) this.#writeSince = now;
    this.#bytesReceived = sample.bytesReceived;
    this.#frameNumber = frameNumber;
    this.#bytesSent = sample.bytesSent;
    if (expired(now - this.#writeSince, this.#limits.writeTimeoutMs)) {
      this.#writeSince = now;
      return "write";
    }
    if (frameNumber >= 0 && expired(now - this.#frameSince, this.#limits.frameTimeoutMs)) {
      this.#frameSince = now;
      return "frame";
    }
    if (expired(now - this.#idleSince, this.#limits.idleTimeoutMs)) {
      this.#idleSince = now;
      return "idle";
    }
    return null;
  }
}

function expired(elapsedMs: number, limitMs: number): boolean {
  return limitMs > 0 && elapsedMs >= limitMs;
}

/** Returns the shortest of the limits; `Infinity` when there is none. */
export function shortestLimit(limits: TimeoutLimits): number {
  const { idleTimeoutMs, frameTimeoutMs, writeTimeoutMs } = limits;
  return Math.min(idleTimeoutMs || Infinity, frameTimeoutMs || Infinity, writeTimeoutMs || Infinity);
}
