import { assertEquals, assertStringIncludes } from "@std/assert";
import { canRun, granted, hasNet } from "./permissions.ts";
import { deno, Lines } from "./processes.ts";

const top = new URL("..", import.meta.url);
const ignore = !hasNet || !canRun(deno) || !granted({ name: "read", path: new URL("README.md", top) });

/** Prepended to the program: makes it listen on any free port, and print the port. */
const ANY_PORT = `const { listen } = Deno;
Deno.listen = (options) => {
  const listener = listen({ ...options, hostname: "127.0.0.1", port: 0 });
  console.log(listener.addr.port);
  return listener;
};
`;

Deno.test({
  name: "the program of README.md works as written",
  ignore,
  async fn() {
    const readme = await Deno.readTextFile(new URL("README.md", top));
    const program = /```ts ignore\n(.*?)```/s.exec(readme)![1]!;
    const frontPage = (await Deno.readTextFile(new URL("mod.ts", top))).replaceAll(/^ \*(\/| |$)/gm, "");
    assertStringIncludes(frontPage, program.replace(/ \/\/ deno add.*/, "")); // no other test runs it
    assertEquals(program.trimEnd().split("\n").length, 15);
    const args = [
      "run",
      "--quiet",
      "--no-check",
      "--config",
      new URL("deno.json", top).pathname,
      "--allow-net=127.0.0.1",
      "-",
    ];
    const child = new Deno.Command(deno, { args, stdin: "piped", stdout: "piped" }).spawn();
    const stdin = child.stdin.getWriter();
    await stdin.write(new TextEncoder().encode(ANY_PORT + program));
    await stdin.close();
    await using lines = new Lines(child.stdout);
    const port = await lines.nextPort();
    const conn = await Deno.connect({ hostname: "127.0.0.1", port });
    await conn.write(new TextEncoder().encode("hello\r\nquit\r\nunheard\r\n"));
    assertEquals(await new Response(conn.readable).text(), "Say something, or quit.\r\nHELLO!\r\nQUIT!\r\n");
    child.kill();
    await child.status;
  },
});
