import { assertEquals } from "@std/assert";
import { FakeClock } from "./fake_clock.ts";

/** A clock, and the timers that have fired. */
function setUp() {
  const clock = new FakeClock();
  const fired: string[] = [];
  const set = (delayMs: number, name = String(delayMs)) =>
    clock.after(delayMs, () => fired.push(`${name} at ${clock.now()}`));
  const state = () => ({ now: clock.now(), fired, pending: clock.pending });
  return { clock, fired, set, state };
}

Deno.test("FakeClock stands at 0 until advance()", () => {
  const clock = new FakeClock();
  assertEquals({ now: clock.now(), pending: clock.pending }, { now: 0, pending: 0 });
  clock.advance(1.5);
  clock.advance(2);
  assertEquals(clock.now(), 3.5);
});

Deno.test("FakeClock.after() fires once, when due and not before", () => {
  const { clock, fired, set, state } = setUp();
  set(10);
  clock.advance(9);
  assertEquals(state(), { now: 9, fired: [], pending: 1 });
  clock.advance(1);
  assertEquals(state(), { now: 10, fired: ["10 at 10"], pending: 0 });
  clock.advance(100);
  assertEquals(fired, ["10 at 10"]);
});

Deno.test("FakeClock.after() counts from the time of the call", () => {
  const { clock, fired, set } = setUp();
  clock.advance(5);
  set(10);
  clock.advance(9);
  assertEquals(fired, []);
  clock.advance(1);
  assertEquals(fired, ["10 at 15"]);
});

Deno.test("FakeClock.advance() fires timers in order, each at its time, equal ones as set", () => {
  const { clock, set, state } = setUp();
  set(30);
  set(10);
  set(20, "b");
  set(20, "a");
  set(41);
  clock.advance(40);
  assertEquals(state(), { now: 40, fired: ["10 at 10", "b at 20", "a at 20", "30 at 30"], pending: 1 });
});

Deno.test("FakeClock.after() returns a function that cancels this timer only", () => {
  const { clock, set, state } = setUp();
  const cancel = set(10, "a");
  const cancelFired = set(10, "b");
  cancel();
  cancel();
  assertEquals(clock.pending, 1);
  clock.advance(10);
  cancelFired();
  assertEquals(state(), { now: 10, fired: ["b at 10"], pending: 0 });
});

Deno.test("FakeClock.advance() fires timers that a callback sets, if due", () => {
  const { clock, set, state } = setUp();
  clock.after(10, () => {
    set(5);
    set(50);
  });
  clock.advance(20);
  assertEquals(state(), { now: 20, fired: ["5 at 15"], pending: 1 });
});

Deno.test("FakeClock.advance() does not fire a timer that a callback cancels", () => {
  const { clock, set, state } = setUp();
  clock.after(10, () => cancel());
  const cancel = set(10);
  clock.advance(20);
  assertEquals(state(), { now: 20, fired: [], pending: 0 });
});

Deno.test("FakeClock.advance() in a callback advances the time, which never goes back", () => {
  const { clock, set, state } = setUp();
  clock.after(10, () => clock.advance(100));
  set(20);
  set(120);
  clock.advance(15);
  assertEquals(state(), { now: 110, fired: ["20 at 20"], pending: 1 });
});

Deno.test("FakeClock.advance(0) fires what is due now", () => {
  const { clock, fired, set } = setUp();
  set(0);
  assertEquals(fired, []);
  clock.advance(0);
  assertEquals(fired, ["0 at 0"]);
});

Deno.test("FakeClock.after() with a negative delay is due now; time does not go back", () => {
  const { clock, fired, set } = setUp();
  clock.advance(10);
  set(-5);
  clock.advance(0);
  assertEquals(fired, ["-5 at 10"]);
});
