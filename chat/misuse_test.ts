// Mistakes in hooks, and calls at unusual moments: each is reported or harmless.

import { assertEquals, assertStrictEquals } from "@std/assert";
import { ConnServer } from "../listener/conn_server.ts";
import { AsyncChat, ChatClosedError, type ChatConn } from "../mod.ts";
import { FakeClock, memoryPair, scriptedConn } from "../testing/mod.ts";
import { flushMicrotasks, Recorder } from "../tests/recorder.ts";

const BOOM = new Error("boom");

/** Wraps a connection to count calls of `close`. */
function countCloses(conn: ChatConn): { conn: ChatConn; closes: () => number } {
  let closes = 0;
  const counted: ChatConn = {
    read: (p) => conn.read(p),
    write: (p) => conn.write(p),
    closeWrite: () => conn.closeWrite!(),
    close() {
      closes++;
      conn.close();
    },
  };
  return { conn: counted, closes: () => closes };
}

/** Calls `onHook` with the name of the hook in every hook but `handleClose`. */
class Acting extends AsyncChat {
  readonly events: string[] = [];
  readonly errors: unknown[] = [];
  reason: Error | undefined;
  readonly #onHook: (chat: AsyncChat, hook: string) => void | Promise<void>;

  constructor(conn: ChatConn, onHook: (chat: AsyncChat, hook: string) => void | Promise<void>) {
    super(conn);
    this.#onHook = onHook;
  }
  protected override handleConnect() {
    this.setTerminator("\n", { maxFrameBytes: 4, onTooLong: "discard" });
    return this.#act("handleConnect");
  }
  protected override collectIncomingData(data: Uint8Array) {
    super.collectIncomingData(data);
    return this.#act("collectIncomingData");
  }
  protected override foundTerminator() {
    this.push(`${this.takeText()}\n`);
    return this.#act("foundTerminator");
  }
  protected override frameTooLong() {
    return this.#act("frameTooLong");
  }
  protected override handleEof() {
    const waiting = this.#act("handleEof");
    return waiting === undefined ? this.closeWhenDone() : waiting.then(() => this.closeWhenDone());
  }
  protected override handleError(error: unknown) {
    this.errors.push(error);
    this.close(error as Error);
  }
  protected override handleClose(reason?: Error) {
    this.events.push("handleClose");
    this.reason = reason;
  }
  #act(hook: string): void | Promise<void> {
    this.events.push(hook);
    return this.#onHook(this, hook);
  }
}

const HOOKS = ["handleConnect", "collectIncomingData", "foundTerminator", "frameTooLong", "handleEof"];
const SCRIPT = ["ab\ncd", "e\ntoo long\n\n", "fgh"];

Deno.test("AsyncChat.close() in any hook, at once or later, is followed by handleClose alone", async () => {
  for (const hook of HOOKS) {
    for (const waits of [false, true]) {
      for (const reason of [undefined, BOOM]) {
        const { conn, closes } = countCloses(scriptedConn(SCRIPT).conn);
        const chat = new Acting(conn, (chat, name) => {
          if (name !== hook) return;
          if (!waits) return chat.close(reason);
          return flushMicrotasks(3).then(() => chat.close(reason)).then(() => flushMicrotasks(3));
        });
        await chat.run();
        const what = `${hook}${waits ? ", later" : ""}`;
        assertEquals(chat.events.slice(chat.events.indexOf(hook)), [hook, "handleClose"], what);
        assertEquals({ closes: closes(), errors: chat.errors }, { closes: 1, errors: [] }, what);
        assertStrictEquals(chat.reason, reason, what);
      }
    }
  }
});

Deno.test("AsyncChat.close() from outside, in any turn, is followed by handleClose alone", async () => {
  for (const hooksWait of [false, true]) {
    for (let moment = 0, late = false; !late; moment++) {
      const { conn, closes } = countCloses(scriptedConn(SCRIPT).conn);
      const chat = new Acting(conn, () => hooksWait ? flushMicrotasks(2) : undefined);
      const over = chat.run();
      await flushMicrotasks(moment);
      late = chat.state === "closed";
      const eventsBefore = chat.events.length;
      chat.close(BOOM);
      await over;
      const what = `after ${moment} turns`;
      assertEquals(
        chat.events.slice(eventsBefore),
        late && chat.events[eventsBefore - 1] === "handleClose" ? [] : ["handleClose"],
        what,
      );
      assertEquals({ closes: closes(), errors: chat.errors }, { closes: 1, errors: [] }, what);
      assertStrictEquals(chat.reason, late ? undefined : BOOM, what);
    }
  }
});

