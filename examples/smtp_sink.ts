/**
 * Receives mail for any recipient and appends it to a file in mbox format: for testing programs that send mail. Shows commands
 * and content that end differently, how a line is validated before it is used, and STARTTLS.
 *
 *     deno run --allow-net --allow-write=mail.mbox examples/smtp_sink.ts --port 2525 --mbox mail.mbox
 *     swaks --server 127.0.0.1:2525 --to you@example.org
 */

import { AsyncChat, type FrameTooLongError } from "@asynchat/asynchat";
import { serverTls } from "@asynchat/asynchat/tls";
import { fail, flags, serveChats } from "./command_line.ts";

const HELP =
  `Usage: deno run --allow-net --allow-write examples/smtp_sink.ts [--port 2525] [--hostname 127.0.0.1] [--mbox mail.mbox]
SMTP of RFC 5321 with SIZE, PIPELINING and 8BITMIME; every sender and recipient is accepted.
With --cert cert.pem --key key.pem and --allow-read, also STARTTLS (RFC 3207).`;

const MAX_MAIL_BYTES = 10_485_760; // as in Postfix
const MAX_COMMAND_BYTES = 2_048; //   RFC 5321 requires 512, extensions more
const MAX_LINE_BYTES = 1_000; //      RFC 5321, 4.5.3.1.6, with CR LF
const MAX_RECIPIENTS = 1_000; //      as in Postfix
const MAX_CONNECTIONS = 50; //        each may hold a mail in memory
const LINES_PER_TURN = 16_384; //      then it is the turn of others: 5 ms of work
const [LF, CR, DOT, QUOTE] = [0x0a, 0x0d, 0x2e, 0x3e];

class SmtpSink extends AsyncChat {
  readonly #mbox: string;
  #tls: ReturnType<typeof serverTls> | null; // null without a certificate, or once used
  #helo = "";
  #from: string | null = null;
  #recipients = 0;
  #mail: Uint8Array | null = null; // the current one, as in the file
  #length = 0; // its bytes so far
  #size = 0; //   its bytes as sent
  #lines = 0;
  #fault = "";

  constructor(conn: Deno.Conn, mbox: string, tls: ReturnType<typeof serverTls> | null) {
    super(conn, { idleTimeoutMs: 300_000, maxFrameBytes: MAX_COMMAND_BYTES }); // RFC 5321, 4.5.3.2.7: five minutes
    this.#mbox = mbox;
    this.#tls = tls;
  }

  protected override handleConnect() {
    // Lines end in CR LF only: a server that accepts "\n.\r\n" as the end of a mail is open to SMTP smuggling.
    this.setTerminator("\r\n", { onTooLong: "discard" });
    this.push("220 sink ESMTP\r\n");
  }

  protected override foundTerminator() {
    const line = this.takeData();
    return this.#mail === null ? this.#command(String.fromCharCode(...line)) : this.#contentLine(line);
  }

