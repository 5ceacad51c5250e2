// Uses nothing of Deno but Deno.test: tools/elsewhere runs it on Node and on Bun too.
import { assert, assertEquals } from "@std/assert";
import { connect, createServer, type Server, type Socket } from "node:net";
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

/** Answers each frame with its length; writes down what it is told, the data of a frame together. */
class Recorder extends AsyncChat {
  readonly told: string[] = [];
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
    this.told.push(`frame ${this.#data}`);
    const frame = this.#data;
    this.#data = "";
    if (this.#terminators.length > 0) this.setTerminator(this.#terminators.shift()!);
    await Promise.resolve();
    this.push(`${frame.length}\n`);
    if (frame === "quit") this.closeWhenDone();
  }
  protected override handleEof() {
    this.told.push(`eof ${this.#data}`);
    this.push("bye\n");
    this.closeWhenDone();
  }
  protected override handleClose(reason?: Error) {
    this.told.push(`close ${reason?.name}`);
  }
}

const conversations: { terminators: Terminator[]; says: string }[] = [
  { terminators: ["\r\n"], says: "one\r\n\r\nthree\r\nhalf a line\r" },
  { terminators: ["\n"], says: "one\nquit\nunheard\n" },
  { terminators: [["\r\n", ";"]], says: "one;two\r\nthree;" },
  { terminators: [3, "\n", 4], says: "onetwo\nfourraw to the end" },
  { terminators: [null], says: "whatever comes" },
  { terminators: ["\n"], says: "" },
  { terminators: ["\n"], says: "x".repeat(60_000) + "\n" },
];

/** A server on a free port, and the first socket that comes to it. */
async function listenOnce(server: Server = createServer({ allowHalfOpen: true })) {
  const coming = new Promise<Socket>((resolve) => server.once("connection", resolve));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  return { server, port, coming };
}

/** The two ends of a connection between sockets; a peer that has ended may still read. */
async function socketPair(): Promise<[ours: Socket, theirs: Socket]> {
  const { server, port, coming } = await listenOnce();
  const theirs = connect({ host: "127.0.0.1", port, allowHalfOpen: true });
  const ours = await coming;
  server.close();
  return [ours, theirs];
}

/** All that a socket hears to its end; "" and what came before where it is reset. */
function hear(socket: Socket): Promise<string> {
  let heard = "";
  socket.setEncoding("utf8");
  socket.on("data", (text) => heard += text);
  return new Promise((resolve) => socket.once("end", () => resolve(heard)).once("error", () => resolve(heard)));
}

function closed(socket: Socket): Promise<void> {
  return socket.destroyed && socket.closed
    ? Promise.resolve()
    : new Promise((resolve) => socket.once("close", () => resolve()));
}

Deno.test({
  name: "a chat over NodeConn is told and says what it is told and says over memory",
  ignore: !hasSockets,
  async fn() {
    for (const { terminators, says } of conversations) {
      const { conn, written } = scriptedConn([says]);
      const expected = new Recorder(conn, terminators);
      await expected.run();
      for (const pieces of [[says], says.length > 100 ? [says.slice(0, 7), says.slice(7)] : [...says]]) {
        const [ours, theirs] = await socketPair();
        theirs.setNoDelay(true);
        for (const piece of pieces) theirs.write(piece);
        theirs.end();
        const heard = hear(theirs);
        const chat = new Recorder(new NodeConn(ours), terminators);
        await chat.run();
        assertEquals(chat.told, expected.told);
        assertEquals(await heard, await written);
        await Promise.all([closed(ours), closed(theirs)]);
      }
    }
  },
});

Deno.test({
  name: "NodeConn stops reading while its chat does, and loses nothing",
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
    assertEquals([received, chat.closeReason], [size, undefined]);
    await Promise.all([closed(ours), closed(theirs)]);
  },
});

