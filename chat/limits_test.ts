import { assertEquals, assertInstanceOf } from "@std/assert";
import { AsyncChat, ChatTimeoutError, FrameTooLongError } from "../mod.ts";
import { everyCut, FakeClock, memoryPair, scriptedConn } from "../testing/mod.ts";
import { passTime } from "../tests/pass_time.ts";
import { bytes, flushMicrotasks, Recorder, text } from "../tests/recorder.ts";

Deno.test("AsyncChat.frameTooLong() closes with its error above the limit, and not exactly at it", async () => {
  for (const pieces of everyCut(bytes("12345\r\n123456"))) {
    const { conn, written } = scriptedConn(pieces);
    const chat = new Recorder(conn, { maxFrameBytes: 5 });
    await chat.run();
    await written;
    assertEquals(chat.events, ["connect", "frame 12345", "too long 12345", "close"]);
    const [error] = chat.reasons;
    assertInstanceOf(error, FrameTooLongError);
    assertEquals({ limit: error.limit, received: error.received }, { limit: 5, received: 6 });
  }
});

Deno.test("AsyncChat flushes what an overridden frameTooLong pushes, then closes with the error", async () => {
  const { conn, written } = scriptedConn(["123456\r\nnext\r\n"]);
  const chat = new Recorder(conn, { maxFrameBytes: 5 });
  chat.onTooLong = () => chat.push("500 Line too long\r\n");
  await chat.run();
  assertEquals({ events: chat.events, written: await written }, {
    events: ["connect", "too long 12345", "close"],
    written: "500 Line too long\r\n",
  });
  assertInstanceOf(chat.reasons[0], FrameTooLongError);
});

Deno.test('AsyncChat.setTerminator() with onTooLong "discard" skips the whole oversized frame', async () => {
  for (const pieces of everyCut(bytes("123456\r\nok\r\n"))) {
    const { conn, written } = scriptedConn(pieces);
    const chat = new Recorder(conn);
    chat.setTerminator("\r\n", { maxFrameBytes: 5, onTooLong: "discard" });
    await chat.run();
    await written;
    assertEquals(chat.events, ["connect", "too long 12345", "frame ok", "eof", "close"]);
    assertEquals(chat.reasons, [undefined]);
  }
});

/** Takes no frame. Each subclass passes its data to the default hook in another way. */
class NeverTakes extends Recorder {
  readonly received: number[] = [];

  protected override foundTerminator(): void {
    this.events.push("frame");
  }
  protected override frameTooLong(error: FrameTooLongError) {
    this.received.push(error.received);
    return super.frameTooLong(error);
  }
}

class DelegatesData extends NeverTakes {
  protected override collectIncomingData(data: Uint8Array) {
    super.collectIncomingData(data);
  }
}

class DelegatesRanges extends NeverTakes {
  protected override collectIncomingRange(buffer: Uint8Array, start: number, end: number) {
    super.collectIncomingRange(buffer, start, end);
  }
}

class DelegatesLater extends NeverTakes {
  protected override async collectIncomingData(data: Uint8Array) {
    await Promise.resolve();
    super.collectIncomingData(data);
  }
}

for (const Kind of [NeverTakes, DelegatesData, DelegatesRanges, DelegatesLater]) {
  Deno.test(`AsyncChat collects raw data and untaken frames exactly up to the limit (${Kind.name})`, async () => {
    const cases = [
      [null, "123456789", []],
      ["\n", "12\n34\n56\n7", ["frame", "frame"]],
      [["\n", "\r\n"], "123\n456\n7", ["frame"]],
    ] as const;
    for (const [terminator, sent, before] of cases) {
      for (const pieces of everyCut(bytes(sent))) {
        const { conn, written } = scriptedConn(pieces);
        const chat = new Kind(conn, { maxFrameBytes: 5 });
        chat.setTerminator(terminator);
        await chat.run();
        await written;
        const { events, received, closeReason } = chat;
        assertEquals({ events, received }, {
          events: ["connect", ...before, "too long 12345", "close"],
          received: [6],
        }, JSON.stringify({ terminator, pieces: pieces.map(text) }));
        assertInstanceOf(closeReason, FrameTooLongError);
      }
    }
  });

  Deno.test(`AsyncChat discards the rest of a frame that exceeds what is collected (${Kind.name})`, async () => {
    for (const pieces of everyCut(bytes("12\n3456\n7\n8"))) {
      const { conn, written } = scriptedConn(pieces);
      const chat = new Kind(conn);
      chat.setTerminator("\n", { maxFrameBytes: 5, onTooLong: "discard" });
      await chat.run();
      await written;
      const { events, received, closeReason } = chat;
      assertEquals({ events, received, closeReason }, {
        events: ["connect", "frame", "too long 12345", "frame", "eof 78", "close"],
        received: [6],
        closeReason: undefined,
      }, JSON.stringify(pieces.map(text)));
    }
  });
}

