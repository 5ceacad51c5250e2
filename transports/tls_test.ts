// Uses Deno only where it is there: tools/elsewhere runs what is left on Node and on Bun.
import { assert, assertEquals, assertInstanceOf, assertThrows } from "@std/assert";
import { AsyncChat } from "../chat.ts";
import type { ChatConn, TlsUpgrade } from "../chat/options.ts";
import { ChatClosedError, HandshakeTimeoutError, UnreadPlaintextError } from "../core/errors.ts";
import { FakeClock, memoryPair } from "../testing/mod.ts";
import { turns } from "../tests/recorder.ts";
import { hasCertificates, makeCertificate } from "../tools/certificate.ts";
import { clientTls, serverTls } from "./tls.ts";

const encoder = new TextEncoder();

/** A little of SMTP: what it is asked, over what, and how it ends. */
class Mail extends AsyncChat {
  readonly heard: string[] = [];
  readonly errors: unknown[] = [];
  readonly #tls: TlsUpgrade;
  constructor(conn: ChatConn, tls: TlsUpgrade, clock?: FakeClock) {
    super(conn, clock === undefined ? {} : { clock });
    this.#tls = tls;
    this.setTerminator("\r\n");
  }
  protected override async foundTerminator() {
    const line = this.takeText();
    this.heard.push(line);
    if (line !== "STARTTLS") return this.push(`250 ${line}\r\n`);
    this.push("220 go\r\n");
    await this.startTls(this.#tls);
    this.heard.push("secure");
  }
  protected override handleError(error: unknown) {
    this.errors.push(error);
    this.close(error as Error);
  }
}

/** Its client. */
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
    this.heard.push(line);
    if (line !== "220 go") return this.closeWhenDone();
    await this.#startTls();
    this.push("EHLO\r\n");
  }
}

/** An upgrade that only notes what it is given, and ends when the test says so. */
function noting(role: "client" | "server") {
  const given: { conn: ChatConn; unread: string }[] = [];
  const secured = Promise.withResolvers<ChatConn>();
  const upgrade: TlsUpgrade = {
    role,
    start(conn, unread) {
      given.push({ conn, unread: new TextDecoder().decode(unread) });
      return secured.promise;
    },
  };
  return { upgrade, given, secured };
}

Deno.test("AsyncChat.startTls() sends what is queued, then goes on where the upgrade says, with all else forgotten", async () => {
  const { upgrade, given, secured } = noting("server");
  const [ours, theirs] = memoryPair();
  const chat = new Mail(ours, upgrade);
  const over = chat.run();
  await theirs.send("STARTTLS\r\n");
  assertEquals(await theirs.receiveText(8), "220 go\r\n");
  await turns();
  assertEquals(given.map(({ conn }) => conn), [ours]);
  chat.push("pushed meanwhile\r\n"); // by somebody who knows nothing of it
  const flushed = chat.flushed();
  await theirs.send("not for the chat\r\n");
  await turns();
  assertEquals([chat.heard, chat.bytesSent, theirs.calls.read], [["STARTTLS"], 8, 1]);
  const [inner, peer] = memoryPair();
  secured.resolve(inner);
  assertEquals(await peer.receiveText(18), "pushed meanwhile\r\n");
  await flushed;
  assertEquals(chat.conn, inner);
  await peer.send("HELO\r\n");
  assertEquals(await peer.receiveText(10), "250 HELO\r\n");
  assertEquals([chat.heard, chat.bytesSent], [["STARTTLS", "secure", "HELO"], 36]);
  peer.close();
  theirs.close();
  await over;
  assertEquals([chat.closeReason, chat.errors], [undefined, []]);
});

