// Guards of AsyncChat that no other test covers: half-closed connections, full output, late write failures.

import { assertEquals, assertInstanceOf, assertStrictEquals } from "@std/assert";
import { type ChatConn, ChatTimeoutError } from "../mod.ts";
import { FakeClock, memoryPair } from "../testing/mod.ts";
import { passTime } from "../tests/pass_time.ts";
import { bytes, flushMicrotasks, Recorder } from "../tests/recorder.ts";

/** Waits for `promise` over 2,000 microtasks; rejects when it is still pending then. */
function promptly<T>(promise: Promise<T>, what: string): Promise<T> {
  const stalled = flushMicrotasks(2_000).then(() => Promise.reject(new Error(`${what}: still pending`)));
  return Promise.race([promise, stalled]);
}

// --------------------------------------------------------------------------------------------------------------- full output

/** Runs a chat whose output is full after its first frame: its peer takes at most 10 bytes. */
async function fullChat(options: { frameTimeoutMs?: number } = {}, sent = "go\r\n") {
  const clock = new FakeClock();
  const [conn, peer] = memoryPair({ capacity: 10 }, { capacity: 100 });
  const chat = new Recorder(conn, { clock, highWaterMark: 10, writeTimeoutMs: 0, ...options });
  const answered = Promise.withResolvers<void>();
  chat.onFrame = () => {
    chat.push("x".repeat(100));
    answered.resolve();
  };
  const over = chat.run();
  await peer.send(sent);
  await answered.promise;
  await flushMicrotasks();
  return { clock, conn, peer, chat, over };
}

Deno.test("closeWhenDone while output is full reads: a peer that only sends is not stuck", async () => {
  const { conn, peer, chat, over } = await fullChat({}, "go\r\nnext\r\n");
  assertEquals({ reads: conn.calls.read, events: chat.events }, { reads: 1, events: ["connect", "frame go"] });
  chat.closeWhenDone();
  await promptly(peer.send("y".repeat(1_000)), "a peer that sends 1,000 bytes before it reads one");
  assertEquals(await peer.receiveText(), "x".repeat(100));
  peer.close();
  await promptly(over, "the end");
  assertEquals({ events: chat.events, reasons: chat.reasons }, {
    events: ["connect", "frame go", "close"],
    reasons: [undefined],
  });
});

Deno.test("frameTimeoutMs stands still while output is full and runs again when it drains", async () => {
  const { clock, peer, chat, over } = await fullChat({ frameTimeoutMs: 1_000 }, "go\r\nhalf a fra");
  await passTime(clock, 10_000);
  assertEquals({ state: chat.state, reason: chat.closeReason }, { state: "open", reason: undefined });
  assertEquals((await peer.receive(100)).length, 100);
  await passTime(clock, 900);
  assertEquals(chat.state, "open");
  await passTime(clock, 300); // a limit is noticed up to a tenth late
  await promptly(over, "the end");
  const { closeReason } = chat;
  assertInstanceOf(closeReason, ChatTimeoutError);
  assertEquals(closeReason.kind, "frame");
  peer.close();
});

// --------------------------------------------------------------------------------------------------------------- half-closed

Deno.test("closeWrite then closeWhenDone lingers two seconds for a peer that does not end", async () => {
  const clock = new FakeClock();
  const [conn, peer] = memoryPair();
  const chat = new Recorder(conn, { clock });
  const over = chat.run();
  chat.push("last\r\n");
  chat.closeWrite();
  assertEquals(await peer.receiveText(), "last\r\n"); // up to EOF
  await flushMicrotasks();
  chat.closeWhenDone();
  await passTime(clock, 1_990);
  assertEquals({ state: chat.state, closed: conn.closed }, { state: "closing", closed: false });
  await passTime(clock, 10);
  await promptly(over, "the end");
  assertEquals({ closed: conn.closed, reasons: chat.reasons }, { closed: true, reasons: [undefined] });
  peer.close();
});

Deno.test("closeWrite alone sets no time limit on what the peer still sends", async () => {
  const clock = new FakeClock();
  const [conn, peer] = memoryPair();
  const chat = new Recorder(conn, { clock });
  const over = chat.run();
  chat.closeWrite();
  assertEquals(await peer.receiveText(), "");
  await passTime(clock, 60_000);
  assertEquals(chat.state, "open");
  const answered = new Promise<void>((resolve) => chat.onFrame = () => resolve());
  await peer.send("a late answer\r\n");
  await promptly(answered, "the frame");
  peer.close();
  await promptly(over, "the end");
  assertEquals(chat.events, ["connect", "frame a late answer", "eof", "close"]);
});

Deno.test("closeWhenDone closes at once when both sides have ended before", async () => {
  const clock = new FakeClock();
  const [conn, peer] = memoryPair();
  const chat = new Recorder(conn, { clock });
  const eof = new Promise<void>((resolve) => chat.onEof = () => resolve());
  const over = chat.run();
  chat.closeWrite();
  assertEquals(await peer.receiveText(), "");
  await peer.closeWrite();
  await eof;
  await flushMicrotasks();
  assertEquals(chat.state, "open");
  chat.closeWhenDone();
  await promptly(over, "the end"); // without moving the clock
  assertEquals({ closed: conn.closed, reasons: chat.reasons }, { closed: true, reasons: [undefined] });
  peer.close();
});

