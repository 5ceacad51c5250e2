import { assertEquals, assertInstanceOf, assertRejects, assertStringIncludes } from "@std/assert";
import { Buffer } from "node:buffer";
import { PassThrough, Writable } from "node:stream";
import { AsyncChat } from "../chat.ts";
import { canRun } from "../tests/permissions.ts";
import { StreamConn } from "./streams.ts";

/** Asks its questions one by one, and keeps the answers. */
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

/** A connection over two streams, and the test's end of each. */
function streams() {
  const incoming = new TransformStream<Uint8Array, Uint8Array>();
  const outgoing = new TransformStream<Uint8Array, Uint8Array>();
  return {
    conn: new StreamConn(incoming.readable, outgoing.writable),
    writer: incoming.writable.getWriter(),
    readable: outgoing.readable,
  };
}

Deno.test("StreamConn.read() splits a chunk over several reads, and ends with null", async () => {
  const { conn, writer, readable } = streams();
  void writer.write(new Uint8Array([1, 2, 3, 4, 5]));
  void writer.write(new Uint8Array([6]));
  void writer.close();
  const p = new Uint8Array(3);
  const got: (number[] | null)[] = [];
  for (let count; (count = await conn.read(p)) !== null;) got.push([...p.subarray(0, count)]);
  assertEquals(got, [[1, 2, 3], [4, 5], [6]]);
  assertEquals({ atEnd: await conn.read(p), empty: await conn.read(new Uint8Array()) }, { atEnd: null, empty: 0 });
  conn.close();
  await assertRejects(() => readable.getReader().read());
});

Deno.test("StreamConn writes, closes its side, and passes errors of the streams through", async () => {
  const { conn, readable } = streams();
  const reader = readable.getReader();
  const reading = reader.read();
  assertEquals(await conn.write(new Uint8Array([1, 2])), 2);
  assertEquals((await reading).value, new Uint8Array([1, 2]));
  await Promise.all([conn.closeWrite(), reader.read()]);
  conn.close();
  conn.close();

  const broken = streams();
  const failure = new Error("no");
  await broken.writer.abort(failure);
  assertEquals(await assertRejects(() => broken.conn.read(new Uint8Array(1))), failure);
  await broken.readable.cancel(failure);
  assertEquals(await assertRejects(() => broken.conn.write(new Uint8Array(1))), failure);
  broken.conn.close();
});

/** Makes writable streams that keep their chunks after a write, and a reader of what they keep. */
const KEEPERS: Record<string, () => { writable: WritableStream<Uint8Array>; kept: AsyncIterable<Uint8Array> }> = {
  "a TransformStream": () => {
    const { writable, readable } = new TransformStream<Uint8Array, Uint8Array>({}, {}, { highWaterMark: 1_000 });
    return { writable, kept: readable };
  },
  "a stream of Node": () => {
    const kept = new PassThrough({ highWaterMark: 1_000_000 });
    return { writable: Writable.toWeb(kept), kept };
  },
};

for (const [keeper, make] of Object.entries(KEEPERS)) {
  Deno.test(`StreamConn copies what it writes to ${keeper}`, async () => {
    const { writable, kept } = make();
    const conn = new StreamConn(new ReadableStream(), writable);
    const block = Buffer.alloc(2);
    for (const text of ["a", "b", "c"]) {
      block.fill(text);
      await conn.write(text === "c" ? block : new Uint8Array(block.buffer, block.byteOffset, block.length));
    }
    block.fill("x");
    const closing = conn.closeWrite();
    let text = "";
    for await (const chunk of kept) text += new TextDecoder().decode(chunk);
    await closing;
    assertEquals(text, "aabbcc");
    conn.close();
  });

  Deno.test(`a chat over StreamConn replies in order to ${keeper} that is read later`, async () => {
    const replied = Promise.withResolvers<void>();
    class Reply extends AsyncChat {
      protected override handleConnect() {
        this.setTerminator("\n");
      }
      protected override async foundTerminator() {
        const line = this.takeText();
        this.push(`reply ${line}\n`);
        await this.flushed(); // a write for each line
        if (line === "99") replied.resolve();
      }
    }
    const { writable, kept } = make();
    const numbers = Array.from({ length: 100 }, (_, i) => i);
    const incoming = new Response(numbers.map((i) => `${i}\n`).join("")).body!;
    const running = new Reply(new StreamConn(incoming, writable)).run();
    await replied.promise;
    let text = "";
    for await (const chunk of kept) text += new TextDecoder().decode(chunk);
    await running;
    assertEquals(text, numbers.map((i) => `reply ${i}\n`).join(""));
  });
}

Deno.test("StreamConn.close() ends a pending read", async () => {
  const { conn } = streams();
  const reading = conn.read(new Uint8Array(1));
  conn.close();
  assertEquals(await reading, null);
});

Deno.test({
  name: "a chat over StreamConn talks to a child process until it exits",
  ignore: !("execPath" in Deno) || !canRun("python3"),
  async fn() {
    const script = "import sys\nfor line in sys.stdin: print(line.upper(), end='', flush=True)\nprint('bye')";
    const child = new Deno.Command("python3", { args: ["-c", script], stdin: "piped", stdout: "piped" }).spawn();
    const chat = new Ask(new StreamConn(child.stdout, child.stdin), ["one\n", "two\n"]);
    await chat.run();
    assertEquals(chat.answers, ["ONE", "TWO", "bye"]);
    assertEquals(chat.closeReason, undefined);
    assertEquals((await child.status).code, 0);
  },
});

Deno.test({
  name: "a chat over StreamConn closes when its child process dies",
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
  name: "a chat over StreamConn runs on the program's own input and output",
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
      args: ["run", "--quiet", "--config", new URL("../deno.json", import.meta.url).pathname, url],
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const chat = new Ask(new StreamConn(child.stdout, child.stdin), ["one\n", "two\n"]);
    await chat.run();
    assertEquals(chat.answers, ["ONE", "TWO"]);
    assertEquals(chat.closeReason, undefined);
    assertStringIncludes(await new Response(child.stderr).text(), "over undefined");
    assertEquals((await child.status).code, 0);
  },
});
