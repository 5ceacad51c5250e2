import { assert, assertEquals, assertInstanceOf, assertRejects, assertThrows } from "@std/assert";
import { ChatReader, frames, FrameTooLongError, IncompleteFrameError, type Terminator } from "../mod.ts";
import { everyCut, memoryPair, scriptedConn } from "../testing/mod.ts";
import { bytes, flushMicrotasks, text } from "../tests/recorder.ts";

Deno.test("ChatReader.read() returns the same frames at every cut, each read with its own terminator", async () => {
  const script: [Terminator, string | null][] = [
    ["\r\n", "3"],
    [3, "a\rb"],
    [["\r\n", "\n"], ""],
    ["\n", "x\r"],
    ["\n", null],
  ];
  for (const pieces of everyCut(bytes("3\r\na\rb\nx\r\n"))) {
    const reader = new ChatReader(scriptedConn(pieces).conn);
    for (const [terminator, expected] of script) assertEquals(await reader.readText(terminator), expected);
    assertEquals(await reader.read("\n"), null, "again at EOF");
  }
});

Deno.test("ChatReader.read(null) returns what has arrived, and a count continues behind it", async () => {
  const reader = new ChatReader(scriptedConn(["abc", "defg"]).conn);
  assertEquals([await reader.readText(null), await reader.readText(2), await reader.readText(null)], [
    "abc",
    "de",
    "fg",
  ]);
  assertEquals(await reader.read(null), null);
});

Deno.test("ChatReader.read(null) returns at most maxFrameBytes and loses no byte, at every cut", async () => {
  for (const pieces of everyCut(bytes("0\n1234567890"))) {
    const reader = new ChatReader(scriptedConn(pieces).conn, { maxFrameBytes: 4 });
    assertEquals(await reader.readText("\n"), "0");
    const parts: string[] = [];
    for (let part; (part = await reader.readText(null)) !== null;) parts.push(part);
    assertEquals({ joined: parts.join(""), atMost4: parts.every(({ length }) => length >= 1 && length <= 4) }, {
      joined: "1234567890",
      atMost4: true,
    });
  }
});

Deno.test("ChatReader.read(0) returns an empty frame at once, also before the first byte", async () => {
  const [conn, peer] = memoryPair();
  const reader = new ChatReader(conn);
  const frames = [await reader.read(0), await reader.read(0), await reader.read(-0)];
  assertEquals({ frames, reads: conn.calls.read, matched: reader.matchedTerminator }, {
    frames: [new Uint8Array(0), new Uint8Array(0), new Uint8Array(0)],
    reads: 0,
    matched: null,
  });
  await peer.send("a\n");
  assertEquals([await reader.readText("\n"), await reader.readText(0)], ["a", ""]);
  peer.close();
  conn.close();
});

Deno.test("ChatReader.read(0) between other frames consumes no byte, at every cut", async () => {
  const script: [Terminator, string | null][] = [
    [0, ""],
    ["\r\n", "0"],
    [0, ""],
    ["\r\n", "2"],
    [2, "ab"],
    [0, ""],
    [0, ""],
    [["\r\n", "\n"], ""],
    ["\n", null],
  ];
  for (const pieces of everyCut(bytes("0\r\n2\r\nab\n"))) {
    const reader = new ChatReader(scriptedConn(pieces).conn);
    for (const [terminator, expected] of script) assertEquals(await reader.readText(terminator), expected);
  }
});

Deno.test("ChatReader.read(0) returns an empty frame at EOF, where other reads return null", async () => {
  for (const sent of ["", "0\n"]) {
    const reader = new ChatReader(scriptedConn(sent === "" ? [] : [sent]).conn);
    if (sent !== "") assertEquals(await reader.readText("\n"), "0");
    assertEquals(await reader.readText(0), "", "before EOF was read");
    for (const terminator of ["\n", 1, null]) assertEquals(await reader.read(terminator), null);
    assertEquals([await reader.readText(0), await reader.readText(0)], ["", ""]);
    assertEquals(await reader.read("\n"), null);
  }
});

