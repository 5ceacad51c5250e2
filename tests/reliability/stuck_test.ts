import { assert, assertEquals, assertInstanceOf } from "@std/assert";
import { Buffer } from "node:buffer";
import { AsyncChat, type ChatTimeoutError, OutgoingOverflowError, serve } from "../../mod.ts";
import { Greeter } from "../../server.ts";
import { canRun, hasNet } from "../permissions.ts";
import { deno, until } from "../processes.ts";
import { Served } from "./served_process.ts";
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

Deno.test({
  name: "Greeter holds less than 1 MiB for a peer that pipelines 100,000 requests and reads nothing",
  ignore: !hasNet,
  async fn() {
    const stuck = Promise.withResolvers<Greeter>();
    const checkedAt = Promise.withResolvers<void>();
    class Patient extends Greeter {
      protected override async handleTimeout(error: ChatTimeoutError) {
        stuck.resolve(this);
        await checkedAt.promise;
        super.handleTimeout(error);
      }
      protected override handleClose() {
        stuck.resolve(this); // sooner than it should
      }
    }
    await using server = serve(local, (conn) => new Patient(conn, { writeTimeoutMs: 500 }));
    const { port } = server.addr as Deno.NetAddr;
    const { conn, sending } = await pipeline(port);
    const greeter = await stuck.promise;
    const { bytesReceived, framesReceived, bufferedAmount } = greeter;
    assert(framesReceived < REQUESTS, "it was not stuck");
    const held = bytesReceived - framesReceived * REQUEST.length + bufferedAmount;
    assert(held > 0 && held < MIB, `${held} bytes are held`);
    assert(await isGreeted(port, "somebody-else"));
    checkedAt.resolve();
    await greeter.run();
    assertEquals([greeter.closeReason?.name, await sending], ["ChatTimeoutError", false]);
    conn.close();
  },
});

Deno.test({
  name: "Greeter's process holds less than 1 MiB for each of 4 peers that pipeline 100,000 requests and read nothing",
  ignore: !hasNet || !canRun(deno),
  async fn() {
    await using served = await Served.start({ kind: "greeter" });
    for (let i = 0; i < 100; i++) assert(await isGreeted(served.port, "warm-up"));
    const before = await served.figures(true);
    const peers = await Promise.all(Array.from({ length: 4 }, () => pipeline(served.port)));
    let after = await served.figures(true);
    let looks = 0; // in a row that have found nothing more received
    await until("the greeter reads no more", async () => {
      const last = after.stats.bytesReceived;
      after = await served.figures(true);
      looks = after.stats.bytesReceived === last && last > before.stats.bytesReceived ? looks + 1 : 0;
      return looks === 10;
    });
    assertEquals(after.stats.open, 4);
    const each = (after.heldBytes - before.heldBytes) / peers.length;
    assert(each < MIB, `${each} bytes each`);
    assert(await isGreeted(served.port, "somebody-else"));
    for (const { conn } of peers) conn.close();
    for (const { sending } of peers) assertEquals(await sending, false);
  },
});

/** Says one byte when it is there, hears nothing but the end, and is pushed to. */
class Listener extends AsyncChat {
  ended: Error | undefined;
  protected override handleConnect() {
    this.setTerminator("\n");
    this.push("+");
  }
  protected override foundTerminator() {}
  protected override handleClose(reason?: Error) {
    this.ended = reason;
  }
}

Deno.test({
  name: "AsyncChat ends a stuck reader with an OutgoingOverflowError; the 99 others of the broadcast get every byte",
  ignore: !hasNet,
  async fn() {
    const maxBufferedBytes = MIB;
    const chats: Listener[] = [];
    await using server = serve(local, (conn) => {
      const chat = new Listener(conn, { maxBufferedBytes });
      chats.push(chat);
      return chat;
    });
    const { port } = server.addr as Deno.NetAddr;
    const join = async () => {
      const conn = await connect(port);
      await conn.read(new Uint8Array(1));
      return conn;
    };
    const stuck = await join(); // the first of the chats
    const readers = await Promise.all(Array.from({ length: 99 }, join));

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
    assertEquals(chats[0]!.state, "closed");
    await chats[0]!.run();
    const reason = chats[0]!.ended;
    assertInstanceOf(reason, OutgoingOverflowError);
    assertEquals(reason.limit, maxBufferedBytes);
    assert(reason.buffered <= maxBufferedBytes + random.length, `${reason.buffered} bytes had waited`);
    assertEquals(chats.slice(1).map(({ bytesSent }) => bytesSent), Array(99).fill(1 + pieces * random.length));
    stuck.close();
    for (const reader of readers) reader.close();
    await Promise.all(chats.map((chat) => chat.run()));
    await server.shutdown();
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
