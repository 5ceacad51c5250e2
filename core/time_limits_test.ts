import { assertEquals } from "@std/assert";
import { type ActivitySample, NO_ACTIVITY, shortestLimit, TimeLimits, type TimeoutLimits } from "./time_limits.ts";

const quiet: ActivitySample = { ...NO_ACTIVITY, frameNumber: 1 };

const none: TimeoutLimits = { idleTimeoutMs: 0, frameTimeoutMs: 0, writeTimeoutMs: 0 };

/** Checks the limits every 10 ms, against one sample each. Returns the kind and time of each expiry. */
function expiries(limits: Partial<TimeoutLimits>, samples: Partial<ActivitySample>[]): string[] {
  const timeLimits = new TimeLimits({ ...none, ...limits }, 0);
  const expiries: string[] = [];
  samples.forEach((sample, i) => {
    const now = 10 * (i + 1);
    const kind = timeLimits.check(now, { ...quiet, ...sample });
    if (kind !== null) expiries.push(`${kind} ${now}`);
  });
  return expiries;
}

const repeat = <T>(count: number, item: T): T[] => Array(count).fill(item);

Deno.test('TimeLimits.check() returns "idle" for a silent peer, and again after the same time', () => {
  assertEquals(expiries({ idleTimeoutMs: 30 }, repeat(7, {})), ["idle 30", "idle 60"]);
});

Deno.test("TimeLimits.check() restarts the idle time with each byte", () => {
  const samples = [
    {},
    {},
    { bytesReceived: 1 },
    { bytesReceived: 1 },
    { bytesReceived: 2 },
    ...repeat(3, { bytesReceived: 2 }),
  ];
  assertEquals(expiries({ idleTimeoutMs: 30 }, samples), ["idle 80"]);
});

Deno.test("TimeLimits.check() does not count as idle a peer with pending output", () => {
  const samples = [...repeat(5, { outputPending: true, bytesSent: 0 }), ...repeat(4, {})];
  assertEquals(expiries({ idleTimeoutMs: 30 }, samples), ["idle 90"]); // since 60: at 50 output was pending
});

Deno.test('TimeLimits.check() returns "frame" for an unfinished frame although bytes trickle in', () => {
  const samples = Array.from({ length: 5 }, (_, i) => ({ frameBegun: true, bytesReceived: i }));
  assertEquals(expiries({ frameTimeoutMs: 30, idleTimeoutMs: 30 }, samples), ["frame 40"]); // begun at the check at 10
});

Deno.test("TimeLimits.check() times each frame from its first byte", () => {
  const samples = [
    ...repeat(3, { frameBegun: true, frameNumber: 1 }),
    ...repeat(3, { frameBegun: true, frameNumber: 2 }),
    ...repeat(5, { frameBegun: false, frameNumber: 3 }),
    ...repeat(4, { frameBegun: true, frameNumber: 3 }),
  ];
  assertEquals(expiries({ frameTimeoutMs: 30 }, samples), ["frame 150"]);
});

Deno.test("TimeLimits.check() stops the clocks of the peer while the peer waits for us", () => {
  const samples = [
    { frameBegun: true },
    ...repeat(9, { frameBegun: true, peerWaits: true }),
    ...repeat(4, { frameBegun: true }),
  ];
  assertEquals(expiries({ frameTimeoutMs: 30 }, samples), ["frame 140"]); // since 110
  assertEquals(expiries({ idleTimeoutMs: 30 }, samples), ["idle 130"]); // and 10 before
});

Deno.test('TimeLimits.check() returns "write" for a peer that accepts nothing, even while it waits', () => {
  const stuck = { outputPending: true, bytesSent: 7, peerWaits: true };
  assertEquals(expiries({ writeTimeoutMs: 30 }, repeat(4, stuck)), ["write 40"]);
  const slow = Array.from({ length: 9 }, (_, i) => ({ outputPending: true, bytesSent: i }));
  assertEquals(expiries({ writeTimeoutMs: 30 }, slow), []);
  assertEquals(
    expiries({ writeTimeoutMs: 30 }, [...repeat(3, stuck), {}, ...repeat(2, { ...stuck, bytesSent: 0 })]),
    [],
  );
});

Deno.test("TimeLimits.check() without limits returns null", () => {
  assertEquals(expiries({}, repeat(100, { frameBegun: true, outputPending: true })), []);
});

Deno.test("shortestLimit() ignores limits of 0", () => {
  assertEquals(shortestLimit({ ...none, writeTimeoutMs: 5, frameTimeoutMs: 7 }), 5);
  assertEquals(shortestLimit(none), Infinity);
});

Deno.test("TimeLimits.check() never counts the time before output was pending", () => {
  const samples = [{}, {}, ...repeat(5, { outputPending: true })];
  assertEquals(expiries({ writeTimeoutMs: 30 }, samples), ["write 60"]); // pushed after the check at 20
});

Deno.test("TimeLimits.check() does not count as idle a peer that waits for a producer", () => {
  const samples = [...repeat(9, { producing: true }), ...repeat(4, {})];
  assertEquals(expiries({ idleTimeoutMs: 30, writeTimeoutMs: 30 }, samples), ["idle 130"]);
});

Deno.test('TimeLimits.check() returns "close" for a silent producer after the peer has ended', () => {
  const silent = { producing: true, inputEnded: true };
  assertEquals(expiries({ writeTimeoutMs: 30 }, repeat(7, silent)), ["close 40", "close 70"]);
  const writing = [silent, silent, { ...silent, outputPending: true, bytesSent: 1 }, silent, silent, silent];
  assertEquals(expiries({ writeTimeoutMs: 30 }, writing), []);
  assertEquals(expiries({ writeTimeoutMs: 30 }, repeat(9, { producing: true })), []);
  assertEquals(expiries({ writeTimeoutMs: 30 }, repeat(9, { inputEnded: true })), []);
  assertEquals(expiries({ writeTimeoutMs: 30 }, repeat(9, { ...silent, hookPending: true })), []);
});

Deno.test('TimeLimits.check() returns "close" when a closing chat is read too slowly', () => {
  const drip = Array.from({ length: 10 }, (_, i) => ({ closing: true, outputPending: true, bytesSent: i }));
  assertEquals(expiries({ writeTimeoutMs: 30 }, drip), ["close 50", "close 90"]); // a byte earns 2 ms of 10
  const steady = Array.from({ length: 50 }, (_, i) => ({ closing: true, outputPending: true, bytesSent: 5 * i }));
  assertEquals(expiries({ writeTimeoutMs: 30 }, steady), []);
  const open = Array.from({ length: 50 }, (_, i) => ({ outputPending: true, bytesSent: i }));
  assertEquals(expiries({ writeTimeoutMs: 30 }, open), []);
});
