import type { Clock } from "./clock.ts";

/** A member whose time limits are checked periodically. */
export interface TimerMember {
  /** The shortest of its limits, in milliseconds. */
  readonly toleranceMs: number;
  /** Called with the time; may add and delete members. */
  check(now: number): void;
}

/** Between two checks: a tenth of the shortest limit, within bounds that keep many chats cheap. */
const MIN_TICK_MS = 10;
const MAX_TICK_MS = 1_000;

/** One timer for all members: ten thousand chats cost at most a check a tick each, and no timer each. */
export class CoarseTimer {
  readonly #clock: Clock;
  readonly #members = new Set<TimerMember>();
  #tickMs = Infinity;
  #cancel: (() => void) | null = null;

  /** Returns the timer that all members with this clock share. */
  static of(clock: Clock): CoarseTimer {
    let timer = timers.get(clock);
    if (timer === undefined) timers.set(clock, timer = new CoarseTimer(clock));
    return timer;
  }

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Checks `member` from now on. */
  add(member: TimerMember): void {
    this.#members.add(member);
    const tickMs = tickFor(member);
    if (tickMs >= this.#tickMs) return;
    this.#cancel?.();
    this.#arm(tickMs);
  }

  /** Stops checking it. */
  delete(member: TimerMember): void {
    this.#members.delete(member);
    if (this.#members.size > 0) return;
    this.#cancel?.();
    this.#cancel = null;
    this.#tickMs = Infinity;
  }

  #arm(tickMs: number): void {
    this.#tickMs = tickMs;
    this.#cancel = this.#clock.after(tickMs, () => this.#tick());
  }

  #tick(): void {
    this.#cancel = null;
    const now = this.#clock.now();
    let tickMs = Infinity;
    for (const member of this.#members) {
      tickMs = Math.min(tickMs, tickFor(member));
      member.check(now);
    }
    // A check may have deleted the last member, or added one with a shorter limit, which arms the timer itself.
    if (this.#members.size > 0 && this.#cancel === null) this.#arm(tickMs);
  }
}

const timers = new WeakMap<Clock, CoarseTimer>();

function tickFor({ toleranceMs }: TimerMember): number {
  return Math.min(Math.max(toleranceMs / 10, MIN_TICK_MS), MAX_TICK_MS);
}
