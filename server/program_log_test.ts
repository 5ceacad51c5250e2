import { assert, assertEquals, assertMatch } from "@std/assert";
import { canRun, hasNet } from "../tests/permissions.ts";
import { deno, Lines, until } from "../tests/processes.ts";
import { answersIn, connect, isGreeted, receive, send } from "../tests/reliability/wire.ts";

// The program when its log cannot be written, or is not read.
const ignore = Deno.build.os !== "linux" || !hasNet || !canRun(deno, "sh");
const program = new URL("../server.ts", import.meta.url).href;

/** Starts the program in a shell, which redirects its output. */
function start(redirection: string, port: number, ...flags: string[]): Deno.ChildProcess {
  const run = [deno, "run", "--quiet", "--no-prompt", "--allow-net", "--allow-read", program];
  return new Deno.Command("sh", {
    args: ["-c", `exec "$@" ${redirection}`, "sh", ...run, "--verbose", "--port", String(port), ...flags],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

/** A port that is free now. */
function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

for (const workers of ["1", "2"]) {
  Deno.test({
    name:
      `server.ts --workers ${workers} answers, survives resets and exits with 0 when its output goes to a full disk`,
    ignore,
    async fn() {
      const port = freePort();
      const child = start(">/dev/full 2>/dev/full", port, "--workers", workers, "--max-per-address", "2");
      const greeted = (name: string) => isGreeted(port, name).catch(() => false);
      await until("it listens", () => greeted("first"));
      const rejected = await Promise.all(Array.from({ length: 10 }, () => connect(port)));
      for (const conn of rejected) conn.close();
      await until("it answers again", () => greeted("again"));
      child.kill("SIGTERM");
      await child.stdout.cancel();
      await child.stderr.cancel();
      assertEquals((await child.status).code, 0);
    },
  });

  Deno.test({
    name: `server.ts --workers ${workers} answers while its log is not read, and counts what it drops`,
    ignore,
    async fn() {
      const child = start("", 0, "--workers", workers);
      await using lines = new Lines(child.stdout);
      const port = await lines.nextPort();
      const conn = await connect(port);
      const requests = 2_000; // 16 MB of log: more than the pipe and the queue hold
      const sending = send(conn, `GET /${"x".repeat(8_000)} HTTP/1.1\r\nHost: h\r\n\r\n`.repeat(requests))
        .then(() => conn.closeWrite());
      const { text } = await receive(conn);
      await sending;
      conn.close();
      assertEquals(answersIn(text).filter(({ status }) => status === 200).length, requests);
      let printed = 0;
      let line: string | null;
      while (!/ lines of the log were dropped/.test((line = await lines.next()) ?? "")) {
        assert(line !== null, "the program ended");
        printed++;
      }
      assertMatch(line!, /^[0-9]+ lines of the log were dropped: they could not be written in time$/);
      assertEquals(printed + parseInt(line!), requests);
      child.kill("SIGTERM");
      assertMatch((await lines.next())!, /^Served 1 connections /);
      await child.stderr.cancel();
      assertEquals((await child.status).code, 0);
    },
  });
}

Deno.test({
  name: "server.ts exits with 0 although its log is never read",
  ignore,
  async fn() {
    const child = start("", 0);
    await using lines = new Lines(child.stdout);
    const conn = await connect(await lines.nextPort());
    const sending = send(conn, `GET /${"x".repeat(8_000)} HTTP/1.1\r\nHost: h\r\n\r\n`.repeat(100));
    let received = 0;
    for (const buffer = new Uint8Array(65_536); received < 800_000;) received += (await conn.read(buffer))!;
    await sending;
    conn.close();
    child.kill("SIGTERM");
    await child.stderr.cancel();
    assertEquals((await child.status).code, 0);
  },
});
