import { assert, assertEquals, assertInstanceOf, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { concat } from "@std/bytes/concat";
import type { ServerStats } from "./types.ts";
import { AsyncChat, HandshakeTimeoutError, ProxyHeaderError, serve, type ServeOptions } from "../mod.ts";
import { readProxyHeader } from "./proxy_protocol.ts";
import { FakeClock, memoryPair } from "../testing/mod.ts";
import { hasNet } from "../tests/permissions.ts";

const bytes = (text: string) => Uint8Array.from(text, (char) => char.charCodeAt(0));

const LINE = bytes("PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n");
const BINARY = concat([
  bytes("\r\n\r\n\0\r\nQUIT\n"),
  Uint8Array.of(0x21, 0x11, 0, 18, 192, 0, 2, 1, 198, 51, 100, 2, 0xdc, 0x04, 0x01, 0xbb, 4, 0, 3, 1, 2, 3),
]);
const LOCAL = concat([bytes("\r\n\r\n\0\r\nQUIT\n"), Uint8Array.of(0x20, 0, 0, 0)]);

Deno.test("readProxyHeader() sets the client's address and leaves the bytes after it, at every cut", async () => {
  for (const header of [LINE, BINARY]) {
    const sent = concat([header, bytes("hello")]);
    for (let cut = 0; cut <= sent.length; cut++) {
      const [ours, theirs] = memoryPair();
      const sending = theirs.sendInPieces([sent.subarray(0, cut), sent.subarray(cut)]);
      await readProxyHeader({ trusted: () => true }).run(ours);
      assertEquals<unknown>(ours.remoteAddr, { transport: "tcp", hostname: "192.0.2.1", port: 56_324 });
      assertEquals<unknown>(ours.localAddr, { transport: "tcp", hostname: "198.51.100.2", port: 443 });
      assertEquals(await ours.receiveText(5), "hello", `cut at ${cut}`);
      await sending;
      ours.close();
      theirs.close();
    }
  }
});

Deno.test("readProxyHeader() rejects a header that is cut off anywhere", async () => {
  for (const header of [LINE, BINARY, LOCAL]) {
    for (let cut = 0; cut < header.length; cut++) {
      const [ours, theirs] = memoryPair();
      await theirs.send(header.subarray(0, cut));
      theirs.close();
      const error = await assertRejects(() => readProxyHeader({ trusted: () => true }).run(ours), ProxyHeaderError);
      assertEquals(error.received, cut);
      assertStringIncludes(error.message, "it is incomplete");
      ours.close();
    }
  }
});

Deno.test("readProxyHeader() leaves the connection's own address for LOCAL", async () => {
  const [ours, theirs] = memoryPair();
  await theirs.send(LOCAL);
  await readProxyHeader({ trusted: () => true }).run(ours);
  assertEquals(ours.remoteAddr.name, "theirs");
  ours.close();
  theirs.close();
});

Deno.test("readProxyHeader() reads nothing from a peer that is not in the trusted blocks", async () => {
  const trusts = async (trusted: string[], remoteAddr: unknown) => {
    const [ours, theirs] = memoryPair();
    await theirs.send(LOCAL);
    Object.defineProperty(ours, "remoteAddr", { value: remoteAddr });
    const outcome = await readProxyHeader({ trusted }).run(ours).then(() => true, (error) => error);
    ours.close();
    theirs.close();
    if (outcome === true) return true;
    assertInstanceOf(outcome, ProxyHeaderError);
    assertEquals(theirs.calls.write, 1); // and not one byte was read
    return false;
  };
  assertEquals(await trusts(["10.0.0.0/8", "::1"], { hostname: "10.1.2.3" }), true);
  assertEquals(await trusts(["10.0.0.0/8", "::1"], { hostname: "::1" }), true);
  assertEquals(await trusts(["10.0.0.0/8"], { hostname: "::ffff:10.1.2.3" }), true);
  assertEquals(await trusts(["10.0.0.0/8", "::1"], { hostname: "11.1.2.3" }), false);
  assertEquals(await trusts([], { hostname: "10.1.2.3" }), false);
  assertEquals(await trusts(["0.0.0.0/0", "::/0"], { transport: "unix", path: "/x" }), false);
  assertEquals(await trusts(["0.0.0.0/0", "::/0"], undefined), false);
});

Deno.test("serve() throws for proxyProtocol.trusted without addresses, and for an invalid limit", () => {
  const accept = () => new Echo(memoryPair()[0]);
  for (const trusted of [["10.0.0.0/33"], ["proxy.example"], [undefined], "10.0.0.1", undefined]) {
    assertThrows(
      () => serve({ port: 0, proxyProtocol: { trusted: trusted as never } }, accept),
      TypeError,
      "Cannot serve: proxyProtocol.trusted has",
    );
  }
  assertThrows(
    () => serve({ port: 0, proxyProtocol: { trusted: [], timeoutMs: 0 } }, accept),
    RangeError,
    "proxyProtocol.timeoutMs is 0, expected a number of at least 1",
  );
});

// -------------------------------------------------------------------------------------------------------- real sockets

class Echo extends AsyncChat {
  protected override handleConnect() {
    this.setTerminator("\n");
  }
  protected override foundTerminator() {
    const { hostname } = this.conn.remoteAddr as Deno.NetAddr;
    this.push(`${hostname} ${this.takeText()}\n`);
  }
}

/** A server behind a proxy, and the errors that it reported. */
function proxied(options: Partial<ServeOptions> = {}) {
  const errors: unknown[] = [];
  let reported = Promise.withResolvers<void>();
  const onError = (error: unknown) => {
    errors.push(error);
    reported.resolve();
  };
  const server = serve(
    { hostname: "127.0.0.1", port: 0, proxyProtocol: { trusted: ["127.0.0.0/8"] }, onError, ...options },
    (conn) => new Echo(conn),
  );
  const { port } = server.addr as Deno.NetAddr;
  const nextError = async () => {
    await reported.promise;
    reported = Promise.withResolvers();
    return errors.at(-1);
  };
  return { server, port, errors, nextError };
}

/** Sends pieces and returns the first answer, "" when the server closes instead. */
async function ask(port: number, ...pieces: Uint8Array[]): Promise<string> {
  using conn = await Deno.connect({ hostname: "127.0.0.1", port });
  conn.setNoDelay(true);
  for (const piece of pieces) await conn.write(piece).catch(() => {}); // it may be closed already
  return await read(conn);
}

async function read(conn: Deno.Conn): Promise<string> {
  const answer = new Uint8Array(1_000);
  const count = await conn.read(answer).catch(() => null); // closing with bytes unread resets a connection
  return new TextDecoder().decode(answer.subarray(0, count ?? 0));
}

Deno.test({
  name: "serve() gives a chat the address of the proxy's client, and the bytes after the header",
  ignore: !hasNet,
  async fn() {
    const { server, port, errors } = proxied();
    assertEquals(await ask(port, concat([LINE, bytes("one\n")])), "192.0.2.1 one\n");
    assertEquals(await ask(port, concat([BINARY, bytes("two\n")])), "192.0.2.1 two\n");
    assertEquals(await ask(port, BINARY.subarray(0, 13), BINARY.subarray(13), bytes("three\n")), "192.0.2.1 three\n");
    assertEquals(await ask(port, LOCAL, bytes("four\n")), "127.0.0.1 four\n");
    assertEquals({ errors, acceptErrors: server.stats.acceptErrors }, { errors: [], acceptErrors: 0 });
    await server.shutdown();
  },
});

Deno.test({
  name: "serve() closes one connection for an invalid header, calls onError, and goes on",
  ignore: !hasNet,
  async fn() {
    const { server, port, nextError } = proxied();
    const bad: [Uint8Array, string][] = [
      [bytes("GET / HTTP/1.1\r\n\r\n"), "it begins neither with PROXY nor"], // missing
      [bytes("PROXY UNKNOWN ".padEnd(200, "x")), "it has no line end in 107 bytes"], // too long
      [concat([LINE.subarray(0, -2), bytes("\nhello\n")]), "it ends with a bare LF"],
      [concat([bytes("\r\n\r\n\0\r\nQUIT\n"), Uint8Array.of(0x21, 0x11, 0xff, 0xff)]), "it has 65551 bytes"],
    ];
    for (const [sent, problem] of bad) {
      assertEquals(await ask(port, sent), "");
      const error = await nextError();
      assertInstanceOf(error, ProxyHeaderError);
      assert(error.message.startsWith(`Invalid PROXY header: ${problem}`), error.message);
    }
    const { accepted, acceptErrors } = server.stats;
    assertEquals({ accepted, acceptErrors, open: server.connections }, {
      accepted: 0,
      acceptErrors: bad.length,
      open: 0,
    });
    assertEquals(await ask(port, LINE, bytes("next\n")), "192.0.2.1 next\n");
    await server.shutdown();
  },
});

Deno.test({
  name: "serve() closes a connection from a peer that is not trusted, without reading",
  ignore: !hasNet,
  async fn() {
    const { server, port, nextError } = proxied({ proxyProtocol: { trusted: ["192.0.2.0/24"] } });
    assertEquals(await ask(port, LINE, bytes("hello\n")), "");
    const error = await nextError();
    assertInstanceOf(error, ProxyHeaderError);
    assertEquals(error.received, 0);
    await server.shutdown();
  },
});

Deno.test({
  name: "serve() accepts others while it awaits a header, and closes one that is too slow",
  ignore: !hasNet,
  async fn() {
    const clock = new FakeClock();
    const { server, port, nextError } = proxied({ clock });
    using slow = await Deno.connect({ hostname: "127.0.0.1", port });
    await slow.write(LINE.subarray(0, 20));
    assertEquals(await ask(port, LINE, bytes("meanwhile\n")), "192.0.2.1 meanwhile\n");
    clock.advance(4_999);
    assertEquals(server.stats.acceptErrors, 0);
    clock.advance(1);
    const error = await nextError();
    assertInstanceOf(error, HandshakeTimeoutError);
    assertEquals(error.limitMs, 5_000);
    assertEquals(await read(slow), "");
    await server.shutdown();
    assertEquals(clock.pending, 0);
  },
});

Deno.test({
  name: "maxConnections counts connections that await a header; shutdown() closes them",
  ignore: !hasNet,
  async fn() {
    const { server, port, errors } = proxied({ maxConnections: 1 });
    using silent = await Deno.connect({ hostname: "127.0.0.1", port });
    using second = await Deno.connect({ hostname: "127.0.0.1", port });
    await second.write(concat([LINE, bytes("second\n")]));
    const other = proxied(); // its answers show that there was time to accept the second connection
    for (let i = 0; i < 5; i++) assertEquals(await ask(other.port, LINE, bytes("x\n")), "192.0.2.1 x\n");
    await other.server.shutdown();
    assertEquals({ accepted: server.stats.accepted, open: server.connections }, { accepted: 0, open: 0 });
    await silent.write(bytes("x")); // invalid, and the next is accepted
    assertEquals(await read(second), "192.0.2.1 second\n");
    assertEquals({ errors: errors.length, open: server.connections }, { errors: 1, open: 1 });
    await server.shutdown();

    const stopped = proxied();
    using waiting = await Deno.connect({ hostname: "127.0.0.1", port: stopped.port });
    assertEquals(await ask(stopped.port, LINE, bytes("x\n")), "192.0.2.1 x\n"); // so that one was accepted
    await stopped.server.shutdown();
    assertEquals({ received: await read(waiting), errors: stopped.errors }, { received: "", errors: [] });
  },
});

Deno.test({
  name: "maxConnectionsPerAddress counts the addresses of a proxy's clients",
  ignore: !hasNet,
  async fn() {
    const { server, port } = proxied({ maxConnectionsPerAddress: 1, refusal: "full\n" });
    using first = await Deno.connect({ hostname: "127.0.0.1", port });
    await first.write(concat([LINE, bytes("a\n")]));
    assertEquals(await read(first), "192.0.2.1 a\n");
    assertEquals(await ask(port, BINARY), "full\n");
    assertEquals(await ask(port, bytes("PROXY TCP4 192.0.2.9 198.51.100.2 1 2\r\nb\n")), "192.0.2.9 b\n");
    const { accepted, refused }: ServerStats = server.stats;
    assertEquals({ accepted, refused }, { accepted: 2, refused: 1 });
    await server.shutdown();
  },
});
