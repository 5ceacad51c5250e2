import { assertEquals, assertStringIncludes } from "@std/assert";

const deno = Deno.execPath();
const here = new URL("..", import.meta.url);
const granted = async (permission: Deno.PermissionDescriptor) =>
  (await Deno.permissions.query(permission)).state === "granted";
const allowed = await granted({ name: "run", command: deno }) && await granted({ name: "net", host: "127.0.0.1" }) &&
  await granted({ name: "read", path: new URL("README.md", here) });

/** Put before the program: it listens on any free port, and says on which. */
const ANY_PORT = `const { listen } = Deno;
Deno.listen = (options) => {
  const listener = listen({ ...options, hostname: "127.0.0.1", port: 0 });
  console.log(listener.addr.port);
  return listener;
};
`;

Deno.test({
  name: "README.md's program works as it is written",
  ignore: !allowed,
  async fn() {
    const readme = await Deno.readTextFile(new URL("README.md", here));
    const program = /```ts ignore\n(.*?)```/s.exec(readme)![1]!;
    const frontPage = (await Deno.readTextFile(new URL("mod.ts", here))).replaceAll(/^ \*(\/| |$)/gm, "");
    assertStringIncludes(frontPage, program.replace(/ \/\/ deno add.*/, "")); // which no other test runs
    assertEquals(program.trimEnd().split("\n").length, 15);
    const args = [
      "run",
      "--quiet",
      "--no-check",
      "--config",
      new URL("deno.json", here).pathname,
      "--allow-net=127.0.0.1",
      "-",
    ];
    const child = new Deno.Command(deno, { args, stdin: "piped", stdout: "piped" }).spawn();
    const stdin = child.stdin.getWriter();
    await stdin.write(new TextEncoder().encode(ANY_PORT + program));
    await stdin.close();
    const stdout = child.stdout.getReader();
    const port = Number(new TextDecoder().decode((await stdout.read()).value));
    const conn = await Deno.connect({ hostname: "127.0.0.1", port });
    await conn.write(new TextEncoder().encode("hello\r\nquit\r\nunheard\r\n"));
    assertEquals(await new Response(conn.readable).text(), "Say something, or quit.\r\nHELLO!\r\nQUIT!\r\n");
    child.kill();
    await stdout.cancel();
    await child.status;
  },
});
