/**
 * Mutation tests of core/ and chat/: changes the source in many small ways, one at a time, and reports the changes that no
 * fast test notices. `deno task mutants [files ...]`; takes about an hour for all, less with `--beside`. Stryker, which makes the changes, is fetched from
 * npm at the first run; the project itself does not need it.
 *
 * Exits with 1 when a mutant survives that `survivors.json` does not explain, or a file could not be tested.
 */

import { parseArgs } from "node:util";
import { SILENT, type TestPlan } from "./run_tests.ts";
import {
  describeMutant,
  type Explained,
  type ExplainedByFile,
  isExplained,
  type ReportedMutant,
  staleEntries,
  updateEntries,
} from "./survivors.ts";

const STRYKER = "npm:@stryker-mutator/core@10.1.1";

const HELP = `Usage: deno task mutants [file ...] [options]

  file              a source file of the project (default all of core/, chat/ and chat.ts)
  --beside          first run only the tests beside the source (core/text_test.ts for core/text.ts), without them those
                    of its folder that load it; then run the others once on each survivor that is not explained
  --jobs <number>   how many mutants are tested at a time (default one less than there are cores)
  --update          write what survives to survivors.json, to be explained there
  --help            print this`;

const TOP = new URL("../..", import.meta.url).pathname;
const SURVIVORS = new URL("survivors.json", import.meta.url);
/** Where sources and fast tests are: folders or files, those that exist. */
const SOURCES = ["core", "chat", "chat.ts"];
const TESTS = ["core", "chat", "chat_test.ts", "framings", "tests/compat"];
/** In memory and on loopback; a test that needs more is left out. */
const TEST_FLAGS = ["--allow-read=.", "--allow-net=127.0.0.1,localhost", "--allow-env=__STRYKER_ACTIVE_MUTANT__"];
/** What tests beside a source need beyond that. */
const MORE_FLAGS: Record<string, readonly string[]> = {
  "chat/tls_upgrade.ts": ["--allow-read=.,/tmp", "--allow-write=/tmp", "--allow-run=openssl"],
};
/** Not copied for the tests. */
const NOT_COPIED = [".git", ".ci", "bench", "coverage", "docs", "node_modules", "tests/reliability"];

/** What came of a file's mutants. */
interface FileReport {
  readonly source: string;
  readonly mutants: readonly ReportedMutant[];
  readonly seconds: number;
}

/** The TypeScript files of these folders, and these files. */
function filesOf(places: readonly string[]): string[] {
  const files: string[] = [];
  for (const place of places) {
    const info = statOf(place);
    if (info?.isFile) files.push(place);
    if (!info?.isDirectory) continue;
    for (const entry of Deno.readDirSync(TOP + place)) {
      if (entry.isDirectory) files.push(...filesOf([`${place}/${entry.name}`]));
      else if (entry.name.endsWith(".ts")) files.push(`${place}/${entry.name}`);
    }
  }
  return files.toSorted();
}

function statOf(place: string): Deno.FileInfo | undefined {
  try {
    return Deno.statSync(TOP + place);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** A test, and all files of the project that it loads. */
interface Test {
  readonly file: string;
  readonly loads: ReadonlySet<string>;
}

/** A module of the project in the answer of `deno info --json`. */
interface Module {
  readonly specifier: string;
  readonly dependencies?: readonly { readonly code?: { readonly specifier?: string } }[];
}

/** Finds what each test loads. One `deno info` answers for all: one for each test would take seconds at every start. */
async function findTests(): Promise<Test[]> {
  const top = new URL("../..", import.meta.url).href;
  const files = filesOf(TESTS).filter(isTest);
  const root = await Deno.makeTempFile({ prefix: "mutants", suffix: ".ts" });
  try {
    await Deno.writeTextFile(root, files.map((file) => `import ${JSON.stringify(top + file)};\n`).join(""));
    const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["info", "--json", "--no-lock", root],
      cwd: TOP,
    }).output();
    if (!success) throw new Error(`Cannot read what the tests load: ${new TextDecoder().decode(stderr)}`);
    const { modules }: { modules: Module[] } = JSON.parse(new TextDecoder().decode(stdout));
    const imports = new Map(modules.map(({ specifier, dependencies = [] }) => [
      specifier,
      dependencies.map(({ code }) => code?.specifier ?? "").filter((specifier) => specifier.startsWith(top)),
    ]));
    return files.map((file) => {
      const loads = new Set([top + file]);
      for (const specifier of loads) for (const imported of imports.get(specifier) ?? []) loads.add(imported);
      return { file, loads: new Set([...loads].map((specifier) => specifier.slice(top.length))) };
    });
  } finally {
    await Deno.remove(root);
  }
}

