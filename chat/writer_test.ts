import { assert, assertEquals, assertInstanceOf, assertStrictEquals, assertThrows } from "@std/assert";
import type { ChatConn } from "./options.ts";
import { type ProducerLike, SimpleProducer, toSource } from "../core/producer.ts";
import { bytes, text, turns } from "../tests/recorder.ts";
import { Writer, type WriterEvents } from "./writer.ts";

const NO_EVENTS: WriterEvents = { onEnd() {}, onError() {}, onProducerError() {} };

/** What a write answers: how many bytes it took at most, or an error; "hold" is: when the test says so. */
type Answer = number | Error | "hold";

/** A pump, and a connection whose writes answer as they are told: the first ones by `answers`, then all is taken. */
class Desk {
  readonly pump: Writer;
  readonly writes: string[] = []; //   what each write was given
  readonly told: string[] = []; //     what the pump said of its end, and of producers
  readonly errors: unknown[] = [];
  answer: (count: number | Error) => void = () => {}; // of the write that is held
  closeWrites = 0;

  constructor(answers: Answer[] = [], conn: Partial<ChatConn> = {}) {
    let writing = false;
    const write = async (given: Uint8Array) => {
      if (writing) this.told.push("two writes at once");
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
    const tell = (what: string, error: unknown) => {
      this.told.push(what);
      if (error !== undefined) this.errors.push(error);
    };
    this.pump = new Writer(
      { read, write, closeWrite, close() {}, ...conn },
      {
        onEnd: () => tell("end", undefined),
        onError: (error) => tell("failed", error),
        onProducerError: (error) => tell("producer failed", error),
      },
    );
    this.pump.start();
  }

  /** Pushes in one turn, then lets everything happen. */
  async push(...pushed: (string | Uint8Array | ProducerLike)[]): Promise<void> {
    for (const item of pushed) {
      if (typeof item === "string" || item instanceof Uint8Array) this.pump.push(item);
      else this.pump.pushSource(toSource(item));
    }
    await turns();
  }

  /** Whether all that was pushed until now is flushed; to be asked again. */
  flushed(): () => boolean {
    let flushed = false;
    this.pump.flushed().then(() => flushed = true);
    return () => flushed;
  }
}

/** A producer that never answers. */
const silent = () => ({ more: () => new Promise<Uint8Array>(() => {}) });

// ---------------------------------------------------------------------------------------------------------------- writing

Deno.test("Writer writes nothing before it is started, then all that was pushed in one write", async () => {
  const writes: string[] = [];
  const write = (given: Uint8Array) => Promise.resolve(writes.push(text(given)) && given.length);
  const pump = new Writer({ read: () => Promise.resolve(null), write, close() {} }, NO_EVENTS);
  pump.push("a");
  await turns();
  pump.push("b");
  await turns();
  assertEquals([writes, pump.bufferedAmount], [[], 2]);
  pump.start();
  await turns();
  assertEquals([writes, pump.bufferedAmount], [["ab"], 0]);
});

Deno.test("Writer.push() in one turn is one write, in another turn another", async () => {
  const desk = new Desk();
  await desk.push("a", bytes("b"), "c");
  await desk.push("d");
  assertEquals(desk.writes, ["abc", "d"]);
});

Deno.test("Writer.push() writes nothing in the turn of the push", () => {
  const desk = new Desk();
  desk.pump.push("a");
  assertEquals(desk.writes, []);
  desk.pump.stop();
});

Deno.test("Writer.push() while a write is pending goes out together when that is done", async () => {
  const desk = new Desk(["hold"]);
  for (const pushed of ["a", "b", "c"]) await desk.push(pushed);
  assertEquals(desk.writes, ["a"]);
  desk.answer(1);
  await turns();
  assertEquals(desk.writes, ["a", "bc"]);
});

Deno.test("Writer goes on with the rest after a short write", async () => {
  const desk = new Desk([1, 2, 1]);
  await desk.push("abcdefg");
  assertEquals(desk.writes, ["abcdefg", "bcdefg", "defg", "efg"]);
  assertEquals([desk.pump.bytesSent, desk.pump.bufferedAmount], [7, 0]);
});

Deno.test("Writer.bytesSent and bufferedAmount tell how far it is", async () => {
  const desk = new Desk([2, "hold"]);
  await desk.push("abcde");
  assertEquals([desk.pump.bytesSent, desk.pump.bufferedAmount], [2, 3]);
  desk.answer(3);
  await turns();
  assertEquals([desk.pump.bytesSent, desk.pump.bufferedAmount], [5, 0]);
});

Deno.test("Writer bears writes of nothing, but not a hundred in a row", async () => {
  const zeros = (count: number) => Array<number>(count).fill(0);
  const patient = new Desk([...zeros(99), 1, ...zeros(99), 1]);
  await patient.push("ab");
  await turns(1000);
  assertEquals([patient.told, patient.pump.bytesSent], [[], 2]);
  const stuck = new Desk([1, ...zeros(100)]);
  await stuck.push("ab");
  await turns(1000);
  assertEquals([stuck.told, stuck.writes.length], [["failed"], 101]);
  assertEquals(
    (stuck.errors[0] as Error).message,
    "Cannot write: the connection took 0 of 1 bytes 100 times in a row",
  );
});

// ------------------------------------------------------------------------------------------------------------ its end

Deno.test("Writer tells once of a write that fails, the first or a later one, and generation the rest", async () => {
  for (let nth = 0; nth < 4; nth++) {
    const broken = new Error("broken pipe");
    const desk = new Desk([...Array<number>(nth).fill(1), broken]);
    const flushed = desk.flushed();
    await desk.push("abcd");
    const late = desk.flushed();
    await turns();
    assertEquals([desk.told, desk.writes.length], [["failed"], nth + 1]);
    assertStrictEquals(desk.errors[0], broken);
    assertEquals([desk.pump.state === "closed", desk.pump.accepting, desk.pump.bufferedAmount], [true, false, 0]);
    assertEquals([flushed(), late(), desk.pump.bytesSent], [true, true, nth]);
  }
});

Deno.test("Writer makes an error of what a connection throws that is none", async () => {
  const desk = new Desk([], { write: () => Promise.reject("gone") });
  await desk.push("a");
  assertInstanceOf(desk.errors[0], Error);
  assertEquals([desk.told, desk.errors[0].cause], [["failed"], "gone"]);
});

Deno.test("Writer takes a connection that throws at once as one whose write fails", async () => {
  const thrown = new TypeError("no such thing");
  const desk = new Desk([], {
    write() {
      throw thrown;
    },
  });
  await desk.push("a");
  assertStrictEquals(desk.errors[0], thrown);
});

Deno.test("Writer ends with an error when a connection says that it took more than it was given", async () => {
  const desk = new Desk([], { write: (given) => Promise.resolve(given.length + 1) });
  await desk.push("abc");
  assertInstanceOf(desk.errors[0], RangeError);
  assertEquals(desk.errors[0].message, "Cannot write: the connection reported 4 bytes written, expected 0 to 3");
});

Deno.test("Writer.seal() ends our side after the last byte, and says so once", async () => {
  const desk = new Desk([1, "hold"]);
  desk.pump.push("abc");
  desk.pump.seal();
  assertEquals([desk.pump.accepting, desk.pump.state === "closed"], [false, false]);
  await turns();
  assertEquals([desk.closeWrites, desk.told], [0, []]);
  desk.answer(2);
  await turns();
  assertEquals([desk.closeWrites, desk.told, desk.pump.state === "closed"], [1, ["end"], true]);
});

Deno.test("Writer.seal() of an empty queue ends our side at once", async () => {
  const desk = new Desk();
  desk.pump.seal();
  await turns();
  assertEquals([desk.writes, desk.closeWrites, desk.told], [[], 1, ["end"]]);
});

Deno.test("Writer.seal() waits for a producer that is still to answer", async () => {
  const answer = Promise.withResolvers<Uint8Array>();
  const desk = new Desk();
  await desk.push({ more: () => answer.promise });
  desk.pump.seal();
  await turns();
  assertEquals(desk.told, []);
  answer.resolve(new Uint8Array(0));
  await turns();
  assertEquals([desk.closeWrites, desk.told], [1, ["end"]]);
});

Deno.test("Writer.seal() does without closeWrite() where the connection has none", async () => {
  const told: string[] = [];
  const conn = { read: () => Promise.resolve(null), write: () => Promise.resolve(0), close() {} };
  const pump = new Writer(conn, { ...NO_EVENTS, onEnd: () => told.push("end") });
  pump.start();
  pump.seal();
  await turns();
  assertEquals(told, ["end"]);
});

Deno.test("Writer.seal() tells of a closeWrite() that fails", async () => {
  const broken = new Error("not connected");
  const desk = new Desk([], { closeWrite: () => Promise.reject(broken) });
  desk.pump.seal();
  await turns();
  assertEquals(desk.told, ["failed"]);
  assertStrictEquals(desk.errors[0], broken);
});

Deno.test("Writer.stop() writes nothing more and says nothing, whatever becomes of the pending write", async () => {
  for (const outcome of [1, 3, new Error("interrupted")]) {
    const desk = new Desk(["hold"]);
    await desk.push("abc");
    await desk.push("def");
    const flushed = desk.flushed();
    desk.pump.stop();
    assertEquals([desk.pump.state === "closed", desk.pump.accepting, desk.pump.bufferedAmount], [true, false, 0]);
    desk.answer(outcome);
    await turns();
    assertEquals([desk.writes, desk.told, flushed()], [["abc"], [], true]);
  }
});

Deno.test("Writer.stop() while our side is being ended says nothing", async () => {
  const closing = Promise.withResolvers<void>();
  const desk = new Desk([], { closeWrite: () => closing.promise });
  desk.pump.seal();
  await turns();
  desk.pump.stop();
  closing.resolve();
  await turns();
  assertEquals(desk.told, []);
});

Deno.test("Writer.stop() before anything was written leaves it so", async () => {
  const desk = new Desk();
  desk.pump.push("a");
  desk.pump.stop();
  desk.pump.start();
  await turns();
  assertEquals([desk.writes, desk.told], [[], []]);
});

Deno.test("Writer.pending says whether the peer has something to take, bytes or the end of our side", async () => {
  const closing = Promise.withResolvers<void>();
  const desk = new Desk(["hold"], { closeWrite: () => closing.promise });
  const seen = [desk.pump.pending];
  await desk.push("a");
  seen.push(desk.pump.pending);
  desk.answer(1);
  await turns();
  seen.push(desk.pump.pending);
  desk.pump.seal();
  await turns();
  seen.push(desk.pump.pending);
  closing.resolve();
  await turns();
  seen.push(desk.pump.pending);
  assertEquals(seen, [false, true, false, true, false]);
});

Deno.test("Writer.bytesSent counts a write that is done after stop()", async () => {
  const desk = new Desk(["hold"]);
  await desk.push("abc");
  desk.pump.stop();
  desk.answer(2);
  await turns();
  assertEquals(desk.pump.bytesSent, 2);
});

// ----------------------------------------------------------------------------------------------------- flushed() and room()

Deno.test("Writer.flushed() fulfils at once where nothing waits", async () => {
  const desk = new Desk(["hold"]);
  await desk.pump.flushed();
  await desk.push("a");
  desk.answer(1);
  await turns();
  await desk.pump.flushed();
});

Deno.test("Writer.flushed() waits for what was pushed before, and not for what is pushed later", async () => {
  const desk = new Desk(["hold", "hold"]);
  await desk.push("a");
  const first = desk.flushed();
  await desk.push("b");
  const second = desk.flushed();
  desk.answer(1);
  await turns();
  assertEquals([first(), second(), desk.writes], [true, false, ["a", "b"]]);
  desk.answer(1);
  await turns();
  assertEquals(second(), true);
});

Deno.test("Writer.flushed() waits for a producer to its end, and no longer", async () => {
  const answers = [Promise.withResolvers<Uint8Array>(), Promise.withResolvers<Uint8Array>()];
  let asked = 0;
  const desk = new Desk(["hold"]);
  await desk.push("a", { more: () => answers[asked++]!.promise });
  const both = desk.flushed();
  await desk.push("b", silent());
  const all = desk.flushed();
  desk.answer(1);
  answers[0]!.resolve(bytes("1"));
  await turns();
  assertEquals([desk.writes, both(), all()], [["a", "1"], false, false]);
  answers[1]!.resolve(bytes(""));
  await turns();
  assertEquals([desk.writes, both(), all()], [["a", "1", "b"], true, false]);
  desk.pump.stop();
  await turns();
  assertEquals(all(), true);
});

Deno.test("Writer.flushed() is told of a producer that ended with nothing to write", async () => {
  const desk = new Desk();
  desk.pump.pushSource(toSource([]));
  const atOnce = desk.flushed();
  await turns();
  assertEquals(atOnce(), true);
  desk.pump.pushSource(toSource({ more: () => Promise.resolve(bytes("")) }));
  const inTime = desk.flushed();
  await desk.push(silent());
  assertEquals([inTime(), desk.writes], [true, []]);
  desk.pump.stop();
});

Deno.test("Writer.room() fulfils when no more than so much waits, and not before", async () => {
  const desk = new Desk([2, 1, "hold", "hold"]);
  desk.pump.push("abcdefg");
  assertEquals([desk.pump.exceeds(6), desk.pump.exceeds(7)], [true, false]);
  let room = false;
  desk.pump.waitForCapacity(3).then(() => room = true);
  await turns();
  assertEquals([desk.pump.bufferedAmount, room], [4, false]);
  desk.answer(1);
  await turns();
  assertEquals([desk.pump.bufferedAmount, room], [3, true]);
  desk.pump.stop();
});

Deno.test("Writer.room() fulfils when no more than 16 producers wait, however few bytes do", async () => {
  const answers = Array.from({ length: 18 }, () => Promise.withResolvers<Uint8Array>());
  const desk = new Desk();
  await desk.push(...answers.map(({ promise }) => ({ more: () => promise })));
  let room = false;
  desk.pump.waitForCapacity(100).then(() => room = true);
  const seen: [over: boolean, room: boolean][] = [];
  for (const { resolve } of answers.slice(0, 2)) {
    seen.push([desk.pump.exceeds(100), room]);
    resolve(bytes(""));
    await turns();
  }
  assertEquals([...seen, [desk.pump.exceeds(100), room]], [[true, false], [true, false], [false, true]]);
  desk.pump.stop();
});

Deno.test("Writer.release() lets go who waits for room, and drop() does", async () => {
  for (const act of ["release", "drop", "stop"] as const) {
    const desk = new Desk(["hold"]);
    await desk.push("abc");
    let room = false;
    desk.pump.waitForCapacity(1).then(() => room = true);
    await turns();
    assertEquals(room, false);
    desk.pump[act]();
    await turns();
    assertEquals(room, true, act);
    desk.pump.stop();
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
    const desk = new Desk();
    await desk.push("a", make(), "b", make(), make(), "c");
    await desk.pump.flushed();
    assertEquals([desk.writes.join(""), desk.told], ["a1234b12341234c", []]);
  }
});

Deno.test("Writer asks a producer for as long as it answers at once, so that its pieces are one write", async () => {
  const desk = new Desk();
  await desk.push("a", ["b", "c", "d"].map(bytes), "e");
  assertEquals(desk.writes, ["abcde"]);
});

Deno.test("Writer writes what there is while a producer thinks", async () => {
  const desk = new Desk();
  await desk.push("a", silent(), "b");
  assertEquals([desk.writes, desk.pump.bufferedAmount], [["a"], 1]);
  desk.pump.stop();
});

Deno.test("Writer asks a producer again only when its large piece is written", async () => {
  const large = new Uint8Array(20_000);
  let asked = 0;
  const desk = new Desk(["hold", "hold"]);
  await desk.push({ more: () => ++asked < 3 ? large : bytes("") });
  assertEquals(asked, 1);
  desk.answer(19_999);
  await turns();
  assertEquals([asked, desk.writes.length], [1, 2]);
  desk.answer(1);
  await turns();
  assertEquals([asked, desk.writes.length, desk.pump.bytesSent], [3, 3, 40_000]);
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
    const desk = new Desk();
    desk.pump.push("a");
    await turns();
    await desk.push(producer, "b");
    await turns();
    assertEquals([desk.writes, desk.told], [["a"], ["producer failed"]]);
    assertStrictEquals(desk.errors[0], boom);
    assertEquals([desk.pump.state === "closed", desk.pump.bufferedAmount], [true, 0]);
  }
});

