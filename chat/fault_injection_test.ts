import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import fc from "fast-check";
import type { Terminator } from "../mod.ts";
import { AsyncChat, type ChatConn, SimpleProducer } from "../mod.ts";
import { FakeClock, type MemoryCall, type MemoryConn, memoryPair } from "../testing/mod.ts";
import { bytes, flushMicrotasks, text } from "../tests/recorder.ts";

/** What may befall the nth call of a kind. */
interface Fault {
  call: MemoryCall;
  nth: number;
  how: "fails" | "stalls" | "resets";
}

/** A conversation: how frames end, what the peer says, and which frames that is. */
interface Script {
  name: string;
  terminators: Terminator[]; // one after the other, the last for good
  says: string;
  /** The frames in what was read: written as simply as can be, to check against. */
  frames: (read: string) => string[];
}

const scripts: Script[] = [
  {
    name: "lines",
    terminators: ["\r\n"],
    says: "one\r\ntwo\r\nquit\r\nunheard\r\n",
    frames: (read) => read.split("\r\n").slice(0, -1),
  },
  {
    name: "lines to the end of the stream",
    terminators: ["\n"],
    says: "one\ntwo\nthree\nfo",
    frames: (read) => read.split("\n").slice(0, -1),
  },
  {
    name: "several",
    terminators: [["\r\n", ";"]],
    says: "one;two\r\nthree;quit;",
    frames: (read) => read.split(/\r\n|;/).slice(0, -1),
  },
  {
    name: "counts",
    terminators: [3, 3, 4, 4],
    says: "onetwofourquit",
    frames: (read) =>
      [[0, 3], [3, 6], [6, 10], [10, 14]].filter(([, e]) => e! <= read.length).map(([b, e]) => read.slice(b, e)),
  },
  { name: "raw", terminators: [null], says: "whatever comes", frames: () => [] },
];

/** Answers each frame, in all the ways there are; leaves at "quit". */
class Answering extends AsyncChat {
  readonly frames: string[] = [];
  readonly closes: (Error | undefined)[] = [];
  readonly errors: unknown[] = [];
  hooksAfterClose = 0;
  hooksRunning = 0;
  readonly #terminators: Terminator[];

  constructor(conn: ChatConn, clock: FakeClock, terminators: Terminator[], maxReadBytes: number) {
    super(conn, { clock, maxReadBytes, idleTimeoutMs: 1_000, writeTimeoutMs: 1_000 });
    this.#terminators = [...terminators];
    this.setTerminator(this.#terminators.shift()!);
  }
  protected override async foundTerminator() {
    const frame = this.takeText();
    this.frames.push(frame);
    if (this.closes.length > 0) this.hooksAfterClose++;
    assertEquals(++this.hooksRunning, 1);
    if (this.#terminators.length > 0) this.setTerminator(this.#terminators.shift()!);
    const answer = bytes(`${frame}!`);
    if (frame.length % 2 === 0) {
      this.push(answer);
    } else {
      this.pushWithProducer(new SimpleProducer(answer, 2));
      await Promise.resolve();
    }
    this.hooksRunning--;
    if (frame === "quit") this.closeWhenDone();
  }
  protected override handleError(error: unknown) {
    this.errors.push(error);
    super.close(error as Error);
  }
  protected override handleClose(reason?: Error) {
    this.closes.push(reason);
  }
}

/** A connection that befalls a fault, and writes down what it really did. */
class FaultyConn implements ChatConn {
  read_ = "";
  written = "";
  closes = 0;
  readonly counts: Record<MemoryCall, number> = { read: 0, write: 0, closeWrite: 0, close: 0 };
  befell = false;
  readonly error = Object.assign(new Error("it failed"), { code: "EFAULT" });
  readonly #closed = Promise.withResolvers<never>();

  constructor(readonly inner: MemoryConn, readonly faults: readonly Fault[]) {
    this.#closed.promise.catch(() => {});
  }
  async read(p: Uint8Array) {
    await this.#befall("read");
    const count = await this.inner.read(p);
    if (count !== null) this.read_ += text(p.subarray(0, count));
    return count;
  }
  async write(p: Uint8Array) {
    const said = text(p);
    await this.#befall("write");
    const count = await this.inner.write(p);
    this.written += said.slice(0, count);
    return count;
  }
  async closeWrite() {
    await this.#befall("closeWrite");
    await this.inner.closeWrite();
  }
  close() {
    this.closes++;
    const fault = this.#faultOf("close");
    this.#closed.reject(new Error("canceled"));
    this.inner[Symbol.dispose]();
    if (fault !== undefined) throw this.error;
  }
  async #befall(call: MemoryCall) {
    const fault = this.#faultOf(call);
    if (fault?.how === "fails") throw this.error;
    if (fault?.how === "stalls") await this.#closed.promise;
    if (fault?.how === "resets") {
      this.inner[Symbol.dispose]();
      throw this.error;
    }
  }
  #faultOf(call: MemoryCall): Fault | undefined {
    const nth = ++this.counts[call];
    const fault = this.faults.find((fault) => fault.call === call && fault.nth === nth);
    this.befell ||= fault !== undefined;
    return fault;
  }
}

