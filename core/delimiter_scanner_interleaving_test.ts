// All chats share one list of scan results. These tests interleave several of them: each has to get its own frames.

import { assertEquals } from "@std/assert";
import { AsyncChat, type ChatConn, ChatReader, type Terminator } from "../mod.ts";
import { seededRandom } from "../testing/mod.ts";
import { bytes, flushMicrotasks, text } from "../tests/recorder.ts";
import { DelimiterScanner } from "./delimiter_scanner.ts";
import { FrameSplitter } from "./frame_splitter.ts";
import { ReceiveBuffer } from "./receive_buffer.ts";

/** Lengths around those at which a scanner may change its method: short loops, 16-byte lanes, windows. */
const LENGTHS = [0, 1, 7, 15, 16, 17, 40, 63, 64, 65, 100, 200, 255, 256, 257, 700, 5_000, 8_192, 9_000];

/** A frame of `length` bytes that shows whose it is. */
function frameOf(owner: string, index: number, length: number): string {
  return `${owner}${index}`.padEnd(length, owner).slice(0, length);
}

/** Frames of every length, from `shift` on, so that two owners have their terminators in different places. */
function framesOf(owner: string, shift: number, count = 2 * LENGTHS.length): string[] {
  return Array.from({ length: count }, (_, i) => frameOf(owner, i, LENGTHS[(i + shift) % LENGTHS.length]!));
}

/** A connection whose peer has ended: all there is to read is in `unread`. */
function endedConn(): ChatConn {
  return { read: () => Promise.resolve(null), write: (p) => Promise.resolve(p.length), close() {} };
}

/** Collects its frames; what a test wants done in `foundTerminator`, it passes. */
class Collector extends AsyncChat {
  readonly frames: string[] = [];
  readonly errors: unknown[] = [];
  readonly #onFrame: (index: number) => void | Promise<void>;

  constructor(
    sent: string,
    terminator: Terminator,
    onFrame: (index: number) => void | Promise<void>,
    conn = endedConn(),
  ) {
    super(conn, { unread: bytes(sent) });
    this.#onFrame = onFrame;
    this.setTerminator(terminator);
  }
  protected override foundTerminator() {
    return this.#onFrame(this.frames.push(this.takeText()) - 1);
  }
  protected override handleError(error: unknown) {
    this.errors.push(error);
    this.close(error as Error);
  }
}

const TERMINATORS = ["\n", "\r\n", "\r\n.\r\n"];

Deno.test("DelimiterScanner.find() ignores what another scanner found for the same delimiter", () => {
  const newline = bytes("\n");
  const scanners = ["a", "b"].map((owner, i) => ({ scanner: new DelimiterScanner(), sent: framesOf(owner, i) }));
  const found = scanners.map(() => [] as number[]);
  const inputs = scanners.map(({ sent }) => bytes(sent.map((frame) => `${frame}\n`).join("")));
  const positions = [0, 0];
  for (let left = 2; left > 0;) {
    left = 0;
    scanners.forEach(({ scanner }, i) => {
      const at = scanner.find(inputs[i]!, positions[i]!, newline);
      if (at < 0) return;
      left++;
      found[i]!.push(at);
      positions[i] = at + 1;
    });
  }
  const expected = inputs.map((input) => [...input.keys()].filter((at) => input[at] === 10));
  assertEquals(found, expected);
});

Deno.test("FrameSplitter.next() gives two splitters their own frames when they are pulled in turn", () => {
  for (const terminator of TERMINATORS) {
    const sent = { a: framesOf("a", 0), b: framesOf("b", 3) };
    const pulled = Object.entries(sent).map(([owner, frames]) => {
      const buffer = new ReceiveBuffer(1024, bytes(frames.map((frame) => frame + terminator).join("")));
      const splitter = new FrameSplitter(buffer, 65_536);
      splitter.setTerminator(terminator, 65_536, "close");
      return { owner, buffer, splitter, frames: [] as string[], frame: "", ended: false };
    });
    while (pulled.some(({ ended }) => !ended)) {
      for (const each of pulled) {
        const step = each.splitter.next();
        if (step === "data") {
          const { pieceStart, pieceEnd } = each.splitter;
          each.frame += text(each.buffer.filled.subarray(pieceStart, pieceEnd));
        } else if (step === "frame") {
          each.frames.push(each.frame);
          each.frame = "";
        } else {
          each.ended = true;
        }
      }
    }
    assertEquals(Object.fromEntries(pulled.map(({ owner, frames }) => [owner, frames])), sent);
  }
});

