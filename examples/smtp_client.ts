/**
 * Sends a mail. Shows a client: it sends a command, waits for the reply, which may have several lines, and goes on.
 *
 *     deno run --allow-net examples/smtp_client.ts --port 2525 --from me@example.org --to you@example.org < mail.txt
 */

import { AsyncChat, ChatClosedError } from "@asynchat/asynchat";
import { fail, flags } from "./command_line.ts";

const HELP =
  `Usage: deno run --allow-net examples/smtp_client.ts --from ADDRESS --to ADDRESS [--host 127.0.0.1] [--port 25]
Reads a mail from standard input, header lines first, and sends it by SMTP (RFC 5321).`;

const MAX_REPLY_LINES = 100;

interface Reply {
  code: number;
  lines: string[];
}

/** Sends one command at a time: `send()` resolves with the reply. */
class SmtpClient extends AsyncChat {
  #lines: string[] = [];
  #reply = Promise.withResolvers<Reply>();
  readonly greeting: Promise<Reply> = this.#reply.promise;

  protected override handleConnect() {
    this.setTerminator("\r\n");
  }

  /** `250-` announces further lines; `250 ` is the last one (RFC 5321, 4.2). */
  protected override foundTerminator() {
    const [, code, sign, text] = /^([2-5][0-9]{2})([ -]?)([^]*)$/.exec(this.takeText()) ?? [];
    if (code === undefined || this.#lines.push(text!) > MAX_REPLY_LINES) {
      return this.close(new Error("Invalid SMTP reply"));
    }
    if (sign !== "-") this.#reply.resolve({ code: Number(code), lines: this.#lines.splice(0) });
  }

  protected override handleClose(reason?: Error) {
    this.#reply.promise.catch(() => {}); // it may have no consumer
    this.#reply.reject(reason ?? new ChatClosedError("receive a reply"));
  }

  async send(command: string, expected: number): Promise<Reply> {
    if (this.state !== "open") throw this.closeReason ?? new Error("Server closed the connection");
    this.#reply = Promise.withResolvers();
    this.push(`${command}\r\n`);
    return expect(expected, await this.#reply.promise);
  }
}

/** Replaces control characters, which a terminal would obey. */
const printable = (text: string) => text.replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, "?");

/** Reads a mail. Every line ends in CR LF; a leading dot is doubled (RFC 5321, 4.5.2). */
async function* content(input: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array> {
  const [LF, CR, DOT] = [0x0a, 0x0d, 0x2e];
  let [isLineStart, isAfterCr] = [true, false];
  for await (const chunk of input) {
    const lines = new Uint8Array(2 * chunk.length);
    let length = 0;
    for (const byte of chunk) {
      const isEnd = byte === CR || byte === LF && !isAfterCr;
      if (isEnd) {
        lines[length++] = CR;
        lines[length++] = LF;
      } else if (byte !== LF) {
        if (isLineStart && byte === DOT) lines[length++] = DOT;
        lines[length++] = byte;
      }
      isLineStart = isEnd || byte === LF;
      isAfterCr = byte === CR;
    }
    yield lines.subarray(0, length);
  }
  if (!isLineStart) yield new Uint8Array([CR, LF]);
}

function expect(expected: number, reply: Reply): Reply {
  if (reply.code === expected) return reply;
  throw new Error(`Unexpected reply: got ${reply.code} ${reply.lines.join(" ")}, expected ${expected}`);
}

const { host, port, from, to } = flags(HELP, { host: "127.0.0.1", port: "25", from: "", to: "" });
if (!/^[^\s<>]+$/.test(from) || !/^[^\s<>]+$/.test(to)) fail("Cannot send: expected --from and --to, see --help");
try {
  await using client = new SmtpClient(await Deno.connect({ hostname: host, port: Number(port) }), {
    idleTimeoutMs: 300_000,
  });
  client.run();
  expect(220, await client.greeting);
  await client.send("EHLO localhost", 250);
  await client.send(`MAIL FROM:<${from}>`, 250);
  await client.send(`RCPT TO:<${to}>`, 250);
  await client.send("DATA", 354);
  client.pushWithProducer(content(Deno.stdin.readable)); // of any size: a piece at a time
  const { lines: [text] } = await client.send(".", 250);
  await client.send("QUIT", 221);
  console.log(`Sent: ${printable(text!)}`);
} catch (error) {
  fail(`Cannot send through ${host}:${port}: ${printable((error as Error).message)}`);
}
