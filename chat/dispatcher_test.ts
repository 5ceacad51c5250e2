import { assertEquals, assertStrictEquals } from "@std/assert";
import type { FrameTooLongError } from "../core/errors.ts";
import { FrameInput } from "../core/frame_input.ts";
import { bytes, flushMicrotasks, text } from "../tests/recorder.ts";
import { Dispatcher, type Gate } from "./dispatcher.ts";
import type { Hooks } from "./hooks.ts";

/** The hooks of a class without overrides. */
const defaults: Hooks = {
  handleConnect() {},
  collectIncomingData() {},
  collectIncomingRange() {},
  foundTerminator() {},
  frameTooLong() {},
  handleTimeout() {},
  handleEof() {},
  handleError() {},
  handleClose() {},
};

/** A gate that a test opens and closes; it records what the dispatcher reports. */
class TestGate implements Gate {
  readonly events: string[];
  readonly errors: unknown[] = [];
  dispatching = true;
  outputFull = false;
  upgrade: Promise<void> | undefined;
  capacity = Promise.withResolvers<void>();

  constructor(events: string[]) {
    this.events = events;
  }
  waitForCapacity(): Promise<void> {
    this.events.push("full");
    return this.capacity.promise;
  }
  hookStarted(): void {
    this.events.push("started");
  }
  hookSettled(): void {
    this.events.push("settled");
  }
  hookFailed(error: unknown): void {
    this.events.push("failed");
    this.errors.push(error);
  }
  drain(cause: Error): void {
    this.events.push("drain");
    this.errors.push(cause);
    this.dispatching = false;
  }
}

/** A dispatcher of these bytes, with a newline as the terminator. The default hooks collect; frames are recorded. */
function dispatcherOf(received: string, hooks: Partial<Hooks> = {}, maxFrameBytes = 100) {
  const events: string[] = [];
  const gate = new TestGate(events);
  const input = new FrameInput(maxFrameBytes, 1024, bytes(received));
  input.setTerminator("\n");
  const onFrame = { result: (_text: string): unknown => undefined };
  const all: Hooks = {
    ...defaults,
    foundTerminator() {
      const frame = input.takeText();
      events.push(frame);
      return onFrame.result(frame);
    },
    ...hooks,
  };
  const dispatcher = new Dispatcher(all, defaults, gate, input);
  return { dispatcher, events, gate, input, onFrame };
}

Deno.test("Dispatcher dispatches all that has arrived, and counts the frames", () => {
  const { dispatcher, events } = dispatcherOf("a\nb\nhalf");
  assertEquals({
    all: dispatcher.dispatchNow(),
    events,
    frames: dispatcher.framesReceived,
    running: dispatcher.running,
  }, {
    all: true,
    events: ["a", "b"],
    frames: 2,
    running: null,
  });
});

Deno.test("Dispatcher.interrupt() in a hook makes it check the gate before the next hook", async () => {
  const { dispatcher, events, gate, onFrame } = dispatcherOf("a\nb\n");
  onFrame.result = () => {
    gate.dispatching = false;
    dispatcher.interrupt();
  };
  const all = dispatcher.dispatchNow();
  await dispatcher.dispatch(); // returns, since nothing is to be dispatched
  assertEquals({ all, events }, { all: false, events: ["a"] });
});

Deno.test("Dispatcher goes on after an interruption that left the gate open", () => {
  const { dispatcher, events, onFrame } = dispatcherOf("a\nb\n");
  onFrame.result = () => dispatcher.interrupt();
  assertEquals({ all: dispatcher.dispatchNow(), events }, { all: true, events: ["a", "b"] });
});

Deno.test("Dispatcher checks the gate once for a run of hooks that do not interrupt", () => {
  const { dispatcher, gate } = dispatcherOf("a\n".repeat(100));
  let checks = 0;
  Object.defineProperty(gate, "dispatching", { get: () => ++checks > 0 });
  assertEquals({ all: dispatcher.dispatchNow(), frames: dispatcher.framesReceived, checks }, {
    all: true,
    frames: 100,
    checks: 1,
  });
});

