import { assert, assertEquals, assertRejects, assertStrictEquals, assertThrows } from "@std/assert";
import { Buffer } from "node:buffer";
import { type MemoryConn, memoryPair, scriptedConn } from "./memory_conn.ts";
import { bytes, flushMicrotasks, text } from "../tests/recorder.ts";

/** One read with room for `size` bytes, as text; `null` at the end. */
async function read(conn: MemoryConn, size = 100): Promise<string | null> {
  const into = new Uint8Array(size);
  const count = await conn.read(into);
  return count === null ? null : text(into.subarray(0, count));
}

/** What has become of a promise, asked at any time. */
function watch(promise: Promise<unknown>): { outcome: string } {
  const watched = { outcome: "pending" };
  promise.then((value) => watched.outcome = String(value), (error) => watched.outcome = `${error.name} ${error.code}`);
  return watched;
}

const fault = async (promise: Promise<unknown>) => {
  const error = await assertRejects(() => promise, Error);
  return `${error.name} ${(error as Error & { code: string }).code}: ${error.message}`;
};

const INTERRUPTED = "Interrupted EINTR: operation canceled";
const BROKEN_PIPE = "BrokenPipe EPIPE: Broken pipe (os error 32)";
const RESET = "ConnectionReset ECONNRESET: Connection reset by peer (os error 104)";
const BAD_RESOURCE = "BadResource EBADF: Bad resource ID";

// -------------------------------------------------------------------------------------------------------- read and write

Deno.test("MemoryConn.read() gives what the other end wrote, one write at most, in its order", async () => {
  const [a, b] = memoryPair();
  assertEquals([await a.write(bytes("ab")), await a.write(bytes("c"))], [2, 1]);
  await b.write(bytes("x"));
  assertEquals([await read(b), await read(b), await read(a)], ["ab", "c", "x"]);
});

Deno.test("MemoryConn.read() gives as much as there is room for, and the rest later", async () => {
  const [a, b] = memoryPair();
  await a.write(bytes("abcde"));
  await a.write(bytes("f"));
  assertEquals([await read(b, 2), await read(b, 2), await read(b, 2), await read(b, 2)], ["ab", "cd", "e", "f"]);
});

Deno.test("MemoryConn.read() waits for the other end", async () => {
  const [a, b] = memoryPair();
  const waiting = watch(read(b));
  await flushMicrotasks();
  assertEquals(waiting.outcome, "pending");
  await a.write(bytes("ab"));
  await flushMicrotasks();
  assertEquals(waiting.outcome, "ab");
});

Deno.test("MemoryConn.read() without room and write() of nothing do nothing", async () => {
  const [a, b] = memoryPair();
  assertEquals([await b.read(new Uint8Array(0)), await a.write(new Uint8Array(0))], [0, 0]);
  await a.write(bytes("a"));
  assertEquals([await b.read(new Uint8Array(0)), await read(b)], [0, "a"]);
});

Deno.test("MemoryConn.write() copies what it takes", async () => {
  const [a, b] = memoryPair();
  const data = bytes("ab");
  await a.write(data);
  data.fill(0);
  assertEquals(await read(b), "ab");
});

Deno.test("MemoryConn.write() copies what it takes also of a Buffer, whose slice() is a view", async () => {
  const [a, b] = memoryPair();
  const data = Buffer.from("ab");
  await a.write(data);
  data.fill(0);
  assertEquals(await read(b), "ab");
});

Deno.test("MemoryConn has two addresses, which are the other end's the other way round", () => {
  const [ours, theirs] = memoryPair();
  assertEquals(ours.localAddr, { transport: "memory", name: "ours" });
  assertEquals(ours.remoteAddr, { transport: "memory", name: "theirs" });
  assertEquals([theirs.localAddr, theirs.remoteAddr], [ours.remoteAddr, ours.localAddr]);
});

Deno.test("MemoryConn.calls counts the calls of each kind, also those that fail", async () => {
  const [a, b] = memoryPair();
  assertEquals(a.calls, { read: 0, write: 0, closeWrite: 0, close: 0 });
  await a.write(bytes("a"));
  await b.write(bytes("b"));
  await read(a);
  await a.closeWrite();
  await assertRejects(() => a.write(bytes("c")));
  a.close();
  assertThrows(() => a.close());
  assertEquals(a.calls, { read: 1, write: 2, closeWrite: 1, close: 2 });
});

