import { assertEquals, assertInstanceOf, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { type Certificate, makeCertificate } from "../tests/certificates.ts";
import { serveLocally } from "../tests/local_server.ts";
import { canRun, hasCertificates, hasNet } from "../tests/permissions.ts";
import { AsyncChat, type ChatConn, HandshakeTimeoutError, serve, type ServeOptions } from "../mod.ts";
import { until } from "../tests/processes.ts";
import { FakeClock, memoryPair } from "../testing/mod.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Answers each line, and records how it ends. */
class Echo extends AsyncChat {
  readonly end = Promise.withResolvers<Error | undefined>();
  readonly lines: string[] = [];
  constructor(conn: ChatConn) {
    super(conn);
    this.setTerminator("\n");
  }
  protected override foundTerminator() {
    const line = this.takeText();
    this.lines.push(line);
    this.push(`${line}!\n`);
    if (line === "quit") this.closeWhenDone();
  }
  protected override handleClose(reason?: Error) {
    this.end.resolve(reason);
  }
}

/** A client of it. */
class Ask extends Echo {
  protected override handleConnect() {
    this.push("hello\n");
  }
  protected override foundTerminator() {
    this.lines.push(this.takeText());
    this.closeWhenDone();
  }
}

/** An echo server over TLS. */
function serveTls({ cert, key }: Certificate, options: Partial<ServeOptions> = {}) {
  return serveLocally((conn) => new Echo(conn), { cert, key, ...options });
}

/** Shows that a server still answers. */
async function ask(port: number, caCerts: string[]): Promise<string[]> {
  const chat = new Ask(await Deno.connectTls({ hostname: "127.0.0.1", port, caCerts }));
  await chat.run();
  return chat.lines;
}

async function readAll(conn: Deno.Conn): Promise<Uint8Array> {
  const answer = new Uint8Array(1_000);
  return answer.subarray(0, await conn.read(answer).catch(() => null) ?? 0);
}

Deno.test({
  name: "serve() with cert and key speaks TLS, a chat is its client, and both end normally",
  ignore: !hasNet || !hasCertificates,
  async fn() {
    using certificate = makeCertificate();
    const { server, port, nextChat } = serveTls(certificate);
    const client = new Ask(
      await Deno.connectTls({ hostname: "localhost", port, caCerts: [certificate.cert] }),
    );
    await client.run();
    assertEquals({ lines: client.lines, reason: client.closeReason }, { lines: ["hello!"], reason: undefined });
    assertEquals(await (await nextChat()).end.promise, undefined);
    await server.shutdown();
    assertEquals(server.stats.closes, { done: 1 });
  },
});

Deno.test({
  name: "serve() over TLS counts a timed-out handshake per address until its peer ends",
  ignore: !hasNet || !hasCertificates,
  async fn() {
    using certificate = makeCertificate();
    const clock = new FakeClock();
    const options = { clock, handshakeTimeoutMs: 3_000, maxConnectionsPerAddress: 1 };
    const { server, port, nextError } = serveTls(certificate, options);
    const silent = await Deno.connect({ hostname: "127.0.0.1", port });
    await until("it is accepted", () => Promise.resolve(server.stats.handshaking === 1));
    const failed = nextError();
    clock.advance(3_000);
    assertInstanceOf(await failed, HandshakeTimeoutError);
    assertEquals(server.stats.handshaking, 1);
    const rejected = await Deno.connect({ hostname: "127.0.0.1", port }); // its file is held as well
    await until("it is rejected", () => Promise.resolve(server.stats.refused === 1));
    assertEquals(server.stats.handshaking, 2);
    silent.close();
    rejected.close();
    await until("its file is free", () => Promise.resolve(server.stats.handshaking === 0));
    assertEquals(await ask(port, [certificate.cert]), ["hello!"]);
    await server.shutdown();
  },
});

Deno.test({
  name: "serve() over TLS that is shut down does not wait for a timed-out handshake",
  ignore: !hasNet || !hasCertificates,
  async fn() {
    using certificate = makeCertificate();
    const clock = new FakeClock();
    const { server, port, nextError } = serveTls(certificate, { clock, handshakeTimeoutMs: 3_000 });
    using _silent = await Deno.connect({ hostname: "127.0.0.1", port });
    await until("it is accepted", () => Promise.resolve(server.stats.handshaking === 1));
    const failed = nextError();
    clock.advance(3_000);
    await failed;
    await server.shutdown();
  },
});

Deno.test({
  name: "AsyncChat over TLS ends with UnexpectedEof when the peer ends without close_notify",
  ignore: !hasNet || !hasCertificates || !canRun("python3"),
  async fn() {
    using certificate = makeCertificate();
    const { server, port, nextChat } = serveTls(certificate);
    const python = (last: string) =>
      new Deno.Command("python3", {
        args: ["-c", PYTHON_CLIENT, String(port), `${certificate.dir}/cert.pem`, last],
        stdin: "null",
        stderr: "inherit",
      }).output();
    const clean = await python("s.unwrap()"); // sends close_notify and waits for ours
    assertEquals(decoder.decode(clean.stdout), "TLSv1.3 b'hello!\\n'\n");
    assertEquals(await (await nextChat()).end.promise, undefined);
    const cut = await python("s.close()"); // just the end of TCP
    assertEquals(decoder.decode(cut.stdout), "TLSv1.3 b'hello!\\n'\n");
    const chat = await nextChat();
    assertInstanceOf(await chat.end.promise, Deno.errors.UnexpectedEof);
    assertEquals(chat.lines, ["hello"]); // complete frames are dispatched
    await server.shutdown();
    assertEquals(server.stats.closes, { done: 1, UnexpectedEof: 1 });
  },
});

const PYTHON_CLIENT = `
import socket, ssl, sys
context = ssl.create_default_context(cafile=sys.argv[2])
s = context.wrap_socket(socket.create_connection(("127.0.0.1", int(sys.argv[1]))), server_hostname="localhost")
s.sendall(b"hello\\nhalf a line")
print(s.version(), s.recv(100))
exec(sys.argv[3])
`;

Deno.test({
  name: "serve() answers openssl s_client, which checks its certificate",
  ignore: !hasNet || !hasCertificates,
  async fn() {
    using certificate = makeCertificate();
    const { server, port, nextChat } = serveTls(certificate);
    for (const version of ["-tls1_2", "-tls1_3"]) {
      const child = new Deno.Command("openssl", {
        args: ["s_client", "-connect", `127.0.0.1:${port}`, "-CAfile", `${certificate.dir}/cert.pem`]
          .concat("-verify_return_error", "-quiet", version),
        stdin: "piped",
        stdout: "piped",
        stderr: "null",
      }).spawn();
      const writer = child.stdin.getWriter();
      await writer.write(encoder.encode("hello\nquit\n"));
      const { stdout } = await child.output(); // it ends when we do
      await writer.close().catch(() => {});
      assertEquals(decoder.decode(stdout), "hello!\nquit!\n");
      assertEquals(await (await nextChat()).end.promise, undefined);
    }
    await server.shutdown();
  },
});

Deno.test({
  name: "serve() closes one connection for a failed handshake, calls onError, and goes on",
  ignore: !hasNet || !hasCertificates,
  async fn() {
    using certificate = makeCertificate();
    using other = makeCertificate();
    const { server, port, nextError } = serveTls(certificate);
    const where = { hostname: "127.0.0.1", port };

    using plain = await Deno.connect(where); // speaks no TLS
    await plain.write(encoder.encode("GET / HTTP/1.1\r\n\r\n"));
    assertInstanceOf(await nextError(), Deno.errors.InvalidData);
    assertEquals((await readAll(plain))[0], 21); // an alert (RFC 8446, 6)

    (await Deno.connect(where)).close(); // connects and closes
    assertInstanceOf(await nextError(), Deno.errors.UnexpectedEof);

    using halfway = await Deno.connect(where); // ends in the middle of its ClientHello
    await halfway.write(Uint8Array.of(0x16, 3, 1, 2, 0, 1, 0));
    await halfway.closeWrite();
    assertInstanceOf(await nextError(), Deno.errors.UnexpectedEof);

    const distrusting = await Deno.connectTls({ ...where, caCerts: [other.cert] }); // does not trust the certificate
    await assertRejects(() => distrusting.handshake(), Deno.errors.InvalidData);
    distrusting.close();
    assertInstanceOf(await nextError(), Deno.errors.InvalidData);

    assertEquals(await ask(port, [certificate.cert]), ["hello!"]);
    await server.shutdown();
    const { accepted, acceptErrors } = server.stats;
    assertEquals({ accepted, acceptErrors }, { accepted: 1, acceptErrors: 4 });
  },
});

Deno.test({
  name: "a client fails on a certificate that is expired or for another name; the server goes on",
  ignore: !hasNet || !hasCertificates,
  async fn() {
    using expired = makeCertificate(-1);
    const { server, port, nextError } = serveTls(expired);
    const conn = await Deno.connectTls({ hostname: "127.0.0.1", port, caCerts: [expired.cert] });
    const chat = new Ask(conn); // a chat that starts before the handshake is done ends with its error
    await chat.run();
    assertInstanceOf(chat.closeReason, Deno.errors.InvalidData);
    assertStringIncludes(chat.closeReason.message, "Expired");
    assertInstanceOf(await nextError(), Deno.errors.InvalidData);
    await server.shutdown();

    using good = makeCertificate();
    const another = serveTls(good);
    const tcp = await Deno.connect({ hostname: "127.0.0.1", port: another.port });
    const misnamed = await Deno.startTls(tcp, { hostname: "example.org", caCerts: [good.cert] });
    await assertRejects(() => misnamed.handshake(), Deno.errors.InvalidData, "certificate not valid for name");
    misnamed.close();
    await another.nextError();
    assertEquals(await ask(another.port, [good.cert]), ["hello!"]);
    await another.server.shutdown();
  },
});

Deno.test({
  name: "serve() accepts others during a TLS handshake, and closes one that is too slow",
  ignore: !hasNet || !hasCertificates,
  async fn() {
    using certificate = makeCertificate();
    const clock = new FakeClock();
    const { server, port, nextError } = serveTls(certificate, { clock, handshakeTimeoutMs: 3_000 });
    using _silent = await Deno.connect({ hostname: "127.0.0.1", port });
    assertEquals(await ask(port, [certificate.cert]), ["hello!"]);
    clock.advance(2_999);
    assertEquals(server.stats.acceptErrors, 0);
    clock.advance(1);
    const error = await nextError();
    assertInstanceOf(error, HandshakeTimeoutError);
    assertEquals(
      error.message,
      "Handshake timeout: the TLS handshake is incomplete, limit is 3000 ms",
    );
    await server.shutdown();
    assertEquals(clock.pending, 0);
  },
});

Deno.test({
  name: "maxConnectionsPerAddress counts handshaking connections; one too many gets no refusal",
  ignore: !hasNet || !hasCertificates,
  async fn() {
    using certificate = makeCertificate();
    const { server, port, nextError } = serveTls(certificate, { maxConnectionsPerAddress: 1, refusal: "full\n" });
    const silent = await Deno.connect({ hostname: "127.0.0.1", port });
    using second = await Deno.connectTls({ hostname: "127.0.0.1", port, caCerts: [certificate.cert] });
    assertEquals((await readAll(second)).length, 0);
    assertEquals(server.stats.refused, 1);
    silent.close();
    await nextError();
    assertEquals(await ask(port, [certificate.cert]), ["hello!"]);
    await server.shutdown();
  },
});

Deno.test({
  name: "serve() throws for a key of another certificate, and for what is not PEM",
  ignore: !hasNet || !hasCertificates,
  fn() {
    using one = makeCertificate();
    using two = makeCertificate();
    const options = { hostname: "127.0.0.1", port: 0 };
    const accept = (conn: Deno.Conn) => new Echo(conn);
    for (
      const [cert, key] of [[one.cert, two.key], ["nonsense", one.key], [one.cert, ""], [one.key, one.cert]] as const
    ) {
      const error = assertThrows(() => serve({ ...options, cert, key }, accept), TypeError);
      assertEquals(error.message, "Cannot serve: cert or key is invalid, expected a certificate and its key in PEM");
    }
  },
});

Deno.test("serve() throws for TLS options that exclude or need each other", () => {
  const accept = () => new Echo(memoryPair()[0]);
  const refused: [Partial<ServeOptions>, string][] = [
    [{ cert: "x" }, "got cert without key, expected both"],
    [{ key: "x" }, "got key without cert, expected both"],
    [
      { cert: "x", key: "x", proxyProtocol: { trusted: [] } },
      "got both cert and proxyProtocol, expected one",
    ],
  ];
  for (const [options, problem] of refused) {
    assertThrows(() => serve({ port: 0, ...options }, accept), TypeError, `Cannot serve: ${problem}`);
  }
  assertThrows(
    () => serve({ port: 0, handshakeTimeoutMs: 0 }, accept),
    RangeError,
    "handshakeTimeoutMs is 0, expected a number of at least 1",
  );
});
