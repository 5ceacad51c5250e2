/**
 * A conversation: what a peer sends and what a chat does in its hooks, in terms that CPython's asynchat and ours share.
 *
 * Bytes are text here, one character (U+0000 to U+00FF) a byte, so that a conversation is readable and plain JSON.
 */

import { randomCut, seededRandom } from "../../testing/cuts.ts";

/** A byte string, a count, or `null` for raw. `""` and `0` are raw in asynchat only: differences.ts. */
export type Term = string | number | null;

/** A step of a hook. */
export type Operation =
  | ["terminator", Term]
  | ["note_terminator" | "note_queue"] // records getTerminator(), and the number of queued bytes, as an event
  | ["push", string | number] // a number is an error
  | ["push_bytearray" | "push_view" | "push_text", string]
  | ["push_noted", string] // records what push() returns as an event
  | ["produce", string[]] // pushWithProducer of an object with more() that has these pieces
  | ["produce_simple", string, number]
  | ["produce_bytes", string]
  | ["close_when_done"]
  | ["close"]
  | ["discard_buffers"]
  | ["produce_throwing" | "throw"];

/** A conversation: both sides of it. */
export interface Conversation {
  /** The steps: `[0]` at the start, `[n]` in the nth `foundTerminator`. */
  steps: Operation[][];
  /** The steps in the first, second ... `collectIncomingData`. */
  onData?: Operation[][];
  /** What the peer sends, one piece a read, separated by "|". */
  chunks: string;
  /** Whether the peer ends without reading first. */
  hasty?: boolean;
  /** The errno of a network error instead of EOF. */
  fault?: string;
  /** Whether `handleError` keeps the chat open. */
  goesOn?: boolean;
  /** Reads, counted from 1, that get no data. */
  pauses?: number[];
  /** Bytes that each write takes, cyclic; 0: would block, -1: broken pipe. */
  takes?: number[];
  /** Writable events after each read, cyclic. (Ours writes when it can.) */
  writes?: number[];
  /** `ac_in_buffer_size`; `maxReadBytes` in ours. */
  readSize?: number;
  /** `ac_out_buffer_size`; ours has no equivalent. */
  sendSize?: number;
  /** Whether the default collector (`_collect_incoming_data`) collects the data. */
  gather?: boolean;
  /** Whether all data is pushed back. */
  echo?: boolean;
  /** Whether our hooks and producers are async. */
  async?: boolean;
}

/** A hook call, or a step that affects later hook calls. Data of several calls is joined. */
export type Event =
  | ["data", string]
  | ["found", Term] // with the current terminator
  | ["terminator", Term]
  | ["queued", number]
  | ["pushed", boolean | null] // what push() returned
  | ["error", string] // the name of its class
  | ["handle_close" | "close_when_done" | "close"];

/** The outcome of a conversation. */
export interface Outcome {
  events: Event[];
  /** All bytes that the peer received. */
  sent: string;
  /** The terminator at the end. */
  terminator: Term;
}

/** The outcome with CPython's asynchat. */
export interface PythonOutcome extends Outcome {
  /** A partial terminator left in the buffer at EOF. */
  held: string;
}

/** Converts text to bytes, one char each. */
export function toBytes(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

/** Converts bytes to text, one char each. */
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

/** How a conversation ends ("end" is the peer's EOF), or what happens in it. With "discard" nothing is sent. */
const KINDS = ["end", "end", "end", "talk", "talk", "talk", "echo", "close_when_done", "close", "discard"] as const;

/**
 * Generates a conversation. The same seed gives the same conversation.
 *
 * @param seed Any number; its low 32 bits are used.
 */
export function randomConversation(seed: number): Conversation {
  const random = seededRandom(seed);
  const below = (limit: number) => Math.floor(random() * limit);
  const chance = (probability: number) => random() < probability;
  const pick = <T>(from: readonly T[]): T => from[below(from.length)]!;

  const kind = pick(KINDS);
  const terminators = Array.from({ length: 1 + below(3) }, () => pick(TERMINATORS));
  // Few letters, so that terminators and partial terminators occur by chance.
  const letters = [...new Set([...terminators.join(""), pick(["a", "b", "\r", "x", "\0"])])];
  const word = (maxLength: number) => Array.from({ length: 1 + below(maxLength) }, () => pick(letters)).join("");
  if (chance(0.3)) terminators.push(word(4));

  const term = (): Term => {
    const dice = random();
    if (dice < 0.7) return pick(terminators);
    return dice < 0.95 ? 1 + below(7) : null;
  };
  const sending = (): Operation => {
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
    // After a count the chat is raw unless a terminator is set. Set one most of the time, or all conversations would
    // end raw.
    const next: Operation | null = chance(counting ? 0.95 : 0.5) ? ["terminator", term()] : null;
    if (next !== null) counting = typeof next[1] === "number";
    steps.push(next === null ? [] : [next]);
  }
  if (kind === "close" || kind === "close_when_done") steps.length = Math.min(steps.length, 1 + below(5));
  for (const step of steps) {
    if (kind === "discard") {
      if (chance(0.2)) step.push(["discard_buffers"]);
    } else if (kind !== "end") {
      while (chance(0.4)) step.splice(below(2), 0, sending());
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
