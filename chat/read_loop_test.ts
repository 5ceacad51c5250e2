import { assertEquals, assertStrictEquals } from "@std/assert";
import { FrameInput } from "../core/frame_input.ts";
import { type Action, Lifecycle } from "../core/lifecycle.ts";
import { FakeClock } from "../testing/mod.ts";
import { bytes, flushMicrotasks } from "../tests/recorder.ts";
import { Dispatcher } from "./dispatcher.ts";
import type { Hooks } from "./hooks.ts";
import type { ChatConn } from "./options.ts";
import { ReadLoop } from "./read_loop.ts";

/** What one read does: returns text, this many bytes, all that fits, or the end; throws; or waits. */
type Read = string | number | null | Error | Promise<string | null>;
const FILL = Infinity;

/** A read loop over these reads, whose parts record what happens. A newline ends a frame. */
function loopOf(reads: Read[], { terminator = true } = {}) {
  const events: string[] = [];
  const errors: unknown[] = [];
  const spaces: number[] = []; // of the reads
  const memory: number[] = []; // that they lie in
  const lifecycle = new Lifecycle();
  lifecycle.run();
  const clock = new FakeClock();
  const input = new FrameInput(200_000, 65_536, undefined);
  if (terminator) input.setTerminator("\n");
  const conn: ChatConn = {
    async read(p) {
      spaces.push(p.length);
      memory.push(p.buffer.byteLength);
      const next = reads.shift();
      const result = next === undefined ? null : await next;
      if (result instanceof Error) throw result;
      if (result === null) return null;
      if (typeof result === "number") return Math.min(result, p.length);
      const data = bytes(result);
      p.set(data);
      return data.length;
    },
    write: (p) => Promise.resolve(p.length),
    close() {},
  };
  const onFrame = { result: (_text: string): unknown => undefined };
  const hooks: Hooks = {
    handleConnect: () => void events.push("connect"),
    collectIncomingData() {},
    collectIncomingRange() {},
    foundTerminator() {
      const frame = input.takeText();
      events.push(`frame ${frame}`);
      return onFrame.result(frame);
    },
    frameTooLong() {},
    handleTimeout() {},
    handleEof: () => void events.push(`eof ${input.takeText()}`),
    handleError() {},
    handleClose() {},
  };
  const hookFailed = (error: unknown) => void errors.push(error);
  const apply = (action: Action) => {
    dispatcher.interrupt();
    if (action !== "none") events.push(action);
  };
  const gate = {
    get dispatching() {
      return lifecycle.dispatching;
    },
    outputFull: false,
    upgrade: undefined,
    waitForCapacity: () => Promise.resolve(),
    hookStarted: () => lifecycle.hookStarted(),
    hookSettled: () => apply(lifecycle.hookSettled()),
    hookFailed,
    drain: (cause: Error) => apply(lifecycle.drain(cause)),
  };
  // Of the class of all chats: what is not overridden collects.
  const dispatcher = new Dispatcher(hooks, { ...hooks }, gate, input);
  const connection = { conn, lifecycle, bytesSent: 0, clock, hookFailed, apply, watchPeer() {} };
  const loop = new ReadLoop(connection, input, dispatcher);
  return { loop, events, errors, spaces, memory, lifecycle, clock, input, onFrame, connection };
}

/** A chat that lingers: our side has ended, the peer's has not. */
function lingering(reads: Read[]) {
  const test = loopOf(reads);
  test.lifecycle.drain();
  test.lifecycle.outputFinished();
  assertEquals(test.lifecycle.phase, "lingering");
  return test;
}

Deno.test("ReadLoop connects, dispatches what arrives, and reports the end of the input", async () => {
  const { loop, events, lifecycle } = loopOf(["a\nb", "c\nrest", null]);
  assertEquals(loop.pending, false);
  await loop.run();
  assertEquals({ events, received: loop.bytesReceived, ended: lifecycle.inputEnded, pending: loop.pending }, {
    events: ["connect", "frame a", "frame bc", "eof rest"],
    received: 9,
    ended: true,
    pending: false,
  });
});

Deno.test("ReadLoop makes data of a partial terminator at the end of the input", async () => {
  const { loop, events, input } = loopOf(["half\r", null]);
  input.setTerminator("\r\n");
  await loop.run();
  assertEquals(events, ["connect", "eof half\r"]);
});

Deno.test("ReadLoop closes a chat without a terminator before the first read", async () => {
  const { loop, events, errors, spaces, lifecycle } = loopOf(["a\n"], { terminator: false });
  await loop.run();
  assertEquals({ events, errors: errors.map(String), spaces, reason: String(lifecycle.reason) }, {
    events: ["connect", "close"],
    errors: ["TypeError: Cannot run the chat: no terminator is set, call setTerminator() before the first read"],
    spaces: [],
    reason: "TypeError: Cannot run the chat: no terminator is set, call setTerminator() before the first read",
  });
});

