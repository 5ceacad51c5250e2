// Guards of startTls() that no other test notices: hooks that do not await it, and a chat that ends as the handshake does.

import { assertEquals, assertInstanceOf, assertRejects, assertStrictEquals } from "@std/assert";
import {
  type ChatConn,
  type ChatOptions,
  HandshakeTimeoutError,
  type TlsUpgrade,
  UnreadPlaintextError,
} from "../mod.ts";
import { FakeClock, memoryPair } from "../testing/mod.ts";
import { bytes, flushMicrotasks, Recorder, text } from "../tests/recorder.ts";
import { startTls } from "./tls_upgrade.ts";
import { Writer } from "./writer.ts";

/** Starts TLS from wherever a test wants it. */
class Upgrading extends Recorder {
  onData: () => void | Promise<void> = () => {};

  start(upgrade: TlsUpgrade): Promise<void> {
    return this.startTls(upgrade);
  }
  protected override collectIncomingData(data: Uint8Array) {
    super.collectIncomingData(data);
    return this.onData();
  }
}

/** An upgrade whose handshake ends when the test says so, and the connection that comes of it. */
function handshake() {
  const started = Promise.withResolvers<{ conn: ChatConn; unread: string }>();
  const secured = Promise.withResolvers<ChatConn>();
  const [inner, peer] = memoryPair();
  const upgrade: TlsUpgrade = {
    role: "server",
    start(conn, unread) {
      started.resolve({ conn, unread: text(unread) });
      return secured.promise;
    },
  };
  return { upgrade, started: started.promise, secured, inner, peer };
}

/** A chat in memory, not yet run. */
function upgrading(options: ChatOptions = {}, capacity = 65_536) {
  const clock = new FakeClock();
  const [ours, theirs] = memoryPair({ capacity });
  return { chat: new Upgrading(ours, { clock, writeTimeoutMs: 0, ...options }), clock, ours, theirs };
}

// ---------------------------------------------------------------------------------------------------- TLS that no hook awaits

for (const hook of ["handleConnect", "collectIncomingData", "foundTerminator"]) {
  Deno.test(`startTls that an async ${hook} does not await lets no plaintext through`, async () => {
    const { upgrade, started, secured, inner, peer } = handshake();
    const { chat, ours, theirs } = upgrading();
    const done = Promise.withResolvers<void>();
    let isUpgraded = false;
    const startIn = async (name: string) => {
      if (name !== hook || isUpgraded) return;
      isUpgraded = true;
      void chat.start(upgrade);
      await flushMicrotasks(3); // waits, but not for TLS
      done.resolve();
    };
    chat.onConnect = () => startIn("handleConnect");
    chat.onData = () => startIn("collectIncomingData");
    chat.onFrame = () => startIn("foundTerminator");
    const over = chat.run();
    if (hook !== "handleConnect") await theirs.send("STARTTLS\r\n");
    const expected = { conn: ours, unread: hook === "collectIncomingData" ? "\r\n" : "" };
    assertEquals(await started, expected);
    await done.promise;
    const reads = ours.calls.read;
    await theirs.send("injected\r\n");
    await flushMicrotasks();
    assertEquals({ reads: ours.calls.read, received: chat.bytesReceived }, {
      reads,
      received: hook === "handleConnect" ? 0 : 10,
    });
    secured.resolve(inner);
    await peer.send("over TLS\r\n");
    await peer.closeWrite();
    await over;
    assertEquals({ events: chat.events, errors: chat.errors }, {
      events: hook === "foundTerminator"
        ? ["connect", "frame STARTTLS", "frame over TLS", "eof", "close"]
        : ["connect", "frame over TLS", "eof", "close"],
      errors: [],
    });
    theirs.close();
    peer.close();
  });
}

