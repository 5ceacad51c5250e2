import { assert, assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { ReceiveBuffer } from "./receive_buffer.ts";

Deno.test("ReceiveBuffer keeps its memory while a read needs half of it, and no longer", () => {
  const buffer = new ReceiveBuffer(65_536);
  const read = (count: number) => {
    const space = buffer.reserve();
    buffer.commit(count);
    buffer.consume(count);
    return space;
  };
  read(1024); // fills what is offered, so the next reads are offered 2,048 and 4,096
  read(2048);
  const large = read(1);
  assertEquals(large.length, 4096);
  read(1); // the second small read in a row halves what is offered next
  const half = read(1);
  assertEquals(half.length, 2048);
  assertStrictEquals(half.buffer, large.buffer);
  read(1);
  const quarter = read(1);
  assertEquals(quarter.length, 1024);
  assert(quarter.buffer !== large.buffer);
});

Deno.test("ReceiveBuffer.commit() rejects the hundredth read of 0 bytes in a row, not one before", () => {
  const buffer = new ReceiveBuffer(1024);
  const commit = (count: number) => {
    buffer.reserve();
    buffer.commit(count);
  };
  for (let i = 0; i < 99; i++) commit(0);
  commit(1); // starts the count again
  for (let i = 0; i < 99; i++) commit(0);
  assertThrows(() => commit(0), Error, "Cannot read: the connection returned 0 bytes 100 times in a row");
});
