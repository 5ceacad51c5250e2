/**
 * Runs the tests on the mutant that is active: the command that Stryker starts for each, in its copy of the project.
 * Exits with 1 as soon as a test fails or the tests fall silent, which is how an endless loop shows.
 *
 * The tests beside the source come first, then those that killed mutants of this source before, then all others.
 */

/** What `main.ts` passes on, as JSON. */
export interface TestPlan {
  /** Permissions and the like for `deno test`. */
  readonly flags: readonly string[];
  /** The test files beside the source. */
  readonly near: readonly string[];
  readonly others: readonly string[];
  /** A folder for what one run leaves to the next. */
  readonly stateDir: string;
  /** The mutants to test, by their ids; the others count as killed. Default all. */
  readonly only?: readonly string[];
}

/** The longest silence that is no endless loop: this and so many times the longest of the unchanged source. */
const MIN_SILENCE_MS = 3_000;
const SILENCE_FACTOR = 4;
/** Said of tests that were ended for their silence. */
export const SILENT = "silent for";
/** How many test files that killed before come second. */
const MAX_KILLERS = 4;

interface Outcome {
  readonly passed: boolean;
  readonly output: string;
  readonly longestSilenceMs: number;
}

async function runTests(files: readonly string[], flags: readonly string[], silenceMs: number): Promise<Outcome> {
  if (files.length === 0) return { passed: true, output: "", longestSilenceMs: 0 };
  const child = new Deno.Command(Deno.execPath(), {
    args: ["test", "--no-check", "--no-lock", "--no-prompt", "--quiet", "--fail-fast", ...flags, ...files],
    env: { NO_COLOR: "1", DENO_NO_UPDATE_CHECK: "1" },
    stdin: "null",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  let output = "", longestSilenceMs = 0, heardMs = performance.now();
  const kill = () => {
    output += `\n${SILENT} ${silenceMs} ms`;
    child.kill("SIGKILL");
  };
  let timer = setTimeout(kill, silenceMs);
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
    clearTimeout(timer);
    timer = setTimeout(kill, silenceMs);
    output += text;
    longestSilenceMs = Math.max(longestSilenceMs, performance.now() - heardMs);
    heardMs = performance.now();
  }
  clearTimeout(timer);
  return { passed: (await child.status).success, output, longestSilenceMs };
}

/** The test files that failed before, the most frequent first. */
async function killersOf(file: string): Promise<string[]> {
  const counts = new Map<string, number>();
  for (const killer of (await Deno.readTextFile(file).catch(() => "")).split("\n").filter(Boolean)) {
    counts.set(killer, (counts.get(killer) ?? 0) + 1);
  }
  return [...counts].toSorted(([, a], [, b]) => b - a).map(([killer]) => killer);
}

async function main({ flags, near, others, stateDir, only }: TestPlan): Promise<boolean> {
  const silenceFile = `${stateDir}/silence`;
  const killersFile = `${stateDir}/killers`;
  const mutant = Deno.env.get("__STRYKER_ACTIVE_MUTANT__");
  if (mutant === undefined) { // the first run, to see that all is well
    const longest = 60_000;
    const outcomes = [await runTests(near, flags, longest), await runTests(others, flags, longest)];
    const silence = Math.max(...outcomes.map(({ longestSilenceMs }) => longestSilenceMs));
    await Deno.writeTextFile(silenceFile, String(Math.ceil(MIN_SILENCE_MS + SILENCE_FACTOR * silence)));
    for (const { passed, output } of outcomes) if (!passed) console.log(output);
    return outcomes.every(({ passed }) => passed);
  }
  if (only !== undefined && !only.includes(mutant)) return false;
  const silenceMs = Number(await Deno.readTextFile(silenceFile));
  const killers = (await killersOf(killersFile)).filter((file) => others.includes(file)).slice(0, MAX_KILLERS);
  for (const files of [near, killers, others.filter((file) => !killers.includes(file))]) {
    const { passed, output } = await runTests(files, flags, silenceMs);
    if (passed) continue;
    const killer = / => \.\/(\S+_test\.ts)/.exec(output)?.[1];
    if (killer !== undefined) await Deno.writeTextFile(killersFile, `${killer}\n`, { append: true });
    console.log(killer ?? output);
    return false;
  }
  return true;
}

if (import.meta.main) Deno.exit(await main(JSON.parse(Deno.args[0]!)) ? 0 : 1);
