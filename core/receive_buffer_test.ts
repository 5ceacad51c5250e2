import { assert, assertEquals, assertThrows } from "@std/assert";
import { Buffer } from "node:buffer";
import { ReceiveBuffer } from "./receive_buffer.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

/** One read that brings `data`. */
function read(buffer: ReceiveBuffer, data: Uint8Array): void {
  buffer.reserve().set(data);
  buffer.commit(data.length);
}

/** One read that uses `count` bytes of what it was offered; gives how much that was. */
function readSome(buffer: ReceiveBuffer, count: (offered: number) => number): number {
  const offered = buffer.reserve().length;
  buffer.commit(count(offered));
  buffer.clear();
  return offered;
}

/** What waits, as text. */
function waiting(buffer: ReceiveBuffer): string {
  return new TextDecoder().decode(buffer.filled.subarray(buffer.start));
}

Deno.test("ReceiveBuffer is empty at first", () => {
  const buffer = new ReceiveBuffer(65_536);
  assertEquals([buffer.length, buffer.filled.length, buffer.start], [0, 0, 0]);
});

Deno.test("ReceiveBuffer.commit() takes in as much as came", () => {
  const buffer = new ReceiveBuffer(65_536);
  buffer.reserve().set(bytes("abcd"));
  buffer.commit(3);
  assertEquals([waiting(buffer), buffer.length], ["abc", 3]);
});

Deno.test("ReceiveBuffer.commit() puts reads one behind the other, and consume() takes them off the front", () => {
  const buffer = new ReceiveBuffer(65_536);
  read(buffer, bytes("abc"));
  buffer.consume(1);
  read(buffer, bytes("def"));
  assertEquals([waiting(buffer), buffer.length], ["bcdef", 5]);
  buffer.consume(4);
  read(buffer, bytes("g"));
  assertEquals([waiting(buffer), buffer.length], ["fg", 2]);
});

Deno.test("ReceiveBuffer.commit() refuses more than was reserved, and what is no count", () => {
  for (const count of [-1, 1025, 0.5, NaN, Infinity, "1", undefined, null]) {
    const buffer = new ReceiveBuffer(65_536);
    buffer.reserve();
    const error = assertThrows(() => buffer.commit(count as number), RangeError);
    assertEquals(error.message, `Cannot commit a read: got ${count} bytes, expected 0 to 1024`);
    assertEquals(buffer.length, 0);
    buffer.commit(1024);
    assertEquals(buffer.length, 1024, "what was reserved still is");
  }
});

Deno.test("ReceiveBuffer.commit() refuses a second read of what was reserved once", () => {
  const buffer = new ReceiveBuffer(65_536);
  assertThrows(() => buffer.commit(1), RangeError, "expected 0 to 0");
  read(buffer, bytes("ab"));
  assertThrows(() => buffer.commit(1), RangeError, "expected 0 to 0");
  assertEquals(waiting(buffer), "ab");
});

Deno.test("ReceiveBuffer.commit() of nothing changes nothing", () => {
  const buffer = new ReceiveBuffer(65_536);
  read(buffer, bytes("ab"));
  buffer.reserve();
  buffer.commit(0);
  assertEquals(waiting(buffer), "ab");
});

Deno.test("ReceiveBuffer.reserve() again, without a commit, offers the same and keeps what waits", () => {
  const buffer = new ReceiveBuffer(65_536);
  read(buffer, bytes("ab"));
  buffer.reserve().set(bytes("zzz"));
  const space = buffer.reserve();
  assertEquals([space.length, waiting(buffer)], [1024, "ab"]);
  space.set(bytes("c"));
  buffer.commit(1);
  assertEquals(waiting(buffer), "abc");
});

// ----------------------------------------------------------------------------------------------------------------- views

