import { assert, assertEquals, assertStrictEquals } from "@std/assert";
import fc from "fast-check";
import type { Terminator } from "../mod.ts";
import { AsyncChat, type ChatConn, SimpleProducer } from "../mod.ts";
import { FakeClock, type MemoryCall, type MemoryConn, memoryPair } from "../testing/mod.ts";
import { bytes, flushMicrotasks, text } from "../tests/recorder.ts";

/** A fault that is injected into the nth call of a kind. */
interface Fault {
  call: MemoryCall;
  nth: number;
  how: "fails" | "stalls" | "resets";
}

/** A conversation: how frames end, what the peer sends, and which frames that is. */
interface Script {
  name: string;
  terminators: Terminator[]; // in order; the last one stays
  sent: string;
  /** Returns the frames in what was read: a naive reference implementation. */
  frames: (read: string) => string[];
}

const scripts: Script[] = [
  {
    name: "lines",
    terminators: ["\r\n"],
    sent: "one\r\ntwo\r\nquit\r\nignored\r\n",
    frames: (read) => read.split("\r\n").slice(0, -1),
  },
  {
    name: "lines to the end of the stream",
    terminators: ["\n"],
    sent: "one\ntwo\nthree\nfo",
    frames: (read) => read.split("\n").slice(0, -1),
  },
  {
    name: "several",
    terminators: [["\r\n", ";"]],
    sent: "one;two\r\nthree;quit;",
    frames: (read) => read.split(/\r\n|;/).slice(0, -1),
  },
  {
    name: "counts",
    terminators: [3, 3, 4, 4],
    sent: "onetwofourquit",
    frames: (read) =>
      [[0, 3], [3, 6], [6, 10], [10, 14]].filter(([, e]) => e! <= read.length).map(([b, e]) => read.slice(b, e)),
  },
  { name: "raw", terminators: [null], sent: "raw bytes only", frames: () => [] },
];

/** Answers each frame, with a push or a producer; closes after "quit". */
class Answering extends AsyncChat {
  readonly frames: string[] = [];
  readonly closes: (Error | undefined)[] = [];
  readonly errors: unknown[] = [];
  framesAfterClose = 0;
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
    if (this.closes.length > 0) this.framesAfterClose++;
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

/** A connection that injects faults and records what was read and written. */
class FaultyConn implements ChatConn {
  received = "";
  written = "";
  closes = 0;
  readonly counts: Record<MemoryCall, number> = { read: 0, write: 0, closeWrite: 0, close: 0 };
  faulted = false;
  readonly error = Object.assign(new Error("it failed"), { code: "EFAULT" });
  readonly #closed = Promise.withResolvers<never>();

  constructor(readonly inner: MemoryConn, readonly faults: readonly Fault[]) {
    this.#closed.promise.catch(() => {});
  }
  async read(p: Uint8Array) {
    await this.#inject("read");
    const count = await this.inner.read(p);
    if (count !== null) this.received += text(p.subarray(0, count));
    return count;
  }
  async write(p: Uint8Array) {
    const given = text(p);
    await this.#inject("write");
    const count = await this.inner.write(p);
    this.written += given.slice(0, count);
    return count;
  }
  async closeWrite() {
    await this.#inject("closeWrite");
    await this.inner.closeWrite();
  }
  close() {
    this.closes++;
    const fault = this.#faultOf("close");
    this.#closed.reject(new Error("canceled"));
    this.inner[Symbol.dispose]();
    if (fault !== undefined) throw this.error;
  }
  async #inject(call: MemoryCall) {
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
    this.faulted ||= fault !== undefined;
    return fault;
  }
}

/** Plays a script with faults and checks the invariants that hold after any of them. */
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
  // The peer sends everything and ends its side, and reads up to EOF.
  const sending = (async () => {
    await peer.send(script.sent);
    await peer.closeWrite();
  })().catch(() => {});
  const receiving = peer.receiveText().catch(() => "");
  for (let seconds = 0; !over && seconds < 20; seconds++) {
    await flushMicrotasks(200);
    if (!over) clock.advance(1_000);
  }
  assert(over, "run() has not settled");
  await run;
  peer[Symbol.dispose]();
  await Promise.all([sending, receiving]);

  assertEquals({ closeCount: chat.closes.length, framesAfterClose: chat.framesAfterClose, state: chat.state }, {
    closeCount: 1,
    framesAfterClose: 0,
    state: "closed",
  });
  assertEquals({ closes: conn.closes, timers: clock.pending, bufferedAmount: chat.bufferedAmount }, {
    closes: 1,
    timers: 0,
    bufferedAmount: 0,
  });
  assertEquals(chat.errors, []);
  assertStrictEquals(chat.closes[0], chat.closeReason);
  const complete = script.frames(conn.received);
  const expected = complete.slice(0, complete.indexOf("quit") + 1 || complete.length);
  assertEquals(chat.frames, expected, "the frames before the end");
  const answers = expected.map((frame) => `${frame}!`).join("");
  assert(answers.startsWith(conn.written), `written twice or out of order: ${conn.written}`);
  if (!conn.faulted) {
    assertEquals({ written: conn.written, closeReason: chat.closeReason }, {
      written: answers,
      closeReason: undefined,
    });
  }
  return { chat, conn };
}

const sizesToTry = [
  { read: 64, write: 64, capacity: 65_536 },
  { read: 1, write: 1, capacity: 2 },
  { read: 5, write: 3, capacity: 4 },
];

Deno.test("AsyncChat keeps its invariants whichever call fails, stalls or resets", async () => {
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
              assert(conn.faulted, "the fault was not injected");
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

Deno.test("AsyncChat keeps its invariants under random combinations of faults", async () => {
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
