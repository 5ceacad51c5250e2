import { assertEquals, assertInstanceOf, assertRejects, assertThrows } from "@std/assert";
import type { ChatConn } from "../chat/options.ts";
import type { ConnServerOptions, Servable } from "./types.ts";
import { ConnServer } from "./conn_server.ts";
import { serve } from "./serve.ts";
import { AsyncChat } from "../mod.ts";
import { FakeClock } from "../testing/mod.ts";
import { local, portOf } from "../tests/local_server.ts";
import { hasNet } from "../tests/permissions.ts";
import { flushMicrotasks } from "../tests/recorder.ts";

/** A connection that hears nothing, keeps what it is told, and knows whether it was closed. */
class FakeConn implements ChatConn {
  closed = false;
  written = "";
  readonly remoteAddr: { hostname: string };
  readonly #end = Promise.withResolvers<null>();

  constructor(hostname = "192.0.2.1") {
    this.remoteAddr = { hostname };
  }
  read() {
    return this.#end.promise;
  }
  write(bytes: Uint8Array) {
    this.written += new TextDecoder().decode(bytes);
    return Promise.resolve(bytes.length);
  }
  close() {
    if (this.closed) throw new Error("Bad resource ID");
    this.closed = true;
    this.#end.resolve(null);
  }
}

/** A listener whose next connection or fault a test hands over. */
class FakeListener {
  readonly addr: Deno.Addr = { transport: "tcp", hostname: "127.0.0.1", port: 1 };
  accepts = 0;
  closed = false;
  refs: boolean[] = [];
  #coming: (FakeConn | Error)[] = [];
  #waiting: PromiseWithResolvers<FakeConn> | null = null;

  accept(): Promise<FakeConn> {
    this.accepts++;
    this.#waiting = Promise.withResolvers();
    const { promise } = this.#waiting;
    this.#deliver();
    return promise;
  }
  offer(...coming: (FakeConn | Error)[]) {
    this.#coming.push(...coming);
    this.#deliver();
  }
  close() {
    this.closed = true;
    this.#waiting?.reject(Object.assign(new Error("Listener has been closed"), { name: "BadResource" }));
  }
  ref() {
    this.refs.push(true);
  }
  unref() {
    this.refs.push(false);
  }
  #deliver() {
    if (this.#waiting === null || this.#coming.length === 0) return;
    const next = this.#coming.shift()!;
    if (next instanceof Error) this.#waiting.reject(next);
    else this.#waiting.resolve(next);
    this.#waiting = null;
  }
}

/** A chat that ends when the test says so, and writes down what it is told. */
class FakeChat implements Servable {
  readonly told: string[] = [];
  readonly over = Promise.withResolvers<void>();
  endsWhenTold = true;

  run() {
    return this.over.promise;
  }
  closeWhenDone() {
    this.told.push("closeWhenDone");
    if (this.endsWhenTold) this.over.resolve();
  }
  close() {
    this.told.push("close");
    if (this.endsWhenTold) this.over.resolve();
  }
}

/** A server over a fake listener, and what it did. */
function fakeServer(options: ConnServerOptions = {}, makeChat = () => new FakeChat()) {
  const listener = new FakeListener();
  const clock = new FakeClock();
  const chats: FakeChat[] = [];
  const errors: unknown[] = [];
  const onError = (error: unknown) => errors.push(error);
  const server = new ConnServer(listener, { clock, onError, ...options }, () => {
    const chat = makeChat();
    chats.push(chat);
    return chat;
  });
  return { listener, clock, chats, errors, server };
}

/** A fault of accept() as the platform tells it. */
function fault(name: string, code: string) {
  return Object.assign(new Error(code), { name, code });
}

Deno.test("serve() runs a chat on each connection and counts those that are open", async () => {
  const { listener, chats, server } = fakeServer();
  listener.offer(new FakeConn(), new FakeConn());
  await flushMicrotasks();
  assertEquals([chats.length, server.connections], [2, 2]);
  chats[0]!.over.resolve();
  await flushMicrotasks();
  assertEquals(server.connections, 1);
  await server.shutdown();
  assertEquals([server.connections, listener.closed], [0, true]);
});

