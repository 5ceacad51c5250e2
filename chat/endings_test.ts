// A chat that is ending ends: whatever the peer, a producer or the owner does, and no sooner than it should.

import { assert, assertEquals, assertInstanceOf, assertThrows } from "@std/assert";
import {
  AsyncChat,
  type ChatConn,
  type ChatOptions,
  ChatTimeoutError,
  FrameTooLongError,
  OutgoingOverflowError,
} from "../mod.ts";
import { FakeClock, type MemoryConnOptions, memoryPair } from "../testing/mod.ts";
import { bytes, flushMicrotasks, Recorder } from "../tests/recorder.ts";

/** A chat in memory with a clock to move; `pass` moves it in steps, with everything happening in between. */
function timed(options: ChatOptions = {}, ours: MemoryConnOptions = {}) {
  const clock = new FakeClock();
  const [conn, peer] = memoryPair(ours);
  const chat = new Recorder(conn, { clock, ...options });
  const pass = async (ms: number, stepMs = 100) => {
    for (let passed = 0; passed < ms; passed += stepMs) {
      clock.advance(stepMs);
      await flushMicrotasks();
    }
  };
  return { clock, conn, peer, chat, pass, finished: chat.run() };
}

/** A producer that waits for events which never come. */
function waiting() {
  const state = { cancelled: 0 };
  const stream = new ReadableStream<Uint8Array>({ cancel: () => void state.cancelled++ }, { highWaterMark: 0 });
  return { state, stream };
}

const EVERY_LIMIT = { idleTimeoutMs: 500, frameTimeoutMs: 500, writeTimeoutMs: 500 };

// --------------------------------------------------------------------------------------------------- the peer that has left

Deno.test("a chat whose peer has left ends although a producer waits for events", async () => {
  const { chat, peer, pass, finished, clock } = timed(EVERY_LIMIT);
  const { state, stream } = waiting();
  chat.pushWithProducer(stream);
  await flushMicrotasks();
  peer.close();
  await pass(700);
  await finished;
  const { closeReason } = chat;
  assertInstanceOf(closeReason, ChatTimeoutError);
  assertEquals({ kind: closeReason.kind, cancelled: state.cancelled, timers: clock.pending }, {
    kind: "close",
    cancelled: 1,
    timers: 0,
  });
});

Deno.test("a silent subscriber is kept while it is connected", async () => {
  const { chat, peer, pass, finished } = timed(EVERY_LIMIT);
  let controller!: ReadableStreamDefaultController<Uint8Array>;
  chat.pushWithProducer(new ReadableStream<Uint8Array>({ start: (c) => void (controller = c) }));
  await pass(5_000);
  assertEquals(chat.state, "open");
  controller.enqueue(bytes("event"));
  assertEquals(await peer.receiveText(5), "event");
  chat.close();
  await finished;
  peer.close();
});

Deno.test("a half-closed peer gets its answer in time, and a late one when handleEof waits", async () => {
  for (const staysOpen of [false, true]) {
    const { chat, peer, pass, finished } = timed(EVERY_LIMIT);
    let controller!: ReadableStreamDefaultController<Uint8Array>;
    const stream = new ReadableStream<Uint8Array>({ start: (c) => void (controller = c) });
    chat.onFrame = () => chat.pushWithProducer(stream);
    const answered = Promise.withResolvers<void>();
    if (staysOpen) chat.onEof = () => answered.promise.then(() => chat.closeWhenDone());
    await peer.send("question\r\n");
    await peer.closeWrite();
    await pass(staysOpen ? 10_000 : 300);
    controller.enqueue(bytes("answer"));
    controller.close();
    answered.resolve();
    assertEquals(await peer.receiveText(), "answer");
    peer.close();
    await finished;
    assertEquals(chat.reasons, [undefined]);
  }
});

