// Guards of Writer that no test beside it notices: its states, what is held, and what becomes of waiters and producers.

import { assertEquals, assertStrictEquals } from "@std/assert";
import type { Source } from "../core/producer.ts";
import { bytes, flushMicrotasks, text } from "../tests/recorder.ts";
import { Writer } from "./writer.ts";

/** A writer whose writes are held until the test accepts them. */
function held() {
  const writes: { text: string; accept: () => void }[] = [];
  const events: unknown[] = [];
  const conn = {
    read: () => Promise.resolve(null),
    write(p: Uint8Array): Promise<number> {
      const { promise, resolve } = Promise.withResolvers<number>();
      const { length } = p;
      writes.push({ text: text(p), accept: () => resolve(length) });
      return promise;
    },
    close() {},
  };
  const writer = new Writer(conn, {
    outputEnded: () => events.push("end"),
    outputFailed: (error) => events.push(error),
    producerFailed: (error) => events.push(error),
  });
  return { writer, writes, events };
}

/** A producer whose chunks the test makes. */
function source() {
  let made = Promise.withResolvers<Uint8Array | null>();
  const cancels: unknown[] = [];
  const producer: Source & { make(chunk: string | null): void; cancels: unknown[] } = {
    cancels,
    pull() {
      made = Promise.withResolvers();
      return made.promise;
    },
    make: (chunk) => made.resolve(chunk === null ? null : bytes(chunk)),
    cancel: (reason) => void cancels.push(reason),
  };
  return producer;
}

/** Whether the promise is fulfilled by now. */
async function isFulfilled(promise: Promise<void>): Promise<boolean> {
  let fulfilled = false;
  promise.then(() => fulfilled = true);
  await flushMicrotasks();
  return fulfilled;
}

Deno.test("Writer.heldBytes counts each producer beyond the 16th as 1 KiB; producing: there is one", async () => {
  const { writer } = held();
  writer.push("12345");
  const before = { held: writer.heldBytes, producing: writer.producing };
  const sources = Array.from({ length: 18 }, source);
  for (const each of sources) writer.pushSource(each);
  const queued = { held: writer.heldBytes, producing: writer.producing };
  writer.drop();
  await flushMicrotasks();
  assertEquals({ before, queued, after: { held: writer.heldBytes, producing: writer.producing } }, {
    before: { held: 5, producing: false },
    queued: { held: 2_053, producing: true },
    after: { held: 0, producing: false },
  });
});

Deno.test("Writer.state is that of what it does", async () => {
  const { writer, writes } = held();
  const states: string[] = [writer.state];
  const note = () => states.push(writer.state);
  writer.start();
  note();
  writer.push("a");
  note();
  await flushMicrotasks();
  writes[0]!.accept();
  await flushMicrotasks();
  note();
  const producer = source();
  writer.pushSource(producer);
  await flushMicrotasks();
  note();
  producer.make("b");
  await flushMicrotasks();
  note();
  writer.stop();
  note();
  assertEquals(states, ["new", "idle", "writing", "idle", "awaiting producer", "writing", "closed"]);
});

Deno.test("Writer.start() a second time starts no second write", async () => {
  const { writer, writes } = held();
  writer.start();
  writer.push("a");
  await flushMicrotasks();
  writer.start();
  writer.push("b");
  await flushMicrotasks();
  assertEquals(writes.map(({ text }) => text), ["a"]);
  writer.stop();
});

Deno.test("Writer.flushed() returns one promise for all that wait for the same push", () => {
  const { writer } = held();
  writer.push("a");
  const first = writer.flushed();
  assertStrictEquals(writer.flushed(), first);
  writer.push("b");
  assertEquals(writer.flushed() === first, false);
  writer.stop();
});