Deno.test("ChatReader.read() rejects an empty terminator: raw is null", async () => {
  const reader = new ChatReader(scriptedConn(["abc\n"]).conn);
  for (const empty of ["", new Uint8Array(0)]) {
    const { message } = await assertRejects(() => reader.read(empty), TypeError);
    assertEquals(message, "Cannot set the terminator: expected one or more bytes, got none (raw is null)");
  }
  assertEquals(await reader.readText("\n"), "abc");
});

Deno.test("ChatReader.read() rejects a count above the limit before any of its bytes came", async () => {
  const [conn, peer] = memoryPair();
  const reader = new ChatReader(conn, { maxFrameBytes: 4 });
  await peer.send("4\nabcd5\n");
  assertEquals([await reader.readText("\n"), await reader.readText(4)], ["4", "abcd"]);
  assertEquals(await reader.readText("\n"), "5");
  const { calls: { read } } = conn;
  const error = await assertRejects(() => reader.read(5), FrameTooLongError);
  const { limit, received } = error;
  assertEquals({ limit, received, reads: conn.calls.read }, { limit: 4, received: 5, reads: read });
  assertEquals(await assertRejects(() => reader.read(1)), error);
  peer.close();
  conn.close();
});

Deno.test("ChatReader.read() rejects a count above the limit, however the bytes before it are cut", async () => {
  for (const pieces of everyCut(bytes("900\nabcdefg"))) {
    const reader = new ChatReader(scriptedConn(pieces).conn, { maxFrameBytes: 4 });
    const count = Number(await reader.readText("\n"));
    const { limit, received } = await assertRejects(() => reader.read(count), FrameTooLongError);
    assertEquals({ limit, received }, { limit: 4, received: 900 });
  }
});

Deno.test("ChatReader.read() of two readers shares no memory: transferring one's frames is safe", async () => {
  const sizes = [0, 1, 100, 256, 257, 2000, 0];
  const [one, other] = await Promise.all(["A", "B"].map(async (letter) => {
    const reader = new ChatReader(scriptedConn(sizes.map((size) => `${letter.repeat(size)}\n`)).conn);
    const read: Uint8Array[] = [];
    for (const size of sizes) {
      read.push((await reader.read(size))!, (await reader.read("\n"))!);
    }
    return read;
  })) as [Uint8Array[], Uint8Array[]];
  for (const [read, foreign] of [[one, "B"], [other, "A"]] as const) {
    for (const { buffer } of read) assertEquals(new Uint8Array(buffer).includes(foreign.charCodeAt(0)), false);
  }
  for (const buffer of new Set(one.map(({ buffer }) => buffer))) {
    structuredClone(null, { transfer: [buffer as ArrayBuffer] });
  }
  assertEquals(other.map(text), sizes.flatMap((size) => ["B".repeat(size), ""]));
});

Deno.test("ChatReader.matchedTerminator is a copy: writing into it does not affect the framing", async () => {
  for (const terminator of ["\n", ["\n", "\r\n"]]) {
    const reader = new ChatReader(scriptedConn(["a\nb\n"]).conn);
    assertEquals(await reader.readText(terminator), "a");
    reader.matchedTerminator!.fill(0x62);
    assertEquals(text(reader.matchedTerminator!), "\n");
    assertEquals(await reader.readText(terminator), "b");
  }
});

Deno.test("ChatReader.read() returns bytes that the caller owns", async () => {
  const reader = new ChatReader(scriptedConn(["ab\ncd\n"]).conn);
  const first = (await reader.read("\n"))!;
  first.fill(0x2e);
  assertEquals({ second: await reader.readText("\n"), first: text(first) }, { second: "cd", first: ".." });
});

