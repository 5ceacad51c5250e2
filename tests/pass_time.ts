import type { FakeClock } from "../testing/mod.ts";
import { flushMicrotasks } from "./recorder.ts";

/** Advances the clock in steps of 10 ms and flushes microtasks after each. */
export async function passTime(clock: FakeClock, ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += 10) {
    clock.advance(10);
    await flushMicrotasks(10);
  }
}