  protected override frameTooLong(_error: FrameTooLongError) {
    if (this.#mail === null) this.push("500 5.5.2 Line too long\r\n");
    else this.#fault ||= "552 5.3.4 Line too long";
  }

  #command(line: string): unknown {
    const [, verb, rest = ""] = /^([A-Za-z]{4,8})(?: (.*))?$/.exec(line) ?? [];
    if (/[^ -~]/.test(line)) return this.push("500 5.5.2 Syntax error: expected printable ASCII\r\n");
    switch (verb?.toUpperCase()) {
      case "HELO":
        [this.#helo, this.#from] = [rest, null];
        return this.push("250 sink\r\n");
      case "EHLO":
        [this.#helo, this.#from] = [rest, null];
        return this.push(
          `250-sink\r\n250-SIZE ${MAX_MAIL_BYTES}\r\n250-PIPELINING\r\n250-8BITMIME\r\n` +
            `${this.#tls ? "250-STARTTLS\r\n" : ""}250 ENHANCEDSTATUSCODES\r\n`,
        );
      case "STARTTLS":
        if (this.#tls === null) break;
        this.push("220 2.0.0 Begin\r\n");
        return this.#startTls(this.#tls);
      case "MAIL": {
        const [, from, parameters] = /^FROM: ?<([^<> ]*)>((?: [A-Z0-9=-]+)*)$/i.exec(rest) ?? [];
        const size = Number(/ SIZE=([0-9]{1,20})\b/i.exec(parameters ?? "")?.[1] ?? 0);
        if (this.#helo === "") return this.push("503 5.5.1 EHLO first\r\n");
        if (from === undefined) return this.push("501 5.5.4 Expected MAIL FROM:<address>\r\n");
        if (size > MAX_MAIL_BYTES) return this.push("552 5.3.4 Too much mail\r\n");
        [this.#from, this.#recipients] = [from, 0];
        return this.push("250 2.1.0 Ok\r\n");
      }
      case "RCPT":
        if (this.#from === null) return this.push("503 5.5.1 MAIL first\r\n");
        if (!/^TO: ?<[^<> ]+>$/i.test(rest)) return this.push("501 5.5.4 Expected RCPT TO:<address>\r\n");
        if (this.#recipients === MAX_RECIPIENTS) return this.push("452 4.5.3 Too many recipients\r\n");
        this.#recipients++;
        return this.push("250 2.1.5 Ok\r\n");
      case "DATA":
        if (this.#from === null || this.#recipients === 0) return this.push("503 5.5.1 RCPT first\r\n");
        [this.#mail, this.#length, this.#size, this.#fault] = [new Uint8Array(4_096), 0, 0, ""];
        this.#append(encoder.encode(`From ${this.#from || "MAILER-DAEMON"} ${asctime(new Date())}`));
        return this.push("354 End with a line that is a dot\r\n");
      case "RSET":
        this.#from = null;
        return this.push("250 2.0.0 Ok\r\n");
      case "NOOP":
        return this.push("250 2.0.0 Ok\r\n");
      case "VRFY":
        return this.push("252 2.1.5 Perhaps\r\n");
      case "QUIT":
        this.push("221 2.0.0 Bye\r\n");
        return this.closeWhenDone();
    }
    this.push("502 5.5.1 Unknown command\r\n");
  }

  /** Upgrades to TLS and forgets what the client sent before (RFC 3207, 4.2). */
  async #startTls(tls: ReturnType<typeof serverTls>): Promise<void> {
    [this.#tls, this.#helo, this.#from] = [null, "", null];
    await this.startTls(tls);
  }

  #contentLine(line: Uint8Array): unknown {
    if (line.length === 1 && line[0] === DOT) return this.#endOfMail();
    this.#size += line.length + 2;
    // RFC 5321, 2.3.8 forbids a lone CR or LF in a mail. Servers interpret them differently, so they are rejected.
    if (line.includes(CR) || line.includes(LF)) this.#fault ||= "550 5.6.0 A line ends in CR LF, and has none inside";
    if (line.length + 2 > MAX_LINE_BYTES + 1) this.#fault ||= "552 5.3.4 Line too long";
    if (this.#size > MAX_MAIL_BYTES) this.#fault ||= "552 5.3.4 Too much mail";
    if (this.#fault !== "") this.#mail = new Uint8Array();
    else this.#append(line[0] === DOT ? line.subarray(1) : line);
    if (++this.#lines % LINES_PER_TURN === 0) return new Promise((resolve) => setTimeout(resolve, 0));
  }

  /** Appends a line of the mail. Quotes a "From " in it. */
  #append(line: Uint8Array) {
    const needed = this.#length + line.length + 2;
    if (needed > this.#mail!.length) {
      const larger = new Uint8Array(2 * needed);
      larger.set(this.#mail!.subarray(0, this.#length));
      this.#mail = larger;
    }
    const mail = this.#mail!;
    if (this.#length > 0 && isFrom(line)) mail[this.#length++] = QUOTE;
    mail.set(line, this.#length);
    this.#length += line.length;
    mail[this.#length++] = LF;
  }

  async #endOfMail(): Promise<unknown> {
    if (this.#fault === "") this.#append(new Uint8Array()); // separates it from the next
    const mail = this.#mail!.subarray(0, this.#length);
    [this.#mail, this.#from] = [null, null];
    if (this.#fault !== "") return this.push(`${this.#fault}\r\n`);
    this.push(`${await keep(this.#mbox, mail)}\r\n`);
  }
}

const encoder = new TextEncoder();

/** Returns whether a line of an mbox file would start a mail, or was quoted because it would. */
function isFrom(line: Uint8Array): boolean {
  let start = 0;
  while (line[start] === QUOTE) start++;
  return String.fromCharCode(...line.subarray(start, start + 5)) === "From ";
}

/** Formats a time as mbox files have it: `Thu Nov  6 10:00:00 2026`. */
function asctime(date: Date): string {
  return date.toUTCString().replace(
    /^(...), (..) (...) (.{4,}) (.{8}) GMT$/,
    (_, weekday, day, month, year, time) => `${weekday} ${month} ${day.replace(/^0/, " ")} ${time} ${year}`,
  );
}

let lastWrite = Promise.resolve(""); // its reply

/** Appends a mail to the file, one mail at a time. When that fails, leaves the file as it was. Returns the reply. */
function keep(mbox: string, mail: Uint8Array): Promise<string> {
  return lastWrite = lastWrite.then(async () => {
    try {
      using file = await Deno.open(mbox, { append: true, create: true });
      const size = await file.seek(0, Deno.SeekMode.End);
      try {
        for (let rest = mail; rest.length > 0;) rest = rest.subarray(await file.write(rest));
        return "250 2.0.0 Ok: kept";
      } catch {
        await file.truncate(size);
        return "452 4.3.1 Insufficient system storage";
      }
    } catch {
      return "451 4.3.0 Cannot use the file";
    }
  });
}

const options = flags(HELP, { port: "2525", hostname: "127.0.0.1", mbox: "mail.mbox", cert: "", key: "" });
const tls = options.cert === "" ? null : tlsOf(options);
try {
  Deno.openSync(options.mbox, { append: true, create: true }).close();
} catch (error) {
  fail(`Cannot write ${options.mbox}: ${(error as Error).message}`);
}
await serveChats(options, (conn) => new SmtpSink(conn, options.mbox, tls), { maxConnections: MAX_CONNECTIONS });

function tlsOf({ cert, key }: { cert: string; key: string }) {
  try {
    return serverTls({ cert: Deno.readTextFileSync(cert), key: Deno.readTextFileSync(key) });
  } catch (error) {
    fail(`Cannot start: ${(error as Error).message}`);
  }
}
