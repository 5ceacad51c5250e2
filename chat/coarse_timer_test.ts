import { assertEquals, assertStrictEquals } from "@std/assert";
import { CoarseTimer } from "./coarse_timer.ts";
import { FakeClock } from "../testing/mod.ts";

/** Something that writes down when it was looked at. */
function member(toleranceMs: number, onLook: () => void = () => {}) {
  const looks: number[] = [];
  const look = (now: number) => {
    looks.push(now);
    onLook();
  };
  return { toleranceMs, check: look, looks };
}

Deno.test("CoarseTimer.of() gives one sweep to a clock", () => {
  const clock = new FakeClock();
  assertStrictEquals(CoarseTimer.of(clock), CoarseTimer.of(clock));
  assertEquals(CoarseTimer.of(clock) === CoarseTimer.of(new FakeClock()), false);
});

Deno.test("CoarseTimer looks at all its members with one timer, ten times in the shortest patience", () => {
  const clock = new FakeClock();
  const sweep = new CoarseTimer(clock);
  const members = Array.from({ length: 1_000 }, () => member(1_000));
  for (const each of members) sweep.add(each);
  assertEquals(clock.pending, 1);
  clock.advance(350);
  assertEquals(new Set(members.map(({ looks }) => looks.join())), new Set(["100,200,300"]));
  for (const each of members) sweep.delete(each);
  assertEquals(clock.pending, 0);
});

Deno.test("CoarseTimer hurries for a member in a hurry, and for as long as it is there", () => {
  const clock = new FakeClock();
  const sweep = new CoarseTimer(clock);
  const calm = member(60_000);
  const hasty = member(50);
  sweep.add(calm);
  clock.advance(1_500);
  sweep.add(hasty);
  clock.advance(20);
  sweep.delete(hasty);
  clock.advance(2_000);
  assertEquals([calm.looks, hasty.looks, clock.pending], [[1_000, 1_510, 1_520, 1_530, 2_530], [1_510, 1_520], 1]);
  sweep.delete(calm);
  assertEquals(clock.pending, 0);
});

Deno.test("CoarseTimer bears members that leave and come while it looks", () => {
  const clock = new FakeClock();
  const sweep = new CoarseTimer(clock);
  const late = member(100);
  const last = member(100, () => {
    sweep.delete(last);
    sweep.add(late);
  });
  sweep.add(last);
  clock.advance(30);
  assertEquals([last.looks, late.looks, clock.pending], [[10], [10, 20, 30], 1]);
  sweep.delete(late);
  assertEquals(clock.pending, 0);
});