/** Plays a script with faults, and checks everything that has to hold whatever befell. */
async function play(
  script: Script,
  faults: readonly Fault[],
  sizes: { read: number; write: number; capacity: number },
) {
  const clock = new FakeClock();
  const [inner, peer] = memoryPair({ maxReadBytes: sizes.read, maxWriteBytes: sizes.write, capacity: sizes.capacity });
  const conn = new FaultyConn(inner, faults);
  const chat = new Answering(conn, clock, script.terminators, 64);
  let over = false;
  const run = chat.run().then(() => over = true);
  // The peer says all it has to say and ends, and listens as long as there is something to hear.
  const talk = (async () => {
    await peer.send(script.says);
    await peer.closeWrite();
  })().catch(() => {});
  const heard = peer.receiveText().catch(() => "");
  for (let patience = 0; !over && patience < 20; patience++) {
    await flushMicrotasks(200);
    if (!over) clock.advance(1_000);
  }
  assert(over, "run() has not settled");
  await run;
  peer[Symbol.dispose]();
  await Promise.all([talk, heard]);

  assertEquals([chat.closes.length, chat.hooksAfterClose, chat.state], [1, 0, "closed"]);
  assertEquals([conn.closes, clock.pending, chat.bufferedAmount], [1, 0, 0]);
  assertEquals(chat.errors, []);
  assertStrictEquals(chat.closes[0], chat.closeReason);
  const complete = script.frames(conn.read_);
  const heardOut = complete.slice(0, complete.indexOf("quit") + 1 || complete.length);
  assertEquals(chat.frames, heardOut, "the frames that came before");
  const answers = heardOut.map((frame) => `${frame}!`).join("");
  assert(answers.startsWith(conn.written), `written twice or out of order: ${conn.written}`);
  if (!conn.befell) assertEquals([conn.written, chat.closeReason], [answers, undefined]);
  return { chat, conn };
}

const sizesToTry = [
  { read: 64, write: 64, capacity: 65_536 },
  { read: 1, write: 1, capacity: 2 },
  { read: 5, write: 3, capacity: 4 },
];

Deno.test("AsyncChat ends well whichever call fails, stalls or resets, in every conversation", async () => {
  let played = 0;
  for (const script of scripts) {
    for (const sizes of sizesToTry) {
      const { conn: { counts } } = await play(script, [], sizes);
      for (const call of ["read", "write", "closeWrite", "close"] as const) {
        for (let nth = 1; nth <= counts[call]; nth++) {
          for (const how of call === "close" ? ["fails"] as const : ["fails", "stalls", "resets"] as const) {
            const what = `${script.name}, ${JSON.stringify(sizes)}: ${call} ${nth} ${how}`;
            try {
              const { chat, conn } = await play(script, [{ call, nth, how }], sizes);
              assert(conn.befell, "the fault did not befall");
              if (how !== "stalls") assertStrictEquals(chat.closeReason, conn.error, "the cause");
              played++;
            } catch (error) {
              throw new Error(what, { cause: error });
            }
          }
        }
      }
    }
  }
  assert(played > 500, `${played} played`);
});

Deno.test("AsyncChat ends well whatever befalls it, together and in any order", async () => {
  const fault = fc.record({
    call: fc.constantFrom<MemoryCall>("read", "write", "closeWrite", "close"),
    nth: fc.integer({ min: 1, max: 12 }),
    how: fc.constantFrom<Fault["how"]>("fails", "stalls", "resets"),
  });
  const size = fc.integer({ min: 1, max: 20 });
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...scripts),
      fc.array(fault, { maxLength: 3 }),
      fc.record({ read: size, write: size, capacity: size }),
      async (script, faults, sizes) => {
        await play(script, faults, sizes);
      },
    ),
    { numRuns: 2_000 },
  );
});
