import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { exchange } from "../tests/reliability/wire.ts";
import { canRun, hasNet } from "../tests/permissions.ts";
import { serveInWorkers } from "./workers.ts";
import { deno, denoRun, finish, Lines, until } from "../tests/processes.ts";

// The program with several workers, as it is started by hand.
const ignore = Deno.build.os !== "linux" || !hasNet || !canRun(deno);
const program = new URL("../server.ts", import.meta.url);

function command(permissions: string[], flags: string[]): Deno.Command {
  return denoRun(program, permissions, ["--port", "0", "--workers", ...flags]);
}

Deno.test({
  name: "server.ts --workers 2 serves with two threads, drains both, and sums their counts",
  ignore,
  async fn() {
    const child = command(["--allow-net", "--allow-read"], ["2", "--verbose"]).spawn();
    const errors = new Response(child.stderr).text();
    await using lines = new Lines(child.stdout);
    const [, port] = /^Serving at http:\/\/localhost:([0-9]+)\/$/.exec((await lines.next())!)!;
    const address = { hostname: "127.0.0.1", port: Number(port) };
    // Connections that stay open must be drained. All 32 reach the same thread once in 2 ** 31 runs.
    const conns = await Promise.all(Array.from({ length: 32 }, () => Deno.connect(address)));
    for (const [i, conn] of conns.entries()) {
      await conn.write(new TextEncoder().encode(`GET /k${i} HTTP/1.1\r\nHost: h\r\n\r\n`));
      const answer = new Uint8Array(1_000);
      const text = new TextDecoder().decode(answer.subarray(0, await conn.read(answer) ?? 0));
      assertStringIncludes(text, `Hello k${i}! `);
    }
    child.kill("SIGTERM");
    for (const conn of conns) {
      assertEquals(await conn.read(new Uint8Array(1)), null); // ended, not reset
      conn.close();
    }
    const printed: string[] = [];
    for (let line; (line = await lines.next()) !== null;) printed.push(line);
    assertEquals({ code: (await child.status).code, errors: await errors }, { code: 0, errors: "" });
    const summary = printed.pop()!;
    assertEquals(printed.filter((line) => / GET \/k[0-9]+ 200$/.test(line)).length, 32);
    assertMatch(summary, /^Served 32 connections \(0 rejected, 0 errors\): 32 frames, .*; ended: 32 done$/);
  },
});

Deno.test({
  name: "serveInWorkers() replaces a worker that closes itself, and reports it in one line",
  ignore: Deno.build.os !== "linux" || !hasNet,
  async fn() {
    const reported: PromiseWithResolvers<string>[] = [1, 2].map(() => Promise.withResolvers());
    let reports = 0;
    const log = { onError: (line: string) => reported[reports++]!.resolve(line) };
    const script = new URL("../tests/closing_worker.ts", import.meta.url);
    const workers = await serveInWorkers(1, { port: 0, hostname: "127.0.0.1" }, log, script);
    for (const { promise } of reported) {
      const ask = () => exchange(workers.addr.port, "close yourself").catch(() => ({ text: "refused" }));
      await until("a worker answers", async () => (await ask()).text === "closing");
      assertEquals(await promise, "Worker 1 has stopped: starting another");
    }
    workers.shutdown();
    assertEquals((await workers.finished).accepted, 0);
  },
});

Deno.test({
  name: "server.ts --workers exits with 1 and one line when a permission or the port is missing",
  ignore,
  async fn() {
    const run = (permissions: string[], flags: string[]) => finish(command(permissions, flags));
    const failsWith = (line: string) => ({ code: 1, out: "", error: `${line}\n` });
    assertEquals(
      await run(["--allow-net"], ["2"]),
      failsWith("Cannot serve at localhost:0: workers need --allow-read"),
    );
    assertEquals(
      await run(["--no-config", "--allow-net", "--allow-read"], ["2"]),
      failsWith("Cannot serve at localhost:0: workers need --unstable-net"),
    );
    assertEquals(
      await run(["--allow-net", "--allow-read"], ["none"]),
      failsWith('Cannot start: --workers is "none", expected 1 to 999 (--help lists the options)'),
    );
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0, reusePort: true }); // would share its port
    const { port } = listener.addr as Deno.NetAddr;
    assertEquals(
      await run(["--allow-net", "--allow-read"], ["2", "--port", String(port)]),
      failsWith(`Cannot serve at localhost:${port}: the port is in use (--port selects another)`),
    );
  },
});
