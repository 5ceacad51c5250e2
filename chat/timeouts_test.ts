import { assertEquals, assertInstanceOf, assertThrows } from "@std/assert";
import type { AsyncChat, ChatOptions } from "../mod.ts";
import { ChatTimeoutError, OutgoingOverflowError } from "../mod.ts";
import { FakeClock, memoryPair } from "../testing/mod.ts";
import { flushMicrotasks, Recorder } from "../tests/recorder.ts";

/** Tells handleTimeout, too. */
class Timed extends Recorder {
  readonly timeouts: ChatTimeoutError[] = [];
  onTimeout: (error: ChatTimeoutError) => void | Promise<void> = (error) => super.handleTimeout(error);

  protected override handleTimeout(error: ChatTimeoutError) {
    this.timeouts.push(error);
    return this.onTimeout(error);
  }
}

/** A chat in memory whose time a test moves. */
function timed(options: ChatOptions, capacity = 65_536) {
  const clock = new FakeClock();
  const [conn, peer] = memoryPair({ capacity });
  const chat = new Timed(conn, { clock, ...options });
  /** Moves time on in small steps, with everything happening in between. */
  const pass = async (ms: number) => {
    for (let passed = 0; passed < ms; passed += 10) {
      clock.advance(10);
      await flushMicrotasks(10);
    }
  };
  return { clock, peer, chat, pass, over: chat.run() };
}

/** The reason that a chat ended with, as a timeout. */
function timeoutOf({ closeReason }: AsyncChat): [string, number] {
  assertInstanceOf(closeReason, ChatTimeoutError);
  return [closeReason.kind, closeReason.limitMs];
}

Deno.test("AsyncChat ends when the peer says nothing for idleTimeoutMs", async () => {
  const { chat, peer, pass, over, clock } = timed({ idleTimeoutMs: 1_000 });
  await pass(900);
  await peer.send("a\r\n");
  await pass(990);
  assertEquals(chat.state, "open");
  await pass(150); // noticed up to a tenth late
  await over;
  assertEquals([timeoutOf(chat), chat.timeouts.length, clock.pending], [["idle", 1_000], 1, 0]);
  assertEquals(chat.closeReason!.message, "Idle timeout: received no byte, limit is 1000 ms");
  peer.close();
});

Deno.test("AsyncChat ends when a frame is not over after frameTimeoutMs, though a byte comes now and then", async () => {
  const { chat, peer, pass, over } = timed({ frameTimeoutMs: 1_000, idleTimeoutMs: 1_000 });
  await peer.send("a\r\n");
  await pass(500); // between frames this clock does not run
  for (let i = 0; i < 9; i++) {
    await peer.send("x");
    await pass(100);
  }
  assertEquals(chat.state, "open");
  await peer.send("x");
  await pass(300);
  await over;
  assertEquals([timeoutOf(chat), chat.events], [["frame", 1_000], ["connect", "frame a", "close"]]);
  peer.close();
});

Deno.test("AsyncChat times a counted frame too, and raw data not", async () => {
  const { chat, peer, pass, over } = timed({ frameTimeoutMs: 1_000 });
  chat.setTerminator(null);
  await peer.send("some");
  await pass(5_000);
  assertEquals(chat.state, "open");
  chat.setTerminator(10);
  await peer.send("thing");
  await pass(1_200);
  await over;
  assertEquals(timeoutOf(chat), ["frame", 1_000]);
  peer.close();
});

Deno.test("AsyncChat ends when the peer takes nothing for writeTimeoutMs, also while a hook waits for flushed()", async () => {
  for (const inHook of [false, true]) {
    const { chat, peer, pass, over } = timed({ writeTimeoutMs: 1_000 }, 10);
    chat.onFrame = () => {
      chat.push("x".repeat(100));
      if (inHook) return chat.flushed();
    };
    await peer.send("go\r\n");
    for (let i = 0; i < 5; i++) {
      await pass(800);
      assertEquals((await peer.receive(1)).length, 1); // as long as it takes a byte it is heard out
    }
    assertEquals(chat.state, "open");
    await pass(1_200);
    await over;
    assertEquals([timeoutOf(chat), chat.timeouts.length, chat.bufferedAmount], [["write", 1_000], inHook ? 0 : 1, 0]);
    peer.close();
  }
});

Deno.test("AsyncChat ends by writeTimeoutMs while it is closing", async () => {
  const { chat, peer, pass, over } = timed({ writeTimeoutMs: 1_000 }, 10);
  chat.push("x".repeat(100));
  chat.closeWhenDone();
  await pass(1_200);
  await over;
  assertEquals([timeoutOf(chat), chat.timeouts], [["write", 1_000], []]);
  peer.close();
});

Deno.test("AsyncChat does not count the time in which its own hook waits", async () => {
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

Deno.test("AsyncChat does not call a peer idle that has ended its side and is still sent to", async () => {
  const { chat, peer, pass, over } = timed({ idleTimeoutMs: 1_000 });
  chat.onEof = () => {};
  await peer.closeWrite();
  await pass(5_000);
  assertEquals([chat.state, chat.timeouts], ["open", []]);
  chat.closeWhenDone();
  await over;
  peer.close();
});

Deno.test("AsyncChat.handleTimeout() may forgive, and is then called again", async () => {
  const { chat, peer, pass, over } = timed({ idleTimeoutMs: 1_000 });
  chat.onTimeout = () => chat.push("are you there?");
  await pass(2_500);
  assertEquals([chat.timeouts.map(({ kind }) => kind), chat.state], [["idle", "idle"], "open"]);
  chat.onTimeout = () => chat.closeWhenDone();
  await pass(1_000);
  peer.close();
  await over;
  assertEquals(chat.closeReason, undefined);
});

Deno.test("AsyncChat.handleTimeout() that waits keeps the other hooks waiting, as any hook", async () => {
  const { chat, peer, pass, over } = timed({ idleTimeoutMs: 1_000 });
  const done = Promise.withResolvers<void>();
  chat.onTimeout = () => done.promise;
  await pass(1_100);
  await peer.send("a\r\n");
  await pass(5_000);
  assertEquals([chat.timeouts.length, chat.events], [1, ["connect"]]);
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

Deno.test("AsyncChat refuses time limits that are none", () => {
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

Deno.test("AsyncChat.push() beyond maxBufferedBytes ends the chat and frees the queue, and whoever pushed goes on", async () => {
  const { chat, peer, over } = timed({ maxBufferedBytes: 100 }, 10);
  chat.push("x".repeat(100)); // exactly the limit
  await flushMicrotasks();
  assertEquals([chat.state, chat.bufferedAmount], ["open", 90]);
  chat.push("y".repeat(11));
  assertEquals([chat.state, chat.bufferedAmount], ["closed", 0]);
  chat.push("the next of a broadcast"); // to nobody
  await over;
  const { closeReason } = chat;
  assertInstanceOf(closeReason, OutgoingOverflowError);
  assertEquals([closeReason.limit, closeReason.buffered], [100, 101]);
  peer.close();
});
