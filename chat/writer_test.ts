import { assert, assertEquals, assertInstanceOf, assertStrictEquals, assertThrows } from "@std/assert";
import type { ChatConn } from "./options.ts";
import { type ProducerLike, SimpleProducer, toSource } from "../core/producer.ts";
import { bytes, flushMicrotasks, text } from "../tests/recorder.ts";
import { Writer, type WriterEvents } from "./writer.ts";

const NO_EVENTS: WriterEvents = { outputEnded() {}, outputFailed() {}, producerFailed() {} };

/** The result of a write: the most bytes to take, an error, or "hold": pending until `settleWrite` is called. */
type WriteResult = number | Error | "hold";

/** A writer over a connection whose first writes follow `results`; later ones take everything. */
class Harness {
  readonly writer: Writer;
  readonly writes: string[] = []; // the bytes of each write
  readonly events: string[] = []; // what the writer reported
  readonly errors: unknown[] = [];
  settleWrite: (result: number | Error) => void = () => {}; // settles the held write
  closeWrites = 0;

  constructor(results: WriteResult[] = [], conn: Partial<ChatConn> = {}) {
    let writing = false;
    const write = async (given: Uint8Array) => {
      if (writing) this.events.push("two writes at once");
      writing = true;
      this.writes.push(text(given));
      let result: WriteResult = results.shift() ?? given.length;
      if (result === "hold") {
        result = await new Promise<number | Error>((resolve) => this.settleWrite = resolve);
      }
      writing = false;
      if (result instanceof Error) throw result;
      return Math.min(result, given.length);
    };
    const closeWrite = () => {
      this.closeWrites++;
      return Promise.resolve();
    };
    const read = () => Promise.resolve(null);
    const record = (event: string, error: unknown) => {
      this.events.push(event);
      if (error !== undefined) this.errors.push(error);
    };
    this.writer = new Writer(
      { read, write, closeWrite, close() {}, ...conn },
      {
        outputEnded: () => record("end", undefined),
        outputFailed: (error) => record("failed", error),
        producerFailed: (error) => record("producer failed", error),
      },
    );
    this.writer.start();
  }

  /** Pushes in one turn, then flushes microtasks. */
  async push(...pushed: (string | Uint8Array | ProducerLike)[]): Promise<void> {
    for (const item of pushed) {
      if (typeof item === "string" || item instanceof Uint8Array) this.writer.push(item);
      else this.writer.pushSource(toSource(item));
    }
    await flushMicrotasks();
  }

  /** Returns a function that returns whether everything pushed so far is flushed. */
  flushed(): () => boolean {
    let flushed = false;
    this.writer.flushed().then(() => flushed = true);
    return () => flushed;
  }
}

/** Returns a producer whose pull never settles. */
const stalledProducer = () => ({ more: () => new Promise<Uint8Array>(() => {}) });

// ---------------------------------------------------------------------------------------------------------------- writing

Deno.test("Writer writes nothing before start(), then all pushes in one write", async () => {
  const writes: string[] = [];
  const write = (given: Uint8Array) => Promise.resolve(writes.push(text(given)) && given.length);
  const writer = new Writer({ read: () => Promise.resolve(null), write, close() {} }, NO_EVENTS);
  writer.push("a");
  await flushMicrotasks();
  writer.push("b");
  await flushMicrotasks();
  assertEquals({ writes, bufferedAmount: writer.bufferedAmount }, { writes: [], bufferedAmount: 2 });
  writer.start();
  await flushMicrotasks();
  assertEquals({ writes, bufferedAmount: writer.bufferedAmount }, { writes: ["ab"], bufferedAmount: 0 });
});

Deno.test("Writer.push() makes one write per turn", async () => {
  const harness = new Harness();
  await harness.push("a", bytes("b"), "c");
  await harness.push("d");
  assertEquals(harness.writes, ["abc", "d"]);
});

Deno.test("Writer.push() writes nothing in the turn of the push", () => {
  const harness = new Harness();
  harness.writer.push("a");
  assertEquals(harness.writes, []);
  harness.writer.stop();
});

Deno.test("Writer.push() several times while a write is pending makes one write after it", async () => {
  const harness = new Harness(["hold"]);
  for (const pushed of ["a", "b", "c"]) await harness.push(pushed);
  assertEquals(harness.writes, ["a"]);
  harness.settleWrite(1);
  await flushMicrotasks();
  assertEquals(harness.writes, ["a", "bc"]);
});

