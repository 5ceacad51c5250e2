import { assertEquals } from "@std/assert";
import plugin from "./house_rules.ts";

/** The rules that a file breaks. */
function broken(file: string, source: string): string[] {
  return Deno.lint.runPlugin(plugin, file, source).map(({ id }) => id);
}

Deno.test("house/pure-core finds I/O, waiting and time in core/, and only there", () => {
  const impure = [
    "export async function f() {}",
    "export const f = async () => {};",
    "export class A { async f() {} }",
    "export class A { async *f() {} }",
    "console.log(1);",
    "setTimeout(f, 1);",
    "queueMicrotask(f);",
    "const now = Date.now();",
    "const now = new Date();",
    "const now = performance.now();",
  ];
  for (const source of impure) {
    assertEquals(broken("core/x.ts", source), ["house/pure-core"], source);
    assertEquals(broken(new URL("../core/x.ts", import.meta.url).pathname, source), ["house/pure-core"], source);
    assertEquals(broken("core/x_test.ts", source), [], source);
    assertEquals(broken("server.ts", source), [], source);
  }
  assertEquals(broken("core/x.ts", "await f();"), ["house/pure-core"]);
  assertEquals(broken("core/x.ts", "for await (const x of f) g(x);"), ["house/pure-core"]);
  assertEquals(broken("core/x.ts", "// Deno.open, await\nexport const text = new Date(0).toUTCString();"), []);
});

Deno.test("house/every-platform finds Deno where the library runs on every platform", () => {
  for (const file of ["chat.ts", "chat/x.ts", "transports/x.ts", "testing/x.ts"]) {
    assertEquals(broken(file, "export const x = Deno.pid;"), ["house/every-platform"]);
    assertEquals(broken(file, "export type X = Deno.Conn;"), ["house/every-platform"]);
  }
  assertEquals(broken("listener/x.ts", "export const x = Deno.pid;"), []);
});

Deno.test("house/imports-one-way finds an import that runs against the house", () => {
  const broke = (file: string, target: string) => broken(file, `import { x } from "${target}"; x();`).length > 0;
  for (
    const [file, target] of [
      ["core/x.ts", "../chat/options.ts"],
      ["core/x.ts", "../chat.ts"],
      ["chat/x.ts", "../chat.ts"],
      ["chat.ts", "./listener/serve.ts"],
      ["chat.ts", "./testing/mod.ts"],
      ["transports/x.ts", "../core/errors.ts"],
      ["listener/x.ts", "../server/greeter.ts"],
      ["listener/x.ts", "../mod.ts"],
      ["server/x.ts", "../server.ts"],
      ["server.ts", "./core/errors.ts"],
      ["mod.ts", "./server.ts"],
      ["examples/x.ts", "../mod.ts"],
    ] as const
  ) {
    assertEquals(broke(file, target), true, `${file} imports ${target}`);
    assertEquals(broke(file.replace(".ts", "_test.ts"), target), false, `a test beside ${file} imports ${target}`);
  }
  for (
    const [file, target] of [
      ["core/x.ts", "./errors.ts"],
      ["chat/x.ts", "../core/errors.ts"],
      ["chat.ts", "./chat/connection.ts"],
      ["listener/x.ts", "../chat.ts"],
      ["server/x.ts", "../listener/serve.ts"],
      ["server.ts", "./server/greeter.ts"],
      ["examples/x.ts", "./command_line.ts"],
      ["bench/x.ts", "../server.ts"],
      ["core/x.ts", "@std/bytes"],
    ] as const
  ) {
    assertEquals(broke(file, target), false, `${file} imports ${target}`);
  }
  assertEquals(broken("core/x.ts", 'import type { X } from "../chat.ts"; export type Y = X;').length, 1);
  assertEquals(broken("core/x.ts", 'export * from "../chat.ts";'), ["house/imports-one-way"]);
});
