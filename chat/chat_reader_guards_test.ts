// Guards of ChatReader that no other test notices.

import { assertEquals, assertRejects, assertStrictEquals, assertThrows } from "@std/assert";
import { FakeClock, memoryPair } from "../testing/mod.ts";
import { bytes, flushMicrotasks, text } from "../tests/recorder.ts";
import { ChatReader } from "./chat_reader.ts";

Deno.test("ChatReader has limits of 64 KiB for a frame and for a read", async () => {
  const [conn, peer] = memoryPair();
  const reader = new ChatReader(conn, { unread: bytes("x".repeat(65_536) + "\n" + "x".repeat(65_537) + "\n") });
  assertEquals((await reader.read("\n"))?.length, 65_536);
  await assertRejects(() => reader.read("\n"), Error, "limit is 65536");
  peer.close();
  conn.close();
});

Deno.test("ChatReader rejects limits that are not numbers of bytes, each by its name", () => {
  const [conn] = memoryPair();
  for (const name of ["maxFrameBytes", "maxReadBytes"]) {
    const message = `Cannot create a reader: ${name} is 0, expected a whole number of at least 1`;
    assertThrows(() => new ChatReader(conn, { [name]: 0 }), RangeError, message);
  }
});

Deno.test("ChatReader rejects unread that is no Uint8Array", () => {
  const [conn] = memoryPair();
  const unread = "text" as unknown as Uint8Array;
  assertThrows(() => new ChatReader(conn, { unread }), TypeError, "Cannot create a reader: unread is ");
});

Deno.test("ChatReader.read() with a signal and no limit starts no timer", async () => {
  const clock = new FakeClock();
  const [conn, peer] = memoryPair();
  const reader = new ChatReader(conn, { clock });
  const read = reader.readText("\n", { signal: new AbortController().signal });
  await flushMicrotasks();
  assertEquals(clock.pending, 0);
  await peer.send("a\n");
  assertEquals(await read, "a");
  peer.close();
  conn.close();
});

Deno.test("ChatReader.read() rejects a timeoutMs that is no time, and can read on", async () => {
  const [conn, peer] = memoryPair();
  const reader = new ChatReader(conn, { unread: bytes("a\n") });
  for (const timeoutMs of [-1, NaN]) {
    const message = `Cannot read: timeoutMs is ${timeoutMs}, expected milliseconds`;
    await assertRejects(() => reader.read("\n", { timeoutMs }), RangeError, message);
  }
  assertEquals(await reader.readText("\n", { timeoutMs: 0 }), "a");
  peer.close();
  conn.close();
});

Deno.test("ChatReader.read() with a signal and a limit rejects with what came first, and leaves no timer", async () => {
  for (const first of ["signal", "limit"] as const) {
    const clock = new FakeClock();
    const [conn, peer] = memoryPair();
    const reader = new ChatReader(conn, { clock });
    const ending = new AbortController();
    const reason = new Error("no longer needed");
    const read = reader.read("\n", { signal: ending.signal, timeoutMs: 100 });
    await flushMicrotasks();
    if (first === "signal") ending.abort(reason);
    else clock.advance(100);
    const error = await read.catch((error) => error);
    if (first === "signal") assertStrictEquals(error, reason);
    else assertEquals({ kind: error.kind, limitMs: error.limitMs }, { kind: "frame", limitMs: 100 });
    assertEquals(clock.pending, 0);
    peer.close();
    conn.close();
  }
});

Deno.test("ChatReader.read() removes its listener from the signal", async () => {
  const [conn, peer] = memoryPair();
  const reader = new ChatReader(conn, { unread: bytes("a\n") });
  const { signal } = new AbortController();
  const listeners = new Set<unknown>();
  const { addEventListener, removeEventListener } = signal;
  Object.assign(signal, {
    addEventListener(...args: Parameters<typeof addEventListener>) {
      listeners.add(args[1]);
      addEventListener.apply(signal, args);
    },
    removeEventListener(...args: Parameters<typeof removeEventListener>) {
      if (args[0] === "abort") listeners.delete(args[1]);
      removeEventListener.apply(signal, args);
    },
  });
  assertEquals({ read: await reader.readText("\n", { signal }), listeners: listeners.size }, {
    read: "a",
    listeners: 0,
  });
  peer.close();
  conn.close();
});

Deno.test("ChatReader.read() that was interrupted keeps the matched terminator and the limit of a frame", async () => {
  const [conn, peer] = memoryPair();
  const reader = new ChatReader(conn, { maxFrameBytes: 4 });
  await peer.send("ab\r\ncd");
  assertEquals(await reader.readText(["\n", "\r\n"]), "ab");
  const ending = new AbortController();
  const read = reader.read("\n", { signal: ending.signal });
  await flushMicrotasks();
  ending.abort();
  await read.catch(() => {});
  assertEquals(text(reader.matchedTerminator!), "\r\n");
  await peer.send("e\n");
  assertEquals(await reader.readText("\n"), "cde");
  await peer.send("12345\n");
  await assertRejects(() => reader.read("\n"), Error, "limit is 4");
  peer.close();
  conn.close();
});
