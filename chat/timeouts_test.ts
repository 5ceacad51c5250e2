import { assertEquals, assertInstanceOf, assertThrows } from "@std/assert";
import type { AsyncChat, ChatOptions } from "../mod.ts";
import { ChatTimeoutError, OutgoingOverflowError } from "../mod.ts";
import { FakeClock, memoryPair } from "../testing/mod.ts";
import { passTime } from "../tests/pass_time.ts";
import { flushMicrotasks, Recorder } from "../tests/recorder.ts";

/** Records calls of handleTimeout as well. */
class Timed extends Recorder {
  readonly timeouts: ChatTimeoutError[] = [];
  onTimeout: (error: ChatTimeoutError) => unknown = (error) => super.handleTimeout(error);

  protected override handleTimeout(error: ChatTimeoutError) {
    this.timeouts.push(error);
    return this.onTimeout(error);
  }
}

/** Runs a chat in memory with a fake clock. */
function timed(options: ChatOptions, capacity = 65_536) {
  const clock = new FakeClock();
  const [conn, peer] = memoryPair({ capacity });
  const chat = new Timed(conn, { clock, ...options });
  const pass = (ms: number) => passTime(clock, ms);
  return { clock, peer, chat, pass, over: chat.run() };
}

/** Asserts that a time limit ended the chat. Returns which. */
function timeoutOf({ closeReason }: AsyncChat): { kind: string; limitMs: number } {
  assertInstanceOf(closeReason, ChatTimeoutError);
  return { kind: closeReason.kind, limitMs: closeReason.limitMs };
}

Deno.test("AsyncChat closes when the peer sends nothing for idleTimeoutMs", async () => {
  const { chat, peer, pass, over, clock } = timed({ idleTimeoutMs: 1_000 });
  await pass(900);
  await peer.send("a\r\n");
  await pass(990);
  assertEquals(chat.state, "open");
  await pass(150); // a limit is noticed up to a tenth late
  await over;
  assertEquals({ timeout: timeoutOf(chat), timeoutCount: chat.timeouts.length, timers: clock.pending }, {
    timeout: { kind: "idle", limitMs: 1_000 },
    timeoutCount: 1,
    timers: 0,
  });
  assertEquals(chat.closeReason!.message, "Idle timeout: received no byte, limit is 1000 ms");
  peer.close();
});

Deno.test("AsyncChat closes when a frame is incomplete after frameTimeoutMs, though bytes arrive", async () => {
  const { chat, peer, pass, over } = timed({ frameTimeoutMs: 1_000, idleTimeoutMs: 1_000 });
  await peer.send("a\r\n");
  await pass(500); // the frame clock stands still between frames
  for (let i = 0; i < 9; i++) {
    await peer.send("x");
    await pass(100);
  }
  assertEquals(chat.state, "open");
  await peer.send("x");
  await pass(300);
  await over;
  assertEquals({ timeout: timeoutOf(chat), events: chat.events }, {
    timeout: { kind: "frame", limitMs: 1_000 },
    events: ["connect", "frame a", "close"],
  });
  peer.close();
});

Deno.test("AsyncChat applies frameTimeoutMs to counted frames and not to raw data", async () => {
  const { chat, peer, pass, over } = timed({ frameTimeoutMs: 1_000 });
  chat.setTerminator(null);
  await peer.send("some");
  await pass(5_000);
  assertEquals(chat.state, "open");
  chat.setTerminator(10);
  await peer.send("thing");
  await pass(1_200);
  await over;
  assertEquals(timeoutOf(chat), { kind: "frame", limitMs: 1_000 });
  peer.close();
});

Deno.test("AsyncChat closes when the peer takes nothing for writeTimeoutMs, also in flushed()", async () => {
  for (const inHook of [false, true]) {
    const { chat, peer, pass, over } = timed({ writeTimeoutMs: 1_000 }, 10);
    chat.onFrame = () => {
      chat.push("x".repeat(100));
      if (inHook) return chat.flushed();
    };
    await peer.send("go\r\n");
    for (let i = 0; i < 5; i++) {
      await pass(800);
      assertEquals((await peer.receive(1)).length, 1); // each byte taken restarts the clock
    }
    assertEquals(chat.state, "open");
    await pass(1_200);
    await over;
    assertEquals(
      { timeout: timeoutOf(chat), timeoutCount: chat.timeouts.length, bufferedAmount: chat.bufferedAmount },
      { timeout: { kind: "write", limitMs: 1_000 }, timeoutCount: inHook ? 0 : 1, bufferedAmount: 0 },
    );
    peer.close();
  }
});

