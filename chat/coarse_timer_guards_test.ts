import { assertEquals } from "@std/assert";
import { CoarseTimer } from "./coarse_timer.ts";
import { FakeClock } from "../testing/mod.ts";

function member(toleranceMs: number) {
  const checks: number[] = [];
  return { toleranceMs, checks, check: (now: number) => void checks.push(now) };
}

Deno.test("CoarseTimer checks on time though new members with the same limit keep coming", () => {
  const clock = new FakeClock();
  const timer = new CoarseTimer(clock);
  const first = member(1_000);
  timer.add(first);
  for (let i = 0; i < 5; i++) {
    clock.advance(50);
    timer.add(member(1_000));
  }
  assertEquals(first.checks, [100, 200]);
});

Deno.test("CoarseTimer is not slowed down by a new member with a longer limit", () => {
  const clock = new FakeClock();
  const timer = new CoarseTimer(clock);
  const hasty = member(100);
  timer.add(hasty);
  timer.add(member(60_000));
  clock.advance(30);
  assertEquals(hasty.checks, [10, 20, 30]);
});
