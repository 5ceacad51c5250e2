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
  /** A hook is pending. */
  readonly hookPending: boolean;
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
  #idleSince: number; //     no byte came since, and none was owed by us
  #frameSince: number; //    this frame has been incomplete since
  #writeSince: number; //    no byte was accepted since
  #silentSince: number; //   nothing was written to a peer that ended
  #closingMs = 0; //         of a graceful close, less what was earned
  #last: ActivitySample = NO_ACTIVITY;

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
    const elapsedMs = now - this.#checkedAt;
    const last = this.#last;
    this.#checkedAt = now;
    this.#last = sample;
    // A clock counts the time between two checks when both find the same: so it is late rather than early.
    if (sample.peerWaits || last.peerWaits) { // these two stand still
      this.#idleSince += elapsedMs;
      this.#frameSince += elapsedMs;
    }
    // A peer that is receiving, or waits for the rest of our answer, need not send.
    const answering = owes(sample) || owes(last);
    if (sample.bytesReceived !== last.bytesReceived || answering) this.#idleSince = now;
    const isSameFrame = sample.frameBegun && last.frameBegun && sample.frameNumber === last.frameNumber;
    if (!isSameFrame) this.#frameSince = now;
    const isStalled = sample.outputPending && last.outputPending && sample.bytesSent === last.bytesSent;
    if (!isStalled) this.#writeSince = now;
    if (!isSilent(sample) || !isSilent(last)) this.#silentSince = now;
    if (sample.closing && sample.outputPending) {
      const earnedMs = (sample.bytesSent - last.bytesSent) * MS_PER_BYTE_WHILE_CLOSING;
      this.#closingMs = Math.max(0, this.#closingMs + (last.closing && last.outputPending ? elapsedMs : 0) - earnedMs);
    }
    return this.#expired(now);
  }

  #expired(now: number): TimeoutKind | null {
    const { idleTimeoutMs, frameTimeoutMs, writeTimeoutMs } = this.#limits;
    if (isOver(now - this.#writeSince, writeTimeoutMs)) {
      this.#writeSince = now;
      return "write";
    }
    if (isOver(Math.max(now - this.#silentSince, this.#closingMs), writeTimeoutMs)) {
      this.#silentSince = now;
      this.#closingMs = 0;
      return "close";
    }
    if (isOver(now - this.#frameSince, frameTimeoutMs)) {
      this.#frameSince = now;
      return "frame";
    }
    if (isOver(now - this.#idleSince, idleTimeoutMs)) {
      this.#idleSince = now;
      return "idle";
    }
    return null;
  }
}

/** A chat that has done nothing: the sample before the first check. */
export const NO_ACTIVITY: ActivitySample = {
  peerWaits: false,
  bytesReceived: 0,
  frameNumber: -1,
  frameBegun: false,
  bytesSent: 0,
  outputPending: false,
  producing: false,
  hookPending: false,
  inputEnded: false,
  closing: false,
};

/** Whether our output is not complete. */
function owes({ outputPending, producing }: ActivitySample): boolean {
  return outputPending || producing;
}

/** Whether the peer has ended its side, and a producer makes nothing for it; a hook may wait on. */
function isSilent({ inputEnded, outputPending, producing, hookPending }: ActivitySample): boolean {
  return inputEnded && producing && !outputPending && !hookPending;
}

function isOver(elapsedMs: number, limitMs: number): boolean {
  return limitMs > 0 && elapsedMs >= limitMs;
}

/** Returns the shortest of the limits; `Infinity` when there is none. */
export function shortestLimit(limits: TimeoutLimits): number {
  const { idleTimeoutMs, frameTimeoutMs, writeTimeoutMs } = limits;
  return Math.min(idleTimeoutMs || Infinity, frameTimeoutMs || Infinity, writeTimeoutMs || Infinity);
}