Deno.test("Writer.settled() waits for a pending write whose bytes were dropped", async () => {
  const { writer, writes } = held();
  await writer.settled();
  writer.start();
  writer.push("a");
  await flushMicrotasks();
  writer.drop();
  const settled = writer.settled();
  assertEquals({ flushed: await isFulfilled(writer.flushed()), settled: await isFulfilled(settled) }, {
    flushed: true,
    settled: false,
  });
  writes[0]!.accept();
  await settled;
});

Deno.test("Writer.settled() waits for what is queued", async () => {
  const { writer, writes } = held();
  writer.start();
  writer.push("a");
  const settled = writer.settled(); // no write is pending yet
  assertEquals(await isFulfilled(settled), false);
  writes[0]!.accept();
  await settled;
});

Deno.test("Writer forgets the waiters that it has settled", async () => {
  const { writer, writes } = held();
  writer.start();
  const { splice } = Array.prototype;
  let removed = 0;
  Array.prototype.splice = function (this: unknown[], start: number, count = 0, ...items: unknown[]) {
    removed += count;
    return splice.call(this, start, count, ...items);
  };
  try {
    for (const pushed of ["a", "b"]) {
      writer.push(pushed);
      const flushed = writer.flushed();
      await flushMicrotasks();
      writes.at(-1)!.accept();
      await flushed;
    }
  } finally {
    Array.prototype.splice = splice;
  }
  assertEquals(removed, 2);
});

Deno.test("Writer.flushed() fulfils with the end of a producer, not with the write behind it", async () => {
  const { writer, writes } = held();
  writer.start();
  const producer = source();
  writer.pushSource(producer);
  const flushed = writer.flushed();
  writer.push("behind");
  await flushMicrotasks();
  producer.make(null);
  assertEquals({ flushed: await isFulfilled(flushed), writes: writes.map(({ text }) => text) }, {
    flushed: true,
    writes: ["behind"],
  });
  writer.stop();
});

Deno.test("Writer.release() without a waiter does nothing", () => {
  held().writer.release();
});

Deno.test("Writer.drop() of a sealed queue ends our side, of another leaves the writer idle", async () => {
  for (const sealed of [true, false]) {
    const { writer, events } = held();
    writer.start();
    writer.pushSource(source());
    await flushMicrotasks();
    if (sealed) writer.seal();
    writer.drop();
    const { state } = writer;
    await flushMicrotasks();
    assertEquals({ state, events }, sealed ? { state: "writing", events: ["end"] } : { state: "idle", events: [] });
  }
});

Deno.test("Writer.drop() cancels a producer in the same turn, also after it was pulled", async () => {
  const reason = new Error("of the end");
  for (const pulled of [true, false]) {
    const { writer } = held();
    const producer = source();
    writer.pushSource(producer);
    if (pulled) writer.start();
    await flushMicrotasks();
    writer.drop(reason);
    assertEquals(producer.cancels, [reason]);
  }
});

Deno.test("Writer reports a producer that fails when it is cancelled without a reason", async () => {
  const { writer, events } = held();
  const error = new Error("of the producer");
  writer.pushSource({ ...source(), cancel: () => Promise.reject(error) });
  writer.drop();
  await flushMicrotasks();
  assertEquals(events, [error]);
});

Deno.test("Writer.trim() releases the spare block of a writer that was idle since the last call", async () => {
  const blocks: ArrayBufferLike[] = [];
  const write = (p: Uint8Array) => (blocks.push(p.buffer), Promise.resolve(p.length));
  const events = { outputEnded() {}, outputFailed() {}, producerFailed() {} };
  const writer = new Writer({ read: () => Promise.resolve(null), write, close() {} }, events);
  writer.start();
  const push = async () => {
    writer.push("x");
    await flushMicrotasks();
  };
  await push();
  writer.trim(); // pushed since the start: kept
  await push();
  writer.trim();
  writer.trim();
  await push();
  assertEquals({ kept: blocks[0] === blocks[1], released: blocks[1] !== blocks[2] }, { kept: true, released: true });
});