Deno.test("serve() goes on at once after a connection that was reset while it waited", async () => {
  const { listener, clock, chats, errors, server } = fakeServer();
  listener.offer(fault("NotConnected", "ENOTCONN"), fault("ConnectionReset", "ECONNRESET"), new FakeConn());
  await flushMicrotasks();
  assertEquals([chats.length, errors.length, clock.pending], [1, 2, 0]);
  await server.shutdown();
});

Deno.test("serve() backs off from 5 ms to 1 s while the system is short of files, and comes back", async () => {
  const { listener, clock, chats, errors, server } = fakeServer();
  const pauses: number[] = [];
  for (let i = 0; i < 10; i++) {
    listener.offer(fault("Error", "EMFILE"));
    await flushMicrotasks();
    const before = listener.accepts;
    let pause = 0;
    while (listener.accepts === before) {
      clock.advance(1);
      pause++;
      await flushMicrotasks(5);
    }
    pauses.push(pause);
  }
  assertEquals(pauses, [5, 10, 20, 40, 80, 160, 320, 640, 1000, 1000]);
  listener.offer(new FakeConn());
  await flushMicrotasks();
  listener.offer(fault("Error", "ENFILE"));
  await flushMicrotasks();
  clock.advance(5); // the series begins anew after a success
  await flushMicrotasks();
  listener.offer(new FakeConn());
  await flushMicrotasks();
  assertEquals([chats.length, errors.length, clock.pending], [2, 11, 0]);
  await server.shutdown();
});

Deno.test("serve() tries again without waiting when a connection ends while it is short of files", async () => {
  const { listener, chats, server } = fakeServer();
  listener.offer(new FakeConn(), fault("Error", "EMFILE"));
  await flushMicrotasks();
  assertEquals(listener.accepts, 2);
  chats[0]!.over.resolve();
  await flushMicrotasks();
  assertEquals(listener.accepts, 3);
  await server.shutdown();
});

Deno.test("serve() takes in no more than maxConnections; the next comes in when one has ended", async () => {
  const { listener, chats, server } = fakeServer({ maxConnections: 2 });
  listener.offer(new FakeConn(), new FakeConn(), new FakeConn());
  await flushMicrotasks();
  assertEquals([chats.length, listener.accepts], [2, 2]);
  chats[1]!.over.resolve();
  await flushMicrotasks();
  assertEquals([chats.length, listener.accepts], [3, 3]);
  await server.shutdown();
});

Deno.test("serve() closes a connection that no chat could be made for, tells onError and goes on", async () => {
  const boom = new Error("boom");
  let calls = 0;
  const { listener, chats, errors, server } = fakeServer({}, () => {
    if (++calls === 1) throw boom;
    return new FakeChat();
  });
  const conn = new FakeConn();
  listener.offer(conn, new FakeConn());
  await flushMicrotasks();
  assertEquals([conn.closed, errors, chats.length], [true, [boom], 1]);
  await server.shutdown();
});

Deno.test("serve() survives a chat whose run() rejects, and an onError that throws", async () => {
  const original = console.error;
  const printed: unknown[][] = [];
  console.error = (...values) => printed.push(values);
  try {
    const boom = new Error("boom");
    const { listener, chats, server } = fakeServer({
      onError: () => {
        throw boom;
      },
    });
    listener.offer(new FakeConn());
    await flushMicrotasks();
    chats[0]!.over.reject(new Error("never to happen"));
    await flushMicrotasks();
    assertEquals([printed, server.connections], [[["Uncaught in onError:", boom]], 0]);
    await server.shutdown();
  } finally {
    console.error = original;
  }
});