Deno.test("AsyncChat does not limit raw data that an overridden collector does not keep", async () => {
  let received = 0;
  class Sink extends AsyncChat {
    protected override collectIncomingData(data: Uint8Array) {
      received += data.length;
    }
    protected override foundTerminator() {}
  }
  const { conn, written } = scriptedConn(["x".repeat(10_000)]);
  const chat = new Sink(conn, { maxFrameBytes: 5 });
  chat.setTerminator(null);
  await chat.run();
  await written;
  assertEquals(received, 10_000);
});

Deno.test('AsyncChat discards raw data above the limit with onTooLong "discard"', async () => {
  for (const pieces of everyCut(bytes("1234567890123"))) {
    const { conn, written } = scriptedConn(pieces);
    const chat = new Recorder(conn);
    chat.setTerminator(null, { maxFrameBytes: 5, onTooLong: "discard" });
    await chat.run();
    await written;
    assertEquals(chat.events, ["connect", "too long 12345", "eof", "close"], JSON.stringify(pieces.map(text)));
  }
});

Deno.test("AsyncChat applies a terminator set in frameTooLong to the next byte of raw data", async () => {
  for (const override of [false, true]) {
    for (const pieces of everyCut(bytes("1234567\r\nab\r\n"))) {
      const { conn, written } = scriptedConn(pieces);
      const chat = new (override ? Delegating : Recorder)(conn);
      chat.setTerminator(null, { maxFrameBytes: 5, onTooLong: "discard" });
      chat.onTooLong = () => chat.setTerminator("\r\n");
      await chat.run();
      await written;
      assertEquals(
        chat.events,
        ["connect", "too long 12345", "frame 67", "frame ab", "eof", "close"],
        JSON.stringify(pieces.map(text)),
      );
    }
  }
});

/** Overrides the collector and passes everything to the default one. */
class Delegating extends Recorder {
  protected override collectIncomingData(data: Uint8Array) {
    super.collectIncomingData(data);
  }
}

Deno.test("AsyncChat.setTerminator() with a limit below what is collected reads no byte twice", async () => {
  for (const onTooLong of ["close", "discard"] as const) {
    for (const pieces of everyCut(bytes("12345\n6\n7\n"))) {
      const { conn, written } = scriptedConn(pieces);
      class Lower extends NeverTakes {
        protected override foundTerminator() {
          super.foundTerminator();
          if (this.framesReceived === 1) this.setTerminator("\n", { maxFrameBytes: 2, onTooLong });
        }
      }
      const lower = new Lower(conn);
      lower.setTerminator(6);
      await lower.run();
      await written;
      const rest = onTooLong === "close" ? ["close"] : ["frame", "eof 7", "close"];
      assertEquals(lower.events, ["connect", "frame", "too long 12345\n", ...rest], JSON.stringify(pieces.map(text)));
    }
  }
});

Deno.test("AsyncChat's frameTimeoutMs does not restart when collectIncomingData sets the terminator", async () => {
  class ResetsTerminator extends Recorder {
    protected override collectIncomingData(data: Uint8Array) {
      this.setTerminator("\r\n");
      super.collectIncomingData(data);
    }
  }
  const clock = new FakeClock();
  const [conn, peer] = memoryPair();
  const chat = new ResetsTerminator(conn, { clock, frameTimeoutMs: 1_000 });
  const over = chat.run();
  let sent = 0;
  for (; sent < 50 && chat.state === "open"; sent++) {
    await peer.send("x").catch(() => {});
    await passTime(clock, 100);
  }
  assertInstanceOf(chat.closeReason, ChatTimeoutError);
  assertEquals({ kind: chat.closeReason.kind, inTime: sent >= 10 && sent <= 12 }, { kind: "frame", inTime: true });
  peer.close();
  await over;
});

Deno.test("AsyncChat stops dispatching and reading while output is above highWaterMark", async () => {
  const [conn, peer] = memoryPair({ capacity: 100 });
  const chat = new Recorder(conn, { highWaterMark: 150 });
  chat.onFrame = () => chat.push("x".repeat(200));
  const over = chat.run();
  await peer.send("a\r\nb\r\nc\r\n");
  await flushMicrotasks();
  const reads = conn.calls.read;
  await peer.send("d\r\n");
  await flushMicrotasks();
  assertEquals({ events: chat.events, bufferedAmount: chat.bufferedAmount, reads: conn.calls.read }, {
    events: ["connect", "frame a", "frame b"],
    bufferedAmount: 300,
    reads,
  });
  assertEquals((await peer.receive(800)).length, 800);
  await flushMicrotasks();
  assertEquals(chat.events.slice(3), ["frame c", "frame d"]);
  peer.close();
  await over;
});

Deno.test("AsyncChat.push() returns false after a frame that is too long has ended the chat", async () => {
  const [conn, peer] = memoryPair();
  const chat = new Recorder(conn, { maxFrameBytes: 5 });
  chat.onTooLong = () => {};
  const over = chat.run();
  await peer.send("123456");
  await flushMicrotasks();
  assertEquals(chat.state, "closing");
  assertEquals(chat.push("a broadcast"), false);
  peer.close();
  await over;
  chat.close(); // too late to be the reason
  chat.closeWhenDone();
  assertEquals({ pushed: chat.push("a broadcast"), bytesSent: chat.bytesSent }, { pushed: false, bytesSent: 0 });
});
