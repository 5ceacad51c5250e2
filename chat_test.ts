import { assertEquals, assertRejects, assertStrictEquals, assertThrows } from "@std/assert";
import { AsyncChat, ChatClosedError } from "./mod.ts";
import { everyCut, FakeClock, memoryPair, scriptedConn } from "./testing/mod.ts";
import { hasNet } from "./tests/permissions.ts";
import { bytes, flushMicrotasks, Recorder, text } from "./tests/recorder.ts";

// ------------------------------------------------------------------------------------------------------------ order of hooks

Deno.test("AsyncChat.run() calls handleConnect first, then the frames, then handleEof, and handleClose last", async () => {
  for (const pieces of everyCut(bytes("a\r\n\r\nb\r\n"))) {
    const { conn, written } = scriptedConn(pieces);
    const chat = new Recorder(conn);
    await chat.run();
    await written;
    assertEquals(chat.events, ["connect", "frame a", "frame ", "frame b", "eof", "close"]);
    assertEquals(chat.reasons, [undefined]);
    assertEquals([chat.framesReceived, chat.bytesReceived, chat.state, conn.calls.close], [3, 8, "closed", 1]);
  }
});

Deno.test("AsyncChat.run() gives the same promise each call and runs the chat once", async () => {
  const { conn, written } = scriptedConn(["a\r\n"]);
  const chat = new Recorder(conn);
  const first = chat.run();
  assertStrictEquals(chat.run(), first);
  await first;
  assertStrictEquals(chat.run(), first);
  await written;
  assertEquals(chat.events, ["connect", "frame a", "eof", "close"]);
});