Deno.test("serve() reports to console.error unless it is given onError", async () => {
  const original = console.error;
  const printed: unknown[][] = [];
  console.error = (...values) => printed.push(values);
  try {
    const listener = new FakeListener();
    const server = new ConnServer(listener, {}, () => new FakeChat());
    const reset = fault("ConnectionReset", "ECONNRESET");
    listener.offer(reset);
    await flushMicrotasks();
    await server.shutdown();
    assertEquals(printed, [["Cannot serve a connection:", reset]]);
  } finally {
    console.error = original;
  }
});

Deno.test("ChatServer.shutdown() has every chat send its last words and waits for them", async () => {
  const { listener, clock, chats, server } = fakeServer({ drainTimeoutMs: 1_000 }, () => {
    const chat = new FakeChat();
    chat.endsWhenTold = false;
    return chat;
  });
  listener.offer(new FakeConn(), new FakeConn());
  await flushMicrotasks();
  let finished = false;
  const over = server.shutdown().then(() => finished = true);
  server.shutdown(); // a second call changes nothing
  await flushMicrotasks();
  assertEquals([chats.map(({ told }) => told), finished], [[["closeWhenDone"], ["closeWhenDone"]], false]);
  chats[0]!.over.resolve();
  await flushMicrotasks();
  assertEquals([server.connections, finished], [1, false]);
  chats[1]!.over.resolve();
  await over;
  assertEquals([clock.pending, listener.accepts], [0, 3]);
});

Deno.test("ChatServer.shutdown() closes at the deadline who is not done, and does not wait for a hook that never ends", async () => {
  const { listener, clock, chats, server } = fakeServer({ drainTimeoutMs: 1_000 }, () => {
    const chat = new FakeChat();
    chat.endsWhenTold = false;
    return chat;
  });
  listener.offer(new FakeConn());
  await flushMicrotasks();
  const over = server.shutdown();
  clock.advance(999);
  assertEquals(chats[0]!.told, ["closeWhenDone"]);
  clock.advance(1);
  assertEquals(chats[0]!.told, ["closeWhenDone", "close"]);
  clock.advance(0);
  await over;
  assertEquals(clock.pending, 0);
});

Deno.test("serve() closes everything at once when its signal is aborted, before or later", async () => {
  for (const early of [true, false]) {
    const controller = new AbortController();
    if (early) controller.abort();
    const { listener, clock, chats, server } = fakeServer({ signal: controller.signal });
    if (!early) listener.offer(new FakeConn());
    await flushMicrotasks();
    controller.abort();
    await server.finished;
    assertEquals([listener.closed, chats.map(({ told }) => told)], [true, early ? [] : [["close"]]]);
    await server.shutdown();
    assertEquals(clock.pending, 0);
  }
});

Deno.test("serve() stops in the middle of a pause", async () => {
  const { listener, clock, server } = fakeServer();
  listener.offer(fault("Error", "EMFILE"));
  await flushMicrotasks();
  assertEquals(clock.pending, 1);
  await server.shutdown();
  assertEquals(clock.pending, 0);
});

Deno.test("serve() closes a connection that came in while it stopped", async () => {
  const { listener, chats, server } = fakeServer();
  const conn = new FakeConn();
  await flushMicrotasks();
  listener.offer(conn);
  await server.shutdown();
  assertEquals([conn.closed, chats.length], [true, 0]);
});

Deno.test("ChatServer.ref() and unref() are the listener's", async () => {
  const { listener, server } = fakeServer();
  server.unref();
  server.ref();
  assertEquals(listener.refs, [false, true]);
  await server.shutdown();
});

