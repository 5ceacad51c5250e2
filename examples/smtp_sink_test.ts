import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { canRun, hasNet } from "../tests/permissions.ts";
import { deno, denoRun, finish, Lines, whileServing } from "../tests/processes.ts";
import { connect, exchange, fromLatin1, send } from "../tests/reliability/wire.ts";

const SINK = new URL("smtp_sink.ts", import.meta.url);
const PERMISSIONS = ["--allow-net=127.0.0.1", "--allow-write=."];

/** The commands of a client that sends one mail. */
const session = (content: string) =>
  `EHLO me\r\nMAIL FROM:<me@example.org>\r\nRCPT TO:<you@example.org>\r\nDATA\r\n${content}QUIT\r\n`;

/** Sends one mail. Returns the code of the reply to its content. */
async function replyTo(port: number, content: string): Promise<string> {
  const { text } = await exchange(port, fromLatin1(session(content)));
  return text.split("\r\n").at(-3)!.slice(0, 3);
}

/** The content sent, and the code of the sink's reply to its end. */
const SHAPES: [name: string, content: string, reply: string][] = [
  ["a mail", "Subject: a\r\n\r\nb\r\n.\r\n", "250"],
  ["an empty mail", ".\r\n", "250"],
  ["dots are unstuffed", "..a\r\n...\r\n.\r\n", "250"],
  ["LF . LF does not end a mail", "a\n.\nMAIL FROM:<smuggled@example.org>\r\n.\r\n", "550"],
  ["LF . CR LF does not end a mail", "a\n.\r\nMAIL FROM:<smuggled@example.org>\r\n.\r\n", "550"],
  ["CR . CR LF does not end a mail", "a\r.\r\nMAIL FROM:<smuggled@example.org>\r\n.\r\n", "550"],
  ["CR LF . LF does not end a mail", "a\r\n.\nMAIL FROM:<smuggled@example.org>\r\n.\r\n", "550"],
  ["CR LF . CR does not end a mail", "a\r\n.\rMAIL FROM:<smuggled@example.org>\r\n.\r\n", "550"],
  ["a line above the limit", `${"x".repeat(3_000)}\r\n.\r\n`, "552"],
];

Deno.test({
  name: "smtp_sink.ts keeps valid mails and rejects SMTP smuggling",
  ignore: !hasNet || !canRun(deno),
  async fn() {
    const folder = await Deno.makeTempDir();
    await whileServing(SINK, PERMISSIONS, async (port) => {
      for (const [name, content, reply] of SHAPES) {
        const { text, end } = await exchange(port, fromLatin1(session(content)));
        const codes = text.split("\r\n").filter((line) => /^[0-9]{3} /.test(line)).map((line) => line.slice(0, 3));
        assertEquals({ codes, end }, { codes: ["220", "250", "250", "250", "354", reply, "221"], end: "end" }, name);
      }
      const mbox = await Deno.readTextFile(`${folder}/mail.mbox`);
      const asctime =
        /^From me@example\.org (Sun|Mon|Tue|Wed|Thu|Fri|Sat) [A-Z][a-z]{2} [ 1-3][0-9] [0-9:]{8} 20[0-9]{2}$/gm;
      assertEquals({ ours: mbox.match(asctime)?.length, all: mbox.match(/^From /gm)?.length }, { ours: 3, all: 3 });
      assertEquals(mbox.includes("smuggled"), false);
      assertEquals(mbox.includes("\n.a\n..\n"), true);
    }, folder);
    await Deno.remove(folder, { recursive: true });
  },
});

Deno.test({
  name: "smtp_sink.ts writes an mbox file that Python's mailbox reads, each mail whole",
  ignore: !hasNet || !canRun(deno, "python3"),
  async fn() {
    const folder = await Deno.makeTempDir();
    await whileServing(SINK, PERMISSIONS, async (port) => {
      for (const content of ["Subject: a\r\n\r\nFrom b\r\n>From c\r\nd\r\n", "Subject: e\r\n\r\nf\r\n", ""]) {
        assertEquals(await replyTo(port, `${content}.\r\n`), "250");
      }
    }, folder);
    const script = "import mailbox\nfor m in mailbox.mbox('mail.mbox'): " +
      "print(m.get_from().split()[0], len(m.get_from()), m['subject'], repr(m.get_payload()))";
    const { out } = await finish(new Deno.Command("python3", { args: ["-c", script], cwd: folder }));
    const length = "me@example.org Thu Nov 26 10:00:00 2026".length;
    assertEquals(out.split("\n"), [
      `me@example.org ${length} a '>From b\\n>>From c\\nd\\n'`,
      `me@example.org ${length} e 'f\\n'`,
      `me@example.org ${length} None ''`,
      "",
    ]);
    await Deno.remove(folder, { recursive: true });
  },
});

