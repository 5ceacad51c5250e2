import { assertEquals } from "@std/assert";
import {
  captureErrors,
  FakeChat,
  FakeConn,
  FakeHandshake,
  FakeListener,
  fakeServer,
  stuckChat,
  systemError,
} from "../tests/listener_fakes.ts";
import { ServerFullError, ShutdownError } from "../core/errors.ts";
import { flushMicrotasks } from "../tests/recorder.ts";
import { ConnServer } from "./conn_server.ts";
import type { ChatServer } from "./types.ts";

// ----------------------------------------------------------------------------------------------- a connection comes in

Deno.test("ConnServer runs a chat on each connection and counts those that are open", async () => {
  const { listener, chats, server } = fakeServer();
  listener.offer(new FakeConn(), new FakeConn());
  await flushMicrotasks();
  assertEquals({ chats: chats.length, open: server.connections }, { chats: 2, open: 2 });
  chats[0]!.ended.resolve();
  await flushMicrotasks();
  assertEquals(server.connections, 1);
  await server.shutdown();
  assertEquals({ open: server.connections, closed: listener.closed }, { open: 0, closed: true });
});

Deno.test("ConnServer reports an error of accept and goes on", async () => {
  const { listener, chats, errors, server } = fakeServer();
  const reset = systemError("ConnectionReset", "ECONNRESET");
  listener.offer(reset, new FakeConn());
  await flushMicrotasks();
  assertEquals({ chats: chats.length, errors }, { chats: 1, errors: [reset] });
  await server.shutdown();
});

Deno.test("ConnServer that backs off accepts at once when a connection ends", async () => {
  const { listener, chats, server } = fakeServer();
  listener.offer(new FakeConn(), systemError("Error", "EMFILE"));
  await flushMicrotasks();
  assertEquals(listener.accepts, 2);
  chats[0]!.ended.resolve();
  await flushMicrotasks();
  assertEquals(listener.accepts, 3);
  await server.shutdown();
});

Deno.test("ConnServer at maxConnections accepts the next when one has ended", async () => {
  const { listener, chats, server } = fakeServer({ maxConnections: 2 });
  listener.offer(new FakeConn(), new FakeConn(), new FakeConn());
  await flushMicrotasks();
  assertEquals({ chats: chats.length, accepts: listener.accepts }, { chats: 2, accepts: 2 });
  chats[1]!.ended.resolve();
  await flushMicrotasks();
  assertEquals({ chats: chats.length, accepts: listener.accepts }, { chats: 3, accepts: 3 });
  await server.shutdown();
});

Deno.test("ConnServer at maxConnectionsPerAddress sends the refusal, and accepts other addresses", async () => {
  const { listener, clock, chats, server } = fakeServer({ maxConnectionsPerAddress: 2, refusal: "421 Too many\r\n" });
  const conns = ["a", "a", "a", "b"].map((address) => new FakeConn(address));
  listener.offer(...conns);
  await flushMicrotasks();
  assertEquals({ chats: chats.length, refused: server.stats.refused }, { chats: 3, refused: 1 });
  assertEquals(conns.map(({ written, closed }) => ({ written, closed })), [
    { written: "", closed: false },
    { written: "", closed: false },
    { written: "421 Too many\r\n", closed: false },
    { written: "", closed: false },
  ]);
  clock.advance(2_000); // the peer does not end its side
  assertEquals(conns[2]!.closed, true);
  chats[0]!.ended.resolve();
  await flushMicrotasks();
  listener.offer(new FakeConn("a"));
  await flushMicrotasks();
  assertEquals({ chats: chats.length, open: server.connections, timers: clock.pending }, {
    chats: 4,
    open: 3,
    timers: 0,
  });
  await server.shutdown();
});

