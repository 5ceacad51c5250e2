import { assertEquals } from "@std/assert";
import { type ActivitySample, shortestLimit, TimeLimits, type TimeoutLimits } from "./time_limits.ts";

const quiet: ActivitySample = {
  peerWaits: false,
  bytesReceived: 0,
  frameNumber: 1,
  frameBegun: false,
  bytesSent: 0,
  outputPending: false,
};

const none: TimeoutLimits = { idleTimeoutMs: 0, frameTimeoutMs: 0, writeTimeoutMs: 0 };

/** What a look each 10 ms tells, with what is seen at each. */
function tell(limits: Partial<TimeoutLimits>, seen: Partial<ActivitySample>[]): string[] {
  const deadlines = new TimeLimits({ ...none, ...limits }, 0);
  const told: string[] = [];
  seen.forEach((vitals, i) => {
    const now = 10 * (i + 1);
    const kind = deadlines.check(now, { ...quiet, ...vitals });
    if (kind !== null) told.push(`${kind} ${now}`);
  });
  return told;
}

const times = <T>(count: number, item: T): T[] => Array(count).fill(item);

Deno.test("TimeLimits.check() tells of a peer that sends nothing, again and again if nobody minds", () => {
  assertEquals(tell({ idleTimeoutMs: 30 }, times(7, {})), ["idle 30", "idle 60"]);
});

Deno.test("TimeLimits.check() begins the idle time anew with each byte", () => {
  const seen = [
    {},
    {},
    { bytesReceived: 1 },
    { bytesReceived: 1 },
    { bytesReceived: 2 },
    ...times(3, { bytesReceived: 2 }),
  ];
  assertEquals(tell({ idleTimeoutMs: 30 }, seen), ["idle 80"]);
});

Deno.test("TimeLimits.check() finds nobody idle while something waits to be written", () => {
  const seen = [...times(5, { outputPending: true, bytesSent: 0 }), ...times(3, {})];
  assertEquals(tell({ idleTimeoutMs: 30 }, seen), ["idle 80"]);
});

Deno.test("TimeLimits.check() lets bytes that trickle in extend no frame", () => {
  const seen = Array.from({ length: 5 }, (_, i) => ({ frameBegun: true, bytesReceived: i }));
  assertEquals(tell({ frameTimeoutMs: 30, idleTimeoutMs: 30 }, seen), ["frame 40"]); // seen begun at 10
});

Deno.test("TimeLimits.check() times each frame from its own first byte", () => {
  const seen = [
    ...times(3, { frameBegun: true, frameNumber: 1 }),
    ...times(3, { frameBegun: true, frameNumber: 2 }),
    ...times(5, { frameBegun: false, frameNumber: 3 }),
    ...times(4, { frameBegun: true, frameNumber: 3 }),
  ];
  assertEquals(tell({ frameTimeoutMs: 30 }, seen), ["frame 150"]);
});

Deno.test("TimeLimits.check() stands still while the peer waits for us", () => {
  const seen = [
    { frameBegun: true },
    ...times(9, { frameBegun: true, peerWaits: true }),
    ...times(3, { frameBegun: true }),
  ];
  assertEquals(tell({ frameTimeoutMs: 30 }, seen), ["frame 130"]);
  assertEquals(tell({ idleTimeoutMs: 30 }, seen), ["idle 120"]);
});

Deno.test("TimeLimits.check() tells of a peer that takes nothing, also while it waits for us", () => {
  const stuck = { outputPending: true, bytesSent: 7, peerWaits: true };
  assertEquals(tell({ writeTimeoutMs: 30 }, times(4, stuck)), ["write 40"]);
  const slow = Array.from({ length: 9 }, (_, i) => ({ outputPending: true, bytesSent: i }));
  assertEquals(tell({ writeTimeoutMs: 30 }, slow), []);
  assertEquals(tell({ writeTimeoutMs: 30 }, [...times(3, stuck), {}, ...times(2, { ...stuck, bytesSent: 0 })]), []);
});

Deno.test("TimeLimits.check() without limits tells of nothing", () => {
  assertEquals(tell({}, times(100, { frameBegun: true, outputPending: true })), []);
});

Deno.test("shortestLimit() leaves out limits that are none", () => {
  assertEquals(shortestLimit({ ...none, writeTimeoutMs: 5, frameTimeoutMs: 7 }), 5);
  assertEquals(shortestLimit(none), Infinity);
});
