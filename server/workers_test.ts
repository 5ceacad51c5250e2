import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";

// The program with several workers, as it is started by hand.
const deno = Deno.execPath();
const allowed = Deno.build.os === "linux" &&
  ([{ name: "run", command: deno }, { name: "net", host: "127.0.0.1" }] as const)
    .every((permission) => Deno.permissions.querySync(permission).state === "granted");
const program = new URL("../server.ts", import.meta.url).href;

function command(permissions: string[], flags: string[]) {
  const args = ["run", "--quiet", "--no-prompt", ...permissions, program, "--port", "0", "--workers", ...flags];
  return new Deno.Command(deno, { args, stdin: "null", stdout: "piped", stderr: "piped" });
}

Deno.test({
  name: "server.ts --workers 2 shares a port between two threads, drains both, and sums what they have counted",
  ignore: !allowed,
  async fn() {
    const child = command(["--allow-net", "--allow-read"], ["2", "--verbose"]).spawn();
    const errors = new Response(child.stderr).text();
    const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
    let out = "";
    while (!out.includes("\n")) out += (await reader.read()).value;
    const base = /^Serving at http:\/\/localhost:([0-9]+)\/\n/.exec(out)!;
    const address = { hostname: "127.0.0.1", port: Number(base[1]) };
    // Connections that stay open, so that they are drained; so many go to one thread alone once in 2 ** 31.
    const conns = await Promise.all(Array.from({ length: 32 }, () => Deno.connect(address)));
    for (const [i, conn] of conns.entries()) {
      await conn.write(new TextEncoder().encode(`GET /k${i} HTTP/1.1\r\nHost: h\r\n\r\n`));
      const answer = new Uint8Array(1_000);
      const text = new TextDecoder().decode(answer.subarray(0, await conn.read(answer) ?? 0));
      assertStringIncludes(text, `Hello k${i}! `);
    }
    child.kill("SIGTERM");
    for (const conn of conns) {
      assertEquals(await conn.read(new Uint8Array(1)), null); // a polite end
      conn.close();
    }
    for (let part; !(part = await reader.read()).done;) out += part.value;
    assertEquals([(await child.status).code, await errors], [0, ""]);
    const lines = out.trimEnd().split("\n");
    assertEquals(lines.slice(1, -1).filter((line) => / GET \/k[0-9]+ 200$/.test(line)).length, 32);
    assertMatch(lines.at(-1)!, /^Served 32 connections \(0 refused, 0 errors\): 32 frames, .*; ended: 32 done$/);
  },
});

Deno.test({
  name: "server.ts --workers says in one line what is missing, or that the port is in use, and ends with code 1",
  ignore: !allowed,
  async fn() {
    const run = async (permissions: string[], flags: string[]) => {
      const { code, stdout, stderr } = await command(permissions, flags).output();
      return [code, new TextDecoder().decode(stdout), new TextDecoder().decode(stderr)];
    };
    assertEquals(await run(["--allow-net"], ["2"]), [
      1,
      "",
      "Cannot serve at localhost:0: workers may not be started without reading their program, --allow-read is wanted\n",
    ]);
    assertEquals(await run(["--no-config", "--allow-net", "--allow-read"], ["2"]), [
      1,
      "",
      "Cannot serve at localhost:0: workers share a port with --unstable-net only, it is wanted\n",
    ]);
    assertEquals(await run(["--allow-net", "--allow-read"], ["none"]), [
      1,
      "",
      'Cannot start: --workers is "none", 1 to 999 is wanted (--help lists the options)\n',
    ]);
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0, reusePort: true }); // somebody who would share it
    const { port } = listener.addr as Deno.NetAddr;
    assertEquals(await run(["--allow-net", "--allow-read"], ["2", "--port", String(port)]), [
      1,
      "",
      `Cannot serve at localhost:${port}: the port is in use, a free one is wanted (--port)\n`,
    ]);
  },
});