Deno.test("Writer tells the producers behind one that fails why they are not asked", async () => {
  const boom = new Error("boom");
  const reasons: unknown[] = [];
  const desk = new Desk();
  await desk.push(
    { more: () => Promise.reject(boom) },
    new ReadableStream({ cancel: (reason) => void reasons.push(reason) }),
  );
  assertEquals([desk.told, reasons.length], [["producer failed"], 1]);
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
  const desk = new Desk();
  await desk.push(wrong);
  assertEquals([desk.told, ended], [["producer failed"], 1]);
  assertInstanceOf(desk.errors[0], TypeError);
});

Deno.test("Writer tells a producer why when the connection fails", async () => {
  const broken = new Error("broken pipe");
  const reasons: unknown[] = [];
  const desk = new Desk([broken]);
  await desk.push("a", new ReadableStream({ cancel: (reason) => void reasons.push(reason) }));
  assertEquals([desk.told, reasons.length], [["failed"], 1]);
  assertStrictEquals(reasons[0], broken);
});

// ------------------------------------------------------------------------------------------------------- drop() and stop()

Deno.test("Writer.drop() forgets what is queued, fulfils flushed(), and what is pushed then is sent", async () => {
  const desk = new Desk(["hold"]);
  await desk.push("a");
  await desk.push("b");
  const flushed = desk.flushed();
  desk.pump.drop();
  await turns();
  assertEquals([desk.pump.bufferedAmount, flushed(), desk.pump.accepting], [0, true, true]);
  await desk.push("c");
  assertEquals(desk.writes, ["a"]);
  desk.answer(1);
  await turns();
  assertEquals([desk.writes, desk.pump.bytesSent], [["a", "c"], 2]);
});

