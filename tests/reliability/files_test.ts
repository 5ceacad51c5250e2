import { assert, assertEquals } from "@std/assert";
import { canRun, hasNet } from "../permissions.ts";
import { deno, Lines } from "../processes.ts";
import { connect, isGreeted } from "./wire.ts";

/** From the first refusal to the tenth, with 5, 10, 20 ... 640, 1,000 ms between them, it is 2,275 ms at least. */
const REFUSALS = 10;
const LEAST_MS = 2_200;

async function runsOutOfFiles(program: string, ...args: string[]) {
  const run = [deno, "run", "--quiet", "--no-prompt", "--allow-net=127.0.0.1", new URL(program, import.meta.url).href];
  const few = ["-c", 'ulimit -n 64 && exec "$@"', "sh"];
  const pipes = { stdin: "piped", stdout: "piped", stderr: "piped" } as const;
  const child = new Deno.Command("sh", { args: [...few, ...run, ...args], ...pipes }).spawn();
  await using out = new Lines(child.stdout);
  await using errors = new Lines(child.stderr);
  const port = Number(/([0-9]+)\/?$/.exec(await out.next() ?? "")?.[1]);
  assert(await isGreeted(port, "before"));

  const began = performance.now();
  const conns = await Promise.all(Array.from({ length: 150 }, () => connect(port)));
  for (let refusals = 0; refusals < REFUSALS;) {
    const line = await errors.next();
    assert(line !== null, `it died after ${refusals} refusals`);
    if (line.includes("Too many open files")) refusals++;
  }
  const tookMs = performance.now() - began;
  assert(tookMs > LEAST_MS, `${REFUSALS} refusals in ${tookMs} ms: it spins`);
  for (const conn of conns) conn.close();
  assert(await isGreeted(port, "after"));

  child.kill("SIGTERM");
  while (await errors.next() !== null);
  assertEquals((await child.status).code, 0);
  await child.stdin.close(); // not before: its end is the other way to end the program, and the two would race
}

const ignore = !hasNet || !canRun(deno, "sh");

Deno.test({
  name: "server.ts runs out of files, does not spin, and serves again when there are some",
  ignore,
  fn: () => runsOutOfFiles("../../server.ts", "--port", "0", "--hostname", "127.0.0.1"),
});

Deno.test({
  name: "serve() runs out of files in a program that imports mod.ts, and that the errors are printed does not kill it",
  ignore,
  fn: () => runsOutOfFiles("served.ts", '{"kind":"greeter"}'),
});
