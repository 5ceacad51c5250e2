import { assert, assertEquals } from "@std/assert";
import { canRun, deno, Lines } from "./processes.ts";
import { connect, isGreeted } from "./wire.ts";

/** Runs a program with few files, hands SIGTERM on, and tells in the end its code and what processor time it took. */
const FEW_FILES = `
ulimit -n 64
exec 3<&0
"$@" <&3 3<&- &
trap "kill -TERM $!" TERM
wait $!
code=$?
while kill -0 $! 2>&-; do wait $!; code=$?; done
echo "code $code"
times
`;

/** A refusal comes 5, 10, 20 ... 1,000 ms after the one before: the tenth is there after 2.3 s, if nothing spins. */
const REFUSALS = 10;

/** The milliseconds in the second line of what `times` prints, such as `0m0.120s 0m0.030s`: those of the children. */
function processorMs(lines: string[]): number {
  const parts = lines.at(-1)!.matchAll(/([0-9]+)m([0-9.]+)s/g);
  return [...parts].reduce((sum, [, minutes, seconds]) => sum + Number(minutes) * 60_000 + Number(seconds) * 1000, 0);
}

async function runsOutOfFiles(program: string, args: string[]) {
  const run = ["run", "--quiet", "--no-prompt", "--allow-net=127.0.0.1", new URL(program, import.meta.url).href];
  const pipes = { stdin: "piped", stdout: "piped", stderr: "piped" } as const;
  const child = new Deno.Command("sh", { args: ["-c", FEW_FILES, "sh", deno, ...run, ...args], ...pipes }).spawn();
  await using out = new Lines(child.stdout);
  await using errors = new Lines(child.stderr);
  const port = Number(/([0-9]+)\/?$/.exec(await out.next() ?? "")?.[1]);
  assert(await isGreeted(port, "before"));

  const conns = await Promise.all(Array.from({ length: 150 }, () => connect(port)));
  const began = performance.now();
  for (let refusals = 0; refusals < REFUSALS;) {
    const line = await errors.next();
    assert(line !== null, `it died after ${refusals} refusals`);
    if (line.includes("Too many open files")) refusals++;
  }
  const waitedMs = performance.now() - began;
  for (const conn of conns) conn.close();
  assert(await isGreeted(port, "after"));

  child.kill("SIGTERM");
  const last: string[] = [];
  for (let line; (line = await out.next()) !== null;) last.push(line);
  assertEquals(last[0], "code 0");
  const cpuMs = processorMs(last);
  assert(cpuMs < waitedMs / 2, `${cpuMs} ms of processor time, start and end included, in ${waitedMs} ms: it spins`);
  while (await errors.next() !== null);
  await child.stdin.close();
  await child.status;
}

const ignore = !await canRun(deno, "sh");

Deno.test({
  name: "server.ts runs out of files, does not spin, and serves again when there are some",
  ignore,
  fn: () => runsOutOfFiles("../server.ts", ["--port", "0", "--hostname", "127.0.0.1"]),
});

Deno.test({
  name: "serve() runs out of files in a program that imports mod.ts, and that the errors are printed does not kill it",
  ignore,
  fn: () => runsOutOfFiles("served.ts", ['{"kind":"greeter"}']),
});
