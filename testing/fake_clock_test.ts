import { assertEquals } from "@std/assert";
import { FakeClock } from "./fake_clock.ts";

/** A clock, and what has rung on it. */
function made() {
  const clock = new FakeClock();
  const rung: string[] = [];
  const set = (delayMs: number, name = String(delayMs)) =>
    clock.after(delayMs, () => rung.push(`${name} at ${clock.now()}`));
  return { clock, rung, set };
}

Deno.test("FakeClock stands at 0 until it is moved", () => {
  const clock = new FakeClock();
  assertEquals([clock.now(), clock.pending], [0, 0]);
  clock.advance(1.5);
  clock.advance(2);
  assertEquals(clock.now(), 3.5);
});

Deno.test("FakeClock.after() rings when its time has come, once, and not before", () => {
  const { clock, rung, set } = made();
  set(10);
  clock.advance(9);
  assertEquals([rung, clock.pending], [[], 1]);
  clock.advance(1);
  assertEquals([rung, clock.pending], [["10 at 10"], 0]);
  clock.advance(100);
  assertEquals(rung, ["10 at 10"]);
});

Deno.test("FakeClock.after() counts from the time at which it is called", () => {
  const { clock, rung, set } = made();
  clock.advance(5);
  set(10);
  clock.advance(9);
  assertEquals(rung, []);
  clock.advance(1);
  assertEquals(rung, ["10 at 15"]);
});

Deno.test("FakeClock.advance() lets what is due ring in its order, each at its time, what is set together as it was set", () => {
  const { clock, rung, set } = made();
  set(30);
  set(10);
  set(20, "b");
  set(20, "a");
  set(41);
  clock.advance(40);
  assertEquals(rung, ["10 at 10", "b at 20", "a at 20", "30 at 30"]);
  assertEquals([clock.now(), clock.pending], [40, 1]);
});

Deno.test("FakeClock.after() gives a function that calls off this timer and no other, before and after it rang", () => {
  const { clock, rung, set } = made();
  const callOff = set(10, "a");
  const rings = set(10, "b");
  callOff();
  callOff();
  assertEquals(clock.pending, 1);
  clock.advance(10);
  rings();
  assertEquals([rung, clock.pending], [["b at 10"], 0]);
});

Deno.test("FakeClock.advance() rings also what is set while it rings, if it is due", () => {
  const { clock, rung, set } = made();
  clock.after(10, () => {
    set(5);
    set(50);
  });
  clock.advance(20);
  assertEquals([rung, clock.pending, clock.now()], [["5 at 15"], 1, 20]);
});

Deno.test("FakeClock.advance() does not ring what is called off while it rings", () => {
  const { clock, rung, set } = made();
  clock.after(10, () => callOff());
  const callOff = set(10);
  clock.advance(20);
  assertEquals([rung, clock.pending], [[], 0]);
});

Deno.test("FakeClock.advance() in what rings moves time on, and time does not go back then", () => {
  const { clock, rung, set } = made();
  clock.after(10, () => clock.advance(100));
  set(20);
  set(120);
  clock.advance(15);
  assertEquals([clock.now(), rung, clock.pending], [110, ["20 at 20"], 1]);
});

Deno.test("FakeClock.advance(0) rings what is due now", () => {
  const { clock, rung, set } = made();
  set(0);
  assertEquals(rung, []);
  clock.advance(0);
  assertEquals(rung, ["0 at 0"]);
});

Deno.test("FakeClock.after() of a negative delay rings now, and time does not go back", () => {
  const { clock, rung, set } = made();
  clock.advance(10);
  set(-5);
  clock.advance(0);
  assertEquals(rung, ["-5 at 10"]);
});
