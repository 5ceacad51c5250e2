import {
  type ActivitySample,
  shortestLimit,
  TimeLimits,
  type TimeoutKind,
  type TimeoutLimits,
} from "../core/time_limits.ts";
import type { Clock } from "./clock.ts";
import { CoarseTimer, type TimerMember } from "./coarse_timer.ts";

/** A chat whose time limits are checked. */
export interface Timed {
  /** Returns what the chat has done so far. */
  sample(): ActivitySample;
  /** A limit has passed. */
  timedOut(kind: TimeoutKind): void;
}

/** Checks the time limits of one chat on the timer that all chats of a clock share. */
export class Timeouts implements TimerMember {
  readonly toleranceMs: number;
  readonly #limits: TimeLimits;
  readonly #timer: CoarseTimer;
  readonly #chat: Timed;

  /** Starts the checks; returns `null` when there is no limit. */
  static watch(limits: TimeoutLimits, clock: Clock, chat: Timed): Timeouts | null {
    const toleranceMs = shortestLimit(limits);
    return toleranceMs === Infinity ? null : new Timeouts(toleranceMs, limits, clock, chat);
  }

  private constructor(toleranceMs: number, limits: TimeoutLimits, clock: Clock, chat: Timed) {
    this.toleranceMs = toleranceMs;
    this.#limits = new TimeLimits(limits, clock.now());
    this.#chat = chat;
    this.#timer = CoarseTimer.of(clock);
    this.#timer.add(this);
  }

  /** Checks the limits at the time `now`. */
  check(now: number): void {
    const kind = this.#limits.check(now, this.#chat.sample());
    if (kind !== null) this.#chat.timedOut(kind);
  }

  /** Stops the checks. */
  stop(): void {
    this.#timer.delete(this);
  }
}