Deno.test("Dispatcher calls no hook while the promise of another is pending", async () => {
  const { dispatcher, events, onFrame } = dispatcherOf("a\nb\n");
  const pending = Promise.withResolvers<void>();
  onFrame.result = (frame) => frame === "a" ? pending.promise : undefined;
  const all = dispatcher.dispatchNow();
  const dispatched = dispatcher.dispatch();
  await flushMicrotasks();
  const meanwhile = {
    all,
    again: dispatcher.dispatchNow(),
    events: [...events],
    isRunning: dispatcher.running !== null,
  };
  assertEquals(meanwhile, { all: false, again: false, events: ["a", "started"], isRunning: true });
  pending.resolve();
  await dispatched;
  assertEquals({ events, running: dispatcher.running }, { events: ["a", "started", "settled", "b"], running: null });
});

Deno.test("Dispatcher ignores a result that is no promise", () => {
  for (const result of [[], {}, null, 1, "text", () => {}, { then: 1 }]) {
    const { dispatcher, events, onFrame } = dispatcherOf("a\nb\n");
    onFrame.result = () => result;
    assertEquals({ all: dispatcher.dispatchNow(), events }, { all: true, events: ["a", "b"] });
  }
});

Deno.test("Dispatcher reports a hook that throws or rejects, and goes on with the next frame", async () => {
  const error = new Error("of the hook");
  for (
    const fails of [() => Promise.reject(error), () => {
      throw error;
    }]
  ) {
    const { dispatcher, events, gate, onFrame } = dispatcherOf("a\nb\n");
    onFrame.result = (frame) => frame === "a" ? fails() : undefined;
    await dispatcher.dispatch();
    assertEquals(events.filter((event) => event !== "started" && event !== "settled"), ["a", "failed", "b"]);
    assertStrictEquals(gate.errors[0], error);
    assertEquals(dispatcher.running, null);
  }
});

Deno.test("Dispatcher.dispatch() waits for capacity before the first hook", async () => {
  const { dispatcher, events, gate } = dispatcherOf("a\n");
  gate.outputFull = true;
  const dispatched = dispatcher.dispatch();
  await flushMicrotasks();
  assertEquals(events, ["full"]);
  gate.outputFull = false;
  gate.capacity.resolve();
  await dispatched;
  assertEquals(events, ["full", "a"]);
});

Deno.test("Dispatcher.dispatch() is one run at a time, and may run again", async () => {
  const { dispatcher, events, input, onFrame } = dispatcherOf("a\n");
  const pending = Promise.withResolvers<void>();
  onFrame.result = () => pending.promise;
  const first = dispatcher.dispatch();
  assertStrictEquals(dispatcher.dispatch(), first);
  pending.resolve();
  await first;
  input.append(bytes("b\n"));
  await dispatcher.dispatch();
  assertEquals(events, ["a", "started", "settled", "b", "started", "settled"]);
});

Deno.test("Dispatcher passes data to the hook that is overridden, ranges first", () => {
  const seen: unknown[] = [];
  const collectIncomingData = (data: Uint8Array) => void seen.push(text(data));
  const collectIncomingRange = (buffer: Uint8Array, start: number, end: number) =>
    void seen.push({ range: text(buffer.subarray(start, end)) });
  dispatcherOf("a\nbc\n", { collectIncomingData }).dispatcher.dispatchNow();
  dispatcherOf("a\nbc\n", { collectIncomingData, collectIncomingRange }).dispatcher.dispatchNow();
  assertEquals(seen, ["a", "bc", { range: "a" }, { range: "bc" }]);
});

