import { assertEquals, assertInstanceOf, assertRejects } from "@std/assert";
import { HandshakeTimeoutError } from "../core/errors.ts";
import { FakeClock } from "../testing/mod.ts";
import { FakeConn } from "../tests/listener_fakes.ts";
import { type Handshake, shakeHands } from "./handshake.ts";

function handshake(run: Handshake<FakeConn>["run"]): Handshake<FakeConn> {
  return { name: "test handshake", timeoutMs: 1_000, run };
}

Deno.test("shakeHands() fulfills when the handshake is complete, and leaves no timer", async () => {
  const clock = new FakeClock();
  const conn = new FakeConn();
  await shakeHands(conn, handshake(() => Promise.resolve()), clock);
  assertEquals({ closed: conn.closed, timers: clock.pending }, { closed: false, timers: 0 });
});

Deno.test("shakeHands() rejects with the error of the handshake, and leaves no timer", async () => {
  const clock = new FakeClock();
  const boom = new Error("boom");
  const failures = [() => Promise.reject(boom), () => {
    throw boom;
  }];
  for (const run of failures) {
    const error = await assertRejects(() => shakeHands(new FakeConn(), handshake(run), clock));
    assertEquals({ error, timers: clock.pending }, { error: boom, timers: 0 });
  }
});

Deno.test("shakeHands() closes the connection at the time limit, and rejects with that", async () => {
  const clock = new FakeClock();
  const conn = new FakeConn();
  const failed = assertRejects(() =>
    shakeHands(
      conn,
      handshake(async (conn) => {
        await conn.read(); // ends when the connection is closed
        throw new Error("closed");
      }),
      clock,
    )
  );
  clock.advance(999);
  assertEquals(conn.closed, false);
  clock.advance(1);
  assertEquals(conn.closed, true);
  const error = await failed;
  assertInstanceOf(error, HandshakeTimeoutError);
  assertEquals(error.message, "Handshake timeout: the test handshake is incomplete, limit is 1000 ms");
});

Deno.test("shakeHands() rejects when the handshake is complete in the very turn of the limit", async () => {
  const clock = new FakeClock();
  const done = Promise.withResolvers<void>();
  const failed = assertRejects(() => shakeHands(new FakeConn(), handshake(() => done.promise), clock));
  clock.advance(1_000);
  done.resolve();
  assertInstanceOf(await failed, HandshakeTimeoutError);
});
