import { assertEquals } from "@std/assert";
import { FakeClock } from "../testing/mod.ts";
import { FakeConn, FakeListener, systemError } from "../tests/listener_fakes.ts";
import { flushMicrotasks } from "../tests/recorder.ts";
import { AcceptLoop } from "./accept_loop.ts";
import { ServerLifecycle } from "./server_state.ts";

/** A running accept loop, with what it accepted and reported. */
function acceptLoop() {
  const listener = new FakeListener();
  const lifecycle = new ServerLifecycle();
  const clock = new FakeClock();
  const world = { capacity: Infinity, conns: [] as FakeConn[], errors: [] as unknown[], onError: () => {} };
  const loop = new AcceptLoop(listener, lifecycle, clock, {
    hasCapacity: () => world.conns.length < world.capacity,
    onConnection: (conn) => world.conns.push(conn),
    onError: (error) => {
      world.errors.push(error);
      world.onError();
    },
    onCloseError: (error) => world.errors.push(error),
  });
  const ended = loop.run();
  const stop = () => {
    lifecycle.transition("stop");
    loop.stop();
    return ended;
  };
  return { listener, lifecycle, clock, world, loop, stop };
}

Deno.test("AcceptLoop accepts the next connection at once after an error of one connection", async () => {
  const { listener, lifecycle, clock, world, stop } = acceptLoop();
  const errors = [
    systemError("NotConnected", "ENOTCONN"),
    systemError("ConnectionReset", "ECONNRESET"),
    systemError("ConnectionAborted", ""),
    systemError("Error", "EPROTO"),
  ];
  listener.offer(...errors, new FakeConn());
  await flushMicrotasks();
  assertEquals(world.errors, errors);
  assertEquals({ conns: world.conns.length, timers: clock.pending, state: lifecycle.state }, {
    conns: 1,
    timers: 0,
    state: "accepting",
  });
  await stop();
});

Deno.test("AcceptLoop backs off from 5 ms to 1 s while resources are short, anew after a success", async () => {
  const { listener, lifecycle, clock, world, stop } = acceptLoop();
  const delays: number[] = [];
  for (let i = 0; i < 10; i++) {
    listener.offer(systemError("Error", "EMFILE"));
    await flushMicrotasks();
    assertEquals(lifecycle.state, "backing off");
    const before = listener.accepts;
    let delay = 0;
    while (listener.accepts === before) {
      clock.advance(1);
      delay++;
      await flushMicrotasks(5);
    }
    assertEquals(lifecycle.state, "accepting");
    delays.push(delay);
  }
  assertEquals(delays, [5, 10, 20, 40, 80, 160, 320, 640, 1000, 1000]);
  listener.offer(new FakeConn());
  await flushMicrotasks();
  listener.offer(systemError("Error", "ENFILE"));
  await flushMicrotasks();
  clock.advance(5);
  await flushMicrotasks();
  listener.offer(new FakeConn());
  await flushMicrotasks();
  assertEquals({ conns: world.conns.length, errors: world.errors.length, timers: clock.pending }, {
    conns: 2,
    errors: 11,
    timers: 0,
  });
  await stop();
});

Deno.test("AcceptLoop backs off after anything that is not an error of one connection", async () => {
  for (const thrown of [new Error("unknown"), null, "text", { name: 5, code: 24 }]) {
    const { listener, lifecycle, clock, world, stop } = acceptLoop();
    const accept = listener.accept;
    listener.accept = () => Promise.reject(thrown);
    listener.offer(systemError("ConnectionReset", "ECONNRESET"));
    await flushMicrotasks();
    assertEquals({ state: lifecycle.state, last: world.errors.at(-1) }, { state: "backing off", last: thrown });
    listener.accept = accept;
    listener.offer(new FakeConn());
    clock.advance(5);
    await flushMicrotasks();
    assertEquals(world.conns.length, 1);
    await stop();
  }
});

Deno.test("AcceptLoop that is resumed while it backs off accepts at once", async () => {
  const { listener, lifecycle, clock, loop, stop } = acceptLoop();
  listener.offer(systemError("Error", "EMFILE"));
  await flushMicrotasks();
  assertEquals(listener.accepts, 1);
  loop.resume();
  await flushMicrotasks();
  assertEquals({ accepts: listener.accepts, timers: clock.pending, state: lifecycle.state }, {
    accepts: 2,
    timers: 0,
    state: "accepting",
  });
  await stop();
});

Deno.test("AcceptLoop calls accept only when there is capacity, and checks again when resumed", async () => {
  const { listener, lifecycle, clock, world, loop, stop } = acceptLoop();
  world.capacity = 1;
  listener.offer(new FakeConn(), new FakeConn());
  await flushMicrotasks();
  const full = { accepts: 1, conns: 1, timers: 0, state: "full" };
  const now = () => ({
    accepts: listener.accepts,
    conns: world.conns.length,
    timers: clock.pending,
    state: lifecycle.state,
  });
  assertEquals(now(), full);
  loop.resume();
  await flushMicrotasks();
  assertEquals(now(), full);
  world.capacity = 2;
  loop.resume();
  await flushMicrotasks();
  assertEquals(now(), { accepts: 2, conns: 2, timers: 0, state: "full" });
  await stop();
});

Deno.test("AcceptLoop ends when stopped: while accepting, full, or backing off", async () => {
  const accepting = acceptLoop();
  const full = acceptLoop();
  full.world.capacity = 1;
  full.listener.offer(new FakeConn());
  const backingOff = acceptLoop();
  backingOff.listener.offer(systemError("Error", "EMFILE"));
  await flushMicrotasks();
  assertEquals([accepting, full, backingOff].map(({ lifecycle }) => lifecycle.state), [
    "accepting",
    "full",
    "backing off",
  ]);
  for (const { listener, clock, world, stop } of [accepting, full, backingOff]) {
    const errors = world.errors.length;
    await stop();
    assertEquals({ closed: listener.closed, timers: clock.pending, errors: world.errors.length }, {
      closed: true,
      timers: 0,
      errors,
    });
  }
});

Deno.test("AcceptLoop closes a connection that is accepted in the turn of the stop", async () => {
  const { listener, world, stop } = acceptLoop();
  const conn = new FakeConn();
  listener.offer(conn);
  await stop();
  assertEquals({ closed: conn.closed, conns: world.conns, errors: world.errors }, {
    closed: true,
    conns: [],
    errors: [],
  });
});

Deno.test("AcceptLoop does not back off when onError stops the server", async () => {
  const { listener, clock, world, stop } = acceptLoop();
  world.onError = stop;
  listener.offer(systemError("Error", "EMFILE"));
  await flushMicrotasks();
  assertEquals({ accepts: listener.accepts, timers: clock.pending }, { accepts: 1, timers: 0 });
  await stop();
});
