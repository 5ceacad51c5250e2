import { assert, assertEquals, assertInstanceOf } from "@std/assert";
import { Buffer } from "node:buffer";
import { AsyncChat, type ChatTimeoutError, OutgoingOverflowError, serve } from "../../mod.ts";
import { Greeter } from "../../server.ts";
import { local, portOf } from "../local_server.ts";
import { canRun, hasNet } from "../permissions.ts";
import { deno, until } from "../processes.ts";
import { Served } from "./served_process.ts";
import { connect, fromLatin1, isGreeted, send } from "./wire.ts";

const MIB = 1_048_576;

/** 11 MB of requests, more than the kernel buffers. */
const REQUESTS = 100_000;
const REQUEST = `GET /${"x".repeat(70)} HTTP/1.1\r\nHost: localhost\r\n\r\n`;

/** Pipelines all requests without reading. `sending` fulfills with false if the server closes first. */
async function pipeline(port: number): Promise<{ conn: Deno.Conn; sending: Promise<boolean> }> {
  const conn = await connect(port);
  return { conn, sending: send(conn, REQUEST.repeat(REQUESTS)) };
}

Deno.test({
  name: "Greeter buffers less than 1 MiB for a peer that pipelines 100,000 requests unread",
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
        stuck.resolve(this); // too early
      }
    }
    await using server = serve(local, (conn) => new Patient(conn, { writeTimeoutMs: 500 }));
    const port = portOf(server);
    const { conn, sending } = await pipeline(port);
    const greeter = await stuck.promise;
    const { bytesReceived, framesReceived, bufferedAmount } = greeter;
    assert(framesReceived < REQUESTS, "the greeter was not blocked");
    const buffered = bytesReceived - framesReceived * REQUEST.length + bufferedAmount;
    assert(buffered > 0 && buffered < MIB, `${buffered} bytes are buffered`);
    assert(await isGreeted(port, "another-client"));
    checkedAt.resolve();
    await greeter.run();
    assertEquals(greeter.closeReason?.name, "ChatTimeoutError");
    assertEquals(await sending, false);
    conn.close();
  },
});

Deno.test({
  name: "Greeter's process holds less than 1 MiB for each of 4 such peers",
  ignore: !hasNet || !canRun(deno),
  async fn() {
    await using served = await Served.start({ kind: "greeter" });
    for (let i = 0; i < 100; i++) assert(await isGreeted(served.port, "warm-up"));
    const before = await served.figures(true);
    const peers = await Promise.all(Array.from({ length: 4 }, () => pipeline(served.port)));
    let after = await served.figures(true);
    let stable = 0; // polls in a row without new bytes
    await until("the greeter reads no more", async () => {
      const last = after.stats.bytesReceived;
      after = await served.figures(true);
      stable = after.stats.bytesReceived === last && last > before.stats.bytesReceived ? stable + 1 : 0;
      return stable === 10;
    });
    assertEquals(after.stats.open, 4);
    const each = (after.heldBytes - before.heldBytes) / peers.length;
    assert(each < MIB, `${each} bytes each`);
    assert(await isGreeted(served.port, "another-client"));
    for (const { conn } of peers) conn.close();
    for (const { sending } of peers) assertEquals(await sending, false);
  },
});

/** A member of a broadcast: sends one byte when connected, and expects no input. */
class Subscriber extends AsyncChat {
  reason: Error | undefined;
  protected override handleConnect() {
    this.setTerminator("\n");
    this.push("+");
  }
  protected override foundTerminator() {}
  protected override handleClose(reason?: Error) {
    this.reason = reason;
  }
}

Deno.test({
  name: "AsyncChat closes a stalled subscriber with an OutgoingOverflowError; 99 get all bytes",
  ignore: !hasNet,
  async fn() {
    const maxBufferedBytes = MIB;
    const chats: Subscriber[] = [];
    await using server = serve(local, (conn) => {
      const chat = new Subscriber(conn, { maxBufferedBytes });
      chats.push(chat);
      return chat;
    });
    const port = portOf(server);
    const join = async () => {
      const conn = await connect(port);
      await conn.read(new Uint8Array(1));
      return conn;
    };
    const stalled = await join(); // chats[0]
    const readers = await Promise.all(Array.from({ length: 99 }, join));

    // Piece by piece, once the 99 have read the last: more than the kernel and the limit buffer for the stalled one.
    const random = new Uint8Array(65_536).map((_, i) => i * i >>> 3);
    const received = new Uint8Array(65_536);
    let pieces = 0;
    for (; chats[0]!.state === "open" && pieces < 1_000; pieces++) {
      const piece = random.slice();
      fromLatin1(String(pieces).padStart(6)).forEach((byte, i) => piece[i] = byte);
      for (const chat of chats) if (chat.state === "open") chat.push(piece);
      for (const reader of readers) {
        assert(await readExactly(reader, received), "a reader was disconnected");
        assert(Buffer.from(received.buffer).equals(piece), `piece ${pieces} was corrupted`);
      }
    }
    assertEquals(chats[0]!.state, "closed");
    await chats[0]!.run();
    const reason = chats[0]!.reason;
    assertInstanceOf(reason, OutgoingOverflowError);
    assertEquals(reason.limit, maxBufferedBytes);
    assert(reason.buffered <= maxBufferedBytes + random.length, `${reason.buffered} bytes were queued`);
    assertEquals(chats.slice(1).map(({ bytesSent }) => bytesSent), Array(99).fill(1 + pieces * random.length));
    stalled.close();
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
