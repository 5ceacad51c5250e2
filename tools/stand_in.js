import { spawnSync } from "node:child_process";

/** What the tests need of Deno on Node and Bun: `Deno.test`, commands, and all permissions but "net", for Deno's sockets. */
const tests = [];
const permission = ({ name }) => ({ state: name === "net" ? "denied" : "granted" });

globalThis.Deno = {
  test(name, fn) {
    tests.push(typeof name === "string" ? { name, fn } : name);
  },
  permissions: { query: (descriptor) => Promise.resolve(permission(descriptor)), querySync: permission },
  Command: class {
    constructor(...command) {
      [this.name, { args: this.args, ...this.options }] = command;
    }
    outputSync() {
      const { status, error, stdout, stderr } = spawnSync(this.name, this.args, { cwd: this.options.cwd });
      if (error) throw error;
      return { success: status === 0, stdout, stderr };
    }
  },
  build: { os: "linux" },
};
// In Node from 22 on only. Tests and @std/assert use it, the library does not.
Set.prototype.symmetricDifference ??= function (other) {
  const union = new Set([...this, ...other]);
  return new Set([...union].filter((member) => this.has(member) !== other.has(member)));
};
Promise.withResolvers ??= function () {
  const settle = {};
  settle.promise = new Promise((resolve, reject) => Object.assign(settle, { resolve, reject }));
  return settle;
};

/** Runs all declared tests, and exits. */
export async function runTests() {
  let passed = 0, failed = 0, ignored = 0;
  process.on("unhandledRejection", (error) => {
    failed++;
    console.error("Unhandled:", error);
  });
  for (const { name, fn, ignore } of tests) {
    if (ignore) {
      ignored++;
      continue;
    }
    try {
      await fn({ step: async (_name, step) => await step() });
      passed++;
    } catch (error) {
      failed++;
      console.error(`FAILED: ${name}\n`, error);
    }
  }
  const runtime = process.versions.bun ? `Bun ${process.versions.bun}` : `Node ${process.versions.node}`;
  console.log(`${runtime}: ${passed} passed, ${failed} failed, ${ignored} ignored`);
  process.exit(failed === 0 && passed > 0 ? 0 : 1);
}