Deno.test("a reset aborts the signal of a waiting hook; frames before it are dispatched", async () => {
  const { chat, peer, finished } = timed();
  const seen: unknown[] = [];
  chat.onFrame = (frame) => {
    if (frame !== "a") return;
    return new Promise<void>((resolve) => {
      chat.signal.addEventListener("abort", () => {
        seen.push((chat.signal.reason as Error).name);
        resolve();
      });
    });
  };
  await peer.send("a\r\nb\r\n");
  await flushMicrotasks();
  peer.reset();
  await finished;
  assertEquals({ seen, events: chat.events, reason: chat.reasons[0]?.name }, {
    seen: ["ConnectionReset"],
    events: ["connect", "frame a", "frame b", "close"],
    reason: "ConnectionReset",
  });
});

Deno.test("what is read ahead is dispatched next, or read by the next owner after detach", async () => {
  for (const detaches of [false, true]) {
    for (const sentFirst of [false, true]) {
      const { chat, conn, peer, finished } = timed();
      const asked = Promise.withResolvers<void>();
      chat.onFrame = async (frame) => {
        if (frame !== "a") return;
        chat.signal.throwIfAborted();
        await asked.promise;
        if (!detaches) return;
        const { conn: detached, unread } = chat.detach();
        const next = new Recorder(detached, { unread });
        await peer.send("c\r\n");
        await peer.closeWrite();
        next.run().then(() => nextEvents.resolve(next.events));
      };
      const nextEvents = Promise.withResolvers<string[]>();
      await peer.send("a\r\n");
      await flushMicrotasks();
      if (sentFirst) await peer.send("b\r\n");
      await flushMicrotasks();
      asked.resolve();
      await flushMicrotasks();
      if (!sentFirst && !detaches) await peer.send("b\r\n");
      if (!detaches) await peer.closeWrite();
      await finished;
      const events = detaches ? await nextEvents.promise : chat.events;
      assertEquals(events.filter((event) => event.startsWith("frame")), [
        ...(detaches ? [] : ["frame a"]),
        ...(detaches && !sentFirst ? [] : ["frame b"]),
        ...(detaches ? ["frame c"] : []),
      ]);
      assert(conn.calls.read <= 4);
      peer.close();
    }
  }
});

// ---------------------------------------------------------------------------------------------------------------- discarding

Deno.test("closeWhenDone, then discardBuffers with a pending producer, ends the chat", async () => {
  const { chat, peer, finished } = timed();
  const { state, stream } = waiting();
  chat.pushWithProducer(stream);
  await flushMicrotasks();
  chat.closeWhenDone();
  chat.discardBuffers();
  assertEquals(await peer.receiveText(), "");
  peer.close();
  await finished;
  assertEquals({ cancelled: state.cancelled, reasons: chat.reasons }, { cancelled: 1, reasons: [undefined] });
});

Deno.test("closeWrite, then discardBuffers with a pending producer, ends our side", async () => {
  const { chat, peer, finished } = timed();
  chat.pushWithProducer(waiting().stream);
  await flushMicrotasks();
  chat.closeWrite();
  chat.discardBuffers();
  assertEquals(await peer.receiveText(), "");
  await peer.send("still heard\r\n");
  peer.close();
  await finished;
  assertEquals(chat.events, ["connect", "frame still heard", "eof", "close"]);
});

Deno.test("startTls waits for a pending write whose bytes were discarded", async () => {
  const order: string[] = [];
  const [inner, innerPeer] = memoryPair();
  class Upgrading extends Recorder {
    protected override async handleConnect() {
      this.push("0123456789");
      await flushMicrotasks();
      this.discardBuffers();
      await this.startTls({
        role: "client",
        start() {
          order.push("handshake");
          return Promise.resolve(inner);
        },
      });
      this.close();
    }
  }
  const [conn, peer] = memoryPair({ capacity: 4 });
  const finished = new Upgrading(conn).run();
  await flushMicrotasks();
  order.push(await peer.receiveText(4));
  await flushMicrotasks();
  order.push(await peer.receiveText(4));
  await finished;
  assertEquals(order, ["0123", "handshake", "4567"]); // as soon as the pending write has settled, and not before
  peer.close();
  innerPeer.close();
});

