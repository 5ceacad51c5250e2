/** A source of time. Tests pass their own, so that they need not wait. */
export interface Clock {
  /** Returns the time in milliseconds since some point; it never goes back. */
  now(): number;
  /**
   * Calls `callback` once, `delayMs` milliseconds from now.
   *
   * @returns A function that cancels the call.
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
