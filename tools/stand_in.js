/** As much of Deno as tests need that use nothing of it: `Deno.test`, and permissions, none of which is granted. */
const tests = [];

globalThis.Deno = {
  test(name, fn) {
    tests.push(typeof name === "string" ? { name, fn } : name);
  },
  permissions: { query: () => Promise.resolve({ state: "denied" }), querySync: () => ({ state: "denied" }) },
  build: { os: "linux" },
  execPath: () => "deno",
};
// Tests use it; the library does not, since Node has it from 22 on only.
Promise.withResolvers ??= function () {
  const settle = {};
  settle.promise = new Promise((resolve, reject) => Object.assign(settle, { resolve, reject }));
  return settle;
};

/** Runs all tests that were declared, and ends the process. */
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