Deno.test("AsyncChat calls no hook before the fields of the subclass are set", async () => {
  class WithFields extends AsyncChat {
    readonly seen: string[] = [];
    readonly #greeting = "hi";
    protected override handleConnect() {
      this.seen.push(this.#greeting);
      this.setTerminator("\n");
    }
    protected override foundTerminator() {}
  }
  const { conn, written } = scriptedConn([]);
  const chat = new WithFields(conn);
  await chat.run();
  await written;
  assertEquals(chat.seen, ["hi"]);
});

Deno.test("AsyncChat gives what was held back for a terminator to the collector at the end of the stream", async () => {
  const { conn, written } = scriptedConn(["abc\r"]);
  const chat = new Recorder(conn);
  await chat.run();
  await written;
  assertEquals(chat.events, ["connect", "eof abc\r", "close"]);
});

Deno.test("AsyncChat runs one hook at a time and reads nothing meanwhile", async () => {
  const [conn, peer] = memoryPair();
  const chat = new Recorder(conn);
  let release = () => {};
  let running = 0;
  chat.onFrame = async () => {
    assertEquals(++running, 1);
    await new Promise<void>((resolve) => release = resolve);
    running--;
  };
  const over = chat.run();
  await peer.send("a\r\nb\r\n");
  await flushMicrotasks();
  await peer.send("c\r\n");
  await flushMicrotasks();
  assertEquals([chat.events, conn.calls.read], [["connect", "frame a"], 1]);
  release();
  await flushMicrotasks();
  assertEquals([chat.events, conn.calls.read], [["connect", "frame a", "frame b"], 1]);
  release();
  await flushMicrotasks();
  assertEquals(chat.events, ["connect", "frame a", "frame b", "frame c"]);
  release();
  peer.close();
  await over;
});

Deno.test("AsyncChat dispatches 100,000 frames of one read without a deeper stack", async () => {
  const { conn, written } = scriptedConn(["\n".repeat(100_000)], { capacity: Infinity });
  const depths = new Set<number>();
  class Deep extends AsyncChat {
    protected override foundTerminator() {
      if (this.framesReceived % 10_000 === 0) depths.add(new Error().stack!.split("\n").length);
    }
  }
  const chat = new Deep(conn, { maxReadBytes: 200_000 });
  chat.setTerminator("\n");
  await chat.run();
  await written;
  assertEquals([chat.framesReceived, depths.size], [100_000, 1]);
});

// ------------------------------------------------------------------------------------------------------------------- endings

Deno.test("AsyncChat.closeWhenDone() in a hook keeps buffered frames from being dispatched", async () => {
  for (const pieces of everyCut(bytes("Q\r\nDEL ALL\r\n"))) {
    const { conn, written } = scriptedConn(pieces);
    const chat = new Recorder(conn);
    chat.onFrame = () => {
      chat.push("bye\r\n");
      chat.closeWhenDone();
      assertThrows(() => chat.push("late"), ChatClosedError, "Cannot push: the chat is closed for sending");
    };
    await chat.run();
    assertEquals([chat.events, await written], [["connect", "frame Q", "close"], "bye\r\n"]);
  }
});

Deno.test("AsyncChat.close() in a hook drops the queue and every other hook but handleClose", async () => {
  const { conn, written } = scriptedConn(["QUIT\r\nDELETE ALL\r\n"]);
  const chat = new Recorder(conn);
  const reason = new Error("enough");
  chat.onFrame = () => {
    chat.push("never sent");
    chat.close(reason);
    assertThrows(() => chat.push("late"), ChatClosedError);
    chat.close(new Error("too late to matter"));
  };
  await chat.run();
  assertEquals([chat.events, chat.reasons, await written], [["connect", "frame QUIT", "close"], [reason], ""]);
  assertEquals([chat.bufferedAmount, conn.calls.close], [0, 1]);
});

Deno.test("AsyncChat.close() from outside waits with handleClose for the hook that is running", async () => {
  const [conn, peer] = memoryPair();
  const chat = new Recorder(conn);
  const done = Promise.withResolvers<void>();
  chat.onFrame = () => done.promise;
  const over = chat.run();
  await peer.send("a\r\n");
  await flushMicrotasks();
  chat.close();
  await flushMicrotasks();
  assertEquals([chat.events, chat.state], [["connect", "frame a"], "closed"]);
  done.resolve();
  await over;
  assertEquals(chat.events, ["connect", "frame a", "close"]);
  peer.close();
});

Deno.test("AsyncChat.close() before run() closes the connection, and run() then calls handleClose alone", async () => {
  const { conn, written } = scriptedConn(["a\r\n"]);
  const chat = new Recorder(conn);
  chat.close();
  assertEquals([chat.state, conn.closed], ["closed", true]);
  await chat.run();
  assertEquals(chat.events, ["close"]);
  await written.catch(() => {}); // its peer may have been cut off in the middle of a word
});

Deno.test("AsyncChat.closeWhenDone() before run() sends what was pushed and looks at nothing", async () => {
  const { conn, written } = scriptedConn(["a\r\n"]);
  const chat = new Recorder(conn);
  chat.push("421 Too many connections\r\n");
  chat.closeWhenDone();
  await chat.run();
  assertEquals([chat.events, await written], [["close"], "421 Too many connections\r\n"]);
});

Deno.test("AsyncChat.closeWhenDone() ends its side at once and the connection when the peer ends too", async () => {
  const [conn, peer] = memoryPair();
  const clock = new FakeClock();
  const chat = new Recorder(conn, { clock, writeTimeoutMs: 0 });
  const over = chat.run();
  chat.push("bye");
  chat.closeWhenDone();
  assertEquals(await peer.receiveText(), "bye"); // to its end: we have ended our side
  await peer.send("x".repeat(200_000)); // and are not reset while the peer still talks
  assertEquals([chat.state, conn.closed, clock.pending], ["closing", false, 1]);
  await peer.closeWrite();
  await over;
  assertEquals([chat.events, conn.closed, clock.pending], [["connect", "close"], true, 0]);
  peer.close();
});

Deno.test("AsyncChat.closeWhenDone() waits two seconds for a peer that does not end", async () => {
  const [conn, peer] = memoryPair();
  const clock = new FakeClock();
  const chat = new Recorder(conn, { clock });
  const over = chat.run();
  chat.closeWhenDone();
  await flushMicrotasks();
  clock.advance(1_999);
  await flushMicrotasks();
  assertEquals(conn.closed, false);
  clock.advance(1);
  await over;
  assertEquals([conn.closed, chat.reasons], [true, [undefined]]);
  peer.close();
});

Deno.test("AsyncChat.closeWhenDone() from outside lets the hook that waits push its answer", async () => {
  const [conn, peer] = memoryPair();
  const chat = new Recorder(conn);
  const answer = Promise.withResolvers<string>();
  chat.onFrame = async () => chat.push(await answer.promise);
  const over = chat.run();
  await peer.send("ask\r\nagain\r\n");
  await flushMicrotasks();
  chat.closeWhenDone();
  answer.resolve("the answer");
  assertEquals(await peer.receiveText(), "the answer");
  assertThrows(() => chat.push("later"), ChatClosedError);
  peer.close();
  await over;
  assertEquals([chat.events, chat.errors], [["connect", "frame ask", "close"], []]);
});

Deno.test("AsyncChat.closeWhenDone() reads on while it sends, so that a peer that only sends is not stuck", async () => {
  const [conn, peer] = memoryPair({ capacity: 10 }, { capacity: 10 });
  const chat = new Recorder(conn);
  chat.onFrame = () => {
    chat.push("x".repeat(100));
    chat.closeWhenDone();
  };
  const over = chat.run();
  await peer.send(`go\r\n${"y".repeat(1_000)}`); // all of it before it reads a byte
  assertEquals(await peer.receiveText(), "x".repeat(100));
  peer.close();
  await over;
});

Deno.test("AsyncChat.closeWrite() ends our side and hears the rest", async () => {
  const [conn, peer] = memoryPair();
  const chat = new Recorder(conn);
  chat.onConnect = () => {
    chat.push("last question\r\n");
    chat.closeWrite();
    assertThrows(() => chat.push("one more"), ChatClosedError);
  };
  const over = chat.run();
  assertEquals(await peer.receiveText(), "last question\r\n");
  await peer.send("answer\r\n");
  await flushMicrotasks();
  assertEquals([chat.events, chat.state], [["connect", "frame answer"], "open"]);
  peer.close();
  await over;
  assertEquals([chat.events.at(-2), chat.reasons], ["eof", [undefined]]);
});

Deno.test("AsyncChat.closeWrite() says so when the connection cannot", () => {
  const chat = new Recorder(
    { read: () => Promise.resolve(null), write: () => Promise.resolve(0), close() {} },
  );
  assertThrows(() => chat.closeWrite(), TypeError, "Cannot close for writing: the connection has no closeWrite()");
});

Deno.test("AsyncChat.handleEof() may go on sending: the connection is half closed", async () => {
  const [conn, peer] = memoryPair();
  const chat = new Recorder(conn);
  chat.onEof = () => chat.push("still here");
  const over = chat.run();
  await peer.closeWrite();
  assertEquals(await peer.receiveText(10), "still here");
  assertEquals(chat.state, "open");
  chat.closeWhenDone();
  await over;
  assertEquals(chat.events, ["connect", "eof", "close"]);
  peer.close();
});

Deno.test("AsyncChat.push() does nothing when the peer is gone, so that a broadcast reaches the others", async () => {
  const [conn, peer] = memoryPair();
  const chat = new Recorder(conn);
  const over = chat.run();
  peer.close();
  await over;
  chat.push("to nobody");
  chat.pushWithProducer([bytes("to nobody")]);
  assertEquals(chat.bufferedAmount, 0);
});

Deno.test("AsyncChat[Symbol.asyncDispose]() closes when done and waits, also for a chat that never ran", async () => {
  for (const runs of [true, false]) {
    const { conn, written } = scriptedConn([]);
    {
      await using chat = new Recorder(conn);
      if (runs) chat.run();
      chat.push("x");
    }
    assertEquals([conn.closed, await written], [true, "x"]);
  }
});

// ------------------------------------------------------------------------------------------------------------- real sockets

/** A chat over one end of a TCP connection, and the other end. */
async function tcpPair(): Promise<[ours: Deno.TcpConn, theirs: Deno.TcpConn]> {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return await Promise.all([listener.accept(), Deno.connect({ hostname: "127.0.0.1", port: listener.addr.port })]);
}

Deno.test({
  name: "AsyncChat.closeWhenDone() delivers a 3 MB reply whole while the client is still sending",
  ignore: !hasNet,
  async fn() {
    const [conn, client] = await tcpPair();
    const chat = new Recorder(conn);
    chat.onFrame = () => {
      chat.push(new Uint8Array(3_000_000).fill(65));
      chat.closeWhenDone();
    };
    const over = chat.run();
    let answered = false;
    const sending = (async () => {
      const noise = new Uint8Array(16_384);
      await client.write(bytes("go\r\n"));
      while (!answered) await client.write(noise);
    })();
    let received = 0;
    const part = new Uint8Array(65_536);
    for (let count; (count = await client.read(part)) !== null;) received += count;
    answered = true;
    await sending;
    client.close();
    await over;
    assertEquals([received, chat.reasons], [3_000_000, [undefined]]);
  },
});

Deno.test({
  name: "AsyncChat.push() of 64 MiB arrives intact at a reader that takes little at a time",
  ignore: !hasNet,
  async fn() {
    const [conn, client] = await tcpPair();
    const chat = new Recorder(conn, { maxBufferedBytes: 64 * 1024 * 1024 });
    const words = new Uint32Array(4 * 1024 * 1024).map((_, i) => Math.imul(i, 2_654_435_761));
    const block = new Uint8Array(words.buffer); // 16 MiB
    chat.onConnect = () => {
      for (let i = 0; i < 4; i++) chat.push(block);
      chat.closeWhenDone();
    };
    const over = chat.run();
    const part = new Uint8Array(10_007);
    let at = 0;
    let wrong = 0;
    for (let count; (count = await client.read(part)) !== null; at += count) {
      for (let i = 0; i < count; i++) if (part[i] !== block[(at + i) % block.length]) wrong++;
    }
    client.close();
    await over;
    assertEquals([at, wrong, chat.bytesSent], [64 * 1024 * 1024, 0, 64 * 1024 * 1024]);
  },
});

Deno.test({
  name: "AsyncChat tells the frames that came before a client's reset",
  ignore: !hasNet,
  async fn() {
    const [conn, client] = await tcpPair();
    const chat = new Recorder(conn);
    chat.onFrame = () => chat.push("x".repeat(1_000));
    const frames = "a\r\n".repeat(1_000);
    await client.write(bytes(frames));
    client.close(); // with our answers unread: a reset
    await chat.run();
    assertEquals(chat.framesReceived, 1_000);
  },
});

Deno.test({
  name: "AsyncChat over Deno.connect() is a client",
  ignore: !hasNet,
  async fn() {
    const [conn, peer] = await tcpPair();
    const chat = new Recorder(conn);
    chat.onConnect = () => chat.push("hello\r\n");
    chat.onFrame = () => chat.closeWhenDone();
    const over = chat.run();
    const part = new Uint8Array(100);
    assertEquals(text(part.subarray(0, (await peer.read(part))!)), "hello\r\n");
    await peer.write(bytes("world\r\n"));
    assertEquals(await peer.read(part), null);
    peer.close();
    await over;
    assertEquals(chat.events, ["connect", "frame world", "close"]);
    await assertRejects(() => conn.read(part), Deno.errors.BadResource);
  },
});

Deno.test("AsyncChat.collectIncomingRange() gets the data as a range of the buffer, however it is cut", async () => {
  class Ranges extends AsyncChat {
    readonly frames: string[] = [""];
    protected override handleConnect() {
      this.setTerminator("\r\n");
    }
    protected override collectIncomingRange(buffer: Uint8Array, start: number, end: number) {
      this.frames[this.frames.length - 1] += text(buffer.subarray(start, end));
    }
    protected override foundTerminator() {
      this.frames.push("");
    }
  }
  for (const pieces of everyCut(bytes("ab\r\n\r\nc\r\r\n"))) {
    const { conn, written } = scriptedConn(pieces);
    const chat = new Ranges(conn);
    await chat.run();
    await written;
    assertEquals(chat.frames, ["ab", "", "c\r", ""]);
  }
});

Deno.test("AsyncChat.takeText() in handleClose gives what had been gathered, whatever came after it", async () => {
  class Late extends AsyncChat {
    rest = "";
    protected override handleConnect() {
      this.setTerminator("!");
    }
    protected override foundTerminator() {
      this.closeWhenDone();
    }
    protected override handleClose() {
      this.rest = this.takeText();
    }
  }
  const { conn, written } = scriptedConn(["abc!dropped", "dropped too"]);
  const chat = new Late(conn);
  await chat.run();
  await written;
  assertEquals(chat.rest, "abc");
});
