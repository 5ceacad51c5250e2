// Guards of ReadAhead that no other test notices: what its states return, and what the next owner of the connection reads.

import { assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { bytes, flushMicrotasks, text } from "../tests/recorder.ts";
import type { ChatConn } from "./options.ts";
import { ReadAhead } from "./read_ahead.ts";

/** A connection whose first read is settled by the test; later ones return "later". */
class SlowConn implements ChatConn {
  readonly first = Promise.withResolvers<number | null>();
  readonly localAddr = "here";
  space = new Uint8Array(0);
  reads = 0;
  #closed = false; // private, as in Deno.TcpConn: out of reach of a proxy

  get closed(): boolean {
    return this.#closed;
  }
  read(p: Uint8Array): Promise<number | null> {
    if (this.reads++ > 0) {
      p.set(bytes("later"));
      return Promise.resolve(5);
    }
    this.space = p as Uint8Array<ArrayBuffer>;
    return this.first.promise;
  }
  receive(data: string): void {
    this.space.set(bytes(data));
    this.first.resolve(data.length);
  }
  write(p: Uint8Array): Promise<number> {
    return Promise.resolve(p.length);
  }
  close(): void {
    this.#closed = true;
  }
}

function started() {
  const conn = new SlowConn();
  const errors: unknown[] = [];
  const ahead = new ReadAhead(conn, (error) => errors.push(error));
  return { conn, ahead, errors };
}

/** Reads up to `size` bytes, as text. */
async function readText(conn: ChatConn, size: number): Promise<string | null> {
  const into = new Uint8Array(size);
  const count = await conn.read(into);
  return count === null ? null : text(into.subarray(0, count));
}

Deno.test("ReadAhead reads at once into 1 KiB, and has no bytes before the read settles", async () => {
  const { conn, ahead, errors } = started();
  const before = { reads: conn.reads, space: conn.space.length, pending: ahead.pending, bytes: text(ahead.bytes) };
  conn.receive("data");
  const taken = await ahead.take();
  assertEquals({ before, taken, pending: ahead.pending, bytes: text(ahead.bytes), errors }, {
    before: { reads: 1, space: 1024, pending: true, bytes: "" },
    taken: bytes("data"),
    pending: false,
    bytes: "data",
    errors: [],
  });
});

Deno.test("ReadAhead.take() returns null at the end of the input", async () => {
  const { conn, ahead, errors } = started();
  conn.first.resolve(null);
  assertEquals({ taken: await ahead.take(), bytes: text(ahead.bytes), errors }, { taken: null, bytes: "", errors: [] });
});

Deno.test("ReadAhead reports a failed read once, and take() rejects with its error", async () => {
  for (const error of [new Error("reset"), undefined]) {
    const { conn, ahead, errors } = started();
    conn.first.reject(error);
    await flushMicrotasks();
    assertEquals({ errors, bytes: text(ahead.bytes), pending: ahead.pending }, {
      errors: [error],
      bytes: "",
      pending: false,
    });
    assertStrictEquals(await ahead.take().catch((reason) => reason), error);
  }
});

Deno.test("ReadAhead.hand() returns the connection itself once the read has settled", async () => {
  const { conn, ahead } = started();
  conn.receive("data");
  await ahead.take();
  assertStrictEquals(ahead.hand(conn), conn);
});

Deno.test("ReadAhead.hand() of a pending read returns its bytes first, in pieces as small as asked for", async () => {
  const { conn, ahead } = started();
  const handed = ahead.hand(conn);
  const first = readText(handed, 3);
  conn.receive("0123456");
  const read = [await first];
  for (const size of [3, 3, 5]) read.push(await readText(handed, size));
  assertEquals({ read, reads: conn.reads }, { read: ["012", "345", "6", "later"], reads: 2 });
});

Deno.test("ReadAhead.hand() of a pending read gives all its bytes at once to a large read", async () => {
  const { conn, ahead } = started();
  const handed = ahead.hand(conn);
  conn.receive("0123");
  assertEquals([await readText(handed, 10), await readText(handed, 10)], ["0123", "later"]);
});

Deno.test("ReadAhead.hand() of a pending read of 0 bytes is not the end", async () => {
  const { conn, ahead } = started();
  const handed = ahead.hand(conn);
  conn.receive("");
  assertEquals([await readText(handed, 10), await readText(handed, 10)], ["", "later"]);
});

Deno.test("ReadAhead.hand() of a pending read passes on its end and its failure", async () => {
  const ended = started();
  const atEnd = ended.ahead.hand(ended.conn);
  ended.conn.first.resolve(null);
  assertEquals(await readText(atEnd, 10), null);
  const failed = started();
  const lost = failed.ahead.hand(failed.conn);
  failed.conn.first.reject(new Error("reset"));
  await flushMicrotasks(); // no rejection is unhandled
  await assertRejects(() => lost.read(new Uint8Array(1)), Error, "reset");
});

Deno.test("ReadAhead.hand() of a pending read that fails is no unhandled rejection when it is not read", async () => {
  const { conn, ahead, errors } = started();
  ahead.hand(conn);
  const error = new Error("reset");
  conn.first.reject(error);
  await flushMicrotasks();
  assertEquals(errors, [error]);
});

Deno.test("ReadAhead.hand() of a pending read leaves everything else to the connection", async () => {
  const { conn, ahead } = started();
  const handed = ahead.hand(conn);
  handed.close();
  assertEquals({ closed: conn.closed, addr: handed.localAddr, written: await handed.write(bytes("ab")) }, {
    closed: true,
    addr: "here",
    written: 2,
  });
  conn.first.resolve(null);
  await ahead.take();
});
