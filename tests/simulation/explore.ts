// Runs seeds, and shortens the schedule of one that fails.

import { setImmediate } from "node:timers";
import { generate } from "./generate.ts";
import type { Schedule } from "./schedule.ts";
import { simulate } from "./simulation.ts";

/** A violated invariant, and the shortest schedule found that violates one. */
export interface Failure {
  readonly seed: number;
  readonly error: Error;
  readonly schedule: Schedule;
}

/** Runs a schedule. Returns what was violated: an invariant, a rejection that nothing handled, or output to the console. */
export async function run(schedule: Schedule): Promise<Error | null> {
  const rejections: unknown[] = [];
  const printed: unknown[] = [];
  const onRejection = (event: PromiseRejectionEvent) => {
    event.preventDefault();
    rejections.push(event.reason);
  };
  const original = { ...console };
  const print = (...values: unknown[]) => void printed.push(values.map(String).join(" "));
  Object.assign(console, { log: print, error: print, warn: print, info: print, debug: print });
  globalThis.addEventListener("unhandledrejection", onRejection);
  try {
    await simulate(schedule);
    await new Promise((resolve) => setImmediate(resolve)); // rejections are reported between two tasks
  } catch (error) {
    return error as Error;
  } finally {
    globalThis.removeEventListener("unhandledrejection", onRejection);
    Object.assign(console, original);
  }
  if (rejections.length > 0) return new Error(`no rejection is unhandled: ${String(rejections[0])}`);
  if (printed.length > 0) return new Error(`nothing is printed: ${printed[0]}`);
  return null;
}

/** Runs the simulation of `seed`. Returns its failure with a shortened schedule, or `null`. */
export async function explore(seed: number): Promise<Failure | null> {
  const schedule = generate(seed);
  const error = await run(schedule);
  return error === null ? null : await shorten(schedule, error);
}

/** Drops steps while an invariant is violated: first many at a time, then each. */
async function shorten(schedule: Schedule, error: Error): Promise<Failure> {
  let shortest = { seed: schedule.seed, error, schedule };
  for (let size = schedule.steps.length >> 1; size > 0;) {
    const { length } = shortest.schedule.steps;
    for (let at = shortest.schedule.steps.length - size; at > -size; at -= size) {
      const steps = shortest.schedule.steps.toSpliced(Math.max(at, 0), size);
      const shorter = { ...schedule, steps };
      const error = await run(shorter);
      if (error !== null) shortest = { seed: schedule.seed, error, schedule: shorter };
    }
    if (size === 1 && shortest.schedule.steps.length === length) break;
    size = Math.max(1, size >> 1);
  }
  return shortest;
}

/** The failure as text: the seed, the invariant, the steps. */
export function describeFailure({ seed, error, schedule }: Failure): string {
  const steps = schedule.steps.map((step) => `  ${JSON.stringify(step)}`).join("\n");
  return `Seed ${seed}: ${error.message}\nserver ${JSON.stringify(schedule.server)}\n${steps}`;
}
