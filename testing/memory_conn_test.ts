import { assert, assertEquals, assertRejects, assertStrictEquals, assertThrows } from "@std/assert";
import { Buffer } from "node:buffer";
import { type MemoryConn, memoryPair, scriptedConn } from "./memory_conn.ts";
import { bytes, flushMicrotasks, text } from "../tests/recorder.ts";

/** One read of at most `size` bytes, as text; `null` at EOF. */
async function read(conn: MemoryConn, size = 100): Promise<string | null> {
  const into = new Uint8Array(size);
  const count = await conn.read(into);
  return count === null ? null : text(into.subarray(0, count));
}

/** The current state of a promise. */
function watch(promise: Promise<unknown>): { outcome: string } {
  const watched = { outcome: "pending" };
  promise.then((value) => watched.outcome = String(value), (error) => watched.outcome = `${error.name} ${error.code}`);
  return watched;
}

const rejection = async (promise: Promise<unknown>) => {
  const error = await assertRejects(() => promise, Error);
  return `${error.name} ${(error as Error & { code: string }).code}: ${error.message}`;
};

const INTERRUPTED = "Interrupted EINTR: operation canceled";
const BROKEN_PIPE = "BrokenPipe EPIPE: Broken pipe (os error 32)";
const RESET = "ConnectionReset ECONNRESET: Connection reset by peer (os error 104)";
const BAD_RESOURCE = "BadResource EBADF: Bad resource ID";

// -------------------------------------------------------------------------------------------------------- read and write

Deno.test("MemoryConn.read() returns what the other end wrote, in order, one write at most", async () => {
  const [a, b] = memoryPair();
  assertEquals([await a.write(bytes("ab")), await a.write(bytes("c"))], [2, 1]);
  await b.write(bytes("x"));
  assertEquals([await read(b), await read(b), await read(a)], ["ab", "c", "x"]);
});

