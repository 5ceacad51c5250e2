/**
 * The benchmarks: every peer and us, side by side in one run. `deno task bench` runs all scenarios and writes
 * `bench/results.json` and `bench/chart.svg`; `deno task bench a c` runs some; `--quick` makes the rounds short and writes
 * nothing. Needs gcc; what else is missing is said and left out.
 */

import { chart } from "./chart.ts";
import { absent, build, run } from "./peers.ts";
import * as scenarios from "./scenarios.ts";
import type { Effort, Row } from "./scenarios.ts";

/** What is wanted: for which of us, against whom, in which setting, how many times as much (or, of a cost, as little). */
const WANTED: [scenario: string, setting: RegExp, us: RegExp, peer: RegExp, ratio: number][] = [
  ["a", /^(8|40) B/, /range|view/, /^asynchat/, 20],
  ["a", /^200 B/, /range|view/, /^asynchat/, 5],
  ["a", /000 B/, /range|view/, /^asynchat/, 3],
  ["a", /./, /view/, /^(node|std|libevent)/, 1.5],
  ["a", /./, /range/, /^Go/, 1],
  ["a", /./, /view/, /^Go/, 0.5],
  ["a", /000 B/, /view/, /^bare/, 0.6],
  ["b", /./, /us/, /^asynchat/, 10],
  ["b", /./, /us/, /^node/, 1.5],
  ["c", / 64 in flight/, /us/, /^asynchat/, 5],
  ["c", / 64 in flight/, /us/, /^node/, 1.5],
  ["c", / 1 in flight/, /us/, /^bare/, 0.9],
  ["d", /keep-alive|16 deep/, /us/, /^(asynchat|node|Deno)/, 1],
  ["d", /keep-alive|16 deep/, /us/, /^bare/, 0.9],
  ["e", /./, /us/, /^bare/, 1 / 1.3],
];

/** (g): how much longer a byte of 64 MiB may take than one of 1 MiB. */
const MOST_GROWTH = 1.5;

export function median(figures: number[]): number {
  const sorted = figures.toSorted((a, b) => a - b);
  return (sorted[(sorted.length - 1) >> 1]! + sorted[sorted.length >> 1]!) / 2;
}

/** How many times as good `name` is as `peer`. */
function ratio(row: Row, name: string, peer: string): number {
  const [mine, theirs] = [median(row.figures[name]!), median(row.figures[peer]!)];
  return row.isCost ? theirs / mine : mine / theirs;
}

function show(figure: number): string {
  return figure >= 100 ? figure.toFixed(0) : figure >= 10 ? figure.toFixed(1) : figure.toFixed(2);
}

/** Prints a row: each peer's median and spread, and how each of us stands to it. Gives what was wanted and missed. */
function tell(row: Row): string[] {
  console.log(`\n(${row.scenario}) ${row.setting}, ${row.unit}${row.isCost ? ", less is better" : ""}`);
  const us = Object.keys(row.figures).filter((name) => name.startsWith("us"));
  const missed: string[] = [];
  for (const [name, figures] of Object.entries(row.figures)) {
    const spread = `${show(Math.min(...figures))} to ${show(Math.max(...figures))}`;
    const ratios = us.includes(name) ? [] : us.map((mine) => {
      const found = ratio(row, mine, name);
      const wanted = row.unit === "k requests/s" || row.unit === "KiB each" ? undefined : WANTED.find(
        ([scenario, setting, of, peer]) =>
          scenario === row.scenario && setting.test(row.setting) && of.test(mine) && peer.test(name),
      )?.[4];
      if (wanted === undefined) return `${mine} ${show(found)}x`;
      if (found >= wanted) return `${mine} ${show(found)}x (${show(wanted)} wanted: met)`;
      missed.push(`(${row.scenario}) ${row.setting}: ${mine} ${show(found)}x ${name}, ${show(wanted)} wanted`);
      return `${mine} ${show(found)}x (${show(wanted)} wanted: MISSED)`;
    });
    console.log(`  ${name.padEnd(20)}${show(median(figures)).padStart(8)}  ${spread.padEnd(18)} ${ratios.join(", ")}`);
  }
  return missed;
}

async function machine(): Promise<string> {
  const cpu = /model name\s*: (.*)/.exec(await Deno.readTextFile("/proc/cpuinfo"))?.[1] ?? Deno.build.arch;
  const version = async (command: string, ...args: string[]) =>
    (await run(command, args).catch(() => "missing")).trim().split("\n")[0]!;
  const versions = [
    await version("node", "--version"),
    await version("python3", "--version"),
    await version("go", "version"),
  ];
  return `${navigator.hardwareConcurrency} cores of ${cpu}, Deno ${Deno.version.deno}, Node ${versions.join(", ")}`;
}

const quick = Deno.args.includes("--quick");
const wanted = Deno.args.filter((arg) => !arg.startsWith("--"));
const built = await Deno.makeTempDir({ prefix: "asynchat-bench-" });
const effort: Effort = quick ? { rounds: 1, seconds: 0.3, built } : { rounds: 3, seconds: 0.7, built };
const rows: Row[] = [];
const missed: string[] = [];
try {
  await build(built);
  const about = { date: new Date().toISOString().slice(0, 10), machine: await machine(), rounds: effort.rounds };
  console.log(`${about.date}, ${about.machine}; medians of ${about.rounds}, with the least and the most`);
  for (const [name, scenario] of Object.entries(scenarios)) {
    if (name.length !== 1 || wanted.length > 0 && !wanted.includes(name)) continue;
    for await (const row of (scenario as (effort: Effort) => AsyncGenerator<Row>)(effort)) {
      rows.push(row);
      missed.push(...tell(row));
    }
  }
  const growth = (mib: number) =>
    median(rows.find(({ setting }) => setting === `${mib} MiB, 1460 B at a time`)!.figures.us!);
  if (rows.some(({ scenario }) => scenario === "g")) {
    const grown = growth(64) / growth(1);
    console.log(`\n(g) A byte of 64 MiB takes ${show(grown)}x as long as one of 1 MiB, ${MOST_GROWTH}x is allowed`);
    if (grown > MOST_GROWTH) missed.push(`(g) ${show(grown)}x, ${MOST_GROWTH}x allowed`);
  }
  for (const [name, why] of absent) console.log(`\nNot measured, as it is not here: ${name} (${why})`);
  console.log(missed.length === 0 ? "\nAll that was wanted is met." : `\nMissed:\n${missed.join("\n")}`);
  if (!quick && wanted.length === 0) {
    const results = JSON.stringify({ ...about, rows, missed }, null, 1);
    await Deno.writeTextFile(new URL("results.json", import.meta.url), `${results}\n`);
    await Deno.writeTextFile(new URL("chart.svg", import.meta.url), chart(about, rows.map((row) => [row, median])));
  }
} finally {
  await Deno.remove(built, { recursive: true });
}
