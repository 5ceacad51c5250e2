// Guards of AsyncChat that no other test notices: half-closed connections, full output, writes that fail late.

import { assertEquals, assertInstanceOf, assertStrictEquals } from "@std/assert";
import { type ChatConn, ChatTimeoutError } from "../mod.ts";
import { FakeClock, memoryPair } from "../testing/mod.ts";
import { bytes, flushMicrotasks, Recorder } from "../tests/recorder.ts";

/** Waits for `promise` as long as anything happens; rejects when it is still pending then. */
function promptly<T>(promise: Promise<T>, what: string): Promise<T> {
  const stalled = flushMicrotasks(2_000).then(() => Promise.reject(new Error(`${what}: still pending`)));
  return Promise.race([promise, stalled]);
}

/** Moves time on in small steps, with everything happening in between. */
async function pass(clock: FakeClock, ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += 10) {
    clock.advance(10);
    await flushMicrotasks(10);
  }
}

// --------------------------------------------------------------------------------------------------------------- full output

/** A chat whose output is full after its first frame, as its peer takes 10 bytes and no more. */
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

Deno.test("closeWhenDone while output is full reads on: a peer that only sends is not stuck", async () => {
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

Deno.test("frameTimeoutMs stands still while output is full, and goes on when there is room again", async () => {
  const { clock, peer, chat, over } = await fullChat({ frameTimeoutMs: 1_000 }, "go\r\nhalf a fra");
  await pass(clock, 10_000);
  assertEquals({ state: chat.state, reason: chat.closeReason }, { state: "open", reason: undefined });
  assertEquals((await peer.receive(100)).length, 100);
  await pass(clock, 900);
  assertEquals(chat.state, "open");
  await pass(clock, 300); // a limit is noticed up to a tenth late
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
  assertEquals(await peer.receiveText(), "last\r\n"); // to the end of our side
  await flushMicrotasks();
  chat.closeWhenDone();
  await pass(clock, 1_990);
  assertEquals({ state: chat.state, closed: conn.closed }, { state: "closing", closed: false });
  await pass(clock, 10);
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
  await pass(clock, 60_000);
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
  await promptly(over, "the end"); // the clock stands still
  assertEquals({ closed: conn.closed, reasons: chat.reasons }, { closed: true, reasons: [undefined] });
  peer.close();
});

Deno.test("closeWrite after the end does nothing: a later push is no mistake, and nothing is sent", async () => {
  for (const end of ["close", "reset"] as const) {
    const [conn, peer] = memoryPair();
    const chat = new Recorder(conn);
    const over = chat.run();
    await flushMicrotasks();
    peer[end]();
    await over;
    const before = { ...conn.calls };
    chat.closeWrite();
    chat.push("a broadcast"); // throws where it was this side that has ended the chat
    chat.pushWithProducer([bytes("a broadcast")]);
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

/** A chat whose first write fails, and whose time does not move by itself. */
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
  assertEquals(chat.state, "open"); // half closed, and still sending
  chat.push("x");
  await promptly(over, "the end"); // there is nothing left to read: no reason to wait two seconds
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
  chat.onFrame = async () => { // waits for something that its peer will not need any more
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

/** A connection that gives these pieces, one a read, then its end. Of a number, as many empty reads. */
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

Deno.test("empty reads are a fault in a row only: a byte in between starts the count again", async () => {
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
