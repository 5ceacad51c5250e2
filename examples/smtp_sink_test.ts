import { assertEquals } from "@std/assert";
import { canRun, hasNet } from "../tests/permissions.ts";
import { deno, whileServing } from "../tests/processes.ts";
import { exchange, fromLatin1 } from "../tests/reliability/wire.ts";

/** What is sent as content, what the sink answers at its end, and whether a mail is kept. */
const SHAPES: [name: string, content: string, answer: string][] = [
  ["a mail", "Subject: a\r\n\r\nb\r\n.\r\n", "250"],
  ["a mail of nothing", ".\r\n", "250"],
  ["dots are unstuffed", "..a\r\n...\r\n.\r\n", "250"],
  ["LF . LF is no end", "a\n.\nMAIL FROM:<smuggled@example.org>\r\n.\r\n", "550"],
  ["LF . CR LF is no end", "a\n.\r\nMAIL FROM:<smuggled@example.org>\r\n.\r\n", "550"],
  ["CR . CR LF is no end", "a\r.\r\nMAIL FROM:<smuggled@example.org>\r\n.\r\n", "550"],
  ["CR LF . LF is no end", "a\r\n.\nMAIL FROM:<smuggled@example.org>\r\n.\r\n", "550"],
  ["CR LF . CR is no end", "a\r\n.\rMAIL FROM:<smuggled@example.org>\r\n.\r\n", "550"],
  ["a line beyond the limit", `${"x".repeat(3_000)}\r\n.\r\n`, "552"],
];

Deno.test({
  name: "smtp_sink.ts keeps what is a mail, and smuggles none in for another",
  ignore: !hasNet || !canRun(deno),
  async fn() {
    const folder = await Deno.makeTempDir();
    const sink = new URL("smtp_sink.ts", import.meta.url);
    await whileServing(sink, ["--allow-net=127.0.0.1", "--allow-write=."], async (port) => {
      for (const [name, content, answer] of SHAPES) {
        const mail = `EHLO me\r\nMAIL FROM:<me@example.org>\r\nRCPT TO:<you@example.org>\r\nDATA\r\n${content}QUIT\r\n`;
        const { text, end } = await exchange(port, fromLatin1(mail));
        const codes = text.split("\r\n").filter((line) => /^[0-9]{3} /.test(line)).map((line) => line.slice(0, 3));
        assertEquals([codes, end], [["220", "250", "250", "250", "354", answer, "221"], "end"], name);
      }
      const mbox = await Deno.readTextFile(`${folder}/mail.mbox`);
      assertEquals(mbox.match(/^From me@example.org .*$/gm)?.length, 3);
      assertEquals(mbox.includes("smuggled"), false);
      assertEquals(mbox.includes("\n.a\n..\n"), true);
    }, folder);
    await Deno.remove(folder, { recursive: true });
  },
});
