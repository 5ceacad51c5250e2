/**
 * Sends a mail: the client's side of a protocol. Asks, waits for the answer, which may have several lines, and asks on.
 *
 *     deno run --allow-net examples/smtp_client.ts --port 2525 --from me@example.org --to you@example.org < mail.txt
 */

import { AsyncChat, ChatClosedError } from "@asynchat/asynchat";
import { fail, flags } from "./command_line.ts";

const HELP =
  `Usage: deno run --allow-net examples/smtp_client.ts --from ADDRESS --to ADDRESS [--host 127.0.0.1] [--port 25]
Reads the mail from its input, header lines first, and sends it by SMTP (RFC 5321).`;

const LONGEST_REPLY = 100; // lines; a server that goes on and on is not to be listened to

interface Reply {
  code: number;
  lines: string[];
}

/** One question at a time: `ask()` fulfils with the answer. */
class SmtpClient extends AsyncChat {
  #lines: string[] = [];
  #answer = Promise.withResolvers<Reply>();
  readonly greeting: Promise<Reply> = this.#answer.promise;

  protected override handleConnect() {
    this.setTerminator("\r\n");
  }

  /** `250-` says that more lines come, `250 ` that this is the last (RFC 5321, 4.2). */
  protected override foundTerminator() {
    const [, code, sign, text] = /^([2-5][0-9]{2})([ -]?)(.*)$/.exec(this.takeText()) ?? [];
    if (code === undefined || this.#lines.push(text!) > LONGEST_REPLY) return this.close(new Error("This is no SMTP"));
    if (sign !== "-") this.#answer.resolve({ code: Number(code), lines: this.#lines.splice(0) });
  }

  protected override handleClose(reason?: Error) {
    this.#answer.promise.catch(() => {}); // perhaps nobody waits for it
    this.#answer.reject(reason ?? new ChatClosedError("wait for an answer"));
  }

  async ask(command: string, wanted: number): Promise<Reply> {
    if (this.state !== "open") throw this.closeReason ?? new Error("the server has ended the connection");
    this.#answer = Promise.withResolvers();
    this.push(`${command}\r\n`);
    return expect(wanted, await this.#answer.promise);
  }
}

function expect(wanted: number, reply: Reply): Reply {
  if (reply.code === wanted) return reply;
  throw new Error(`${wanted} is wanted, the server says ${reply.code} ${reply.lines.join(" ")}`);
}

const { host, port, from, to } = flags(HELP, { host: "127.0.0.1", port: "25", from: "", to: "" });
if (!/^[^\s<>]+$/.test(from) || !/^[^\s<>]+$/.test(to)) fail("Cannot send: --from and --to are wanted (--help)");
// One char a byte; every line ends in CR LF, and one that begins with a dot gets another (RFC 5321, 4.5.2).
const mail = new TextDecoder("latin1").decode(await new Response(Deno.stdin.readable).arrayBuffer());
const lines = mail.split(/\r\n|\r|\n/).map((line) => line.startsWith(".") ? `.${line}` : line);
if (lines.at(-1) === "") lines.pop();
try {
  await using client = new SmtpClient(await Deno.connect({ hostname: host, port: Number(port) }), {
    idleTimeoutMs: 300_000,
  });
  client.run();
  expect(220, await client.greeting);
  await client.ask("EHLO localhost", 250);
  await client.ask(`MAIL FROM:<${from}>`, 250);
  await client.ask(`RCPT TO:<${to}>`, 250);
  await client.ask("DATA", 354);
  client.push(Uint8Array.from(lines.map((line) => `${line}\r\n`).join(""), (char) => char.charCodeAt(0)));
  const { lines: [said] } = await client.ask(".", 250);
  await client.ask("QUIT", 221);
  console.log(`Sent: ${said}`);
} catch (error) {
  fail(`Cannot send by ${host}:${port}: ${(error as Error).message}`);
}