Deno.test("Writer writes the rest after a short write", async () => {
  const harness = new Harness([1, 2, 1]);
  await harness.push("abcdefg");
  assertEquals(harness.writes, ["abcdefg", "bcdefg", "defg", "efg"]);
  assertEquals({ bytesSent: harness.writer.bytesSent, bufferedAmount: harness.writer.bufferedAmount }, {
    bytesSent: 7,
    bufferedAmount: 0,
  });
});

Deno.test("Writer.bytesSent and bufferedAmount count written and queued bytes", async () => {
  const harness = new Harness([2, "hold"]);
  await harness.push("abcde");
  assertEquals({ bytesSent: harness.writer.bytesSent, bufferedAmount: harness.writer.bufferedAmount }, {
    bytesSent: 2,
    bufferedAmount: 3,
  });
  harness.settleWrite(3);
  await flushMicrotasks();
  assertEquals({ bytesSent: harness.writer.bytesSent, bufferedAmount: harness.writer.bufferedAmount }, {
    bytesSent: 5,
    bufferedAmount: 0,
  });
});

Deno.test("Writer ignores an empty write and fails after a hundred in a row", async () => {
  const zeros = (count: number) => Array<number>(count).fill(0);
  const progressing = new Harness([...zeros(99), 1, ...zeros(99), 1]);
  await progressing.push("ab");
  await flushMicrotasks(1000);
  assertEquals({ events: progressing.events, bytesSent: progressing.writer.bytesSent }, { events: [], bytesSent: 2 });
  const stuck = new Harness([1, ...zeros(100)]);
  await stuck.push("ab");
  await flushMicrotasks(1000);
  assertEquals({ events: stuck.events, writeCount: stuck.writes.length }, { events: ["failed"], writeCount: 101 });
  assertEquals(
    (stuck.errors[0] as Error).message,
    "Cannot write: the connection took 0 of 1 bytes 100 times in a row",
  );
});

// ------------------------------------------------------------------------------------------------------------ the end

Deno.test("Writer reports a failed write once and drops the rest", async () => {
  for (let nth = 0; nth < 4; nth++) {
    const broken = new Error("broken pipe");
    const harness = new Harness([...Array<number>(nth).fill(1), broken]);
    const flushed = harness.flushed();
    await harness.push("abcd");
    const late = harness.flushed();
    await flushMicrotasks();
    assertEquals({ events: harness.events, writeCount: harness.writes.length }, {
      events: ["failed"],
      writeCount: nth + 1,
    });
    assertStrictEquals(harness.errors[0], broken);
    assertEquals({
      closed: harness.writer.state === "closed",
      accepting: harness.writer.accepting,
      bufferedAmount: harness.writer.bufferedAmount,
    }, { closed: true, accepting: false, bufferedAmount: 0 });
    assertEquals({ flushed: flushed(), late: late(), bytesSent: harness.writer.bytesSent }, {
      flushed: true,
      late: true,
      bytesSent: nth,
    });
  }
});

Deno.test("Writer wraps a thrown value that is no Error", async () => {
  const harness = new Harness([], { write: () => Promise.reject("gone") });
  await harness.push("a");
  assertInstanceOf(harness.errors[0], Error);
  assertEquals({ events: harness.events, cause: harness.errors[0].cause }, { events: ["failed"], cause: "gone" });
});

Deno.test("Writer reports a write() that throws synchronously", async () => {
  const thrown = new TypeError("no such thing");
  const harness = new Harness([], {
    write() {
      throw thrown;
    },
  });
  await harness.push("a");
  assertStrictEquals(harness.errors[0], thrown);
});

Deno.test("Writer fails with a RangeError when a write returns more than it was given", async () => {
  const harness = new Harness([], { write: (given) => Promise.resolve(given.length + 1) });
  await harness.push("abc");
  assertInstanceOf(harness.errors[0], RangeError);
  assertEquals(harness.errors[0].message, "Cannot write: the connection reported 4 bytes written, expected 0 to 3");
});

Deno.test("Writer.seal() ends our side after the last byte and reports it once", async () => {
  const harness = new Harness([1, "hold"]);
  harness.writer.push("abc");
  harness.writer.seal();
  assertEquals({ accepting: harness.writer.accepting, closed: harness.writer.state === "closed" }, {
    accepting: false,
    closed: false,
  });
  await flushMicrotasks();
  assertEquals({ closeWrites: harness.closeWrites, events: harness.events }, { closeWrites: 0, events: [] });
  harness.settleWrite(2);
  await flushMicrotasks();
  assertEquals(
    { closeWrites: harness.closeWrites, events: harness.events, closed: harness.writer.state === "closed" },
    { closeWrites: 1, events: ["end"], closed: true },
  );
});