Deno.test("ConnServer counts the address that a handshake reveals, not the one before", async () => {
  const handshake = new FakeHandshake(true);
  const options = { maxConnections: 2, maxConnectionsPerAddress: 1, refusal: "no" };
  const { listener, clock, chats, server } = fakeServer(options, undefined, handshake);
  const conns = [1, 2, 3].map(() => new FakeConn("proxy"));
  listener.offer(...conns);
  await flushMicrotasks();
  const counts = () => ({ handshakes: handshake.pending.length, chats: chats.length, refused: server.stats.refused });
  assertEquals(counts(), { handshakes: 2, chats: 0, refused: 0 });
  for (const at of [0, 1]) {
    conns[at]!.remoteAddr.hostname = "client";
    handshake.pending[at]!.resolve();
    await flushMicrotasks();
  }
  assertEquals(counts(), { handshakes: 2, chats: 1, refused: 1 });
  clock.advance(2_000); // the rejected peer does not end its side
  await flushMicrotasks();
  assertEquals(counts(), { handshakes: 3, chats: 1, refused: 1 }); // the slot of the second is released
  assertEquals(conns.map(({ written }) => written), ["", "no", ""]);
  const finished = server.shutdown();
  handshake.pending[2]!.reject(new Error("closed"));
  await finished;
});

Deno.test("ConnServer without a refusal closes a rejected connection at once", async () => {
  const { listener, server } = fakeServer({ maxConnectionsPerAddress: 1 });
  const rejected = new FakeConn();
  listener.offer(new FakeConn(), rejected);
  await flushMicrotasks();
  assertEquals({ closed: rejected.closed, written: rejected.written }, { closed: true, written: "" });
  await server.shutdown();
});

Deno.test("ConnServer.shutdown() closes the connections that are being rejected, at most 100", async () => {
  const { listener, clock, server } = fakeServer({ maxConnectionsPerAddress: 1, refusal: "no" });
  const conns = Array.from({ length: 102 }, () => new FakeConn());
  listener.offer(...conns);
  await flushMicrotasks(2_000);
  assertEquals({
    refused: conns.filter(({ written }) => written === "no").length,
    closed: conns.filter(({ closed }) => closed).length,
  }, { refused: 100, closed: 1 });
  await server.shutdown();
  assertEquals({ closed: conns.slice(1).every(({ closed }) => closed), timers: clock.pending }, {
    closed: true,
    timers: 0,
  });
});

Deno.test("ConnServer closes a connection for which accept throws, reports it, and goes on", async () => {
  const boom = new Error("boom");
  let calls = 0;
  const { listener, chats, errors, server } = fakeServer({}, () => {
    if (++calls === 1) throw boom;
    return new FakeChat();
  });
  const conn = new FakeConn();
  listener.offer(conn, new FakeConn());
  await flushMicrotasks();
  assertEquals({ closed: conn.closed, errors, chats: chats.length }, { closed: true, errors: [boom], chats: 1 });
  await server.shutdown();
});

Deno.test("ConnServer survives a chat whose run() rejects, and an onError that throws", async () => {
  const boom = new Error("boom");
  const printed = await captureErrors(async () => {
    const { listener, chats, server } = fakeServer({
      onError() {
        throw boom;
      },
    });
    listener.offer(new FakeConn());
    await flushMicrotasks();
    chats[0]!.ended.reject(new Error("a bug"));
    await flushMicrotasks();
    assertEquals(server.connections, 0);
    await server.shutdown();
  });
  assertEquals(printed, [["Uncaught in onError: Error: boom"]]);
});

Deno.test("ConnServer without onError prints one line with the peer's address, and no stack", async () => {
  const reset = systemError("ConnectionReset", "ECONNRESET");
  const printed = await captureErrors(async () => {
    const listener = new FakeListener();
    const server = new ConnServer(listener, {}, () => {
      throw new Error("no\nchat");
    });
    listener.offer(reset, Object.assign(new FakeConn(), { remoteAddr: { hostname: "2001:db8::1", port: 5 } }));
    await flushMicrotasks();
    await server.shutdown();
  });
  assertEquals(printed, [
    ["Cannot serve a connection: ConnectionReset: ECONNRESET"],
    ["Cannot serve a connection [2001:db8::1]:5: Error: no chat"],
  ]);
});

