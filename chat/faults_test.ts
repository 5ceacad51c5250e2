import { assert, assertEquals, assertInstanceOf, assertStrictEquals } from "@std/assert";
import { AsyncChat, type ProducerLike } from "../mod.ts";
import { FakeClock, memoryPair, scriptedConn } from "../testing/mod.ts";
import { flushMicrotasks, Recorder } from "../tests/recorder.ts";

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
  await flushMicrotasks();
  assertEquals(chat.state, "open");
  clock.advance(2_000);
  await over;
  assertEquals(chat.reasons, [error]);
  peer.close();
});

Deno.test("AsyncChat takes a read of nothing for no end, and a hundred in a row for a broken connection", async () => {
  const conn = { read: () => Promise.resolve(0), write: (p: Uint8Array) => Promise.resolve(p.length), close() {} };
  const chat = new Recorder(conn);
  await chat.run();
  assertEquals(
    chat.reasons[0]?.message,
    "Cannot read: the connection returned 0 bytes 100 times in a row",
  );
});

Deno.test("AsyncChat does not trust the counts of a connection", async () => {
  for (const lie of [-1, 1.5, 1e9, NaN]) {
    const conn = { read: () => Promise.resolve(lie), write: (p: Uint8Array) => Promise.resolve(p.length), close() {} };
    const chat = new Recorder(conn);
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

Deno.test("AsyncChat.signal wakes a hook that waits when the chat is closed, and nobody is blamed", async () => {
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
  await flushMicrotasks();
  chat.close();
  done.resolve();
  await over;
  assertEquals(chat.errors, []);
  peer.close();
});

Deno.test("AsyncChat.pushWithProducer() when the peer is gone: one that fails in being told so is reported, and no rejection is left", async () => {
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
    const printed = await printedBy(async () => {
      chat.pushWithProducer(producer);
      await flushMicrotasks();
    });
    assertEquals(printed, [["Uncaught in a hook of Recorder:", vanished]]);
    assertEquals(chat.errors, []);
  }
});

Deno.test("AsyncChat.handleClose() is the last hook, also when a producer fails to be cancelled after it", async () => {
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
  const printed = await printedBy(async () => {
    cancelled.reject(late);
    await flushMicrotasks();
  });
  peer.close();
  assertEquals([chat.events, chat.errors], [["connect", "close"], []]);
  assertEquals(printed, [["Uncaught in a hook of Recorder:", late]]);
});
