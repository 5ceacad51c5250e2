import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { canRun, hasNet } from "../tests/permissions.ts";
import { deno, denoRun, finish, Lines } from "../tests/processes.ts";

// The program as it is started by hand, with the Deno that runs the tests.
const ignore = !hasNet || !canRun(deno);
const program = new URL("../server.ts", import.meta.url);

/** Whether this machine has ::1. */
function hasIpv6(): boolean {
  return new Deno.Command(deno, { args: ["eval", 'Deno.listen({ hostname: "::1", port: 0 })'] }).outputSync().success;
}

const run = (flags: string[], permissions = ["--allow-net"]) => finish(denoRun(program, permissions, flags));

Deno.test({
  name: "server.ts prints its address, greets, and exits with 0 on a signal",
  ignore,
  async fn() {
    for (const signal of ["SIGINT", "SIGTERM"] as const) {
      const child = denoRun(program, ["--allow-net"], ["--port", "0", "--verbose"], { stderr: "inherit" }).spawn();
      await using lines = new Lines(child.stdout);
      const [, port] = /^Serving at http:\/\/localhost:([0-9]+)\/$/.exec((await lines.next())!)!;
      const answer = await fetch(`http://127.0.0.1:${port}/kongxx`);
      assertStringIncludes(await answer.text(), "Hello kongxx! ");
      child.kill(signal); // the connection of fetch is still open
      assertMatch((await lines.next())!, /^127\.0\.0\.1:[0-9]+ GET \/kongxx 200$/);
      assertMatch(
        (await lines.next())!,
        /^Served 1 connections \(0 rejected, 0 errors\): 1 frames, [0-9]+ bytes in, 199 out; ended: 1 done$/,
      );
      assertEquals((await child.status).code, 0);
    }
  },
});

Deno.test({
  name: "server.ts greets on both loopback addresses by default, and prints IPv6 in brackets",
  ignore: ignore || !canRun("curl") || !hasIpv6(),
  async fn() {
    const cases: [string[], string, string[]][] = [
      [[], "localhost", ["127.0.0.1", "[::1]"]],
      [["--hostname", "::1"], "[::1]", ["[::1]"]],
      [["--hostname", "::"], "[::]", ["127.0.0.1", "[::1]"]],
    ];
    for (const [flags, host, reachable] of cases) {
      const options = { stderr: "inherit" } as const;
      const child = denoRun(program, ["--allow-net"], ["--port", "0", ...flags], options).spawn();
      await using lines = new Lines(child.stdout);
      const line = (await lines.next())!;
      const port = line.slice(`Serving at http://${host}:`.length, -1);
      assertEquals(line, `Serving at http://${host}:${port}/`);
      for (const at of reachable) {
        const { out } = await finish(
          new Deno.Command("curl", {
            args: ["--silent", "--globoff", "--noproxy", "*", `http://${at}:${port}/kongxx`],
            stdout: "piped",
            stderr: "piped",
          }),
        );
        assertStringIncludes(out, "Hello kongxx! ", `${host} at ${at}`);
      }
      child.kill("SIGTERM");
      assertEquals((await child.status).code, 0);
    }
  },
});

Deno.test({
  name: "server.ts serves on 127.0.0.1 when that address alone is permitted",
  ignore,
  async fn() {
    using free = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const { port } = free.addr;
    free.close();
    const child = denoRun(program, [`--allow-net=127.0.0.1:${port}`], ["--port", String(port)]).spawn();
    await using lines = new Lines(child.stdout);
    assertEquals(await lines.next(), `Serving at http://localhost:${port}/`);
    const answer = await fetch(`http://127.0.0.1:${port}/kongxx`);
    assertStringIncludes(await answer.text(), "Hello kongxx! ");
    child.kill("SIGTERM");
    assertEquals(await new Response(child.stderr).text(), "");
    assertEquals((await child.status).code, 0);
  },
});

Deno.test({
  name: "server.ts exits with 1 and one line when the port is in use",
  ignore,
  async fn() {
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const { port } = listener.addr;
    const error = `Cannot serve at localhost:${port}: the port is in use (--port selects another)\n`;
    assertEquals(await run(["--port", String(port)]), { code: 1, out: "", error });
  },
});

Deno.test({
  name: "server.ts exits with 1 and one line for a bad option or a missing permission",
  ignore,
  async fn() {
    const expected: [string[], string][] = [
      [["--prot", "1"], "Unknown option '--prot'"],
      [["--port"], "Option '--port <value>' argument missing"],
      [["--port", "65536"], '--port is "65536", expected 0 to 65535'],
      [["--port", "http"], '--port is "http", expected 0 to 65535'],
      [["--max-connections", "0"], '--max-connections is "0", expected 1 to 999999'],
      [["--max-per-address", "-1"], "Option '--max-per-address' argument is ambiguous"],
      [["8888"], "Unexpected argument '8888'"],
    ];
    for (const [flags, problem] of expected) {
      const error = `Cannot start: ${problem} (--help lists the options)\n`;
      assertEquals(await run(flags), { code: 1, out: "", error }, flags.join(" "));
    }
    const denied = "Cannot serve at localhost:8888: network access is denied (needs --allow-net)\n";
    assertEquals(await run([], []), { code: 1, out: "", error: denied });
    const unknown = await run(["--hostname", "no-such-host.invalid"]);
    assertEquals(unknown.code, 1);
    assertMatch(unknown.error, /^Cannot serve at no-such-host\.invalid:8888: [^\n]+\n$/);
  },
});

Deno.test({
  name: "server.ts --help prints all options and exits with 0",
  ignore,
  async fn() {
    const { code, out, error } = await run(["--help"]);
    assertEquals({ code, error }, { code: 0, error: "" });
    assertMatch(out, /^Greets over HTTP: .*\n\nUsage: deno run --allow-net server\.ts \[options\]\n\n/);
    for (
      const flag of [
        "--port",
        "--hostname",
        "--workers",
        "--max-connections",
        "--max-per-address",
        "--verbose",
        "--help",
      ]
    ) assertStringIncludes(out, flag);
  },
});
