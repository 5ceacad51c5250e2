import type { Clock } from "../chat/clock.ts";

/**
 * A clock that a test moves by hand.
 *
 * @example
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { FakeClock } from "@asynchat/asynchat/testing";
 *
 * const clock = new FakeClock();
 * const rung: number[] = [];
 * clock.after(100, () => rung.push(100));
 * clock.after(50, () => rung.push(50));
 * clock.advance(70);
 * assertEquals([rung, clock.pending], [[50], 1]);
 * ```
 */
export class FakeClock implements Clock {
  #now = 0;
  #timers: { at: number; callback: () => void }[] = [];

  /** The time that it has been moved to, in milliseconds. */
  now(): number {
    return this.#now;
  }

  /** How many timers have been set and have neither rung nor been called off. */
  get pending(): number {
    return this.#timers.length;
  }

  /** Sets a timer; it rings in `advance`. */
  after(delayMs: number, callback: () => void): () => void {
    const timer = { at: this.#now + Math.max(delayMs, 0), callback };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
  }

  /** Moves time on by `ms` milliseconds; the timers that are due ring in their order. */
  advance(ms: number): void {
    const until = this.#now + ms;
    for (;;) {
      const due = this.#timers.filter((timer) => timer.at <= until).sort((a, b) => a.at - b.at)[0];
      if (due === undefined) break;
      this.#timers = this.#timers.filter((timer) => timer !== due);
      this.#now = due.at;
      due.callback();
    }
    this.#now = Math.max(this.#now, until); // a callback may have moved it further
  }
}
