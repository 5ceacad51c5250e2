import { assertEquals, assertRejects, assertStrictEquals, assertThrows } from "@std/assert";
import { AsyncChat } from "./mod.ts";
import { everyCut, FakeClock, memoryPair, scriptedConn } from "./testing/mod.ts";
import { hasNet } from "./tests/permissions.ts";
import { bytes, flushMicrotasks, Recorder, text } from "./tests/recorder.ts";

/** What pushes return once a chat is closing or closed: nothing is queued. */
const NOT_QUEUED = { pushed: false, produced: false };

// ------------------------------------------------------------------------------------------------------------ order of hooks

Deno.test("AsyncChat.run() calls handleConnect, the hooks of frames, handleEof and handleClose", async () => {
  for (const pieces of everyCut(bytes("a\r\n\r\nb\r\n"))) {
    const { conn, written } = scriptedConn(pieces);
    const chat = new Recorder(conn);
    await chat.run();
    await written;
    assertEquals(chat.events, ["connect", "frame a", "frame ", "frame b", "eof", "close"]);
    assertEquals(chat.reasons, [undefined]);
    assertEquals({
      framesReceived: chat.framesReceived,
      bytesReceived: chat.bytesReceived,
      state: chat.state,
      closes: conn.calls.close,
    }, { framesReceived: 3, bytesReceived: 8, state: "closed", closes: 1 });
  }
});

Deno.test("AsyncChat.run() returns the same promise each call and runs the chat once", async () => {
  const { conn, written } = scriptedConn(["a\r\n"]);
  const chat = new Recorder(conn);
  const first = chat.run();
  assertStrictEquals(chat.run(), first);
  await first;
  assertStrictEquals(chat.run(), first);
  await written;
  assertEquals(chat.events, ["connect", "frame a", "eof", "close"]);
});