Deno.test("Writer.drop() sends nothing of the rest of a write that was pending and is short", async () => {
  const desk = new Desk(["hold"]);
  await desk.push("abc");
  desk.pump.drop();
  await desk.push("d");
  desk.answer(1);
  await turns();
  assertEquals([desk.writes, desk.pump.bytesSent, desk.told], [["abc", "d"], 2, []]);
});

Deno.test("Writer.drop() while it waits for a producer: what is pushed then is sent, what it makes is not", async () => {
  const answer = Promise.withResolvers<Uint8Array>();
  const desk = new Desk();
  await desk.push("a", { more: () => answer.promise }, "b");
  desk.pump.drop();
  await desk.push("c");
  assertEquals([desk.writes, await desk.pump.flushed()], [["a", "c"], undefined]);
  answer.resolve(bytes("late"));
  await desk.push("d", [bytes("e")]);
  assertEquals([desk.writes, desk.told], [["a", "c", "de"], []]);
});

Deno.test("Writer.drop() while it waits for a producer, again and again, leaves one loop that writes", async () => {
  const desk = new Desk();
  for (let round = 0; round < 5; round++) {
    await desk.push(`${round}`, silent());
    desk.pump.drop();
  }
  await desk.push("x");
  assertEquals(desk.writes, ["0", "1", "2", "3", "4", "x"]);
  desk.pump.seal();
  await turns();
  assertEquals([desk.closeWrites, desk.told], [1, ["end"]]);
});

