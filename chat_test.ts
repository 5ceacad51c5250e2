import { assert, assertEquals, assertInstanceOf, assertRejects, assertStrictEquals, assertThrows } from "@std/assert";
import {
  AsyncChat,
  ChatClosedError,
  type ChatOptions,
  FrameTooLongError,
  type ProducerLike,
  SimpleProducer,
} from "./mod.ts";
import { everyCut, FakeClock, type MemoryConn, memoryPair, scriptedConn } from "./testing/mod.ts";

/** Writes down every hook call; what a test wants done in one, it sets. */
class Recorder extends AsyncChat {
  readonly events: string[] = [];
  readonly reasons: (Error | undefined)[] = [];
  readonly errors: unknown[] = [];
  onConnect: () => void | Promise<void> = () => {};
  onFrame: (text: string) => void | Promise<void> = () => {};
  onTooLong: (error: FrameTooLongError) => void | Promise<void> = (error) => super.frameTooLong(error);
  onEof: () => void | Promise<void> = () => super.handleEof();
  onError: (error: unknown) => void = (error) => this.close(error as Error);

  constructor(conn: MemoryConn, options: ChatOptions = {}) {
    super(conn, options);
    this.setTerminator("\r\n");
  }
  protected override handleConnect() {
    this.events.push("connect");
    return this.onConnect();
  }
  protected override foundTerminator() {
    const text = this.takeText();
    this.events.push(`frame ${text}`);
    return this.onFrame(text);
  }
  protected override frameTooLong(error: FrameTooLongError) {
    this.events.push(`too long ${this.takeText()}`);
    return this.onTooLong(error);
  }
  protected override handleEof() {
    const rest = this.takeText();
    this.events.push(rest === "" ? "eof" : `eof ${rest}`);
    return this.onEof();
  }
  protected override handleError(error: unknown) {
    this.errors.push(error);
    this.onError(error);
  }
  protected override handleClose(reason?: Error) {
    this.events.push("close");
    this.reasons.push(reason);
  }
}

/** Lets everything happen that needs no time. */
async function turns(count = 50) {
  for (let i = 0; i < count; i++) await Promise.resolve();
}

const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
const bytes = (text: string) => new TextEncoder().encode(text);

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
  await turns();
  await peer.send("c\r\n");
  await turns();
  assertEquals([chat.events, conn.calls.read], [["connect", "frame a"], 1]);
  release();
  await turns();
  assertEquals([chat.events, conn.calls.read], [["connect", "frame a", "frame b"], 1]);
  release();
  await turns();
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
  await turns();
  chat.close();
  await turns();
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
  const chat = new Recorder(conn, { clock });
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
  await turns();
  clock.advance(1_999);
  await turns();
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
  await turns();
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
  await turns();
  assertEquals([chat.events, chat.state], [["connect", "frame answer"], "open"]);
  peer.close();
  await over;
  assertEquals([chat.events.at(-2), chat.reasons], ["eof", [undefined]]);
});

