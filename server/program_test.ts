import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { canRun, hasNet } from "../tests/permissions.ts";
import { deno, denoRun, finish, Lines } from "../tests/processes.ts";

// The program as it is started by hand, with the Deno that runs the tests.
const ignore = !hasNet || !canRun(deno);
const program = new URL("../server.ts", import.meta.url);

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
    for (const flag of ["--port", "--hostname", "--workers", "--verbose", "--help"]) assertStringIncludes(out, flag);
  },
});