// ------------------------------------------------------------------------------------------------- short, full and failing

Deno.test("MemoryConn.read() gives no more than maxReadBytes", async () => {
  const [a, b] = memoryPair({}, { maxReadBytes: 2 });
  await a.write(bytes("abc"));
  assertEquals([await read(b), await read(b)], ["ab", "c"]);
});

Deno.test("MemoryConn.write() takes no more than maxWriteBytes", async () => {
  const [a, b] = memoryPair({ maxWriteBytes: 2 });
  assertEquals([await a.write(bytes("abc")), await read(b)], [2, "ab"]);
});

Deno.test("MemoryConn.write() takes what there is room for, and waits when there is none", async () => {
  const [a, b] = memoryPair({ capacity: 3 }, { capacity: 5 });
  assertEquals([await a.write(bytes("ab")), await a.write(bytes("cd")), await b.write(bytes("123456"))], [2, 1, 5]);
  const waiting = watch(a.write(bytes("def")));
  await flushMicrotasks();
  assertEquals(waiting.outcome, "pending");
  assertEquals(await read(b), "ab");
  await flushMicrotasks();
  assertEquals([waiting.outcome, await read(b), await read(b)], ["2", "c", "de"]);
});

Deno.test("MemoryConn has room for 65536 bytes if nothing else is said", async () => {
  const [a] = memoryPair();
  assertEquals(await a.write(new Uint8Array(100_000)), 65_536);
});

Deno.test("MemoryConn fails the nth read() as it is told, which takes nothing", async () => {
  const error = new Error("told to");
  for (const nth of [1, 2, 3]) {
    const [a, b] = memoryPair({ fail: { call: "read", nth, error } });
    for (const piece of ["a", "b"]) await b.send(piece);
    const got: unknown[] = [];
    for (let calls = 0; calls < 3; calls++) got.push(await read(a).catch((thrown) => thrown));
    const [failed] = got.splice(nth - 1, 1);
    assertStrictEquals(failed, error);
    assertEquals(got, ["a", "b"]);
  }
});

Deno.test("MemoryConn fails the nth write() as it is told, which writes nothing", async () => {
  const error = new Error("told to");
  for (const nth of [1, 2, 3]) {
    const [a, b] = memoryPair({ fail: { call: "write", nth, error } });
    for (let call = 1; call < nth; call++) await a.write(bytes("before "));
    assertStrictEquals(await assertRejects(() => a.write(bytes("x"))), error);
    await a.write(bytes("after"));
    a.close();
    assertEquals(await b.receiveText(), `${"before ".repeat(nth - 1)}after`);
  }
});

Deno.test("MemoryConn fails closeWrite() as it is told, and our side goes on", async () => {
  const error = new Error("told to");
  const [a, b] = memoryPair({ fail: { call: "closeWrite", nth: 1, error } });
  assertStrictEquals(await assertRejects(() => a.closeWrite()), error);
  await a.send("ab");
  await a.closeWrite();
  assertEquals(await b.receiveText(), "ab");
});

Deno.test("MemoryConn fails close() as it is told, by throwing, and is not closed", async () => {
  const error = new Error("told to");
  const [a, b] = memoryPair({ fail: { call: "close", nth: 1, error } });
  assertStrictEquals(assertThrows(() => a.close()), error);
  await a.send("ab");
  assertEquals(a.closed, false);
  a.close();
  assertEquals([a.closed, await b.receiveText()], [true, "ab"]);
});

// ------------------------------------------------------------------------------------------------------------- half-close

Deno.test("MemoryConn.closeWrite() ends what the other end reads, after what was written, for good", async () => {
  const [a, b] = memoryPair();
  await a.write(bytes("ab"));
  await a.closeWrite();
  assertEquals([await read(b), await read(b), await read(b)], ["ab", null, null]);
});

Deno.test("MemoryConn.closeWrite() ends a read of the other end that waits", async () => {
  const [a, b] = memoryPair();
  const waiting = watch(read(b));
  await a.closeWrite();
  await flushMicrotasks();
  assertEquals(waiting.outcome, "null");
});

