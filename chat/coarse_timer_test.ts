import { assertEquals, assertStrictEquals } from "@std/assert";
import { CoarseTimer } from "./coarse_timer.ts";
import { FakeClock } from "../testing/mod.ts";

/** Returns a member that records the times at which it is checked. */
function member(toleranceMs: number, onCheck: () => void = () => {}) {
  const checks: number[] = [];
  const check = (now: number) => {
    checks.push(now);
    onCheck();
  };
  return { toleranceMs, check, checks };
}

Deno.test("CoarseTimer.of() returns one timer per clock", () => {
  const clock = new FakeClock();
  assertStrictEquals(CoarseTimer.of(clock), CoarseTimer.of(clock));
  assertEquals(CoarseTimer.of(clock) === CoarseTimer.of(new FakeClock()), false);
});

Deno.test("CoarseTimer checks all its members ten times in the shortest tolerance, with one timer", () => {
  const clock = new FakeClock();
  const timer = new CoarseTimer(clock);
  const members = Array.from({ length: 1_000 }, () => member(1_000));
  for (const each of members) timer.add(each);
  assertEquals(clock.pending, 1);
  clock.advance(350);
  assertEquals(new Set(members.map(({ checks }) => checks.join())), new Set(["100,200,300"]));
  for (const each of members) timer.delete(each);
  assertEquals(clock.pending, 0);
});

Deno.test("CoarseTimer checks more often while it has a member with a shorter tolerance", () => {
  const clock = new FakeClock();
  const timer = new CoarseTimer(clock);
  const tolerant = member(60_000);
  const strict = member(50);
  timer.add(tolerant);
  clock.advance(1_500);
  timer.add(strict);
  clock.advance(20);
  timer.delete(strict);
  clock.advance(2_000);
  assertEquals({ tolerant: tolerant.checks, strict: strict.checks, timers: clock.pending }, {
    tolerant: [1_000, 1_510, 1_520, 1_530, 2_530],
    strict: [1_510, 1_520],
    timers: 1,
  });
  timer.delete(tolerant);
  assertEquals(clock.pending, 0);
});

Deno.test("CoarseTimer allows members to be deleted and added during a check", () => {
  const clock = new FakeClock();
  const timer = new CoarseTimer(clock);
  const late = member(100);
  const first = member(100, () => {
    timer.delete(first);
    timer.add(late);
  });
  timer.add(first);
  clock.advance(30);
  assertEquals({ first: first.checks, late: late.checks, timers: clock.pending }, {
    first: [10],
    late: [10, 20, 30],
    timers: 1,
  });
  timer.delete(late);
  assertEquals(clock.pending, 0);
});