Deno.test("Writer.seal() of an empty queue ends our side at once", async () => {
  const harness = new Harness();
  harness.writer.seal();
  await flushMicrotasks();
  assertEquals({ writes: harness.writes, closeWrites: harness.closeWrites, events: harness.events }, {
    writes: [],
    closeWrites: 1,
    events: ["end"],
  });
});

Deno.test("Writer.seal() waits for a pending producer", async () => {
  const pull = Promise.withResolvers<Uint8Array>();
  const harness = new Harness();
  await harness.push({ more: () => pull.promise });
  harness.writer.seal();
  await flushMicrotasks();
  assertEquals(harness.events, []);
  pull.resolve(new Uint8Array(0));
  await flushMicrotasks();
  assertEquals({ closeWrites: harness.closeWrites, events: harness.events }, { closeWrites: 1, events: ["end"] });
});

Deno.test("Writer.seal() reports the end on a connection without closeWrite()", async () => {
  const events: string[] = [];
  const conn = { read: () => Promise.resolve(null), write: () => Promise.resolve(0), close() {} };
  const writer = new Writer(conn, { ...NO_EVENTS, outputEnded: () => events.push("end") });
  writer.start();
  writer.seal();
  await flushMicrotasks();
  assertEquals(events, ["end"]);
});

Deno.test("Writer.seal() reports a closeWrite() that fails", async () => {
  const broken = new Error("not connected");
  const harness = new Harness([], { closeWrite: () => Promise.reject(broken) });
  harness.writer.seal();
  await flushMicrotasks();
  assertEquals(harness.events, ["failed"]);
  assertStrictEquals(harness.errors[0], broken);
});

Deno.test("Writer.stop() writes and reports nothing more, however the pending write settles", async () => {
  for (const outcome of [1, 3, new Error("interrupted")]) {
    const harness = new Harness(["hold"]);
    await harness.push("abc");
    await harness.push("def");
    const flushed = harness.flushed();
    harness.writer.stop();
    assertEquals({
      closed: harness.writer.state === "closed",
      accepting: harness.writer.accepting,
      bufferedAmount: harness.writer.bufferedAmount,
    }, { closed: true, accepting: false, bufferedAmount: 0 });
    harness.settleWrite(outcome);
    await flushMicrotasks();
    assertEquals({ writes: harness.writes, events: harness.events, flushed: flushed() }, {
      writes: ["abc"],
      events: [],
      flushed: true,
    });
  }
});

Deno.test("Writer.stop() while closeWrite() is pending reports nothing", async () => {
  const closing = Promise.withResolvers<void>();
  const harness = new Harness([], { closeWrite: () => closing.promise });
  harness.writer.seal();
  await flushMicrotasks();
  harness.writer.stop();
  closing.resolve();
  await flushMicrotasks();
  assertEquals(harness.events, []);
});

Deno.test("Writer.stop() before the first write writes nothing", async () => {
  const harness = new Harness();
  harness.writer.push("a");
  harness.writer.stop();
  harness.writer.start();
  await flushMicrotasks();
  assertEquals({ writes: harness.writes, events: harness.events }, { writes: [], events: [] });
});

Deno.test("Writer.pending is true while a write or closeWrite() is pending", async () => {
  const closing = Promise.withResolvers<void>();
  const harness = new Harness(["hold"], { closeWrite: () => closing.promise });
  const pending = [harness.writer.pending];
  await harness.push("a");
  pending.push(harness.writer.pending);
  harness.settleWrite(1);
  await flushMicrotasks();
  pending.push(harness.writer.pending);
  harness.writer.seal();
  await flushMicrotasks();
  pending.push(harness.writer.pending);
  closing.resolve();
  await flushMicrotasks();
  pending.push(harness.writer.pending);
  assertEquals(pending, [false, true, false, true, false]);
});

Deno.test("Writer.bytesSent counts a write that completes after stop()", async () => {
  const harness = new Harness(["hold"]);
  await harness.push("abc");
  harness.writer.stop();
  harness.settleWrite(2);
  await flushMicrotasks();
  assertEquals(harness.writer.bytesSent, 2);
});

// ----------------------------------------------------------------------------------------------------- flushed() and waitForCapacity()

Deno.test("Writer.flushed() resolves at once when nothing is queued", async () => {
  const harness = new Harness(["hold"]);
  await harness.writer.flushed();
  await harness.push("a");
  harness.settleWrite(1);
  await flushMicrotasks();
  await harness.writer.flushed();
});