Deno.test("closeWrite and pushes after the end do nothing, also after a reset", async () => {
  for (const end of ["close", "reset"] as const) {
    const [conn, peer] = memoryPair();
    const chat = new Recorder(conn);
    const over = chat.run();
    await flushMicrotasks();
    peer[end]();
    await over;
    const before = { ...conn.calls };
    chat.closeWrite();
    const results = { pushed: chat.push("a broadcast"), produced: chat.pushWithProducer([bytes("a broadcast")]) };
    assertEquals(results, { pushed: false, produced: false }, end);
    await flushMicrotasks();
    assertEquals({ calls: { ...conn.calls }, state: chat.state, buffered: chat.bufferedAmount, errors: chat.errors }, {
      calls: before,
      state: "closed",
      buffered: 0,
      errors: [],
    }, end);
  }
});

Deno.test("closeWrite after close leaves the connection alone", async () => {
  const [conn, peer] = memoryPair();
  const chat = new Recorder(conn);
  const over = chat.run();
  await flushMicrotasks();
  chat.close();
  chat.closeWrite();
  await over;
  chat.closeWrite();
  await flushMicrotasks();
  assertEquals({ calls: conn.calls.closeWrite, reasons: chat.reasons }, { calls: 0, reasons: [undefined] });
  peer.close();
});

// --------------------------------------------------------------------------------------------------------- writes that fail

const CABLE_CUT = new Error("cable cut");

/** Returns a chat whose first write fails, with a fake clock. */
function cutChat() {
  const clock = new FakeClock();
  const [conn, peer] = memoryPair({ fail: { call: "write", nth: 1, error: CABLE_CUT } });
  return { clock, conn, peer, chat: new Recorder(conn, { clock }) };
}

Deno.test("a write that fails after the peer has ended its side closes the chat at once", async () => {
  const { conn, peer, chat } = cutChat();
  const eof = new Promise<void>((resolve) => chat.onEof = () => resolve());
  const over = chat.run();
  await peer.closeWrite();
  await eof;
  await flushMicrotasks();
  assertEquals(chat.state, "open"); // half closed
  chat.push("x");
  await promptly(over, "the end"); // nothing is left to read: no wait of two seconds
  assertEquals({ closed: conn.closed, events: chat.events }, { closed: true, events: ["connect", "eof", "close"] });
  assertStrictEquals(chat.reasons[0], CABLE_CUT);
  peer.close();
});

Deno.test("a write that fails after closeWhenDone closes the chat at once", async () => {
  const { conn, peer, chat } = cutChat();
  const over = chat.run();
  await flushMicrotasks();
  chat.push("x");
  chat.closeWhenDone();
  await promptly(over, "the end");
  assertEquals({ closed: conn.closed, events: chat.events }, { closed: true, events: ["connect", "close"] });
  assertStrictEquals(chat.reasons[0], CABLE_CUT);
  peer.close();
});

Deno.test("a signal taken before a write fails is aborted with its error at once", async () => {
  const { peer, chat } = cutChat();
  const aborted = Promise.withResolvers<{ state: string; reason: unknown }>();
  chat.onConnect = () => {
    const { signal } = chat;
    signal.addEventListener("abort", () => aborted.resolve({ state: chat.state, reason: signal.reason }));
  };
  chat.onFrame = async () => { // pending until the abort
    chat.push("x");
    await aborted.promise;
  };
  const over = chat.run();
  await peer.send("a\r\nb\r\n");
  assertEquals(await promptly(aborted.promise, "the abort"), { state: "open", reason: CABLE_CUT });
  peer.close();
  await promptly(over, "the end");
  assertEquals({ events: chat.events, errors: chat.errors }, {
    events: ["connect", "frame a", "frame b", "close"],
    errors: [],
  });
});

// ------------------------------------------------------------------------------------------------------------- empty reads

/** Returns a connection with one piece per read, then EOF. A number is a count of empty reads. */
function connOf(pieces: (string | number)[]): ChatConn {
  const reads = pieces.flatMap((piece) => typeof piece === "string" ? [bytes(piece)] : Array(piece).fill(bytes("")));
  return {
    read(p) {
      const piece = reads.shift();
      if (piece !== undefined) p.set(piece);
      return Promise.resolve(piece?.length ?? null);
    },
    write: (p) => Promise.resolve(p.length),
    close() {},
  };
}

Deno.test("a read of a byte restarts the count of empty reads", async () => {
  const chat = new Recorder(connOf([99, "a", 99, "b\r", 99, "\n", 99]));
  await chat.run();
  assertEquals({ events: chat.events, reasons: chat.reasons }, {
    events: ["connect", "frame ab", "eof", "close"],
    reasons: [undefined],
  });
  const broken = new Recorder(connOf([99, "a", 100, "b\r\n"]));
  await broken.run();
  assertEquals({ events: broken.events, reason: broken.reasons[0]?.constructor }, {
    events: ["connect", "close"],
    reason: Error,
  });
});