Deno.test("MemoryConn.closeWrite() leaves the other direction open", async () => {
  const [a, b] = memoryPair();
  await a.closeWrite();
  await b.write(bytes("late"));
  assertEquals([await read(a), a.closed, b.closed], ["late", false, false]);
  assertEquals(await fault(a.write(bytes("x"))), BROKEN_PIPE);
});

// ------------------------------------------------------------------------------------------------------------------ close

Deno.test("MemoryConn.close() interrupts a read and a write that wait", async () => {
  const [a] = memoryPair({ capacity: 1 });
  await a.write(bytes("x"));
  const reading = fault(read(a));
  const writing = fault(a.write(bytes("y")));
  await flushMicrotasks();
  a.close();
  assertEquals([await reading, await writing, a.closed], [INTERRUPTED, INTERRUPTED, true]);
});

Deno.test("MemoryConn.close() lets the other end read what was written, and write no more", async () => {
  const [a, b] = memoryPair();
  await a.write(bytes("last words"));
  a.close();
  assertEquals([await read(b), await read(b), b.closed], ["last words", null, false]);
  assertEquals(await fault(b.write(bytes("x"))), BROKEN_PIPE);
});

Deno.test("MemoryConn.close() breaks a write of the other end that waits, and ends its read", async () => {
  const [a, b] = memoryPair({}, { capacity: 1 });
  await b.write(bytes("x"));
  const writing = fault(b.write(bytes("y")));
  const reading = watch(read(b));
  await flushMicrotasks();
  a.close();
  assertEquals([await writing, reading.outcome], [BROKEN_PIPE, "null"]);
});

Deno.test("MemoryConn refuses every call after close()", async () => {
  const [a] = memoryPair();
  a.close();
  assertEquals(await fault(read(a)), BAD_RESOURCE);
  assertEquals(await fault(a.write(bytes("x"))), BAD_RESOURCE);
  assertEquals(await fault(a.closeWrite()), BAD_RESOURCE);
  const error = assertThrows(() => a.close(), Error, "Bad resource ID");
  assertEquals(error.name, "BadResource");
});

Deno.test("MemoryConn closes at the end of a block that uses it, unless it is closed", async () => {
  const [a, b] = memoryPair();
  {
    using _ = a;
    b.close();
    using __ = b;
  }
  assertEquals([a.closed, b.closed, a.calls.close, b.calls.close], [true, true, 1, 1]);
  assertEquals(await fault(read(a)), BAD_RESOURCE);
});

// ------------------------------------------------------------------------------------------------------------------ reset

Deno.test("MemoryConn.reset() is told to the other end's read after what was written", async () => {
  const [a, b] = memoryPair();
  await a.write(bytes("ab"));
  a.reset();
  assertEquals([a.closed, await read(b), await fault(read(b))], [true, "ab", RESET]);
  assertEquals(await read(b), null, "it is told once");
});

Deno.test("MemoryConn.reset() is told to the other end's write", async () => {
  const [a, b] = memoryPair();
  a.reset();
  assertEquals(await fault(b.write(bytes("x"))), RESET);
  assertEquals(await fault(b.write(bytes("x"))), BROKEN_PIPE);
});

Deno.test("MemoryConn.reset() is told to a read and a write of the other end that wait", async () => {
  const [a, b] = memoryPair({}, { capacity: 1 });
  await b.write(bytes("x"));
  const [reading, writing] = [fault(read(b)), fault(b.write(bytes("y")))];
  await flushMicrotasks();
  a.reset();
  assertEquals([await reading, await writing], [RESET, RESET]);
});

Deno.test("MemoryConn.reset() after close() is refused, and resets nothing", async () => {
  const [a, b] = memoryPair();
  a.close();
  const error = assertThrows(() => a.reset(), Error);
  assertEquals([error.name, await read(b)], ["BadResource", null]);
});

Deno.test("MemoryConn.reset() closes our end", async () => {
  const [a] = memoryPair();
  const waiting = fault(read(a));
  await flushMicrotasks();
  a.reset();
  assertEquals([await waiting, await fault(read(a))], [INTERRUPTED, BAD_RESOURCE]);
});

