// Counts at their edges, 0 and above the limit; and that the caller owns what a chat returns.

import { assertEquals, assertInstanceOf } from "@std/assert";
import { FrameTooLongError, type Terminator } from "../mod.ts";
import { everyCut, memoryPair, scriptedConn } from "../testing/mod.ts";
import { bytes, flushMicrotasks, Recorder, text } from "../tests/recorder.ts";

/** Runs a chat over each cut of `sent`, set up by `prepare`, and checks its events. */
async function checkEveryCut(sent: string, prepare: (chat: Recorder) => void, events: string[]): Promise<Recorder[]> {
  const chats: Recorder[] = [];
  for (const pieces of everyCut(bytes(sent))) {
    const { conn, written } = scriptedConn(pieces);
    const chat = new Recorder(conn, { maxFrameBytes: 5 });
    prepare(chat);
    await chat.run();
    await written;
    assertEquals(
      { events: chat.events, errors: chat.errors },
      { events: ["connect", ...events, "close"], errors: [] },
      `cut as ${JSON.stringify(pieces.map(text))}`,
    );
    chats.push(chat);
  }
  return chats;
}

/** Sets these terminators, one in each frame. */
function inFrames(chat: Recorder, terminators: Terminator[]): void {
  const rest = [...terminators];
  chat.onFrame = () => {
    if (rest.length > 0) chat.setTerminator(rest.shift()!);
  };
}

// -------------------------------------------------------------------------------------------------------- a count of 0

Deno.test("AsyncChat.setTerminator(0) in handleConnect completes a frame before the first read", async () => {
  const [conn, peer] = memoryPair();
  const chat = new Recorder(conn);
  chat.onConnect = () => chat.setTerminator(0);
  inFrames(chat, ["\r\n"]);
  const over = chat.run();
  await flushMicrotasks();
  assertEquals({ events: chat.events, received: chat.bytesReceived }, { events: ["connect", "frame "], received: 0 });
  await peer.send("a\r\n");
  peer.close();
  await over;
  assertEquals(chat.events, ["connect", "frame ", "frame a", "eof", "close"]);
});

Deno.test("AsyncChat.setTerminator(0) before run() completes an empty frame after handleConnect", async () => {
  await checkEveryCut("a\r\n", (chat) => {
    chat.setTerminator(0);
    inFrames(chat, ["\r\n"]);
  }, ["frame ", "frame a", "eof"]);
});

Deno.test("AsyncChat.setTerminator(0) in foundTerminator completes a frame of length 0, at every cut", async () => {
  await checkEveryCut("0\r\n2\r\nab0\r\n", (chat) => {
    let inBody = false;
    chat.onFrame = (frame) => {
      inBody = !inBody;
      chat.setTerminator(inBody ? Number(frame) : "\r\n");
    };
  }, ["frame 0", "frame ", "frame 2", "frame ab", "frame 0", "frame ", "eof"]);
});

Deno.test("AsyncChat.setTerminator(0) n times in a row completes n frames before a line or raw data", async () => {
  await checkEveryCut("a\r\nb\r\nc", (chat) => inFrames(chat, [0, 0, 0, "\r\n"]), [
    ...["frame a", "frame ", "frame ", "frame ", "frame b", "eof c"],
  ]);
  await checkEveryCut("a\r\nb\r\n", (chat) => inFrames(chat, [0, 0]), ["frame a", "frame ", "frame ", "eof b\r\n"]);
});

Deno.test("AsyncChat.setTerminator(0) at EOF completes a frame before handleEof", async () => {
  await checkEveryCut("0\r\n", (chat) => inFrames(chat, [0, 0]), ["frame 0", "frame ", "frame ", "eof"]);
  await checkEveryCut("", (chat) => chat.setTerminator(0), ["frame ", "eof"]);
});

Deno.test("AsyncChat.setTerminator(0) in frameTooLong applies after the last discarded byte", async () => {
  for (const rest of ["", "ok\r\n"]) {
    await checkEveryCut(`123456\r\n${rest}`, (chat) => {
      chat.setTerminator("\r\n", { maxFrameBytes: 5, onTooLong: "discard" });
      chat.onTooLong = () => chat.setTerminator(0);
      inFrames(chat, ["\r\n"]);
    }, ["too long 12345", "frame ", ...(rest === "" ? [] : ["frame ok"]), "eof"]);
  }
});

Deno.test("AsyncChat.setTerminator(0) in frameTooLong completes its frame without more bytes", async () => {
  const [conn, peer] = memoryPair();
  const chat = new Recorder(conn);
  chat.setTerminator("\r\n", { maxFrameBytes: 5, onTooLong: "discard" });
  chat.onTooLong = () => chat.setTerminator(0);
  chat.onFrame = () => chat.push("answer");
  const over = chat.run();
  await peer.send("123456\r\n");
  await flushMicrotasks();
  assertEquals(chat.events, ["connect", "too long 12345", "frame "]);
  assertEquals(await peer.receiveText(6), "answer");
  peer.close();
  await over;
});

