import { assert, assertEquals, assertLessOrEqual, assertThrows } from "@std/assert";
import { Buffer } from "node:buffer";
import { bytes } from "../tests/recorder.ts";
import { ReceiveBuffer } from "./receive_buffer.ts";

/** Simulates a read of `data`. */
function read(buffer: ReceiveBuffer, data: Uint8Array): void {
  buffer.reserve().set(data);
  buffer.commit(data.length);
}

/** Simulates a read of `count` bytes, and consumes them. Returns the space that was offered. */
function readSome(buffer: ReceiveBuffer, count: (offered: number) => number): number {
  const offered = buffer.reserve().length;
  buffer.commit(count(offered));
  buffer.clear();
  return offered;
}

/** Returns the waiting bytes as text. */
function waiting(buffer: ReceiveBuffer): string {
  return new TextDecoder().decode(buffer.filled.subarray(buffer.start));
}

Deno.test("ReceiveBuffer is empty at the start", () => {
  const buffer = new ReceiveBuffer(65_536);
  const { length, filled, start } = buffer;
  assertEquals({ length, filled: filled.length, start }, { length: 0, filled: 0, start: 0 });
});

Deno.test("ReceiveBuffer.commit() takes in the bytes that were read, not the whole space", () => {
  const buffer = new ReceiveBuffer(65_536);
  buffer.reserve().set(bytes("abcd"));
  buffer.commit(3);
  assertEquals({ waiting: waiting(buffer), length: buffer.length }, { waiting: "abc", length: 3 });
});

Deno.test("ReceiveBuffer.commit() appends each read, and consume() advances the front", () => {
  const buffer = new ReceiveBuffer(65_536);
  read(buffer, bytes("abc"));
  buffer.consume(1);
  read(buffer, bytes("def"));
  assertEquals({ waiting: waiting(buffer), length: buffer.length }, { waiting: "bcdef", length: 5 });
  buffer.consume(4);
  read(buffer, bytes("g"));
  assertEquals({ waiting: waiting(buffer), length: buffer.length }, { waiting: "fg", length: 2 });
});

Deno.test("ReceiveBuffer.commit() rejects more than was reserved, and what is not a count", () => {
  for (const count of [-1, 1025, 0.5, NaN, Infinity, "1", undefined, null]) {
    const buffer = new ReceiveBuffer(65_536);
    buffer.reserve();
    const error = assertThrows(() => buffer.commit(count as number), RangeError);
    assertEquals(error.message, `Cannot commit a read: got ${count} bytes, expected 0 to 1024`);
    assertEquals(buffer.length, 0);
    buffer.commit(1024);
    assertEquals(buffer.length, 1024, "the space is still reserved");
  }
});

Deno.test("ReceiveBuffer.commit() rejects a second read into the same space", () => {
  const buffer = new ReceiveBuffer(65_536);
  assertThrows(() => buffer.commit(1), RangeError, "expected 0 to 0");
  read(buffer, bytes("ab"));
  assertThrows(() => buffer.commit(1), RangeError, "expected 0 to 0");
  assertEquals(waiting(buffer), "ab");
});

Deno.test("ReceiveBuffer.commit() of 0 bytes changes nothing", () => {
  const buffer = new ReceiveBuffer(65_536);
  read(buffer, bytes("ab"));
  buffer.reserve();
  buffer.commit(0);
  assertEquals(waiting(buffer), "ab");
});

Deno.test("ReceiveBuffer.reserve() without a commit between offers the same, and keeps what waits", () => {
  const buffer = new ReceiveBuffer(65_536);
  read(buffer, bytes("ab"));
  buffer.reserve().set(bytes("zzz"));
  const space = buffer.reserve();
  assertEquals({ space: space.length, waiting: waiting(buffer) }, { space: 1024, waiting: "ab" });
  space.set(bytes("c"));
  buffer.commit(1);
  assertEquals(waiting(buffer), "abc");
});

// ----------------------------------------------------------------------------------------------------------------- views

