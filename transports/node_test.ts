// Uses nothing of Deno but Deno.test: tools/elsewhere runs it on Node and Bun as well.
import { assert, assertEquals } from "@std/assert";
import { Buffer } from "node:buffer";
import { connect, createServer, type Server, type Socket } from "node:net";
import { PassThrough } from "node:stream";
import tls from "node:tls";
import { AsyncChat } from "../chat.ts";
import type { ChatConn } from "../chat/options.ts";
import type { Terminator } from "../core/frame_splitter.ts";
import { scriptedConn } from "../testing/mod.ts";
import { makeCertificate } from "../tests/certificates.ts";
import { hasCertificates, hasNet } from "../tests/permissions.ts";
import { NodeConn } from "./node.ts";

/** Node and Bun have sockets without asking. */
const hasSockets = hasNet || !("listen" in Deno);

/** Answers each frame with its length, and records the hook calls; joins the data of a frame. */
class LengthEcho extends AsyncChat {
  readonly events: string[] = [];
  readonly #terminators: Terminator[];
  #data = "";

  constructor(conn: ChatConn, terminators: Terminator[]) {
    super(conn);
    this.#terminators = [...terminators];
    this.setTerminator(this.#terminators.shift()!);
  }
  protected override collectIncomingData(data: Uint8Array) {
    this.#data += new TextDecoder().decode(data);
  }
  protected override async foundTerminator() {
    this.events.push(`frame ${this.#data}`);
    const frame = this.#data;
    this.#data = "";
    if (this.#terminators.length > 0) this.setTerminator(this.#terminators.shift()!);
    await Promise.resolve();
    this.push(`${frame.length}\n`);
    if (frame === "quit") this.closeWhenDone();
  }
  protected override handleEof() {
    this.events.push(`eof ${this.#data}`);
    this.push("bye\n");
    this.closeWhenDone();
  }
  protected override handleClose(reason?: Error) {
    this.events.push(`close ${reason?.name}`);
  }
}

const conversations: { terminators: Terminator[]; sent: string }[] = [
  { terminators: ["\r\n"], sent: "one\r\n\r\nthree\r\nhalf a line\r" },
  { terminators: ["\n"], sent: "one\nquit\nnever\n" },
  { terminators: [["\r\n", ";"]], sent: "one;two\r\nthree;" },
  { terminators: [3, "\n", 4], sent: "onetwo\nfourraw to the end" },
  { terminators: [null], sent: "whatever comes" },
  { terminators: ["\n"], sent: "" },
  { terminators: ["\n"], sent: "x".repeat(60_000) + "\n" },
];

/** Listens on a free port; `accepted` is the first connection. */
async function listenOnce(server: Server = createServer({ allowHalfOpen: true })) {
  const accepted = new Promise<Socket>((resolve) => server.once("connection", resolve));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  return { server, port, accepted };
}

/** The two ends of a TCP connection; half-close leaves the other direction open. */
async function socketPair(): Promise<[ours: Socket, theirs: Socket]> {
  const { server, port, accepted } = await listenOnce();
  const theirs = connect({ host: "127.0.0.1", port, allowHalfOpen: true });
  const ours = await accepted;
  server.close();
  return [ours, theirs];
}

/** All that a socket receives before EOF or a reset. */
function receiveAll(socket: Socket): Promise<string> {
  let received = "";
  socket.setEncoding("utf8");
  socket.on("data", (text) => received += text);
  return new Promise((resolve) => socket.once("end", () => resolve(received)).once("error", () => resolve(received)));
}

function closed(socket: Socket): Promise<void> {
  return socket.destroyed && socket.closed
    ? Promise.resolve()
    : new Promise((resolve) => socket.once("close", () => resolve()));
}

Deno.test({
  name: "a chat over NodeConn runs the same hooks and sends the same as over memory",
  ignore: !hasSockets,
  async fn() {
    for (const { terminators, sent } of conversations) {
      const { conn, written } = scriptedConn([sent]);
      const expected = new LengthEcho(conn, terminators);
      await expected.run();
      for (const pieces of [[sent], sent.length > 100 ? [sent.slice(0, 7), sent.slice(7)] : [...sent]]) {
        const [ours, theirs] = await socketPair();
        theirs.setNoDelay(true);
        for (const piece of pieces) theirs.write(piece);
        theirs.end();
        const received = receiveAll(theirs);
        const chat = new LengthEcho(new NodeConn(ours), terminators);
        await chat.run();
        assertEquals(chat.events, expected.events);
        assertEquals(await received, await written);
        await Promise.all([closed(ours), closed(theirs)]);
      }
    }
  },
});

Deno.test({
  name: "NodeConn stops reading while a hook is pending, and loses nothing",
  ignore: !hasSockets,
  async fn() {
    const size = 32 * 1024 * 1024;
    const [ours, theirs] = await socketPair();
    let readWhileHeld = -1;
    let received = 0;
    class Holding extends AsyncChat {
      protected override async collectIncomingData(data: Uint8Array) {
        received += data.length;
        if (readWhileHeld >= 0) return;
        for (let turn = 0; turn < 100; turn++) await new Promise((resolve) => setTimeout(resolve, 0));
        readWhileHeld = ours.bytesRead;
      }
      protected override foundTerminator() {}
    }
    theirs.end(new Uint8Array(size));
    theirs.resume();
    const chat = new Holding(new NodeConn(ours));
    chat.setTerminator(null);
    await chat.run();
    assert(readWhileHeld < 1024 * 1024, `${readWhileHeld} bytes were read while the chat was busy`);
    assertEquals({ received, reason: chat.closeReason }, { received: size, reason: undefined });
    await Promise.all([closed(ours), closed(theirs)]);
  },
});

Deno.test({
  name: "NodeConn stops writing while the peer does not read, and loses nothing",
  ignore: !hasSockets,
  async fn() {
    const [ours, theirs] = await socketPair();
    const piece = new Uint8Array(65_536).fill(0x78);
    let made = 0;
    class Flood extends AsyncChat {
      protected override handleConnect() {
        this.setTerminator("\n");
        this.pushWithProducer((function* () {
          for (; made < 512; made++) yield piece;
        })());
        this.closeWhenDone();
      }
      protected override foundTerminator() {}
    }
    const over = new Flood(new NodeConn(ours)).run();
    for (let turn = 0; turn < 100; turn++) await new Promise((resolve) => setTimeout(resolve, 0));
    assert(ours.writableLength <= 1024 * 1024, `${ours.writableLength} bytes are queued in the socket`);
    assert(made < 512, "the producer ran to its end although the peer does not read");
    let received = 0;
    theirs.on("data", (data) => received += data.length);
    theirs.on("end", () => theirs.end());
    await over;
    await Promise.all([closed(ours), closed(theirs)]);
    assertEquals(received, 512 * piece.length);
  },
});

Deno.test({
  name: "NodeConn passes a reset through, and close() rejects its pending read",
  ignore: !hasSockets,
  async fn() {
    const [ours, theirs] = await socketPair();
    const chat = new LengthEcho(new NodeConn(ours), ["\n"]);
    const over = chat.run();
    theirs.write("one\n");
    await new Promise((resolve) => theirs.once("data", resolve));
    theirs.resetAndDestroy();
    await over;
    assertEquals((chat.closeReason as { code?: string } | undefined)?.code, "ECONNRESET");
    assertEquals(chat.events, ["frame one", "close Error"]);

    const [mine, yours] = await socketPair();
    const conn = new NodeConn(mine);
    const { port } = conn.remoteAddr!;
    const reading = conn.read(new Uint8Array(10)).then(() => "read", (error) => error.message);
    conn.close();
    assertEquals(await reading, "Cannot read: the connection is closed");
    const writing = conn.write(new Uint8Array(10)).then(() => "written", (error) => error.code);
    assertEquals(await writing, "ERR_STREAM_DESTROYED");
    assertEquals(conn.remoteAddr, { transport: "tcp", hostname: "127.0.0.1", port });
    yours.resume().on("end", () => yours.end());
    await Promise.all([closed(ours), closed(mine), closed(yours)]);
  },
});

Deno.test({
  name: "NodeConn over a connecting socket waits for the connection, and reports a failed one",
  ignore: !hasSockets,
  async fn() {
    const { server, port, accepted } = await listenOnce();
    class Ask extends AsyncChat {
      readonly events: string[] = [];
      protected override handleConnect() {
        this.setTerminator("\n");
        this.push("hello\n");
        this.closeWrite();
      }
      protected override foundTerminator() {
        this.events.push(this.takeText());
      }
    }
    const client = connect({ host: "127.0.0.1", port, allowHalfOpen: true });
    const asking = new Ask(new NodeConn(client));
    const over = asking.run();
    await new LengthEcho(new NodeConn(await accepted), ["\n"]).run();
    await over;
    assertEquals({ events: asking.events, reason: asking.closeReason }, { events: ["5", "bye"], reason: undefined });
    await new Promise((resolve) => server.close(resolve));

    const failed = new Ask(new NodeConn(connect({ host: "127.0.0.1", port })));
    await failed.run();
    assertEquals((failed.closeReason as { code?: string } | undefined)?.code, "ECONNREFUSED");
  },
});

Deno.test({
  name: "NodeConn runs a chat over TLS, as server and as client",
  ignore: !hasSockets || !hasCertificates,
  async fn() {
    using certificate = makeCertificate();
    const { cert, key } = certificate;
    const server = tls.createServer({ cert, key, allowHalfOpen: true });
    const secured = new Promise<Socket>((resolve) => server.once("secureConnection", resolve));
    const { port } = await listenOnce(server);
    const socket = tls.connect({ host: "127.0.0.1", port, ca: cert, servername: "localhost" });
    const client = scriptedClient(new NodeConn(socket), "hello\nquit\n");
    const chat = new LengthEcho(new NodeConn(await secured), ["\n"]);
    await chat.run();
    assertEquals(chat.events, ["frame hello", "frame quit", "close undefined"]);
    assertEquals(await client, "5\n4\n");
    await new Promise((resolve) => server.close(resolve));
  },
});

Deno.test("NodeConn copies what it writes to a stream that is no socket of Node", async () => {
  const stream = new PassThrough({ highWaterMark: 1_000 });
  const conn = new NodeConn(stream as unknown as Socket);
  const block = Buffer.alloc(2);
  for (const text of ["a", "b", "c"]) await conn.write(block.fill(text));
  block.fill("x");
  await conn.closeWrite();
  let text = "";
  for (let chunk; (chunk = stream.read()) !== null;) text += String(chunk);
  assertEquals(text, "aabbcc");
  conn.close();
});

/** Sends `text` over a connection, and returns all that it receives. */
async function scriptedClient(conn: ChatConn, text: string): Promise<string> {
  await conn.write(new TextEncoder().encode(text));
  const buffer = new Uint8Array(1_000);
  let received = "";
  for (let count; (count = await conn.read(buffer)) !== null;) {
    received += new TextDecoder().decode(buffer.subarray(0, count));
  }
  conn.close();
  return received;
}
