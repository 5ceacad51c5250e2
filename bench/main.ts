/**
 * Benchmarks this library and its peers side by side, in one run. `deno task bench` runs everything and writes
 * `results.json` and `chart.svg`. `deno task bench a c` runs some scenarios, `--quick` runs everything for a short
 * time; both write with `--write` only.
 *
 * Each round measures every peer, so that other load on the machine affects all of them. With two cores a peer has one
 * and its load generator the other.
 */

import { parseArgs } from "node:util";
import { drawChart } from "./chart.ts";
import { judge } from "./goals.ts";
import { findTools, type Found, OTHERS, OURS, type ToolName } from "./peers.ts";
import { run } from "./processes.ts";
import { Results } from "./results.ts";
import { type Bench, type Case, CASES } from "./scenarios.ts";
import { caseTable, goalTable } from "./tables.ts";

const HELP = `Usage: deno task bench [scenario ...] [options]

  scenario              a to h: lines, prefixed frames, echo, greeter, connections, memory, growth, classes (default all)
  --only <scenarios>    the same, as a,c
  --rounds <number>     how often every peer is measured (default 5)
  --seconds <number>    how long it is loaded in a round (default 1)
  --quick               2 rounds of 0.1 s and 800 connections
  --write               write results.json and chart.svg of a partial run
  --help                print this`;

const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    only: { type: "string", default: "" },
    rounds: { type: "string" },
    seconds: { type: "string" },
    quick: { type: "boolean", default: false },
    write: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
});
if (flags.help) {
  console.log(HELP);
  Deno.exit();
}

const chosen = [...positionals, ...flags.only.split(",")].filter((letter) => letter !== "");
const cases = CASES.filter(({ scenario }) => chosen.length === 0 || chosen.includes(scenario));
const rounds = Number(flags.rounds ?? (flags.quick ? 2 : 5));
const effort = {
  seconds: Number(flags.seconds ?? (flags.quick ? 0.1 : 1)),
  connections: flags.quick ? 800 : 8_000,
};
if (cases.length === 0 || !(rounds >= 1) || !(effort.seconds > 0)) {
  console.error(HELP);
  Deno.exit(2);
}

const scratchDir = await Deno.makeTempDir({ prefix: "bench" });
try {
  await main();
} finally {
  await Deno.remove(scratchDir, { recursive: true });
}

async function main(): Promise<void> {
  const found = await findTools(scratchDir);
  for (const [tool, problem] of Object.entries(found.missing)) {
    const without = [
      ...new Set(cases.filter(({ tools }) => tools.includes(tool as ToolName)).map(({ scenario }) => `(${scenario})`)),
      ...[...OURS, ...OTHERS].filter((peer) => peer.tool === tool).map(({ name }) => name),
    ];
    console.log(`Not found: ${tool}, so left out: ${without.join(", ")}. ${problem}`);
  }
  const cores = navigator.hardwareConcurrency;
  const pin = cores > 1 && await run(["taskset", "--version"]).then(() => true, () => false);
  const bench: Bench = {
    tools: found.commands,
    effort,
    scratchDir,
    peerCore: pin ? ["taskset", "-c", "0"] : [],
    loadCore: pin ? ["taskset", "-c", String(cores - 1)] : [],
  };
  const results = await measureAll(bench, found);
  for (const it of cases.filter(({ name }) => results.peers(name).length > 0)) {
    console.log(`${caseTable(results, it)}\n`);
  }
  const goals = judge(results, cases.map(({ name }) => name));
  console.log(goalTable(goals));
  console.log(`\n${goals.filter(({ met }) => met).length} of ${goals.length} goals are met`);

  if (!flags.write && (flags.quick || chosen.length > 0)) return;
  const date = new Date().toISOString();
  const machine = `${await cpuModel()}, ${cores} cores, ${Deno.build.os} ${Deno.osRelease().split("-")[0]}`;
  const versions = found.versions;
  const all = { date, machine, versions, rounds, effort, ...numbers(results), goals };
  const digits = (_: string, value: unknown) => typeof value === "number" ? Number(value.toPrecision(4)) : value;
  await write("results.json", `${JSON.stringify(all, digits, 2)}\n`);
  await write("chart.svg", drawChart(results, `${date.slice(0, 10)}, ${machine}, ${versions.deno}; deno task bench`));
}

/** Measures every peer in every case, round by round, with the order reversed in every other round. */
async function measureAll(bench: Bench, found: Found): Promise<Results> {
  const results = new Results();
  const failed = new Set<string>();
  for (let round = 0; round < rounds; round++) {
    for (const { name, job, tools, measure } of cases) {
      if (tools.some((tool) => found.commands[tool] === undefined)) continue;
      const peers = [...OURS, ...OTHERS].filter((peer) => peer.jobs.includes(job) && found.commands[peer.tool]);
      if (round % 2 === 1) peers.reverse();
      for (const peer of peers) {
        if (failed.has(`${name} ${peer.name}`)) continue;
        progress(`round ${round + 1} of ${rounds}: (${name}) ${peer.name}`);
        try {
          results.add(name, peer.name, round, await measure(peer, bench));
        } catch (error) {
          progress("");
          console.log(`Failed: (${name}) ${peer.name}: ${(error as Error).message}`);
          failed.add(`${name} ${peer.name}`);
        }
      }
    }
  }
  progress("");
  return results;
}

/** Shows the progress on a terminal. */
function progress(text: string): void {
  if (Deno.stderr.isTerminal()) Deno.stderr.writeSync(new TextEncoder().encode(`\r\x1b[K${text}`));
}

/** All medians with their spread, by case and peer. */
function numbers(results: Results) {
  const measures = ["rate", "cpuUs", "seconds", "bytesEach", "nsPerByte"] as const;
  const ofPeer = ({ name }: Case, peer: string) =>
    Object.fromEntries(
      measures.map((measure) => [measure, results.spread(name, peer, measure)]).filter(([, spread]) => spread !== null),
    );
  return {
    cases: cases.map((it) => ({
      name: it.name,
      title: it.title,
      peers: Object.fromEntries(results.peers(it.name).map((peer) => [peer, ofPeer(it, peer)])),
    })),
  };
}

async function cpuModel(): Promise<string> {
  const info = await Deno.readTextFile("/proc/cpuinfo").catch(() => "");
  return /model name\s*: (.*)/.exec(info)?.[1] ?? Deno.build.arch;
}

async function write(file: string, content: string): Promise<void> {
  await Deno.writeTextFile(new URL(file, import.meta.url), content);
}
