import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { FakeConn, FakeListener, systemError } from "../tests/listener_fakes.ts";
import { flushMicrotasks } from "../tests/recorder.ts";
import { listenTcp, LoopbackListener, type TcpAddress } from "./loopback.ts";

/** Stands in for `Deno.listen`: fails for the addresses in `errors`, as often as there are errors. */
function fakeListen(errors: Record<string, Error[]> = {}) {
  const tried: string[] = [];
  const listeners: FakeListener<Deno.Conn>[] = [];
  let freePort = 5_000;
  const listen = ({ hostname = "0.0.0.0", port }: TcpAddress) => {
    tried.push(`${hostname} ${port}`);
    const error = errors[hostname]?.shift();
    if (error !== undefined) throw error;
    const addr: Deno.Addr = { transport: "tcp", hostname, port: port || freePort++ };
    const listener = Object.assign(new FakeListener<Deno.Conn>(), { addr });
    listeners.push(listener);
    return listener;
  };
  return { tried, listeners, listen };
}

const inUse = () => new Deno.errors.AddrInUse("Address already in use");

Deno.test("listenTcp() listens on both loopback addresses for localhost, on one free port", () => {
  const { tried, listen } = fakeListen();
  const listener = listenTcp({ hostname: "localhost", port: 0 }, listen);
  assertEquals({ tried, addr: listener.addr }, {
    tried: ["127.0.0.1 0", "::1 5000"],
    addr: { transport: "tcp", hostname: "127.0.0.1", port: 5_000 },
  });
});

Deno.test("listenTcp() takes any other hostname as it is", () => {
  for (const address of [{ port: 7 }, { hostname: "::", port: 7 }, { hostname: "127.0.0.1", port: 7 }]) {
    const { tried, listen } = fakeListen();
    listenTcp(address, listen);
    assertEquals(tried, [`${address.hostname ?? "0.0.0.0"} 7`]);
  }
});

Deno.test("listenTcp() tries another free port when the first is taken on ::1", () => {
  const { tried, listeners, listen } = fakeListen({ "::1": [inUse(), inUse()] });
  const listener = listenTcp({ hostname: "localhost", port: 0 }, listen);
  assertEquals(tried, ["127.0.0.1 0", "::1 5000", "127.0.0.1 0", "::1 5001", "127.0.0.1 0", "::1 5002"]);
  assertEquals(listeners.map(({ closed }) => closed), [true, true, false, false]);
  assertEquals((listener.addr as Deno.NetAddr).port, 5_002);
});

Deno.test("listenTcp() throws AddrInUse, and listens nowhere, when a given port is taken on either address", () => {
  for (const hostname of ["127.0.0.1", "::1"]) {
    const { listeners, listen } = fakeListen({ [hostname]: [inUse()] });
    assertThrows(() => listenTcp({ hostname: "localhost", port: 7 }, listen), Deno.errors.AddrInUse);
    assertEquals(listeners.every(({ closed }) => closed), true);
  }
  const { tried, listen } = fakeListen({ "::1": Array.from({ length: 50 }, inUse) });
  assertThrows(() => listenTcp({ hostname: "localhost", port: 0 }, listen), Deno.errors.AddrInUse);
  assertEquals(tried.length, 40);
});

Deno.test("listenTcp() leaves out the loopback address that is missing or not permitted", () => {
  const denied = () => new Deno.errors.NotCapable("Requires net access");
  const cases: [Record<string, Error[]>, string[]][] = [
    [{ "::1": [systemError("AddrNotAvailable", "EADDRNOTAVAIL")] }, ["127.0.0.1"]],
    [{ "::1": [systemError("Error", "EAFNOSUPPORT")] }, ["127.0.0.1"]],
    [{ "::1": [denied()] }, ["127.0.0.1"]],
    [{ "127.0.0.1": [denied()] }, ["::1"]],
    [{ "127.0.0.1": [denied()], "::1": [denied()] }, ["localhost"]],
  ];
  for (const [errors, expected] of cases) {
    const { listeners, listen } = fakeListen(errors);
    listenTcp({ hostname: "localhost", port: 7 }, listen);
    assertEquals(listeners.map(({ addr }) => (addr as Deno.NetAddr).hostname), expected);
  }
  const { listen } = fakeListen({ "127.0.0.1": [denied()], "::1": [denied()], "localhost": [denied()] });
  assertThrows(() => listenTcp({ hostname: "localhost", port: 7 }, listen), Deno.errors.NotCapable);
});

Deno.test("LoopbackListener accepts from both, and loses neither a connection nor an error", async () => {
  const [first, second] = [new FakeListener(), new FakeListener()];
  const listener = new LoopbackListener(first, second);
  const conns = [1, 2, 3].map(() => new FakeConn());
  const accepted = listener.accept();
  first.offer(conns[0]!);
  second.offer(conns[1]!, systemError("ConnectionReset", "ECONNRESET"));
  assertEquals(await accepted, conns[0]!);
  await flushMicrotasks();
  assertEquals({ first: first.accepts, second: second.accepts }, { first: 1, second: 1 });
  assertEquals(await listener.accept(), conns[1]!);
  await assertRejects(() => listener.accept(), Error, "ECONNRESET");
  const last = listener.accept();
  second.offer(conns[2]!);
  assertEquals(await last, conns[2]!);
  listener.close();
});

Deno.test("LoopbackListener.close() rejects a pending accept", async () => {
  const [first, second] = [new FakeListener(), new FakeListener()];
  const listener = new LoopbackListener(first, second);
  const accepted = listener.accept();
  listener.close();
  await assertRejects(() => accepted, Error, "Listener has been closed");
  assertEquals({ first: first.closed, second: second.closed }, { first: true, second: true });
});

Deno.test("LoopbackListener.close() closes connections that were not asked for, also one that comes in that turn", async () => {
  for (const early of [true, false]) {
    const [first, second] = [new FakeListener(), new FakeListener()];
    const listener = new LoopbackListener(first, second);
    const conn = new FakeConn();
    const accepted = listener.accept();
    first.offer(new FakeConn());
    await accepted;
    second.offer(conn);
    if (early) await flushMicrotasks();
    listener.close();
    await flushMicrotasks();
    assertEquals({ early, closed: conn.closed }, { early, closed: true });
  }
});

Deno.test("LoopbackListener.ref() and unref() are those of both", () => {
  const listeners = [new FakeListener(), new FakeListener()] as const;
  const listener = new LoopbackListener(...listeners);
  listener.unref();
  listener.ref();
  assertEquals(listeners.map(({ refs }) => refs), [[false, true], [false, true]]);
});
