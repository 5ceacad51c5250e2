/**
 * Checks the architecture as part of `deno lint`; CONTRIBUTING.md gives the reasons. `core/` does no I/O and uses no time,
 * portable code does not name Deno, and imports run one way between folders.
 */

/** What each part may import besides itself. A part is a top-level folder or file; parts not listed import freely. */
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

/** The parts that run on every platform. */
const PORTABLE = new Set(["core", "chat", "chat.ts", "transports", "testing", "mod.ts"]);

/** Globals for I/O and time. */
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

/** The path of a file in the project; `null` for a test, which has no restrictions. */
function pathInProject(filename: string): string | null {
  const path = filename.replaceAll("\\", "/");
  if (/_test\.\w+$/.test(path)) return null;
  return path.startsWith(TOP) ? path.slice(TOP.length) : path;
}

/** The top-level folder or file of a path. */
function partOf(path: string): string {
  return path.split("/", 1)[0]!;
}

const plugin: Deno.lint.Plugin = {
  name: "house",
  rules: {
    "pure-core": {
      create(context) {
        const path = pathInProject(context.filename);
        if (path === null || partOf(path) !== "core") return {};
        const reject = (node: Deno.lint.Node, what: string) =>
          context.report({ node, message: `core/ does no I/O and uses no time: move ${what} out of core/` });
        const rejectAsync = (
          node: Deno.lint.FunctionDeclaration | Deno.lint.FunctionExpression | Deno.lint.ArrowFunctionExpression,
        ) => {
          if (node.async) reject(node, "an async function");
        };
        return {
          AwaitExpression: (node) => reject(node, "await"),
          "ForOfStatement[await=true]": (node: Deno.lint.Node) => reject(node, "for await"),
          FunctionDeclaration: rejectAsync,
          FunctionExpression: rejectAsync,
          ArrowFunctionExpression: rejectAsync,
          Identifier(node) {
            if (IMPURE.has(node.name)) reject(node, node.name);
          },
          "MemberExpression[object.name='Date'][property.name='now']": (node: Deno.lint.Node) =>
            reject(node, "Date.now"),
          "NewExpression[callee.name='Date'][arguments.length=0]": (node: Deno.lint.Node) => reject(node, "the time"),
        };
      },
    },
    "every-platform": {
      create(context) {
        const path = pathInProject(context.filename);
        if (path === null || !PORTABLE.has(partOf(path))) return {};
        return {
          Identifier(node) {
            if (node.name !== "Deno") return;
            context.report({
              node,
              message: "This file runs on every platform: identify errors by name or code, connections by shape",
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
        const part = path === null ? "" : partOf(path);
        const allowed = MAY_IMPORT[part];
        const check = (
          node: Deno.lint.ImportDeclaration | Deno.lint.ExportNamedDeclaration | Deno.lint.ExportAllDeclaration,
        ) => {
          const source = node.source?.value;
          if (path === null || allowed === undefined || typeof source !== "string" || !source.startsWith(".")) return;
          const target = partOf(new URL(source, `file:///${path}`).pathname.slice(1));
          if (target === part || allowed.includes(target)) return;
          context.report({
            node,
            message: `Imports run one way: ${part} may import ${allowed.join(", ") || "nothing"} besides itself`,
          });
        };
        return { ImportDeclaration: check, ExportNamedDeclaration: check, ExportAllDeclaration: check };
      },
    },
  },
};

export default plugin;
