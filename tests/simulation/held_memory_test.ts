// What waits behind a producer takes memory by its bytes, not by its pushes. Seen from outside: by what is allocated.

import { assert } from "@std/assert";
import { WriteQueue } from "../../core/write_queue.ts";

const PUSHES = 20_000;
const EMPTY_PUSHES = 500_000;
const MAX_HEAP_BYTES = 8_000_000; // 16 bytes each would be as much

/** A queue whose first producer waits for an event that does not come. */
function waitingQueue(): WriteQueue {
  const queue = new WriteQueue();
  queue.pushSource({ pull: () => new Promise(() => {}), cancel: () => {} });
  return queue;
}

/** Returns how many bytes of arrays are allocated in `fn`. */
function allocatedBy(fn: () => void): number {
  const original = globalThis.Uint8Array;
  let allocated = 0;
  globalThis.Uint8Array = new Proxy(original, {
    construct(target, values: [number]) {
      if (typeof values[0] === "number") allocated += values[0];
      return Reflect.construct(target, values);
    },
  });
  try {
    fn();
  } finally {
    globalThis.Uint8Array = original;
  }
  return allocated;
}

Deno.test("WriteQueue allocates for small pushes behind a producer a multiple of their bytes", () => {
  for (const data of ["p", new TextEncoder().encode("p")]) {
    const queue = waitingQueue();
    const allocated = allocatedBy(() => {
      for (let i = 0; i < PUSHES; i++) queue.push(data);
    });
    assert(queue.bufferedAmount === PUSHES && allocated >= PUSHES, `allocated ${allocated}`);
    assert(allocated < 8 * PUSHES, `allocated ${allocated} bytes for ${PUSHES}`);
  }
});

Deno.test("WriteQueue keeps nothing of empty pushes behind a producer", () => {
  for (const data of ["", new Uint8Array(0)]) {
    const queue = waitingQueue();
    const before = Deno.memoryUsage().heapUsed;
    for (let i = 0; i < EMPTY_PUSHES; i++) queue.push(data);
    const held = Deno.memoryUsage().heapUsed - before;
    assert(queue.pushCount === EMPTY_PUSHES + 1 && queue.bufferedAmount === 0);
    assert(held < MAX_HEAP_BYTES, `the heap grew by ${held} bytes`);
  }
});
