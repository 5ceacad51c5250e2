import { assertEquals, assertInstanceOf } from "@std/assert";
import { AsyncChat, FrameTooLongError } from "../mod.ts";
import { everyCut, memoryPair, scriptedConn } from "../testing/mod.ts";
import { bytes, flushMicrotasks, Recorder } from "../tests/recorder.ts";

Deno.test("AsyncChat.frameTooLong() by default ends the chat with the error, exactly at the limit it is not called", async () => {
  for (const pieces of everyCut(bytes("12345\r\n123456"))) {
    const { conn, written } = scriptedConn(pieces);
    const chat = new Recorder(conn, { maxFrameBytes: 5 });
    await chat.run();
    await written;
    assertEquals(chat.events, ["connect", "frame 12345", "too long 12345", "close"]);
    const [error] = chat.reasons;
    assertInstanceOf(error, FrameTooLongError);
    assertEquals([error.limit, error.received], [5, 6]);
  }
});

Deno.test("AsyncChat.frameTooLong() of your own is heard out, then the chat ends with the error", async () => {
  const { conn, written } = scriptedConn(["123456\r\nnext\r\n"]);
  const chat = new Recorder(conn, { maxFrameBytes: 5 });
  chat.onTooLong = () => chat.push("500 Line too long\r\n");
  await chat.run();
  assertEquals([chat.events, await written], [["connect", "too long 12345", "close"], "500 Line too long\r\n"]);
  assertInstanceOf(chat.reasons[0], FrameTooLongError);
});

Deno.test('AsyncChat.setTerminator() with onTooLong "discard" drops the long frame, and its tail is no frame', async () => {
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

Deno.test("AsyncChat bounds what is gathered over several frames, and in raw mode", async () => {
  class Hoarder extends Recorder {
    protected override foundTerminator() {}
  }
  for (const [terminator, sent] of [["\n", "1\n2\n3\n4\n5\n6\n"], [null, "123456"]] as const) {
    const { conn, written } = scriptedConn([sent]);
    const chat = new Hoarder(conn, { maxFrameBytes: 5 });
    chat.setTerminator(terminator);
    await chat.run();
    await written;
    assertInstanceOf(chat.reasons[0], FrameTooLongError, String(terminator));
  }
});

Deno.test("AsyncChat does not bound raw data that a collector of your own streams on", async () => {
  let seen = 0;
  class Sink extends AsyncChat {
    protected override collectIncomingData(data: Uint8Array) {
      seen += data.length;
    }
    protected override foundTerminator() {}
  }
  const { conn, written } = scriptedConn(["x".repeat(10_000)]);
  const chat = new Sink(conn, { maxFrameBytes: 5 });
  chat.setTerminator(null);
  await chat.run();
  await written;
  assertEquals(seen, 10_000);
});

Deno.test("AsyncChat discards raw data beyond the limit until a terminator is set, when that is the policy", async () => {
  const { conn, written } = scriptedConn(["123456789", "0123", "ab\r\n"]);
  const chat = new Recorder(conn);
  chat.setTerminator(null, { maxFrameBytes: 5, onTooLong: "discard" });
  chat.onTooLong = () => chat.setTerminator("\r\n");
  await chat.run();
  await written;
  assertEquals(chat.events, ["connect", "too long ", "frame 0123ab", "eof", "close"]);
});

Deno.test("AsyncChat stops dispatching and reading while more than highWaterMark waits to be written", async () => {
  const [conn, peer] = memoryPair({ capacity: 100 });
  const chat = new Recorder(conn, { highWaterMark: 150 });
  chat.onFrame = () => chat.push("x".repeat(200));
  const over = chat.run();
  await peer.send("a\r\nb\r\nc\r\n");
  await flushMicrotasks();
  const reads = conn.calls.read;
  await peer.send("d\r\n");
  await flushMicrotasks();
  assertEquals([chat.events, chat.bufferedAmount, conn.calls.read], [["connect", "frame a", "frame b"], 300, reads]);
  assertEquals((await peer.receive(800)).length, 800);
  await flushMicrotasks();
  assertEquals(chat.events.slice(3), ["frame c", "frame d"]);
  peer.close();
  await over;
});

Deno.test("AsyncChat.push() to a chat that its peer has brought to an end is no mistake of the sender's", async () => {
  const [conn, peer] = memoryPair();
  const chat = new Recorder(conn, { maxFrameBytes: 5 });
  chat.onTooLong = () => {};
  const over = chat.run();
  await peer.send("123456");
  await flushMicrotasks();
  assertEquals(chat.state, "closing");
  chat.push("a broadcast");
  peer.close();
  await over;
  chat.close(); // too late to be what ended it
  chat.closeWhenDone();
  chat.push("a broadcast");
  assertEquals(chat.bytesSent, 0);
});
