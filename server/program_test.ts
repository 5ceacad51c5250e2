import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";

// The program as it is started by hand, with the Deno that runs the tests.
const deno = Deno.execPath();
const allowed = (await Deno.permissions.query({ name: "run", command: deno })).state === "granted" &&
  (await Deno.permissions.query({ name: "net", host: "127.0.0.1" })).state === "granted";
const program = new URL("../server.ts", import.meta.url).href;
const decoder = new TextDecoder();

/** Runs the program to its end. */
async function run(flags: string[], permissions = ["--allow-net"]) {
  const args = ["run", "--quiet", "--no-prompt", ...permissions, program, ...flags];
  const { code, stdout, stderr } = await new Deno.Command(deno, { args, stdin: "null" }).output();
  return { code, out: decoder.decode(stdout), error: decoder.decode(stderr) };
}

/** Starts the program on a free port and waits until it serves; the rest of what it prints comes with its end. */
async function start(...flags: string[]) {
  const args = ["run", "--quiet", "--allow-net", program, "--port", "0", ...flags];
  const child = new Deno.Command(deno, { args, stdin: "null", stdout: "piped", stderr: "inherit" }).spawn();
  const reader = child.stdout.getReader();
  const base = /^Serving at (\S+)\n/.exec(decoder.decode((await reader.read()).value))![1]!;
  const end = async (signal: Deno.Signal) => {
    child.kill(signal);
    let out = "";
    for (let part; !(part = await reader.read()).done;) out += decoder.decode(part.value);
    return { code: (await child.status).code, out };
  };
  return { base, port: Number(new URL(base).port), end };
}

Deno.test({
  name: "server.ts says where it serves, greets, and ends with code 0 when it is asked to",
  ignore: !allowed,
  async fn() {
    for (const signal of ["SIGINT", "SIGTERM"] as const) {
      const { base, port, end } = await start("--verbose");
      assertEquals(base, `http://localhost:${port}/`);
      const answer = await fetch(`http://127.0.0.1:${port}/kongxx`);
      assertStringIncludes(await answer.text(), "Hello kongxx! ");
      const { code, out } = await end(signal); // with the connection kept alive
      assertEquals(code, 0);
      const [request, summary] = out.split("\n");
      assertMatch(request!, /^127\.0\.0\.1:[0-9]+ GET \/kongxx 200$/);
      assertMatch(
        summary!,
        /^Served 1 connections \(0 refused, 0 errors\): 1 frames, [0-9]+ bytes in, 199 out; ended: 1 done$/,
      );
    }
  },
});

Deno.test({
  name: "server.ts says in one line that the port is in use, and ends with code 1",
  ignore: !allowed,
  async fn() {
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const { code, out, error } = await run(["--port", String(listener.addr.port)]);
    assertEquals([code, out], [1, ""]);
    const expected =
      `Cannot serve at localhost:${listener.addr.port}: the port is in use, a free one is wanted (--port)\n`;
    assertEquals(error, expected);
  },
});

Deno.test({
  name: "server.ts says in one line what is wrong with its flags and permissions, and ends with code 1",
  ignore: !allowed,
  async fn() {
    const expected: [string[], string][] = [
      [["--prot", "1"], "Cannot start: Unknown option '--prot' (--help lists the options)\n"],
      [["--port"], "Cannot start: Option '--port <value>' argument missing (--help lists the options)\n"],
      [["--port", "65536"], 'Cannot start: --port is "65536", 0 to 65535 is wanted (--help lists the options)\n'],
      [["--port", "http"], 'Cannot start: --port is "http", 0 to 65535 is wanted (--help lists the options)\n'],
      [["8888"], "Cannot start: Unexpected argument '8888' (--help lists the options)\n"],
    ];
    for (const [flags, line] of expected) {
      assertEquals(await run(flags), { code: 1, out: "", error: line }, flags.join(" "));
    }
    const { code, error } = await run([], []);
    assertEquals([code, error], [
      1,
      "Cannot serve at localhost:8888: the network is not allowed, --allow-net is wanted\n",
    ]);
    const unknown = await run(["--hostname", "no-such-host.invalid"]);
    assertEquals(unknown.code, 1);
    assertMatch(unknown.error, /^Cannot serve at no-such-host\.invalid:8888: [^\n]+\n$/);
  },
});

Deno.test({
  name: "server.ts explains itself with --help",
  ignore: !allowed,
  async fn() {
    const { code, out, error } = await run(["--help"]);
    assertEquals([code, error], [0, ""]);
    assertMatch(out, /^Greets whoever asks.*\n\nUsage: deno run --allow-net server\.ts \[options\]\n\n/);
    for (const flag of ["--port", "--hostname", "--verbose", "--help"]) assertStringIncludes(out, flag);
  },
});