Deno.test("Writer.flushed() waits for earlier pushes and not for later ones", async () => {
  const harness = new Harness(["hold", "hold"]);
  await harness.push("a");
  const first = harness.flushed();
  await harness.push("b");
  const second = harness.flushed();
  harness.settleWrite(1);
  await flushMicrotasks();
  assertEquals({ first: first(), second: second(), writes: harness.writes }, {
    first: true,
    second: false,
    writes: ["a", "b"],
  });
  harness.settleWrite(1);
  await flushMicrotasks();
  assertEquals(second(), true);
});

Deno.test("Writer.flushed() waits for the end of an earlier producer and not for a later one", async () => {
  const pulls = [Promise.withResolvers<Uint8Array>(), Promise.withResolvers<Uint8Array>()];
  let pullCount = 0;
  const harness = new Harness(["hold"]);
  await harness.push("a", { more: () => pulls[pullCount++]!.promise });
  const both = harness.flushed();
  await harness.push("b", stalledProducer());
  const all = harness.flushed();
  harness.settleWrite(1);
  pulls[0]!.resolve(bytes("1"));
  await flushMicrotasks();
  assertEquals({ writes: harness.writes, both: both(), all: all() }, { writes: ["a", "1"], both: false, all: false });
  pulls[1]!.resolve(bytes(""));
  await flushMicrotasks();
  assertEquals({ writes: harness.writes, both: both(), all: all() }, {
    writes: ["a", "1", "b"],
    both: true,
    all: false,
  });
  harness.writer.stop();
  await flushMicrotasks();
  assertEquals(all(), true);
});

Deno.test("Writer.flushed() resolves when a producer ends without bytes", async () => {
  const harness = new Harness();
  harness.writer.pushSource(toSource([]));
  const atOnce = harness.flushed();
  await flushMicrotasks();
  assertEquals(atOnce(), true);
  harness.writer.pushSource(toSource({ more: () => Promise.resolve(bytes("")) }));
  const later = harness.flushed();
  await harness.push(stalledProducer());
  assertEquals({ later: later(), writes: harness.writes }, { later: true, writes: [] });
  harness.writer.stop();
});

Deno.test("Writer.waitForCapacity() resolves when bufferedAmount has fallen to the limit", async () => {
  const harness = new Harness([2, 1, "hold", "hold"]);
  harness.writer.push("abcdefg");
  assertEquals({ 6: harness.writer.exceeds(6), 7: harness.writer.exceeds(7) }, { 6: true, 7: false });
  let hasCapacity = false;
  harness.writer.waitForCapacity(3).then(() => hasCapacity = true);
  await flushMicrotasks();
  assertEquals({ bufferedAmount: harness.writer.bufferedAmount, hasCapacity }, {
    bufferedAmount: 4,
    hasCapacity: false,
  });
  harness.settleWrite(1);
  await flushMicrotasks();
  assertEquals({ bufferedAmount: harness.writer.bufferedAmount, hasCapacity }, {
    bufferedAmount: 3,
    hasCapacity: true,
  });
  harness.writer.stop();
});

Deno.test("Writer.waitForCapacity() resolves when no more than 16 producers are queued", async () => {
  const pulls = Array.from({ length: 18 }, () => Promise.withResolvers<Uint8Array>());
  const harness = new Harness();
  await harness.push(...pulls.map(({ promise }) => ({ more: () => promise })));
  let hasCapacity = false;
  harness.writer.waitForCapacity(100).then(() => hasCapacity = true);
  const states: { exceeds: boolean; hasCapacity: boolean }[] = [];
  const recordState = () => states.push({ exceeds: harness.writer.exceeds(100), hasCapacity });
  for (const { resolve } of pulls.slice(0, 2)) {
    recordState();
    resolve(bytes(""));
    await flushMicrotasks();
  }
  recordState();
  assertEquals(states, [
    { exceeds: true, hasCapacity: false },
    { exceeds: true, hasCapacity: false },
    { exceeds: false, hasCapacity: true },
  ]);
  harness.writer.stop();
});

Deno.test("Writer.release(), drop() and stop() settle waitForCapacity()", async () => {
  for (const method of ["release", "drop", "stop"] as const) {
    const harness = new Harness(["hold"]);
    await harness.push("abc");
    let hasCapacity = false;
    harness.writer.waitForCapacity(1).then(() => hasCapacity = true);
    await flushMicrotasks();
    assertEquals(hasCapacity, false);
    harness.writer[method]();
    await flushMicrotasks();
    assertEquals(hasCapacity, true, method);
    harness.writer.stop();
  }
});

// --------------------------------------------------------------------------------------------------------------- producers