Deno.test("ConnServer.stats counts chats that are open and chats that have ended", async () => {
  const { listener, chats, server } = fakeServer();
  listener.offer(new FakeConn(), new FakeConn(), new FakeConn(), systemError("ConnectionReset", "ECONNRESET"));
  await flushMicrotasks();
  const counts = [{ bytesReceived: 1, bytesSent: 10, framesReceived: 100 }, {}, { bytesReceived: 2 }];
  counts.forEach((count, i) => Object.assign(chats[i]!, count));
  const expected = {
    accepted: 3,
    refused: 0,
    handshaking: 0,
    acceptErrors: 1,
    bytesReceived: 3,
    bytesSent: 10,
    framesReceived: 100,
  };
  assertEquals(server.stats, { ...expected, open: 3, closes: {} });
  Object.assign(chats[1]!, { closeReason: systemError("BrokenPipe", "EPIPE") });
  chats[0]!.ended.resolve();
  chats[1]!.ended.resolve();
  await flushMicrotasks();
  assertEquals(server.stats, { ...expected, open: 1, closes: { done: 1, BrokenPipe: 1 } });
  await server.shutdown();
  assertEquals(server.stats, { ...expected, open: 0, closes: { done: 2, BrokenPipe: 1 } });
});

// ------------------------------------------------------------------------------------------------- a server shuts down

Deno.test("ConnServer.shutdown() calls closeWhenDone() on every chat once and waits for them", async () => {
  const { listener, clock, chats, server } = fakeServer({ drainTimeoutMs: 1_000 }, stuckChat);
  listener.offer(new FakeConn(), new FakeConn());
  await flushMicrotasks();
  let isFinished = false;
  const finished = server.shutdown().then(() => isFinished = true);
  server.shutdown();
  await flushMicrotasks();
  assertEquals({ calls: chats.map(({ calls }) => calls), isFinished }, {
    calls: [["closeWhenDone"], ["closeWhenDone"]],
    isFinished: false,
  });
  chats[0]!.ended.resolve();
  await flushMicrotasks();
  assertEquals({ open: server.connections, isFinished }, { open: 1, isFinished: false });
  chats[1]!.ended.resolve();
  await finished;
  assertEquals({ timers: clock.pending, accepts: listener.accepts }, { timers: 0, accepts: 3 });
});

Deno.test("ConnServer.shutdown() closes chats at the deadline, and abandons those that stay", async () => {
  const { listener, clock, chats, server } = fakeServer({ drainTimeoutMs: 1_000 }, stuckChat);
  listener.offer(new FakeConn());
  await flushMicrotasks();
  Object.assign(chats[0]!, { framesReceived: 7 });
  const shutdown = server.shutdown();
  clock.advance(999);
  assertEquals(chats[0]!.calls, ["closeWhenDone"]);
  clock.advance(1);
  assertEquals(chats[0]!.calls, ["closeWhenDone", "close"]);
  assertEquals(String(chats[0]!.closeReason), String(new ShutdownError(1_000)));
  clock.advance(0);
  assertEquals(await shutdown, { cut: 1 });
  const { framesReceived, closes } = server.stats;
  assertEquals({ timers: clock.pending, framesReceived, closes }, {
    timers: 0,
    framesReceived: 7,
    closes: { ShutdownError: 1 },
  });
  assertEquals(await server.shutdown(), { cut: 1 });
});

Deno.test("ConnServer counts a chat that is cut and ends at once as a ShutdownError", async () => {
  const { listener, clock, chats, server } = fakeServer({ drainTimeoutMs: 1_000 }, stuckChat);
  listener.offer(new FakeConn(), new FakeConn());
  await flushMicrotasks();
  const shutdown = server.shutdown();
  chats[0]!.ended.resolve();
  await flushMicrotasks();
  clock.advance(1_000);
  chats[1]!.ended.resolve();
  assertEquals(await shutdown, { cut: 1 });
  assertEquals(server.stats.closes, { done: 1, ShutdownError: 1 });
});