Deno.test("ReceiveBuffer.filled gives views that are good until the next reserve(), consumed or not", () => {
  const buffer = new ReceiveBuffer(65_536);
  read(buffer, bytes("abcdef"));
  const view = buffer.filled.subarray(0, 3);
  buffer.consume(3);
  assertEquals(view, bytes("abc"));
  buffer.clear();
  assertEquals(view, bytes("abc"));
});

Deno.test("ReceiveBuffer.commit() does not move what waits", () => {
  const buffer = new ReceiveBuffer(65_536);
  read(buffer, bytes("abc"));
  const space = buffer.reserve();
  const { buffer: memory, byteOffset } = buffer.filled;
  space.set(bytes("d"));
  buffer.commit(1);
  assert(buffer.filled.buffer === memory);
  assertEquals(buffer.filled.byteOffset, byteOffset);
});

Deno.test("ReceiveBuffer.reserve() brings what waits to the front of the same memory while there is room", () => {
  const buffer = new ReceiveBuffer(65_536);
  read(buffer, bytes("abc"));
  buffer.consume(2);
  read(buffer, bytes("def"));
  const { buffer: memory } = buffer.filled;
  buffer.consume(3);
  buffer.reserve();
  assertEquals([waiting(buffer), buffer.start], ["f", 0]);
  assert(buffer.filled.buffer === memory);
});

Deno.test("ReceiveBuffer.reserve() never offers bytes that wait", () => {
  const buffer = new ReceiveBuffer(4096);
  for (let round = 0; round < 200; round++) {
    buffer.reserve().fill(round);
    buffer.commit(7 * round % 1024);
    buffer.consume(Math.min(buffer.length, 5 * round % 1024));
    const before = buffer.filled.slice(buffer.start);
    buffer.reserve().fill(255);
    assertEquals(buffer.filled.slice(buffer.start), before, `round ${round}`);
  }
});

// ---------------------------------------------------------------------------------------------------- a read in flight

Deno.test("ReceiveBuffer.consume() while a read is on its way leaves the read where it is", () => {
  const buffer = new ReceiveBuffer(65_536);
  read(buffer, bytes("abc"));
  const space = buffer.reserve();
  buffer.consume(2);
  space.set(bytes("def"));
  buffer.commit(3);
  assertEquals([waiting(buffer), buffer.length], ["cdef", 4]);
});

Deno.test("ReceiveBuffer.clear() while a read is on its way forgets what waits and not what comes", () => {
  const buffer = new ReceiveBuffer(65_536);
  read(buffer, bytes("abc"));
  const space = buffer.reserve();
  buffer.clear();
  assertEquals(buffer.length, 0);
  space.set(bytes("def"));
  buffer.commit(3);
  assertEquals(waiting(buffer), "def");
});

// ------------------------------------------------------------------------------------------------------- how much space

Deno.test("ReceiveBuffer.reserve() doubles after a read that filled it, up to the largest read", () => {
  const buffer = new ReceiveBuffer(10_000);
  const offered = Array.from({ length: 6 }, () => readSome(buffer, (offered) => offered));
  assertEquals(offered, [1024, 2048, 4096, 8192, 10_000, 10_000]);
});

Deno.test("ReceiveBuffer.reserve() offers the full space also when bytes wait", () => {
  const buffer = new ReceiveBuffer(65_536);
  for (const wanted of [1024, 2048, 4096]) {
    const space = buffer.reserve();
    assertEquals(space.length, wanted);
    buffer.commit(wanted);
  }
  assertEquals(buffer.length, 1024 + 2048 + 4096);
});

Deno.test("ReceiveBuffer.reserve() halves after two reads in a row of less than a quarter, down to the smallest", () => {
  const buffer = new ReceiveBuffer(4096);
  while (readSome(buffer, (offered) => offered) < 4096);
  const offered = Array.from({ length: 7 }, () => readSome(buffer, (offered) => offered / 4 - 1));
  assertEquals(offered, [4096, 4096, 2048, 2048, 1024, 1024, 1024]);
});