Deno.test("serve() refuses more than maxConnectionsPerAddress, with its last words, and takes in who comes from elsewhere", async () => {
  const { listener, clock, chats, server } = fakeServer({ maxConnectionsPerAddress: 2, refusal: "421 Too many\r\n" });
  const conns = ["a", "a", "a", "b"].map((address) => new FakeConn(address));
  listener.offer(...conns);
  await flushMicrotasks();
  assertEquals([chats.length, server.stats.refused], [3, 1]);
  assertEquals(conns.map(({ written, closed }) => [written, closed]), [
    ["", false],
    ["", false],
    ["421 Too many\r\n", false],
    ["", false],
  ]);
  clock.advance(2_000); // it hears its last words for so long, as it does not end by itself
  assertEquals(conns[2]!.closed, true);
  chats[0]!.over.resolve();
  await flushMicrotasks();
  listener.offer(new FakeConn("a"));
  await flushMicrotasks();
  assertEquals([chats.length, server.connections, clock.pending], [4, 3, 0]);
  await server.shutdown();
});

Deno.test("serve() just closes what it refuses when there are no last words, or when too many hear theirs", async () => {
  const { listener, server } = fakeServer({ maxConnectionsPerAddress: 1 });
  const silent = new FakeConn();
  listener.offer(new FakeConn(), silent);
  await flushMicrotasks();
  assertEquals([silent.closed, silent.written], [true, ""]);
  await server.shutdown();

  const flooded = fakeServer({ maxConnectionsPerAddress: 1, refusal: new TextEncoder().encode("no") });
  const flood = Array.from({ length: 102 }, () => new FakeConn());
  flooded.listener.offer(...flood);
  await flushMicrotasks(2_000);
  assertEquals(flood.map(({ written }) => written).filter(Boolean).length, 100);
  assertEquals(flood.filter(({ closed }) => closed).length, 1);
  await flooded.server.shutdown();
  assertEquals([flood.slice(1).every(({ closed }) => closed), flooded.clock.pending], [true, 0]);
});

Deno.test("ChatServer.stats counts what is open and what is over", async () => {
  const { listener, chats, server } = fakeServer();
  listener.offer(new FakeConn(), new FakeConn(), new FakeConn(), fault("ConnectionReset", "ECONNRESET"));
  await flushMicrotasks();
  const counts = [{ bytesReceived: 1, bytesSent: 10, framesReceived: 100 }, {}, { bytesReceived: 2 }];
  counts.forEach((count, i) => Object.assign(chats[i]!, count));
  const expected = { accepted: 3, refused: 0, acceptErrors: 1, bytesReceived: 3, bytesSent: 10, framesReceived: 100 };
  assertEquals(server.stats, { ...expected, open: 3, closes: {} });
  Object.assign(chats[1]!, { closeReason: fault("BrokenPipe", "EPIPE") });
  chats[0]!.over.resolve();
  chats[1]!.over.resolve();
  await flushMicrotasks();
  assertEquals(server.stats, { ...expected, open: 1, closes: { done: 1, BrokenPipe: 1 } });
  await server.shutdown();
  assertEquals(server.stats, { ...expected, open: 0, closes: { done: 2, BrokenPipe: 1 } });
});

Deno.test("serve() refuses limits that are none", () => {
  const accept = () => new FakeChat();
  assertThrows(
    () => serve({ port: 0, maxConnections: 0 }, accept),
    RangeError,
    "maxConnections is 0, 1 or more is wanted",
  );
  assertThrows(() => serve({ port: 0, drainTimeoutMs: NaN }, accept), RangeError, "drainTimeoutMs is NaN, 0 or more");
  assertThrows(() => serve({ port: 0, maxConnections: "5" as never }, accept), RangeError, "maxConnections is 5");
  assertThrows(
    () => serve({ port: 0, maxConnectionsPerAddress: -1 }, accept),
    RangeError,
    "PerAddress is -1, 1 or more",
  );
});

// ------------------------------------------------------------------------------------------------------------- real sockets

class Echo extends AsyncChat {
  protected override handleConnect() {
    this.setTerminator("\n");
  }
  protected override foundTerminator() {
    this.push(`${this.takeText()}\n`);
  }
}

