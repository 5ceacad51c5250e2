import { assertEquals } from "@std/assert";
import { canRun, hasNet } from "../tests/permissions.ts";
import { deno, whileServing } from "../tests/processes.ts";
import { exchange, fromLatin1 } from "../tests/reliability/wire.ts";

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
    const sink = new URL("smtp_sink.ts", import.meta.url);
    await whileServing(sink, ["--allow-net=127.0.0.1", "--allow-write=."], async (port) => {
      for (const [name, content, reply] of SHAPES) {
        const mail = `EHLO me\r\nMAIL FROM:<me@example.org>\r\nRCPT TO:<you@example.org>\r\nDATA\r\n${content}QUIT\r\n`;
        const { text, end } = await exchange(port, fromLatin1(mail));
        const codes = text.split("\r\n").filter((line) => /^[0-9]{3} /.test(line)).map((line) => line.slice(0, 3));
        assertEquals({ codes, end }, { codes: ["220", "250", "250", "250", "354", reply, "221"], end: "end" }, name);
      }
      const mbox = await Deno.readTextFile(`${folder}/mail.mbox`);
      assertEquals(mbox.match(/^From me@example.org .*$/gm)?.length, 3);
      assertEquals(mbox.includes("smuggled"), false);
      assertEquals(mbox.includes("\n.a\n..\n"), true);
    }, folder);
    await Deno.remove(folder, { recursive: true });
  },
});