// -------------------------------------------------------------------------------------------------------------- time, limits

Deno.test("a closing chat whose peer takes a byte now and then ends", async () => {
  const { chat, clock, peer, pass, finished } = timed({ writeTimeoutMs: 60_000 }, { capacity: 1 });
  chat.push("x".repeat(1_000));
  chat.closeWhenDone();
  let minutes = 0;
  for (; chat.state !== "closed" && minutes < 60; minutes++) {
    await pass(59_000, 1_000);
    if (clock.pending > 0) await peer.receive(1);
  }
  await finished;
  const { closeReason } = chat;
  assertInstanceOf(closeReason, ChatTimeoutError);
  assertEquals({ kind: closeReason.kind, minutes: minutes <= 3 }, { kind: "close", minutes: true });
  peer.close();
});

Deno.test("a frame too long stays the reason when frameTooLong closes, then waits", async () => {
  const { chat, peer, pass, finished } = timed({ maxFrameBytes: 5 });
  const waited = Promise.withResolvers<void>();
  chat.onTooLong = () => {
    chat.closeWhenDone();
    return waited.promise;
  };
  await peer.send("123456");
  await pass(3_000);
  waited.resolve();
  await finished;
  assertInstanceOf(chat.reasons[0], FrameTooLongError);
  peer.close();
});

Deno.test("the write limit does not run while our producer makes nothing", async () => {
  const { chat, peer, pass, finished } = timed(EVERY_LIMIT);
  chat.pushWithProducer(waiting().stream);
  chat.push("behind it");
  await pass(5_000);
  assertEquals({ state: chat.state, buffered: chat.bufferedAmount }, { state: "open", buffered: 9 });
  chat.close();
  await finished;
  peer.close();
});

Deno.test("setTerminator in collectIncomingData does not extend frameTimeoutMs", async () => {
  class Restarting extends AsyncChat {
    protected override handleConnect() {
      this.setTerminator("\n");
    }
    protected override collectIncomingData() {
      this.setTerminator("\n");
    }
    protected override foundTerminator() {}
  }
  const clock = new FakeClock();
  const [conn, peer] = memoryPair();
  const chat = new Restarting(conn, { clock, frameTimeoutMs: 5_000 });
  const finished = chat.run();
  for (let seconds = 0; chat.state === "open" && seconds < 60; seconds++) {
    await peer.send("x");
    await flushMicrotasks();
    clock.advance(1_000);
    await flushMicrotasks();
  }
  await finished;
  assertInstanceOf(chat.closeReason, ChatTimeoutError);
  assertEquals(chat.closeReason.kind, "frame");
  peer.close();
});

Deno.test("a lingering chat drops a bounded amount, then pauses, and leaves no timer", async () => {
  const clock = new FakeClock();
  let read = 0;
  const flood: ChatConn = {
    read: (p) => Promise.resolve((read += p.length, p.length)),
    write: (p) => Promise.resolve(p.length),
    closeWrite: () => Promise.resolve(),
    close() {},
  };
  const chat = new Recorder(flood, { clock });
  const finished = chat.run();
  chat.push("bye");
  chat.closeWhenDone();
  await flushMicrotasks(2_000);
  assert(read < 200_000, `${read} bytes`);
  for (let ms = 0; ms < 2_000; ms += 10) {
    clock.advance(10);
    await flushMicrotasks();
  }
  await finished;
  assert(read < 1_000_000, `${read} bytes`);
  assertEquals({ timers: clock.pending, reasons: chat.reasons }, { timers: 0, reasons: [undefined] });
});

Deno.test("detach refuses in a pause between reads that drop input: bytes are missing by then", async () => {
  const clock = new FakeClock();
  const flood: ChatConn = {
    read: (p) => Promise.resolve(p.length),
    write: (p) => Promise.resolve(p.length),
    closeWrite: () => Promise.resolve(),
    close() {},
  };
  const chat = new Recorder(flood, { clock });
  const finished = chat.run();
  chat.closeWhenDone();
  await flushMicrotasks(2_000);
  assertEquals({ state: chat.state, timers: clock.pending }, { state: "closing", timers: 3 }, "one is the pause");
  assertThrows(() => chat.detach(), TypeError, "a read or a handshake is pending");
  chat.close();
  await finished;
});

