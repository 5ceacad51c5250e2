/**
 * Whether a chat has been kept waiting for too long, told from what a look at its counters now and then shows. So reading
 * and writing pay nothing for it: nobody notes the time of a byte. A limit is noticed up to one look late, and never early.
 */

/** What took too long: the peer's next byte, the end of a frame, or the peer's taking what we send. */
export type TimeoutKind = "idle" | "frame" | "write";

/** The limits in milliseconds; 0 is none. */
export interface TimeoutLimits {
  readonly idleTimeoutMs: number;
  readonly frameTimeoutMs: number;
  readonly writeTimeoutMs: number;
}

/** What is looked at. */
export interface ActivitySample {
  /** Whether the peer waits for us: a hook is pending, or nothing is read for want of room in the output. */
  readonly peerWaits: boolean;
  readonly bytesReceived: number;
  /** Which frame it is; another number is another frame. */
  readonly frameNumber: number;
  /** Whether a byte of that frame has come. */
  readonly frameBegun: boolean;
  readonly bytesSent: number;
  /** Whether the peer has something to take. */
  readonly outputPending: boolean;
}

/** The clocks of one chat. */
export class TimeLimits {
  readonly #limits: TimeoutLimits;
  #checkedAt: number;
  #idleSince: number; //   the last look that found the peer busy, or nobody to blame
  #frameSince: number; //  the first look that found this frame begun
  #writeSince: number; //  the last look that found output going on
  #received = 0;
  #sent = 0;
  #frame = -1; //          the frame that was begun at the last look; -1: none was

  constructor(limits: TimeoutLimits, now: number) {
    this.#limits = limits;
    this.#checkedAt =
      this.#idleSince =
      this.#frameSince =
      this.#writeSince =
        now;
  }

  /** The limit that has passed at `now`; its clock begins anew, for a hook that forgives. */
  check(now: number, vitals: ActivitySample): TimeoutKind | null {
    const gone = now - this.#checkedAt;
    this.#checkedAt = now;
    if (vitals.peerWaits) { // these two stand still
      this.#idleSince += gone;
      this.#frameSince += gone;
    }
    // Who is sent something need not speak: whether he takes it is another clock's to watch.
    if (vitals.bytesReceived !== this.#received || vitals.outputPending) this.#idleSince = now;
    const frame = vitals.frameBegun ? vitals.frameNumber : -1;
    if (frame !== this.#frame) this.#frameSince = now;
    if (vitals.bytesSent !== this.#sent || !vitals.outputPending) this.#writeSince = now;
    this.#received = vitals.bytesReceived;
    this.#frame = frame;
    this.#sent = vitals.bytesSent;
    if (isOver(now - this.#writeSince, this.#limits.writeTimeoutMs)) {
      this.#writeSince = now;
      return "write";
    }
    if (frame >= 0 && isOver(now - this.#frameSince, this.#limits.frameTimeoutMs)) {
      this.#frameSince = now;
      return "frame";
    }
    if (isOver(now - this.#idleSince, this.#limits.idleTimeoutMs)) {
      this.#idleSince = now;
      return "idle";
    }
    return null;
  }
}

function isOver(spentMs: number, limitMs: number): boolean {
  return limitMs > 0 && spentMs >= limitMs;
}

/** The shortest of the limits; `Infinity` where there is none. */
export function shortestLimit(limits: TimeoutLimits): number {
  const { idleTimeoutMs, frameTimeoutMs, writeTimeoutMs } = limits;
  return Math.min(idleTimeoutMs || Infinity, frameTimeoutMs || Infinity, writeTimeoutMs || Infinity);
}
