import { assert, assertEquals, assertRejects, assertStrictEquals, assertThrows } from "@std/assert";
import { type ProducerLike, SimpleProducer, type Source, toSource } from "./producer.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const pieces = (...texts: string[]) => texts.map(bytes);

/** All that a source makes, up to its end. */
async function drain(source: Source): Promise<string[]> {
  const made: string[] = [];
  for (let piece = await source.pull(); piece !== null; piece = await source.pull()) {
    made.push(new TextDecoder().decode(piece));
    if (made.length > 100) throw new Error(`There is no end of pieces: ${made}`);
  }
  return made;
}

/** A producer of asynchat's kind that gives out `answers`, then nothing. */
function more(...answers: (Uint8Array | Promise<Uint8Array>)[]) {
  return { more: () => answers.shift() ?? new Uint8Array(0) };
}

async function* later(...made: Uint8Array[]) {
  for (const piece of made) yield await Promise.resolve(piece);
}

// -------------------------------------------------------------------------------------------------------- SimpleProducer

Deno.test("SimpleProducer.more() gives the data in pieces of 512 bytes, then nothing for good", () => {
  const producer = new SimpleProducer(new Uint8Array(1025));
  assertEquals([1, 2, 3, 4, 5].map(() => producer.more().length), [512, 512, 1, 0, 0]);
});

Deno.test("SimpleProducer.more() gives the data in pieces of the size that was asked for", () => {
  const producer = new SimpleProducer(bytes("abcdefg"), 3);
  assertEquals([1, 2, 3, 4].map(() => producer.more()), pieces("abc", "def", "g", ""));
});

Deno.test("SimpleProducer.more() does not copy", () => {
  const data = bytes("abc");
  const piece = new SimpleProducer(data.subarray(1), 2).more();
  assert(piece.buffer === data.buffer);
});

Deno.test("SimpleProducer of nothing has finished", () => {
  assertEquals(new SimpleProducer(new Uint8Array(0)).more().length, 0);
});

Deno.test("SimpleProducer refuses a size that is not a whole number from 1 on", () => {
  for (const size of [0, -1, 1.5, NaN, Infinity]) {
    const error = assertThrows(() => new SimpleProducer(bytes("a"), size), RangeError);
    assertEquals(
      error.message,
      `Cannot create a producer: bufferSize is ${size}, expected a whole number of at least 1`,
    );
  }
});

// -------------------------------------------------------------------------------------------------------------- toSource()

Deno.test("toSource() takes each of the five kinds, which make the same", async () => {
  const kinds: [name: string, producer: ProducerLike][] = [
    ["more() at once", more(...pieces("ab", "c"))],
    ["more() as a promise", more(...pieces("ab", "c").map((piece) => Promise.resolve(piece)))],
    ["an array", pieces("ab", "c")],
    ["a generator", pieces("ab", "c").values()],
    ["a set", new Set(pieces("ab", "c"))],
    ["an async generator", later(...pieces("ab", "c"))],
    ["a stream", ReadableStream.from(pieces("ab", "c"))],
    ["SimpleProducer", new SimpleProducer(bytes("abc"), 2)],
  ];
  for (const [name, producer] of kinds) assertEquals(await drain(toSource(producer)), ["ab", "c"], name);
});

Deno.test("toSource() prefers more() to the iterator of the same object, and the async iterator to the other", async () => {
  const both = {
    [Symbol.iterator]: () => pieces("at once").values(),
    [Symbol.asyncIterator]: () => later(bytes("later")),
  };
  assertEquals(await drain(toSource(both)), ["later"]);
  assertEquals(await drain(toSource({ ...both, ...more(bytes("asked")) })), ["asked"]);
});

Deno.test("toSource() takes an iterable whose more is not a function as an iterable", async () => {
  const iterable = Object.assign(pieces("a"), { more: 1 });
  assertEquals(await drain(toSource(iterable)), ["a"]);
});