// ------------------------------------------------------------------------------------------------------------- errors

Deno.test("ConnServer calls onError with the peer's address and the phase", async () => {
  const handshake = new FakeHandshake();
  let calls = 0;
  const makeChat = () => {
    if (calls++ === 0) throw new Error("no chat");
    return new FakeChat();
  };
  const { listener, chats, infos, server } = fakeServer({}, makeChat, handshake);
  const conns = ["192.0.2.1", "192.0.2.2", "192.0.2.3"].map((hostname) => new FakeConn(hostname));
  listener.offer(systemError("ConnectionReset", "ECONNRESET"), ...conns);
  await flushMicrotasks();
  handshake.pending[0]!.reject(new Error("no handshake"));
  handshake.pending[1]!.resolve();
  await flushMicrotasks();
  handshake.pending[2]!.resolve();
  await flushMicrotasks();
  chats[0]!.ended.reject(new Error("a bug"));
  await server.shutdown();
  assertEquals(infos, [
    { remoteAddr: undefined, phase: "accept" },
    { remoteAddr: { hostname: "192.0.2.1" }, phase: "handshake" },
    { remoteAddr: { hostname: "192.0.2.2" }, phase: "chat" },
    { remoteAddr: { hostname: "192.0.2.3" }, phase: "chat" },
  ]);
});

Deno.test("ConnServer prints the rejection of an async onError, and goes on", async () => {
  const printed = await captureErrors(async () => {
    const onError = () => Promise.reject(new Error("boom"));
    const { listener, chats, server } = fakeServer({ onError });
    listener.offer(systemError("ConnectionReset", "ECONNRESET"), new FakeConn());
    await flushMicrotasks();
    assertEquals(chats.length, 1);
    await server.shutdown();
  });
  assertEquals(printed, [["Uncaught in onError: Error: boom"]]);
});

Deno.test("ConnServer goes on when nothing can be printed", async () => {
  const original = console.error;
  console.error = () => {
    throw new Error("No space left on device");
  };
  try {
    const listener = new FakeListener();
    const server = new ConnServer(listener, {}, () => new FakeChat());
    listener.offer(systemError("ConnectionReset", "ECONNRESET"), new FakeConn());
    await flushMicrotasks();
    assertEquals(server.connections, 1);
    await server.shutdown();
  } finally {
    console.error = original;
  }
});

Deno.test("ConnServer survives connections and listeners whose close() rejects", async () => {
  const boom = new Error("boom");
  const { listener, errors, infos, server } = fakeServer({ maxConnectionsPerAddress: 1 });
  listener.close = () => Promise.reject(boom);
  const rejected = Object.assign(new FakeConn(), { close: () => Promise.reject(boom) });
  listener.offer(new FakeConn(), rejected);
  await flushMicrotasks();
  assertEquals(server.stats.refused, 1);
  const shutdown = server.shutdown();
  listener.offer(new FakeConn()); // ends the pending accept, as close() would
  await shutdown;
  await flushMicrotasks();
  assertEquals({ errors, phases: infos.map(({ phase }) => phase) }, { errors: [boom], phases: ["listen"] });
});

Deno.test("ConnServer closes a connection for which accept returns the chat of another", async () => {
  const chat = new FakeChat();
  const { listener, errors, server } = fakeServer({}, () => chat);
  const conns = [new FakeConn(), new FakeConn()];
  listener.offer(...conns);
  await flushMicrotasks();
  assertEquals(errors.map(String), [
    "TypeError: Cannot serve: accept returned the chat of another connection, expected a new one",
  ]);
  assertEquals({ closed: conns.map(({ closed }) => closed), open: server.connections, calls: chat.calls }, {
    closed: [false, true],
    open: 1,
    calls: [],
  });
  chat.ended.resolve();
  await flushMicrotasks();
  const third = new FakeConn();
  listener.offer(third);
  await flushMicrotasks();
  assertEquals({ errors: errors.length, closed: third.closed }, { errors: 2, closed: true });
  await server.shutdown();
});

