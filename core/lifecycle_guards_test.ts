// Guards of Lifecycle that no other test notices: actions of events that change nothing, and what is known of hooks.

import { assertEquals } from "@std/assert";
import { type Action, Lifecycle } from "./lifecycle.ts";

const ERROR = new Error("of the connection");

function open(): Lifecycle {
  const life = new Lifecycle();
  life.run();
  return life;
}

Deno.test("Lifecycle.hookPending is true from the start of a hook to its end, also when it has begun a close", () => {
  const life = open();
  const seen = [life.hookPending];
  for (const event of ["hookStarted", "drain", "hookSettled", "close", "lastHookStarted", "lastHookSettled"] as const) {
    life[event]();
    seen.push(life.hookPending);
  }
  assertEquals(seen, [false, true, true, false, false, false, false]);
});

Deno.test("Lifecycle.closedDuringHook is true only when a hook was running at the close", () => {
  const without = open();
  const before = without.closedDuringHook;
  without.close();
  const during = open();
  during.hookStarted();
  during.close();
  assertEquals({ before, without: without.closedDuringHook, during: during.closedDuringHook }, {
    before: false,
    without: false,
    during: true,
  });
});

Deno.test("Lifecycle.inputEnded is true after a read that failed", () => {
  const life = open();
  assertEquals({ before: life.inputEnded, action: life.inputFailed(ERROR), after: life.inputEnded }, {
    before: false,
    action: "close",
    after: true,
  });
});

Deno.test('Lifecycle returns "none" for an event that asks nothing of the caller', () => {
  const pending = open();
  pending.hookStarted();
  const sealed = open();
  sealed.endOutput();
  const draining = open();
  draining.drain();
  const lost = open();
  lost.outputFailed(ERROR);
  const closed = open();
  closed.close();
  const actions: Record<string, Action> = {
    "a hook settles": (pending.hookSettled(), pending.hookStarted(), pending.hookSettled()),
    "a drain during a hook": (pending.hookStarted(), pending.drain()),
    "a second endOutput": sealed.endOutput(),
    "a drain of a sealed output": sealed.drain(),
    "a second drain": draining.drain(),
    "the connection is lost twice": lost.connectionLost(ERROR),
    "the input of an open chat ends": open().inputFinished(),
    "endOutput after the end": closed.endOutput(),
    "drain after the end": closed.drain(),
    "a second close": closed.close(),
    "detach after the end": closed.detach(),
  };
  assertEquals(actions, Object.fromEntries(Object.keys(actions).map((event) => [event, "none"])));
});

Deno.test("Lifecycle starts lingering once when the output ends before the hook that drains", () => {
  const life = open();
  const actions = [life.endOutput()];
  life.hookStarted();
  actions.push(life.drain(), life.outputFinished(), life.hookSettled(), life.inputFinished());
  assertEquals(actions, ["seal output", "none", "start lingering", "none", "close"]);
});