Deno.test("ChatReader.read() gives two connections their own frames when they are read in turn", async () => {
  for (const terminator of TERMINATORS) {
    const sent = { a: framesOf("a", 0), b: framesOf("b", 5) };
    const readerOf = (frames: string[]) =>
      new ChatReader(endedConn(), { unread: bytes(frames.map((frame) => frame + terminator).join("")) });
    const [a, b] = [readerOf(sent.a), readerOf(sent.b)];
    const received = { a: [] as string[], b: [] as string[] };
    for (let i = 0; i < sent.a.length; i++) {
      received.a.push(await a.readText(terminator) ?? "end");
      received.b.push(await b.readText(terminator) ?? "end");
    }
    assertEquals(received, sent);
  }
});

Deno.test("AsyncChat keeps two chats apart whose hooks wait in turn within their buffers", async () => {
  for (const terminator of TERMINATORS) {
    const sent = { a: framesOf("a", 0), b: framesOf("b", 7) };
    const order: string[] = [];
    const chatOf = (owner: "a" | "b") =>
      new Collector(sent[owner].map((frame) => frame + terminator).join(""), terminator, async () => {
        order.push(owner);
        await flushMicrotasks(3);
      });
    const [a, b] = [chatOf("a"), chatOf("b")];
    await Promise.all([a.run(), b.run()]);
    assertEquals({ a: a.frames, b: b.frames }, sent);
    assertEquals(order.join("").slice(0, 8), "abababab", "they really take turns");
  }
});

Deno.test("AsyncChat keeps its frames when a hook runs another chat to its end, three levels deep", async () => {
  for (const terminator of TERMINATORS) {
    const received: Record<string, string[][]> = { outer: [], middle: [], inner: [] };
    const levels = ["outer", "middle", "inner"] as const;
    const sent = levels.map((level, i) => framesOf(level[0]!, 2 * i, 6));
    const runLevel = async (level: number): Promise<void> => {
      const chat = new Collector(
        sent[level]!.map((frame) => frame + terminator).join(""),
        terminator,
        () => level < 2 ? runLevel(level + 1) : undefined,
      );
      await chat.run();
      received[levels[level]!]!.push(chat.frames);
    };
    await runLevel(0);
    assertEquals(received, {
      outer: [sent[0]!],
      middle: Array.from({ length: 6 }, () => sent[1]!),
      inner: Array.from({ length: 36 }, () => sent[2]!),
    });
  }
});

Deno.test("AsyncChat keeps its frames when another chat runs while its output is full", async () => {
  const sent = framesOf("a", 0);
  const other = framesOf("b", 9);
  let startOther = async () => {};
  const slow: ChatConn = { // each write takes as long as the whole of the other chat
    read: () => Promise.resolve(null),
    async write(p) {
      await startOther();
      return p.length;
    },
    close() {},
  };
  const others: string[][] = [];
  startOther = async () => {
    const chat = new Collector(other.map((frame) => `${frame}\n`).join(""), "\n", () => {});
    await chat.run();
    others.push(chat.frames);
  };
  const chat: Collector = new Collector(
    sent.map((frame) => `${frame}\n`).join(""),
    "\n",
    () => chat.push(new Uint8Array(100_000)), // above highWaterMark: no frame is dispatched until it is written
    slow,
  );
  await chat.run();
  assertEquals({ frames: chat.frames, errors: chat.errors }, { frames: sent, errors: [] });
  assertEquals(others, sent.map(() => other));
});

Deno.test("AsyncChat keeps many chats apart whose hooks wait at random", async () => {
  const seed = Math.floor(Math.random() * 2 ** 31);
  const random = seededRandom(seed);
  const draw = (below: number) => Math.floor(random() * below);
  const KINDS: Terminator[] = ["\n", "\r\n", ["\r\n", "\n"], "\n"];
  for (let round = 0; round < 20; round++) {
    const chats = Array.from({ length: 6 }, (_, i) => {
      const owner = String.fromCharCode(0x61 + i);
      const terminator = KINDS[draw(KINDS.length)]!;
      const end = typeof terminator === "string" ? terminator : "\r\n";
      const sent = Array.from({ length: 1 + draw(30) }, (_, n) => frameOf(owner, n, draw(400)));
      const chat = new Collector(
        sent.map((frame) => frame + end).join(""),
        terminator,
        () => random() < 0.5 ? flushMicrotasks(draw(5)) : undefined,
      );
      return { owner, chat, sent };
    });
    await Promise.all(chats.map(({ chat }) => chat.run()));
    assertEquals(
      chats.map(({ owner, chat }) => ({ owner, frames: chat.frames })),
      chats.map(({ owner, sent }) => ({ owner, frames: sent })),
      `seed ${seed}, round ${round}`,
    );
  }
});
