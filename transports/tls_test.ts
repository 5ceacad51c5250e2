// Uses Deno only where it exists: tools/elsewhere runs these tests on Node and Bun as well.
import { assert, assertEquals, assertInstanceOf, assertThrows } from "@std/assert";
import { AsyncChat } from "../chat.ts";
import type { ChatConn, TlsUpgrade } from "../chat/options.ts";
import { ChatClosedError, HandshakeTimeoutError, UnreadPlaintextError } from "../core/errors.ts";
import { FakeClock, memoryPair } from "../testing/mod.ts";
import { makeCertificate } from "../tests/certificates.ts";
import { hasCertificates } from "../tests/permissions.ts";
import { flushMicrotasks } from "../tests/recorder.ts";
import { clientTls, serverTls } from "./tls.ts";

const encoder = new TextEncoder();

/** A minimal SMTP server; records the lines and the errors. */
class Mail extends AsyncChat {
  readonly lines: string[] = [];
  readonly errors: unknown[] = [];
  readonly #tls: TlsUpgrade;
  constructor(conn: ChatConn, tls: TlsUpgrade, clock?: FakeClock) {
    super(conn, clock === undefined ? {} : { clock });
    this.#tls = tls;
    this.setTerminator("\r\n");
  }
  protected override async foundTerminator() {
    const line = this.takeText();
    this.lines.push(line);
    if (line !== "STARTTLS") return this.push(`250 ${line}\r\n`);
    this.push("220 go\r\n");
    await this.startTls(this.#tls);
    this.lines.push("secure");
  }
  protected override handleError(error: unknown) {
    this.errors.push(error);
    this.close(error as Error);
  }
}

/** Its client: upgrades, sends one command, and closes. */
class Send extends Mail {
  protected override handleConnect() {
    this.push("STARTTLS\r\n");
  }
  readonly #startTls: () => Promise<void>;
  constructor(conn: ChatConn, tls: TlsUpgrade, clock?: FakeClock) {
    super(conn, tls, clock);
    this.#startTls = () => this.startTls(tls);
  }
  protected override async foundTerminator() {
    const line = this.takeText();
    this.lines.push(line);
    if (line !== "220 go") return this.closeWhenDone();
    await this.#startTls();
    this.push("EHLO\r\n");
  }
}

/** An upgrade that records its arguments, and completes when the test resolves `secured`. */
function recordedUpgrade(role: "client" | "server") {
  const calls: { conn: ChatConn; unread: string }[] = [];
  const secured = Promise.withResolvers<ChatConn>();
  const upgrade: TlsUpgrade = {
    role,
    start(conn, unread) {
      calls.push({ conn, unread: new TextDecoder().decode(unread) });
      return secured.promise;
    },
  };
  return { upgrade, calls, secured };
}

Deno.test("AsyncChat.startTls() flushes, then continues on the upgraded connection", async () => {
  const { upgrade, calls, secured } = recordedUpgrade("server");
  const [ours, theirs] = memoryPair();
  const chat = new Mail(ours, upgrade);
  const over = chat.run();
  await theirs.send("STARTTLS\r\n");
  assertEquals(await theirs.receiveText(8), "220 go\r\n");
  await flushMicrotasks();
  assertEquals(calls.map(({ conn }) => conn), [ours]);
  chat.push("pushed meanwhile\r\n"); // as a broadcast would, during the handshake
  const flushed = chat.flushed();
  await theirs.send("for TLS\r\n");
  await flushMicrotasks();
  assertEquals(chat.lines, ["STARTTLS"]);
  assertEquals({ bytesSent: chat.bytesSent, reads: theirs.calls.read }, { bytesSent: 8, reads: 1 });
  const [inner, peer] = memoryPair();
  secured.resolve(inner);
  assertEquals(await peer.receiveText(18), "pushed meanwhile\r\n");
  await flushed;
  assertEquals(chat.conn, inner);
  await peer.send("HELO\r\n");
  assertEquals(await peer.receiveText(10), "250 HELO\r\n");
  assertEquals(chat.lines, ["STARTTLS", "secure", "HELO"]);
  assertEquals(chat.bytesSent, 36);
  peer.close();
  theirs.close();
  await over;
  assertEquals({ reason: chat.closeReason, errors: chat.errors }, { reason: undefined, errors: [] });
});

Deno.test("AsyncChat.startTls() of a server passes bytes sent ahead to TLS only, at every cut", async () => {
  const sent = "NOOP\r\nSTARTTLS\r\nRCPT TO:<evil>\r\nDA";
  for (let cut = 0; cut <= sent.length; cut++) {
    const { upgrade, calls, secured } = recordedUpgrade("server");
    const [ours, theirs] = memoryPair();
    const chat = new Mail(ours, upgrade);
    const over = chat.run();
    const sending = theirs.sendInPieces([sent.slice(0, cut), sent.slice(cut)].filter(Boolean));
    await flushMicrotasks();
    const { unread } = calls[0]!;
    const left = new Uint8Array(100); // bytes that were not read yet go to TLS as well
    const rest = unread.length === 18 ? "" : new TextDecoder().decode(left.subarray(0, await ours.read(left) ?? 0));
    assertEquals(unread + rest, "RCPT TO:<evil>\r\nDA", `cut at ${cut}`);
    const [inner, peer] = memoryPair();
    secured.resolve(inner);
    await peer.send("TA\r\n"); // a frame that began in plaintext does not continue here
    assertEquals(await peer.receiveText(8), "250 TA\r\n");
    assertEquals(chat.lines, ["NOOP", "STARTTLS", "secure", "TA"], `cut at ${cut}`);
    peer.close();
    theirs.close();
    await Promise.all([over, sending]);
  }
});

Deno.test("AsyncChat.startTls() of a client closes the chat when bytes were sent ahead", async () => {
  const { upgrade, calls } = recordedUpgrade("client");
  const [ours, theirs] = memoryPair();
  const chat = new Send(ours, upgrade);
  const over = chat.run();
  await theirs.send("220 go\r\n250 injected\r\n");
  await over;
  const reason = chat.closeReason;
  assertInstanceOf(reason, UnreadPlaintextError);
  assertEquals(reason.received, 14);
  assertEquals({ lines: chat.lines, calls, errors: chat.errors }, { lines: ["220 go"], calls: [], errors: [] });
  assertEquals(ours.closed, true);
  theirs.close();
});

Deno.test("AsyncChat.startTls() dispatches no plaintext when the hook does not await it", async () => {
  for (const when of ["connect", "frame", "data"]) {
    class Careless extends AsyncChat {
      readonly lines: string[] = [];
      protected override handleConnect() {
        this.setTerminator("\n");
        if (when === "connect") this.#start();
      }
      protected override collectIncomingData(data: Uint8Array) {
        this.lines.push(new TextDecoder().decode(data));
        if (when === "data" && this.conn === ours) this.#start();
      }
      protected override foundTerminator() {
        if (when === "frame" && this.conn === ours) this.#start();
      }
      #start() {
        void this.startTls(upgrade);
        this.push("hidden");
      }
    }
    const { upgrade, calls, secured } = recordedUpgrade("server");
    const [ours, theirs] = memoryPair();
    const chat = new Careless(ours);
    const over = chat.run();
    await theirs.send("a\nb\nc");
    await flushMicrotasks();
    assertEquals(calls.length, 1, when);
    const [inner, peer] = memoryPair();
    secured.resolve(inner);
    assertEquals(await peer.receiveText(6), "hidden");
    await peer.send("d\n");
    await peer.closeWrite();
    await over;
    assertEquals(chat.lines, when === "connect" ? ["d"] : ["a", "d"], when);
    theirs.close();
    peer.close();
  }
});