Deno.test("ChatReader.read() rejects a frame above the limit and returns one exactly at it", async () => {
  for (const pieces of everyCut(bytes("abcd\r\nabcde\r\n"))) {
    const reader = new ChatReader(scriptedConn(pieces).conn, { maxFrameBytes: 4 });
    assertEquals(await reader.readText("\r\n"), "abcd");
    const error = await assertRejects(() => reader.read("\r\n"), FrameTooLongError);
    assertEquals(error.limit, 4);
  }
});

Deno.test("ChatReader.read() rejects an incomplete frame at EOF with the bytes that came", async () => {
  for (const pieces of everyCut(bytes("a\r\nbc\r"))) {
    const reader = new ChatReader(scriptedConn(pieces).conn);
    assertEquals(await reader.readText("\r\n"), "a");
    const error = await assertRejects(() => reader.read("\r\n"), IncompleteFrameError);
    assertEquals(text(error.partial), "bc\r");
    assertEquals(await reader.read("\r\n"), null);
  }
});

Deno.test("ChatReader.read() rejects with the network's error after the complete frames", async () => {
  const [conn, peer] = memoryPair();
  const reader = new ChatReader(conn);
  await peer.send("a\nb");
  peer.reset();
  assertEquals(await reader.readText("\n"), "a");
  const error = await assertRejects(() => reader.read("\n"), Error);
  assertEquals(error.name, "ConnectionReset");
  conn.close();
});

Deno.test("ChatReader rejects bad arguments, and a second read while one is pending", async () => {
  const [conn, peer] = memoryPair();
  for (const limit of [0, -1, 0.5, NaN]) {
    assertThrows(() => new ChatReader(conn, { maxFrameBytes: limit }), RangeError);
    assertThrows(() => new ChatReader(conn, { maxReadBytes: limit }), RangeError);
  }
  const reader = new ChatReader(conn, { maxFrameBytes: 10 });
  for (const count of [-1, 0.5, NaN, Infinity]) await assertRejects(() => reader.read(count), RangeError);
  await assertRejects(() => reader.read([]), TypeError);
  const first = reader.read("\n");
  await flushMicrotasks();
  await assertRejects(() => reader.read("\n"), TypeError, "another read is pending");
  await peer.send("a\n");
  assertEquals(text((await first)!), "a");
  conn.close();
  peer.close();
});

Deno.test("ChatReader returns the frames in its unread option first", async () => {
  const reader = new ChatReader(scriptedConn(["c\n"]).conn, { unread: bytes("a\nb") });
  assertEquals([await reader.readText("\n"), await reader.readText("\n")], ["a", "bc"]);
});

Deno.test("ChatReader.matchedTerminator is the one of several that ended the frame", async () => {
  const reader = new ChatReader(scriptedConn(["a\r\nb\nc"]).conn);
  const matched: (string | null)[] = [];
  for (const terminator of [["\r\n", "\n"], ["\r\n", "\n"], 1]) {
    await reader.read(terminator);
    matched.push(reader.matchedTerminator && text(reader.matchedTerminator));
  }
  assertEquals(matched, ["\r\n", "\n", null]);
});

Deno.test("frames() yields each frame up to EOF and throws what read() throws", async () => {
  for (const pieces of everyCut(bytes("a\n\nbc\nd"))) {
    const yielded: string[] = [];
    const error = await assertRejects(async () => {
      for await (const frame of frames(scriptedConn(pieces).conn, "\n")) yielded.push(text(frame));
    });
    assertEquals(yielded, ["a", "", "bc"]);
    assertInstanceOf(error, IncompleteFrameError);
  }
});

Deno.test("frames() leaves the connection open when the loop breaks", async () => {
  const [conn, peer] = memoryPair();
  await peer.send("a\nb\n");
  for await (const frame of frames(conn, "\n")) {
    assertEquals(text(frame), "a");
    break;
  }
  assert(await conn.write(bytes("still open")) > 0);
  conn.close();
  peer.close();
});