Deno.test("AsyncChat calls no hook before the fields of the subclass are initialized", async () => {
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

Deno.test("AsyncChat passes a held-back terminator prefix to the collector at EOF", async () => {
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
  assertEquals({ events: chat.events, reads: conn.calls.read }, { events: ["connect", "frame a"], reads: 1 });
  release();
  await flushMicrotasks();
  assertEquals({ events: chat.events, reads: conn.calls.read }, {
    events: ["connect", "frame a", "frame b"],
    reads: 1,
  });
  release();
  await flushMicrotasks();
  assertEquals(chat.events, ["connect", "frame a", "frame b", "frame c"]);
  release();
  peer.close();
  await over;
});

Deno.test("AsyncChat dispatches 100,000 frames of one read at a constant stack depth", async () => {
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
  assertEquals({ framesReceived: chat.framesReceived, depths: depths.size }, { framesReceived: 100_000, depths: 1 });
});

// ------------------------------------------------------------------------------------------------------------------- endings

Deno.test("AsyncChat.closeWhenDone() in a hook flushes, and dispatches no buffered frame", async () => {
  for (const pieces of everyCut(bytes("Q\r\nDEL ALL\r\n"))) {
    const { conn, written } = scriptedConn(pieces);
    const chat = new Recorder(conn);
    chat.onFrame = () => {
      chat.push("bye\r\n");
      chat.closeWhenDone();
      assertEquals({ pushed: chat.push("late"), produced: chat.pushWithProducer([bytes("late")]) }, NOT_QUEUED);
    };
    await chat.run();
    assertEquals({ events: chat.events, written: await written }, {
      events: ["connect", "frame Q", "close"],
      written: "bye\r\n",
    });
  }
});

Deno.test("AsyncChat.close() in a hook drops the queue and calls no hook but handleClose", async () => {
  const { conn, written } = scriptedConn(["QUIT\r\nDELETE ALL\r\n"]);
  const chat = new Recorder(conn);
  const reason = new Error("enough");
  chat.onFrame = () => {
    chat.push("never sent");
    chat.close(reason);
    assertEquals({ pushed: chat.push("late"), produced: chat.pushWithProducer([bytes("late")]) }, NOT_QUEUED);
    chat.close(new Error("too late to matter"));
  };
  await chat.run();
  assertEquals({ events: chat.events, reasons: chat.reasons, written: await written }, {
    events: ["connect", "frame QUIT", "close"],
    reasons: [reason],
    written: "",
  });
  assertEquals({ bufferedAmount: chat.bufferedAmount, closes: conn.calls.close }, { bufferedAmount: 0, closes: 1 });
});

Deno.test("AsyncChat.close() from outside calls handleClose after the running hook has settled", async () => {
  const [conn, peer] = memoryPair();
  const chat = new Recorder(conn);
  const done = Promise.withResolvers<void>();
  chat.onFrame = () => done.promise;
  const over = chat.run();
  await peer.send("a\r\n");
  await flushMicrotasks();
  chat.close();
  await flushMicrotasks();
  assertEquals({ events: chat.events, state: chat.state }, { events: ["connect", "frame a"], state: "closed" });
  done.resolve();
  await over;
  assertEquals(chat.events, ["connect", "frame a", "close"]);
  peer.close();
});

Deno.test("AsyncChat.close() before run() closes the connection; run() calls handleClose alone", async () => {
  const { conn, written } = scriptedConn(["a\r\n"]);
  const chat = new Recorder(conn);
  chat.close();
  assertEquals({ state: chat.state, closed: conn.closed }, { state: "closed", closed: true });
  await chat.run();
  assertEquals(chat.events, ["close"]);
  await written.catch(() => {}); // close() may cut off its peer in the middle of a write
});

Deno.test("AsyncChat.closeWhenDone() before run() flushes and dispatches nothing", async () => {
  const { conn, written } = scriptedConn(["a\r\n"]);
  const chat = new Recorder(conn);
  chat.push("421 Too many connections\r\n");
  chat.closeWhenDone();
  await chat.run();
  assertEquals({ events: chat.events, written: await written }, {
    events: ["close"],
    written: "421 Too many connections\r\n",
  });
});

Deno.test("AsyncChat.closeWhenDone() flushes, ends our side, and closes at the EOF of the peer", async () => {
  const [conn, peer] = memoryPair();
  const clock = new FakeClock();
  const chat = new Recorder(conn, { clock, writeTimeoutMs: 0 });
  const over = chat.run();
  chat.push("bye");
  chat.closeWhenDone();
  assertEquals(await peer.receiveText(), "bye"); // up to EOF: our side has ended
  await peer.send("x".repeat(60_000)); // without a reset while it still sends
  assertEquals({ state: chat.state, closed: conn.closed, timers: clock.pending }, {
    state: "closing",
    closed: false,
    timers: 1,
  });
  await peer.closeWrite();
  await over;
  assertEquals({ events: chat.events, closed: conn.closed, timers: clock.pending }, {
    events: ["connect", "close"],
    closed: true,
    timers: 0,
  });
  peer.close();
});

Deno.test("AsyncChat.closeWhenDone() closes after two seconds when the peer does not end", async () => {
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
  assertEquals({ closed: conn.closed, reasons: chat.reasons }, { closed: true, reasons: [undefined] });
  peer.close();
});

Deno.test("AsyncChat.closeWhenDone() from outside lets a pending hook push its answer", async () => {
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
  assertEquals({ pushed: chat.push("later"), produced: chat.pushWithProducer([bytes("later")]) }, NOT_QUEUED);
  peer.close();
  await over;
  assertEquals({ events: chat.events, errors: chat.errors }, { events: ["connect", "frame ask", "close"], errors: [] });
});

Deno.test("AsyncChat.closeWhenDone() reads while it flushes: a peer that only sends is not stuck", async () => {
  const [conn, peer] = memoryPair({ capacity: 10 }, { capacity: 10 });
  const chat = new Recorder(conn);
  chat.onFrame = () => {
    chat.push("x".repeat(100));
    chat.closeWhenDone();
  };
  const over = chat.run();
  await peer.send(`go\r\n${"y".repeat(1_000)}`); // all of it before the peer reads a byte
  assertEquals(await peer.receiveText(), "x".repeat(100));
  peer.close();
  await over;
});

Deno.test("AsyncChat.closeWrite() ends our side and still dispatches frames", async () => {
  const [conn, peer] = memoryPair();
  const chat = new Recorder(conn);
  chat.onConnect = () => {
    chat.push("question\r\n");
    chat.closeWrite();
    assertEquals({ pushed: chat.push("more"), produced: chat.pushWithProducer([bytes("more")]) }, NOT_QUEUED);
  };
  const over = chat.run();
  assertEquals(await peer.receiveText(), "question\r\n");
  await peer.send("answer\r\n");
  await flushMicrotasks();
  assertEquals({ events: chat.events, state: chat.state }, { events: ["connect", "frame answer"], state: "open" });
  peer.close();
  await over;
  assertEquals({ events: chat.events, reasons: chat.reasons }, {
    events: ["connect", "frame answer", "eof", "close"],
    reasons: [undefined],
  });
});

Deno.test("AsyncChat.closeWrite() throws a TypeError when the connection has no closeWrite()", () => {
  const chat = new Recorder(
    { read: () => Promise.resolve(null), write: () => Promise.resolve(0), close() {} },
  );
  assertThrows(() => chat.closeWrite(), TypeError, "Cannot close for writing: the connection has no closeWrite()");
});

Deno.test("AsyncChat.handleEof() can push to a peer that has ended its side", async () => {
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

Deno.test("AsyncChat.push() returns false and queues nothing when the peer is gone", async () => {
  const [conn, peer] = memoryPair();
  const chat = new Recorder(conn);
  const over = chat.run();
  peer.close();
  await over;
  assertEquals({ pushed: chat.push("late"), produced: chat.pushWithProducer([bytes("late")]) }, NOT_QUEUED);
  assertEquals(chat.bufferedAmount, 0);
});

Deno.test("AsyncChat[Symbol.asyncDispose]() flushes, closes and waits, also without run()", async () => {
  for (const runs of [true, false]) {
    const { conn, written } = scriptedConn([]);
    {
      await using chat = new Recorder(conn);
      if (runs) chat.run();
      chat.push("x");
    }
    assertEquals({ closed: conn.closed, written: await written }, { closed: true, written: "x" });
  }
});

// ------------------------------------------------------------------------------------------------------------- real sockets

/** Opens a TCP connection and returns both its ends. */
async function tcpPair(): Promise<[ours: Deno.TcpConn, theirs: Deno.TcpConn]> {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return await Promise.all([listener.accept(), Deno.connect({ hostname: "127.0.0.1", port: listener.addr.port })]);
}

Deno.test({
  name: "AsyncChat.closeWhenDone() delivers a 3 MB reply whole while the client still sends",
  ignore: !hasNet,
  async fn() {
    const [conn, client] = await tcpPair();
    const chat = new Recorder(conn);
    chat.onFrame = () => {
      chat.push(new Uint8Array(3_000_000).fill(65));
      chat.closeWhenDone();
    };
    const over = chat.run();
    const noise = new Uint8Array(16_384);
    await client.write(bytes("go\r\n"));
    let received = 0;
    const part = new Uint8Array(65_536);
    for (let count; (count = await client.read(part)) !== null; received += count) await client.write(noise);
    client.close();
    await over;
    assertEquals({ received, reasons: chat.reasons }, { received: 3_000_000, reasons: [undefined] });
  },
});

Deno.test({
  name: "AsyncChat.push() of 64 MiB arrives intact at a client with small reads",
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
    let received = 0;
    let wrong = 0;
    for (let count; (count = await client.read(part)) !== null; received += count) {
      for (let i = 0; i < count; i++) if (part[i] !== block[(received + i) % block.length]) wrong++;
    }
    client.close();
    await over;
    assertEquals({ received, wrong, bytesSent: chat.bytesSent }, {
      received: 64 * 1024 * 1024,
      wrong: 0,
      bytesSent: 64 * 1024 * 1024,
    });
  },
});

Deno.test({
  name: "AsyncChat dispatches the frames that came before a reset by the client",
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
  name: "AsyncChat over Deno.connect() talks to a server",
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

Deno.test("AsyncChat.collectIncomingRange() gets the data as a range of the buffer, at every cut", async () => {
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

Deno.test("AsyncChat.takeText() in handleClose returns what was collected before closeWhenDone()", async () => {
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
