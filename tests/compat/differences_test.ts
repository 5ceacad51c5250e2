/** Checks the intended differences: what the real module did, and what ours does. */

import { assertEquals, assertInstanceOf, assertThrows } from "@std/assert";
import { ConnServer } from "../../listener/conn_server.ts";
import { AsyncChat, type ChatTimeoutError, FrameTooLongError } from "../../mod.ts";
import { everyCut } from "../../testing/cuts.ts";
import { FakeClock } from "../../testing/fake_clock.ts";
import { type MemoryConn, memoryPair, scriptedConn } from "../../testing/memory_conn.ts";
import { type Conversation, toBytes } from "./conversation.ts";
import { differences, type ListenerDifference, listeners } from "./differences.ts";
import type { ListenerOutcome } from "./oracle.ts";
import { play } from "./play.ts";
import type { Recorded } from "./record.ts";
import vectors from "./vectors.json" with { type: "json" };

const recorded = vectors as unknown as Recorded;

/** The members of `outcome` that `expected` has. */
function only<T extends object>(outcome: T, expected: Partial<T>): Partial<T> {
  const members = Object.keys(expected).map((key) => [key, outcome[key as keyof T]]);
  return Object.fromEntries(members) as Partial<T>;
}

for (const { name, conversation, python, ours, options } of differences) {
  Deno.test(name, async () => {
    const record = recorded.named[name];
    assertEquals(record?.conversation, conversation, "vectors.json is older than this test: record it again");
    assertEquals(only(record!.python, python), python);
    assertEquals(only(await play(conversation, options), ours), ours);
  });
}

/** Plays a listener with our server. */
async function listen({ outcomes }: ListenerDifference): Promise<ListenerOutcome> {
  const events: ListenerOutcome["events"] = [];
  const rest = [...outcomes];
  const allTaken = Promise.withResolvers<void>();
  const closed = Promise.withResolvers<never>();
  const clock = new FakeClock();
  const names = new Map<MemoryConn, string>();
  let listening = true;
  const listener = {
    addr: { transport: "tcp", hostname: "127.0.0.1", port: 0 } as const,
    accept(): Promise<MemoryConn> {
      const name = rest.shift();
      if (name === undefined) {
        allTaken.resolve();
        return closed.promise;
      }
      if (name.startsWith("E")) return Promise.reject(systemError(name));
      const [conn] = memoryPair();
      names.set(conn, name);
      return Promise.resolve(conn);
    },
    close() {
      listening = false;
      closed.reject(new Error("the listener is closed"));
    },
    ref() {},
    unref() {},
  };
  const onError = (error: unknown) => {
    events.push(["error", (error as Error).name]);
    queueMicrotask(() => clock.advance(1_000)); // the backoff after EMFILE
  };
  const server = new ConnServer(listener, { onError, clock }, (conn) => {
    const name = names.get(conn)!;
    events.push(["accepted", name]);
    if (name === "throw") throw Object.assign(new Error("as the name says"), { name: "RuntimeError" });
    return { run: () => Promise.resolve(), closeWhenDone() {}, close() {} };
  });
  await allTaken.promise;
  const outcome = { events, listening };
  await server.shutdown();
  return outcome;
}

/** A system error, with its name in CPython. */
function systemError(code: string): Error {
  const name = code === "ECONNRESET" ? "ConnectionResetError" : "OSError";
  return Object.assign(new Error(code), { name, code });
}

for (const difference of listeners) {
  Deno.test(difference.name, async () => {
    const record = recorded.listeners[difference.name];
    assertEquals(record?.outcomes, difference.outcomes, "vectors.json is older than this test: record it again");
    assertEquals(record!.python, difference.python);
    assertEquals(await listen(difference), difference.ours);
  });
}

/** Has the mandatory hook only. */
class Silent extends AsyncChat {
  protected override foundTerminator(): void {}
}

Deno.test("AsyncChat.run() throws a TypeError when no hook can set a terminator", () => {
  const [conn, peer] = memoryPair();
  using _ = peer;
  assertThrows(() => new Silent(conn).run(), TypeError, "no terminator is set");
  assertEquals(conn.calls.read, 0);
  conn.close();
  const name = "AsyncChat without a terminator fails before the first read; asynchat at the first data";
  assertEquals(recorded.named[name]?.python.events[0], ["error", "AttributeError"]);
});