function isTest(file: string): boolean {
  return file.endsWith("_test.ts");
}

/** The plan for one source: tests with its name in front are near, others that load it come later. */
function planFor(file: string, tests: readonly Test[], stateDir: string): TestPlan {
  const near = besideOf(file, tests);
  const others = tests.filter((test) => test.loads.has(file)).map((test) => test.file);
  return {
    flags: [...TEST_FLAGS, ...MORE_FLAGS[file] ?? []],
    near,
    others: others.filter((test) => !near.includes(test)),
    stateDir,
  };
}

/** The tests with the name of a source in front. */
function besideOf(file: string, tests: readonly Test[]): string[] {
  const name = file.slice(0, -".ts".length);
  return tests.map((test) => test.file).filter((test) => test.startsWith(`${name}_`));
}

/** Runs the tests beside a source on all of its mutants, then the others on each survivor that is not explained. */
async function testBesideFirst(
  file: string,
  plan: TestPlan,
  jobs: number,
  explained: readonly Explained[],
): Promise<FileReport> {
  const folder = file.slice(0, file.lastIndexOf("/") + 1);
  const inFolder = plan.near.length > 0 ? [] : plan.others.filter((test) => test.startsWith(folder));
  const others = plan.others.filter((test) => !inFolder.includes(test));
  const first = await testMutants(file, { ...plan, others: inFolder }, jobs);
  const only = first.mutants
    .filter((mutant) => isSurvivor(mutant) && !isExplained(describeMutant(first.source, mutant), explained))
    .map(({ id }) => id);
  if (only.length === 0 || others.length === 0) return first;
  const second = await testMutants(file, { ...plan, near: [], others, only }, jobs);
  const retested = new Map(second.mutants.map((mutant) => [mutant.id, mutant])); // ids depend on the source alone
  const mutants = first.mutants.map((mutant) => only.includes(mutant.id) ? retested.get(mutant.id)! : mutant);
  return { source: first.source, mutants, seconds: first.seconds + second.seconds };
}

