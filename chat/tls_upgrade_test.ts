// STARTTLS over TCP: with ourselves, openssl, Python's smtplib and swaks.

import { assertEquals, assertInstanceOf, assertMatch, assertStringIncludes } from "@std/assert";
import { clientTls, serverTls } from "../transports/tls.ts";
import { AsyncChat, type ChatConn, type TlsUpgrade, UnreadPlaintextError } from "../mod.ts";
import { makeCertificate } from "../tests/certificates.ts";
import { serveLocally } from "../tests/local_server.ts";
import { canRun, hasCertificates, hasNet } from "../tests/permissions.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Receives mail and records its commands; STARTTLS resets the EHLO (RFC 3207, 4.2). */
class Smtp extends AsyncChat {
  readonly ended = Promise.withResolvers<Error | undefined>();
  readonly commands: string[] = [];
  mail = "";
  #secure = false;
  #hello = "";
  #inMail = false;
  readonly #tls: TlsUpgrade;

  constructor(conn: ChatConn, tls: TlsUpgrade) {
    super(conn);
    this.#tls = tls;
  }
  protected override handleConnect() {
    this.setTerminator("\r\n");
    this.push("220 localhost ESMTP\r\n");
  }
  protected override async foundTerminator() {
    const text = this.takeText();
    if (this.#inMail) {
      this.mail = text;
      this.#inMail = false;
      this.setTerminator("\r\n");
      return this.push("250 accepted\r\n");
    }
    const verb = text.split(" ")[0]!.toUpperCase();
    this.commands.push(this.#secure ? verb : `${verb} in plaintext`);
    if (verb === "EHLO") {
      this.#hello = text;
      this.push(this.#secure ? "250 localhost\r\n" : "250-localhost\r\n250 STARTTLS\r\n");
    } else if (verb === "STARTTLS") {
      this.push("220 go ahead\r\n");
      await this.startTls(this.#tls);
      this.#secure = true;
      this.#hello = "";
    } else if (verb === "DATA") {
      this.push("354 end with a dot\r\n");
      this.#inMail = true;
      this.setTerminator("\r\n.\r\n", { maxFrameBytes: 1_048_576 });
    } else if (verb === "QUIT") {
      this.push("221 bye\r\n");
      this.closeWhenDone();
    } else {
      this.push(this.#hello === "" && verb === "MAIL" ? "503 say hello first\r\n" : "250 ok\r\n");
    }
  }
  protected override handleClose(reason?: Error) {
    this.ended.resolve(reason);
  }
}

function serveSmtp(tls: TlsUpgrade) {
  return serveLocally((conn) => new Smtp(conn, tls));
}

/** A client that sends EHLO, STARTTLS, EHLO again, and QUIT. */
class Client extends AsyncChat {
  readonly replies: string[] = [];
  readonly #certificates: string[];
  readonly #commands = ["EHLO me\r\n", "STARTTLS\r\n", "EHLO me\r\n", "QUIT\r\n"];

  constructor(conn: ChatConn, certificates: string[]) {
    super(conn);
    this.#certificates = certificates;
  }
  protected override handleConnect() {
    this.setTerminator("\r\n");
  }
  protected override async foundTerminator() {
    const line = this.takeText();
    this.replies.push(line);
    if (line[3] === "-") return;
    if (line === "220 go ahead") await this.startTls(clientTls({ hostname: "localhost", caCerts: this.#certificates }));
    if (this.#commands.length > 0) this.push(this.#commands.shift()!);
    else this.closeWhenDone();
  }
}

/** Whether a chat ended without a fault. These clients may reset after QUIT instead of reading our TLS close_notify. */
async function endedCleanly(chat: Smtp): Promise<boolean> {
  const reason = await chat.ended.promise;
  return reason === undefined || (chat.commands.at(-1) === "QUIT" && reason instanceof Deno.errors.ConnectionReset);
}

const ALL_COMMANDS = ["EHLO in plaintext", "STARTTLS in plaintext", "EHLO", "QUIT"];

Deno.test({
  name: "AsyncChat.startTls() secures both ends of an open TCP connection",
  ignore: !hasNet || !hasCertificates,
  async fn() {
    using certificate = makeCertificate();
    const { server, port, nextChat } = serveSmtp(serverTls(certificate));
    const client = new Client(await Deno.connect({ hostname: "127.0.0.1", port }), [certificate.cert]);
    await client.run();
    const chat = await nextChat();
    assertEquals(client.replies.slice(-3), ["220 go ahead", "250 localhost", "221 bye"]);
    assertEquals({ commands: chat.commands, reason: await chat.ended.promise, clientReason: client.closeReason }, {
      commands: ALL_COMMANDS,
      reason: undefined,
      clientReason: undefined,
    });

    const distrusting = new Client(await Deno.connect({ hostname: "127.0.0.1", port }), []);
    await distrusting.run();
    assertInstanceOf(distrusting.closeReason, Deno.errors.InvalidData);
    const distrusted = await nextChat();
    assertInstanceOf(await distrusted.ended.promise, Error);
    assertEquals(distrusted.commands, ["EHLO in plaintext", "STARTTLS in plaintext"]);
    await server.shutdown();
  },
});

Deno.test({
  name: "AsyncChat.startTls() of a server dispatches no plaintext sent ahead of the handshake",
  ignore: !hasNet || !hasCertificates,
  async fn() {
    using certificate = makeCertificate();
    const { server, port, nextChat } = serveSmtp(serverTls(certificate));
    for (const together of [true, false]) {
      const conn = await Deno.connect({ hostname: "127.0.0.1", port });
      conn.setNoDelay(true);
      const [command, injected] = ["STARTTLS\r\n", "MAIL FROM:<mallory>\r\nRCPT TO:<everybody>\r\n"];
      await conn.write(encoder.encode(together ? command + injected : command));
      if (!together) await conn.write(encoder.encode(injected));
      const chat = await nextChat();
      assertInstanceOf(await chat.ended.promise, Error);
      assertEquals(chat.commands, ["STARTTLS in plaintext"]);
      conn.close();
    }
    await server.shutdown();
  },
});

Deno.test({
  name: "AsyncChat.startTls() of a client rejects plaintext sent ahead of the handshake",
  ignore: !hasNet || !hasCertificates,
  async fn() {
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const client = new Client(await Deno.connect({ hostname: "127.0.0.1", port: listener.addr.port }), []);
    using conn = await listener.accept();
    await conn.write(encoder.encode("220 go ahead\r\n250 injected\r\n"));
    await client.run();
    assertInstanceOf(client.closeReason, UnreadPlaintextError);
    assertEquals({ replies: client.replies, read: await conn.read(new Uint8Array(10)) }, {
      replies: ["220 go ahead"],
      read: null,
    });
  },
});

Deno.test({
  name: "AsyncChat.startTls() serves openssl s_client -starttls smtp with TLS 1.2 and 1.3",
  ignore: !hasNet || !hasCertificates,
  async fn() {
    using certificate = makeCertificate();
    const { server, port, nextChat } = serveSmtp(serverTls(certificate));
    for (const version of ["-tls1_2", "-tls1_3"]) {
      const child = new Deno.Command("openssl", {
        args: [
          "s_client",
          "-connect",
          `127.0.0.1:${port}`,
          "-starttls",
          "smtp",
          "-CAfile",
          `${certificate.dir}/cert.pem`,
        ]
          .concat("-verify_return_error", "-quiet", "-crlf", version),
        stdin: "piped",
        stdout: "piped",
        stderr: "null",
      }).spawn();
      const writer = child.stdin.getWriter();
      await writer.write(encoder.encode("EHLO me\nQUIT\n"));
      assertEquals(decoder.decode((await child.output()).stdout), "250 localhost\r\n221 bye\r\n");
      await writer.close().catch(() => {}); // openssl has exited
      const chat = await nextChat();
      assertEquals({ commands: chat.commands, reason: await chat.ended.promise }, {
        commands: ALL_COMMANDS,
        reason: undefined,
      });
    }
    await server.shutdown();
  },
});

Deno.test({
  name: "AsyncChat.startTls() serves Python's smtplib, which verifies the certificate",
  ignore: !hasNet || !hasCertificates || !canRun("python3"),
  async fn() {
    using certificate = makeCertificate();
    const { server, port, nextChat } = serveSmtp(serverTls(certificate));
    const { success } = await new Deno.Command("python3", {
      args: ["-c", SMTPLIB, String(port), `${certificate.dir}/cert.pem`],
      stdin: "null",
      stderr: "inherit",
    }).output();
    const chat = await nextChat();
    assertEquals({ success, endedCleanly: await endedCleanly(chat) }, { success: true, endedCleanly: true });
    assertEquals(chat.commands.slice(0, 3), ALL_COMMANDS.slice(0, 3));
    assertStringIncludes(chat.mail, "x".repeat(900));
    assertEquals(chat.mail.split("\r\n").length, 300);
    await server.shutdown();
  },
});

const SMTPLIB = `
import smtplib, ssl, sys
with smtplib.SMTP("localhost", int(sys.argv[1]), source_address=("127.0.0.1", 0)) as client:
    client.starttls(context=ssl.create_default_context(cafile=sys.argv[2]))
    client.sendmail("a@localhost", ["b@localhost"], ("x" * 900 + "\\r\\n") * 300)
`;

Deno.test({
  name: "AsyncChat.startTls() serves swaks --tls",
  ignore: !hasNet || !hasCertificates || !canRun("swaks"),
  async fn() {
    using certificate = makeCertificate();
    const { server, port, nextChat } = serveSmtp(serverTls(certificate));
    const mail = ["--from", "a@localhost", "--to", "b@localhost", "--body", "hello from swaks"];
    const { success, stdout } = await new Deno.Command("swaks", {
      args: ["--server", "127.0.0.1", "--port", String(port), "--tls", "--helo", "me", ...mail],
      stdin: "null",
      stderr: "inherit",
    }).output();
    const chat = await nextChat();
    assertEquals(
      { success, endedCleanly: await endedCleanly(chat) },
      { success: true, endedCleanly: true },
      decoder.decode(stdout),
    );
    assertMatch(decoder.decode(stdout), /TLS started with cipher TLSv1\.3/);
    assertStringIncludes(chat.mail, "hello from swaks");
    assertEquals(chat.commands, [...ALL_COMMANDS.slice(0, 3), "MAIL", "RCPT", "DATA", "QUIT"]);
    await server.shutdown();
  },
});
