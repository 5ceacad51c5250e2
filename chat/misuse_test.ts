// What the author of a hook may do wrong, or do when nobody would expect it: it is caught, told clearly, or harmless.

import { assertEquals, assertStrictEquals } from "@std/assert";
import { ConnServer } from "../listener/conn_server.ts";
import { AsyncChat, ChatClosedError, type ChatConn } from "../mod.ts";
import { FakeClock, memoryPair, scriptedConn } from "../testing/mod.ts";
import { flushMicrotasks, Recorder } from "../tests/recorder.ts";

const BOOM = new Error("boom");

/** Counts how often a connection is closed. */
function counting(conn: ChatConn): { conn: ChatConn; closes: () => number } {
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

/** A chat in all of whose hooks, `handleClose` left out, something is done: `act` gets the name of the hook. */
class Acting extends AsyncChat {
  readonly events: string[] = [];
  readonly errors: unknown[] = [];
  reason: Error | undefined;
  readonly #act: (chat: AsyncChat, hook: string) => void | Promise<void>;

  constructor(conn: ChatConn, act: (chat: AsyncChat, hook: string) => void | Promise<void>) {
    super(conn);
    this.#act = act;
  }
  protected override handleConnect() {
    this.setTerminator("\n", { maxFrameBytes: 4, onTooLong: "discard" });
    return this.#tell("handleConnect");
  }
  protected override collectIncomingData(data: Uint8Array) {
    super.collectIncomingData(data);
    return this.#tell("collectIncomingData");
  }
  protected override foundTerminator() {
    this.push(`${this.takeText()}\n`);
    return this.#tell("foundTerminator");
  }
  protected override frameTooLong() {
    return this.#tell("frameTooLong");
  }
  protected override handleEof() {
    const waiting = this.#tell("handleEof");
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
  #tell(hook: string): void | Promise<void> {
    this.events.push(hook);
    return this.#act(this, hook);
  }
}

const HOOKS = ["handleConnect", "collectIncomingData", "foundTerminator", "frameTooLong", "handleEof"];
const SCRIPT = ["ab\ncd", "e\ntoo long\n\n", "fgh"];

Deno.test("AsyncChat.close() in any hook, at once or after a wait, is followed by handleClose alone", async () => {
  for (const hook of HOOKS) {
    for (const waits of [false, true]) {
      for (const reason of [undefined, BOOM]) {
        const { conn, closes } = counting(scriptedConn(SCRIPT).conn);
        const chat = new Acting(conn, (chat, name) => {
          if (name !== hook) return;
          if (!waits) return chat.close(reason);
          return flushMicrotasks(3).then(() => chat.close(reason)).then(() => flushMicrotasks(3));
        });
        await chat.run();
        const what = `${hook}${waits ? ", later" : ""}`;
        assertEquals(chat.events.slice(chat.events.indexOf(hook)), [hook, "handleClose"], what);
        assertEquals([closes(), chat.errors], [1, []], what);
        assertStrictEquals(chat.reason, reason, what);
      }
    }
  }
});

Deno.test("AsyncChat.close() from outside, at whatever moment, is followed by handleClose alone", async () => {
  for (const hooksWait of [false, true]) {
    for (let moment = 0, late = false; !late; moment++) {
      const { conn, closes } = counting(scriptedConn(SCRIPT).conn);
      const chat = new Acting(conn, () => hooksWait ? flushMicrotasks(2) : undefined);
      const over = chat.run();
      await flushMicrotasks(moment);
      late = chat.state === "closed";
      const told = chat.events.length;
      chat.close(BOOM);
      await over;
      const what = `after ${moment} turns`;
      assertEquals(
        chat.events.slice(told),
        late && chat.events[told - 1] === "handleClose" ? [] : ["handleClose"],
        what,
      );
      assertEquals([closes(), chat.errors], [1, []], what);
      assertStrictEquals(chat.reason, late ? undefined : BOOM, what);
    }
  }
});

Deno.test("AsyncChat.close() in handleTimeout, handleError, handleClose or a producer closes once, and the first reason counts", async () => {
  for (const hook of ["handleTimeout", "handleError", "handleClose", "more"]) {
    const clock = new FakeClock();
    const [ours, peer] = memoryPair();
    const { conn, closes } = counting(ours);
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
      if (hook === "handleError") throw new Error("told");
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
    assertEquals([closes(), chat.errors.length], [1, hook === "handleError" ? 1 : 0], hook);
    assertStrictEquals(chat.reasons[0], BOOM, hook);
    assertEquals([await peer.receiveText(), clock.pending], ["", 0], hook);
    peer.close();
  }
});

Deno.test("AsyncChat.push() in handleClose does nothing after the peer's end, and is told as a mistake after one's own", async () => {
  for (const isOwn of [false, true]) {
    class Parting extends Recorder {
      protected override handleClose(reason?: Error) {
        super.handleClose(reason);
        this.push("bye");
      }
    }
    const [conn, peer] = memoryPair();
    const chat = new Parting(conn);
    const over = chat.run();
    await flushMicrotasks();
    if (isOwn) chat.close();
    else peer.reset();
    await over;
    assertEquals(chat.errors.map((error) => error instanceof ChatClosedError), isOwn ? [true] : []);
    assertEquals([chat.events, chat.bufferedAmount], [["connect", "close"], 0]);
    if (isOwn) peer.close();
  }
});

Deno.test("AsyncChat.detach() a second time is told as a mistake, and the connection stays open", async () => {
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
  conn.close(); // would throw if it were closed
  peer.close();
});

Deno.test("AsyncChat with a hook that never settles does not keep a server from stopping at its deadline", async () => {
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

Deno.test("AsyncChat refuses a frame that super.collectIncomingData() finds too long when the hook's promise has settled", async () => {
  const order: string[] = [];
  class Waiting extends AsyncChat {
    protected override handleConnect() {
      this.setTerminator("\n", { maxFrameBytes: 2 });
    }
    protected override async collectIncomingData(data: Uint8Array) {
      order.push("collects");
      super.collectIncomingData(data);
      super.collectIncomingData(data);
      await flushMicrotasks();
      order.push("has collected");
    }
    protected override foundTerminator() {}
    protected override frameTooLong() {
      order.push("too long");
    }
  }
  await new Waiting(scriptedConn(["ab\n"]).conn).run();
  assertEquals(order, ["collects", "has collected", "too long"]);
});
