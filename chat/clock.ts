/** Where time comes from, so that tests need not wait for it. */
export interface Clock {
  /** The time in milliseconds from some point on; it never goes back. */
  now(): number;
  /**
   * Calls `callback` once, `delayMs` milliseconds from now.
   *
   * @returns A function that calls it off.
   */
  after(delayMs: number, callback: () => void): () => void;
}

/** The timers of the platform. */
export const systemClock: Clock = {
  now() {
    return performance.now();
  },
  after(delayMs, callback) {
    const timer = setTimeout(callback, delayMs);
    return () => clearTimeout(timer);
  },
};
