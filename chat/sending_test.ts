import { Buffer } from "node:buffer";
import { assertEquals, assertInstanceOf, assertThrows } from "@std/assert";
import { AsyncChat, ChatClosedError, type ProducerLike, SimpleProducer } from "../mod.ts";
import { memoryPair, scriptedConn } from "../testing/mod.ts";
import { bytes, flushMicrotasks, Recorder, text } from "../tests/recorder.ts";

// ------------------------------------------------------------------------------------------------------------------- sending

Deno.test("AsyncChat.push() keeps the order of pushes and producers of every kind", async () => {
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

Deno.test("AsyncChat.push() several times in one turn is one write", async () => {
  const { conn, written } = scriptedConn(["a\r\nb\r\nc\r\n"]);
  const chat = new Recorder(conn);
  chat.onFrame = (frame) => {
    chat.push(frame);
    chat.push(bytes("\r\n"));
  };
  await chat.run();
  assertEquals({ written: await written, writes: conn.calls.write }, { written: "a\r\nb\r\nc\r\n", writes: 1 });
});

Deno.test("AsyncChat.pushWithProducer() of a producer that throws closes the chat with its error", async () => {
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
  assertEquals({ errors: chat.errors, reasons: chat.reasons }, { errors: [boom], reasons: [boom] });
});

Deno.test("AsyncChat cancels a running producer with the error of the peer", async () => {
  const cancelReasons: unknown[] = [];
  const stream = new ReadableStream<Uint8Array>({
    pull(controller) {
      controller.enqueue(bytes("x".repeat(1_000)));
    },
    cancel(reason) {
      cancelReasons.push(reason);
    },
  });
  const [conn, peer] = memoryPair({ capacity: 100 });
  const chat = new Recorder(conn);
  chat.onConnect = () => chat.pushWithProducer(stream);
  const over = chat.run();
  await peer.receive(500);
  peer.reset();
  await over;
  assertEquals({ cancel: (cancelReasons[0] as Error).name, close: chat.reasons[0]?.name }, {
    cancel: "ConnectionReset",
    close: "ConnectionReset",
  });
});

Deno.test("AsyncChat.flushed() resolves when earlier pushes are written or the chat has ended", async () => {
  const [conn, peer] = memoryPair({ capacity: 4 });
  const chat = new Recorder(conn);
  await chat.flushed();
  const done: string[] = [];
  const over = chat.run();
  chat.push("123456");
  const first = chat.flushed().then(() => done.push("first"));
  chat.push("7".repeat(20_000));
  const second = chat.flushed().then(() => done.push("second"));
  await flushMicrotasks();
  assertEquals(done, []);
  await peer.receive(2);
  await first;
  assertEquals({ done, isSecondQueued: chat.bufferedAmount > 19_000 }, { done: ["first"], isSecondQueued: true });
  chat.close();
  await second;
  await over;
  assertEquals({ done, bufferedAmount: chat.bufferedAmount }, { done: ["first", "second"], bufferedAmount: 0 });
  peer.close();
});

Deno.test("AsyncChat.flushed() resolves in a hook while output above highWaterMark stops reading", async () => {
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

Deno.test("AsyncChat.discardBuffers() drops input, collected data and output; the chat goes on", async () => {
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
  await flushMicrotasks();
  await peer.send("c\r\n");
  await flushMicrotasks();
  assertEquals(chat.events, ["connect", "frame a", "frame c"]);
  chat.push("z");
  assertEquals(await peer.receiveText(1), "z");
  peer.close();
  await over;
});

Deno.test("AsyncChat.detach() in a hook returns what another chat needs to take over", async () => {
  const [conn, peer] = memoryPair();
  const first = new Recorder(conn);
  const second = Promise.withResolvers<Recorder>();
  first.onFrame = () => {
    first.push("upgrading\r\n");
    const { conn, unread, unsent } = first.detach();
    assertEquals({ unread: text(unread), unsent: unsent.map(text) }, { unread: "b\r\nc", unsent: ["upgrading\r\n"] });
    assertThrows(() => first.detach(), ChatClosedError, "Cannot detach");
    assertEquals(first.push("x"), false);
    const next = new Recorder(conn, { unread });
    for (const bytes of unsent) next.push(bytes);
    second.resolve(next);
  };
  const firstOver = first.run();
  await peer.send("a\r\nb\r\nc");
  const next = await second.promise;
  await firstOver;
  assertEquals({ events: first.events, state: first.state, closed: conn.closed }, {
    events: ["connect", "frame a", "close"],
    state: "closed",
    closed: false,
  });
  const nextOver = next.run();
  await peer.send("\r\n");
  assertEquals(await peer.receiveText(11), "upgrading\r\n");
  peer.close();
  await nextOver;
  assertEquals(next.events, ["connect", "frame b", "frame c", "eof", "close"]);
});

Deno.test("AsyncChat.detach() throws while a read, a write or a producer is pending", async () => {
  const [conn, peer] = memoryPair({ capacity: 1 });
  const chat = new Recorder(conn);
  chat.onFrame = async (frame) => {
    if (frame === "write") {
      chat.push("xyz");
      await flushMicrotasks();
      assertThrows(() => chat.detach(), TypeError, "Cannot detach: a write is pending");
      chat.discardBuffers(); // a pending write may still reach the peer in part
      assertThrows(() => chat.detach(), TypeError, "Cannot detach: a write is pending");
    } else {
      await peer.receive(2); // one byte written, and one of the pending write
      await flushMicrotasks();
      chat.pushWithProducer([bytes("x")]);
      assertThrows(() => chat.detach(), TypeError, "Cannot detach: a producer is queued");
    }
  };
  const over = chat.run();
  await flushMicrotasks();
  assertThrows(() => chat.detach(), TypeError, "Cannot detach: a read or a handshake is pending");
  await peer.send("write\r\n");
  await flushMicrotasks();
  await peer.send("produce\r\n");
  await flushMicrotasks(300);
  assertEquals(chat.errors, []);
  assertEquals(chat.events, ["connect", "frame write", "frame produce"]);
  chat.close();
  await over;
  peer.close();
});

Deno.test("AsyncChat.run() without a terminator throws a TypeError, and can be called again", async () => {
  class NoTerminator extends AsyncChat {
    protected override foundTerminator() {}
  }
  const { conn, written } = scriptedConn(["a\n"]);
  const chat = new NoTerminator(conn);
  assertThrows(() => chat.run(), TypeError, "Cannot run the chat: no terminator is set");
  chat.setTerminator("\n");
  await chat.run();
  await written;
  assertEquals(chat.framesReceived, 1);
});

Deno.test("AsyncChat.run() calls handleError when an overridden handleConnect sets no terminator", async () => {
  const errors: unknown[] = [];
  class SetsNoTerminator extends AsyncChat {
    protected override async handleConnect() {
      await Promise.resolve();
    }
    protected override foundTerminator() {}
    protected override handleError(error: unknown) {
      errors.push(error);
    }
  }
  const { conn, written } = scriptedConn(["a\n"]);
  await new SetsNoTerminator(conn).run();
  await written;
  assertInstanceOf(errors[0], TypeError);
  assertEquals({ errorCount: errors.length, reads: conn.calls.read, closed: conn.closed }, {
    errorCount: 1,
    reads: 0,
    closed: true,
  });
});

Deno.test("AsyncChat rejects bad arguments at once with what was given and what is allowed", () => {
  const [conn, peer] = memoryPair();
  const chat = new Recorder(conn);
  const badCalls: [call: () => unknown, errorClass: new () => Error, message: string][] = [
    [() => chat.push(7 as never), TypeError, "Cannot push: expected string or Uint8Array, got number"],
    [() => chat.push([1, 2] as never), TypeError, "got Array"],
    [() => chat.push(undefined as never), TypeError, "got undefined"],
    [() => chat.push(new ArrayBuffer(1) as never), TypeError, "got ArrayBuffer"],
    [() => chat.setTerminator(-1), RangeError, "count is -1, expected a whole number of at least 0"],
    [() => chat.setTerminator(-0.5), RangeError, "count is -0.5"],
    [() => chat.setTerminator(NaN), RangeError, "count is NaN"],
    [() => chat.setTerminator(Infinity), RangeError, "count is Infinity"],
    [() => chat.setTerminator(2 ** 53), RangeError, "count is 9007199254740992"],
    [() => chat.setTerminator(""), TypeError, "expected one or more bytes, got none (raw is null)"],
    [() => chat.setTerminator(new Uint8Array(0)), TypeError, "expected one or more bytes, got none (raw is null)"],
    [() => chat.setTerminator([]), TypeError, "got an empty list"],
    [() => chat.setTerminator(["\n", ""]), TypeError, "got a list with an empty member"],
    [() => chat.setTerminator([5] as never), TypeError, "got number"],
    [() => chat.setTerminator(undefined as never), TypeError, "got undefined"],
    [() => chat.setTerminator(true as never), TypeError, "got boolean"],
    [() => chat.setTerminator("\n", { maxFrameBytes: 0 }), RangeError, "maxFrameBytes is 0"],
    [() => chat.setTerminator("\n", { onTooLong: "ignore" as never }), TypeError, 'onTooLong is "ignore"'],
    [() => chat.pushWithProducer(5 as never), TypeError, "Cannot push with a producer: expected Uint8Array, an object"],
    [() => chat.pushWithProducer("text" as never), TypeError, "got string"],
    [() => chat.pushWithProducer({} as never), TypeError, "got Object"],
    [() => new Recorder(conn, { maxFrameBytes: -1 }), RangeError, "Cannot create a chat: maxFrameBytes is -1"],
    [() => new Recorder(conn, { highWaterMark: 0.5 }), RangeError, "highWaterMark is 0.5"],
    [() => new Recorder(conn, { maxReadBytes: NaN }), RangeError, "maxReadBytes is NaN"],
    [
      () => new Recorder({ read() {} } as never),
      TypeError,
      "Cannot create a chat: expected a connection, got Object without write()",
    ],
    [
      () => new Recorder(undefined as never),
      TypeError,
      "Cannot create a chat: expected a connection, got undefined without read()",
    ],
  ];
  for (const [call, errorClass, message] of badCalls) assertThrows(call, errorClass, message);
  assertEquals(text(chat.getTerminator() as Uint8Array), "\r\n"); // a call that failed changed nothing
  conn.close();
  peer.close();
});

Deno.test("AsyncChat.getTerminator() returns what was set, or what is missing of a count", async () => {
  const [conn, peer] = memoryPair();
  const chat = new Recorder(conn);
  const over = chat.run();
  chat.setTerminator(5);
  await peer.send("abc");
  await flushMicrotasks();
  assertEquals(chat.getTerminator(), 2);
  await peer.send("de");
  await flushMicrotasks();
  assertEquals({
    terminator: chat.getTerminator(),
    matched: chat.matchedTerminator,
    last: chat.events.at(-1),
  }, { terminator: null, matched: null, last: "frame abcde" });
  chat.setTerminator(["\n", "\r\n"]);
  assertEquals((chat.getTerminator() as Uint8Array[]).map(text), ["\n", "\r\n"]);
  await peer.send("x\r\n");
  await flushMicrotasks();
  assertEquals(text(chat.matchedTerminator!), "\r\n");
  chat.setTerminator(null);
  assertEquals(chat.getTerminator(), null);
  chat.setTerminator(0);
  assertEquals(chat.getTerminator(), 0);
  await flushMicrotasks();
  assertEquals({ terminator: chat.getTerminator(), last: chat.events.at(-1) }, { terminator: null, last: "frame " });
  chat.setTerminator(65_537);
  assertEquals(chat.getTerminator(), 65_537, "above the limit, not rejected yet");
  await flushMicrotasks();
  assertEquals(chat.events.slice(-2), ["too long ", "close"]);
  peer.close();
  await over;
});

// ------------------------------------------------------------------------------------------- regressions

Deno.test("AsyncChat stops dispatching while more than 16 producers are queued", async () => {
  const [conn, peer] = memoryPair({ capacity: 10 });
  const chat = new Recorder(conn);
  chat.onFrame = () => chat.pushWithProducer([bytes("x".repeat(20_000))]);
  const over = chat.run();
  await peer.send("\r\n".repeat(100));
  await flushMicrotasks();
  assertEquals(chat.framesReceived, 17);
  await peer.receive(20_000);
  await flushMicrotasks();
  assertEquals(chat.framesReceived, 18);
  chat.close();
  await over;
  peer.close();
});

Deno.test("AsyncChat.push() after discardBuffers() does not wait for a discarded producer", async () => {
  const [conn, peer] = memoryPair({ capacity: 1 });
  const chat = new Recorder(conn);
  const over = chat.run();
  chat.push("ab");
  chat.pushWithProducer({ more: () => new Promise<Uint8Array>(() => {}) });
  await flushMicrotasks();
  chat.discardBuffers(); // while a write and the producer are pending
  chat.push("c");
  assertEquals(await peer.receiveText(3), "abc"); // the pending write was completed
  peer.close();
  await over;
});

Deno.test("AsyncChat.close() in a generator that is being pulled ends it without an error", async () => {
  const { conn, written } = scriptedConn([]);
  const chat = new Recorder(conn);
  let ended = false;
  chat.onConnect = () =>
    chat.pushWithProducer((function* () {
      try {
        yield bytes("a");
        chat.close();
        yield bytes("b");
      } finally {
        ended = true;
      }
    })());
  await chat.run();
  await written;
  await flushMicrotasks();
  assertEquals({ ended, errors: chat.errors, reasons: chat.reasons }, {
    ended: true,
    errors: [],
    reasons: [undefined],
  });
});

Deno.test("AsyncChat calls handleError once for a failed stream and does not call closeWrite", async () => {
  const { conn, written } = scriptedConn([]);
  const chat = new Recorder(conn);
  chat.onError = () => {};
  chat.onConnect = () => {
    chat.pushWithProducer(new ReadableStream({ pull: (controller) => controller.error("not even an Error") }));
    chat.closeWhenDone();
  };
  await chat.run();
  await written;
  assertEquals({ errors: chat.errors, closeWrites: conn.calls.closeWrite }, {
    errors: ["not even an Error"],
    closeWrites: 0,
  });
  assertEquals(chat.reasons[0]?.cause, "not even an Error");
});

Deno.test("AsyncChat copies the terminator and unread input, also of a node:buffer", async () => {
  const terminator = Buffer.from("\n");
  const unread = Buffer.from("a\nb\n");
  const { conn, written } = scriptedConn([]);
  const chat = new Recorder(conn, { unread });
  chat.setTerminator(terminator);
  terminator[0] = 0x78;
  unread.fill(0x79);
  await chat.run();
  await written;
  assertEquals(chat.events, ["connect", "frame a", "frame b", "eof", "close"]);
});

Deno.test("AsyncChat.close() ends a queued iterator, so that its stream is unlocked", async () => {
  const [conn, peer] = memoryPair();
  const chat = new Recorder(conn);
  const over = chat.run();
  let cancelled = 0;
  const stream = new ReadableStream<Uint8Array>({ cancel: () => void cancelled++ });
  chat.pushWithProducer({ more: () => new Promise<Uint8Array>(() => {}) });
  chat.pushWithProducer(stream.values());
  await flushMicrotasks();
  chat.close();
  await over;
  peer.close();
  await flushMicrotasks();
  assertEquals({ cancelled, locked: stream.locked }, { cancelled: 1, locked: false });
});

Deno.test("AsyncChat.push() behind a producer copies small bytes at once", async () => {
  const [conn, peer] = memoryPair();
  const chat = new Recorder(conn);
  const over = chat.run();
  chat.pushWithProducer([bytes("1")]);
  const small = bytes("a");
  chat.push(small);
  small.fill(0x62);
  chat.closeWhenDone();
  assertEquals(await peer.receiveText(), "1a");
  peer.close();
  await over;
});