Deno.test("MemoryConn.read() fills its buffer, and returns the rest later", async () => {
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

Deno.test("MemoryConn.read() and write() of 0 bytes do nothing", async () => {
  const [a, b] = memoryPair();
  assertEquals(await b.read(new Uint8Array(0)), 0);
  assertEquals(await a.write(new Uint8Array(0)), 0);
  await a.write(bytes("a"));
  assertEquals(await b.read(new Uint8Array(0)), 0);
  assertEquals(await read(b), "a");
});

Deno.test("MemoryConn.write() copies what it takes", async () => {
  const [a, b] = memoryPair();
  const data = bytes("ab");
  await a.write(data);
  data.fill(0);
  assertEquals(await read(b), "ab");
});

Deno.test("MemoryConn.write() copies from a Buffer as well, whose slice() is a view", async () => {
  const [a, b] = memoryPair();
  const data = Buffer.from("ab");
  await a.write(data);
  data.fill(0);
  assertEquals(await read(b), "ab");
});

Deno.test("MemoryConn has two addresses, swapped at the other end", () => {
  const [ours, theirs] = memoryPair();
  assertEquals(ours.localAddr, { transport: "memory", name: "ours" });
  assertEquals(ours.remoteAddr, { transport: "memory", name: "theirs" });
  assertEquals(theirs.localAddr, ours.remoteAddr);
  assertEquals(theirs.remoteAddr, ours.localAddr);
});

Deno.test("MemoryConn.calls counts the calls of each kind, failed ones included", async () => {
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

Deno.test("MemoryConn.read() returns at most maxReadBytes", async () => {
  const [a, b] = memoryPair({}, { maxReadBytes: 2 });
  await a.write(bytes("abc"));
  assertEquals([await read(b), await read(b)], ["ab", "c"]);
});

Deno.test("MemoryConn.write() takes at most maxWriteBytes", async () => {
  const [a, b] = memoryPair({ maxWriteBytes: 2 });
  assertEquals(await a.write(bytes("abc")), 2);
  assertEquals(await read(b), "ab");
});

Deno.test("MemoryConn.write() takes up to capacity, and waits when it is reached", async () => {
  const [a, b] = memoryPair({ capacity: 3 }, { capacity: 5 });
  assertEquals([await a.write(bytes("ab")), await a.write(bytes("cd")), await b.write(bytes("123456"))], [2, 1, 5]);
  const waiting = watch(a.write(bytes("def")));
  await flushMicrotasks();
  assertEquals(waiting.outcome, "pending");
  assertEquals(await read(b), "ab");
  await flushMicrotasks();
  assertEquals(waiting.outcome, "2");
  assertEquals([await read(b), await read(b)], ["c", "de"]);
});

Deno.test("MemoryConn has a capacity of 65536 bytes by default", async () => {
  const [a] = memoryPair();
  assertEquals(await a.write(new Uint8Array(100_000)), 65_536);
});

Deno.test("MemoryConn fails the nth read(), which takes nothing", async () => {
  const error = new Error("injected");
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

Deno.test("MemoryConn fails the nth write(), which writes nothing", async () => {
  const error = new Error("injected");
  for (const nth of [1, 2, 3]) {
    const [a, b] = memoryPair({ fail: { call: "write", nth, error } });
    for (let call = 1; call < nth; call++) await a.write(bytes("before "));
    assertStrictEquals(await assertRejects(() => a.write(bytes("x"))), error);
    await a.write(bytes("after"));
    a.close();
    assertEquals(await b.receiveText(), `${"before ".repeat(nth - 1)}after`);
  }
});

Deno.test("MemoryConn fails closeWrite(), and our side stays open", async () => {
  const error = new Error("injected");
  const [a, b] = memoryPair({ fail: { call: "closeWrite", nth: 1, error } });
  assertStrictEquals(await assertRejects(() => a.closeWrite()), error);
  await a.send("ab");
  await a.closeWrite();
  assertEquals(await b.receiveText(), "ab");
});

Deno.test("MemoryConn fails close() by throwing, and stays open", async () => {
  const error = new Error("injected");
  const [a, b] = memoryPair({ fail: { call: "close", nth: 1, error } });
  assertStrictEquals(assertThrows(() => a.close()), error);
  await a.send("ab");
  assertEquals(a.closed, false);
  a.close();
  assertEquals(a.closed, true);
  assertEquals(await b.receiveText(), "ab");
});

// ------------------------------------------------------------------------------------------------------------- half-close

Deno.test("MemoryConn.closeWrite() gives the other end EOF after what was written, for good", async () => {
  const [a, b] = memoryPair();
  await a.write(bytes("ab"));
  await a.closeWrite();
  assertEquals([await read(b), await read(b), await read(b)], ["ab", null, null]);
});

Deno.test("MemoryConn.closeWrite() ends a pending read of the other end", async () => {
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
  assertEquals(await read(a), "late");
  assertEquals({ a: a.closed, b: b.closed }, { a: false, b: false });
  assertEquals(await rejection(a.write(bytes("x"))), BROKEN_PIPE);
});

// ------------------------------------------------------------------------------------------------------------------ close

Deno.test("MemoryConn.close() interrupts a pending read and write", async () => {
  const [a] = memoryPair({ capacity: 1 });
  await a.write(bytes("x"));
  const reading = rejection(read(a));
  const writing = rejection(a.write(bytes("y")));
  await flushMicrotasks();
  a.close();
  assertEquals({ read: await reading, write: await writing }, { read: INTERRUPTED, write: INTERRUPTED });
  assertEquals(a.closed, true);
});

Deno.test("MemoryConn.close() lets the other end read what was written, but not write", async () => {
  const [a, b] = memoryPair();
  await a.write(bytes("the end"));
  a.close();
  assertEquals([await read(b), await read(b)], ["the end", null]);
  assertEquals(b.closed, false);
  assertEquals(await rejection(b.write(bytes("x"))), BROKEN_PIPE);
});

Deno.test("MemoryConn.close() breaks a pending write of the other end, and ends its read", async () => {
  const [a, b] = memoryPair({}, { capacity: 1 });
  await b.write(bytes("x"));
  const writing = rejection(b.write(bytes("y")));
  const reading = watch(read(b));
  await flushMicrotasks();
  a.close();
  assertEquals({ write: await writing, read: reading.outcome }, { write: BROKEN_PIPE, read: "null" });
});

Deno.test("MemoryConn rejects every call after close()", async () => {
  const [a] = memoryPair();
  a.close();
  assertEquals(await rejection(read(a)), BAD_RESOURCE);
  assertEquals(await rejection(a.write(bytes("x"))), BAD_RESOURCE);
  assertEquals(await rejection(a.closeWrite()), BAD_RESOURCE);
  const error = assertThrows(() => a.close(), Error, "Bad resource ID");
  assertEquals(error.name, "BadResource");
});

Deno.test("MemoryConn closes when disposed of, unless already closed", async () => {
  const [a, b] = memoryPair();
  {
    using _ = a;
    b.close();
    using __ = b;
  }
  assertEquals({ a: a.closed, b: b.closed }, { a: true, b: true });
  assertEquals({ a: a.calls.close, b: b.calls.close }, { a: 1, b: 1 });
  assertEquals(await rejection(read(a)), BAD_RESOURCE);
});

// ------------------------------------------------------------------------------------------------------------------ reset

Deno.test("MemoryConn.reset() rejects the other end's read after what was written, once", async () => {
  const [a, b] = memoryPair();
  await a.write(bytes("ab"));
  a.reset();
  assertEquals(a.closed, true);
  assertEquals([await read(b), await rejection(read(b))], ["ab", RESET]);
  assertEquals(await read(b), null, "rejects once");
});

Deno.test("MemoryConn.reset() rejects the other end's write, once", async () => {
  const [a, b] = memoryPair();
  a.reset();
  assertEquals(await rejection(b.write(bytes("x"))), RESET);
  assertEquals(await rejection(b.write(bytes("x"))), BROKEN_PIPE);
});

Deno.test("MemoryConn.reset() rejects a pending read and write of the other end", async () => {
  const [a, b] = memoryPair({}, { capacity: 1 });
  await b.write(bytes("x"));
  const [reading, writing] = [rejection(read(b)), rejection(b.write(bytes("y")))];
  await flushMicrotasks();
  a.reset();
  assertEquals({ read: await reading, write: await writing }, { read: RESET, write: RESET });
});

Deno.test("MemoryConn.reset() after close() throws, and resets nothing", async () => {
  const [a, b] = memoryPair();
  a.close();
  const error = assertThrows(() => a.reset(), Error);
  assertEquals(error.name, "BadResource");
  assertEquals(await read(b), null);
});

Deno.test("MemoryConn.reset() closes this end", async () => {
  const [a] = memoryPair();
  const waiting = rejection(read(a));
  await flushMicrotasks();
  a.reset();
  assertEquals(await waiting, INTERRUPTED);
  assertEquals(await rejection(read(a)), BAD_RESOURCE);
});

// ------------------------------------------------------------------------------------------------------- for a test's peer

Deno.test("MemoryConn.send() writes everything, in several writes if needed", async () => {
  const [a, b] = memoryPair({ maxWriteBytes: 3 });
  await a.send("h€llo");
  await a.send(bytes("!"));
  await a.send("");
  assertEquals(await b.receiveText(8), "h€llo!");
  assertEquals(a.calls.write, 4);
});

Deno.test("MemoryConn.sendInPieces() waits until each piece is read", async () => {
  const [a, b] = memoryPair();
  const sent = watch(a.sendInPieces(["ab", bytes("c")]));
  await flushMicrotasks();
  assertEquals(a.calls.write, 1);
  assertEquals(await read(b, 1), "a");
  await flushMicrotasks();
  assertEquals(a.calls.write, 1);
  assertEquals(await read(b), "b");
  await flushMicrotasks();
  assertEquals({ writes: a.calls.write, sent: sent.outcome }, { writes: 2, sent: "pending" });
  assertEquals(await read(b), "c");
  await flushMicrotasks();
  assertEquals(sent.outcome, "undefined");
});

Deno.test("MemoryConn.sendInPieces() does not wait for a closed end", async () => {
  const [a, b] = memoryPair();
  const sent = watch(a.sendInPieces(["ab"]));
  await flushMicrotasks();
  b.close();
  await flushMicrotasks();
  assertEquals(sent.outcome, "undefined");
});

Deno.test("MemoryConn.receive(size) reads size bytes and leaves the rest", async () => {
  const [a, b] = memoryPair();
  for (const piece of ["ab", "cd", "ef"]) await a.send(piece);
  assertEquals(await b.receive(3), bytes("abc"));
  assertEquals(await b.receive(0), bytes(""));
  assertEquals(await b.receiveText(3), "def");
});

Deno.test("MemoryConn.receive() reads to EOF, also before size bytes have come", async () => {
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

Deno.test("MemoryConn.receiveText() decodes a character that was cut", async () => {
  const [a, b] = memoryPair({ maxWriteBytes: 1 });
  await a.send("€");
  assertEquals(await b.receiveText(3), "€");
});

// ---------------------------------------------------------------------------------------------------------- scriptedConn()

Deno.test("scriptedConn() sends its pieces, one a read, then EOF", async () => {
  const { conn, written } = scriptedConn(["ab", bytes("c"), "d"]);
  assertEquals([await read(conn), await read(conn), await read(conn), await read(conn)], ["ab", "c", "d", null]);
  conn.close();
  assertEquals(await written, "");
});

Deno.test("scriptedConn().written fulfills after close() or closeWrite()", async () => {
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

Deno.test("scriptedConn().written fulfills when the chat closes before the script ends", async () => {
  const { conn, written } = scriptedConn(["a", "b", "c", "d", "e", "f"], { maxReadBytes: 1 });
  await conn.write(bytes("enough"));
  await read(conn);
  conn.close();
  assertEquals(await written, "enough");
});

Deno.test("scriptedConn() sends long pieces at once, and applies its options", async () => {
  const { conn, written } = scriptedConn([new Uint8Array(100_000), "b"], { maxReadBytes: 100_000, maxWriteBytes: 1 });
  assertEquals((await read(conn, 200_000))!.length, 100_000);
  assertEquals(await read(conn), "b");
  assertEquals(await conn.write(bytes("xy")), 1);
  conn.close();
  assertEquals(await written, "x");
});
