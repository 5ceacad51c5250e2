// Guards of toUnusedSource() that no test beside it notices.

import { assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { toUnusedSource } from "./producer.ts";

Deno.test("toUnusedSource() of a stream does not lock it, pulls nothing, and cancels it with the reason", async () => {
  const reasons: unknown[] = [];
  const stream = new ReadableStream<Uint8Array>({ cancel: (reason) => void reasons.push(reason) });
  const source = toUnusedSource(stream);
  assertEquals({ locked: stream.locked, pulled: source.pull() }, { locked: false, pulled: null });
  const reason = new Error("closed");
  await source.cancel(reason);
  assertStrictEquals(reasons[0], reason);
});

Deno.test("toUnusedSource() rejects a stream that is locked to a reader", () => {
  const stream = new ReadableStream<Uint8Array>();
  const reader = stream.getReader();
  assertThrows(() => toUnusedSource(stream), TypeError, "locked");
  reader.releaseLock();
});

Deno.test("toUnusedSource() accepts each other kind, which can be cancelled", () => {
  const returned: unknown[] = [];
  const iterator = {
    next: () => ({ done: true, value: undefined }),
    return: (reason: unknown) => returned.push(reason),
  };
  const iterable = { [Symbol.iterator]: () => iterator as unknown as Iterator<Uint8Array> };
  toUnusedSource(iterable).cancel("reason");
  assertEquals(returned, ["reason"]);
  assertThrows(() => toUnusedSource(1 as unknown as Iterable<Uint8Array>), TypeError, "Cannot push with a producer");
});
