import { assert, assertEquals, assertInstanceOf, assertStrictEquals, assertThrows } from "@std/assert";
import type { ChatConn } from "./options.ts";
import { type ProducerLike, SimpleProducer, toSource } from "../core/producer.ts";
import { bytes, flushMicrotasks, text } from "../tests/recorder.ts";
import { Writer, type WriterEvents } from "./writer.ts";

const NO_EVENTS: WriterEvents = { onEnd() {}, onError() {}, onProducerError() {} };

/** The result of a write: the most bytes to take, an error, or "hold": pending until `answer` is called. */
type Answer = number | Error | "hold";

/** A writer over a connection whose first writes follow `answers`; later ones take everything. */
class Harness {
  readonly writer: Writer;
  readonly writes: string[] = []; //   what each write was given
  readonly events: string[] = []; // what the writer reported
  readonly errors: unknown[] = [];
  answer: (count: number | Error) => void = () => {}; // settles the held write
  closeWrites = 0;

  constructor(answers: Answer[] = [], conn: Partial<ChatConn> = {}) {
    let writing = false;
    const write = async (given: Uint8Array) => {
      if (writing) this.events.push("two writes at once");
      writing = true;
      this.writes.push(text(given));
      let answer: Answer = answers.shift() ?? given.length;
      if (answer === "hold") {
        answer = await new Promise<number | Error>((resolve) => this.answer = resolve);
      }
      writing = false;
      if (answer instanceof Error) throw answer;
      return Math.min(answer, given.length);
    };
    const closeWrite = () => {
      this.closeWrites++;
      return Promise.resolve();
    };
    const read = () => Promise.resolve(null);
    const record = (what: string, error: unknown) => {
      this.events.push(what);
      if (error !== undefined) this.errors.push(error);
    };
    this.writer = new Writer(
      { read, write, closeWrite, close() {}, ...conn },
      {
        onEnd: () => record("end", undefined),
        onError: (error) => record("failed", error),
        onProducerError: (error) => record("producer failed", error),
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

  /** Returns a function: whether everything pushed so far is flushed. */
  flushed(): () => boolean {
    let flushed = false;
    this.writer.flushed().then(() => flushed = true);
    return () => flushed;
  }
}

/** A producer that never answers. */
const silent = () => ({ more: () => new Promise<Uint8Array>(() => {}) });

// ---------------------------------------------------------------------------------------------------------------- writing

Deno.test("Writer writes nothing before it is started, then all that was pushed in one write", async () => {
  const writes: string[] = [];
  const write = (given: Uint8Array) => Promise.resolve(writes.push(text(given)) && given.length);
  const writer = new Writer({ read: () => Promise.resolve(null), write, close() {} }, NO_EVENTS);
  writer.push("a");
  await flushMicrotasks();
  writer.push("b");
  await flushMicrotasks();
  assertEquals([writes, writer.bufferedAmount], [[], 2]);
  writer.start();
  await flushMicrotasks();
  assertEquals([writes, writer.bufferedAmount], [["ab"], 0]);
});

Deno.test("Writer.push() in one turn is one write, in another turn another", async () => {
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

Deno.test("Writer.push() while a write is pending goes out together when that is done", async () => {
  const harness = new Harness(["hold"]);
  for (const pushed of ["a", "b", "c"]) await harness.push(pushed);
  assertEquals(harness.writes, ["a"]);
  harness.answer(1);
  await flushMicrotasks();
  assertEquals(harness.writes, ["a", "bc"]);
});

Deno.test("Writer goes on with the rest after a short write", async () => {
  const harness = new Harness([1, 2, 1]);
  await harness.push("abcdefg");
  assertEquals(harness.writes, ["abcdefg", "bcdefg", "defg", "efg"]);
  assertEquals([harness.writer.bytesSent, harness.writer.bufferedAmount], [7, 0]);
});

Deno.test("Writer.bytesSent and bufferedAmount tell how far it is", async () => {
  const harness = new Harness([2, "hold"]);
  await harness.push("abcde");
  assertEquals([harness.writer.bytesSent, harness.writer.bufferedAmount], [2, 3]);
  harness.answer(3);
  await flushMicrotasks();
  assertEquals([harness.writer.bytesSent, harness.writer.bufferedAmount], [5, 0]);
});

Deno.test("Writer bears writes of nothing, but not a hundred in a row", async () => {
  const zeros = (count: number) => Array<number>(count).fill(0);
  const patient = new Harness([...zeros(99), 1, ...zeros(99), 1]);
  await patient.push("ab");
  await flushMicrotasks(1000);
  assertEquals([patient.events, patient.writer.bytesSent], [[], 2]);
  const stuck = new Harness([1, ...zeros(100)]);
  await stuck.push("ab");
  await flushMicrotasks(1000);
  assertEquals([stuck.events, stuck.writes.length], [["failed"], 101]);
  assertEquals(
    (stuck.errors[0] as Error).message,
    "Cannot write: the connection took 0 of 1 bytes 100 times in a row",
  );
});

// ------------------------------------------------------------------------------------------------------------ its end

Deno.test("Writer tells once of a write that fails, the first or a later one, and generation the rest", async () => {
  for (let nth = 0; nth < 4; nth++) {
    const broken = new Error("broken pipe");
    const harness = new Harness([...Array<number>(nth).fill(1), broken]);
    const flushed = harness.flushed();
    await harness.push("abcd");
    const late = harness.flushed();
    await flushMicrotasks();
    assertEquals([harness.events, harness.writes.length], [["failed"], nth + 1]);
    assertStrictEquals(harness.errors[0], broken);
    assertEquals([harness.writer.state === "closed", harness.writer.accepting, harness.writer.bufferedAmount], [
      true,
      false,
      0,
    ]);
    assertEquals([flushed(), late(), harness.writer.bytesSent], [true, true, nth]);
  }
});

Deno.test("Writer makes an error of what a connection throws that is none", async () => {
  const harness = new Harness([], { write: () => Promise.reject("gone") });
  await harness.push("a");
  assertInstanceOf(harness.errors[0], Error);
  assertEquals([harness.events, harness.errors[0].cause], [["failed"], "gone"]);
});

Deno.test("Writer takes a connection that throws at once as one whose write fails", async () => {
  const thrown = new TypeError("no such thing");
  const harness = new Harness([], {
    write() {
      throw thrown;
    },
  });
  await harness.push("a");
  assertStrictEquals(harness.errors[0], thrown);
});

Deno.test("Writer ends with an error when a connection says that it took more than it was given", async () => {
  const harness = new Harness([], { write: (given) => Promise.resolve(given.length + 1) });
  await harness.push("abc");
  assertInstanceOf(harness.errors[0], RangeError);
  assertEquals(harness.errors[0].message, "Cannot write: the connection reported 4 bytes written, expected 0 to 3");
});

Deno.test("Writer.seal() ends our side after the last byte, and says so once", async () => {
  const harness = new Harness([1, "hold"]);
  harness.writer.push("abc");
  harness.writer.seal();
  assertEquals([harness.writer.accepting, harness.writer.state === "closed"], [false, false]);
  await flushMicrotasks();
  assertEquals([harness.closeWrites, harness.events], [0, []]);
  harness.answer(2);
  await flushMicrotasks();
  assertEquals([harness.closeWrites, harness.events, harness.writer.state === "closed"], [1, ["end"], true]);
});

Deno.test("Writer.seal() of an empty queue ends our side at once", async () => {
  const harness = new Harness();
  harness.writer.seal();
  await flushMicrotasks();
  assertEquals([harness.writes, harness.closeWrites, harness.events], [[], 1, ["end"]]);
});

Deno.test("Writer.seal() waits for a producer that is still to answer", async () => {
  const answer = Promise.withResolvers<Uint8Array>();
  const harness = new Harness();
  await harness.push({ more: () => answer.promise });
  harness.writer.seal();
  await flushMicrotasks();
  assertEquals(harness.events, []);
  answer.resolve(new Uint8Array(0));
  await flushMicrotasks();
  assertEquals([harness.closeWrites, harness.events], [1, ["end"]]);
});

Deno.test("Writer.seal() does without closeWrite() where the connection has none", async () => {
  const told: string[] = [];
  const conn = { read: () => Promise.resolve(null), write: () => Promise.resolve(0), close() {} };
  const writer = new Writer(conn, { ...NO_EVENTS, onEnd: () => told.push("end") });
  writer.start();
  writer.seal();
  await flushMicrotasks();
  assertEquals(told, ["end"]);
});

Deno.test("Writer.seal() tells of a closeWrite() that fails", async () => {
  const broken = new Error("not connected");
  const harness = new Harness([], { closeWrite: () => Promise.reject(broken) });
  harness.writer.seal();
  await flushMicrotasks();
  assertEquals(harness.events, ["failed"]);
  assertStrictEquals(harness.errors[0], broken);
});

Deno.test("Writer.stop() writes nothing more and says nothing, whatever becomes of the pending write", async () => {
  for (const outcome of [1, 3, new Error("interrupted")]) {
    const harness = new Harness(["hold"]);
    await harness.push("abc");
    await harness.push("def");
    const flushed = harness.flushed();
    harness.writer.stop();
    assertEquals([harness.writer.state === "closed", harness.writer.accepting, harness.writer.bufferedAmount], [
      true,
      false,
      0,
    ]);
    harness.answer(outcome);
    await flushMicrotasks();
    assertEquals([harness.writes, harness.events, flushed()], [["abc"], [], true]);
  }
});

Deno.test("Writer.stop() while our side is being ended says nothing", async () => {
  const closing = Promise.withResolvers<void>();
  const harness = new Harness([], { closeWrite: () => closing.promise });
  harness.writer.seal();
  await flushMicrotasks();
  harness.writer.stop();
  closing.resolve();
  await flushMicrotasks();
  assertEquals(harness.events, []);
});

Deno.test("Writer.stop() before anything was written leaves it so", async () => {
  const harness = new Harness();
  harness.writer.push("a");
  harness.writer.stop();
  harness.writer.start();
  await flushMicrotasks();
  assertEquals([harness.writes, harness.events], [[], []]);
});

Deno.test("Writer.pending says whether the peer has something to take, bytes or the end of our side", async () => {
  const closing = Promise.withResolvers<void>();
  const harness = new Harness(["hold"], { closeWrite: () => closing.promise });
  const seen = [harness.writer.pending];
  await harness.push("a");
  seen.push(harness.writer.pending);
  harness.answer(1);
  await flushMicrotasks();
  seen.push(harness.writer.pending);
  harness.writer.seal();
  await flushMicrotasks();
  seen.push(harness.writer.pending);
  closing.resolve();
  await flushMicrotasks();
  seen.push(harness.writer.pending);
  assertEquals(seen, [false, true, false, true, false]);
});

Deno.test("Writer.bytesSent counts a write that is done after stop()", async () => {
  const harness = new Harness(["hold"]);
  await harness.push("abc");
  harness.writer.stop();
  harness.answer(2);
  await flushMicrotasks();
  assertEquals(harness.writer.bytesSent, 2);
});

// ----------------------------------------------------------------------------------------------------- flushed() and room()

Deno.test("Writer.flushed() fulfils at once where nothing waits", async () => {
  const harness = new Harness(["hold"]);
  await harness.writer.flushed();
  await harness.push("a");
  harness.answer(1);
  await flushMicrotasks();
  await harness.writer.flushed();
});

Deno.test("Writer.flushed() waits for what was pushed before, and not for what is pushed later", async () => {
  const harness = new Harness(["hold", "hold"]);
  await harness.push("a");
  const first = harness.flushed();
  await harness.push("b");
  const second = harness.flushed();
  harness.answer(1);
  await flushMicrotasks();
  assertEquals([first(), second(), harness.writes], [true, false, ["a", "b"]]);
  harness.answer(1);
  await flushMicrotasks();
  assertEquals(second(), true);
});

Deno.test("Writer.flushed() waits for a producer to its end, and no longer", async () => {
  const answers = [Promise.withResolvers<Uint8Array>(), Promise.withResolvers<Uint8Array>()];
  let asked = 0;
  const harness = new Harness(["hold"]);
  await harness.push("a", { more: () => answers[asked++]!.promise });
  const both = harness.flushed();
  await harness.push("b", silent());
  const all = harness.flushed();
  harness.answer(1);
  answers[0]!.resolve(bytes("1"));
  await flushMicrotasks();
  assertEquals([harness.writes, both(), all()], [["a", "1"], false, false]);
  answers[1]!.resolve(bytes(""));
  await flushMicrotasks();
  assertEquals([harness.writes, both(), all()], [["a", "1", "b"], true, false]);
  harness.writer.stop();
  await flushMicrotasks();
  assertEquals(all(), true);
});

Deno.test("Writer.flushed() is told of a producer that ended with nothing to write", async () => {
  const harness = new Harness();
  harness.writer.pushSource(toSource([]));
  const atOnce = harness.flushed();
  await flushMicrotasks();
  assertEquals(atOnce(), true);
  harness.writer.pushSource(toSource({ more: () => Promise.resolve(bytes("")) }));
  const inTime = harness.flushed();
  await harness.push(silent());
  assertEquals([inTime(), harness.writes], [true, []]);
  harness.writer.stop();
});

Deno.test("Writer.room() fulfils when no more than so much waits, and not before", async () => {
  const harness = new Harness([2, 1, "hold", "hold"]);
  harness.writer.push("abcdefg");
  assertEquals([harness.writer.exceeds(6), harness.writer.exceeds(7)], [true, false]);
  let room = false;
  harness.writer.waitForCapacity(3).then(() => room = true);
  await flushMicrotasks();
  assertEquals([harness.writer.bufferedAmount, room], [4, false]);
  harness.answer(1);
  await flushMicrotasks();
  assertEquals([harness.writer.bufferedAmount, room], [3, true]);
  harness.writer.stop();
});

Deno.test("Writer.room() fulfils when no more than 16 producers wait, however few bytes do", async () => {
  const answers = Array.from({ length: 18 }, () => Promise.withResolvers<Uint8Array>());
  const harness = new Harness();
  await harness.push(...answers.map(({ promise }) => ({ more: () => promise })));
  let room = false;
  harness.writer.waitForCapacity(100).then(() => room = true);
  const seen: [over: boolean, room: boolean][] = [];
  for (const { resolve } of answers.slice(0, 2)) {
    seen.push([harness.writer.exceeds(100), room]);
    resolve(bytes(""));
    await flushMicrotasks();
  }
  assertEquals([...seen, [harness.writer.exceeds(100), room]], [[true, false], [true, false], [false, true]]);
  harness.writer.stop();
});

Deno.test("Writer.release() lets go who waits for room, and drop() does", async () => {
  for (const act of ["release", "drop", "stop"] as const) {
    const harness = new Harness(["hold"]);
    await harness.push("abc");
    let room = false;
    harness.writer.waitForCapacity(1).then(() => room = true);
    await flushMicrotasks();
    assertEquals(room, false);
    harness.writer[act]();
    await flushMicrotasks();
    assertEquals(room, true, act);
    harness.writer.stop();
  }
});

// --------------------------------------------------------------------------------------------------------------- producers

Deno.test("Writer sends what each kind of producer makes in its place", async () => {
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
    assertEquals([harness.writes.join(""), harness.events], ["a1234b12341234c", []]);
  }
});

Deno.test("Writer asks a producer for as long as it answers at once, so that its pieces are one write", async () => {
  const harness = new Harness();
  await harness.push("a", ["b", "c", "d"].map(bytes), "e");
  assertEquals(harness.writes, ["abcde"]);
});

Deno.test("Writer writes what there is while a producer thinks", async () => {
  const harness = new Harness();
  await harness.push("a", silent(), "b");
  assertEquals([harness.writes, harness.writer.bufferedAmount], [["a"], 1]);
  harness.writer.stop();
});

Deno.test("Writer asks a producer again only when its large piece is written", async () => {
  const large = new Uint8Array(20_000);
  let asked = 0;
  const harness = new Harness(["hold", "hold"]);
  await harness.push({ more: () => ++asked < 3 ? large : bytes("") });
  assertEquals(asked, 1);
  harness.answer(19_999);
  await flushMicrotasks();
  assertEquals([asked, harness.writes.length], [1, 2]);
  harness.answer(1);
  await flushMicrotasks();
  assertEquals([asked, harness.writes.length, harness.writer.bytesSent], [3, 3, 40_000]);
});

Deno.test("Writer stops at a producer that fails, at once or in time, and tells of it once", async () => {
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
    assertEquals([harness.writes, harness.events], [["a"], ["producer failed"]]);
    assertStrictEquals(harness.errors[0], boom);
    assertEquals([harness.writer.state === "closed", harness.writer.bufferedAmount], [true, 0]);
  }
});

Deno.test("Writer tells the producers behind one that fails why they are not asked", async () => {
  const boom = new Error("boom");
  const reasons: unknown[] = [];
  const harness = new Harness();
  await harness.push(
    { more: () => Promise.reject(boom) },
    new ReadableStream({ cancel: (reason) => void reasons.push(reason) }),
  );
  assertEquals([harness.events, reasons.length], [["producer failed"], 1]);
  assertStrictEquals(reasons[0], boom);
});

Deno.test("Writer takes a wrong piece as the fault of the producer, which is told to end", async () => {
  let ended = 0;
  const wrong = {
    [Symbol.iterator]: () => ({
      next: () => ({ done: false, value: "text" as unknown as Uint8Array }),
      return: () => ({ done: true as const, value: ended++ }),
    }),
  };
  const harness = new Harness();
  await harness.push(wrong);
  assertEquals([harness.events, ended], [["producer failed"], 1]);
  assertInstanceOf(harness.errors[0], TypeError);
});

Deno.test("Writer tells a producer why when the connection fails", async () => {
  const broken = new Error("broken pipe");
  const reasons: unknown[] = [];
  const harness = new Harness([broken]);
  await harness.push("a", new ReadableStream({ cancel: (reason) => void reasons.push(reason) }));
  assertEquals([harness.events, reasons.length], [["failed"], 1]);
  assertStrictEquals(reasons[0], broken);
});

// ------------------------------------------------------------------------------------------------------- drop() and stop()

Deno.test("Writer.drop() forgets what is queued, fulfils flushed(), and what is pushed then is sent", async () => {
  const harness = new Harness(["hold"]);
  await harness.push("a");
  await harness.push("b");
  const flushed = harness.flushed();
  harness.writer.drop();
  await flushMicrotasks();
  assertEquals([harness.writer.bufferedAmount, flushed(), harness.writer.accepting], [0, true, true]);
  await harness.push("c");
  assertEquals(harness.writes, ["a"]);
  harness.answer(1);
  await flushMicrotasks();
  assertEquals([harness.writes, harness.writer.bytesSent], [["a", "c"], 2]);
});

Deno.test("Writer.drop() sends nothing of the rest of a write that was pending and is short", async () => {
  const harness = new Harness(["hold"]);
  await harness.push("abc");
  harness.writer.drop();
  await harness.push("d");
  harness.answer(1);
  await flushMicrotasks();
  assertEquals([harness.writes, harness.writer.bytesSent, harness.events], [["abc", "d"], 2, []]);
});

Deno.test("Writer.drop() while it waits for a producer: what is pushed then is sent, what it makes is not", async () => {
  const answer = Promise.withResolvers<Uint8Array>();
  const harness = new Harness();
  await harness.push("a", { more: () => answer.promise }, "b");
  harness.writer.drop();
  await harness.push("c");
  assertEquals([harness.writes, await harness.writer.flushed()], [["a", "c"], undefined]);
  answer.resolve(bytes("late"));
  await harness.push("d", [bytes("e")]);
  assertEquals([harness.writes, harness.events], [["a", "c", "de"], []]);
});

Deno.test("Writer.drop() while it waits for a producer, again and again, leaves one loop that writes", async () => {
  const harness = new Harness();
  for (let round = 0; round < 5; round++) {
    await harness.push(`${round}`, silent());
    harness.writer.drop();
  }
  await harness.push("x");
  assertEquals(harness.writes, ["0", "1", "2", "3", "4", "x"]);
  harness.writer.seal();
  await flushMicrotasks();
  assertEquals([harness.closeWrites, harness.events], [1, ["end"]]);
});

Deno.test("Writer.drop() while it waits for a producer that answers while the next write is pending: one loop goes on", async () => {
  const answer = Promise.withResolvers<Uint8Array>();
  const harness = new Harness(["hold"]);
  await harness.push({ more: () => answer.promise });
  harness.writer.drop();
  await harness.push("a");
  answer.resolve(bytes("late"));
  await flushMicrotasks();
  assertEquals([harness.writes, harness.events], [["a"], []]);
  harness.answer(1);
  await harness.push("b");
  assertEquals([harness.writes, harness.events, harness.writer.bufferedAmount], [["a", "b"], [], 0]);
});

Deno.test("Writer.drop() while a write is pending forgets also a producer that has not answered", async () => {
  const late = Promise.withResolvers<Uint8Array>();
  const harness = new Harness(["hold"]);
  await harness.push("a", { more: () => late.promise });
  harness.writer.drop();
  harness.answer(1);
  await flushMicrotasks();
  await harness.push("b", [bytes("c")], { more: () => Promise.resolve(bytes("")) });
  assertEquals(harness.writes, ["a", "bc"]);
  late.resolve(bytes("late"));
  harness.writer.seal();
  await flushMicrotasks();
  assertEquals([harness.writes, harness.events], [["a", "bc"], ["end"]]);
});

Deno.test("Writer.drop() while a write is pending loses nothing of a producer that is pushed then", async () => {
  const pieces = ["1", "2", "3", ""].map(bytes);
  const harness = new Harness(["hold"]);
  await harness.push("a");
  harness.writer.drop();
  await harness.push("b", { more: () => Promise.resolve(pieces.shift()!) });
  harness.answer(1);
  await flushMicrotasks();
  assertEquals(harness.writes.join(""), "ab123");
});

Deno.test("Writer.drop() twice, while it waits for a producer and in the write after that, leaves one loop", async () => {
  const harness = new Harness(["hold"]);
  await harness.push(silent());
  harness.writer.drop();
  await harness.push("a");
  harness.writer.drop();
  await harness.push("b");
  assertEquals([harness.writes, harness.events], [["a"], []]);
  harness.answer(1);
  await flushMicrotasks();
  assertEquals([harness.writes, harness.events], [["a", "b"], []]);
});

Deno.test("Writer.drop() while a write is pending leaves one loop that writes, also after a producer that took its time", async () => {
  const harness = new Harness([1, "hold"]);
  const answers = [Promise.withResolvers<Uint8Array>(), Promise.withResolvers<Uint8Array>()];
  let asked = 0;
  await harness.push("a", { more: () => answers[asked++]!.promise });
  answers[0]!.resolve(bytes("b"));
  await flushMicrotasks();
  assertEquals([harness.writes, asked], [["a", "b"], 2]);
  harness.writer.drop();
  await harness.push("c");
  assertEquals([harness.writes, harness.events], [["a", "b"], []]);
  harness.answer(1);
  await flushMicrotasks();
  assertEquals([harness.writes, harness.events], [["a", "b", "c"], []]);
});

Deno.test("Writer.drop() does not hear a producer that fails because of it, or later", async () => {
  const answer = Promise.withResolvers<Uint8Array>();
  const harness = new Harness();
  await harness.push({ more: () => answer.promise });
  harness.writer.drop();
  answer.reject(new Error("late"));
  await harness.push("a");
  assertEquals([harness.writes, harness.events], [["a"], []]);
});

Deno.test("Writer.stop() tells each producer that has begun, and gives a stream the reason", async () => {
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
  harness.answer(1);
  await flushMicrotasks();
  assertEquals([ended.toSorted(), harness.events], [["Error: enough", "generator"], []]);
});

Deno.test("Writer.stop() leaves nothing waiting for a producer that never answers", async () => {
  const harness = new Harness();
  await harness.push(silent());
  const flushed = harness.flushed();
  harness.writer.stop();
  await flushMicrotasks();
  assertEquals([flushed(), harness.writer.state === "closed", harness.events], [true, true, []]);
});

Deno.test("Writer.stop() tells of a producer that fails when it is told to end, unless it answers with the reason", async () => {
  const reason = new Error("enough");
  const answers: (() => unknown)[] = [
    () => {
      throw new Error("cannot stop");
    },
    () => Promise.reject(new Error("cannot stop")),
  ];
  for (const answer of answers) {
    const harness = new Harness();
    harness.writer.pushSource({ pull: () => new Promise(() => {}), cancel: answer });
    harness.writer.stop(reason);
    await flushMicrotasks();
    assertEquals([harness.events, String(harness.errors[0])], [["producer failed"], "Error: cannot stop"]);
  }
  const harness = new Harness();
  harness.writer.pushSource({ pull: () => new Promise(() => {}), cancel: (why) => Promise.reject(why) });
  harness.writer.stop(reason);
  await flushMicrotasks();
  assertEquals(harness.events, []);
});

Deno.test("Writer.stop() by a generator that is being asked is no fault of it, and lets it end", async () => {
  let ended = 0;
  const harness = new Harness();
  const leaver = (function* () {
    try {
      yield bytes("a");
      harness.writer.stop();
      yield bytes("b");
    } finally {
      ended++;
    }
  })();
  await harness.push(leaver, "c");
  assertEquals([harness.writes, harness.events, harness.errors, ended], [[], [], [], 1]);
});

Deno.test("Writer does not end our side after a producer that failed, as if all were sent", async () => {
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
    assertEquals([harness.closeWrites, harness.events, harness.writer.pending], [0, ["producer failed"], false]);
  }
});

Deno.test("Writer tells once of a stream that fails, also with what is no error", async () => {
  for (const failure of [new Error("boom"), "boom"]) {
    const harness = new Harness();
    await harness.push(new ReadableStream({ pull: (controller) => controller.error(failure) }));
    await flushMicrotasks();
    assertEquals(harness.events, ["producer failed"]);
    assertStrictEquals(harness.errors[0], failure);
  }
});

// ------------------------------------------------------------------------------------------------------------ takeUnsent()

Deno.test("Writer.takeUnsent() stops, and gives what was not written", async () => {
  const harness = new Harness(["hold"]);
  await harness.push("a");
  harness.answer(1);
  await flushMicrotasks();
  harness.writer.push("b");
  const large = new Uint8Array(20_000);
  harness.writer.push(large);
  const flushed = harness.flushed();
  const unsent = harness.writer.takeUnsent();
  await flushMicrotasks();
  assertEquals(unsent, [bytes("b"), large]);
  assert(harness.writer.state === "closed" && flushed());
  assertEquals([harness.writes, harness.events, harness.writer.bufferedAmount], [["a"], [], 0]);
});

Deno.test("Writer.takeUnsent() refuses while a write is pending, or a producer is queued, and changes nothing", async () => {
  const writing = new Harness(["hold"]);
  await writing.push("a");
  const pending = assertThrows(() => writing.writer.takeUnsent(), TypeError);
  assertEquals(pending.message, "Cannot detach: a write is pending, await flushed() first");
  writing.answer(1);
  await writing.push("b");
  assertEquals(writing.writes, ["a", "b"]);

  const asking = new Harness();
  asking.writer.pushSource(toSource([bytes("c")]));
  const queued = assertThrows(() => asking.writer.takeUnsent(), TypeError);
  assertEquals(queued.message, "Cannot detach: a producer is queued, await flushed() first");
  await flushMicrotasks();
  assertEquals(asking.writes, ["c"]);
});

// ------------------------------------------------------------------------------------ producers that drop the queue, or end

Deno.test("Writer.drop() by a producer that is being asked: what it pushes then is sent, all of it", async () => {
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

Deno.test("Writer.drop() by a producer that is being asked does not stop the writer", async () => {
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

Deno.test("Writer.drop() by a producer that then takes its time does not stop the writer", async () => {
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

Deno.test("Writer.flushed() and room() do not wait for a producer behind those that ended with nothing to write", async () => {
  const harness = new Harness();
  for (let i = 0; i < 16; i++) harness.writer.pushSource(toSource([]));
  const flushed = harness.flushed();
  harness.writer.pushSource(toSource({ more: () => new Promise<Uint8Array>(() => {}) }));
  let room = false;
  harness.writer.waitForCapacity(100).then(() => room = true);
  await flushMicrotasks();
  assert(!harness.writer.exceeds(100) && room && flushed());
});
