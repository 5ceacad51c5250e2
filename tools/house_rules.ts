/**
 * The rules of the house that a linter can check; CONTRIBUTING.md gives the reasons. `core/` does no I/O and knows no time,
 * portable code does not name Deno, and imports run one way, by folder. Part of `deno lint`.
 */

/** Which rooms each room may import besides itself. A room is a folder, or a file at the top; other rooms import freely. */
const MAY_IMPORT: Record<string, readonly string[]> = {
  "core": [],
  "chat": ["core"],
  "chat.ts": ["chat", "core"],
  "transports": ["chat"],
  "testing": ["chat"],
  "listener": ["chat.ts", "chat", "core"],
  "server": ["listener", "chat.ts", "chat", "core"],
  "server.ts": ["server", "listener"],
  "mod.ts": ["chat.ts", "chat", "core", "listener"],
  "examples": [],
};

/** The rooms that run on every platform. */
const PORTABLE = new Set(["core", "chat", "chat.ts", "transports", "testing", "mod.ts"]);

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

const TOP = new URL("..", import.meta.url).pathname;

/** A file's path from the top of the project, or `null` for a test, which may do as it likes. */
function pathInProject(filename: string): string | null {
  const path = filename.replaceAll("\\", "/");
  if (/_test\.\w+$/.test(path)) return null;
  return path.startsWith(TOP) ? path.slice(TOP.length) : path;
}

/** The folder at the top that a file lies in, or the file itself. */
function roomOf(path: string): string {
  return path.split("/", 1)[0]!;
}

const plugin: Deno.lint.Plugin = {
  name: "house",
  rules: {
    "pure-core": {
      create(context) {
        const path = pathInProject(context.filename);
        if (path === null || roomOf(path) !== "core") return {};
        const refuse = (node: Deno.lint.Node, what: string) =>
          context.report({ node, message: `core/ does no I/O and knows no time: move ${what} above it` });
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
        const path = pathInProject(context.filename);
        if (path === null || !PORTABLE.has(roomOf(path))) return {};
        return {
          Identifier(node) {
            if (node.name !== "Deno") return;
            context.report({
              node,
              message: "This file runs on every platform: recognize errors by name or code, connections by shape",
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
        const path = pathInProject(context.filename);
        const room = path === null ? "" : roomOf(path);
        const allowed = MAY_IMPORT[room];
        const check = (
          node: Deno.lint.ImportDeclaration | Deno.lint.ExportNamedDeclaration | Deno.lint.ExportAllDeclaration,
        ) => {
          const source = node.source?.value;
          if (path === null || allowed === undefined || typeof source !== "string" || !source.startsWith(".")) return;
          const target = roomOf(new URL(source, `file:///${path}`).pathname.slice(1));
          if (target === room || allowed.includes(target)) return;
          context.report({
            node,
            message: `Imports run one way: ${room} may import ${allowed.join(", ") || "nothing"} besides itself`,
          });
        };
        return { ImportDeclaration: check, ExportNamedDeclaration: check, ExportAllDeclaration: check };
      },
    },
  },
};

export default plugin;