Deno.test("startTls after a hook that rejects and is forgiven still lets no plaintext through", async () => {
  const { upgrade, started, secured, inner, peer } = handshake();
  const { chat, ours, theirs } = upgrading();
  const boom = new Error("boom");
  const failed = Promise.withResolvers<void>();
  chat.onError = () => failed.resolve();
  chat.onFrame = async (frame) => {
    if (frame !== "STARTTLS") return;
    void chat.start(upgrade);
    await started;
    throw boom;
  };
  const over = chat.run();
  await theirs.send("STARTTLS\r\ninjected\r\n");
  await failed.promise;
  await theirs.send("injected later\r\n");
  await flushMicrotasks();
  assertEquals({ reads: ours.calls.read, unread: (await started).unread }, { reads: 1, unread: "injected\r\n" });
  secured.resolve(inner);
  await peer.send("over TLS\r\n");
  await peer.closeWrite();
  await over;
  assertEquals({ events: chat.events, errors: chat.errors }, {
    events: ["connect", "frame STARTTLS", "frame over TLS", "eof", "close"],
    errors: [boom],
  });
  theirs.close();
  peer.close();
});

for (const end of ["throws", "calls closeWhenDone"]) {
  Deno.test(`startTls alone reads the connection after a hook that starts it and ${end}`, async () => {
    const { upgrade, started, secured, inner, peer } = handshake();
    const { chat, ours, theirs } = upgrading();
    chat.onError = () => {};
    chat.onFrame = (frame) => {
      if (frame !== "STARTTLS") return;
      void chat.start(upgrade);
      if (end === "throws") throw new Error("boom");
      chat.closeWhenDone();
    };
    const over = chat.run();
    await theirs.send("STARTTLS\r\n");
    await started;
    await theirs.send("the beginning of a handshake\r\n");
    await flushMicrotasks();
    assertEquals({ reads: ours.calls.read, received: chat.bytesReceived }, { reads: 1, received: 10 });
    secured.resolve(inner);
    await peer.send("over TLS\r\n");
    await peer.closeWrite();
    await over;
    const frames = end === "throws" ? ["frame STARTTLS", "frame over TLS", "eof"] : ["frame STARTTLS"];
    assertEquals(chat.events, ["connect", ...frames, "close"]);
    theirs.close();
    peer.close();
  });
}

Deno.test("startTls in a hook that throws keeps the next hook waiting", async () => {
  const { upgrade, started, secured, inner, peer } = handshake();
  const { chat, theirs } = upgrading();
  chat.onError = () => {};
  chat.onConnect = () => {
    void chat.start(upgrade);
    chat.setTerminator(0); // is complete at once
    throw new Error("boom");
  };
  const over = chat.run();
  await started;
  await flushMicrotasks();
  assertEquals(chat.events, ["connect"]);
  secured.resolve(inner);
  await peer.closeWrite();
  await over;
  assertEquals(chat.events, ["connect", "frame ", "eof", "close"]);
  theirs.close();
  peer.close();
});

Deno.test("close() during startTls writes nothing more to the connection", async () => {
  const { upgrade } = handshake();
  const { chat, ours, theirs } = upgrading();
  let started: Promise<void> | undefined;
  chat.onConnect = () => {
    chat.push("before TLS\r\n");
    started = chat.start(upgrade).catch(() => {});
    chat.close();
  };
  await chat.run();
  await started;
  assertEquals({ writes: ours.calls.write, received: await theirs.receiveText() }, { writes: 0, received: "" });
  theirs.close();
});

Deno.test("startTls from outside while output is full lets no plaintext through", async () => {
  const { upgrade, started, secured, inner, peer } = handshake();
  const { chat, ours, theirs } = upgrading({ highWaterMark: 10 }, 10);
  const answered = Promise.withResolvers<void>();
  chat.onFrame = (frame) => {
    if (frame !== "go") return;
    chat.push("x".repeat(100));
    answered.resolve();
  };
  const over = chat.run();
  await theirs.send("go\r\nunread\r\n");
  await answered.promise;
  await flushMicrotasks(); // output is full: nothing is read, so TLS may start
  const upgraded = chat.start(upgrade);
  assertEquals((await theirs.receive(100)).length, 100); // what was queued is sent first, and there is room again
  assertEquals(await started, { conn: ours, unread: "unread\r\n" });
  await theirs.send("injected\r\n");
  await flushMicrotasks();
  assertEquals({ reads: ours.calls.read, events: chat.events }, { reads: 1, events: ["connect", "frame go"] });
  secured.resolve(inner);
  await upgraded;
  await peer.send("over TLS\r\n");
  await peer.closeWrite();
  await over;
  assertEquals(chat.events, ["connect", "frame go", "frame over TLS", "eof", "close"]);
  theirs.close();
  peer.close();
});