Deno.test("Writer writes the bytes of each kind of producer in order", async () => {
  const kinds: (() => ProducerLike)[] = [
    () => new SimpleProducer(bytes("1234"), 3),
    () => {
      const pieces = ["12", "34", ""].map(bytes);
      return { more: () => Promise.resolve(pieces.shift()!) };
    },
    () => ["1", "", "234"].map(bytes),
    async function* () {
      yield await Promise.resolve(bytes("12"));
      yield new Uint8Array(0);
      yield bytes("34");
    },
    () => ReadableStream.from(["12", "", "34"].map(bytes)),
  ].map((make) => make as () => ProducerLike);
  for (const make of kinds) {
    const harness = new Harness();
    await harness.push("a", make(), "b", make(), make(), "c");
    await harness.writer.flushed();
    assertEquals({ written: harness.writes.join(""), events: harness.events }, {
      written: "a1234b12341234c",
      events: [],
    });
  }
});

Deno.test("Writer joins what a synchronous producer makes in one write", async () => {
  const harness = new Harness();
  await harness.push("a", ["b", "c", "d"].map(bytes), "e");
  assertEquals(harness.writes, ["abcde"]);
});

Deno.test("Writer writes what is queued before a pending producer", async () => {
  const harness = new Harness();
  await harness.push("a", stalledProducer(), "b");
  assertEquals({ writes: harness.writes, bufferedAmount: harness.writer.bufferedAmount }, {
    writes: ["a"],
    bufferedAmount: 1,
  });
  harness.writer.stop();
});

Deno.test("Writer pulls a producer again only when its large piece is written", async () => {
  const large = new Uint8Array(20_000);
  let pullCount = 0;
  const harness = new Harness(["hold", "hold"]);
  await harness.push({ more: () => ++pullCount < 3 ? large : bytes("") });
  assertEquals(pullCount, 1);
  harness.settleWrite(19_999);
  await flushMicrotasks();
  assertEquals({ pullCount, writeCount: harness.writes.length }, { pullCount: 1, writeCount: 2 });
  harness.settleWrite(1);
  await flushMicrotasks();
  assertEquals({ pullCount, writeCount: harness.writes.length, bytesSent: harness.writer.bytesSent }, {
    pullCount: 3,
    writeCount: 3,
    bytesSent: 40_000,
  });
});

Deno.test("Writer closes at a producer that fails and reports it once", async () => {
  const boom = new Error("boom");
  const fail = (): never => {
    throw boom;
  };
  const failing: ProducerLike[] = [
    { more: fail },
    { more: () => Promise.reject(boom) },
    { [Symbol.iterator]: fail },
    (function* () {
      yield fail();
    })(),
    (async function* () {
      yield await Promise.resolve().then(fail);
    })(),
    new ReadableStream({ pull: fail }),
  ];
  for (const producer of failing) {
    const harness = new Harness();
    harness.writer.push("a");
    await flushMicrotasks();
    await harness.push(producer, "b");
    await flushMicrotasks();
    assertEquals({ writes: harness.writes, events: harness.events }, { writes: ["a"], events: ["producer failed"] });
    assertStrictEquals(harness.errors[0], boom);
    assertEquals({ closed: harness.writer.state === "closed", bufferedAmount: harness.writer.bufferedAmount }, {
      closed: true,
      bufferedAmount: 0,
    });
  }
});

Deno.test("Writer cancels the producers behind one that fails with its error", async () => {
  const boom = new Error("boom");
  const reasons: unknown[] = [];
  const harness = new Harness();
  await harness.push(
    { more: () => Promise.reject(boom) },
    new ReadableStream({ cancel: (reason) => void reasons.push(reason) }),
  );
  assertEquals({ events: harness.events, reasonCount: reasons.length }, {
    events: ["producer failed"],
    reasonCount: 1,
  });
  assertStrictEquals(reasons[0], boom);
});

Deno.test("Writer reports a piece that is not bytes as a producer error and ends the producer", async () => {
  let ended = 0;
  const notBytes = {
    [Symbol.iterator]: () => ({
      next: () => ({ done: false, value: "text" as unknown as Uint8Array }),
      return: () => ({ done: true as const, value: ended++ }),
    }),
  };
  const harness = new Harness();
  await harness.push(notBytes);
  assertEquals({ events: harness.events, ended }, { events: ["producer failed"], ended: 1 });
  assertInstanceOf(harness.errors[0], TypeError);
});

Deno.test("Writer cancels a producer with the error of a failed write", async () => {
  const broken = new Error("broken pipe");
  const reasons: unknown[] = [];
  const harness = new Harness([broken]);
  await harness.push("a", new ReadableStream({ cancel: (reason) => void reasons.push(reason) }));
  assertEquals({ events: harness.events, reasonCount: reasons.length }, { events: ["failed"], reasonCount: 1 });
  assertStrictEquals(reasons[0], broken);
});