Deno.test("AsyncChat applies writeTimeoutMs while it is closing", async () => {
  const { chat, peer, pass, over } = timed({ writeTimeoutMs: 1_000 }, 10);
  chat.push("x".repeat(100));
  chat.closeWhenDone();
  await pass(1_200);
  await over;
  assertEquals({ timeout: timeoutOf(chat), timeouts: chat.timeouts }, {
    timeout: { kind: "write", limitMs: 1_000 },
    timeouts: [],
  });
  peer.close();
});

Deno.test("AsyncChat stops the clocks of the peer while a hook is pending", async () => {
  const { chat, peer, pass, over } = timed({ idleTimeoutMs: 1_000, frameTimeoutMs: 1_000 });
  const done = Promise.withResolvers<void>();
  chat.onFrame = () => done.promise;
  await peer.send("a\r\nb");
  await pass(10_000);
  assertEquals(chat.state, "open");
  done.resolve();
  await pass(900);
  assertEquals(chat.state, "open");
  await pass(300);
  await over;
  assertEquals(chat.timeouts.length, 1);
  peer.close();
});

Deno.test("AsyncChat does not apply idleTimeoutMs to a peer that has ended its side", async () => {
  const { chat, peer, pass, over } = timed({ idleTimeoutMs: 1_000 });
  chat.onEof = () => {};
  await peer.closeWrite();
  await pass(5_000);
  assertEquals({ state: chat.state, timeouts: chat.timeouts }, { state: "open", timeouts: [] });
  chat.closeWhenDone();
  await over;
  peer.close();
});

Deno.test("AsyncChat.handleTimeout() is called again when it leaves the chat open", async () => {
  const { chat, peer, pass, over } = timed({ idleTimeoutMs: 1_000 });
  chat.onTimeout = () => chat.push("are you there?");
  await pass(2_500);
  assertEquals({ kinds: chat.timeouts.map(({ kind }) => kind), state: chat.state }, {
    kinds: ["idle", "idle"],
    state: "open",
  });
  chat.onTimeout = () => chat.closeWhenDone();
  await pass(1_000);
  peer.close();
  await over;
  assertEquals(chat.closeReason, undefined);
});

Deno.test("AsyncChat calls no other hook while handleTimeout is pending", async () => {
  const { chat, peer, pass, over } = timed({ idleTimeoutMs: 1_000 });
  const done = Promise.withResolvers<void>();
  chat.onTimeout = () => done.promise;
  await pass(1_100);
  await peer.send("a\r\n");
  await pass(5_000);
  assertEquals({ timeoutCount: chat.timeouts.length, events: chat.events }, { timeoutCount: 1, events: ["connect"] });
  done.resolve();
  await flushMicrotasks();
  assertEquals(chat.events, ["connect", "frame a"]);
  peer.close();
  await over;
});

Deno.test("AsyncChat without time limits sets no timer", async () => {
  const { clock, peer, over } = timed({ writeTimeoutMs: 0 });
  await flushMicrotasks();
  assertEquals(clock.pending, 0);
  peer.close();
  await over;
});

Deno.test("AsyncChat rejects invalid time limits", () => {
  const [conn] = memoryPair();
  for (const name of ["idleTimeoutMs", "frameTimeoutMs", "writeTimeoutMs"] as const) {
    for (const value of [-1, NaN, Infinity, "5" as never]) {
      assertThrows(
        () => new Recorder(conn, { [name]: value }),
        RangeError,
        `Cannot create a chat: ${name} is ${value}`,
      );
    }
  }
});

Deno.test("AsyncChat.push() above maxBufferedBytes closes the chat, drops the queue, returns false", async () => {
  const { chat, peer, over } = timed({ maxBufferedBytes: 100 }, 10);
  chat.push("x".repeat(100)); // exactly the limit
  await flushMicrotasks();
  assertEquals({ state: chat.state, bufferedAmount: chat.bufferedAmount }, { state: "open", bufferedAmount: 90 });
  assertEquals(chat.push("y".repeat(11)), false);
  assertEquals({ state: chat.state, bufferedAmount: chat.bufferedAmount }, { state: "closed", bufferedAmount: 0 });
  assertEquals(chat.push("the next of a broadcast"), false);
  await over;
  const { closeReason } = chat;
  assertInstanceOf(closeReason, OutgoingOverflowError);
  assertEquals({ limit: closeReason.limit, buffered: closeReason.buffered }, { limit: 100, buffered: 101 });
  peer.close();
});