// --------------------------------------------------------------------------------------------------- a server is full

const evicting = { maxConnections: 2, whenFull: "closeOldestIdle" } as const;

Deno.test("ConnServer that is full closes the chat that is idle longest", async () => {
  const { listener, chats, server } = fakeServer(evicting);
  listener.offer(new FakeConn(), new FakeConn());
  await flushMicrotasks();
  chats[0]!.framesReceived++; // more recently active than the other
  listener.offer(new FakeConn());
  await flushMicrotasks();
  assertEquals(chats.map(({ calls }) => calls), [[], ["close"], []]);
  assertEquals(String(chats[1]!.closeReason), String(new ServerFullError(2)));
  assertEquals({ open: server.connections, closes: server.stats.closes }, { open: 2, closes: { ServerFullError: 1 } });
  await server.shutdown();
});

Deno.test("ConnServer that is full of busy chats accepts once one is idle", async () => {
  const { listener, clock, chats, server } = fakeServer(evicting, () => Object.assign(new FakeChat(), { busy: true }));
  listener.offer(new FakeConn(), new FakeConn(), new FakeConn());
  await flushMicrotasks();
  assertEquals({ chats: chats.length, accepts: listener.accepts }, { chats: 2, accepts: 2 });
  chats[1]!.busy = false;
  clock.advance(1_000);
  await flushMicrotasks();
  assertEquals(chats.map(({ calls }) => calls), [[], ["close"], []]);
  await server.shutdown();
  assertEquals(clock.pending, 0);
});

Deno.test("ConnServer that is full closes one chat at a time, and waits until it has ended", async () => {
  const { listener, clock, chats, server } = fakeServer(evicting, stuckChat);
  listener.offer(new FakeConn(), new FakeConn(), new FakeConn(), new FakeConn());
  await flushMicrotasks();
  clock.advance(1_000);
  await flushMicrotasks();
  assertEquals(chats.map(({ calls }) => calls), [["close"], [], []]);
  chats[0]!.ended.resolve();
  await flushMicrotasks();
  assertEquals(chats.map(({ calls }) => calls), [["close"], ["close"], [], []]);
  for (const { ended } of chats) ended.resolve();
  await server.shutdown();
});

Deno.test("ConnServer that is full closes the oldest handshake when there are more of them", async () => {
  const handshake = new FakeHandshake();
  const { listener, chats, errors, infos, server } = fakeServer(
    { ...evicting, maxConnections: 3 },
    undefined,
    handshake,
  );
  const conns = ["a", "b", "c", "d"].map((hostname) => new FakeConn(hostname));
  listener.offer(conns[0]!);
  await flushMicrotasks();
  handshake.pending[0]!.resolve();
  await flushMicrotasks();
  listener.offer(conns[1]!, conns[2]!, conns[3]!);
  await flushMicrotasks();
  assertEquals(conns.map(({ closed }) => closed), [false, true, false, false]);
  handshake.pending[1]!.reject(new Error("closed"));
  await flushMicrotasks();
  assertEquals({ chats: chats.length, errors: errors.map(String), infos }, {
    chats: 1,
    errors: [String(new ServerFullError(3))],
    infos: [{ remoteAddr: { hostname: "b" }, phase: "handshake" }],
  });
  const shutdown = server.shutdown();
  for (const at of [2, 3]) handshake.pending[at]!.reject(new Error("closed"));
  await shutdown;
});

