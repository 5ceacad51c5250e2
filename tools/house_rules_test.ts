import { assertEquals } from "@std/assert";
import plugin from "./house_rules.ts";

/** The rules that a file violates. */
function violations(file: string, source: string): string[] {
  return Deno.lint.runPlugin(plugin, file, source).map(({ id }) => id);
}

Deno.test("house/pure-core reports I/O, await and time in core/ only", () => {
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
    assertEquals(violations("core/x.ts", source), ["house/pure-core"], source);
    assertEquals(violations(new URL("../core/x.ts", import.meta.url).pathname, source), ["house/pure-core"], source);
    assertEquals(violations("core/x_test.ts", source), [], source);
    assertEquals(violations("server.ts", source), [], source);
  }
  assertEquals(violations("core/x.ts", "await f();"), ["house/pure-core"]);
  assertEquals(violations("core/x.ts", "for await (const x of f) g(x);"), ["house/pure-core"]);
  assertEquals(violations("core/x.ts", "// Deno.open, await\nexport const text = new Date(0).toUTCString();"), []);
});

Deno.test("house/every-platform reports Deno in portable code", () => {
  for (const file of ["chat.ts", "chat/x.ts", "transports/x.ts", "testing/x.ts"]) {
    assertEquals(violations(file, "export const x = Deno.pid;"), ["house/every-platform"]);
    assertEquals(violations(file, "export type X = Deno.Conn;"), ["house/every-platform"]);
  }
  assertEquals(violations("listener/x.ts", "export const x = Deno.pid;"), []);
});

Deno.test("house/imports-one-way reports imports against the architecture", () => {
  const isViolation = (file: string, target: string) =>
    violations(file, `import { x } from "${target}"; x();`).length > 0;
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
    assertEquals(isViolation(file, target), true, `${file} imports ${target}`);
    assertEquals(
      isViolation(file.replace(".ts", "_test.ts"), target),
      false,
      `a test beside ${file} imports ${target}`,
    );
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
    assertEquals(isViolation(file, target), false, `${file} imports ${target}`);
  }
  assertEquals(violations("core/x.ts", 'import type { X } from "../chat.ts"; export type Y = X;').length, 1);
  assertEquals(violations("core/x.ts", 'export * from "../chat.ts";'), ["house/imports-one-way"]);
});