Deno.test("AsyncChat.startTls() of a server gives what was sent ahead to TLS and never to a hook, at every cut", async () => {
  const sent = "NOOP\r\nSTARTTLS\r\nRCPT TO:<evil>\r\nDA";
  for (let cut = 0; cut <= sent.length; cut++) {
    const { upgrade, given, secured } = noting("server");
    const [ours, theirs] = memoryPair();
    const chat = new Mail(ours, upgrade);
    const over = chat.run();
    const sending = theirs.sendInPieces([sent.slice(0, cut), sent.slice(cut)].filter(Boolean));
    await turns();
    const { unread } = given[0]!;
    const left = new Uint8Array(100); // what was not read yet is left to TLS as well
    const rest = unread.length === 18 ? "" : new TextDecoder().decode(left.subarray(0, await ours.read(left) ?? 0));
    assertEquals(unread + rest, "RCPT TO:<evil>\r\nDA", `cut at ${cut}`);
    const [inner, peer] = memoryPair();
    secured.resolve(inner);
    await peer.send("TA\r\n"); // what had begun in plaintext does not go on in here
    assertEquals(await peer.receiveText(8), "250 TA\r\n");
    assertEquals(chat.heard, ["NOOP", "STARTTLS", "secure", "TA"], `cut at ${cut}`);
    peer.close();
    theirs.close();
    await Promise.all([over, sending]);
  }
});

Deno.test("AsyncChat.startTls() of a client refuses when something was sent ahead, and ends the chat", async () => {
  const { upgrade, given } = noting("client");
  const [ours, theirs] = memoryPair();
  const chat = new Send(ours, upgrade);
  const over = chat.run();
  await theirs.send("220 go\r\n250 injected\r\n");
  await over;
  const reason = chat.closeReason;
  assertInstanceOf(reason, UnreadPlaintextError);
  assertEquals([reason.received, chat.heard, given, chat.errors], [14, ["220 go"], [], []]);
  assertEquals(ours.closed, true);
  theirs.close();
});