Deno.test("Writer.drop() while it waits for a producer that answers while the next write is pending: one loop goes on", async () => {
  const answer = Promise.withResolvers<Uint8Array>();
  const desk = new Desk(["hold"]);
  await desk.push({ more: () => answer.promise });
  desk.pump.drop();
  await desk.push("a");
  answer.resolve(bytes("late"));
  await turns();
  assertEquals([desk.writes, desk.told], [["a"], []]);
  desk.answer(1);
  await desk.push("b");
  assertEquals([desk.writes, desk.told, desk.pump.bufferedAmount], [["a", "b"], [], 0]);
});

Deno.test("Writer.drop() while a write is pending forgets also a producer that has not answered", async () => {
  const late = Promise.withResolvers<Uint8Array>();
  const desk = new Desk(["hold"]);
  await desk.push("a", { more: () => late.promise });
  desk.pump.drop();
  desk.answer(1);
  await turns();
  await desk.push("b", [bytes("c")], { more: () => Promise.resolve(bytes("")) });
  assertEquals(desk.writes, ["a", "bc"]);
  late.resolve(bytes("late"));
  desk.pump.seal();
  await turns();
  assertEquals([desk.writes, desk.told], [["a", "bc"], ["end"]]);
});

Deno.test("Writer.drop() while a write is pending loses nothing of a producer that is pushed then", async () => {
  const pieces = ["1", "2", "3", ""].map(bytes);
  const desk = new Desk(["hold"]);
  await desk.push("a");
  desk.pump.drop();
  await desk.push("b", { more: () => Promise.resolve(pieces.shift()!) });
  desk.answer(1);
  await turns();
  assertEquals(desk.writes.join(""), "ab123");
});