Deno.test("toSource() refuses what is none of them", () => {
  const wrong: [value: unknown, name: string][] = [
    [undefined, "undefined"],
    [null, "null"],
    [1, "number"],
    ["text", "string"],
    [() => bytes("a"), "function"],
    [{}, "Object"],
    [{ more: 1 }, "Object"],
    [new Date(0), "Date"],
    [Promise.resolve(bytes("a")), "Promise"],
  ];
  for (const [value, name] of wrong) {
    const error = assertThrows(() => toSource(value as ProducerLike), TypeError);
    const expected = "Uint8Array, an object with more(), an iterable, an async iterable or a ReadableStream";
    assertEquals(error.message, `Cannot push with a producer: expected ${expected}, got ${name}`);
  }
});

Deno.test("toSource() refuses a stream that somebody else reads", () => {
  const stream = ReadableStream.from(pieces("a"));
  stream.getReader();
  const error = assertThrows(() => toSource(stream), TypeError);
  assertEquals(
    error.message,
    "Cannot push with a producer: the stream is locked to a reader, expected an unlocked stream",
  );
});

Deno.test("toSource() locks a stream, and asks nothing of any kind before the first pull", () => {
  let asked = 0;
  const ask = () => {
    asked++;
    return pieces("a").values();
  };
  const stream = new ReadableStream<Uint8Array>();
  for (const producer of [{ [Symbol.iterator]: ask }, { more: () => ask().next().value! }, stream]) toSource(producer);
  toSource({ [Symbol.asyncIterator]: () => (ask(), later()) });
  assertEquals([asked, stream.locked], [0, true]);
});

// ---------------------------------------------------------------------------------------------------------------- pull()

Deno.test("Source.pull() answers at once where the producer does", () => {
  for (const producer of [more(...pieces("ab")), pieces("ab"), new Set(pieces("ab"))]) {
    const source = toSource(producer);
    assertEquals([source.pull(), source.pull()], [bytes("ab"), null]);
  }
});

Deno.test("Source.pull() gives a promise where the producer does, of whatever make", async () => {
  const thenable = { then: (resolve: (piece: Uint8Array) => void) => resolve(bytes("ab")) };
  const asked = { more: () => thenable as Promise<Uint8Array> };
  const iterated = {
    [Symbol.asyncIterator]: () => ({
      next: () =>
        ({ then: (resolve: (result: unknown) => void) => resolve({ value: bytes("ab") }) }) as unknown as Promise<
          IteratorResult<Uint8Array>
        >,
    }),
  };
  for (const producer of [asked, iterated, later(bytes("ab")), ReadableStream.from(pieces("ab"))]) {
    const made = toSource(producer).pull();
    assert(made instanceof Promise);
    assertEquals(await made, bytes("ab"));
  }
});

Deno.test("Source.pull() gives the producer's own bytes", async () => {
  const piece = bytes("ab");
  for (const producer of [more(piece), more(Promise.resolve(piece)), [piece], later(piece)]) {
    assertStrictEquals(await toSource(producer).pull(), piece);
  }
});

Deno.test("Source.pull() takes an empty piece of more() as the end, also a promised one", async () => {
  assertEquals(toSource(more(bytes(""), bytes("a"))).pull(), null);
  assertEquals(await toSource(more(Promise.resolve(bytes("")), bytes("a"))).pull(), null);
});

Deno.test("Source.pull() takes an empty piece of an iterable or a stream as a piece", async () => {
  for (const producer of [pieces("", "a"), later(...pieces("", "a")), ReadableStream.from(pieces("", "a"))]) {
    assertEquals(await drain(toSource(producer)), ["", "a"]);
  }
});

Deno.test("Source.pull() leaves out what an iterator gives with its end", async () => {
  const source = toSource((function* () {
    yield bytes("a");
    return bytes("b");
  })());
  assertEquals(await drain(source), ["a"]);
});

