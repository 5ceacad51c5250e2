import { assert, assertEquals, assertRejects, assertStrictEquals, assertThrows } from "@std/assert";
import { bytes } from "../tests/recorder.ts";
import { type ProducerLike, SimpleProducer, type Source, toSource } from "./producer.ts";

const chunks = (...texts: string[]) => texts.map(bytes);

/** Pulls a source to its end. Returns the chunks as text. */
async function drain(source: Source): Promise<string[]> {
  const made: string[] = [];
  for (let chunk = await source.pull(); chunk !== null; chunk = await source.pull()) {
    made.push(new TextDecoder().decode(chunk));
    if (made.length > 100) throw new Error(`Too many chunks: ${made}`);
  }
  return made;
}

/** Returns a producer with `more()`: `results`, then its end. */
function more(...results: (Uint8Array | Promise<Uint8Array>)[]) {
  return { more: () => results.shift() ?? new Uint8Array(0) };
}

async function* later(...made: Uint8Array[]) {
  for (const chunk of made) yield await Promise.resolve(chunk);
}

// -------------------------------------------------------------------------------------------------------- SimpleProducer

Deno.test("SimpleProducer.more() returns chunks of 512 bytes, then only empty ones", () => {
  const producer = new SimpleProducer(new Uint8Array(1025));
  assertEquals([1, 2, 3, 4, 5].map(() => producer.more().length), [512, 512, 1, 0, 0]);
});

Deno.test("SimpleProducer.more() returns chunks of the given size", () => {
  const producer = new SimpleProducer(bytes("abcdefg"), 3);
  assertEquals([1, 2, 3, 4].map(() => producer.more()), chunks("abc", "def", "g", ""));
});

Deno.test("SimpleProducer.more() does not copy", () => {
  const data = bytes("abc");
  const chunk = new SimpleProducer(data.subarray(1), 2).more();
  assert(chunk.buffer === data.buffer);
});

Deno.test("SimpleProducer.more() returns an empty chunk for no data", () => {
  assertEquals(new SimpleProducer(new Uint8Array(0)).more().length, 0);
});

Deno.test("SimpleProducer rejects a size that is not a whole number of at least 1", () => {
  for (const size of [0, -1, 1.5, NaN, Infinity]) {
    const error = assertThrows(() => new SimpleProducer(bytes("a"), size), RangeError);
    assertEquals(
      error.message,
      `Cannot create a producer: bufferSize is ${size}, expected a whole number of at least 1`,
    );
  }
});

// -------------------------------------------------------------------------------------------------------------- toSource()

Deno.test("toSource() accepts each kind, and all produce the same", async () => {
  const kinds: [name: string, producer: ProducerLike][] = [
    ["more() at once", more(...chunks("ab", "c"))],
    ["more() as a promise", more(...chunks("ab", "c").map((chunk) => Promise.resolve(chunk)))],
    ["an array", chunks("ab", "c")],
    ["a generator", chunks("ab", "c").values()],
    ["a set", new Set(chunks("ab", "c"))],
    ["an async generator", later(...chunks("ab", "c"))],
    ["a stream", ReadableStream.from(chunks("ab", "c"))],
    ["SimpleProducer", new SimpleProducer(bytes("abc"), 2)],
  ];
  for (const [name, producer] of kinds) assertEquals(await drain(toSource(producer)), ["ab", "c"], name);
});

Deno.test("toSource() prefers more() to an async iterator, and that to a plain iterator", async () => {
  const both = {
    [Symbol.iterator]: () => chunks("at once").values(),
    [Symbol.asyncIterator]: () => later(bytes("later")),
  };
  assertEquals(await drain(toSource(both)), ["later"]);
  assertEquals(await drain(toSource({ ...both, ...more(bytes("more")) })), ["more"]);
});

Deno.test("toSource() treats an object as iterable when its more is not a function", async () => {
  const iterable = Object.assign(chunks("a"), { more: 1 });
  assertEquals(await drain(toSource(iterable)), ["a"]);
});

