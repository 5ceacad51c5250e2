import { assert, assertEquals, assertRejects, assertStrictEquals, assertThrows } from "@std/assert";
import { ChatReader, type ChatReaderOptions, ChatTimeoutError, FrameTooLongError } from "../mod.ts";
import { FakeClock, memoryPair, scriptedConn } from "../testing/mod.ts";
import { bytes, flushMicrotasks } from "../tests/recorder.ts";

Deno.test("ChatReader rejects every read after one that failed with the connection's error", async () => {
  const error = new Error("cable cut");
  const [conn, peer] = memoryPair({ fail: { call: "read", nth: 2, error } });
  const reader = new ChatReader(conn);
  await peer.send("abcd");
  const failed = await assertRejects(() => reader.read(10));
  await peer.send("0123456789");
  assertStrictEquals(failed, error);
  assertStrictEquals(await assertRejects(() => reader.read(10)), error);
  assertStrictEquals(await assertRejects(() => reader.read(0)), error);
  conn.close();
  peer.close();
});

Deno.test("ChatReader rejects every read after a frame that is too long, and holds no more than that", async () => {
  const { conn } = scriptedConn(["x".repeat(100), "\nnext\n"]);
  const reader = new ChatReader(conn, { maxFrameBytes: 50 });
  const first = await assertRejects(() => reader.read("\n"), FrameTooLongError);
  const { calls: { read } } = conn;
  for (let i = 0; i < 3; i++) assertStrictEquals(await assertRejects(() => reader.read("\n")), first);
  assertEquals({ limit: first.limit, reads: conn.calls.read }, { limit: 50, reads: read });
  conn.close();
});

Deno.test("ChatReader fails at once when read() returns what is not a count, and after 100 empty reads", async () => {
  for (const result of [undefined, -1, NaN, "1"]) {
    const reader = new ChatReader({ read: () => Promise.resolve(result as never) });
    const error = await assertRejects(() => reader.read("\n"), RangeError);
    assertStrictEquals(await assertRejects(() => reader.read("\n")), error);
  }
  let reads = 0;
  const reader = new ChatReader({ read: () => Promise.resolve(reads++ * 0) });
  const { message } = await assertRejects(() => reader.read("\n"), Error);
  assertEquals({ message, reads }, {
    message: "Cannot read: the connection returned 0 bytes 100 times in a row",
    reads: 100,
  });
});

Deno.test("ChatReader.read() that is aborted leaves the frame for the next read", async () => {
  for (const [terminator, expected] of [["\n", "abcdef"], [4, "abcd"], [null, "abc"], ["e", "abcd"]] as const) {
    const [conn, peer] = memoryPair();
    const reader = new ChatReader(conn);
    const controller = new AbortController();
    const reason = new Error("enough");
    await peer.send("0\nabc");
    assertEquals(await reader.readText("\n"), "0");
    const reading = reader.read("\n", { signal: controller.signal });
    await flushMicrotasks();
    controller.abort(reason);
    assertStrictEquals(await assertRejects(() => reading), reason);
    assertEquals(reader.matchedTerminator, bytes("\n"));
    const again = reader.readText(terminator);
    await peer.send("def\n");
    assertEquals({ frame: await again, reads: conn.calls.read }, {
      frame: expected,
      reads: terminator === null ? 2 : 2,
    });
    peer.close();
    conn.close();
  }
});

Deno.test("ChatReader.read() with an aborted signal rejects at once and reads nothing", async () => {
  const { conn } = scriptedConn(["a\n"]);
  const reader = new ChatReader(conn);
  const reason = new Error("enough");
  assertStrictEquals(await assertRejects(() => reader.read("\n", { signal: AbortSignal.abort(reason) })), reason);
  assertEquals({ reads: conn.calls.read, frame: await reader.readText("\n") }, { reads: 0, frame: "a" });
  conn.close();
});

Deno.test("ChatReader.read() with timeoutMs rejects then, and no timer is left after any read", async () => {
  const clock = new FakeClock();
  const [conn, peer] = memoryPair();
  const reader = new ChatReader(conn, { clock });
  await peer.send("one\ntw");
  assertEquals(await reader.readText("\n", { timeoutMs: 100 }), "one");
  assertEquals(clock.pending, 0);
  const reading = reader.read("\n", { timeoutMs: 100 });
  await flushMicrotasks();
  clock.advance(100);
  const { kind, limitMs } = await assertRejects(() => reading, ChatTimeoutError);
  await peer.send("o\n");
  assertEquals({ kind, limitMs, frame: await reader.readText("\n"), timers: clock.pending }, {
    kind: "frame",
    limitMs: 100,
    frame: "two",
    timers: 0,
  });
  await assertRejects(() => reader.read("\n", { timeoutMs: -1 }), RangeError, "timeoutMs");
  peer.close();
  assertEquals(await reader.read("\n"), null);
  conn.close();
});

Deno.test("ChatReader.read() keeps large frames over many interruptions, at any cut", async () => {
  const frame = "0123456789".repeat(20_000);
  const [conn, peer] = memoryPair({ capacity: 700 }, { capacity: 700 });
  const reader = new ChatReader(conn, { maxFrameBytes: frame.length });
  const sent = peer.send(`${frame}\nrest\n`);
  let interruptions = 0;
  let received: string | null = null;
  while (received === null) {
    const controller = new AbortController();
    const reading = reader.readText("\n", { signal: controller.signal });
    if (interruptions < 20) flushMicrotasks(7 * interruptions).then(() => controller.abort(new Error("again")));
    try {
      received = await reading;
    } catch (error) {
      assertEquals((error as Error).message, "again");
      interruptions++;
    }
  }
  assert(received === frame);
  assert(interruptions >= 10, `${interruptions} interruptions`);
  assertEquals(await reader.readText("\n"), "rest");
  await sent;
  conn.close();
  peer.close();
});

Deno.test("ChatReader rejects unread input that is not bytes", () => {
  const { conn } = scriptedConn([]);
  const options = { unread: "text" } as unknown as ChatReaderOptions;
  assertThrows(() => new ChatReader(conn, options), TypeError, "unread is string, expected Uint8Array");
  conn.close();
});