Deno.test("AsyncChat.startTls() closes the chat on timeout, on failure, and on close() meanwhile", async () => {
  const failure = new Error("no");
  const events: [
    string,
    (recorded: ReturnType<typeof recordedUpgrade>, chat: Mail, clock: FakeClock) => void,
    unknown,
  ][] = [
    ["late", (_recorded, _chat, clock) => clock.advance(10_000), HandshakeTimeoutError],
    ["failed", ({ secured }) => secured.reject(failure), failure],
    ["closed", (_recorded, chat) => chat.close(), undefined],
  ];
  for (const [what, act, expected] of events) {
    const clock = new FakeClock();
    const recorded = recordedUpgrade("server");
    const [ours, theirs] = memoryPair();
    const chat = new Mail(ours, recorded.upgrade, clock);
    const over = chat.run();
    await theirs.send("STARTTLS\r\n");
    assertEquals(await theirs.receiveText(8), "220 go\r\n");
    await flushMicrotasks();
    act(recorded, chat, clock);
    await over;
    if (typeof expected === "function") assertInstanceOf(chat.closeReason, HandshakeTimeoutError);
    else assertEquals(chat.closeReason, expected as Error | undefined, what);
    assertEquals({ lines: chat.lines, errors: chat.errors }, { lines: ["STARTTLS"], errors: [] }, what);
    assertEquals(ours.closed, true, what);
    const [late, peer] = memoryPair();
    recorded.secured.resolve(late); // a connection that comes too late is closed
    await flushMicrotasks();
    assertEquals(late.closed, what !== "failed", what);
    assertEquals(clock.pending, 0, what);
    late[Symbol.dispose]();
    peer.close();
    theirs.close();
  }
});

