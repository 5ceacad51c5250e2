/**
 * Checks the time limits of one chat against samples of its counters, taken periodically. Reads and writes pay nothing for it:
 * the time of a byte is not recorded.
 *
 * Outcomes of `check`: `null`, or the kind of the limit that has expired: "write", "close", "frame" or "idle", in this order.
 *
 * Invariants: a limit expires never early, and at most one sample late; an expired limit starts anew; a limit of 0 never expires.
 * Only what the peer owes counts:
 * - "idle" and "frame" stand still while a hook is pending or output is full, "idle" also while our output is not complete;
 * - "write" runs while bytes are ready that the peer does not take;
 * - "close", as long as the write limit, bounds what would have no end: a graceful close whose output is taken more slowly than
 *   500 bytes a second, and, after the peer has ended its side, a producer that makes nothing. While nothing is written,
 *   a peer that waits and a peer that is gone look the same.
 */

/** What took too long: the peer's next byte, the end of a frame, the peer's acceptance of output, or a graceful close. */
export type TimeoutKind = "idle" | "frame" | "write" | "close";

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
  /** Bytes are ready that the peer has not accepted. */
  readonly outputPending: boolean;
  /** A producer is queued: more output is to come. */
  readonly producing: boolean;
  /** The peer has ended its side. */
  readonly inputEnded: boolean;
  /** The chat is in a graceful close. */
  readonly closing: boolean;
}

/** In a graceful close each byte that is taken extends the limit by this: Apache's `MinRate` of 500 bytes a second. */
const MS_PER_BYTE_WHILE_CLOSING = 2;

/** The clocks of one chat. */
export class TimeLimits {
  readonly #limits: TimeoutLimits;
  #checkedAt: number;
  #idleSince: number; //     the last check with input or output pending
  #frameSince: number; //    the first check with this frame begun
  #writeSince: number; //    the last check with output progressing
  #silentSince: number; //   the last check with output, or a peer
  #closingMs = 0; //         of a graceful close, less what was earned
  #bytesReceived = 0;
  #bytesSent = 0;
  #frameNumber = -1; //      of the frame begun; -1: none

  constructor(limits: TimeoutLimits, now: number) {
    this.#limits = limits;
    this.#checkedAt =
      this.#idleSince =
      this.#frameSince =
      this.#writeSince =
      this.#silentSince =
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
    // A peer that is receiving, or waits for the rest of our answer, need not send.
    const answering = sample.outputPending || sample.producing;
    if (sample.bytesReceived !== this.#bytesReceived || answering) this.#idleSince = now;
    if (!sample.inputEnded || !sample.producing || sample.outputPending) this.#silentSince = now;
    if (sample.closing && sample.outputPending) {
      const earnedMs = (sample.bytesSent - this.#bytesSent) * MS_PER_BYTE_WHILE_CLOSING;
      this.#closingMs = Math.max(0, this.#closingMs + elapsed - earnedMs);
    }
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
    if (expired(Math.max(now - this.#silentSince, this.#closingMs), this.#limits.writeTimeoutMs)) {
      this.#silentSince = now;
      this.#closingMs = 0;
      return "close";
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
