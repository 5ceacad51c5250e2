import type { Clock } from "../chat/clock.ts";

/**
 * A clock that stands still until a test advances it. Starts at 0.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { FakeClock } from "@asynchat/asynchat/testing";
 *
 * const clock = new FakeClock();
 * const fired: number[] = [];
 * clock.after(100, () => fired.push(100));
 * clock.after(50, () => fired.push(50));
 * clock.advance(70);
 * assertEquals(fired, [50]);
 * assertEquals(clock.pending, 1);
 * ```
 */
export class FakeClock implements Clock {
  #now = 0;
  #timers: { at: number; callback: () => void }[] = [];

  /** The current time in milliseconds. */
  now(): number {
    return this.#now;
  }

  /** The number of timers that are set: neither fired nor cancelled. */
  get pending(): number {
    return this.#timers.length;
  }

  /**
   * Sets a timer, which fires in `advance`.
   *
   * @returns A function that cancels it.
   */
  after(delayMs: number, callback: () => void): () => void {
    const timer = { at: this.#now + Math.max(delayMs, 0), callback };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
  }

  /** Advances the time by `ms` milliseconds. Timers that are due fire in order, each at its own time. */
  advance(ms: number): void {
    const until = this.#now + ms;
    for (;;) {
      const due = this.#timers.filter((timer) => timer.at <= until).sort((a, b) => a.at - b.at)[0];
      if (due === undefined) break;
      this.#timers = this.#timers.filter((timer) => timer !== due);
      this.#now = due.at;
      due.callback();
    }
    this.#now = Math.max(this.#now, until); // a callback may have advanced it further
  }
}
