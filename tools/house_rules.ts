/**
 * The rules of the house that a linter can check (CONTRIBUTING.md tells why): what is in `core/` does no I/O and knows no
 * time, what runs on every platform does not name Deno, and imports run one way. Part of `deno lint`.
 */

/** What each file may import, by name without ending. A file that is not here is nobody's business but its own. */
const MAY_IMPORT: Record<string, readonly string[]> = {
  "core/deadlines": [],
  "core/errors": ["core/deadlines"],
  "core/buffer": [],
  "core/decode_text": [],
  "core/gatherer": ["core/decode_text"],
  "core/http_head": [],
  "core/ip": [],
  "core/proxy_header": ["core/ip"],
  "core/finder": [],
  "core/splitter": ["core/buffer", "core/errors", "core/finder"],
  "core/producer": ["core/errors"],
  "core/outbox": ["core/producer"],
  "clock": [],
  "chat_options": ["clock", "core/splitter"],
  "sweep": ["clock"],
  "chat_reader": ["chat_options", "core/buffer", "core/decode_text", "core/errors", "core/gatherer", "core/splitter"],
  "write_pump": ["chat_options", "core/errors", "core/outbox", "core/producer"],
  "chat": [
    "chat_options",
    "diagnostics",
    "start_tls",
    "sweep",
    "write_pump",
    "core/buffer",
    "core/deadlines",
    "core/errors",
    "core/gatherer",
    "core/producer",
    "core/splitter",
  ],
  "start_tls": ["chat_options", "clock", "core/errors", "write_pump"],
  "diagnostics": [],
  "chat_server": ["clock"],
  "conn_server": ["chat_options", "chat_server", "clock", "diagnostics", "core/errors"],
  "proxy_protocol": ["chat_options", "conn_server", "core/errors", "core/ip", "core/proxy_header"],
  "unix_listener": ["conn_server"],
  "listener": ["chat_server", "conn_server", "unix_listener", "proxy_protocol"],
  "server": ["chat", "chat_options", "chat_server", "listener", "server_workers", "core/errors", "core/http_head"],
  "server_workers": ["chat_server"],
  "server_worker": ["chat_server", "server", "server_workers"],
  "adapters/node": ["chat_options"],
  "adapters/streams": ["chat_options"],
  "adapters/tls": ["chat_options", "adapters/node"],
  "bench/processes": [],
  "bench/peers": ["bench/processes"],
  "bench/scenarios": ["bench/peers", "bench/processes"],
  "bench/results": ["bench/scenarios"],
  "bench/goals": ["bench/peers", "bench/results", "bench/scenarios"],
  "bench/tables": ["bench/goals", "bench/peers", "bench/results", "bench/scenarios"],
  "bench/chart": ["bench/peers", "bench/results", "bench/scenarios", "bench/tables"],
  "bench/us": ["mod", "server"],
  "bench/redis": ["bench/processes"],
  "testing/cuts": [],
  "testing/fake_clock": ["clock"],
  "testing/memory_conn": ["chat_options"],
};

/** Names that stand for I/O or time. */
const IMPURE = new Set([
  "Deno",
  "console",
  "performance",
  "setTimeout",
  "setInterval",
  "queueMicrotask",
  "fetch",
  "process",
]);

/** What runs on every platform: all that `mod.ts` exports but `serve()`, and what users test with. */
const EVERYWHERE =
  /^(mod|chat|chat_options|chat_reader|start_tls|write_pump|clock|proxy_protocol|core\/\w+|testing\/\w+|adapters\/(node|streams))$/;

/** A file's name from the top of the project on, without its ending; "" for tests, which may do as they like. */
function nameOf(path: string): string {
  return /(?:^|\/)((?:core\/|testing\/|adapters\/|bench\/)?\w+)(?<!_test)\.ts$/.exec(path.replaceAll("\\", "/"))?.[1] ??
    "";
}

const plugin: Deno.lint.Plugin = {
  name: "house",
  rules: {
    "pure-core": {
      create(context) {
        if (!nameOf(context.filename).startsWith("core/")) return {};
        const refuse = (node: Deno.lint.Node, what: string) =>
          context.report({ node, message: `core/ does no I/O and knows no time: ${what} belongs above it` });
        const refuseAsync = (
          node: Deno.lint.FunctionDeclaration | Deno.lint.FunctionExpression | Deno.lint.ArrowFunctionExpression,
        ) => {
          if (node.async) refuse(node, "an async function");
        };
        return {
          AwaitExpression: (node) => refuse(node, "await"),
          "ForOfStatement[await=true]": (node: Deno.lint.Node) => refuse(node, "for await"),
          FunctionDeclaration: refuseAsync,
          FunctionExpression: refuseAsync,
          ArrowFunctionExpression: refuseAsync,
          Identifier(node) {
            if (IMPURE.has(node.name)) refuse(node, node.name);
          },
          "MemberExpression[object.name='Date'][property.name='now']": (node: Deno.lint.Node) =>
            refuse(node, "Date.now"),
          "NewExpression[callee.name='Date'][arguments.length=0]": (node: Deno.lint.Node) => refuse(node, "the time"),
        };
      },
    },
    "every-platform": {
      create(context) {
        if (!EVERYWHERE.test(nameOf(context.filename))) return {};
        return {
          Identifier(node) {
            if (node.name !== "Deno") return;
            context.report({
              node,
              message: "This file runs on every platform: tell errors by name or code, connections by shape",
            });
          },
          "MemberExpression[object.name='Promise'][property.name='withResolvers']": (node: Deno.lint.Node) =>
            context.report({
              node,
              message: "This file runs on every platform: Node 20 has no Promise.withResolvers()",
            }),
        };
      },
    },
    "imports-one-way": {
      create(context) {
        const name = nameOf(context.filename);
        const allowed = MAY_IMPORT[name];
        const check = (
          node: Deno.lint.ImportDeclaration | Deno.lint.ExportNamedDeclaration | Deno.lint.ExportAllDeclaration,
        ) => {
          const source = node.source?.value;
          if (allowed === undefined || typeof source !== "string" || !source.startsWith(".")) return;
          const target = new URL(source, `file:///${name}.ts`).pathname.slice(1).replace(/\.ts$/, "");
          if (allowed.includes(target)) return;
          context.report({
            node,
            message: `Imports run one way: ${name}.ts may import ${allowed.join(", ") || "nothing"} of this project`,
          });
        };
        return { ImportDeclaration: check, ExportNamedDeclaration: check, ExportAllDeclaration: check };
      },
    },
  },
};

export default plugin;
