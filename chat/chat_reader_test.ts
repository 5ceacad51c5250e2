import { assert, assertEquals, assertInstanceOf, assertRejects, assertThrows } from "@std/assert";
import { ChatReader, frames, FrameTooLongError, IncompleteFrameError, type Terminator } from "../mod.ts";
import { everyCut, memoryPair, scriptedConn } from "../testing/mod.ts";
import { bytes, flushMicrotasks, text } from "../tests/recorder.ts";

Deno.test("ChatReader.read() gives the same frames however they are cut, with a terminator of its own for each", async () => {
  const script: [Terminator, string | null][] = [["\r\n", "3"], [3, "a\rb"], [["\r\n", "\n"], ""], ["\n", "x\r"], [
    "\n",
    null,
  ]];
  for (const pieces of everyCut(bytes("3\r\na\rb\nx\r\n"))) {
    const reader = new ChatReader(scriptedConn(pieces).conn);
    for (const [terminator, wanted] of script) assertEquals(await reader.readText(terminator), wanted);
    assertEquals(await reader.read("\n"), null, "the end stays the end");
  }
});

Deno.test("ChatReader.read() raw gives what has come, and a count after it goes on behind it", async () => {
  for (const raw of [null, 0, "", new Uint8Array(0)]) {
    const reader = new ChatReader(scriptedConn(["abc", "defg"]).conn);
    assertEquals([await reader.readText(raw), await reader.readText(2), await reader.readText(raw)], [
      "abc",
      "de",
      "fg",
    ]);
    assertEquals(await reader.read(raw), null);
  }
});

Deno.test("ChatReader.read() gives bytes that the caller owns", async () => {
  const reader = new ChatReader(scriptedConn(["ab\ncd\n"]).conn);
  const first = (await reader.read("\n"))!;
  first.fill(0x2e);
  assertEquals([await reader.readText("\n"), text(first)], ["cd", ".."]);
});

Deno.test("ChatReader.read() refuses a frame beyond the limit, and takes one that is as long as it may be", async () => {
  for (const pieces of everyCut(bytes("abcd\r\nabcde\r\n"))) {
    const reader = new ChatReader(scriptedConn(pieces).conn, { maxFrameBytes: 4 });
    assertEquals(await reader.readText("\r\n"), "abcd");
    const error = await assertRejects(() => reader.read("\r\n"), FrameTooLongError);
    assertEquals(error.limit, 4);
  }
});

Deno.test("ChatReader.read() tells what had come of a frame that the peer did not end", async () => {
  for (const pieces of everyCut(bytes("a\r\nbc\r"))) {
    const reader = new ChatReader(scriptedConn(pieces).conn);
    assertEquals(await reader.readText("\r\n"), "a");
    const error = await assertRejects(() => reader.read("\r\n"), IncompleteFrameError);
    assertEquals(text(error.partial), "bc\r");
    assertEquals(await reader.read("\r\n"), null);
  }
});

Deno.test("ChatReader.read() passes the network's error on, after the frames before it", async () => {
  const [conn, peer] = memoryPair();
  const reader = new ChatReader(conn);
  await peer.send("a\nb");
  peer.reset();
  assertEquals(await reader.readText("\n"), "a");
  const error = await assertRejects(() => reader.read("\n"), Error);
  assertEquals(error.name, "ConnectionReset");
  conn.close();
});

Deno.test("ChatReader refuses bad arguments, and a second read while one is pending", async () => {
  const [conn, peer] = memoryPair();
  for (const limit of [0, -1, 0.5, NaN]) {
    assertThrows(() => new ChatReader(conn, { maxFrameBytes: limit }), RangeError);
    assertThrows(() => new ChatReader(conn, { maxReadBytes: limit }), RangeError);
  }
  const reader = new ChatReader(conn, { maxFrameBytes: 10 });
  await assertRejects(() => reader.read(11), RangeError);
  await assertRejects(() => reader.read([]), TypeError);
  const first = reader.read("\n");
  await flushMicrotasks();
  await assertRejects(() => reader.read("\n"), TypeError, "another read is pending");
  await peer.send("a\n");
  assertEquals(text((await first)!), "a");
  conn.close();
  peer.close();
});

Deno.test("ChatReader begins with bytes that were read before", async () => {
  const reader = new ChatReader(scriptedConn(["c\n"]).conn, { unread: bytes("a\nb") });
  assertEquals([await reader.readText("\n"), await reader.readText("\n")], ["a", "bc"]);
});

Deno.test("ChatReader.matchedTerminator tells which of several ended the frame", async () => {
  const reader = new ChatReader(scriptedConn(["a\r\nb\nc"]).conn);
  const matched: (string | null)[] = [];
  for (const terminator of [["\r\n", "\n"], ["\r\n", "\n"], 1]) {
    await reader.read(terminator);
    matched.push(reader.matchedTerminator && text(reader.matchedTerminator));
  }
  assertEquals(matched, ["\r\n", "\n", null]);
});

Deno.test("frames() gives each frame up to the end, and throws what read() throws", async () => {
  for (const pieces of everyCut(bytes("a\n\nbc\nd"))) {
    const told: string[] = [];
    const error = await assertRejects(async () => {
      for await (const frame of frames(scriptedConn(pieces).conn, "\n")) told.push(text(frame));
    });
    assertEquals(told, ["a", "", "bc"]);
    assertInstanceOf(error, IncompleteFrameError);
  }
});

Deno.test("frames() leaves the connection open when the loop is left", async () => {
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