Deno.test("ReadLoop of a closed chat calls no hook and reads nothing", async () => {
  const { loop, events, spaces, lifecycle } = loopOf(["a\n"]);
  lifecycle.close();
  await loop.run();
  assertEquals({ events, spaces }, { events: [], spaces: [] });
});

Deno.test("ReadLoop ends the chat with the error of a read, and calls no hook after it", async () => {
  const cut = new Error("cut");
  const { loop, events, lifecycle } = loopOf(["a\nhalf", cut]);
  await loop.run();
  assertEquals({ events, pending: loop.pending }, { events: ["connect", "frame a", "close"], pending: false });
  assertStrictEquals(lifecycle.reason, cut);
});

Deno.test("ReadLoop ignores what a read returns after the chat was closed", async () => {
  for (const late of ["a\n", null]) {
    const read = Promise.withResolvers<string | null>();
    const { loop, events, lifecycle } = loopOf([read.promise]);
    const over = loop.run();
    await flushMicrotasks();
    assertEquals(loop.pending, true);
    lifecycle.close();
    read.resolve(late);
    await over;
    const { inputEnded } = lifecycle;
    assertEquals({ events, received: loop.bytesReceived, inputEnded, pending: loop.pending }, {
      events: ["connect"],
      received: 0,
      inputEnded: false,
      pending: false,
    });
  }
});

Deno.test("ReadLoop reads nothing while a hook is pending", async () => {
  const pending = Promise.withResolvers<void>();
  const { loop, events, spaces, onFrame } = loopOf(["a\nb\n", null]);
  onFrame.result = (frame) => frame === "a" ? pending.promise : undefined;
  const over = loop.run();
  await flushMicrotasks();
  assertEquals({ reads: spaces.length, events: [...events] }, { reads: 1, events: ["connect", "frame a"] });
  pending.resolve();
  await over;
  assertEquals(events, ["connect", "frame a", "frame b", "eof "]);
});

// ------------------------------------------------------------------------------------------------------- a graceful close

Deno.test("ReadLoop drops the input of a closing chat, and counts it", async () => {
  const { loop, events, input, lifecycle } = lingering(["a\n", 0, "half", null]);
  await loop.run();
  assertEquals({ events, received: loop.bytesReceived, begun: input.frameBegun, closed: lifecycle.closed }, {
    events: ["close"],
    received: 6,
    begun: false,
    closed: true,
  });
});

Deno.test("ReadLoop keeps nothing of what it drops", async () => {
  const { loop, connection, memory } = lingering([...Array(100).fill(FILL), null]);
  connection.bytesSent = Infinity; // no pause
  await loop.run();
  assertEquals({ dropped: loop.bytesReceived > 1_500_000, memory: Math.max(...memory) }, {
    dropped: true,
    memory: 16_384,
  });
});

Deno.test("ReadLoop leaves the receive buffer alone while a hook of a closing chat may still use it", async () => {
  const { loop, input, onFrame, lifecycle } = loopOf(["first\n", "second\n", null]);
  const pending = Promise.withResolvers<void>();
  let seen: Uint8Array | undefined;
  onFrame.result = () => {
    seen = input.bytes.subarray(0, 5);
    lifecycle.drain();
    return pending.promise;
  };
  const over = loop.run();
  await flushMicrotasks();
  pending.resolve();
  await over;
  assertEquals({ seen, received: loop.bytesReceived }, { seen: bytes("first"), received: 13 });
});

/** Reads that fill 64 KiB exactly: the space begins at 1 KiB, and doubles up to 16 KiB. */
const FILL_64_KIB: Read[] = [...Array(7).fill(FILL), 1024];

Deno.test("ReadLoop pauses before each read beyond 64 KiB of dropped input, twice as long each time", async () => {
  const { loop, spaces, clock } = lingering([...FILL_64_KIB, 1, 1, 1, null]);
  const over = loop.run();
  await flushMicrotasks(200);
  const reads = [spaces.length]; // one more: 64 KiB are within the limit
  for (const ms of [9, 1, 19, 1, 39, 1]) {
    clock.advance(ms);
    await flushMicrotasks();
    reads.push(spaces.length);
  }
  await over;
  assertEquals({ reads, timers: clock.pending, received: loop.bytesReceived }, {
    reads: [9, 9, 10, 10, 11, 11, 12],
    timers: 0,
    received: 65_539,
  });
});

Deno.test("ReadLoop drops as much more without a pause as was sent", async () => {
  const { loop, clock, connection, spaces } = lingering([...FILL_64_KIB, 100, 1, null]);
  connection.bytesSent = 100;
  const over = loop.run();
  await flushMicrotasks(200);
  assertEquals({ reads: spaces.length, timers: clock.pending }, { reads: 10, timers: 1 });
  clock.advance(10);
  await over;
});

