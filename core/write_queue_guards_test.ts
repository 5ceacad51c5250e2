// Guards of WriteQueue that no test beside it notices: whether it is empty, and which blocks are used again.

import { assertEquals, assertStrictEquals } from "@std/assert";
import { WriteQueue } from "./write_queue.ts";

/** Writes the next chunk whole. Returns the memory that it lay in. */
function write(queue: WriteQueue): ArrayBufferLike {
  const chunk = queue.peek()!;
  queue.advance(chunk.length);
  return chunk.buffer;
}

/** Pushes, and writes all as one chunk. Returns its memory. */
function pushed(queue: WriteQueue, ...pushes: (string | Uint8Array)[]): ArrayBufferLike {
  for (const each of pushes) queue.push(each);
  const memory = write(queue);
  assertEquals(queue.empty, true);
  return memory;
}

Deno.test("WriteQueue.empty is true without bytes to write and producers to pull", () => {
  const queue = new WriteQueue();
  const producer = { pull: () => null, cancel() {} };
  const seen: Record<string, boolean> = { "at first": queue.empty };
  queue.push("a");
  seen["with bytes"] = queue.empty;
  queue.pushSource(producer);
  seen["with both"] = queue.empty;
  write(queue);
  seen["with a producer"] = queue.empty;
  queue.feed(producer, null);
  seen["at the end"] = queue.empty;
  assertEquals(seen, {
    "at first": true,
    "with bytes": false,
    "with both": false,
    "with a producer": false,
    "at the end": true,
  });
});

Deno.test("WriteQueue.push() reuses a written block of 512 bytes, however little of it was used", () => {
  for (const first of ["a", "a".repeat(128), new Uint8Array(512)]) {
    const queue = new WriteQueue();
    const memory = pushed(queue, first);
    assertEquals(memory.byteLength, 512);
    assertStrictEquals(pushed(queue, new Uint8Array(512)), memory);
    assertEquals(pushed(queue, new Uint8Array(513)) === memory, false);
  }
});

Deno.test("WriteQueue.push() reuses a written block of up to 8 KiB", () => {
  for (const [size, isReused] of [[8192, true], [8193, false]] as const) {
    const queue = new WriteQueue();
    const memory = pushed(queue, new Uint8Array(size));
    assertEquals({ size: memory.byteLength, isReused: pushed(queue, "a") === memory }, { size, isReused });
  }
});

Deno.test("WriteQueue.push() reuses a larger block when more than a quarter of it was used", () => {
  // Room is made for three bytes a character, and four times that of the block before.
  for (const [second, isReused] of [[341, false], [342, false], [343, true]] as const) {
    const queue = new WriteQueue();
    const memory = pushed(queue, "a".repeat(170), "a".repeat(second));
    assertEquals({ size: memory.byteLength, isReused: pushed(queue, "a") === memory }, { size: 2048, isReused });
  }
});

Deno.test("WriteQueue.push() of more than a spare block holds leaves that for a later push", () => {
  const queue = new WriteQueue();
  const memory = pushed(queue, "a");
  queue.push(new Uint8Array(600));
  queue.peek(); // a pending write: the next push needs another block
  queue.push("b");
  assertEquals(write(queue) === memory, false);
  assertStrictEquals(write(queue), memory);
});

Deno.test("WriteQueue.push() fills a block of 64 KiB to its last byte", () => {
  const queue = new WriteQueue();
  for (const size of [16_383, 16_384, 16_384, 1, 16_384]) queue.push(new Uint8Array(size)); // the last enlarges the block
  assertEquals(queue.peek()!.length, 65_536);
});