// ------------------------------------------------------------------------------------------------------- drop() and stop()

Deno.test("Writer.drop() empties the queue, settles flushed() and accepts later pushes", async () => {
  const harness = new Harness(["hold"]);
  await harness.push("a");
  await harness.push("b");
  const flushed = harness.flushed();
  harness.writer.drop();
  await flushMicrotasks();
  assertEquals({
    bufferedAmount: harness.writer.bufferedAmount,
    flushed: flushed(),
    accepting: harness.writer.accepting,
  }, { bufferedAmount: 0, flushed: true, accepting: true });
  await harness.push("c");
  assertEquals(harness.writes, ["a"]);
  harness.settleWrite(1);
  await flushMicrotasks();
  assertEquals({ writes: harness.writes, bytesSent: harness.writer.bytesSent }, { writes: ["a", "c"], bytesSent: 2 });
});

Deno.test("Writer.drop() drops the rest of a pending write that comes short", async () => {
  const harness = new Harness(["hold"]);
  await harness.push("abc");
  harness.writer.drop();
  await harness.push("d");
  harness.settleWrite(1);
  await flushMicrotasks();
  assertEquals({ writes: harness.writes, bytesSent: harness.writer.bytesSent, events: harness.events }, {
    writes: ["abc", "d"],
    bytesSent: 2,
    events: [],
  });
});

Deno.test("Writer.drop() during a pull drops its bytes and writes later pushes", async () => {
  const pull = Promise.withResolvers<Uint8Array>();
  const harness = new Harness();
  await harness.push("a", { more: () => pull.promise }, "b");
  harness.writer.drop();
  await harness.push("c");
  assertEquals({ writes: harness.writes, flushed: await harness.writer.flushed() }, {
    writes: ["a", "c"],
    flushed: undefined,
  });
  pull.resolve(bytes("late"));
  await harness.push("d", [bytes("e")]);
  assertEquals({ writes: harness.writes, events: harness.events }, { writes: ["a", "c", "de"], events: [] });
});

Deno.test("Writer.drop() during several pulls in turn leaves one write loop", async () => {
  const harness = new Harness();
  for (let round = 0; round < 5; round++) {
    await harness.push(`${round}`, stalledProducer());
    harness.writer.drop();
  }
  await harness.push("x");
  assertEquals(harness.writes, ["0", "1", "2", "3", "4", "x"]);
  harness.writer.seal();
  await flushMicrotasks();
  assertEquals({ closeWrites: harness.closeWrites, events: harness.events }, { closeWrites: 1, events: ["end"] });
});

Deno.test("Writer.drop() during a pull that settles in the next write leaves one write loop", async () => {
  const pull = Promise.withResolvers<Uint8Array>();
  const harness = new Harness(["hold"]);
  await harness.push({ more: () => pull.promise });
  harness.writer.drop();
  await harness.push("a");
  pull.resolve(bytes("late"));
  await flushMicrotasks();
  assertEquals({ writes: harness.writes, events: harness.events }, { writes: ["a"], events: [] });
  harness.settleWrite(1);
  await harness.push("b");
  assertEquals({ writes: harness.writes, events: harness.events, bufferedAmount: harness.writer.bufferedAmount }, {
    writes: ["a", "b"],
    events: [],
    bufferedAmount: 0,
  });
});

Deno.test("Writer.drop() during a write drops a pending producer behind it", async () => {
  const late = Promise.withResolvers<Uint8Array>();
  const harness = new Harness(["hold"]);
  await harness.push("a", { more: () => late.promise });
  harness.writer.drop();
  harness.settleWrite(1);
  await flushMicrotasks();
  await harness.push("b", [bytes("c")], { more: () => Promise.resolve(bytes("")) });
  assertEquals(harness.writes, ["a", "bc"]);
  late.resolve(bytes("late"));
  harness.writer.seal();
  await flushMicrotasks();
  assertEquals({ writes: harness.writes, events: harness.events }, { writes: ["a", "bc"], events: ["end"] });
});

Deno.test("Writer.drop() during a write loses no byte of a producer that is pushed afterwards", async () => {
  const pieces = ["1", "2", "3", ""].map(bytes);
  const harness = new Harness(["hold"]);
  await harness.push("a");
  harness.writer.drop();
  await harness.push("b", { more: () => Promise.resolve(pieces.shift()!) });
  harness.settleWrite(1);
  await flushMicrotasks();
  assertEquals(harness.writes.join(""), "ab123");
});