Deno.test("ReadLoop does not count as lingering what came before our side had ended", async () => {
  const { loop, clock, lifecycle } = loopOf([...FILL_64_KIB, 1, 1, null]);
  lifecycle.drain(); // still draining
  await loop.run();
  assertEquals({ received: loop.bytesReceived, timers: clock.pending }, { received: 65_538, timers: 0 });
});

Deno.test("ReadLoop.stop() ends a pause at once: nothing more is read", async () => {
  const { loop, clock, lifecycle, spaces, events } = lingering([...FILL_64_KIB, 1, "late", null]);
  loop.stop(); // no pause yet
  const over = loop.run();
  await flushMicrotasks(200);
  assertEquals({ reads: spaces.length, timers: clock.pending }, { reads: 9, timers: 1 });
  lifecycle.close();
  loop.stop();
  await over;
  assertEquals({ reads: spaces.length, timers: clock.pending, events }, { reads: 9, timers: 0, events: [] });
});

// ---------------------------------------------------------------------------------------------------------- reading ahead

/** A chat whose hook for the frame "a" is pending. */
async function pendingHook(reads: Read[]) {
  const pending = Promise.withResolvers<void>();
  const test = loopOf(["a\n", ...reads]);
  test.onFrame.result = (frame) => frame === "a" ? pending.promise : undefined;
  const over = test.loop.run();
  await flushMicrotasks();
  return { ...test, pending, over };
}

Deno.test("ReadLoop.readAhead() reads once, and what it read comes before later reads", async () => {
  const { loop, events, spaces, pending, over } = await pendingHook(["b\n", "c\n", null]);
  for (let i = 0; i < 3; i++) loop.readAhead();
  await flushMicrotasks();
  loop.readAhead();
  assertEquals({ reads: spaces.length, received: loop.bytesReceived }, { reads: 2, received: 2 });
  pending.resolve();
  await over;
  assertEquals({ events, received: loop.bytesReceived }, {
    events: ["connect", "frame a", "frame b", "frame c", "eof "],
    received: 6,
  });
});

Deno.test("ReadLoop.readAhead() notes the end of the input when it is reached, not before", async () => {
  const { loop, events, lifecycle, pending, over } = await pendingHook([null]);
  loop.readAhead();
  await flushMicrotasks();
  assertEquals(lifecycle.inputEnded, false);
  pending.resolve();
  await over;
  assertEquals({ events, inputEnded: lifecycle.inputEnded }, {
    events: ["connect", "frame a", "eof "],
    inputEnded: true,
  });
});

Deno.test("ReadLoop.readAhead() reports a reset at once", async () => {
  const reset = new Error("reset");
  const { loop, events, lifecycle, pending, over } = await pendingHook([reset]);
  loop.readAhead();
  await flushMicrotasks();
  const meanwhile = { phase: lifecycle.phase, events: [...events] };
  assertEquals(meanwhile, { phase: "broken", events: ["connect", "frame a", "start lingering"] });
  pending.resolve();
  await over;
  assertStrictEquals(lifecycle.reason, reset);
  assertEquals(events, ["connect", "frame a", "start lingering", "close"]);
});

Deno.test("ReadLoop.readAhead() reads nothing while a read is pending, nor once the input or the chat has ended", async () => {
  const read = Promise.withResolvers<string | null>();
  const reading = loopOf([read.promise]);
  const over = reading.loop.run();
  await flushMicrotasks();
  reading.loop.readAhead();
  read.resolve(null);
  await over;
  reading.loop.readAhead();
  const closing = lingering([]);
  closing.loop.readAhead();
  assertEquals({ reading: reading.spaces.length, closing: closing.spaces.length }, { reading: 1, closing: 0 });
});

Deno.test("ReadLoop drops what was read ahead when the chat closes gracefully meanwhile", async () => {
  const { loop, events, lifecycle, input, pending, over } = await pendingHook(["b\n", null]);
  loop.readAhead();
  lifecycle.drain();
  pending.resolve();
  await over;
  assertEquals({ events, received: loop.bytesReceived, begun: input.frameBegun }, {
    events: ["connect", "frame a", "seal output"],
    received: 4,
    begun: false,
  });
});

Deno.test("ReadLoop.release() returns the connection, with the bytes that were read ahead", async () => {
  const { loop, connection, pending, over } = await pendingHook(["b\n", null]);
  const before = loop.release();
  loop.readAhead();
  await flushMicrotasks();
  const after = loop.release();
  const again = loop.release();
  pending.resolve();
  await over;
  for (const { conn } of [before, after, again]) assertStrictEquals(conn, connection.conn);
  assertEquals([before, after, again].map((released) => released.bytes), [bytes(""), bytes("b\n"), bytes("")]);
});
