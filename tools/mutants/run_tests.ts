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
/** Test files beside the source that take less than this run together, before the others. */
const QUICK_MS = 1_000;
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

/** Test files that run together, and the silence that ends them. */
interface Group {
  readonly files: readonly string[];
  readonly silenceMs: number;
}

/** What the first run leaves to the others: the tests beside the source, the quick ones first. */
interface Measured {
  readonly near: readonly Group[];
  readonly silenceMs: number;
}

/** The first run: sees that all is well, and measures. */
async function measure({ flags, near, others }: TestPlan): Promise<Measured | null> {
  const silenceOf = (ms: number) => Math.ceil(MIN_SILENCE_MS + SILENCE_FACTOR * ms);
  const timed: { file: string; ms: number; longestSilenceMs: number }[] = [];
  let longestSilenceMs = 0;
  for (const files of [...near.map((file) => [file]), others]) {
    const start = performance.now();
    const outcome = await runTests(files, flags, 60_000);
    if (!outcome.passed) {
      console.log(outcome.output);
      return null;
    }
    longestSilenceMs = Math.max(longestSilenceMs, outcome.longestSilenceMs);
    if (files === others) continue;
    timed.push({ file: files[0]!, ms: performance.now() - start, longestSilenceMs: outcome.longestSilenceMs });
  }
  timed.sort((a, b) => a.ms - b.ms);
  const groups = [timed.filter(({ ms }) => ms < QUICK_MS), ...timed.filter(({ ms }) => ms >= QUICK_MS).map((x) => [x])];
  const measured = groups.map((group) => ({
    files: group.map(({ file }) => file),
    silenceMs: silenceOf(Math.max(0, ...group.map((each) => each.longestSilenceMs))),
  }));
  return { near: measured, silenceMs: silenceOf(longestSilenceMs) };
}

async function main(plan: TestPlan): Promise<boolean> {
  const { flags, others, stateDir, only } = plan;
  const measuredFile = `${stateDir}/measured.json`;
  const killersFile = `${stateDir}/killers`;
  const mutant = Deno.env.get("__STRYKER_ACTIVE_MUTANT__");
  if (mutant === undefined) {
    const measured = await measure(plan);
    if (measured !== null) await Deno.writeTextFile(measuredFile, JSON.stringify(measured));
    return measured !== null;
  }
  if (only !== undefined && !only.includes(mutant)) return false;
  const { near, silenceMs }: Measured = JSON.parse(await Deno.readTextFile(measuredFile));
  const killers = (await killersOf(killersFile)).filter((file) => others.includes(file)).slice(0, MAX_KILLERS);
  const rest = others.filter((file) => !killers.includes(file));
  for (const group of [...near, { files: killers, silenceMs }, { files: rest, silenceMs }]) {
    const { passed, output } = await runTests(group.files, flags, group.silenceMs);
    if (passed) continue;
    const killer = / => \.\/(\S+_test\.ts)/.exec(output)?.[1];
    if (killer !== undefined) await Deno.writeTextFile(killersFile, `${killer}\n`, { append: true });
    console.log(killer ?? output);
    return false;
  }
  return true;
}

if (import.meta.main) Deno.exit(await main(JSON.parse(Deno.args[0]!)) ? 0 : 1);