Deno.test("AsyncChat.setTerminator() in a data hook gives the same for every cut; asynchat does not", async () => {
  const onData: Conversation["onData"] = [[["terminator", "\n"]]];
  const conversation: Conversation = { steps: [[["terminator", "\r\n"]]], onData, chunks: "ab\r\ncd\n" };
  for (const pieces of everyCut(toBytes(conversation.chunks))) {
    const { events } = await play(conversation, {}, pieces);
    const cuts = pieces.map(({ length }) => length).join(" ");
    assertEquals(events, [["data", "ab\r"], ["found", "\n"], ["data", "cd"], ["found", "\n"], ["handle_close"]], cuts);
  }
  const ofPython = ["ab\r\ncd\n", "ab|\r\ncd\n"].map((chunks) => {
    return Object.values(recorded.named).find(({ conversation }) => conversation.chunks === chunks)?.python.events[0];
  });
  assertEquals(ofPython, [["data", "ab"], ["data", "ab\r"]]);
});

Deno.test("AsyncChat.collectIncomingData() collects at most 65,536 bytes; asynchat has no limit", async () => {
  class Lines extends Silent {
    protected override foundTerminator(): void {
      this.push(`${this.takeData().length}\n`);
    }
  }
  const { conn, written } = scriptedConn(["a".repeat(65_536), "\n", "b".repeat(65_537), "\n"]);
  const chat = new Lines(conn);
  chat.setTerminator("\n");
  await chat.run();
  assertEquals(await written, "65536\n");
  assertInstanceOf(chat.closeReason, FrameTooLongError);
});

Deno.test("AsyncChat.handleTimeout() is called for a silent peer; asynchat waits forever", async () => {
  const clock = new FakeClock();
  const timedOut = Promise.withResolvers<ChatTimeoutError>();
  class Impatient extends Silent {
    protected override handleTimeout(error: ChatTimeoutError): void {
      timedOut.resolve(error);
      this.close(error);
    }
  }
  const [conn, peer] = memoryPair();
  const chat = new Impatient(conn, { clock, idleTimeoutMs: 1_000 });
  chat.setTerminator("\n");
  const over = chat.run();
  while (chat.state !== "closed" && clock.now() < 2_000) {
    clock.advance(100);
    await Promise.resolve();
  }
  assertEquals((await timedOut.promise).kind, "idle");
  await over;
  peer.close();
  // asynchat has no timeouts, so no recorded conversation shows this.
});

Deno.test("AsyncChat.handleEof() can still answer; asynchat is closed by then", async () => {
  class Count extends AsyncChat {
    protected override handleConnect(): void {
      this.setTerminator(null);
    }
    protected override foundTerminator(): void {}
    protected override handleEof(): void {
      this.push(`${this.takeData().length} bytes`);
      this.closeWhenDone();
    }
  }
  const { conn, written } = scriptedConn(["abc", "de"]);
  await new Count(conn).run();
  assertEquals(await written, "5 bytes");
});

Deno.test("AsyncChat.pushWithProducer() waits for an async producer; asynchat drops it", async () => {
  const second = Promise.withResolvers<Uint8Array>();
  async function* generate(): AsyncGenerator<Uint8Array> {
    yield toBytes("ab");
    yield await second.promise;
  }
  const [conn, peer] = memoryPair();
  const chat = new Silent(conn);
  chat.setTerminator(null);
  chat.pushWithProducer(generate());
  chat.push("!");
  chat.closeWhenDone();
  const over = chat.run();
  assertEquals(await peer.receiveText(2), "ab");
  second.resolve(toBytes("cd"));
  assertEquals(await peer.receiveText(), "cd!");
  peer.close();
  await over;
});

Deno.test("AsyncChat.handleConnect() is called for accepted connections; asynchat's for its own", async () => {
  const events: string[] = [];
  class Greeter extends Silent {
    protected override handleConnect(): void {
      this.setTerminator("\n");
      events.push("handleConnect");
    }
    protected override handleClose(): void {
      events.push("handleClose");
    }
  }
  const [conn, peer]: [MemoryConn, MemoryConn] = memoryPair();
  const over = new Greeter(conn).run();
  await peer.closeWrite();
  await over;
  peer.close();
  assertEquals(events, ["handleConnect", "handleClose"]);
  // oracle.py records handle_connect, and its chats are connected from the beginning.
  const ofPython = recorded.random.flatMap(({ python }) => python.events.map(([name]) => `${name}`));
  assertEquals(ofPython.includes("handle_connect"), false);
});
