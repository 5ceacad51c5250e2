import {
  type ActivitySample,
  shortestLimit,
  TimeLimits,
  type TimeoutKind,
  type TimeoutLimits,
} from "../core/time_limits.ts";
import type { Clock } from "./clock.ts";
import { CoarseTimer } from "./coarse_timer.ts";

/**
 * Checks the time limits of one chat on the timer that all chats of a clock share.
 *
 * @param limits The limits.
 * @param clock The clock.
 * @param sample Returns what the chat has done so far.
 * @param onTimeout Called when a limit has passed.
 * @returns A function that stops the checks.
 */
export function watchTimeLimits(
  limits: TimeoutLimits,
  clock: Clock,
  sample: () => ActivitySample,
  onTimeout: (kind: TimeoutKind) => void,
): () => void {
  const toleranceMs = shortestLimit(limits);
  if (toleranceMs === Infinity) return () => {};
  const timeLimits = new TimeLimits(limits, clock.now());
  const member = {
    toleranceMs,
    check(now: number) {
      const kind = timeLimits.check(now, sample());
      if (kind !== null) onTimeout(kind);
    },
  };
  const timer = CoarseTimer.of(clock);
  timer.add(member);
  return () => timer.delete(member);
}
