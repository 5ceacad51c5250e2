import { assert, assertEquals, assertInstanceOf } from "@std/assert";
import { Buffer } from "node:buffer";
import { AsyncChat, OutgoingOverflowError, serve } from "../mod.ts";
import { Greeter } from "../server.ts";
import { canRun, deno, Served, until } from "./processes.ts";
import { connect, fromLatin1, isGreeted, send } from "./wire.ts";

const MIB = 1_048_576;
const local = { hostname: "127.0.0.1", port: 0 };

/** 100,000 requests, which is more than the kernel takes: 11 MB. */
const REQUESTS = 100_000;
const REQUEST = `GET /${"x".repeat(70)} HTTP/1.1\r\nHost: localhost\r\n\r\n`;

/** Sends all those requests, as far as the server takes them, and reads nothing. */
async function pipeline(port: number): Promise<{ conn: Deno.Conn; sending: Promise<boolean> }> {
  const conn = await connect(port);
  return { conn, sending: send(conn, REQUEST.repeat(REQUESTS)) };
}

/** Waits until what `count` gives no longer grows. */
async function settled(what: string, count: () => number | Promise<number>): Promise<void> {
  let last = -1;
  let still = 0;
  await until(what, async () => {
    const now = await count();
    still = now === last && now > 0 ? still + 1 : 0;
    last = now;
    return still === 10;
  });
}

Deno.test({
  name: "Greeter holds less than 1 MiB for a peer that pipelines 100,000 requests and reads nothing",
  ignore: !await canRun(),
  async fn() {
    const greeters: Greeter[] = [];
    await using server = serve(local, (conn) => {
      const greeter = new Greeter(conn);
      greeters.push(greeter);
      return greeter;
    });
    const { port } = server.addr as Deno.NetAddr;
    const { conn, sending } = await pipeline(port);
    await settled("the greeter reads no more", () => greeters[0]?.bytesReceived ?? 0);
    const { bytesReceived, framesReceived, bufferedAmount } = greeters[0]!;
    assert(framesReceived < REQUESTS, "it was not stuck");
    const held = bytesReceived - framesReceived * REQUEST.length + bufferedAmount;
    assert(held > 0 && held < MIB, `${held} bytes are held`);
    assert(await isGreeted(port, "somebody-else"));
    conn.close();
    assertEquals(await sending, false);
    await until("it is gone", () => server.connections === 0);
  },
});

Deno.test({
  name: "Greeter's process holds less than 1 MiB for each of 4 peers that pipeline 100,000 requests and read nothing",
  ignore: !await canRun(deno),
  async fn() {
    await using served = await Served.start({ kind: "greeter" });
    for (let i = 0; i < 100; i++) assert(await isGreeted(served.port, "warm-up"));
    const before = await served.figures(true);
    const peers = await Promise.all(Array.from({ length: 4 }, () => pipeline(served.port)));
    await settled("the greeter reads no more", async () => (await served.figures(true)).stats.bytesReceived);
    const after = await served.figures(true);
    assertEquals(after.stats.open, 4);
    const each = (after.heldBytes - before.heldBytes) / peers.length;
    assert(each < MIB, `${each} bytes each`);
    assert(await isGreeted(served.port, "somebody-else"));
    for (const { conn } of peers) conn.close();
    for (const { sending } of peers) assertEquals(await sending, false);
    await until("all are gone", async () => (await served.figures()).stats.open === 0);
  },
});

/** Hears nothing but the end, and is pushed to. */
class Listener extends AsyncChat {
  ended: Error | undefined;
  protected override handleConnect() {
    this.setTerminator("\n");
  }
  protected override foundTerminator() {}
  protected override handleClose(reason?: Error) {
    this.ended = reason;
  }
}

Deno.test({
  name: "AsyncChat ends a stuck reader with an OutgoingOverflowError; the 99 others of the broadcast get every byte",
  ignore: !await canRun(),
  async fn() {
    const maxBufferedBytes = MIB;
    const chats: Listener[] = [];
    await using server = serve(local, (conn) => {
      const chat = new Listener(conn, { maxBufferedBytes });
      chats.push(chat);
      return chat;
    });
    const { port } = server.addr as Deno.NetAddr;
    const stuck = await connect(port);
    await until("the stuck reader is the first", () => chats.length === 1);
    const readers = await Promise.all(Array.from({ length: 99 }, () => connect(port)));
    await until("all are there", () => chats.length === 100);

    // One piece after the other, when the 99 have got the last one: more than the kernel and the limit hold for the stuck one.
    const random = new Uint8Array(65_536).map((_, i) => i * i >>> 3);
    const hear = new Uint8Array(65_536);
    let pieces = 0;
    for (; chats[0]!.state === "open" && pieces < 1_000; pieces++) {
      const piece = random.slice();
      fromLatin1(String(pieces).padStart(6)).forEach((byte, i) => piece[i] = byte);
      for (const chat of chats) if (chat.state === "open") chat.push(piece);
      for (const reader of readers) {
        assert(await readExactly(reader, hear), "a reader was let go");
        assert(Buffer.from(hear.buffer).equals(piece), `piece ${pieces} has arrived as another`);
      }
    }
    await until("the stuck one has ended", () => server.connections === 99);
    const reason = chats[0]!.ended;
    assertInstanceOf(reason, OutgoingOverflowError);
    assertEquals(reason.limit, maxBufferedBytes);
    assert(reason.buffered <= maxBufferedBytes + random.length, `${reason.buffered} bytes had waited`);
    assertEquals(chats.slice(1).map(({ bytesSent }) => bytesSent), Array(99).fill(pieces * random.length));
    stuck.close();
    for (const reader of readers) reader.close();
    await until("all are gone", () => server.connections === 0);
    assertEquals(server.stats.closes, { OutgoingOverflowError: 1, done: 99 });
  },
});

async function readExactly(conn: Deno.Conn, into: Uint8Array): Promise<boolean> {
  for (let at = 0; at < into.length;) {
    const count = await conn.read(into.subarray(at));
    if (count === null) return false;
    at += count;
  }
  return true;
}