Deno.test("a listener of the signal that closes the chat leaves no linger timer", async () => {
  const { chat, peer, clock, finished } = timed({ writeTimeoutMs: 0 }, {
    fail: { call: "write", nth: 1, error: new Error("cable cut") },
  });
  chat.signal.addEventListener("abort", () => chat.close());
  chat.push("x");
  await finished;
  assertEquals(clock.pending, 0);
  peer.close();
});

// -------------------------------------------------------------------------------------------------------------------- memory

Deno.test("pushes behind a waiting producer cost their bytes; producers are bounded", async () => {
  for (const [pushed, maxPushes] of [["0123456789", 2_001], [null, 40]] as const) {
    const { chat, peer, finished } = timed({ maxBufferedBytes: 20_000 });
    chat.pushWithProducer(waiting().stream);
    await flushMicrotasks();
    let pushes = 0;
    while (chat.state === "open" && pushes < 100_000) {
      pushes++;
      if (pushed === null) chat.pushWithProducer([]);
      else chat.push(pushed);
    }
    await finished;
    assertInstanceOf(chat.closeReason, OutgoingOverflowError);
    assert(pushes <= maxPushes, `${pushes} pushes of ${pushed}`);
    peer.close();
  }
});

// ------------------------------------------------------------------------------------------------------- the author's mistakes

Deno.test("a producer that is not queued is cancelled, and its stream is not locked", async () => {
  const { chat, peer, finished } = timed();
  chat.close();
  await finished;
  const { state, stream } = waiting();
  assertEquals({ queued: chat.pushWithProducer(stream), locked: stream.locked }, { queued: false, locked: false });
  await flushMicrotasks();
  assertEquals(state.cancelled, 1);
  assertThrows(() => chat.pushWithProducer(5 as never), TypeError);
  peer.close();
});

Deno.test("rejections of handleError, close and setNoDelay are handled", async () => {
  class Careless extends AsyncChat {
    protected override foundTerminator() {
      throw new Error("first");
    }
    protected override handleError(): void {
      return Promise.reject(new Error("second")) as unknown as void;
    }
    protected override handleClose(): void {
      return Promise.reject(new Error("third")) as unknown as void;
    }
  }
  const printed: string[] = [];
  const original = console.error;
  console.error = (line: string) => printed.push(line);
  const [conn, peer] = memoryPair();
  const careless = Object.assign(conn, { setNoDelay: () => Promise.reject(new Error("no switch")) });
  const close = conn.close.bind(conn);
  careless.close = () => {
    close();
    return Promise.reject(new Error("not closed"));
  };
  const chat = new Careless(careless);
  chat.setTerminator("\n");
  const finished = chat.run();
  await peer.send("a\n");
  await finished;
  await flushMicrotasks();
  console.error = original;
  assertEquals(printed, Array(2).fill("Uncaught in a hook of Careless: Error: second"));
  peer.close();
});

Deno.test("a terminator set from outside applies to held-back bytes without another read", async () => {
  for (const terminator of ["\r", 1, 0] as const) {
    const { chat, conn, peer, finished } = timed();
    await peer.send("abc\r");
    await flushMicrotasks();
    const { read } = conn.calls;
    chat.setTerminator(terminator);
    await flushMicrotasks();
    assertEquals({ events: chat.events, reads: conn.calls.read }, {
      events: ["connect", terminator === 1 ? "frame abc\r" : "frame abc"],
      reads: read,
    });
    chat.close();
    await finished;
    peer.close();
  }
});

Deno.test("a chat rejects unread input that is not bytes", () => {
  const [conn, peer] = memoryPair();
  assertThrows(
    () => new Recorder(conn, { unread: "text" as never }),
    TypeError,
    "unread is string, expected Uint8Array",
  );
  conn.close();
  peer.close();
});