Deno.test("ConnServer counts connections that are being rejected towards maxConnections", async () => {
  const limits = { maxConnections: 2, maxConnectionsPerAddress: 1, refusal: "no" };
  const { listener, clock, chats, server } = fakeServer(limits);
  listener.offer(new FakeConn("a"), new FakeConn("a"), new FakeConn("b"));
  await flushMicrotasks();
  assertEquals({ chats: chats.length, accepts: listener.accepts }, { chats: 1, accepts: 2 });
  clock.advance(2_000); // the rejected peer does not end its side
  await flushMicrotasks();
  assertEquals(chats.length, 2);
  await server.shutdown();
});

Deno.test("ConnServer closes everything at once when its signal is aborted, before or later", async () => {
  for (const early of [true, false]) {
    const controller = new AbortController();
    if (early) controller.abort();
    const { listener, clock, chats, server } = fakeServer({ signal: controller.signal });
    if (!early) listener.offer(new FakeConn());
    await flushMicrotasks();
    controller.abort();
    await server.finished;
    assertEquals({ closed: listener.closed, calls: chats.map(({ calls }) => calls) }, {
      closed: true,
      calls: early ? [] : [["close"]],
    });
    await server.shutdown();
    assertEquals(clock.pending, 0);
  }
});

Deno.test("ConnServer whose signal is aborted during shutdown() closes the draining chats", async () => {
  const controller = new AbortController();
  const { listener, clock, chats, server } = fakeServer({ signal: controller.signal }, stuckChat);
  listener.offer(new FakeConn());
  await flushMicrotasks();
  const finished = server.shutdown();
  controller.abort();
  assertEquals(chats[0]!.calls, ["closeWhenDone", "close"]);
  chats[0]!.ended.resolve();
  await finished;
  assertEquals({ timers: clock.pending, closes: server.stats.closes }, {
    timers: 0,
    closes: { ShutdownError: 1 },
  });
});

Deno.test("ConnServer.shutdown() ends a backoff", async () => {
  const { listener, clock, server } = fakeServer();
  listener.offer(systemError("Error", "EMFILE"));
  await flushMicrotasks();
  assertEquals(clock.pending, 1);
  await server.shutdown();
  assertEquals(clock.pending, 0);
});

Deno.test("ConnServer.shutdown() closes a connection that is accepted in that turn", async () => {
  const { listener, chats, server } = fakeServer();
  const conn = new FakeConn();
  await flushMicrotasks();
  listener.offer(conn);
  await server.shutdown();
  assertEquals({ closed: conn.closed, chats: chats.length }, { closed: true, chats: 0 });
});

Deno.test("ConnServer.shutdown() closes handshaking connections, waits for them, and starts no chat", async () => {
  for (const outcome of ["completes", "fails"]) {
    const handshake = new FakeHandshake();
    const { listener, chats, errors, server } = fakeServer({}, undefined, handshake);
    const conn = new FakeConn();
    listener.offer(conn);
    await flushMicrotasks();
    let isFinished = false;
    const finished = server.shutdown().then(() => isFinished = true);
    await flushMicrotasks();
    assertEquals({ closed: conn.closed, isFinished }, { closed: true, isFinished: false });
    if (outcome === "completes") handshake.pending[0]!.resolve();
    else handshake.pending[0]!.reject(new Error("closed"));
    await finished;
    assertEquals({ outcome, chats: chats.length, errors }, { outcome, chats: 0, errors: [] });
  }
});

Deno.test("ConnServer.shutdown() inside accept still runs that chat, and waits for it", async () => {
  const listener = new FakeListener();
  const chat = new FakeChat();
  const server: ChatServer = new ConnServer(listener, {}, () => {
    server.shutdown();
    return chat;
  });
  listener.offer(new FakeConn(), new FakeConn());
  await flushMicrotasks();
  assertEquals({ open: server.connections, calls: chat.calls }, { open: 1, calls: [] });
  chat.ended.resolve();
  await server.finished;
  assertEquals(server.stats.accepted, 1);
});

Deno.test("ConnServer.ref() and unref() are the listener's", async () => {
  const { listener, server } = fakeServer();
  server.unref();
  server.ref();
  assertEquals(listener.refs, [false, true]);
  await server.shutdown();
});