// ------------------------------------------------------------------------------------------------------- for a test's peer

Deno.test("MemoryConn.send() writes all, in as many writes as it takes", async () => {
  const [a, b] = memoryPair({ maxWriteBytes: 3 });
  await a.send("h€llo");
  await a.send(bytes("!"));
  await a.send("");
  assertEquals([await b.receiveText(8), a.calls.write], ["h€llo!", 4]);
});

Deno.test("MemoryConn.sendInPieces() waits until each piece is read", async () => {
  const [a, b] = memoryPair();
  const sent = watch(a.sendInPieces(["ab", bytes("c")]));
  await flushMicrotasks();
  assertEquals([a.calls.write, await read(b, 1)], [1, "a"]);
  await flushMicrotasks();
  assertEquals([a.calls.write, await read(b)], [1, "b"]);
  await flushMicrotasks();
  assertEquals([a.calls.write, sent.outcome, await read(b)], [2, "pending", "c"]);
  await flushMicrotasks();
  assertEquals(sent.outcome, "undefined");
});

Deno.test("MemoryConn.sendInPieces() does not wait for an end that is closed", async () => {
  const [a, b] = memoryPair();
  const sent = watch(a.sendInPieces(["ab"]));
  await flushMicrotasks();
  b.close();
  await flushMicrotasks();
  assertEquals(sent.outcome, "undefined");
});

Deno.test("MemoryConn.receive() reads so many bytes and leaves the rest", async () => {
  const [a, b] = memoryPair();
  for (const piece of ["ab", "cd", "ef"]) await a.send(piece);
  assertEquals(await b.receive(3), bytes("abc"));
  assertEquals(await b.receive(0), bytes(""));
  assertEquals(await b.receiveText(3), "def");
});

Deno.test("MemoryConn.receive() reads to the end, which may come before so many bytes", async () => {
  for (const size of [Infinity, 100]) {
    const [a, b] = memoryPair({ capacity: 200_000 });
    const sent = new Uint8Array(size === 100 ? 70 : 150_000).fill(1);
    await a.send(sent);
    await a.closeWrite();
    const received = await b.receive(size);
    assertEquals(received.length, sent.length);
    assert(received.every((byte) => byte === 1));
    assertEquals(await b.receiveText(), "");
  }
});

Deno.test("MemoryConn.receiveText() decodes a character that came in two pieces", async () => {
  const [a, b] = memoryPair({ maxWriteBytes: 1 });
  await a.send("€");
  assertEquals(await b.receiveText(3), "€");
});

// ---------------------------------------------------------------------------------------------------------- scriptedConn()

Deno.test("scriptedConn() says its pieces, one a read, and then no more", async () => {
  const { conn, written } = scriptedConn(["ab", bytes("c"), "d"]);
  assertEquals([await read(conn), await read(conn), await read(conn), await read(conn)], ["ab", "c", "d", null]);
  conn.close();
  assertEquals(await written, "");
});

Deno.test("scriptedConn() gives what was written when our side has ended, by close() or by closeWrite()", async () => {
  for (const end of ["close", "closeWrite"] as const) {
    const { conn, written } = scriptedConn(["question"]);
    await read(conn);
    await conn.write(bytes("ans"));
    const watched = watch(written);
    await conn.write(bytes("wer"));
    await flushMicrotasks();
    assertEquals(watched.outcome, "pending");
    await conn[end]();
    assertEquals(await written, "answer");
  }
});

Deno.test("scriptedConn() gives what was written also when our side ends before it has heard everything", async () => {
  const { conn, written } = scriptedConn(["a", "b", "c", "d", "e", "f"], { maxReadBytes: 1 });
  await conn.write(bytes("enough"));
  await read(conn);
  conn.close();
  assertEquals(await written, "enough");
});

Deno.test("scriptedConn() says long pieces at once, and behaves as it is told", async () => {
  const { conn, written } = scriptedConn([new Uint8Array(100_000), "b"], { maxReadBytes: 100_000, maxWriteBytes: 1 });
  assertEquals((await read(conn, 200_000))!.length, 100_000);
  assertEquals([await read(conn), await conn.write(bytes("xy"))], ["b", 1]);
  conn.close();
  assertEquals(await written, "x");
});
