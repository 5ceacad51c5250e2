// Guards of ConnServer that no other test notices: slots given back, handshakes counted, nothing kept for ever.

import { assertEquals, assertLess } from "@std/assert";
import { getEventListeners } from "node:events";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { FakeClock, type MemoryConn, memoryPair } from "../testing/mod.ts";
import { FakeListener } from "../tests/listener_fakes.ts";
import { flushMicrotasks, Recorder } from "../tests/recorder.ts";
import { ConnServer } from "./conn_server.ts";
import type { Handshake } from "./handshake.ts";
import type { ConnServerOptions, Servable } from "./types.ts";

/** Greets, so that a client knows that it was accepted. */
class Greeting extends Recorder {
  override onConnect = () => this.push("hi");
}

interface Setup {
  options?: ConnServerOptions;
  accept?: (conn: MemoryConn) => Servable;
  handshake?: Handshake<MemoryConn>;
}

/** A server in memory. */
function serverOf({ options = {}, accept = (conn) => new Greeting(conn), handshake }: Setup = {}) {
  const listener = new FakeListener<MemoryConn>();
  const clock = new FakeClock();
  const errors: unknown[] = [];
  const server = new ConnServer(
    listener,
    { clock, onError: (error) => errors.push(error), ...options },
    accept,
    handshake,
  );
  /** A client's end of a new connection. */
  const connect = (hostname = "192.0.2.1") => {
    const [ours, theirs] = memoryPair();
    Object.defineProperty(ours, "remoteAddr", { value: { hostname } });
    listener.offer(ours);
    return theirs;
  };
  return { listener, clock, errors, server, connect };
}

// --------------------------------------------------------------------------------------------------------------- slots

Deno.test("maxConnectionsPerAddress gets its slot back when accept throws, or run() of its chat", async () => {
  const boom = new Error("boom");
  const failures: ((conn: MemoryConn) => Servable)[] = [
    () => {
      throw boom;
    },
    (conn) =>
      Object.assign(new Greeting(conn), {
        run() {
          throw boom;
        },
      }),
  ];
  for (const failure of failures) {
    let failing = 3;
    const accept = (conn: MemoryConn) => failing-- > 0 ? failure(conn) : new Greeting(conn);
    const { server, errors, connect } = serverOf({ options: { maxConnectionsPerAddress: 1 }, accept });
    const clients = Array.from({ length: 3 }, () => connect());
    assertEquals(await Promise.all(clients.map((client) => client.receiveText())), ["", "", ""]);
    const last = connect();
    assertEquals(await last.receiveText(2), "hi");
    const { accepted, refused, open } = server.stats;
    assertEquals({ accepted, refused, open, errors }, { accepted: 1, refused: 0, open: 1, errors: [boom, boom, boom] });
    for (const client of [...clients, last]) client.close();
    await server.shutdown();
  }
});

Deno.test("a server keeps no address whose connections have all ended", async () => {
  setFlagsFromString("--expose-gc");
  const collectGarbage = runInNewContext("gc") as () => void;
  const heapBytes = () => {
    collectGarbage();
    return Deno.memoryUsage().heapUsed;
  };
  const accepted: PromiseWithResolvers<void>[] = [];
  const accept = (): Servable => {
    accepted.shift()!.resolve();
    return { run: () => Promise.resolve(), closeWhenDone() {}, close() {} };
  };
  const { server, connect } = serverOf({ options: { maxConnectionsPerAddress: 1 }, accept });
  const [count, length] = [2_000, 16_000];
  const decoder = new TextDecoder();
  /** A text of its own in memory, and no rope of shared parts. */
  const addressOf = (index: number) => decoder.decode(new TextEncoder().encode(`${index}`.padEnd(length, "x")));
  const before = heapBytes();
  for (let i = 0; i < count; i++) {
    const next = Promise.withResolvers<void>();
    accepted.push(next);
    connect(addressOf(i)).close();
    await next.promise;
  }
  await server.shutdown();
  const kept = heapBytes() - before;
  assertEquals(server.stats.accepted, count);
  assertLess(kept, count * length / 4, "bytes kept");
});

