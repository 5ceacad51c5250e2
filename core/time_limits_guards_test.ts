// Guards of TimeLimits that no other test notices.

import { assertEquals } from "@std/assert";
import { type ActivitySample, NO_ACTIVITY, TimeLimits } from "./time_limits.ts";

const quiet: ActivitySample = { ...NO_ACTIVITY, bytesReceived: 1, frameNumber: 0 };

Deno.test("TimeLimits.check() times a frame of number 0 like any other", () => {
  const limits = new TimeLimits({ idleTimeoutMs: 0, frameTimeoutMs: 30, writeTimeoutMs: 0 }, 0);
  const found = [10, 20, 30, 40].map((now) => limits.check(now, { ...quiet, frameBegun: true }));
  assertEquals(found, [null, null, null, "frame"]);
});

Deno.test("TimeLimits.check() does not count the time between the pieces of a producer as slow reading", () => {
  const limits = new TimeLimits({ idleTimeoutMs: 0, frameTimeoutMs: 0, writeTimeoutMs: 30 }, 0);
  const found = Array.from({ length: 50 }, (_, i) => {
    const outputPending = i % 2 === 0; // and taken before the next check
    return limits.check(10 * (i + 1), { ...quiet, closing: true, producing: true, bytesSent: i, outputPending });
  });
  assertEquals(found.filter((kind) => kind !== null), []);
});