Deno.test("AsyncChat.closeWhenDone() during startTls() flushes over TLS before closing", async () => {
  const { upgrade, secured } = recordedUpgrade("server");
  const [ours, theirs] = memoryPair();
  const chat = new Mail(ours, upgrade);
  const over = chat.run();
  await theirs.send("STARTTLS\r\n");
  await theirs.receiveText(8);
  chat.push("421 closing\r\n");
  chat.closeWhenDone();
  const [inner, peer] = memoryPair();
  secured.resolve(inner);
  assertEquals(await peer.receiveText(), "421 closing\r\n");
  peer.close();
  await over;
  assertEquals({ reason: chat.closeReason, reads: theirs.calls.read }, { reason: undefined, reads: 1 });
  theirs.close();
});

Deno.test("AsyncChat.startTls() throws before run(), outside of a hook, and when closing", async () => {
  class Bare extends AsyncChat {
    protected override foundTerminator() {}
    start() {
      return this.startTls(recordedUpgrade("server").upgrade);
    }
  }
  const [ours, theirs] = memoryPair();
  const chat = new Bare(ours);
  assertThrows(() => chat.start(), ChatClosedError);
  chat.setTerminator("\n");
  const over = chat.run();
  await flushMicrotasks();
  assertThrows(
    () => chat.start(),
    TypeError,
    "Cannot start TLS: a read or a handshake is pending, call it inside a hook",
  );
  chat.closeWhenDone();
  assertThrows(() => chat.start(), ChatClosedError, "Cannot start TLS");
  theirs.close();
  await over;
});

Deno.test({
  name: "serverTls() and clientTls() run a chat over any connection to a clean close",
  ignore: !hasCertificates,
  async fn() {
    using certificate = makeCertificate();
    const [a, b] = memoryPair({ maxReadBytes: 100, capacity: 300 }, { maxReadBytes: 77, maxWriteBytes: 50 });
    const mail = new Mail(a, serverTls(certificate));
    const send = new Send(b, clientTls({ hostname: "localhost", caCerts: [certificate.cert] }));
    await Promise.all([mail.run(), send.run()]);
    assertEquals(send.lines, ["220 go", "250 EHLO"]);
    assertEquals(mail.lines, ["STARTTLS", "secure", "EHLO"]);
    assertEquals({ mail: mail.closeReason, send: send.closeReason }, { mail: undefined, send: undefined });
    assertEquals({ a: a.closed, b: b.closed }, { a: true, b: true });
  },
});

Deno.test({
  name: "clientTls() rejects an untrusted certificate and one for another name; both chats close",
  ignore: !hasCertificates,
  async fn() {
    using certificate = makeCertificate();
    for (const options of [{ hostname: "localhost" }, { hostname: "example.org", caCerts: [certificate.cert] }]) {
      const [a, b] = memoryPair();
      const mail = new Mail(a, serverTls(certificate));
      const send = new Send(b, clientTls(options));
      await Promise.all([mail.run(), send.run()]);
      assertInstanceOf(send.closeReason, Error);
      assertEquals({ lines: send.lines, errors: send.errors }, { lines: ["220 go"], errors: [] });
      assertEquals(mail.lines[0], "STARTTLS");
      assertEquals({ a: a.closed, b: b.closed }, { a: true, b: true });
    }
  },
});

Deno.test({
  name: "serverTls() closes on plaintext before the handshake, and on EOF within it",
  ignore: !hasCertificates,
  async fn() {
    using certificate = makeCertificate();
    for (const ahead of ["RCPT TO:<evil>\r\nDATA\r\nxxxxxxxxxxxxxxxx", ""]) {
      const [a, b] = memoryPair();
      const mail = new Mail(a, serverTls(certificate));
      const over = mail.run();
      await b.send(encoder.encode(`STARTTLS\r\n${ahead}`));
      assertEquals(await b.receiveText(8), "220 go\r\n");
      b.close();
      await over;
      assert(mail.closeReason !== undefined);
      assertEquals(
        { lines: mail.lines, errors: mail.errors, closed: a.closed },
        { lines: ["STARTTLS"], errors: [], closed: true },
      );
    }
  },
});

Deno.test({
  name: "serverTls() throws at once when the key does not match the certificate",
  ignore: !hasCertificates,
  fn() {
    using one = makeCertificate();
    using two = makeCertificate();
    assertThrows(
      () => serverTls({ cert: one.cert, key: two.key }),
      TypeError,
      "the private key does not match the certificate",
    );
    assertThrows(() => serverTls({ cert: "nonsense", key: two.key }), Error);
  },
});
