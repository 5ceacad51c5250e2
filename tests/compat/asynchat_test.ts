/** Compares ours with CPython's own asynchat: with its recorded run, and with the real module where installed. */

import { assert, assertEquals } from "@std/assert";
import { concat } from "@std/bytes";
import { type ChatOptions, findPrefixAtEnd } from "../../mod.ts";
import { randomCut } from "../../testing/cuts.ts";
import {
  type Conversation,
  type Operation,
  piecesOf,
  type PythonOutcome,
  randomConversation,
  toBytes,
} from "./conversation.ts";
import { likenesses } from "./likenesses.ts";
import { askOracle, hasOracle } from "./oracle.ts";
import { comparePlayed, play } from "./play.ts";
import { prefixPairs, record, type Recorded } from "./record.ts";
import vectors from "./vectors.json" with { type: "json" };

const recorded = vectors as unknown as Recorded;
const ignore = !await hasOracle();

/** Seeds of conversations that are not recorded. */
const LIVE_SEEDS = Array.from({ length: 2_000 }, (_, at) => 1_001 + at);

/** Plays a conversation and compares the outcome with that of asynchat. */
async function assertSame(
  seed: number,
  conversation: Conversation,
  python: PythonOutcome,
  pieces: Uint8Array[] = piecesOf(conversation),
  options: ChatOptions = {},
): Promise<void> {
  const outcome = await play(conversation, options, pieces);
  const [ours, expected] = comparePlayed(conversation, python, outcome);
  const message = `in the conversation of seed ${seed}: ${JSON.stringify(conversation)}
reads of ours: ${pieces.map(({ length }) => length).join(" ")}
asynchat: ${JSON.stringify(python)}
AsyncChat: ${JSON.stringify(outcome)}`;
  assertEquals(ours, expected, message);
}

/** The same with other cuts, and a very low highWaterMark: the chat waits after nearly every byte. */
async function assertSameRecut(seed: number, conversation: Conversation, python: PythonOutcome): Promise<void> {
  // discardBuffers() drops what has been read, which depends on the cuts.
  if (conversation.steps.flat().some(([name]) => name === "discard_buffers")) return;
  const pieces = randomCut(concat(piecesOf(conversation)), seed + 1, [1, 3, 8, 1000][seed % 4]!);
  await assertSame(seed, conversation, python, pieces, { highWaterMark: 1 + seed % 5 });
}

Deno.test("AsyncChat calls the same hooks and sends the same bytes in each recorded conversation", async () => {
  for (const { seed, conversation, python } of recorded.random) await assertSame(seed, conversation, python);
});

Deno.test("AsyncChat calls the same hooks for each recorded conversation with other cuts", async () => {
  for (const { seed, conversation, python } of recorded.random) await assertSameRecut(seed, conversation, python);
});

for (const { name, conversation } of likenesses) {
  Deno.test(`${name}, as in asynchat`, async () => {
    const record = recorded.named[name];
    assertEquals(record?.conversation, conversation, "vectors.json is older than this test: record it again");
    const [ours, expected] = comparePlayed(conversation, record!.python, await play(conversation));
    assertEquals(ours, expected);
  });
}

Deno.test("the recorded conversations cover everything that asynchat does", () => {
  const events = recorded.random.flatMap(({ python }) => python.events);
  const outcomes = recorded.random.map(({ python }) => python);
  const operations = recorded.random.flatMap(({ conversation }) => conversation.steps.flat());
  const counts = {
    data: events.filter(([name]) => name === "data").length,
    found: events.filter((event) => event[0] === "found" && typeof event[1] === "string").length,
    counted: events.filter((event) => event[0] === "found" && event[1] === null).length,
    ended: events.filter(([name]) => name === "close" || name === "close_when_done").length,
    held: outcomes.filter(({ held }) => held !== "").length,
    sent: outcomes.filter(({ sent }) => sent !== "").length,
    discarded: operations.filter(([name]) => name === "discard_buffers").length,
    produced: operations.filter(([name]) => name.startsWith("produce")).length,
  };
  const minimum = { data: 400, found: 400, counted: 80, ended: 20, held: 20, sent: 60, discarded: 10, produced: 100 };
  for (const [name, count] of Object.entries(counts)) {
    assert(count >= minimum[name as keyof typeof minimum], `too few "${name}": got ${count}`);
  }
});

Deno.test("findPrefixAtEnd() returns what asynchat's find_prefix_at_end returns", () => {
  const lengths = prefixPairs().map(([haystack, needle]) => findPrefixAtEnd(toBytes(haystack), toBytes(needle)));
  assertEquals(lengths.join(""), recorded.prefixes);
});

Deno.test({
  name: "vectors.json equals a new recording on this machine",
  ignore,
  async fn() {
    // The version of CPython may differ.
    assertEquals({ ...await record(), python: recorded.python }, recorded);
  },
});

Deno.test({
  name: "AsyncChat calls the same hooks and sends the same bytes in 2,000 live conversations",
  ignore,
  async fn() {
    const conversations = LIVE_SEEDS.map(randomConversation);
    const outcomes = await askOracle(conversations.map((conversation) => ({ conversation })));
    for (const [at, seed] of LIVE_SEEDS.entries()) {
      const conversation = conversations[at]!;
      const python = outcomes[at]!;
      await assertSame(seed, conversation, python);
      await assertSameRecut(seed, conversation, python);
    }
  },
});

/** `size` bytes of numbered lines of 1,000 bytes, so that no two places look alike. */
function lines(size: number): string {
  let text = "";
  for (let line = 0; text.length < size; line++) text += `${line}`.padStart(999, "abcdefg") + "\n";
  return text.slice(0, size);
}

function commonLength(one: string, other: string): number {
  let length = 0;
  while (length < one.length && one[length] === other[length]) length++;
  return length;
}

Deno.test({
  name: "AsyncChat dispatches and sends what asynchat does beyond the size of any buffer",
  ignore,
  async fn() {
    const big: Operation[] = [
      ["push", lines(70_000)],
      ["produce_simple", lines(40_000), 512],
      ["push", lines(16_385)],
      ["produce", [lines(66_000), lines(3)]],
      ["produce_bytes", lines(140_000)],
    ];
    const conversations: Conversation[] = [
      {
        steps: [[["terminator", "\n"]], big, [], big, [["close_when_done"]]],
        chunks: "a\nb\n|c\nd\ne\n",
        takes: [65_536],
      },
      { steps: [[["terminator", "\n"], ...big]], chunks: "", takes: [1_000, 0, 30_000] },
      {
        steps: [[["terminator", "\n"]]],
        chunks: [lines(200_500), lines(70_000)].join("|"),
        echo: true,
        takes: [9_999],
      },
      { steps: [[["terminator", 50_000]], [["terminator", null]]], chunks: lines(300_000), echo: true },
      { steps: [[["terminator", "no such line"]]], chunks: lines(65_000), gather: true },
    ];
    const outcomes = await askOracle(conversations.map((conversation) => ({ conversation })));
    for (const [at, conversation] of conversations.entries()) {
      const [ours, expected] = comparePlayed(conversation, outcomes[at]!, await play(conversation))
        .map(({ events, sent, terminator }) => JSON.stringify([events, terminator, sent]));
      const same = commonLength(ours!, expected!); // a diff of texts this long is unreadable
      assertEquals(
        ours!.substring(same - 40, same + 80),
        expected!.substring(same - 40, same + 80),
        `conversation ${at}`,
      );
    }
  },
});
