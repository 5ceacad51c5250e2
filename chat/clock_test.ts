import { assert } from "@std/assert";
import { systemClock } from "./clock.ts";

Deno.test("systemClock.now() is the time of performance.now()", () => {
  const before = performance.now();
  const now = systemClock.now();
  assert(before <= now && now <= performance.now());
});

Deno.test("systemClock.after() calls back when the delay is over", async () => {
  const start = systemClock.now();
  const called = Promise.withResolvers<number>();
  systemClock.after(5, () => called.resolve(systemClock.now()));
  assert(await called.promise - start >= 4); // timers count in whole milliseconds
});

Deno.test("systemClock.after() returns a function that cancels the call", async () => {
  let cancelled = true;
  const cancel = systemClock.after(1, () => cancelled = false);
  const later = Promise.withResolvers<void>();
  systemClock.after(2, later.resolve);
  cancel();
  await later.promise;
  assert(cancelled);
});