Deno.test("Writer.drop() during a pull and again in the next write leaves one write loop", async () => {
  const harness = new Harness(["hold"]);
  await harness.push(stalledProducer());
  harness.writer.drop();
  await harness.push("a");
  harness.writer.drop();
  await harness.push("b");
  assertEquals({ writes: harness.writes, events: harness.events }, { writes: ["a"], events: [] });
  harness.settleWrite(1);
  await flushMicrotasks();
  assertEquals({ writes: harness.writes, events: harness.events }, { writes: ["a", "b"], events: [] });
});

Deno.test("Writer.drop() during the write of an async producer leaves one write loop", async () => {
  const harness = new Harness([1, "hold"]);
  const pulls = [Promise.withResolvers<Uint8Array>(), Promise.withResolvers<Uint8Array>()];
  let pullCount = 0;
  await harness.push("a", { more: () => pulls[pullCount++]!.promise });
  pulls[0]!.resolve(bytes("b"));
  await flushMicrotasks();
  assertEquals({ writes: harness.writes, pullCount }, { writes: ["a", "b"], pullCount: 2 });
  harness.writer.drop();
  await harness.push("c");
  assertEquals({ writes: harness.writes, events: harness.events }, { writes: ["a", "b"], events: [] });
  harness.settleWrite(1);
  await flushMicrotasks();
  assertEquals({ writes: harness.writes, events: harness.events }, { writes: ["a", "b", "c"], events: [] });
});

Deno.test("Writer.drop() ignores a later failure of the dropped producer", async () => {
  const pull = Promise.withResolvers<Uint8Array>();
  const harness = new Harness();
  await harness.push({ more: () => pull.promise });
  harness.writer.drop();
  pull.reject(new Error("late"));
  await harness.push("a");
  assertEquals({ writes: harness.writes, events: harness.events }, { writes: ["a"], events: [] });
});

Deno.test("Writer.stop() ends each running producer and cancels streams with the reason", async () => {
  const ended: string[] = [];
  async function* running() {
    try {
      yield await Promise.resolve(bytes("a"));
      yield bytes("b");
    } finally {
      ended.push("generator");
    }
  }
  const harness = new Harness(["hold"]);
  const large = new Uint8Array(20_000);
  await harness.push(running(), large, new ReadableStream({ cancel: (reason) => void ended.push(String(reason)) }));
  harness.writer.stop(new Error("enough"));
  harness.settleWrite(1);
  await flushMicrotasks();
  assertEquals({ ended: ended.toSorted(), events: harness.events }, {
    ended: ["Error: enough", "generator"],
    events: [],
  });
});

Deno.test("Writer.stop() settles flushed() behind a producer that never settles", async () => {
  const harness = new Harness();
  await harness.push(stalledProducer());
  const flushed = harness.flushed();
  harness.writer.stop();
  await flushMicrotasks();
  assertEquals({ flushed: flushed(), closed: harness.writer.state === "closed", events: harness.events }, {
    flushed: true,
    closed: true,
    events: [],
  });
});

Deno.test("Writer.stop() reports a cancel() that fails, unless with the given reason", async () => {
  const reason = new Error("enough");
  const failures: (() => unknown)[] = [
    () => {
      throw new Error("cannot cancel");
    },
    () => Promise.reject(new Error("cannot cancel")),
  ];
  for (const cancel of failures) {
    const harness = new Harness();
    harness.writer.pushSource({ pull: () => new Promise(() => {}), cancel });
    harness.writer.stop(reason);
    await flushMicrotasks();
    assertEquals({ events: harness.events, error: String(harness.errors[0]) }, {
      events: ["producer failed"],
      error: "Error: cannot cancel",
    });
  }
  const harness = new Harness();
  harness.writer.pushSource({ pull: () => new Promise(() => {}), cancel: (reason) => Promise.reject(reason) });
  harness.writer.stop(reason);
  await flushMicrotasks();
  assertEquals(harness.events, []);
});

Deno.test("Writer.stop() in a generator that is being pulled ends it without an error", async () => {
  let ended = 0;
  const harness = new Harness();
  const generator = (function* () {
    try {
      yield bytes("a");
      harness.writer.stop();
      yield bytes("b");
    } finally {
      ended++;
    }
  })();
  await harness.push(generator, "c");
  assertEquals({ writes: harness.writes, events: harness.events, errors: harness.errors, ended }, {
    writes: [],
    events: [],
    errors: [],
    ended: 1,
  });
});