/** Has Stryker test the mutants of one file. */
async function testMutants(file: string, plan: TestPlan, jobs: number): Promise<FileReport> {
  const { stateDir } = plan;
  const reportFile = `${stateDir}/report.json`;
  const showsProgress = Deno.stdout.isTerminal();
  const runner = new URL("run_tests.ts", import.meta.url).pathname;
  const quote = (text: string) => `'${text.replaceAll("'", `'\\''`)}'`;
  const command = [Deno.execPath(), "run", "--no-lock", "--no-check", "--quiet", "--allow-all", runner];
  await Deno.writeTextFile(
    `${stateDir}/stryker.json`,
    JSON.stringify({
      mutate: [file],
      testRunner: "command",
      commandRunner: { command: [...command, JSON.stringify(plan)].map(quote).join(" ") },
      plugins: [new URL("wording.js", import.meta.url).pathname],
      ignorers: ["wording"],
      checkers: [],
      coverageAnalysis: "off",
      disableTypeChecks: false, // tests run without them
      concurrency: jobs,
      timeoutMS: 600_000, // run_tests.ts sees an endless loop sooner
      inPlace: false,
      tempDirName: `${stateDir}/copy`,
      cleanTempDir: "always",
      ignorePatterns: NOT_COPIED,
      reporters: showsProgress ? ["json", "progress-append-only"] : ["json"],
      jsonReporter: { fileName: reportFile },
      logLevel: showsProgress ? "info" : "warn",
      allowEmpty: true,
    }),
  );
  const start = performance.now();
  const { success, stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-lock", "--quiet", "--allow-all", STRYKER, "run", `${stateDir}/stryker.json`],
    cwd: TOP,
    stdin: "null",
    stdout: showsProgress ? "inherit" : "piped",
    stderr: "inherit",
  }).spawn().output();
  if (!success) {
    const said = showsProgress ? "" : new TextDecoder().decode(stdout);
    throw new Error(`Cannot test the mutants of ${file}: Stryker failed\n${said}`);
  }
  const report: { files: Record<string, { source: string; mutants: ReportedMutant[] }> } = JSON.parse(
    await Deno.readTextFile(reportFile),
  );
  const { source, mutants } = report.files[file] ?? { source: "", mutants: [] };
  return { source, mutants, seconds: (performance.now() - start) / 1000 };
}

/**
 * Prints what came of a file.
 *
 * @returns The number of survivors that the list does not explain.
 */
function print(file: string, { source, mutants, seconds }: FileReport, explained: readonly Explained[]): number {
  const tested = testedOf({ mutants });
  const survivors = tested.filter(isSurvivor);
  const unexplained = survivors.filter((mutant) => !isExplained(describeMutant(source, mutant), explained));
  const loops = tested.filter(({ statusReason }) => statusReason?.includes(SILENT)).length;
  const each = tested.length === 0 ? "" : `, ${(seconds / tested.length).toFixed(2)} s each`;
  console.log(
    `${file}: ${tested.length - survivors.length} of ${tested.length} killed (${loops} as endless loops), ` +
      `${survivors.length} survived, ${unexplained.length} of them unexplained; ${seconds.toFixed(0)} s${each}`,
  );
  for (const mutant of unexplained) {
    const { mutator, line, original, replacement } = describeMutant(source, mutant);
    console.log(
      `  ${file}:${mutant.location.start.line} ${mutator}\n    ${line}\n    - ${original}\n    + ${replacement}`,
    );
  }
  for (const { line, replacement } of staleEntries(survivorsOf({ source, mutants }), explained)) {
    console.log(`  explained, but killed or gone: ${line} -> ${replacement}`);
  }
  return unexplained.length;
}

function testedOf({ mutants }: Pick<FileReport, "mutants">): ReportedMutant[] {
  return mutants.filter(({ status }) => status !== "Ignored");
}

function isSurvivor({ status }: ReportedMutant): boolean {
  return status === "Survived" || status === "NoCoverage";
}

function survivorsOf({ source, mutants }: Pick<FileReport, "source" | "mutants">) {
  return mutants.filter(isSurvivor).map((mutant) => describeMutant(source, mutant));
}

async function main(): Promise<number> {
  const { values: options, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      beside: { type: "boolean", default: false },
      jobs: { type: "string", default: String(Math.max(1, navigator.hardwareConcurrency - 1)) },
      update: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  const files = positionals.length > 0 ? positionals : filesOf(SOURCES).filter((file) => !isTest(file));
  const missing = files.find((file) => !statOf(file)?.isFile);
  const jobs = Number(options.jobs);
  if (options.help) {
    console.log(HELP);
    return 0;
  }
  if (missing !== undefined || !(Number.isInteger(jobs) && jobs >= 1)) {
    console.error(missing === undefined ? HELP : `Cannot test mutants: no file ${missing}\n\n${HELP}`);
    return 2;
  }
  const tests = await findTests();
  const explained: Record<string, readonly Explained[]> = JSON.parse(await Deno.readTextFile(SURVIVORS));
  let unexplained = 0, tested = 0, survived = 0, failed = 0;
  for (const file of files) {
    const stateDir = await Deno.makeTempDir({ prefix: "mutants" });
    try {
      const entries = explained[file] ?? [];
      const plan = planFor(file, tests, stateDir);
      const report =
        await (options.beside ? testBesideFirst(file, plan, jobs, entries) : testMutants(file, plan, jobs));
      unexplained += print(file, report, entries);
      tested += testedOf(report).length;
      survived += survivorsOf(report).length;
      if (!options.update) continue;
      const updated = updateEntries(survivorsOf(report), entries);
      if (updated.length > 0) explained[file] = updated;
      else delete explained[file];
      await Deno.writeTextFile(SURVIVORS, `${JSON.stringify(sorted(explained), null, 2)}\n`);
    } catch (error) { // one file's failure does not end a long run
      failed++;
      console.log((error as Error).message);
    } finally {
      await Deno.remove(stateDir, { recursive: true });
    }
  }
  for (const file of Object.keys(explained)) {
    if (statOf(file) === undefined) console.log(`explained, but there is no such file: ${file}`);
  }
  console.log(`${tested - survived} of ${tested} mutants killed, ${survived} survived, ${unexplained} unexplained`);
  if (unexplained > 0) console.log("Test the unexplained ones, or explain them in tools/mutants/survivors.json");
  if (failed > 0) console.log(`${failed} files could not be tested`);
  return unexplained + failed > 0 ? 1 : 0;
}

function sorted(explained: ExplainedByFile): ExplainedByFile {
  return Object.fromEntries(Object.entries(explained).toSorted(([a], [b]) => a < b ? -1 : 1));
}

if (import.meta.main) Deno.exit(await main());