/** Sends a line to an echo server and gives back what comes. */
async function ask(port: number, line: string): Promise<string> {
  using conn = await Deno.connect({ hostname: "127.0.0.1", port });
  await conn.write(new TextEncoder().encode(line));
  const answer = new Uint8Array(1_000);
  return new TextDecoder().decode(answer.subarray(0, await conn.read(answer) ?? 0));
}

Deno.test({
  name: "serve() serves many connections over TCP, and can listen again on its port once finished",
  ignore: !hasNet,
  async fn() {
    const listened: Deno.Addr[] = [];
    const server = serve(
      { ...local, tcpBacklog: 64, onListen: (addr) => listened.push(addr) },
      (conn) => new Echo(conn),
    );
    const port = portOf(server);
    const lines = Array.from({ length: 50 }, (_, i) => `line ${i}\n`);
    assertEquals(await Promise.all(lines.map((line) => ask(port, line))), lines);
    await server.shutdown();
    assertEquals([server.connections, listened], [0, [server.addr]]);
    await using again = serve({ hostname: "127.0.0.1", port }, (conn) => new Echo(conn));
    assertEquals(await ask(portOf(again), "again\n"), "again\n");
  },
});

Deno.test({
  name: "serve() survives clients that connect and are gone at once",
  ignore: !hasNet,
  async fn() {
    await using server = serve({ ...local, onError: () => {} }, (conn) => new Echo(conn));
    for (let i = 0; i < 200; i++) (await Deno.connect({ hostname: "127.0.0.1", port: portOf(server) })).close();
    assertEquals(await ask(portOf(server), "still here\n"), "still here\n");
  },
});

Deno.test({
  name: "serve() counts addresses, and its refusal arrives although the client has sent something",
  ignore: !hasNet,
  async fn() {
    const options = { ...local, maxConnectionsPerAddress: 1, refusal: "421 Too many\n" };
    await using server = serve(options, (conn) => new Echo(conn));
    using first = await Deno.connect({ hostname: "127.0.0.1", port: portOf(server) });
    await first.write(new TextEncoder().encode("x\n"));
    await first.read(new Uint8Array(2));
    assertEquals(await ask(portOf(server), "unheard\n"), "421 Too many\n");
    const { accepted, refused, framesReceived, bytesReceived, bytesSent } = server.stats;
    assertEquals([accepted, refused, framesReceived, bytesReceived, bytesSent], [1, 1, 1, 2, 2]);
  },
});

Deno.test({
  name: "serve() throws what Deno.listen throws, and closes the listener when onListen throws",
  ignore: !hasNet,
  async fn() {
    await using server = serve(local, (conn) => new Echo(conn));
    const port = portOf(server);
    assertThrows(() => serve({ hostname: "127.0.0.1", port }, (conn) => new Echo(conn)), Deno.errors.AddrInUse);
    let taken = 0;
    const boom = new Error("boom");
    const onListen = (addr: Deno.Addr) => {
      taken = (addr as Deno.NetAddr).port;
      throw boom;
    };
    assertEquals(assertThrows(() => serve({ ...local, onListen }, (conn) => new Echo(conn))), boom);
    assertInstanceOf(
      await assertRejects(() => Deno.connect({ hostname: "127.0.0.1", port: taken })),
      Deno.errors.ConnectionRefused,
    );
  },
});

Deno.test({
  name: "serve() ends a chat that has no terminator, and serves the next",
  ignore: !hasNet,
  async fn() {
    class Unset extends AsyncChat {
      protected override foundTerminator() {}
    }
    const errors: unknown[] = [];
    let first = true;
    const makeChat = (conn: Deno.Conn) => {
      if (!first) return new Echo(conn);
      first = false;
      return new Unset(conn);
    };
    await using server = serve({ ...local, onError: (error) => errors.push(error) }, makeChat);
    assertEquals(await ask(portOf(server), "x\n").catch((error) => error.name), "");
    assertEquals(await ask(portOf(server), "next\n"), "next\n");
    assertInstanceOf(errors[0], TypeError);
  },
});
