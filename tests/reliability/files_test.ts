import { assert, assertEquals } from "@std/assert";
import { canRun, hasNet } from "../permissions.ts";
import { deno, Lines } from "../processes.ts";
import { connect, isGreeted } from "./wire.ts";

/** Ten failed accepts with backoffs of 5, 10, 20 ... 640, 1,000 ms take at least 2,275 ms. */
const FAILURES = 10;
const MIN_MS = 2_200;

async function runsOutOfFiles(program: string, ...args: string[]) {
  const run = [deno, "run", "--quiet", "--no-prompt", "--allow-net=127.0.0.1", new URL(program, import.meta.url).href];
  const limited = ["-c", 'ulimit -n 64 && exec "$@"', "sh"];
  const pipes = { stdin: "piped", stdout: "piped", stderr: "piped" } as const;
  const child = new Deno.Command("sh", { args: [...limited, ...run, ...args], ...pipes }).spawn();
  await using out = new Lines(child.stdout);
  await using errors = new Lines(child.stderr);
  const port = await out.nextPort();
  assert(await isGreeted(port, "before"));

  const began = performance.now();
  const conns = await Promise.all(Array.from({ length: 150 }, () => connect(port)));
  for (let failures = 0; failures < FAILURES;) {
    const line = await errors.next();
    assert(line !== null, `the process ended after ${failures} failures`);
    if (line.includes("Too many open files")) failures++;
  }
  const tookMs = performance.now() - began;
  assert(tookMs > MIN_MS, `${FAILURES} failures in ${tookMs} ms: no backoff`);
  for (const conn of conns) conn.close();
  assert(await isGreeted(port, "after"));

  child.kill("SIGTERM");
  while (await errors.next() !== null);
  assertEquals((await child.status).code, 0);
  await child.stdin.close(); // last: EOF stops the program too, and would race the signal
}

const ignore = !hasNet || !canRun(deno, "sh");

Deno.test({
  name: "server.ts backs off when out of files, and serves again afterwards",
  ignore,
  fn: () => runsOutOfFiles("../../server.ts", "--port", "0", "--hostname", "127.0.0.1"),
});

Deno.test({
  name: "serve() in a program of mod.ts backs off when out of files; printing the errors is safe",
  ignore,
  fn: () => runsOutOfFiles("served.ts", '{"kind":"greeter"}'),
});