Deno.test("Writer.drop() twice, while it waits for a producer and in the write after that, leaves one loop", async () => {
  const desk = new Desk(["hold"]);
  await desk.push(silent());
  desk.pump.drop();
  await desk.push("a");
  desk.pump.drop();
  await desk.push("b");
  assertEquals([desk.writes, desk.told], [["a"], []]);
  desk.answer(1);
  await turns();
  assertEquals([desk.writes, desk.told], [["a", "b"], []]);
});

Deno.test("Writer.drop() while a write is pending leaves one loop that writes, also after a producer that took its time", async () => {
  const desk = new Desk([1, "hold"]);
  const answers = [Promise.withResolvers<Uint8Array>(), Promise.withResolvers<Uint8Array>()];
  let asked = 0;
  await desk.push("a", { more: () => answers[asked++]!.promise });
  answers[0]!.resolve(bytes("b"));
  await turns();
  assertEquals([desk.writes, asked], [["a", "b"], 2]);
  desk.pump.drop();
  await desk.push("c");
  assertEquals([desk.writes, desk.told], [["a", "b"], []]);
  desk.answer(1);
  await turns();
  assertEquals([desk.writes, desk.told], [["a", "b", "c"], []]);
});

Deno.test("Writer.drop() does not hear a producer that fails because of it, or later", async () => {
  const answer = Promise.withResolvers<Uint8Array>();
  const desk = new Desk();
  await desk.push({ more: () => answer.promise });
  desk.pump.drop();
  answer.reject(new Error("late"));
  await desk.push("a");
  assertEquals([desk.writes, desk.told], [["a"], []]);
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
  const desk = new Desk(["hold"]);
  const large = new Uint8Array(20_000);
  await desk.push(running(), large, new ReadableStream({ cancel: (reason) => void ended.push(String(reason)) }));
  desk.pump.stop(new Error("enough"));
  desk.answer(1);
  await turns();
  assertEquals([ended.toSorted(), desk.told], [["Error: enough", "generator"], []]);
});

