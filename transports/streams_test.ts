import { assertEquals, assertInstanceOf, assertRejects, assertStringIncludes } from "@std/assert";
import { AsyncChat } from "../chat.ts";
import { canRun } from "../tests/permissions.ts";
import { StreamConn } from "./streams.ts";

/** Asks its questions one after the other, and keeps the answers. */
class Ask extends AsyncChat {
  readonly answers: string[] = [];
  readonly #questions: string[];
  constructor(conn: StreamConn, questions: string[]) {
    super(conn);
    this.#questions = [...questions];
  }
  protected override handleConnect() {
    this.setTerminator("\n");
    this.push(this.#questions.shift()!);
  }
  protected override foundTerminator() {
    this.answers.push(this.takeText());
    const next = this.#questions.shift();
    if (next === undefined) this.closeWrite();
    else this.push(next);
  }
}

/** Two streams as a connection, and what the test holds of them. */
function streams() {
  const said = new TransformStream<Uint8Array, Uint8Array>();
  const heard = new TransformStream<Uint8Array, Uint8Array>();
  return {
    conn: new StreamConn(said.readable, heard.writable),
    says: said.writable.getWriter(),
    hears: heard.readable,
  };
}

Deno.test("StreamConn gives a piece in as many reads as it takes, and the end", async () => {
  const { conn, says, hears } = streams();
  void says.write(new Uint8Array([1, 2, 3, 4, 5]));
  void says.write(new Uint8Array([6]));
  void says.close();
  const p = new Uint8Array(3);
  const got: (number[] | null)[] = [];
  for (let count; (count = await conn.read(p)) !== null;) got.push([...p.subarray(0, count)]);
  assertEquals(got, [[1, 2, 3], [4, 5], [6]]);
  assertEquals([await conn.read(p), await conn.read(new Uint8Array())], [null, 0]);
  conn.close();
  await assertRejects(() => hears.getReader().read());
});

Deno.test("StreamConn writes, ends its side, and passes on what the streams fail with", async () => {
  const { conn, hears } = streams();
  const reader = hears.getReader();
  const reading = reader.read();
  assertEquals(await conn.write(new Uint8Array([1, 2])), 2);
  assertEquals((await reading).value, new Uint8Array([1, 2]));
  await Promise.all([conn.closeWrite(), reader.read()]);
  conn.close();
  conn.close();

  const broken = streams();
  const failure = new Error("no");
  await broken.says.abort(failure);
  assertEquals(await assertRejects(() => broken.conn.read(new Uint8Array(1))), failure);
  await broken.hears.cancel(failure);
  assertEquals(await assertRejects(() => broken.conn.write(new Uint8Array(1))), failure);
  broken.conn.close();
});

Deno.test("StreamConn ends a pending read when it is closed", async () => {
  const { conn } = streams();
  const reading = conn.read(new Uint8Array(1));
  conn.close();
  assertEquals(await reading, null);
});

Deno.test({
  name: "a chat talks to a child process through StreamConn, until the child has no more to say",
  ignore: !("execPath" in Deno) || !canRun("python3"),
  async fn() {
    const script = "import sys\nfor line in sys.stdin: print(line.upper(), end='', flush=True)\nprint('bye')";
    const child = new Deno.Command("python3", { args: ["-c", script], stdin: "piped", stdout: "piped" }).spawn();
    const chat = new Ask(new StreamConn(child.stdout, child.stdin), ["one\n", "two\n"]);
    await chat.run();
    assertEquals([chat.answers, chat.closeReason], [["ONE", "TWO", "bye"], undefined]);
    assertEquals((await child.status).code, 0);
  },
});

Deno.test({
  name: "a chat is told of a child process that dies in the middle",
  ignore: !("execPath" in Deno) || !canRun("python3"),
  async fn() {
    const script = "import sys; sys.stdin.readline(); print('one', flush=True); print('tw', end='', flush=True)";
    const child = new Deno.Command("python3", { args: ["-c", script], stdin: "piped", stdout: "piped" }).spawn();
    const chat = new Ask(new StreamConn(child.stdout, child.stdin), ["a\n", "b\n".repeat(100_000)]);
    await chat.run();
    assertEquals(chat.answers, ["one"]);
    if (chat.closeReason !== undefined) assertInstanceOf(chat.closeReason, Deno.errors.BrokenPipe);
    await child.status;
  },
});

Deno.test({
  name: "a program is a chat over its own input and output",
  ignore: !("execPath" in Deno) || !canRun(Deno.execPath()),
  async fn() {
    const program = `
      import { AsyncChat } from "${new URL("../mod.ts", import.meta.url)}";
      import { StreamConn } from "${new URL("./streams.ts", import.meta.url)}";
      class Shout extends AsyncChat {
        handleConnect() { this.setTerminator("\\n"); }
        foundTerminator() { this.push(this.takeText().toUpperCase() + "\\n"); }
        handleClose(reason) { console.error("over", reason); }
      }
      await new Shout(new StreamConn(Deno.stdin.readable, Deno.stdout.writable)).run();`;
    const url = `data:text/javascript,${encodeURIComponent(program)}`;
    const child = new Deno.Command(Deno.execPath(), {
      args: ["run", "--quiet", url],
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const chat = new Ask(new StreamConn(child.stdout, child.stdin), ["one\n", "two\n"]);
    await chat.run();
    assertEquals([chat.answers, chat.closeReason], [["ONE", "TWO"], undefined]);
    assertStringIncludes(await new Response(child.stderr).text(), "over undefined");
    assertEquals((await child.status).code, 0);
  },
});