Deno.test("AsyncChat.closeWrite() says so when the connection cannot", () => {
  const chat = new Recorder(
    { read: () => Promise.resolve(null), write: () => Promise.resolve(0), close() {} } as unknown as MemoryConn,
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

// -------------------------------------------------------------------------------------------------------------------- faults

Deno.test("AsyncChat.handleError() is told what a hook threw, at once or later, and the chat ends with it", async () => {
  const boom = new Error("boom");
  const throwing: (() => void | Promise<void>)[] = [
    () => {
      throw boom;
    },
    () => Promise.reject(boom),
  ];
  for (const hook of throwing) {
    const { conn, written } = scriptedConn(["a\r\nb\r\n"]);
    const chat = new Recorder(conn);
    chat.onFrame = hook;
    await chat.run();
    await written;
    assertEquals([chat.events, chat.errors, chat.reasons], [["connect", "frame a", "close"], [boom], [boom]]);
  }
});

Deno.test("AsyncChat.handleError() may leave the chat open: it goes on with the next frame", async () => {
  const { conn, written } = scriptedConn(["a\r\nb\r\n"]);
  const chat = new Recorder(conn);
  chat.onFrame = (frame) => {
    if (frame === "a") throw new Error("boom");
  };
  chat.onError = () => {};
  await chat.run();
  await written;
  assertEquals(chat.events, ["connect", "frame a", "frame b", "eof", "close"]);
});

Deno.test("AsyncChat.handleError() by default reports the error and ends this chat alone", async () => {
  class Faulty extends AsyncChat {
    protected override foundTerminator() {
      throw "not even an Error";
    }
  }
  const printed = await printedBy(async () => {
    const { conn, written } = scriptedConn(["a\nb\n"]);
    const chat = new Faulty(conn);
    chat.setTerminator("\n");
    await chat.run();
    await written;
  });
  assertEquals(printed, [["Uncaught in a hook of Faulty:", "not even an Error"]]);
});

Deno.test("AsyncChat.handleError() that throws, and handleClose() that does, are reported and end nothing else", async () => {
  class Worse extends AsyncChat {
    protected override foundTerminator() {
      throw new Error("first");
    }
    protected override handleError() {
      throw new Error("second");
    }
    protected override handleClose(reason?: Error) {
      throw new Error(`third, after ${reason?.message}`);
    }
  }
  const printed = await printedBy(async () => {
    const { conn, written } = scriptedConn(["a\n"]);
    const chat = new Worse(conn);
    chat.setTerminator("\n");
    await chat.run();
    await written;
  });
  assertEquals(printed.map(([, error]) => (error as Error).message), ["second", "second"]);
});

/** What `console.error` got meanwhile. */
async function printedBy(action: () => Promise<void>): Promise<unknown[][]> {
  const original = console.error;
  const printed: unknown[][] = [];
  console.error = (...values) => printed.push(values);
  try {
    await action();
  } finally {
    console.error = original;
  }
  return printed;
}

Deno.test("AsyncChat tells the frames that came before a reset, then handleClose with the network's error", async () => {
  const [conn, peer] = memoryPair();
  const chat = new Recorder(conn);
  const over = chat.run();
  await peer.send("a\r\nb\r\nc");
  peer.reset();
  await over;
  assertEquals(chat.events, ["connect", "frame a", "frame b", "close"]);
  assertEquals(chat.reasons[0]?.name, "ConnectionReset");
});

Deno.test("AsyncChat tells the frames that had come when a write fails, and aborts the signal", async () => {
  const error = new Error("cable cut");
  const { conn, written } = scriptedConn(["a\r\n", "b\r\n", "c\r\n"], { fail: { call: "write", nth: 1, error } });
  const chat = new Recorder(conn);
  chat.onFrame = (frame) => {
    if (frame === "a") chat.push("x");
    if (frame === "c") assertStrictEquals(chat.signal.reason, error);
  };
  await chat.run();
  await written;
  assertEquals([chat.events, chat.reasons], [["connect", "frame a", "frame b", "frame c", "close"], [error]]);
  assertEquals([chat.errors, conn.calls.write], [[], 1]);
});

Deno.test("AsyncChat ends two seconds after a failed write when the peer says nothing more", async () => {
  const error = new Error("cable cut");
  const clock = new FakeClock();
  const [conn, peer] = memoryPair({ fail: { call: "write", nth: 1, error } });
  const chat = new Recorder(conn, { clock });
  const over = chat.run();
  chat.push("x");
  await turns();
  assertEquals(chat.state, "open");
  clock.advance(2_000);
  await over;
  assertEquals(chat.reasons, [error]);
  peer.close();
});

Deno.test("AsyncChat takes a read of nothing for no end, and a hundred in a row for a broken connection", async () => {
  const conn = { read: () => Promise.resolve(0), write: (p: Uint8Array) => Promise.resolve(p.length), close() {} };
  const chat = new Recorder(conn as unknown as MemoryConn);
  await chat.run();
  assertEquals(
    chat.reasons[0]?.message,
    "Cannot read: 100 reads in a row gave 0 bytes, 1 or more or the end is wanted",
  );
});

Deno.test("AsyncChat does not trust the counts of a connection", async () => {
  for (const lie of [-1, 1.5, 1e9, NaN]) {
    const conn = { read: () => Promise.resolve(lie), write: (p: Uint8Array) => Promise.resolve(p.length), close() {} };
    const chat = new Recorder(conn as unknown as MemoryConn);
    await chat.run();
    assertInstanceOf(chat.reasons[0], RangeError);
  }
});

Deno.test("AsyncChat.handleClose() is told when closing itself failed", async () => {
  const error = new Error("no such thing");
  const { conn, written } = scriptedConn(["a\r\n"], { fail: { call: "close", nth: 1, error } });
  const chat = new Recorder(conn);
  await chat.run();
  assertEquals(chat.reasons, [error]);
  conn.close();
  await written;
});

Deno.test("AsyncChat goes on over a connection that cannot switch Nagle's algorithm off any more", async () => {
  const asked: unknown[] = [];
  for (const noDelay of [true, false]) {
    const { conn, written } = scriptedConn(["a\r\n"]);
    const chat = new Recorder(
      Object.assign(conn, {
        setNoDelay(on: boolean) {
          asked.push(on);
          throw new Error("gone");
        },
      }),
      { noDelay },
    );
    await chat.run();
    await written;
    assertEquals([chat.events.at(1), chat.reasons], ["frame a", [undefined]]);
  }
  assertEquals(asked, [true]);
});

// -------------------------------------------------------------------------------------------------------------------- signal

Deno.test("AsyncChat.signal wakes a hook that waits when the chat is closed, and nobody is blamed", async () => {
  const [conn, peer] = memoryPair();
  const chat = new Recorder(conn);
  chat.onFrame = () =>
    new Promise((_, reject) => chat.signal.addEventListener("abort", () => reject(chat.signal.reason)));
  const over = chat.run();
  await peer.send("a\r\n");
  await turns();
  assertEquals(chat.signal.aborted, false);
  chat.close(new Error("server stops"));
  await over;
  assertEquals([chat.events.at(-1), chat.errors, chat.signal.aborted], ["close", [], true]);
  peer.close();
});

Deno.test("AsyncChat.signal asked for after the end is aborted", async () => {
  const { conn, written } = scriptedConn([]);
  const chat = new Recorder(conn);
  await chat.run();
  await written;
  assert(chat.signal.aborted);
});

Deno.test("AsyncChat.push() in a hook that was waiting when the chat was closed blames nobody", async () => {
  const [conn, peer] = memoryPair();
  const chat = new Recorder(conn);
  const done = Promise.withResolvers<void>();
  chat.onFrame = async () => {
    await done.promise;
    chat.push("too late");
  };
  const over = chat.run();
  await peer.send("a\r\n");
  await turns();
  chat.close();
  done.resolve();
  await over;
  assertEquals(chat.errors, []);
  peer.close();
});

// -------------------------------------------------------------------------------------------------------------------- limits

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
  await turns();
  const reads = conn.calls.read;
  await peer.send("d\r\n");
  await turns();
  assertEquals([chat.events, chat.bufferedAmount, conn.calls.read], [["connect", "frame a", "frame b"], 300, reads]);
  assertEquals((await peer.receive(800)).length, 800);
  await turns();
  assertEquals(chat.events.slice(3), ["frame c", "frame d"]);
  peer.close();
  await over;
});

// ------------------------------------------------------------------------------------------------------------------- sending

Deno.test("AsyncChat.push() in one turn is one write, in order with producers of every kind", async () => {
  const kinds: Record<string, ProducerLike | Uint8Array> = {
    "more() at once": new SimpleProducer(bytes("simple "), 3),
    "more() as a promise": later(["later", " "]),
    iterable: [bytes("iter"), bytes(""), bytes("able ")],
    generator: (function* () {
      yield bytes("gener");
      yield bytes("ator ");
    })(),
    "async iterable": (async function* () {
      yield bytes("async ");
      await Promise.resolve();
      yield bytes("iterable ");
    })(),
    stream: new ReadableStream({
      start(controller) {
        controller.enqueue(bytes("stream "));
        controller.close();
      },
    }),
    bytes: bytes("bytes "),
  };
  const { conn, written } = scriptedConn([]);
  const chat = new Recorder(conn);
  chat.onConnect = () => {
    chat.push("begin ");
    chat.push(bytes("and "));
    for (const kind in kinds) {
      chat.pushWithProducer(kinds[kind]!);
      chat.push("| ");
    }
    chat.push("end");
  };
  await chat.run();
  assertEquals(
    await written,
    "begin and simple | later | iterable | generator | async iterable | stream | bytes | end",
  );
  assertEquals(chat.bytesSent, (await written).length);
});

function later(words: string[]) {
  return { more: () => Promise.resolve(bytes(words.shift() ?? "")) };
}

Deno.test("AsyncChat.push() in one turn is one write", async () => {
  const { conn, written } = scriptedConn(["a\r\nb\r\nc\r\n"]);
  const chat = new Recorder(conn);
  chat.onFrame = (frame) => {
    chat.push(frame);
    chat.push(bytes("\r\n"));
  };
  await chat.run();
  assertEquals([await written, conn.calls.write], ["a\r\nb\r\nc\r\n", 1]);
});

Deno.test("AsyncChat.pushWithProducer() that throws ends the chat with its error", async () => {
  const boom = new Error("disk");
  const { conn, written } = scriptedConn([]);
  const chat = new Recorder(conn);
  chat.onEof = () => {};
  chat.onError = () => {};
  chat.onConnect = () => {
    chat.pushWithProducer((function* () {
      yield bytes("half");
      throw boom;
    })());
    chat.push("never");
  };
  await chat.run();
  await written;
  assertEquals([chat.errors, chat.reasons], [[boom], [boom]]);
});

Deno.test("AsyncChat tells a producer at work that the peer has gone", async () => {
  const told: unknown[] = [];
  const stream = new ReadableStream<Uint8Array>({
    pull(controller) {
      controller.enqueue(bytes("x".repeat(1_000)));
    },
    cancel(reason) {
      told.push(reason);
    },
  });
  const [conn, peer] = memoryPair({ capacity: 100 });
  const chat = new Recorder(conn);
  chat.onConnect = () => chat.pushWithProducer(stream);
  const over = chat.run();
  await peer.receive(500);
  peer.reset();
  await over;
  assertEquals([(told[0] as Error).name, chat.reasons[0]?.name], ["ConnectionReset", "ConnectionReset"]);
});

Deno.test("AsyncChat.flushed() fulfils when what was pushed before is written, and when the chat is over", async () => {
  const [conn, peer] = memoryPair({ capacity: 4 });
  const chat = new Recorder(conn);
  await chat.flushed();
  const done: string[] = [];
  const over = chat.run();
  chat.push("123456");
  const first = chat.flushed().then(() => done.push("first"));
  chat.push("7".repeat(20_000));
  const second = chat.flushed().then(() => done.push("second"));
  await turns();
  assertEquals(done, []);
  await peer.receive(2);
  await first;
  assertEquals([done, chat.bufferedAmount > 19_000], [["first"], true]);
  chat.close();
  await second;
  await over;
  assertEquals([done, chat.bufferedAmount], [["first", "second"], 0]);
  peer.close();
});

Deno.test("AsyncChat.flushed() may be awaited in a hook, with reading at a stop", async () => {
  const [conn, peer] = memoryPair({ capacity: 10 });
  const chat = new Recorder(conn, { highWaterMark: 10 });
  chat.onFrame = async () => {
    chat.push("x".repeat(1_000));
    await chat.flushed();
    chat.closeWhenDone();
  };
  const over = chat.run();
  await peer.send("go\r\n");
  assertEquals((await peer.receive()).length, 1_000);
  peer.close();
  await over;
});

// ------------------------------------------------------------------------------------------------------------------- the rest

Deno.test("AsyncChat.discardBuffers() forgets input, what was gathered and output, and goes on", async () => {
  const [conn, peer] = memoryPair({ capacity: 1 });
  const chat = new Recorder(conn);
  chat.onFrame = (frame) => {
    if (frame !== "a") return;
    chat.push("reply");
    chat.discardBuffers();
    assertEquals(chat.bufferedAmount, 0);
  };
  const over = chat.run();
  await peer.send("a\r\nb\r\nhal");
  await turns();
  await peer.send("c\r\n");
  await turns();
  assertEquals(chat.events, ["connect", "frame a", "frame c"]);
  chat.push("z");
  assertEquals(await peer.receiveText(1), "z");
  peer.close();
  await over;
});

Deno.test("AsyncChat.detach() in a hook hands over the connection, the unread and the unsent, and another chat goes on", async () => {
  const [conn, peer] = memoryPair();
  const first = new Recorder(conn);
  const second = Promise.withResolvers<Recorder>();
  first.onFrame = () => {
    first.push("upgrading\r\n");
    const { conn, unread, unsent } = first.detach();
    assertEquals([text(unread), unsent.map(text)], ["b\r\nc", ["upgrading\r\n"]]);
    assertThrows(() => first.detach(), ChatClosedError, "Cannot detach");
    assertThrows(() => first.push("x"), ChatClosedError);
    const next = new Recorder(conn as MemoryConn, { unread });
    for (const bytes of unsent) next.push(bytes);
    second.resolve(next);
  };
  const firstOver = first.run();
  await peer.send("a\r\nb\r\nc");
  const next = await second.promise;
  await firstOver;
  assertEquals([first.events, first.state, conn.closed], [["connect", "frame a", "close"], "closed", false]);
  const nextOver = next.run();
  await peer.send("\r\n");
  assertEquals(await peer.receiveText(11), "upgrading\r\n");
  peer.close();
  await nextOver;
  assertEquals(next.events, ["connect", "frame b", "frame c", "eof", "close"]);
});

Deno.test("AsyncChat.detach() refuses while a read, a write or a producer is under way", async () => {
  const [conn, peer] = memoryPair({ capacity: 1 });
  const chat = new Recorder(conn);
  chat.onFrame = async (frame) => {
    if (frame === "write") {
      chat.push("xyz");
      await turns();
      assertThrows(() => chat.detach(), TypeError, "Cannot detach: a write is pending");
    } else {
      chat.discardBuffers();
      chat.pushWithProducer([bytes("x")]);
      assertThrows(() => chat.detach(), TypeError, "Cannot detach: a producer is queued");
    }
  };
  const over = chat.run();
  await turns();
  assertThrows(() => chat.detach(), TypeError, "Cannot detach: a read is pending");
  await peer.send("write\r\nproduce\r\n");
  await turns(200);
  assertEquals(chat.errors, []);
  assertEquals(chat.events, ["connect", "frame write", "frame produce"]);
  chat.close();
  await over;
  peer.close();
});

Deno.test("AsyncChat.run() without any terminator is a TypeError, and may be called again with one", async () => {
  class Plain extends AsyncChat {
    protected override foundTerminator() {}
  }
  const { conn, written } = scriptedConn(["a\n"]);
  const chat = new Plain(conn);
  assertThrows(() => chat.run(), TypeError, "Cannot run the chat: no terminator is set");
  chat.setTerminator("\n");
  await chat.run();
  await written;
  assertEquals(chat.framesReceived, 1);
});

Deno.test("AsyncChat.run() gives handleError the TypeError when handleConnect set no terminator either", async () => {
  const errors: unknown[] = [];
  class Forgetful extends AsyncChat {
    protected override async handleConnect() {
      await Promise.resolve();
    }
    protected override foundTerminator() {}
    protected override handleError(error: unknown) {
      errors.push(error);
    }
  }
  const { conn, written } = scriptedConn(["a\n"]);
  await new Forgetful(conn).run();
  await written;
  assertInstanceOf(errors[0], TypeError);
  assertEquals([errors.length, conn.calls.read, conn.closed], [1, 0, true]);
});

Deno.test("AsyncChat refuses bad arguments at once, and says what was given and what is wanted", () => {
  const [conn, peer] = memoryPair();
  const chat = new Recorder(conn);
  const wrong: [() => unknown, new () => Error, string][] = [
    [() => chat.push(7 as never), TypeError, "Cannot push: a number was given, a string or a Uint8Array is wanted"],
    [() => chat.push([1, 2] as never), TypeError, "an object of class Array was given"],
    [() => chat.push(undefined as never), TypeError, "undefined was given"],
    [() => chat.push(new ArrayBuffer(1) as never), TypeError, "an object of class ArrayBuffer was given"],
    [() => chat.setTerminator(-1), RangeError, "the count is -1, a whole number from 0 on is wanted"],
    [() => chat.setTerminator(-0.5), RangeError, "the count is -0.5"],
    [() => chat.setTerminator(NaN), RangeError, "the count is NaN"],
    [() => chat.setTerminator(Infinity), RangeError, "the count is Infinity"],
    [() => chat.setTerminator(65_537), RangeError, "the count is 65537, at most 65536 is wanted"],
    [() => chat.setTerminator([]), TypeError, "the list is empty"],
    [() => chat.setTerminator(["\n", ""]), TypeError, "the list has an empty member"],
    [() => chat.setTerminator([5] as never), TypeError, "a number was given"],
    [() => chat.setTerminator(undefined as never), TypeError, "undefined was given"],
    [() => chat.setTerminator(true as never), TypeError, "a boolean was given"],
    [() => chat.setTerminator("\n", { maxFrameBytes: 0 }), RangeError, "maxFrameBytes is 0"],
    [() => chat.setTerminator("\n", { onTooLong: "ignore" as never }), TypeError, 'onTooLong is "ignore"'],
    [() => chat.pushWithProducer(5 as never), TypeError, "Cannot push with a producer: a number was given"],
    [() => chat.pushWithProducer("text" as never), TypeError, "a string was given"],
    [() => chat.pushWithProducer({} as never), TypeError, "an object of class Object was given"],
    [() => new Recorder(conn, { maxFrameBytes: -1 }), RangeError, "Cannot make a chat: maxFrameBytes is -1"],
    [() => new Recorder(conn, { highWaterMark: 0.5 }), RangeError, "highWaterMark is 0.5"],
    [() => new Recorder(conn, { maxReadBytes: NaN }), RangeError, "maxReadBytes is NaN"],
    [
      () => new Recorder({ read() {} } as never),
      TypeError,
      "Cannot make a chat: an object of class Object has no write()",
    ],
    [() => new Recorder(undefined as never), TypeError, "Cannot make a chat: undefined has no read()"],
  ];
  for (const [call, errorClass, message] of wrong) assertThrows(call, errorClass, message);
  assertEquals(text(chat.getTerminator() as Uint8Array), "\r\n"); // a call that failed changed nothing
  conn.close();
  peer.close();
});

Deno.test("AsyncChat.getTerminator() gives back what was set, of a count what is still to come", async () => {
  const [conn, peer] = memoryPair();
  const chat = new Recorder(conn);
  const over = chat.run();
  chat.setTerminator(5);
  await peer.send("abc");
  await turns();
  assertEquals(chat.getTerminator(), 2);
  await peer.send("de");
  await turns();
  assertEquals([chat.getTerminator(), chat.matchedTerminator, chat.events.at(-1)], [null, null, "frame abcde"]);
  chat.setTerminator(["\n", "\r\n"]);
  assertEquals((chat.getTerminator() as Uint8Array[]).map(text), ["\n", "\r\n"]);
  await peer.send("x\r\n");
  await turns();
  assertEquals(text(chat.matchedTerminator!), "\r\n");
  for (const raw of [0, "", new Uint8Array(0), null]) {
    chat.setTerminator(raw);
    assertEquals(chat.getTerminator(), null);
  }
  peer.close();
  await over;
});

// ------------------------------------------------------------------------------------------------------------- real sockets

const net = (await Deno.permissions.query({ name: "net", host: "127.0.0.1" })).state === "granted";

/** A chat over one end of a TCP connection, and the other end. */
async function tcpPair(): Promise<[ours: Deno.TcpConn, theirs: Deno.TcpConn]> {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return await Promise.all([listener.accept(), Deno.connect({ hostname: "127.0.0.1", port: listener.addr.port })]);
}

Deno.test({
  name: "AsyncChat.closeWhenDone() delivers a 3 MB reply whole while the client is still sending",
  ignore: !net,
  async fn() {
    const [conn, client] = await tcpPair();
    const chat = new Recorder(conn as never);
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
  ignore: !net,
  async fn() {
    const [conn, client] = await tcpPair();
    const chat = new Recorder(conn as never);
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
  ignore: !net,
  async fn() {
    const [conn, client] = await tcpPair();
    const chat = new Recorder(conn as never);
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
  ignore: !net,
  async fn() {
    const [conn, peer] = await tcpPair();
    const chat = new Recorder(conn as never);
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