Deno.test("Source.pull() refuses pieces that are not bytes", async () => {
  const wrong: [value: unknown, name: string][] = [
    ["text", "string"],
    [1, "number"],
    [null, "null"],
    [undefined, "undefined"],
    [new ArrayBuffer(1), "ArrayBuffer"],
    [[1], "Array"],
  ];
  for (const [value, name] of wrong) {
    const piece = value as Uint8Array;
    const message = `Cannot send a producer's chunk: expected Uint8Array, got ${name}`;
    for (const producer of [{ more: () => piece }, [piece]]) {
      assertEquals(assertThrows(() => toSource(producer).pull(), TypeError).message, message);
    }
    for (const producer of [{ more: () => Promise.resolve(piece) }, later(piece), ReadableStream.from([piece])]) {
      const error = await assertRejects(() => Promise.resolve(toSource(producer).pull()), TypeError);
      assertEquals(error.message, message);
    }
  }
});

Deno.test("Source.pull() takes bytes for an iterable of numbers, which are no pieces", () => {
  const source = toSource(bytes("a") as unknown as ProducerLike);
  assertThrows(() => source.pull(), TypeError, "expected Uint8Array, got number");
});

Deno.test("Source.pull() passes on what the producer throws, as it is", async () => {
  const thrown = new Error("boom");
  const fail = () => {
    throw thrown;
  };
  for (const producer of [{ more: fail }, { [Symbol.iterator]: fail }, { [Symbol.iterator]: () => ({ next: fail }) }]) {
    assertStrictEquals(assertThrows(() => toSource(producer).pull()), thrown);
  }
  const rejecting = [
    { more: () => Promise.reject(thrown) },
    { [Symbol.asyncIterator]: () => ({ next: () => Promise.reject(thrown) }) },
    new ReadableStream<Uint8Array>({ pull: fail }),
  ];
  for (const producer of rejecting) {
    assertStrictEquals(await assertRejects(() => Promise.resolve(toSource(producer).pull())), thrown);
  }
});

// -------------------------------------------------------------------------------------------------------------- cancel()

Deno.test("Source.cancel() lets a generator run its finally block, once it has begun", async () => {
  const ran: string[] = [];
  function* atOnce() {
    try {
      yield bytes("a");
    } finally {
      ran.push("at once");
    }
  }
  async function* inTime() {
    try {
      yield await Promise.resolve(bytes("a"));
    } finally {
      ran.push("in time");
    }
  }
  for (const producer of [atOnce(), inTime()]) {
    const source = toSource(producer);
    await source.pull();
    await source.cancel("enough");
    assertEquals(await source.pull(), null);
  }
  assertEquals(ran, ["at once", "in time"]);
});

Deno.test("Source.cancel() tells a stream why, and gives the promise of its answer", async () => {
  const reasons: unknown[] = [];
  const source = toSource(new ReadableStream({ cancel: (reason) => void reasons.push(reason) }));
  const answer = source.cancel("enough");
  assert(answer instanceof Promise);
  await answer;
  assertEquals(reasons, ["enough"]);
});

Deno.test("Source.cancel() calls return() of an iterator with what it belongs to, and gives its answer", () => {
  const iterator = {
    next: () => ({ done: false, value: bytes("a") }),
    return() {
      assertStrictEquals(this, iterator);
      return { done: true as const, value: undefined };
    },
  };
  const source = toSource({ [Symbol.iterator]: () => iterator });
  source.pull();
  assertEquals(source.cancel(undefined), { done: true, value: undefined });
});

Deno.test("Source.cancel() of what was never asked does not ask it", () => {
  let asked = 0;
  const next = () => ({ done: asked++ > 0, value: bytes("a") });
  toSource({ [Symbol.iterator]: () => ({ next }) }).cancel(undefined);
  assertEquals(asked, 0);
});

Deno.test("Source.cancel() asks nothing of a producer that has no way to be told", () => {
  const asked = toSource({ more: () => bytes("a") });
  const iterated = toSource({ [Symbol.iterator]: () => ({ next: () => ({ done: false, value: bytes("a") }) }) });
  iterated.pull();
  assertEquals([asked.cancel(undefined), iterated.cancel(undefined)], [undefined, undefined]);
});
