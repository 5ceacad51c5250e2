import type { Clock } from "./clock.ts";

/** Something that is to be looked at now and then. */
export interface TimerMember {
  /** What it can bear to be noticed late, in milliseconds. */
  readonly toleranceMs: number;
  /** Called with the time. */
  check(now: number): void;
}

/** Between two looks: a tenth of the shortest limit is exact enough, within bounds that cost little and strain nobody. */
const SHORTEST_TICK_MS = 10;
const LONGEST_TICK_MS = 1_000;

/** One timer for all that is looked at: ten thousand chats cost ten thousand looks a second at most, and no timer each. */
export class CoarseTimer {
  readonly #clock: Clock;
  readonly #members = new Set<TimerMember>();
  #tickMs = Infinity;
  #callOff: (() => void) | null = null;

  /** The sweep of a clock: everything that goes by that clock shares it. */
  static of(clock: Clock): CoarseTimer {
    let sweep = sweeps.get(clock);
    if (sweep === undefined) sweeps.set(clock, sweep = new CoarseTimer(clock));
    return sweep;
  }

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Looks at `member` from now on. */
  add(member: TimerMember): void {
    this.#members.add(member);
    const tickMs = tickFor(member);
    if (tickMs >= this.#tickMs) return;
    this.#callOff?.();
    this.#arm(tickMs);
  }

  /** Looks at it no more. */
  delete(member: TimerMember): void {
    this.#members.delete(member);
    if (this.#members.size > 0) return;
    this.#callOff?.();
    this.#callOff = null;
    this.#tickMs = Infinity;
  }

  #arm(tickMs: number): void {
    this.#tickMs = tickMs;
    this.#callOff = this.#clock.after(tickMs, () => this.#tick());
  }

  #tick(): void {
    this.#callOff = null;
    const now = this.#clock.now();
    let tickMs = Infinity;
    for (const member of this.#members) {
      tickMs = Math.min(tickMs, tickFor(member));
      member.check(now);
    }
    // A look may have ended the last of them, or have brought in one that is in more of a hurry and armed the timer.
    if (this.#members.size > 0 && this.#callOff === null) this.#arm(tickMs);
  }
}

const sweeps = new WeakMap<Clock, CoarseTimer>();

function tickFor({ toleranceMs }: TimerMember): number {
  return Math.min(Math.max(toleranceMs / 10, SHORTEST_TICK_MS), LONGEST_TICK_MS);
}
