import { assertEquals } from "@std/assert";
import { FakeClock, memoryPair } from "../testing/mod.ts";
import { FakeConn } from "../tests/listener_fakes.ts";
import { flushMicrotasks } from "../tests/recorder.ts";
import { Rejections } from "./rejection.ts";

Deno.test("Rejections send the refusal despite unread input, and end when the peer ends", async () => {
  const clock = new FakeClock();
  const [conn, peer] = memoryPair();
  await peer.send("unread\r\n");
  new Rejections("421 Too many\r\n", Infinity, clock).reject(conn);
  assertEquals(await peer.receiveText(), "421 Too many\r\n");
  assertEquals(conn.calls.close, 0); // it lingers: closing with input unread would reset the connection
  await peer.send("more\r\n");
  peer.close();
  await flushMicrotasks();
  assertEquals({ closes: conn.calls.close, timers: clock.pending }, { closes: 1, timers: 0 });
});

Deno.test("Rejections close a peer that does not end within two seconds", async () => {
  const clock = new FakeClock();
  const conn = new FakeConn();
  new Rejections(new TextEncoder().encode("no"), Infinity, clock).reject(conn);
  await flushMicrotasks();
  clock.advance(1_999);
  assertEquals({ written: conn.written, closed: conn.closed }, { written: "no", closed: false });
  clock.advance(1);
  assertEquals({ closed: conn.closed, timers: clock.pending }, { closed: true, timers: 0 });
});

Deno.test("Rejections close a peer that does not read within two seconds", async () => {
  const clock = new FakeClock();
  const [conn, peer] = memoryPair({ capacity: 1 });
  new Rejections("no", Infinity, clock).reject(conn);
  await flushMicrotasks();
  clock.advance(1_900);
  assertEquals(conn.calls.close, 0);
  clock.advance(400); // time limits are noticed up to a tenth late
  await flushMicrotasks();
  assertEquals({ closes: conn.calls.close, timers: clock.pending }, { closes: 1, timers: 0 });
  peer.close();
});

Deno.test("Rejections without a refusal close at once, also a connection that is closed already", () => {
  const clock = new FakeClock();
  const rejections = new Rejections("", Infinity, clock);
  const conn = new FakeConn();
  rejections.reject(conn);
  rejections.reject(conn);
  assertEquals({ closed: conn.closed, written: conn.written, timers: clock.pending }, {
    closed: true,
    written: "",
    timers: 0,
  });
});

Deno.test("Rejections are 100 at a time; further connections are closed without a refusal", async () => {
  const clock = new FakeClock();
  const rejections = new Rejections("no", Infinity, clock);
  const conns = Array.from({ length: 102 }, () => new FakeConn());
  for (const conn of conns.slice(0, 101)) rejections.reject(conn);
  await flushMicrotasks();
  const count = () => ({
    refused: conns.filter(({ written }) => written === "no").length,
    closed: conns.filter(({ closed }) => closed).length,
  });
  assertEquals(count(), { refused: 100, closed: 1 });
  conns[0]!.close(); // as a peer that goes
  await flushMicrotasks();
  rejections.reject(conns[101]!);
  await flushMicrotasks();
  assertEquals(count(), { refused: 101, closed: 2 });
  rejections.close();
  assertEquals({ ...count(), timers: clock.pending }, { refused: 101, closed: 102, timers: 0 });
});
