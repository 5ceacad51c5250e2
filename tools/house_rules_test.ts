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
    assertEquals(broken("/somewhere/core/x.ts", source), ["house/pure-core"], source);
    assertEquals(broken("core/x_test.ts", source), [], source);
    assertEquals(broken("server.ts", source), [], source);
  }
  assertEquals(broken("core/x.ts", "await f();"), ["house/pure-core"]);
  assertEquals(broken("core/x.ts", "for await (const x of f) g(x);"), ["house/pure-core"]);
  assertEquals(broken("core/x.ts", "// Deno.open, await\nexport const text = new Date(0).toUTCString();"), []);
});

Deno.test("house/every-platform finds Deno where the library runs on every platform", () => {
  assertEquals(broken("chat.ts", "export const x = Deno.pid;"), ["house/every-platform"]);
  assertEquals(broken("chat.ts", "export type X = Deno.Conn;"), ["house/every-platform"]);
  assertEquals(broken("listener.ts", "export const x = Deno.pid;"), []);
});

Deno.test("house/imports-one-way finds an import that goes up or sideways", () => {
  assertEquals(broken("core/buffer.ts", 'import { x } from "./splitter.ts"; x();'), ["house/imports-one-way"]);
  assertEquals(broken("core/outbox.ts", 'import type { X } from "../chat.ts"; export type Y = X;'), [
    "house/imports-one-way",
  ]);
  assertEquals(broken("core/outbox.ts", 'export * from "../chat.ts";'), ["house/imports-one-way"]);
  assertEquals(broken("listener.ts", 'import { AsyncChat } from "./chat.ts"; AsyncChat;'), ["house/imports-one-way"]);
  assertEquals(broken("server.ts", 'import { AsyncChat } from "./chat.ts"; AsyncChat;'), []);
  assertEquals(broken("chat.ts", 'import { concat } from "@std/bytes"; concat([]);'), []);
});