Deno.test("Dispatcher holds the next frame while an upgrade that a hook has started is pending", async () => {
  for (const result of [undefined, Promise.resolve()]) {
    const { dispatcher, events, gate, onFrame } = dispatcherOf("a\nb\n");
    const upgraded = Promise.withResolvers<void>();
    onFrame.result = (frame) => {
      if (frame !== "a") return undefined;
      gate.upgrade = upgraded.promise.then(() => gate.upgrade = undefined);
      dispatcher.interrupt();
      return result;
    };
    const dispatched = dispatcher.dispatch();
    await flushMicrotasks();
    assertEquals(events, ["a", "started"]);
    upgraded.resolve();
    await dispatched;
    assertEquals(events, ["a", "started", "settled", "b"]);
  }
});

// -------------------------------------------------------------------------------------------------------- oversized frames

/** Dispatches a frame of 7 bytes where 4 are allowed, and one after it. */
async function oversized(onTooLong: "close" | "discard", frameTooLong: (error: FrameTooLongError) => unknown) {
  const errors: FrameTooLongError[] = [];
  const test = dispatcherOf("toolong\nb\n", {
    frameTooLong(error) {
      errors.push(error);
      return frameTooLong(error);
    },
  });
  test.input.setTerminator("\n", 4, onTooLong);
  await test.dispatcher.dispatch();
  return { ...test, errors };
}

Deno.test("Dispatcher goes on after a frame that is discarded, without what was collected of it", async () => {
  const { events, errors } = await oversized("discard", () => {});
  assertEquals({ events, limits: errors.map(({ limit }) => limit) }, { events: ["b"], limits: [4] });
});

Deno.test("Dispatcher drains after frameTooLong when the policy is to close", async () => {
  const { events, errors, gate, input } = await oversized("close", () => {});
  assertEquals({ events, collected: input.collected }, { events: ["drain"], collected: false });
  assertStrictEquals(gate.errors[0], errors[0]);
});

Deno.test("Dispatcher awaits the promise of frameTooLong before the next frame", async () => {
  const pending = Promise.withResolvers<void>();
  const seen: string[] = [];
  const dispatched = oversized("discard", () => pending.promise.then(() => seen.push("settled")));
  await flushMicrotasks();
  assertEquals(seen, []);
  pending.resolve();
  const { events } = await dispatched;
  assertEquals({ seen, events }, { seen: ["settled"], events: ["started", "settled", "b"] });
});

Deno.test("Dispatcher does not call frameTooLong once the gate has closed", async () => {
  const { dispatcher, events, gate, input } = dispatcherOf("toolong\nb\n", {
    frameTooLong: () => events.push("too long"),
  });
  input.setTerminator("\n", 4, "discard");
  assertEquals(dispatcher.dispatchNow(), false); // refused, and not reported yet
  gate.dispatching = false;
  await dispatcher.dispatch();
  assertEquals(events, []);
});

Deno.test("Dispatcher refuses what a hook collects beyond the limit of its frame", async () => {
  for (const collects of ["data", "range"] as const) {
    const errors: FrameTooLongError[] = [];
    const test = dispatcherOf("ab\nc\n", {
      collectIncomingData(data) {
        const thrice = new Uint8Array([...data, ...data, ...data]);
        for (const bytes of [thrice, new Uint8Array(0)]) { // what fits again does not lift the refusal
          if (collects === "data") test.dispatcher.collect(bytes);
          else test.dispatcher.collectRange(bytes, 0, bytes.length);
        }
      },
      frameTooLong: (error) => errors.push(error),
    });
    test.input.setTerminator("\n", 4, "discard");
    await test.dispatcher.dispatch();
    assertEquals({ events: test.events, limits: errors.map(({ limit }) => limit) }, { events: ["ccc"], limits: [4] });
  }
});

Deno.test("Dispatcher.call() returns a promise only when the hook does, and reports one that throws", async () => {
  const { dispatcher, events, gate } = dispatcherOf("");
  const error = new Error("of the hook");
  assertEquals(dispatcher.call(() => 1), null);
  assertEquals(
    dispatcher.call(() => {
      throw error;
    }),
    null,
  );
  const pending = dispatcher.call(() => Promise.resolve());
  assertStrictEquals(dispatcher.running, pending);
  await pending;
  assertEquals({ events, errors: gate.errors }, { events: ["failed", "started", "settled"], errors: [error] });
});