Deno.test({
  name: "smtp_sink.ts replies 452 when the file cannot grow, and leaves no part of the mail",
  ignore: !hasNet || !canRun(deno, "sh"),
  async fn() {
    const folder = await Deno.makeTempDir();
    // A file may have 2,000 blocks of 512 bytes.
    const script = `trap '' XFSZ; ulimit -f 2000; exec "$0" "$@"`;
    const args = ["run", "--quiet", "--no-prompt", ...PERMISSIONS, SINK.pathname, "--port", "0"];
    const sink = new Deno.Command("sh", {
      args: ["-c", script, deno, ...args],
      cwd: folder,
      stdin: "null",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    try {
      await using lines = new Lines(sink.stdout);
      const port = await lines.nextPort();
      const mail = (name: string, lines: number) => `Subject: ${name}\r\n\r\n${"x\r\n".repeat(lines)}.\r\n`;
      const codes = [
        await replyTo(port, mail("one", 300_000)),
        await replyTo(port, mail("two", 300_000)), // 600 KB each
        await replyTo(port, mail("three", 1)),
      ];
      assertEquals(codes, ["250", "452", "250"]);
    } finally {
      sink.kill("SIGTERM");
      await sink.status;
    }
    const mails = (await Deno.readTextFile(`${folder}/mail.mbox`)).split("\n\nFrom ");
    assertEquals(mails.map((mail) => /^Subject: (.*)$/m.exec(mail)?.[1]), ["one", "three"]);
    await Deno.remove(folder, { recursive: true });
  },
});

Deno.test({
  name: "smtp_sink.ts does not start when it cannot write the file",
  ignore: !hasNet || !canRun(deno),
  async fn() {
    const folder = await Deno.makeTempDir();
    const missing = "missing/mail.mbox";
    const { code, out, error } = await finish(
      denoRun(SINK, PERMISSIONS, ["--port", "0", "--mbox", missing], { cwd: folder }),
    );
    assertEquals({ code, out, lines: error.trimEnd().split("\n").length }, { code: 1, out: "", lines: 1 });
    assertStringIncludes(error, `Cannot write ${missing}: `);
    await Deno.remove(folder, { recursive: true });
  },
});

/** Sends a mail of 10 MB, from its own process: this one measures. Prints the code of the last reply. */
const LARGE_MAIL = `
import smtplib, sys
client = smtplib.SMTP("127.0.0.1", int(sys.argv[1]))
client.ehlo(); client.mail("me@example.org"); client.rcpt("you@example.org"); client.docmd("DATA")
client.send(b"Subject: large\\r\\n\\r\\n" + b"\\r\\n" * 5_000_000 + b".\\r\\n")
print(client.getreply()[0])
`;

Deno.test({
  name: "smtp_sink.ts serves others while it receives a large mail of empty lines",
  ignore: !hasNet || !canRun(deno, "python3"),
  async fn() {
    const folder = await Deno.makeTempDir();
    await whileServing(SINK, PERMISSIONS, async (port) => {
      const other = await connect(port);
      await using lines = new Lines(other.readable);
      await lines.next();
      const began = performance.now();
      const large = finish(new Deno.Command("python3", { args: ["-c", LARGE_MAIL, `${port}`] }));
      let isOver = false;
      large.then(() => isOver = true);
      let longest = 0;
      for (let probes = 0; !isOver || probes < 2; probes++) {
        const sent = performance.now();
        await send(other, "NOOP\r\n");
        assertEquals(await lines.next(), "250 2.0.0 Ok\r");
        longest = Math.max(longest, performance.now() - sent);
      }
      assertEquals((await large).out.trim(), "250");
      const total = performance.now() - began;
      assert(longest < total / 4, `a NOOP took ${longest} ms of ${total}`);
    }, folder);
    await Deno.remove(folder, { recursive: true });
  },
});
