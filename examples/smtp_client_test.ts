import { assertEquals } from "@std/assert";
import { AsyncChat, serve } from "../mod.ts";
import { canRun, hasNet } from "../tests/permissions.ts";
import { deno, denoRun } from "../tests/processes.ts";

/** Accepts one mail, and replies to its end with `reply`. */
class Server extends AsyncChat {
  size = 0; // of the mail
  last = new Uint8Array(); // its last bytes
  #inMail = false;

  constructor(conn: Deno.Conn, readonly reply: string) {
    super(conn);
  }
  protected override handleConnect() {
    this.setTerminator("\r\n");
    this.push("220 \u2028\r\n");
  }
  protected override collectIncomingData(data: Uint8Array) {
    if (!this.#inMail) return super.collectIncomingData(data);
    this.size += data.length;
    const last = new Uint8Array([...this.last, ...data.subarray(-20)]);
    this.last = last.subarray(-20);
  }
  protected override foundTerminator() {
    if (this.#inMail) {
      this.#inMail = false;
      this.setTerminator("\r\n");
      return this.push(`${this.reply}\r\n`);
    }
    const command = this.takeText();
    if (command === "DATA") {
      this.#inMail = true;
      this.setTerminator("\r\n.\r\n", { maxFrameBytes: 100_000_000 });
    }
    this.push(`${command === "DATA" ? 354 : command === "QUIT" ? 221 : 250} Ok\r\n`);
  }
}

/** Runs the client with this input against a server. Returns its output, and the server's chat. */
async function sendMail(mail: ReadableStream<Uint8Array>, reply = "250 Ok") {
  const chats: Server[] = [];
  await using server = serve({ hostname: "127.0.0.1", port: 0 }, (conn) => {
    const chat = new Server(conn, reply);
    chats.push(chat);
    return chat;
  });
  const { port } = server.addr as Deno.NetAddr;
  const args = ["--port", `${port}`, "--from", "a@example.org", "--to", "b@example.org"];
  const client = denoRun(new URL("smtp_client.ts", import.meta.url), ["--allow-net=127.0.0.1"], args, {
    stdin: "piped",
  }).spawn();
  const [{ code, stdout, stderr }] = await Promise.all([client.output(), mail.pipeTo(client.stdin).catch(() => {})]);
  const [out, error] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes).trimEnd());
  return { code, out, error: error!.replace(`${port}`, "PORT"), chat: chats[0]! };
}

Deno.test({
  name: "smtp_client.ts sends a mail of 20 MB, with CR LF at line ends and doubled dots",
  ignore: !hasNet || !canRun(deno),
  async fn() {
    const line = new TextEncoder().encode(`.${"x".repeat(98)}\n`);
    const block = new Uint8Array(1_000 * line.length);
    for (let at = 0; at < block.length; at += line.length) block.set(line, at);
    let blocks = 0;
    const mail = new ReadableStream<Uint8Array>({
      pull(controller) {
        if (blocks++ < 200) return controller.enqueue(block.slice());
        controller.enqueue(new TextEncoder().encode("\n\r\r\n.\r.last"));
        controller.close();
      },
    });
    const { code, out, error, chat } = await sendMail(mail);
    assertEquals({ code, out, error }, { code: 0, out: "Sent: Ok", error: "" });
    const last = "\r\n\r\n\r\n..\r\n..last"; // an empty line, CR, and CR LF
    assertEquals(new TextDecoder().decode(chat.last).slice(-last.length), last);
    assertEquals(chat.size, 200_000 * (line.length + 2) + last.length);
  },
});

Deno.test({
  name: "smtp_client.ts prints no control character of the server",
  ignore: !hasNet || !canRun(deno),
  async fn() {
    const mail = () => new Response("Subject: a\n\nb").body!;
    const sent = await sendMail(mail(), "250 Ok\x1b[31m\u009b\u202e");
    assertEquals({ code: sent.code, out: sent.out }, { code: 0, out: "Sent: Ok?[31m??" });
    const failed = await sendMail(mail(), "550 no\x1b]0;x\x07");
    assertEquals({ code: failed.code, error: failed.error }, {
      code: 1,
      error: "Cannot send through 127.0.0.1:PORT: Unexpected reply: got 550 no?]0;x?, expected 250",
    });
  },
});