Deno.test("AsyncChat.setTerminator(0) from outside completes its frame while a read is pending", async () => {
  const [conn, peer] = memoryPair();
  const chat = new Recorder(conn);
  const over = chat.run();
  await flushMicrotasks();
  chat.setTerminator(0);
  assertEquals(chat.events, ["connect"], "not within the call");
  await flushMicrotasks();
  assertEquals(chat.events, ["connect", "frame "]);
  peer.close();
  await over;
});

Deno.test("AsyncChat.setTerminator(0) in every foundTerminator calls no other hook until close()", async () => {
  const { conn, written } = scriptedConn(["a\r\n"]);
  const chat = new Recorder(conn);
  chat.onFrame = () => chat.framesReceived < 1000 ? chat.setTerminator(0) : chat.close();
  await chat.run();
  await written;
  assertEquals({ frames: chat.framesReceived, last: chat.events.at(-1) }, { frames: 1000, last: "close" });
});

Deno.test("AsyncChat.discardBuffers() after setTerminator(0) keeps the empty frame", async () => {
  await checkEveryCut("a\r\n", (chat) => {
    let frames = 0;
    chat.onFrame = () => {
      if (++frames > 1) return;
      chat.setTerminator(0);
      chat.discardBuffers();
    };
  }, ["frame a", "frame ", "eof"]);
});

Deno.test("AsyncChat.matchedTerminator is null after a count of 0, and getTerminator() 0 before it", async () => {
  const { conn, written } = scriptedConn(["a\r\n"]);
  const chat = new Recorder(conn);
  const seen: unknown[] = [];
  chat.onFrame = () => {
    const { matchedTerminator } = chat;
    if (chat.framesReceived === 1) chat.setTerminator(0);
    seen.push({ matched: matchedTerminator && text(matchedTerminator), terminator: chat.getTerminator() });
  };
  await chat.run();
  await written;
  assertEquals(seen, [{ matched: "\r\n", terminator: 0 }, { matched: null, terminator: null }]);
});

// ---------------------------------------------------------------------------------------------- a count above the limit

Deno.test('AsyncChat.setTerminator() of a count above the limit closes the chat with policy "close"', async () => {
  const chats = await checkEveryCut("6\r\n123456\r\n", (chat) => {
    chat.onFrame = (frame) => chat.setTerminator(Number(frame));
  }, ["frame 6", "too long "]);
  for (const { closeReason } of chats) {
    assertInstanceOf(closeReason, FrameTooLongError);
    const { limit, received, message } = closeReason;
    assertEquals({ limit, received, message }, {
      limit: 5,
      received: 6,
      message: "Frame too long: got 6 bytes, limit is 5",
    });
  }
});

Deno.test("AsyncChat calls frameTooLong for a count above the limit before its bytes come", async () => {
  const [conn, peer] = memoryPair();
  const chat = new Recorder(conn);
  const errors: FrameTooLongError[] = [];
  chat.onFrame = (frame) => chat.setTerminator(Number(frame), { maxFrameBytes: 5, onTooLong: "discard" });
  chat.onTooLong = (error) => {
    errors.push(error);
    chat.setTerminator("\r\n");
  };
  const over = chat.run();
  await peer.send("900719925474099\r\n");
  await flushMicrotasks();
  assertEquals(chat.events, ["connect", "frame 900719925474099", "too long "]);
  const [{ limit, received }] = errors as [FrameTooLongError];
  assertEquals({ limit, received }, { limit: 5, received: 900_719_925_474_099 });
  await peer.send("12\r\n34\r\n");
  await flushMicrotasks();
  assertEquals(chat.events.length, 3, "these bytes are skipped");
  assertEquals(text(chat.getTerminator() as Uint8Array), "\r\n", "what follows the skipped bytes");
  peer.close();
  await over;
  assertEquals(chat.events.slice(3), ["eof", "close"]);
});

Deno.test('AsyncChat.setTerminator() of a count above the limit skips bytes with policy "discard"', async () => {
  const discard = (chat: Recorder, next: Terminator | undefined) => {
    let frames = 0;
    chat.onFrame = (frame) => {
      if (++frames === 1) chat.setTerminator(Number(frame), { maxFrameBytes: 2, onTooLong: "discard" });
    };
    chat.onTooLong = () => next === undefined ? undefined : chat.setTerminator(next);
  };
  const sent = "3\r\n\r\n3ab\r\nc";
  const followed: [next: Terminator | undefined, events: string[]][] = [
    [undefined, ["eof ab\r\nc"]], // raw
    [null, ["eof ab\r\nc"]],
    ["\r\n", ["frame ab", "eof c"]],
    [["\n", "b\r"], ["frame a", "frame ", "eof c"]],
    [1, ["frame a", "eof b\r\nc"]],
    [0, ["frame ", "eof ab\r\nc"]],
  ];
  for (const [next, events] of followed) {
    await checkEveryCut(sent, (chat) => discard(chat, next), ["frame 3", "too long ", ...events]);
  }
});

