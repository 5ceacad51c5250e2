import { assert, assertEquals, assertInstanceOf, assertStrictEquals } from "@std/assert";
import { AsyncChat, type ProducerLike } from "../mod.ts";
import { FakeClock, memoryPair, scriptedConn } from "../testing/mod.ts";
import { captureErrors } from "../tests/console.ts";
import { flushMicrotasks, Recorder } from "../tests/recorder.ts";

Deno.test("AsyncChat calls handleError with what a hook threw or rejected with", async () => {
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
    assertEquals({ events: chat.events, errors: chat.errors, reasons: chat.reasons }, {
      events: ["connect", "frame a", "close"],
      errors: [boom],
      reasons: [boom],
    });
  }
});

Deno.test("AsyncChat dispatches the next frame when handleError leaves the chat open", async () => {
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

Deno.test("AsyncChat.handleError() by default reports the error and closes the chat", async () => {
  class Faulty extends AsyncChat {
    protected override foundTerminator() {
      throw "not even an Error";
    }
  }
  const printed = await captureErrors(async () => {
    const { conn, written } = scriptedConn(["a\nb\n"]);
    const chat = new Faulty(conn);
    chat.setTerminator("\n");
    await chat.run();
    await written;
  });
  assertEquals(printed, [["Uncaught in a hook of Faulty: not even an Error"]]);
});

Deno.test("AsyncChat reports what handleError and handleClose throw, and still closes", async () => {
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
  const printed = await captureErrors(async () => {
    const { conn, written } = scriptedConn(["a\n"]);
    const chat = new Worse(conn);
    chat.setTerminator("\n");
    await chat.run();
    await written;
  });
  const second = ["Uncaught in a hook of Worse: Error: second"];
  assertEquals(printed, [second, second]);
});

Deno.test("AsyncChat dispatches the frames before a reset, then handleClose with its error", async () => {
  const [conn, peer] = memoryPair();
  const chat = new Recorder(conn);
  const over = chat.run();
  await peer.send("a\r\nb\r\nc");
  peer.reset();
  await over;
  assertEquals(chat.events, ["connect", "frame a", "frame b", "close"]);
  assertEquals(chat.reasons[0]?.name, "ConnectionReset");
});

Deno.test("AsyncChat dispatches received frames after a failed write, and aborts the signal", async () => {
  const error = new Error("cable cut");
  const { conn, written } = scriptedConn(["a\r\n", "b\r\n", "c\r\n"], { fail: { call: "write", nth: 1, error } });
  const chat = new Recorder(conn);
  chat.onFrame = (frame) => {
    if (frame === "a") chat.push("x");
    if (frame === "c") assertStrictEquals(chat.signal.reason, error);
  };
  await chat.run();
  await written;
  assertEquals({ events: chat.events, reasons: chat.reasons }, {
    events: ["connect", "frame a", "frame b", "frame c", "close"],
    reasons: [error],
  });
  assertEquals({ errors: chat.errors, writes: conn.calls.write }, { errors: [], writes: 1 });
});

Deno.test("AsyncChat closes two seconds after a failed write when the peer sends nothing", async () => {
  const error = new Error("cable cut");
  const clock = new FakeClock();
  const [conn, peer] = memoryPair({ fail: { call: "write", nth: 1, error } });
  const chat = new Recorder(conn, { clock });
  const over = chat.run();
  chat.push("x");
  await flushMicrotasks();
  assertEquals(chat.state, "open");
  clock.advance(2_000);
  await over;
  assertEquals(chat.reasons, [error]);
  peer.close();
});

Deno.test("AsyncChat ignores an empty read and closes after a hundred in a row", async () => {
  const conn = { read: () => Promise.resolve(0), write: (p: Uint8Array) => Promise.resolve(p.length), close() {} };
  const chat = new Recorder(conn);
  await chat.run();
  assertEquals(
    chat.reasons[0]?.message,
    "Cannot read: the connection returned 0 bytes 100 times in a row",
  );
});

Deno.test("AsyncChat closes with a RangeError when a connection returns an invalid count", async () => {
  for (const count of [-1, 1.5, 1e9, NaN]) {
    const conn = {
      read: () => Promise.resolve(count),
      write: (p: Uint8Array) => Promise.resolve(p.length),
      close() {},
    };
    const chat = new Recorder(conn);
    await chat.run();
    assertInstanceOf(chat.reasons[0], RangeError);
  }
});

Deno.test("AsyncChat calls handleClose with the error of a failed close", async () => {
  const error = new Error("no such thing");
  const { conn, written } = scriptedConn(["a\r\n"], { fail: { call: "close", nth: 1, error } });
  const chat = new Recorder(conn);
  await chat.run();
  assertEquals(chat.reasons, [error]);
  conn.close();
  await written;
});

Deno.test("AsyncChat ignores a connection that fails to disable Nagle's algorithm", async () => {
  const noDelayCalls: unknown[] = [];
  for (const noDelay of [true, false]) {
    const { conn, written } = scriptedConn(["a\r\n"]);
    const chat = new Recorder(
      Object.assign(conn, {
        setNoDelay(on: boolean) {
          noDelayCalls.push(on);
          throw new Error("gone");
        },
      }),
      { noDelay },
    );
    await chat.run();
    await written;
    assertEquals({ events: chat.events, reasons: chat.reasons }, {
      events: ["connect", "frame a", "eof", "close"],
      reasons: [undefined],
    });
  }
  assertEquals(noDelayCalls, [true]);
});

Deno.test("AsyncChat.close() aborts the signal, and the rejection of a pending hook is no error", async () => {
  const [conn, peer] = memoryPair();
  const chat = new Recorder(conn);
  chat.onFrame = () =>
    new Promise((_, reject) => chat.signal.addEventListener("abort", () => reject(chat.signal.reason)));
  const over = chat.run();
  await peer.send("a\r\n");
  await flushMicrotasks();
  assertEquals(chat.signal.aborted, false);
  chat.close(new Error("server stops"));
  await over;
  assertEquals({ last: chat.events.at(-1), errors: chat.errors, aborted: chat.signal.aborted }, {
    last: "close",
    errors: [],
    aborted: true,
  });
  peer.close();
});

Deno.test("AsyncChat.signal is aborted when first read after the end", async () => {
  const { conn, written } = scriptedConn([]);
  const chat = new Recorder(conn);
  await chat.run();
  await written;
  assert(chat.signal.aborted);
});

Deno.test("AsyncChat.push() in a hook that was pending at close() is no error", async () => {
  const [conn, peer] = memoryPair();
  const chat = new Recorder(conn);
  const done = Promise.withResolvers<void>();
  chat.onFrame = async () => {
    await done.promise;
    chat.push("too late");
  };
  const over = chat.run();
  await peer.send("a\r\n");
  await flushMicrotasks();
  chat.close();
  done.resolve();
  await over;
  assertEquals(chat.errors, []);
  peer.close();
});

Deno.test("AsyncChat.pushWithProducer() after the end reports a producer that fails to cancel", async () => {
  const vanished = new Error("file vanished");
  const broken: ProducerLike[] = [
    new ReadableStream({ start: (controller) => controller.error(vanished) }),
    {
      [Symbol.iterator]: () => ({
        next: () => ({ done: true, value: undefined }),
        return() {
          throw vanished;
        },
      }),
    },
  ];
  for (const producer of broken) {
    const [conn, peer] = memoryPair();
    const chat = new Recorder(conn);
    const over = chat.run();
    peer.close();
    await over;
    const printed = await captureErrors(async () => {
      chat.pushWithProducer(producer);
      await flushMicrotasks();
    });
    assertEquals(printed, [["Uncaught in a hook of Recorder: Error: file vanished"]]);
    assertEquals(chat.errors, []);
  }
});

Deno.test("AsyncChat calls no hook after handleClose, also when cancelling a producer fails", async () => {
  const [conn, peer] = memoryPair();
  const chat = new Recorder(conn);
  const over = chat.run();
  await flushMicrotasks();
  const cancelled = Promise.withResolvers<void>();
  chat.pushWithProducer(new ReadableStream({ cancel: () => cancelled.promise }));
  await flushMicrotasks();
  chat.close();
  await over;
  const late = new Error("late");
  const printed = await captureErrors(async () => {
    cancelled.reject(late);
    await flushMicrotasks();
  });
  peer.close();
  assertEquals({ events: chat.events, errors: chat.errors }, { events: ["connect", "close"], errors: [] });
  assertEquals(printed, [["Uncaught in a hook of Recorder: Error: late"]]);
});