Deno.test("Writer.stop() leaves nothing waiting for a producer that never answers", async () => {
  const desk = new Desk();
  await desk.push(silent());
  const flushed = desk.flushed();
  desk.pump.stop();
  await turns();
  assertEquals([flushed(), desk.pump.state === "closed", desk.told], [true, true, []]);
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
    const desk = new Desk();
    desk.pump.pushSource({ pull: () => new Promise(() => {}), cancel: answer });
    desk.pump.stop(reason);
    await turns();
    assertEquals([desk.told, String(desk.errors[0])], [["producer failed"], "Error: cannot stop"]);
  }
  const desk = new Desk();
  desk.pump.pushSource({ pull: () => new Promise(() => {}), cancel: (why) => Promise.reject(why) });
  desk.pump.stop(reason);
  await turns();
  assertEquals(desk.told, []);
});

Deno.test("Writer.stop() by a generator that is being asked is no fault of it, and lets it end", async () => {
  let ended = 0;
  const desk = new Desk();
  const leaver = (function* () {
    try {
      yield bytes("a");
      desk.pump.stop();
      yield bytes("b");
    } finally {
      ended++;
    }
  })();
  await desk.push(leaver, "c");
  assertEquals([desk.writes, desk.told, desk.errors, ended], [[], [], [], 1]);
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
    const desk = new Desk();
    desk.pump.pushSource(toSource(producer));
    desk.pump.seal();
    await turns();
    assertEquals([desk.closeWrites, desk.told, desk.pump.pending], [0, ["producer failed"], false]);
  }
});