Deno.test("AsyncChat.setTerminator() of a count exactly at the limit completes a frame", async () => {
  await checkEveryCut("5\r\n12345a\r\n", (chat) => {
    chat.onFrame = (frame) => chat.setTerminator(frame === "5" ? 5 : "\r\n");
  }, ["frame 5", "frame 12345", "frame a", "eof"]);
});

Deno.test("AsyncChat rejects a count above the limit set before run() after handleConnect", async () => {
  await checkEveryCut("1234567\r\n", (chat) => {
    chat.setTerminator(6, { maxFrameBytes: 5, onTooLong: "discard" });
    chat.onTooLong = () => chat.setTerminator("\r\n");
  }, ["too long ", "frame 7", "eof"]);
});

Deno.test("AsyncChat does not call handleError for a count above the limit: the peer chose it", async () => {
  const { conn, written } = scriptedConn(["99999\r\n"]);
  const chat = new Recorder(conn);
  chat.onFrame = (frame) => chat.setTerminator(Number(frame));
  await chat.run();
  await written;
  assertEquals({ errors: chat.errors, events: chat.events }, {
    errors: [],
    events: ["connect", "frame 99999", "too long ", "close"],
  });
});

// ---------------------------------------------------------------------------------------- what the caller owns

/** Collects its frames as bytes. */
class FrameBytes extends Recorder {
  readonly frames: Uint8Array[] = [];
  protected override foundTerminator() {
    this.frames.push(this.takeData());
  }
}

Deno.test("AsyncChat.takeData() of two chats shares no memory: transferring one's frames is safe", async () => {
  const sizes = [0, 1, 100, 256, 257, 2000, 5, 0];
  const chats = ["A", "B"].map((letter) => {
    const { conn, written } = scriptedConn(sizes.map((size) => `${letter.repeat(size)}\r\n`));
    const chat = new FrameBytes(conn);
    return { chat, done: Promise.all([chat.run(), written]) };
  });
  await Promise.all(chats.map(({ done }) => done));
  const [one, other] = chats.map(({ chat }) => chat.frames) as [Uint8Array[], Uint8Array[]];
  assertEquals(one.map(({ length }) => length), sizes);
  for (const [frames, foreign] of [[one, "B"], [other, "A"]] as const) {
    for (const { buffer } of frames) assertEquals(new Uint8Array(buffer).includes(foreign.charCodeAt(0)), false);
  }
  for (const buffer of new Set(one.map(({ buffer }) => buffer))) {
    structuredClone(null, { transfer: [buffer as ArrayBuffer] });
  }
  assertEquals(one.map(({ length }) => length), sizes.map(() => 0));
  assertEquals(other.map(text), sizes.map((size) => "B".repeat(size)));
});

Deno.test("AsyncChat dispatches further frames after foundTerminator transferred one", async () => {
  for (const pieces of everyCut(bytes("ab\r\n\r\nc\r\n"))) {
    const transferred: string[] = [];
    class Transferring extends Recorder {
      protected override foundTerminator() {
        const frame = this.takeData();
        transferred.push(text(structuredClone(frame, { transfer: [frame.buffer as ArrayBuffer] })));
      }
    }
    const { conn, written } = scriptedConn(pieces);
    const chat = new Transferring(conn);
    await chat.run();
    await written;
    assertEquals({ transferred, errors: chat.errors }, { transferred: ["ab", "", "c"], errors: [] });
  }
});

Deno.test("AsyncChat's getters return copies: writing into them does not affect the framing", async () => {
  for (const terminator of ["\r\n", ["\r\n", "\n"], bytes("\r\n")]) {
    const { conn, written } = scriptedConn(["a\r\nb\r\n"]);
    const chat = new Recorder(conn);
    chat.setTerminator(terminator);
    const matched: string[] = [];
    chat.onFrame = () => {
      const { matchedTerminator } = chat;
      matched.push(text(matchedTerminator!));
      matchedTerminator!.fill(0x62);
      matched.push(text(chat.matchedTerminator!));
      const copies = chat.getTerminator() as Uint8Array | Uint8Array[];
      for (const copy of [copies].flat()) copy.fill(0x62);
      if (Array.isArray(copies)) copies.length = 0;
    };
    await chat.run();
    await written;
    assertEquals({ events: chat.events, matched }, {
      events: ["connect", "frame a", "frame b", "eof", "close"],
      matched: ["\r\n", "\r\n", "\r\n", "\r\n"],
    });
    assertEquals(
      [chat.getTerminator()].flat(),
      [terminator].flat().map((each) => typeof each === "string" ? bytes(each) : each),
    );
  }
});
