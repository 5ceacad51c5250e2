/** The goals against the peers, as ratios within one run. */

import { OURS } from "./peers.ts";
import type { Results, Spread } from "./results.ts";
import type { Measure } from "./scenarios.ts";

interface Rule {
  readonly cases: RegExp;
  readonly measure: Measure;
  /** A variant of ours, or the fastest of them. */
  readonly us: string;
  /** Peers, another case of ours, or a figure. */
  readonly others: readonly string[] | { readonly sameIn: string } | number;
  readonly atLeast: number;
}

export interface Goal {
  readonly case: string;
  readonly measure: Measure;
  readonly us: string;
  readonly other: string;
  readonly ratio: Spread;
  readonly atLeast: number;
  readonly met: boolean;
}

const FASTEST = "the fastest of ours";

const RULES: readonly Rule[] = [
  rule(/^a \w+ (8|40)$/, "rate", "collectIncomingData", ["asynchat"], 20),
  rule(/^a \w+ 200$/, "rate", "collectIncomingData", ["asynchat"], 5),
  rule(/^a \w+ \d+000$/, "rate", "collectIncomingData", ["asynchat"], 3),
  rule(
    /^a/,
    "rate",
    "collectIncomingData",
    ["node:net indexOf", "node:net readline", "TextLineStream", "DelimiterStream", "libevent"],
    1.5,
  ),
  rule(/^a/, "rate", FASTEST, ["Go"], 1),
  rule(/^a/, "rate", "collectIncomingData", ["Go"], 0.5),
  rule(/^a \w+ \d+000$/, "rate", FASTEST, ["bare read loop"], 0.6),
  rule(/^b/, "rate", "collectIncomingData", ["asynchat"], 10),
  rule(/^b/, "rate", "collectIncomingData", ["node:net indexOf"], 1.5),
  rule(/^c \d+x64$/, "rate", "takeText", ["asynchat"], 5),
  rule(/^c \d+x64$/, "rate", "takeText", ["node:net indexOf"], 1.5),
  rule(/^c \d+x1$/, "rate", "takeText", ["bare read loop"], 0.9),
  rule(/^d (keep|pipelined)$/, "cpuUs", "greeter", ["asynchat", "node:http", "Deno.serve"], 1),
  rule(/^d (keep|pipelined)$/, "cpuUs", "greeter", ["bare read loop"], 0.9),
  rule(/^e$/, "bytesEach", "takeText", 10_240, 1),
  rule(/^e$/, "seconds", "takeText", ["bare read loop"], 1 / 1.3),
  rule(/^g 64 MiB/, "nsPerByte", "collectIncomingData", { sameIn: "g 1 MiB by 1460" }, 1 / 1.5),
  rule(/^g 64 MiB/, "nsPerByte", "takeData", { sameIn: "g 1 MiB by 1460" }, 1 / 1.5),
  rule(/^h 8 of 8/, "rate", "collectIncomingRange", { sameIn: "h 1 of 8" }, 0.8),
  rule(/^h 8 of 8/, "rate", "collectIncomingRange", { sameIn: "h 1 of 1" }, 0.8),
  rule(/^h 8 of 8/, "rate", "takeText", { sameIn: "h 1 of 8" }, 0.8),
  rule(/^h 8 of 8/, "rate", "takeText", { sameIn: "h 1 of 1" }, 0.8),
];

function rule(cases: RegExp, measure: Measure, us: string, others: Rule["others"], atLeast: number): Rule {
  return { cases, measure, us, others, atLeast };
}

/** Checks the goals for which there are results. */
export function judge(results: Results, caseNames: readonly string[]): Goal[] {
  const goals: Goal[] = [];
  for (const name of caseNames) {
    for (const { cases, measure, us: named, others, atLeast } of RULES) {
      if (!cases.test(name)) continue;
      const us = named === FASTEST ? fastestOf(results, name) : named;
      const add = (other: string, against: [string, string] | number) => {
        const ratio = results.ratio(measure, [name, us], against);
        if (ratio === null) return;
        goals.push({ case: name, measure, us, other, ratio, atLeast, met: ratio.median >= atLeast });
      };
      if (typeof others === "number") add(String(others), others);
      else if ("sameIn" in others) add(others.sameIn, [others.sameIn, us]);
      else for (const other of others) add(other, [name, other]);
    }
  }
  return goals;
}

function fastestOf(results: Results, name: string): string {
  let [fastest, most] = ["", -Infinity];
  for (const { name: us } of OURS) {
    const speed = results.spread(name, us, "rate")?.median ?? -Infinity;
    if (speed > most) [fastest, most] = [us, speed];
  }
  return fastest;
}