Deno.test("Writer tells once of a stream that fails, also with what is no error", async () => {
  for (const failure of [new Error("boom"), "boom"]) {
    const desk = new Desk();
    await desk.push(new ReadableStream({ pull: (controller) => controller.error(failure) }));
    await turns();
    assertEquals(desk.told, ["producer failed"]);
    assertStrictEquals(desk.errors[0], failure);
  }
});

// ------------------------------------------------------------------------------------------------------------ takeUnsent()

Deno.test("Writer.takeUnsent() stops, and gives what was not written", async () => {
  const desk = new Desk(["hold"]);
  await desk.push("a");
  desk.answer(1);
  await turns();
  desk.pump.push("b");
  const large = new Uint8Array(20_000);
  desk.pump.push(large);
  const flushed = desk.flushed();
  const unsent = desk.pump.takeUnsent();
  await turns();
  assertEquals(unsent, [bytes("b"), large]);
  assert(desk.pump.state === "closed" && flushed());
  assertEquals([desk.writes, desk.told, desk.pump.bufferedAmount], [["a"], [], 0]);
});

Deno.test("Writer.takeUnsent() refuses while a write is pending, or a producer is queued, and changes nothing", async () => {
  const writing = new Desk(["hold"]);
  await writing.push("a");
  const pending = assertThrows(() => writing.pump.takeUnsent(), TypeError);
  assertEquals(pending.message, "Cannot detach: a write is pending, await flushed() first");
  writing.answer(1);
  await writing.push("b");
  assertEquals(writing.writes, ["a", "b"]);

  const asking = new Desk();
  asking.pump.pushSource(toSource([bytes("c")]));
  const queued = assertThrows(() => asking.pump.takeUnsent(), TypeError);
  assertEquals(queued.message, "Cannot detach: a producer is queued, await flushed() first");
  await turns();
  assertEquals(asking.writes, ["c"]);
});

// ------------------------------------------------------------------------------------ producers that drop the queue, or end

Deno.test("Writer.drop() by a producer that is being asked: what it pushes then is sent, all of it", async () => {
  const desk = new Desk();
  const pieces = ["1", "2", "3", ""].map(bytes);
  await desk.push({
    more() {
      desk.pump.drop();
      desk.pump.push("x");
      desk.pump.pushSource(toSource({ more: () => Promise.resolve(pieces.shift()!) }));
      return bytes("dropped");
    },
  });
  await turns();
  assertEquals(desk.writes.join(""), "x123");
});

Deno.test("Writer.drop() by a producer that is being asked does not stop the pump", async () => {
  const desk = new Desk();
  const pieces = ["1", "2", ""].map(bytes);
  await desk.push({
    more() {
      desk.pump.drop();
      desk.pump.pushSource(toSource({ more: () => Promise.resolve(pieces.shift()!) }));
      return bytes("dropped");
    },
  });
  await turns();
  desk.pump.push("y");
  await turns();
  assertEquals(desk.writes.join(""), "12y");
});

Deno.test("Writer.drop() by a producer that then takes its time does not stop the pump", async () => {
  const desk = new Desk();
  await desk.push((async function* () {
    yield bytes("1");
    desk.pump.drop();
    await new Promise(() => {});
  })());
  await turns();
  desk.pump.push("y");
  await turns();
  assertEquals(desk.writes.at(-1), "y");
});

Deno.test("Writer.flushed() and room() do not wait for a producer behind those that ended with nothing to write", async () => {
  const desk = new Desk();
  for (let i = 0; i < 16; i++) desk.pump.pushSource(toSource([]));
  const flushed = desk.flushed();
  desk.pump.pushSource(toSource({ more: () => new Promise<Uint8Array>(() => {}) }));
  let room = false;
  desk.pump.waitForCapacity(100).then(() => room = true);
  await turns();
  assert(!desk.pump.exceeds(100) && room && flushed());
});
