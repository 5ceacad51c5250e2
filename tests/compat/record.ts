/**
 * Records vectors.json: what CPython's own asynchat does in 200 random conversations, in those of likenesses.ts and
 * differences.ts, and for pairs of `find_prefix_at_end`. Nothing in it comes from our side.
 *
 *     deno run --allow-run=python3 --allow-write=tests/compat tests/compat/record.ts
 */

import { type Conversation, type PythonOutcome, randomConversation } from "./conversation.ts";
import { differences, listeners } from "./differences.ts";
import { likenesses } from "./likenesses.ts";
import { askOracle, hasOracle, type ListenerOutcome, oracleVersion } from "./oracle.ts";

/** The recorded run of the real module. */
export interface Recorded {
  /** The version of CPython. */
  python: string;
  /** Random conversations. */
  random: { seed: number; conversation: Conversation; python: PythonOutcome }[];
  /** Those of likenesses.ts and differences.ts, by name. */
  named: Record<string, { conversation: Conversation; python: PythonOutcome }>;
  /** The listeners of differences.ts, by name. */
  listeners: Record<string, { outcomes: string[]; python: ListenerOutcome }>;
  /** `find_prefix_at_end` of all {@linkcode prefixPairs}: one digit each. */
  prefixes: string;
}

/** The random conversations have the seeds 1 to 200. */
const RECORDED = 200;

/** All haystacks of up to five letters with all needles of one to four, over two letters. */
export function prefixPairs(): [haystack: string, needle: string][] {
  const words = [""];
  for (let from = 0; words.at(-1)!.length < 5;) {
    const to = words.length;
    for (; from < to; from++) words.push(`${words[from]}a`, `${words[from]}b`);
  }
  const needles = words.filter(({ length }) => length >= 1 && length <= 4);
  return words.flatMap((haystack) => needles.map((needle): [string, string] => [haystack, needle]));
}

/** Asks the oracle for the content of vectors.json. */
export async function record(): Promise<Recorded> {
  const seeds = Array.from({ length: RECORDED }, (_, at) => at + 1);
  const random = await play(seeds.map(randomConversation));
  const byName = [...likenesses, ...differences];
  const named = await play(byName.map(({ conversation }) => conversation));
  const accepted = await askOracle(listeners.map(({ outcomes }) => ({ listener: outcomes })));
  const [{ lengths }] = await askOracle([{ prefixes: prefixPairs() }]);
  return {
    python: await oracleVersion(),
    random: seeds.map((seed, at) => ({ seed, ...random[at]! })),
    named: Object.fromEntries(byName.map(({ name }, at) => [name, named[at]!])),
    listeners: Object.fromEntries(
      listeners.map(({ name, outcomes }, at) => [name, { outcomes, python: accepted[at]! }]),
    ),
    prefixes: lengths.join(""),
  };
}

async function play(conversations: Conversation[]): Promise<{ conversation: Conversation; python: PythonOutcome }[]> {
  const outcomes = await askOracle(conversations.map((conversation) => ({ conversation })));
  return outcomes.map((python, at) => ({ conversation: conversations[at]!, python }));
}

/** Formats JSON as `deno fmt` does: a value that fits on one line, else one item a line. */
function layOut(value: unknown, indent = "", before = 0, after = 0): string {
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const flat = layOutFlat(value);
  if (indent.length + before + flat.length + after <= 120) return flat;
  const inner = `${indent}  `;
  const isList = Array.isArray(value);
  const entries = isList
    ? value.map((item) => ["", item])
    : Object.entries(value).map(([key, item]) => [`${JSON.stringify(key)}: `, item]);
  const items = entries.map(([key, item], at) => {
    return inner + key + layOut(item, inner, key.length, at < entries.length - 1 ? 1 : 0);
  });
  const [open, close] = isList ? "[]" : "{}";
  return `${open}\n${items.join(",\n")}\n${indent}${close}`;
}

function layOutFlat(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(layOutFlat).join(", ")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const entries = Object.entries(value).map(([key, item]) => `${JSON.stringify(key)}: ${layOutFlat(item)}`);
  return entries.length === 0 ? "{}" : `{ ${entries.join(", ")} }`;
}

if (import.meta.main) {
  if (!await hasOracle()) {
    throw new Error("Cannot record: python3 has no asynchat or may not be run, expected CPython 3.11 or older");
  }
  await Deno.writeTextFile(new URL("./vectors.json", import.meta.url), `${layOut(await record())}\n`);
}