Deno.test("AsyncChat.startTls() lets no plaintext through for a hook that does not await it", async () => {
  for (const when of ["connect", "frame", "data"]) {
    class Careless extends AsyncChat {
      readonly heard: string[] = [];
      protected override handleConnect() {
        this.setTerminator("\n");
        if (when === "connect") this.#start();
      }
      protected override collectIncomingData(data: Uint8Array) {
        this.heard.push(new TextDecoder().decode(data));
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
    const { upgrade, given, secured } = noting("server");
    const [ours, theirs] = memoryPair();
    const chat = new Careless(ours);
    const over = chat.run();
    await theirs.send("a\nb\nc");
    await turns();
    assertEquals(given.length, 1, when);
    const [inner, peer] = memoryPair();
    secured.resolve(inner);
    assertEquals(await peer.receiveText(6), "hidden");
    await peer.send("d\n");
    await peer.closeWrite();
    await over;
    assertEquals(chat.heard, when === "connect" ? ["d"] : ["a", "d"], when);
    theirs.close();
    peer.close();
  }
});

Deno.test("AsyncChat.startTls() ends the chat when TLS takes too long, fails, or the chat is closed meanwhile", async () => {
  const failure = new Error("no");
  const befalls: [string, (given: ReturnType<typeof noting>, chat: Mail, clock: FakeClock) => void, unknown][] = [
    ["late", (_given, _chat, clock) => clock.advance(10_000), HandshakeTimeoutError],
    ["failed", ({ secured }) => secured.reject(failure), failure],
    ["closed", (_given, chat) => chat.close(), undefined],
  ];
  for (const [what, befall, expected] of befalls) {
    const clock = new FakeClock();
    const noted = noting("server");
    const [ours, theirs] = memoryPair();
    const chat = new Mail(ours, noted.upgrade, clock);
    const over = chat.run();
    await theirs.send("STARTTLS\r\n");
    assertEquals(await theirs.receiveText(8), "220 go\r\n");
    await turns();
    befall(noted, chat, clock);
    await over;
    if (typeof expected === "function") assertInstanceOf(chat.closeReason, HandshakeTimeoutError);
    else assertEquals(chat.closeReason, expected as Error | undefined, what);
    assertEquals([chat.heard, chat.errors, ours.closed], [["STARTTLS"], [], true], what);
    const [late, peer] = memoryPair();
    noted.secured.resolve(late); // one that comes too late is closed
    await turns();
    assertEquals([late.closed, clock.pending], [what !== "failed", 0], what);
    late[Symbol.dispose]();
    peer.close();
    theirs.close();
  }
});

Deno.test("AsyncChat.startTls() says its last words over TLS when it is told to end meanwhile", async () => {
  const { upgrade, secured } = noting("server");
  const [ours, theirs] = memoryPair();
  const chat = new Mail(ours, upgrade);
  const over = chat.run();
  await theirs.send("STARTTLS\r\n");
  await theirs.receiveText(8);
  chat.push("421 going\r\n");
  chat.closeWhenDone();
  const [inner, peer] = memoryPair();
  secured.resolve(inner);
  assertEquals(await peer.receiveText(), "421 going\r\n");
  peer.close();
  await over;
  assertEquals([chat.closeReason, theirs.calls.read], [undefined, 1]);
  theirs.close();
});

Deno.test("AsyncChat.startTls() refuses to begin where it cannot", async () => {
  class Bare extends AsyncChat {
    protected override foundTerminator() {}
    start() {
      return this.startTls(noting("server").upgrade);
    }
  }
  const [ours, theirs] = memoryPair();
  const chat = new Bare(ours);
  assertThrows(() => chat.start(), ChatClosedError);
  chat.setTerminator("\n");
  const over = chat.run();
  await turns();
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
  name: "serverTls() and clientTls() carry a chat over any connection, and both ends see a good end",
  ignore: !hasCertificates,
  async fn() {
    using certificate = makeCertificate();
    const [a, b] = memoryPair({ maxReadBytes: 100, capacity: 300 }, { maxReadBytes: 77, maxWriteBytes: 50 });
    const mail = new Mail(a, serverTls(certificate));
    const send = new Send(b, clientTls({ hostname: "localhost", caCerts: [certificate.cert] }));
    await Promise.all([mail.run(), send.run()]);
    assertEquals(send.heard, ["220 go", "250 EHLO"]);
    assertEquals(mail.heard, ["STARTTLS", "secure", "EHLO"]);
    assertEquals([mail.closeReason, send.closeReason, a.closed, b.closed], [undefined, undefined, true, true]);
  },
});

Deno.test({
  name: "clientTls() refuses a certificate that it does not trust or that is for another; both chats end",
  ignore: !hasCertificates,
  async fn() {
    using certificate = makeCertificate();
    for (const options of [{ hostname: "localhost" }, { hostname: "example.org", caCerts: [certificate.cert] }]) {
      const [a, b] = memoryPair();
      const mail = new Mail(a, serverTls(certificate));
      const send = new Send(b, clientTls(options));
      await Promise.all([mail.run(), send.run()]);
      assertInstanceOf(send.closeReason, Error);
      assertEquals([send.heard, send.errors, b.closed], [["220 go"], [], true]);
      assertEquals([mail.heard[0], a.closed], ["STARTTLS", true]);
    }
  },
});

Deno.test({
  name: "serverTls() ends the chat of a peer that sends plaintext ahead of its handshake, or goes in the middle of it",
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
      assertEquals([mail.heard, mail.errors, a.closed], [["STARTTLS"], [], true]);
    }
  },
});

Deno.test({
  name: "serverTls() refuses a key that does not fit its certificate at once",
  ignore: !hasCertificates,
  fn() {
    using one = makeCertificate();
    using two = makeCertificate();
    assertThrows(() => serverTls({ cert: one.cert, key: two.key }), TypeError, "the key is of another certificate");
    assertThrows(() => serverTls({ cert: "nonsense", key: two.key }), Error);
  },
});
