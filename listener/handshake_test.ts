import { assertEquals, assertInstanceOf, assertRejects } from "@std/assert";
import { HandshakeTimeoutError } from "../core/errors.ts";
import { FakeClock } from "../testing/mod.ts";
import { FakeConn } from "../tests/listener_fakes.ts";
import { type Handshake, Handshakes } from "./handshake.ts";

function handshakes(run: Handshake<FakeConn>["run"]) {
  const clock = new FakeClock();
  return { clock, pending: new Handshakes({ name: "test handshake", timeoutMs: 1_000, run }, clock) };
}

/** Waits until the connection is closed. */
async function readToEnd(conn: FakeConn) {
  await conn.read();
  throw new Error("closed");
}

Deno.test("Handshakes fulfill when a handshake is complete, and keep nothing of it", async () => {
  const { clock, pending } = handshakes(() => Promise.resolve());
  const conn = new FakeConn();
  const done = pending.run(conn);
  assertEquals(pending.size, 1);
  await done;
  assertEquals({ closed: conn.closed, size: pending.size, timers: clock.pending }, {
    closed: false,
    size: 0,
    timers: 0,
  });
});

Deno.test("Handshakes reject with the error of a handshake, and keep nothing of it", async () => {
  const boom = new Error("boom");
  const throwing = () => {
    throw boom;
  };
  for (const run of [() => Promise.reject(boom), throwing]) {
    const { clock, pending } = handshakes(run);
    const error = await assertRejects(() => pending.run(new FakeConn()));
    assertEquals({ error, size: pending.size, timers: clock.pending }, { error: boom, size: 0, timers: 0 });
  }
});

Deno.test("Handshakes close a connection at the time limit, and reject with that", async () => {
  const { clock, pending } = handshakes(readToEnd);
  const conn = new FakeConn();
  const failed = assertRejects(() => pending.run(conn));
  clock.advance(999);
  assertEquals(conn.closed, false);
  clock.advance(1);
  assertEquals(conn.closed, true);
  const error = await failed;
  assertInstanceOf(error, HandshakeTimeoutError);
  assertEquals(error.message, "Handshake timeout: the test handshake is incomplete, limit is 1000 ms");
});

Deno.test("Handshakes reject one that is complete in the very turn of the time limit", async () => {
  const done = Promise.withResolvers<void>();
  const { clock, pending } = handshakes(() => done.promise);
  const failed = assertRejects(() => pending.run(new FakeConn()));
  clock.advance(1_000);
  done.resolve();
  assertInstanceOf(await failed, HandshakeTimeoutError);
});

Deno.test("Handshakes.close() closes all that are pending, which reject", async () => {
  const { clock, pending } = handshakes(readToEnd);
  const conns = [new FakeConn(), new FakeConn()];
  const failed = conns.map((conn) => assertRejects(() => pending.run(conn), Error, "closed"));
  pending.close();
  await Promise.all(failed);
  assertEquals({ closed: conns.map(({ closed }) => closed), size: pending.size, timers: clock.pending }, {
    closed: [true, true],
    size: 0,
    timers: 0,
  });
});