Deno.test("toSource() rejects a value of any other kind", () => {
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

Deno.test("toSource() rejects a stream that is locked to a reader", () => {
  const stream = ReadableStream.from(chunks("a"));
  stream.getReader();
  const error = assertThrows(() => toSource(stream), TypeError);
  assertEquals(
    error.message,
    "Cannot push with a producer: the stream is locked to a reader, expected an unlocked stream",
  );
});

Deno.test("toSource() locks a stream, and pulls nothing before the first pull()", () => {
  let begun = 0;
  const begin = () => {
    begun++;
    return chunks("a").values();
  };
  const stream = new ReadableStream<Uint8Array>();
  for (const producer of [{ [Symbol.iterator]: begin }, { more: () => begin().next().value! }, stream]) {
    toSource(producer);
  }
  toSource({ [Symbol.asyncIterator]: () => (begin(), later()) });
  assertEquals({ begun, locked: stream.locked }, { begun: 0, locked: true });
});

// ---------------------------------------------------------------------------------------------------------------- pull()

Deno.test("Source.pull() returns a chunk at once when the producer does", () => {
  for (const producer of [more(...chunks("ab")), chunks("ab"), new Set(chunks("ab"))]) {
    const source = toSource(producer);
    assertEquals([source.pull(), source.pull()], [bytes("ab"), null]);
  }
});

Deno.test("Source.pull() returns a promise when the producer returns one, or a thenable", async () => {
  const thenable = { then: (resolve: (chunk: Uint8Array) => void) => resolve(bytes("ab")) };
  const withMore = { more: () => thenable as Promise<Uint8Array> };
  const iterated = {
    [Symbol.asyncIterator]: () => ({
      next: () =>
        ({ then: (resolve: (result: unknown) => void) => resolve({ value: bytes("ab") }) }) as unknown as Promise<
          IteratorResult<Uint8Array>
        >,
    }),
  };
  for (const producer of [withMore, iterated, later(bytes("ab")), ReadableStream.from(chunks("ab"))]) {
    const made = toSource(producer).pull();
    assert(made instanceof Promise);
    assertEquals(await made, bytes("ab"));
  }
});

Deno.test("Source.pull() returns the producer's own bytes", async () => {
  const chunk = bytes("ab");
  for (const producer of [more(chunk), more(Promise.resolve(chunk)), [chunk], later(chunk)]) {
    assertStrictEquals(await toSource(producer).pull(), chunk);
  }
});

Deno.test("Source.pull() treats an empty chunk of more() as the end, also a promised one", async () => {
  assertEquals(toSource(more(bytes(""), bytes("a"))).pull(), null);
  assertEquals(await toSource(more(Promise.resolve(bytes("")), bytes("a"))).pull(), null);
});

Deno.test("Source.pull() returns an empty chunk of an iterable or a stream", async () => {
  for (const producer of [chunks("", "a"), later(...chunks("", "a")), ReadableStream.from(chunks("", "a"))]) {
    assertEquals(await drain(toSource(producer)), ["", "a"]);
  }
});

Deno.test("Source.pull() ignores the return value of an iterator", async () => {
  const source = toSource((function* () {
    yield bytes("a");
    return bytes("b");
  })());
  assertEquals(await drain(source), ["a"]);
});

Deno.test("Source.pull() rejects chunks that are not bytes", async () => {
  const wrong: [value: unknown, name: string][] = [
    ["text", "string"],
    [1, "number"],
    [null, "null"],
    [undefined, "undefined"],
    [new ArrayBuffer(1), "ArrayBuffer"],
    [[1], "Array"],
  ];
  for (const [value, name] of wrong) {
    const chunk = value as Uint8Array;
    const message = `Cannot send a producer's chunk: expected Uint8Array, got ${name}`;
    for (const producer of [{ more: () => chunk }, [chunk]]) {
      assertEquals(assertThrows(() => toSource(producer).pull(), TypeError).message, message);
    }
    for (const producer of [{ more: () => Promise.resolve(chunk) }, later(chunk), ReadableStream.from([chunk])]) {
      const error = await assertRejects(() => Promise.resolve(toSource(producer).pull()), TypeError);
      assertEquals(error.message, message);
    }
  }
});

Deno.test("Source.pull() treats bytes as an iterable of numbers, which are not chunks", () => {
  const source = toSource(bytes("a") as unknown as ProducerLike);
  assertThrows(() => source.pull(), TypeError, "expected Uint8Array, got number");
});

Deno.test("Source.pull() passes on the producer's error unchanged", async () => {
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

Deno.test("Source.cancel() runs the finally block of a generator that has begun", async () => {
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

Deno.test("Source.cancel() passes the reason to a stream and returns its promise", async () => {
  const reasons: unknown[] = [];
  const source = toSource(new ReadableStream({ cancel: (reason) => void reasons.push(reason) }));
  const cancelled = source.cancel("enough");
  assert(cancelled instanceof Promise);
  await cancelled;
  assertEquals(reasons, ["enough"]);
});

Deno.test("Source.cancel() calls return() as a method of the iterator and returns its result", () => {
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

Deno.test("Source.cancel() before the first pull does not pull", () => {
  let pulls = 0;
  const next = () => ({ done: pulls++ > 0, value: bytes("a") });
  toSource({ [Symbol.iterator]: () => ({ next }) }).cancel(undefined);
  assertEquals(pulls, 0);
});

Deno.test("Source.cancel() does nothing to a producer that cannot be cancelled", () => {
  const withMore = toSource({ more: () => bytes("a") });
  const iterated = toSource({ [Symbol.iterator]: () => ({ next: () => ({ done: false, value: bytes("a") }) }) });
  iterated.pull();
  assertEquals(withMore.cancel(undefined), undefined);
  assertEquals(iterated.cancel(undefined), undefined);
});