Deno.test("handshakes count towards maxConnections until they fail or their chat ends", async () => {
  const handshakes: PromiseWithResolvers<void>[] = [];
  let started = Promise.withResolvers<void>();
  const handshake: Handshake<MemoryConn> = {
    name: "test handshake",
    timeoutMs: 1_000,
    run() {
      const pending = Promise.withResolvers<void>();
      handshakes.push(pending);
      started.resolve();
      started = Promise.withResolvers();
      return pending.promise;
    },
  };
  const { server, listener, errors, connect } = serverOf({ options: { maxConnections: 1 }, handshake });
  const counts = () => ({ accepts: listener.accepts, handshakes: handshakes.length, open: server.connections });
  const clients = [1, 2, 3].map(() => connect());
  const [first, second, third] = clients as [MemoryConn, MemoryConn, MemoryConn];
  await flushMicrotasks();
  assertEquals(counts(), { accepts: 1, handshakes: 1, open: 0 });
  handshakes[0]!.resolve();
  assertEquals(await first.receiveText(2), "hi");
  await flushMicrotasks();
  assertEquals(counts(), { accepts: 1, handshakes: 1, open: 1 });

  let next = started.promise;
  first.close();
  await next;
  await flushMicrotasks();
  assertEquals(counts(), { accepts: 2, handshakes: 2, open: 0 });

  next = started.promise;
  const fault = new Error("no");
  handshakes[1]!.reject(fault);
  await next;
  await flushMicrotasks();
  assertEquals({ ...counts(), errors, second: await second.receiveText() }, {
    accepts: 3,
    handshakes: 3,
    open: 0,
    errors: [fault],
    second: "",
  });
  handshakes[2]!.resolve();
  assertEquals(await third.receiveText(2), "hi");
  second.close();
  third.close();
  await server.shutdown();
});

// -------------------------------------------------------------------------------------------------------------- counts

Deno.test("stats are final when a server has finished, also when a stuck hook ends later", async () => {
  const answer = Promise.withResolvers<void>();
  const waiting = Promise.withResolvers<void>();
  const chats: Greeting[] = [];
  const accept = (conn: MemoryConn) => {
    const chat = new Greeting(conn);
    chat.onFrame = () => {
      waiting.resolve();
      return answer.promise;
    };
    chats.push(chat);
    return chat;
  };
  const { server, clock, connect } = serverOf({ options: { drainTimeoutMs: 1_000 }, accept });
  const [quick, slow] = [connect(), connect()];
  assertEquals(await quick.receiveText(2), "hi");
  quick.close();
  await chats[0]!.run(); // is over
  await slow.send("a\r\n");
  await waiting.promise;
  const finished = server.shutdown();
  clock.advance(1_000); // closes the chat, and does not wait for its hook
  await finished;
  const final = server.stats;
  assertEquals({ accepted: final.accepted, open: final.open, done: final.closes.done }, {
    accepted: 2,
    open: 0,
    done: 1,
  });
  answer.resolve();
  await chats[1]!.run(); // is over now
  await flushMicrotasks();
  assertEquals(chats[1]!.events, ["connect", "frame a", "close"]);
  assertEquals(server.stats, final);
  slow.close();
});

Deno.test("stats and their closes are a copy, which a caller may change or keep", async () => {
  const { server, connect } = serverOf();
  const kept = server.stats;
  const changed = server.stats;
  changed.accepted = 99;
  changed.closes.done = 99;
  const client = connect();
  assertEquals(await client.receiveText(2), "hi");
  client.close();
  await server.shutdown();
  const { accepted, closes } = server.stats;
  assertEquals({ accepted, closes }, { accepted: 1, closes: { done: 1 } });
  assertEquals({ accepted: kept.accepted, closes: kept.closes }, { accepted: 0, closes: {} });
});

// -------------------------------------------------------------------------------------------------------------- signal

Deno.test("a finished server has no listener left on its signal, which may live on", async () => {
  for (const connections of [0, 1]) {
    const { signal } = new AbortController();
    const { server, connect } = serverOf({ options: { signal } });
    const listeners = () => getEventListeners(signal, "abort").length;
    const whileOpen = listeners();
    for (let i = 0; i < connections; i++) {
      const client = connect();
      assertEquals(await client.receiveText(2), "hi");
      client.close();
    }
    await server.shutdown();
    assertEquals({ connections, whileOpen, afterwards: listeners() }, { connections, whileOpen: 1, afterwards: 0 });
  }
});

Deno.test("a server that its signal ended has no listener left on it", async () => {
  const controller = new AbortController();
  const { server, clock, connect } = serverOf({ options: { signal: controller.signal } });
  const client = connect();
  assertEquals(await client.receiveText(2), "hi");
  controller.abort();
  await server.finished;
  assertEquals({ listeners: getEventListeners(controller.signal, "abort").length, timers: clock.pending }, {
    listeners: 0,
    timers: 0,
  });
  client.close();
});
