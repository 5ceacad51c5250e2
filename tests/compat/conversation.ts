/**
 * A conversation: what a peer sends and what a chat does about it, in words that CPython's asynchat and ours both understand.
 *
 * Bytes are text here, one character (U+0000 to U+00FF) a byte, so that a conversation can be read and is plain JSON.
 */

import { randomCut, seededRandom } from "../../testing/cuts.ts";

/** A byte string, a count, or `null`, `""` and `0` for raw. */
export type Term = string | number | null;

/** Something that a hook does. */
export type Operation =
  | ["terminator", Term]
  | ["note_terminator" | "note_queue"] // puts what getTerminator says, and how many bytes are queued, among the events
  | ["push", string | number] // a number is a mistake
  | ["push_bytearray" | "push_view" | "push_text", string]
  | ["produce", string[]] // pushWithProducer of an object with more() that has these pieces
  | ["produce_simple", string, number]
  | ["produce_bytes", string]
  | ["close_when_done"]
  | ["close"]
  | ["discard_buffers"]
  | ["produce_throwing" | "throw"];

/** What is said and done. */
export interface Conversation {
  /** What is done: `[0]` at the start, `[n]` in the nth `foundTerminator`. */
  steps: Operation[][];
  /** What is done in the first, second ... `collectIncomingData`. */
  onData?: Operation[][];
  /** What the peer sends before it ends, one piece a read; "|" stands between two. */
  chunks: string;
  /** Whether the peer ends without waiting for what it is sent. */
  hasty?: boolean;
  /** The network's fault that comes instead of the peer's end: the name of its errno. */
  fault?: string;
  /** Whether `handleError` lets the chat go on. */
  goesOn?: boolean;
  /** Reads, counted from 1, that find nothing to read. */
  pauses?: number[];
  /** How many bytes the first, second ... write takes, over and over; 0 is: no room, -1: the peer is gone. */
  takes?: number[];
  /** How often the socket is found writable after the first, second ... read, over and over. (Ours writes when it can.) */
  writes?: number[];
  /** `ac_in_buffer_size`; `maxReadBytes` in ours. */
  readSize?: number;
  /** `ac_out_buffer_size`. (Ours has no such number.) */
  sendSize?: number;
  /** Whether the data is gathered and taken in `foundTerminator` (`_collect_incoming_data`), or noted as it comes. */
  gather?: boolean;
  /** Whether all data is pushed back as it comes. */
  echo?: boolean;
  /** Whether hooks and producers of ours answer with promises. */
  async?: boolean;
}

/** A hook that was called, or what it did that matters for the hooks. Data that came in several pieces is joined. */
export type Event =
  | ["data", string]
  | ["found", Term] // with the terminator that is in force then
  | ["terminator", Term]
  | ["queued", number]
  | ["error", string] // the name of its class
  | ["handle_close" | "close_when_done" | "close"];

/** What came of a conversation. */
export interface Outcome {
  events: Event[];
  /** All that the peer got. */
  sent: string;
  /** The terminator at the end. */
  terminator: Term;
}

/** What came of it with CPython's asynchat. */
export interface PythonOutcome extends Outcome {
  /** What was in the input buffer when the peer ended: the beginning of a terminator, which no hook was told of. */
  held: string;
}

/** The bytes that `text` stands for. */
export function toBytes(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

/** What stands for `bytes`. */
export function toText(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
}

/** The pieces that the peer sends. */
export function piecesOf({ chunks }: Conversation): Uint8Array[] {
  return chunks === "" ? [] : chunks.split("|").map(toBytes);
}

const TERMINATORS = [
  "\n",
  "\r\n",
  "\r\n\r\n",
  "q",
  "qqq",
  "aa",
  "aab",
  "aba",
  "abab",
  "aaab",
  "\xff",
  "é",
  "\xff\xfe\xff",
];

/** The ways to leave a conversation, "end" being the peer's; "discard" is not one, but nothing is sent where it happens. */
const KINDS = ["end", "end", "end", "talk", "talk", "talk", "echo", "close_when_done", "close", "discard"] as const;

/**
 * A conversation that is the same each time for the same seed.
 *
 * @param seed Any number; its low 32 bits count.
 */
export function randomConversation(seed: number): Conversation {
  const random = seededRandom(seed);
  const below = (limit: number) => Math.floor(random() * limit);
  const chance = (probability: number) => random() < probability;
  const pick = <T>(from: readonly T[]): T => from[below(from.length)]!;

  const kind = pick(KINDS);
  const terminators = Array.from({ length: 1 + below(3) }, () => pick(TERMINATORS));
  // So few letters that terminators come about by chance, and nearly come about again and again.
  const letters = [...new Set([...terminators.join(""), pick(["a", "b", "\r", "x", "\0"])])];
  const word = (longest: number) => Array.from({ length: 1 + below(longest) }, () => pick(letters)).join("");
  if (chance(0.3)) terminators.push(word(4));

  const term = (): Term => {
    const dice = random();
    if (dice < 0.7) return pick(terminators);
    return dice < 0.95 ? 1 + below(7) : pick([null, "", 0]);
  };
  const saying = (): Operation => {
    const dice = random();
    if (dice < 0.5) return ["push", chance(0.1) ? "" : word(9)];
    if (dice < 0.7) return ["produce", Array.from({ length: below(4) }, () => word(6))];
    if (dice < 0.85) return ["produce_simple", word(20), 1 + below(8)];
    if (dice < 0.95) return ["produce_bytes", word(9)];
    return [pick(["push_bytearray", "push_view"]), word(5)];
  };

  const steps: Operation[][] = [[["terminator", pick([...terminators, 1 + below(5)])]]];
  let counting = typeof steps[0]![0]![1] === "number";
  for (let more = below(12); more > 0; more--) {
    // What follows a count is raw unless another terminator is set: mostly one is, or all conversations would end so.
    const next: Operation | null = chance(counting ? 0.95 : 0.5) ? ["terminator", term()] : null;
    if (next !== null) counting = typeof next[1] === "number";
    steps.push(next === null ? [] : [next]);
  }
  if (kind === "close" || kind === "close_when_done") steps.length = Math.min(steps.length, 1 + below(5));
  for (const step of steps) {
    if (kind === "discard") {
      if (chance(0.2)) step.push(["discard_buffers"]);
    } else if (kind !== "end") {
      while (chance(0.4)) step.splice(below(2), 0, saying());
    }
  }
  if (kind === "close" || kind === "close_when_done") steps.at(-1)!.push([kind]);

  let data = "";
  for (let more = below(20); more > 0; more--) {
    const whole = pick(terminators);
    const dice = random();
    if (dice < 0.45) data += whole;
    else if (dice < 0.65) data += whole.slice(0, below(whole.length));
    else data += word(5);
  }
  const mean = pick([1, 2, 4, 9, 1000]);
  return {
    steps,
    chunks: randomCut(toBytes(data), seed, mean).map(toText).join("|"),
    ...(chance(0.2) ? { pauses: [1 + below(3), 4 + below(6)] } : {}),
    ...(chance(0.7) ? { takes: [1 + below(5), below(9)] } : {}),
    ...(chance(0.5) ? { writes: [below(2), below(3)] } : {}),
    ...(chance(0.2) ? { readSize: 1 + below(4) } : {}),
    ...(chance(0.3) ? { sendSize: 1 + below(6) } : {}),
    ...(chance(0.4) ? { gather: true } : {}),
    ...(kind === "echo" ? { echo: true } : {}),
    ...(chance(0.3) ? { async: true } : {}),
  };
}