Deno.test("ReceiveBuffer.filled has views that are valid until reserve(), consumed or not", () => {
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

Deno.test("ReceiveBuffer.reserve() moves what waits to the front of the same memory, if it fits", () => {
  const buffer = new ReceiveBuffer(65_536);
  read(buffer, bytes("abc"));
  buffer.consume(2);
  read(buffer, bytes("def"));
  const { buffer: memory } = buffer.filled;
  buffer.consume(3);
  buffer.reserve();
  assertEquals({ waiting: waiting(buffer), start: buffer.start }, { waiting: "f", start: 0 });
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

// ---------------------------------------------------------------------------------------------------- a pending read

Deno.test("ReceiveBuffer.consume() during a read does not move the read", () => {
  const buffer = new ReceiveBuffer(65_536);
  read(buffer, bytes("abc"));
  const space = buffer.reserve();
  buffer.consume(2);
  space.set(bytes("def"));
  buffer.commit(3);
  assertEquals({ waiting: waiting(buffer), length: buffer.length }, { waiting: "cdef", length: 4 });
});

Deno.test("ReceiveBuffer.clear() during a read discards what waits, and keeps the read", () => {
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

Deno.test("ReceiveBuffer.reserve() doubles after a full read, up to the largest read", () => {
  const buffer = new ReceiveBuffer(10_000);
  const offered = Array.from({ length: 6 }, () => readSome(buffer, (offered) => offered));
  assertEquals(offered, [1024, 2048, 4096, 8192, 10_000, 10_000]);
});

Deno.test("ReceiveBuffer.reserve() offers the full space also when bytes wait", () => {
  const buffer = new ReceiveBuffer(65_536);
  for (const size of [1024, 2048, 4096]) {
    const space = buffer.reserve();
    assertEquals(space.length, size);
    buffer.commit(size);
  }
  assertEquals(buffer.length, 1024 + 2048 + 4096);
});

Deno.test("ReceiveBuffer.reserve() halves after two reads in a row below a quarter, down to 1024", () => {
  const buffer = new ReceiveBuffer(4096);
  while (readSome(buffer, (offered) => offered) < 4096);
  const offered = Array.from({ length: 7 }, () => readSome(buffer, (offered) => offered / 4 - 1));
  assertEquals(offered, [4096, 4096, 2048, 2048, 1024, 1024, 1024]);
});

Deno.test("ReceiveBuffer.reserve() keeps its size after reads of a quarter and more", () => {
  const buffer = new ReceiveBuffer(4096);
  while (readSome(buffer, (offered) => offered) < 4096);
  const offered = Array.from({ length: 5 }, () => readSome(buffer, (offered) => offered / 4));
  assertEquals(offered, [4096, 4096, 4096, 4096, 4096]);
});

Deno.test("ReceiveBuffer.reserve() keeps its size when the small reads are not in a row", () => {
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

Deno.test("ReceiveBuffer releases the memory of a burst", () => {
  const buffer = new ReceiveBuffer(65_536);
  while (readSome(buffer, (offered) => offered) < 65_536);
  const { byteLength } = buffer.filled.buffer;
  for (let reads = 0; reads < 20; reads++) readSome(buffer, () => 1);
  assertEquals(byteLength, 65_536);
  assertLessOrEqual(buffer.filled.buffer.byteLength, 2 * 1025);
});

Deno.test("ReceiveBuffer keeps its memory while the traffic stays the same", () => {
  const buffer = new ReceiveBuffer(65_536);
  readSome(buffer, () => 300);
  const { buffer: memory } = buffer.filled;
  for (let reads = 0; reads < 100; reads++) readSome(buffer, () => 300);
  assert(buffer.filled.buffer === memory);
});

// -------------------------------------------------------------------------------------------------------- unread bytes

Deno.test("ReceiveBuffer copies the unread bytes it starts with", () => {
  const unread = bytes("abc");
  const buffer = new ReceiveBuffer(65_536, unread);
  unread.fill(0);
  assertEquals({ waiting: waiting(buffer), length: buffer.length }, { waiting: "abc", length: 3 });
  buffer.consume(1);
  read(buffer, bytes("d"));
  assertEquals(waiting(buffer), "bcd");
});

Deno.test("ReceiveBuffer copies unread bytes of a Buffer, whose slice() is a view", () => {
  const unread = Buffer.alloc(10_000, "a");
  const buffer = new ReceiveBuffer(65_536, unread);
  buffer.consume(5000);
  unread.fill("b");
  buffer.reserve().fill(0);
  assertEquals(waiting(buffer), "a".repeat(5000));
  assertEquals(unread.toString(), "b".repeat(10_000));
});

Deno.test("ReceiveBuffer accepts more unread bytes than the largest read", () => {
  const buffer = new ReceiveBuffer(2, bytes("abcdef"));
  read(buffer, bytes("gh"));
  assertEquals(waiting(buffer), "abcdefgh");
});

Deno.test("ReceiveBuffer shares no memory with another", () => {
  const [one, other] = [new ReceiveBuffer(65_536), new ReceiveBuffer(65_536)];
  read(one, bytes("abc"));
  read(other, bytes("xyz"));
  assertEquals([waiting(one), waiting(other)], ["abc", "xyz"]);
  assert(one.filled.buffer !== other.filled.buffer);
});
