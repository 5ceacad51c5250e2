/** Formats the results for the terminal. */

import type { Goal } from "./goals.ts";
import { OURS } from "./peers.ts";
import type { Results, Spread } from "./results.ts";
import type { Case, Measure } from "./scenarios.ts";

const UNITS: Record<Measure, string> = {
  rate: "a second",
  cpuUs: "us of CPU each",
  seconds: "s",
  bytesEach: "B each",
  nsPerByte: "ns a byte",
};

/** Formats a number with three digits: `123k`, `1.23M`, `0.0123`. */
export function short(value: number): string {
  const [divisor, unit] = value >= 1e9 ? [1e9, "G"] : value >= 1e6 ? [1e6, "M"] : value >= 1e4 ? [1e3, "k"] : [1, ""];
  const scaled = value / divisor;
  return `${scaled >= 100 ? Math.round(scaled) : Number(scaled.toPrecision(3))}${unit}`;
}

function withSpread({ median, low, high }: Spread): string {
  return low === high ? short(median) : `${short(median)} (${short(low)}-${short(high)})`;
}

/** Formats a case: all peers, best first, each compared with our first variant that was measured. */
export function caseTable(results: Results, { name, title, shows }: Case): string {
  const peers = results.peers(name);
  const us = OURS.find((peer) => peers.includes(peer.name))?.name;
  const sign = shows === "rate" ? -1 : 1;
  const figure = (peer: string) => results.spread(name, peer, shows)?.median ?? Infinity;
  const measures = (Object.keys(UNITS) as Measure[]).filter((measure) =>
    measure === shows ||
    shows !== "nsPerByte" && measure !== "nsPerByte" && peers.some((peer) => results.spread(name, peer, measure))
  );
  const rows = peers.sort((a, b) => sign * (figure(a) - figure(b))).map((peer) => {
    const ratio = us === undefined ? null : results.ratio(shows, [name, us], [name, peer]);
    return [
      peer,
      ...measures.map((measure) => {
        const spread = results.spread(name, peer, measure);
        return spread === null ? "" : measure === "cpuUs" ? short(spread.median) : withSpread(spread);
      }),
      ratio === null ? "" : peer === us ? "1" : short(ratio.median),
    ];
  });
  const head = ["", ...measures.map((measure) => UNITS[measure]), `${us ?? "we"}, times better`];
  return `(${name}) ${title}\n${table([head, ...rows])}`;
}

/** Formats all goals, and whether they are met. */
export function goalTable(goals: readonly Goal[]): string {
  const rows = goals.map(({ case: name, measure, us, other, ratio, atLeast, met }) => [
    name,
    us,
    other,
    UNITS[measure],
    withSpread(ratio),
    short(atLeast),
    met ? "met" : "NOT MET",
  ]);
  return table([["case", "ours", "against", "in", "times better", "goal", ""], ...rows]);
}

function table(rows: readonly string[][]): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows.map((row) => "  " + row.map((cell, column) => cell.padEnd(widths[column]!)).join("  ").trimEnd()).join(
    "\n",
  );
}