Deno.test("Writer does not call closeWrite() after a producer that failed", async () => {
  const boom = new Error("boom");
  const failing = [
    {
      more() {
        throw boom;
      },
    },
    { more: () => Promise.reject(boom) },
  ];
  for (const producer of failing) {
    const harness = new Harness();
    harness.writer.pushSource(toSource(producer));
    harness.writer.seal();
    await flushMicrotasks();
    assertEquals({ closeWrites: harness.closeWrites, events: harness.events, pending: harness.writer.pending }, {
      closeWrites: 0,
      events: ["producer failed"],
      pending: false,
    });
  }
});

Deno.test("Writer reports a failed stream once, also with a value that is no Error", async () => {
  for (const failure of [new Error("boom"), "boom"]) {
    const harness = new Harness();
    await harness.push(new ReadableStream({ pull: (controller) => controller.error(failure) }));
    await flushMicrotasks();
    assertEquals(harness.events, ["producer failed"]);
    assertStrictEquals(harness.errors[0], failure);
  }
});

// ------------------------------------------------------------------------------------------------------------ takeUnsent()

Deno.test("Writer.takeUnsent() stops and returns what was not written", async () => {
  const harness = new Harness(["hold"]);
  await harness.push("a");
  harness.settleWrite(1);
  await flushMicrotasks();
  harness.writer.push("b");
  const large = new Uint8Array(20_000);
  harness.writer.push(large);
  const flushed = harness.flushed();
  const unsent = harness.writer.takeUnsent();
  await flushMicrotasks();
  assertEquals(unsent, [bytes("b"), large]);
  assert(harness.writer.state === "closed" && flushed());
  assertEquals({ writes: harness.writes, events: harness.events, bufferedAmount: harness.writer.bufferedAmount }, {
    writes: ["a"],
    events: [],
    bufferedAmount: 0,
  });
});

Deno.test("Writer.takeUnsent() throws and changes nothing while a write or a producer is pending", async () => {
  const writing = new Harness(["hold"]);
  await writing.push("a");
  const pending = assertThrows(() => writing.writer.takeUnsent(), TypeError);
  assertEquals(pending.message, "Cannot detach: a write is pending, await flushed() first");
  writing.settleWrite(1);
  await writing.push("b");
  assertEquals(writing.writes, ["a", "b"]);

  const queueing = new Harness();
  queueing.writer.pushSource(toSource([bytes("c")]));
  const queued = assertThrows(() => queueing.writer.takeUnsent(), TypeError);
  assertEquals(queued.message, "Cannot detach: a producer is queued, await flushed() first");
  await flushMicrotasks();
  assertEquals(queueing.writes, ["c"]);
});

// ------------------------------------------------------------------------------------ drop() in a producer

Deno.test("Writer.drop() in more() writes what more() pushes afterwards", async () => {
  const harness = new Harness();
  const pieces = ["1", "2", "3", ""].map(bytes);
  await harness.push({
    more() {
      harness.writer.drop();
      harness.writer.push("x");
      harness.writer.pushSource(toSource({ more: () => Promise.resolve(pieces.shift()!) }));
      return bytes("dropped");
    },
  });
  await flushMicrotasks();
  assertEquals(harness.writes.join(""), "x123");
});

Deno.test("Writer.drop() in more() does not stop the writer", async () => {
  const harness = new Harness();
  const pieces = ["1", "2", ""].map(bytes);
  await harness.push({
    more() {
      harness.writer.drop();
      harness.writer.pushSource(toSource({ more: () => Promise.resolve(pieces.shift()!) }));
      return bytes("dropped");
    },
  });
  await flushMicrotasks();
  harness.writer.push("y");
  await flushMicrotasks();
  assertEquals(harness.writes.join(""), "12y");
});

Deno.test("Writer.drop() in a generator that then never settles does not stop the writer", async () => {
  const harness = new Harness();
  await harness.push((async function* () {
    yield bytes("1");
    harness.writer.drop();
    await new Promise(() => {});
  })());
  await flushMicrotasks();
  harness.writer.push("y");
  await flushMicrotasks();
  assertEquals(harness.writes.at(-1), "y");
});

Deno.test("Writer.flushed() and waitForCapacity() do not wait for a producer behind empty ones", async () => {
  const harness = new Harness();
  for (let i = 0; i < 16; i++) harness.writer.pushSource(toSource([]));
  const flushed = harness.flushed();
  harness.writer.pushSource(toSource({ more: () => new Promise<Uint8Array>(() => {}) }));
  let hasCapacity = false;
  harness.writer.waitForCapacity(100).then(() => hasCapacity = true);
  await flushMicrotasks();
  assert(!harness.writer.exceeds(100) && hasCapacity && flushed());
});