Deno.test("ReceiveBuffer.reserve() stays as it is after reads of a quarter and more", () => {
  const buffer = new ReceiveBuffer(4096);
  while (readSome(buffer, (offered) => offered) < 4096);
  const offered = Array.from({ length: 5 }, () => readSome(buffer, (offered) => offered / 4));
  assertEquals(offered, [4096, 4096, 4096, 4096, 4096]);
});

Deno.test("ReceiveBuffer.reserve() does not halve when the small reads are not in a row", () => {
  const buffer = new ReceiveBuffer(4096);
  while (readSome(buffer, (offered) => offered) < 4096);
  const counts = [1, 4095, 1, 4096, 1, 2000, 1];
  assertEquals(counts.map((count) => readSome(buffer, () => count)), Array(7).fill(4096));
});

Deno.test("ReceiveBuffer.reserve() offers no more than the largest read, however small that is", () => {
  for (const largest of [1, 2, 3, 1000, 1023, 1025]) {
    const buffer = new ReceiveBuffer(largest);
    const offered = [0, 0, 0].map(() => readSome(buffer, (offered) => offered));
    offered.push(...[0, 0, 0, 0].map(() => readSome(buffer, () => 0)));
    const smallest = Math.min(largest, 1024);
    assertEquals(
      offered,
      [smallest, largest, largest, largest, largest, smallest, smallest],
      `largest read ${largest}`,
    );
  }
});

Deno.test("ReceiveBuffer gives memory back that a burst needed", () => {
  const buffer = new ReceiveBuffer(65_536);
  while (readSome(buffer, (offered) => offered) < 65_536);
  const { byteLength } = buffer.filled.buffer;
  for (let reads = 0; reads < 20; reads++) readSome(buffer, () => 1);
  assertEquals([byteLength, buffer.filled.buffer.byteLength <= 2 * 1025], [65_536, true]);
});

Deno.test("ReceiveBuffer keeps the same memory while the traffic stays the same", () => {
  const buffer = new ReceiveBuffer(65_536);
  readSome(buffer, () => 300);
  const { buffer: memory } = buffer.filled;
  for (let reads = 0; reads < 100; reads++) readSome(buffer, () => 300);
  assert(buffer.filled.buffer === memory);
});

// -------------------------------------------------------------------------------------------------------- unread bytes

Deno.test("ReceiveBuffer has the bytes that were read before, as a copy", () => {
  const unread = bytes("abc");
  const buffer = new ReceiveBuffer(65_536, unread);
  unread.fill(0);
  assertEquals([waiting(buffer), buffer.length], ["abc", 3]);
  buffer.consume(1);
  read(buffer, bytes("d"));
  assertEquals(waiting(buffer), "bcd");
});

Deno.test("ReceiveBuffer copies unread bytes also of a Buffer, whose slice() is a view", () => {
  const unread = Buffer.alloc(10_000, "a");
  const buffer = new ReceiveBuffer(65_536, unread);
  buffer.consume(5000);
  unread.fill("b");
  buffer.reserve().fill(0);
  assertEquals(waiting(buffer), "a".repeat(5000));
  assertEquals(unread.toString(), "b".repeat(10_000));
});

Deno.test("ReceiveBuffer takes more unread bytes than the largest read", () => {
  const buffer = new ReceiveBuffer(2, bytes("abcdef"));
  read(buffer, bytes("gh"));
  assertEquals(waiting(buffer), "abcdefgh");
});

Deno.test("ReceiveBuffer lets two buffers share no memory", () => {
  const [one, other] = [new ReceiveBuffer(65_536), new ReceiveBuffer(65_536)];
  read(one, bytes("abc"));
  read(other, bytes("xyz"));
  assertEquals([waiting(one), waiting(other)], ["abc", "xyz"]);
  assert(one.filled.buffer !== other.filled.buffer);
});