// ------------------------------------------------------------------------------------- a chat that ends as the handshake does

/** How TLS may come to nothing while its handshake ends. */
const ENDS: Record<string, (chat: Upgrading, clock: FakeClock) => void> = {
  "is closed": (chat) => chat.close(),
  "is closed with a reason": (chat) => chat.close(new Error("server stops")),
  "runs out of time": (_chat, clock) => clock.advance(10_000),
};

/** Ends the handshake, and `delay` microtasks later the chat. Returns whether TLS had begun by then. */
async function endBoth(end: string, delay: number): Promise<boolean> {
  const { upgrade, started, secured, inner, peer } = handshake();
  const { chat, clock, theirs } = upgrading();
  let outcome: unknown = "pending";
  chat.onFrame = async () => {
    await chat.start(upgrade).then(() => outcome = "secure", (error) => outcome = error);
    chat.push("only over TLS");
  };
  const over = chat.run();
  await theirs.send("STARTTLS\r\n");
  await started;
  secured.resolve(inner);
  for (let turn = 0; turn < delay; turn++) await null;
  const isUpgraded = chat.conn === inner;
  ENDS[end]!(chat, clock);
  await flushMicrotasks();
  // What came too late to stop the handshake does not end the chat.
  const isSecure = end === "runs out of time" ? chat.state === "open" : isUpgraded;
  const reason = end === "runs out of time" ? chat.closeReason : chat.signal.reason;
  assertEquals({ end, delay, outcome, isOpen: !inner.closed, sent: chat.bytesSent > 0, timers: clock.pending }, {
    end,
    delay,
    outcome: isSecure ? "secure" : reason,
    isOpen: chat.state === "open",
    sent: chat.state === "open",
    timers: 0,
  });
  theirs.close();
  peer.close();
  await over;
  return isUpgraded;
}

Deno.test("startTls closes the secured connection when the chat ends just as the handshake does", async () => {
  for (const end of Object.keys(ENDS)) {
    for (let delay = 1, isUpgraded = false; !isUpgraded; delay++) isUpgraded = await endBoth(end, delay);
  }
});

Deno.test("startTls closes the secured connection when the chat ends in the same turn", async () => {
  for (const end of Object.keys(ENDS)) await endBoth(end, 0);
});

// ------------------------------------------------------------------------------------------------- what lies on both sides

Deno.test("bytesSent counts what was sent before, between and after two upgrades", async () => {
  const [first, second] = [handshake(), handshake()];
  const upgrades = [first.upgrade, second.upgrade];
  const { chat, theirs } = upgrading();
  const counts: { sent: number; upgraded?: number }[] = [];
  chat.onFrame = async (frame) => {
    chat.push(frame);
    await chat.flushed();
    const count: typeof counts[0] = { sent: chat.bytesSent };
    counts.push(count);
    const upgrade = upgrades.shift();
    if (upgrade === undefined) return;
    await chat.start(upgrade);
    count.upgraded = chat.bytesSent;
  };
  const over = chat.run();
  await theirs.send("12345\r\n");
  await first.started;
  first.secured.resolve(first.inner);
  await first.peer.send("1234567\r\n");
  await second.started;
  second.secured.resolve(second.inner);
  await second.peer.send("123\r\n");
  await second.peer.closeWrite();
  await over;
  assertEquals({ counts, atEnd: chat.bytesSent }, {
    counts: [{ sent: 5, upgraded: 5 }, { sent: 12, upgraded: 12 }, { sent: 15 }],
    atEnd: 15,
  });
  theirs.close();
  first.peer.close();
  second.peer.close();
});

Deno.test("matchedTerminator is null after startTls, as no frame has ended over TLS yet", async () => {
  const { upgrade, secured, inner, peer } = handshake();
  const { chat, theirs } = upgrading();
  const matched: Record<string, string | null> = {};
  const matchedNow = () => chat.matchedTerminator && text(chat.matchedTerminator);
  chat.onFrame = async (frame) => {
    matched[frame] = matchedNow();
    if (frame !== "STARTTLS") return;
    secured.resolve(inner);
    await chat.start(upgrade);
    matched["over TLS"] = matchedNow();
  };
  const over = chat.run();
  await theirs.send("STARTTLS\r\n");
  await peer.send("next\r\n");
  await peer.closeWrite();
  await over;
  assertEquals(matched, { STARTTLS: "\r\n", "over TLS": null, next: "\r\n" });
  theirs.close();
  peer.close();
});

