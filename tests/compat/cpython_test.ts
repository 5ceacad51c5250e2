/**
 * Ports each case of CPython's own Lib/test/test_asynchat.py to memory connections. There a thread echoes over a real
 * socket; here the other end of the connection does, without timers.
 */

import { assertEquals, assertThrows } from "@std/assert";
import { AsyncChat, findPrefixAtEnd, SimpleProducer, type Terminator } from "../../mod.ts";
import { type MemoryConn, memoryPair } from "../../testing/memory_conn.ts";
import { toBytes, toText } from "./conversation.ts";
import { play } from "./play.ts";

const QUIT = "QUIT\n";

/** The test's `echo_client`: records the echoed frames. */
class EchoClient extends AsyncChat {
  readonly contents: string[] = [];
  buffer = "";
  closes = 0;

  constructor(conn: MemoryConn, terminator: Terminator) {
    super(conn);
    this.setTerminator(terminator);
  }

  protected override collectIncomingData(data: Uint8Array): void {
    this.buffer += toText(data);
  }

  protected override foundTerminator(): void {
    this.contents.push(this.buffer);
    this.buffer = "";
  }

  protected override handleClose(): void {
    this.closes++;
  }
}

/** The test's `echo_server`: reads up to QUIT byte by byte, then echoes what came before it in chunks. */
async function echo(peer: MemoryConn, chunkSize: number): Promise<string> {
  let received = "";
  while (!received.includes(QUIT)) {
    const byte = await peer.receive(1);
    if (byte.length === 0) break;
    received += toText(byte);
  }
  received = received.replace(QUIT, "");
  for (let at = 0; at < received.length; at += chunkSize) await peer.send(toBytes(received.slice(at, at + chunkSize)));
  await peer.closeWrite();
  await peer.receive();
  peer.close();
  return received;
}

/** Runs a client that does `act` against the echo server, to the close of both. */
async function echoed(terminator: Terminator, act: (client: EchoClient) => void, chunkSize = 1): Promise<EchoClient> {
  const [conn, peer] = memoryPair();
  const client = new EchoClient(conn, terminator);
  act(client);
  await Promise.all([client.run(), echo(peer, chunkSize)]);
  assertEquals(client.closes, 1);
  return client;
}

for (const [length, terminator] of [["one", "\n"], ["two", "\r\n"], ["three", "qqq"]] as const) {
  for (const chunkSize of [1, 2, 3]) {
    const name = `AsyncChat ends lines at a terminator of length ${length} in chunks of ${chunkSize}`;
    Deno.test(`${name} (test_line_terminator${terminator.length})`, async () => {
      const client = await echoed(terminator, (client) => {
        client.push("hello ");
        client.push(`world${terminator}`);
        client.push(`I'm not dead yet!${terminator}`);
        client.push(QUIT);
      }, chunkSize);
      assertEquals(client.contents, ["hello world", "I'm not dead yet!"]);
    });
  }
}

const TWO_IN_ONE = "hello world, I'm not dead yet!\n";

for (const [test, count] of [1, 6].entries()) {
  Deno.test(`AsyncChat is raw after a count of ${count} (test_numeric_terminator${test + 1})`, async () => {
    const client = await echoed(count, (client) => {
      client.push(TWO_IN_ONE);
      client.push(QUIT);
    });
    assertEquals(client.contents, [TWO_IN_ONE.slice(0, count)]);
    assertEquals(client.buffer, TWO_IN_ONE.slice(count)); // raw after the count
  });
}

Deno.test("AsyncChat.collectIncomingData() gets all data with terminator null (test_none_terminator)", async () => {
  const client = await echoed(null, (client) => {
    client.push(TWO_IN_ONE);
    client.push(QUIT);
  });
  assertEquals(client.contents, []);
  assertEquals(client.buffer, TWO_IN_ONE);
});

const TWO_LINES = "hello world\nI'm not dead yet!\n";

Deno.test("AsyncChat.pushWithProducer() sends a SimpleProducer in pieces (test_simple_producer)", async () => {
  const client = await echoed("\n", (client) => {
    client.pushWithProducer(new SimpleProducer(toBytes(TWO_LINES + QUIT), 8));
  });
  assertEquals(client.contents, ["hello world", "I'm not dead yet!"]);
});

Deno.test("AsyncChat.pushWithProducer() sends bytes unchanged (test_string_producer)", async () => {
  const client = await echoed("\n", (client) => {
    client.pushWithProducer(toBytes(TWO_LINES + QUIT));
  });
  assertEquals(client.contents, ["hello world", "I'm not dead yet!"]);
});

Deno.test("AsyncChat.foundTerminator() is called for an empty line (test_empty_line)", async () => {
  const client = await echoed("\n", (client) => {
    client.push("hello world\n\nI'm not dead yet!\n");
    client.push(QUIT);
  });
  assertEquals(client.contents, ["hello world", "", "I'm not dead yet!"]);
});

Deno.test("AsyncChat.closeWhenDone() flushes and dispatches nothing more (test_close_when_done)", async () => {
  const [conn, peer] = memoryPair();
  const client = new EchoClient(conn, "\n");
  client.push(TWO_LINES);
  client.push(QUIT);
  client.closeWhenDone();
  const [, received] = await Promise.all([client.run(), echo(peer, 1)]);
  assertEquals(received, TWO_LINES);
  assertEquals(client.contents, []);
  assertEquals(client.buffer, "");
  assertEquals(client.closes, 1);
  assertEquals(conn.closed, true);
});

Deno.test("AsyncChat.push() accepts bytes and views of bytes, but no number (test_push)", async () => {
  const client = await echoed("\n", (client) => {
    const data = toBytes("bytes\n");
    client.push(data);
    client.push(Uint8Array.from(data)); // mutable bytes (a bytearray): here all are
    client.push(toBytes("<bytes\n>").subarray(1, -1)); // a memoryview
    assertThrows(() => client.push(10 as unknown as string), TypeError);
    assertThrows(() => client.push(null as unknown as string), TypeError);
    assertThrows(() => client.push([98, 10] as unknown as string), TypeError);
    assertThrows(() => client.push(data.buffer as unknown as Uint8Array), TypeError);
    client.push("text\n"); // intended: asynchat rejects text, whose encoding it does not know
    client.push(QUIT);
  });
  assertEquals(client.contents, ["bytes", "bytes", "bytes", "text"]);
});

Deno.test("AsyncChat continues after a read without data (test_blockingioerror)", async () => {
  const outcome = await play({ steps: [[["terminator", "\n"]]], chunks: "a\n|b\n", pauses: [1, 3, 4] });
  assertEquals(outcome.events, [["data", "a"], ["found", "\n"], ["data", "b"], ["found", "\n"], ["handle_close"]]);
});

Deno.test("findPrefixAtEnd() returns the length of a partial needle (test_find_prefix_at_end)", () => {
  assertEquals(findPrefixAtEnd(toBytes("qwerty\r"), toBytes("\r\n")), 1);
  assertEquals(findPrefixAtEnd(toBytes("qwertydkjf"), toBytes("\r\n")), 0);
});

Deno.test("AsyncChat.setTerminator() rejects a negative count (test_disallow_negative_terminator)", () => {
  const [conn, peer] = memoryPair();
  assertThrows(() => new EchoClient(conn, -1), RangeError, "-1");
  const client = new EchoClient(conn, "\n");
  assertThrows(() => client.setTerminator(-1), RangeError);
  assertEquals(client.getTerminator(), toBytes("\n")); // unchanged
  conn.close();
  peer.close();
});