Deno.test("AsyncChat.close() twice in handleTimeout, handleError or more() keeps the first reason", async () => {
  for (const hook of ["handleTimeout", "handleError", "handleClose", "more"]) {
    const clock = new FakeClock();
    const [ours, peer] = memoryPair();
    const { conn, closes } = countCloses(ours);
    const late = new Error("late");
    class Closing extends Recorder {
      protected override handleTimeout() {
        this.events.push("timeout");
        this.close(BOOM);
        this.close(late);
      }
      protected override handleClose(reason?: Error) {
        super.handleClose(reason);
        this.close(late);
      }
    }
    const chat = new Closing(conn, { clock, idleTimeoutMs: 1_000 });
    chat.onError = () => {
      chat.close(BOOM);
      chat.close(late);
    };
    chat.onFrame = () => {
      if (hook === "handleError") throw new Error("thrown by a hook");
      if (hook === "handleClose") chat.close(BOOM);
      const more = () => {
        chat.close(BOOM);
        return new Uint8Array(1);
      };
      if (hook === "more") chat.pushWithProducer({ more });
    };
    const over = chat.run();
    await flushMicrotasks();
    if (hook === "handleTimeout") clock.advance(2_000);
    else await peer.send("a\r\n");
    await over;
    assertEquals(chat.events, ["connect", hook === "handleTimeout" ? "timeout" : "frame a", "close"], hook);
    assertEquals({ closes: closes(), errorCount: chat.errors.length }, {
      closes: 1,
      errorCount: hook === "handleError" ? 1 : 0,
    }, hook);
    assertStrictEquals(chat.reasons[0], BOOM, hook);
    assertEquals({ received: await peer.receiveText(), timers: clock.pending }, { received: "", timers: 0 }, hook);
    peer.close();
  }
});

Deno.test("AsyncChat.push() in handleClose returns false, whichever side ended the chat", async () => {
  for (const isOwn of [false, true]) {
    class Parting extends Recorder {
      protected override handleClose(reason?: Error) {
        super.handleClose(reason);
        this.pushed = this.push("bye");
      }
      pushed: boolean | undefined;
    }
    const [conn, peer] = memoryPair();
    const chat = new Parting(conn);
    const over = chat.run();
    await flushMicrotasks();
    if (isOwn) chat.close();
    else peer.reset();
    await over;
    const { events, errors, pushed, bufferedAmount } = chat;
    assertEquals({ events, errors, pushed, bufferedAmount }, {
      events: ["connect", "close"],
      errors: [],
      pushed: false,
      bufferedAmount: 0,
    });
    if (isOwn) peer.close();
  }
});

Deno.test("AsyncChat.detach() a second time is a ChatClosedError, and the connection stays open", async () => {
  const [conn, peer] = memoryPair();
  const chat = new Recorder(conn);
  chat.onFrame = () => {
    chat.detach();
    chat.detach();
  };
  const over = chat.run();
  await peer.send("a\r\n");
  await over;
  assertEquals(chat.errors.map((error) => error instanceof ChatClosedError), [true]);
  assertEquals(chat.events, ["connect", "frame a", "close"]);
  conn.close(); // throws when it is closed
  peer.close();
});

Deno.test("AsyncChat with a hook that never settles does not delay shutdown past its deadline", async () => {
  const clock = new FakeClock();
  const [conn, peer] = memoryPair();
  const second = Promise.withResolvers<typeof conn>();
  const accepts = [Promise.resolve(conn), second.promise];
  const listener = {
    addr: { transport: "tcp", hostname: "127.0.0.1", port: 1 } as const,
    accept: () => accepts.shift()!,
    close: () => second.reject(new Error("closed")),
    ref() {},
    unref() {},
  };
  const stuck = Promise.withResolvers<void>();
  const server = new ConnServer(listener, { clock, drainTimeoutMs: 1_000 }, (conn) => {
    const chat = new Recorder(conn, { clock });
    chat.onFrame = () => {
      stuck.resolve();
      return new Promise(() => {});
    };
    return chat;
  });
  await peer.send("a\r\n");
  await stuck.promise;
  const over = server.shutdown();
  clock.advance(1_000);
  clock.advance(0);
  await over;
  assertEquals(server.connections, 0);
  assertEquals(await peer.receiveText(), "");
  peer.close();
  assertEquals(clock.pending, 0);
});

Deno.test("AsyncChat calls frameTooLong after an async collector that exceeded the limit settles", async () => {
  const order: string[] = [];
  class CollectsLater extends AsyncChat {
    protected override handleConnect() {
      this.setTerminator("\n", { maxFrameBytes: 2 });
    }
    protected override async collectIncomingData(data: Uint8Array) {
      order.push("collecting");
      super.collectIncomingData(data);
      super.collectIncomingData(data);
      await flushMicrotasks();
      order.push("collected");
    }
    protected override foundTerminator() {}
    protected override frameTooLong() {
      order.push("too long");
    }
  }
  await new CollectsLater(scriptedConn(["ab\n"]).conn).run();
  assertEquals(order, ["collecting", "collected", "too long"]);
});