// ------------------------------------------------------------------------------------------------------------ startTls itself

/** An upgrade of a connection without a chat. */
function plaintext({ unread = "", capacity = 65_536 } = {}) {
  const clock = new FakeClock();
  const [conn, peer] = memoryPair({ capacity });
  const writer = new Writer(conn, { outputEnded() {}, outputFailed() {}, producerFailed() {} });
  writer.start();
  const ending = new AbortController();
  return { conn, peer, clock, writer, ending, unread: bytes(unread), signal: ending.signal };
}

Deno.test("startTls of a client refuses bytes that came ahead of the handshake, those of a server begin it", async () => {
  const before = plaintext({ unread: "250 ok" });
  const { upgrade, started, secured, inner } = handshake();
  const error = await assertRejects(() => startTls(before, { ...upgrade, role: "client" }), UnreadPlaintextError);
  assertEquals(error.message.includes("6 bytes"), true);
  const upgraded = startTls(before, upgrade);
  const { conn, unread } = await started;
  assertStrictEquals(conn, before.conn);
  assertEquals(unread, "250 ok");
  secured.resolve(inner);
  assertStrictEquals(await upgraded, inner);
  const client = handshake();
  client.secured.resolve(client.inner);
  assertStrictEquals(await startTls(plaintext(), { ...client.upgrade, role: "client" }), client.inner);
});

Deno.test("startTls shakes hands after what is queued is sent, and stops the writer and its timer at the end", async () => {
  const before = plaintext({ capacity: 4 });
  const { upgrade, started, secured, inner } = handshake();
  let isStarted = false;
  started.then(() => isStarted = true);
  before.writer.push("220 go ahead");
  const upgraded = startTls(before, upgrade);
  await flushMicrotasks();
  const meanwhile = { isStarted, timers: before.clock.pending, writer: before.writer.state };
  assertEquals(meanwhile, { isStarted: false, timers: 1, writer: "writing" });
  assertEquals(await before.peer.receiveText(12), "220 go ahead");
  secured.resolve(inner);
  await upgraded;
  assertEquals({ isStarted, timers: before.clock.pending, writer: before.writer.state, closed: inner.closed }, {
    isStarted: true,
    timers: 0,
    writer: "closed",
    closed: false,
  });
});

Deno.test("startTls takes 10 seconds at most, or timeoutMs, and closes what comes of a late handshake", async () => {
  for (const timeoutMs of [undefined, 500]) {
    const before = plaintext();
    const { upgrade, started, secured, inner } = handshake();
    const upgraded = startTls(before, timeoutMs === undefined ? upgrade : { ...upgrade, timeoutMs });
    let error: unknown;
    upgraded.catch((reason) => error = reason);
    await started;
    before.clock.advance((timeoutMs ?? 10_000) - 1);
    await flushMicrotasks();
    assertEquals({ error, writer: before.writer.state }, { error: undefined, writer: "idle" });
    before.clock.advance(1);
    await flushMicrotasks();
    assertInstanceOf(error, HandshakeTimeoutError);
    assertEquals({ names: error.message.includes("TLS handshake"), writer: before.writer.state }, {
      names: true,
      writer: "closed",
    });
    secured.resolve(inner);
    await flushMicrotasks();
    assertEquals(inner.closed, true);
  }
});

Deno.test("startTls rejects with the reason of the chat's end at once, also before the handshake", async () => {
  const reason = new Error("the chat has ended");
  const before = plaintext({ capacity: 1 });
  before.writer.push("more than is taken");
  const upgraded = startTls(before, handshake().upgrade);
  before.ending.abort(reason);
  assertStrictEquals(await upgraded.catch((error) => error), reason);
  assertEquals({ timers: before.clock.pending, writer: before.writer.state }, { timers: 0, writer: "closed" });
  before.peer.close();
});