Deno.test({
  name: "NodeConn writes no more than the peer takes, and loses nothing",
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
    assert(made < 512, "all was made although nobody reads");
    let heard = 0;
    theirs.on("data", (data) => heard += data.length);
    theirs.on("end", () => theirs.end());
    await over;
    await Promise.all([closed(ours), closed(theirs)]);
    assertEquals(heard, 512 * piece.length);
  },
});

Deno.test({
  name: "NodeConn passes on a reset as it came, and ends its pending read when it is closed",
  ignore: !hasSockets,
  async fn() {
    const [ours, theirs] = await socketPair();
    const chat = new Recorder(new NodeConn(ours), ["\n"]);
    const over = chat.run();
    theirs.write("one\n");
    await new Promise((resolve) => theirs.once("data", resolve));
    theirs.resetAndDestroy();
    await over;
    assertEquals((chat.closeReason as { code?: string } | undefined)?.code, "ECONNRESET");
    assertEquals(chat.told, ["frame one", "close Error"]);

    const [mine, yours] = await socketPair();
    const conn = new NodeConn(mine);
    const { port } = conn.remoteAddr!;
    const reading = conn.read(new Uint8Array(10)).then(() => "read", (error) => error.message);
    conn.close();
    assertEquals(await reading, "Cannot read: the connection is closed, an open one is wanted");
    const writing = conn.write(new Uint8Array(10)).then(() => "written", (error) => error.code);
    assertEquals(await writing, "ERR_STREAM_DESTROYED");
    assertEquals(conn.remoteAddr, { transport: "tcp", hostname: "127.0.0.1", port });
    yours.resume().on("end", () => yours.end());
    await Promise.all([closed(ours), closed(mine), closed(yours)]);
  },
});

Deno.test({
  name: "NodeConn is a client too: it waits for the connection, and is told when there is none",
  ignore: !hasSockets,
  async fn() {
    const { server, port, coming } = await listenOnce();
    class Ask extends AsyncChat {
      readonly told: string[] = [];
      protected override handleConnect() {
        this.setTerminator("\n");
        this.push("hello\n");
        this.closeWrite();
      }
      protected override foundTerminator() {
        this.told.push(this.takeText());
      }
    }
    const client = connect({ host: "127.0.0.1", port, allowHalfOpen: true });
    const asking = new Ask(new NodeConn(client));
    const over = asking.run();
    await new Recorder(new NodeConn(await coming), ["\n"]).run();
    await over;
    assertEquals([asking.told, asking.closeReason], [["5", "bye"], undefined]);
    await new Promise((resolve) => server.close(resolve));

    const refused = new Ask(new NodeConn(connect({ host: "127.0.0.1", port })));
    await refused.run();
    assertEquals((refused.closeReason as { code?: string } | undefined)?.code, "ECONNREFUSED");
  },
});

Deno.test({
  name: "NodeConn carries a chat over TLS, as a server and as a client",
  ignore: !hasSockets || !hasCertificates,
  async fn() {
    using certificate = makeCertificate();
    const { cert, key } = certificate;
    const server = tls.createServer({ cert, key, allowHalfOpen: true });
    const secured = new Promise<Socket>((resolve) => server.once("secureConnection", resolve));
    const { port } = await listenOnce(server);
    const socket = tls.connect({ host: "127.0.0.1", port, ca: cert, servername: "localhost" });
    const client = scriptedClient(new NodeConn(socket), "hello\nquit\n");
    const chat = new Recorder(new NodeConn(await secured), ["\n"]);
    await chat.run();
    assertEquals(chat.told, ["frame hello", "frame quit", "close undefined"]);
    assertEquals(await client, "5\n4\n");
    await new Promise((resolve) => server.close(resolve));
  },
});

/** Says something over a connection, and gives back all that comes. */
async function scriptedClient(conn: ChatConn, says: string): Promise<string> {
  await conn.write(new TextEncoder().encode(says));
  const buffer = new Uint8Array(1_000);
  let heard = "";
  for (let count; (count = await conn.read(buffer)) !== null;) {
    heard += new TextDecoder().decode(buffer.subarray(0, count));
  }
  conn.close();
  return heard;
}
