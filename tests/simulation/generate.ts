// Generates the schedule of a seed.

import { seededRandom } from "../../testing/mod.ts";
import type {
  Act,
  ChatConfig,
  HookName,
  Plan,
  ProducerKind,
  Schedule,
  ServerConfig,
  Setting,
  Step,
} from "./schedule.ts";
import { MAX_IDS } from "./wire.ts";

/** In `words` this stands for the connection's own byte. */
export const OWN = "*";

/** Draws from one seed. */
class Draw {
  readonly #random: () => number;

  constructor(seed: number) {
    this.#random = seededRandom(seed);
  }
  below(end: number): number {
    return Math.floor(this.#random() * end);
  }
  chance(share: number): boolean {
    return this.#random() < share;
  }
  of<Value>(...values: readonly Value[]): Value {
    return values[this.below(values.length)]!;
  }
  list<Value>(minLength: number, maxLength: number, make: () => Value): Value[] {
    return Array.from({ length: minLength + this.below(maxLength - minLength + 1) }, make);
  }
  /** Draws a member by its weight. */
  weighed<Value>(members: readonly (readonly [weight: number, make: () => Value])[]): Value {
    let rest = this.#random() * members.reduce((sum, [weight]) => sum + weight, 0);
    for (const [weight, make] of members) if ((rest -= weight) < 0) return make();
    return members[0]![1]();
  }
}

/** Returns what the simulation of `seed` does. */
export function generate(seed: number): Schedule {
  const draw = new Draw(Math.imul(seed, 0x9e3779b1));
  const chats = draw.weighed([[12, () => 1 + draw.below(5)], [3, () => 6 + draw.below(10)], [
    1,
    () => 24 + draw.below(MAX_IDS - 24),
  ]]);
  const connects = Array.from({ length: chats }, (_, chat): Step => ({ do: "connect", chat, config: config(draw) }));
  const steps: Step[] = [];
  const length = chats * (6 + draw.below(10));
  const focus = draw.below(chats); // one chat gets more than its share
  for (let i = 0, next = 0; i < length; i++) {
    if (next < chats && (next === 0 || draw.chance(1.5 * chats / length))) steps.push(connects[next++]!);
    const chat = draw.chance(0.2) && focus < next ? focus : draw.below(next);
    steps.push(step(draw, chat));
  }
  if (draw.chance(0.1)) steps.splice(draw.below(steps.length + 1), 0, { do: draw.of("shutdown", "shutdown", "abort") });
  const server: ServerConfig = {
    maxConnections: draw.of(1_000, 1_000, 3, 1),
    maxConnectionsPerAddress: draw.of(1_000, 1_000, 2),
    refusal: draw.of("", "busy\r\n"),
    drainTimeoutMs: draw.of(0, 1_000, 10_000),
    whenFull: draw.of("wait", "wait", "closeOldestIdle"),
  };
  return { seed, server, steps };
}

const DELIMITERS = [["\n"], ["\r\n"], ["\r\n"], ["END"], ["\n", "\r\n"], ["\r", "\r\n"], ["END", "EN\r"]];

function setting(draw: Draw): Setting {
  const count = draw.chance(0.3) ? draw.of(0, 1, 2, 5, 40) : null;
  const delimiters = count !== null || draw.chance(0.1) ? [] : draw.of(...DELIMITERS);
  return { delimiters, count, limit: draw.of(null, null, 3, 6), discards: draw.chance(0.6) };
}

/** Not empty frames alone: they have no end. */
function cycle(draw: Draw): Setting[] {
  const settings = draw.list(1, 3, () => setting(draw));
  if (settings.every(({ count }) => count === 0)) settings[0] = { ...settings[0]!, count: 2 };
  return settings;
}

function plan(draw: Draw): Plan {
  return { acts: draw.list(0, 3, () => act(draw)), outcome: draw.of("return", "return", "wait", "wait", "throw") };
}

const KINDS: ProducerKind[] = [
  "more",
  "promise",
  "iterable",
  "generator",
  "events",
  "events",
  "stream",
  "failing",
  "endless",
];

function act(draw: Draw): Act {
  return draw.weighed<Act>([
    [8, () => ({
      do: "push",
      size: draw.of(0, 1, 10, 10, 300, 20_000),
      times: draw.of(1, 1, 1, 5, 40),
      isText: draw.chance(0.5),
    })],
    [5, () => ({
      do: "produce",
      kind: draw.of(...KINDS),
      pieces: draw.list(0, 3, () => draw.of(1, 10, 700, 20_000)),
      times: draw.of(1, 1, 1, 1, 1, 1, 25),
    })],
    [4, () => ({ do: "terminator", setting: setting(draw) })],
    [1, () => ({ do: "close", hasReason: draw.chance(0.5) })],
    [2, () => ({ do: "upgrade", role: draw.of("client", "server"), setting: setting(draw) })],
    [3, () => ({ do: "closeWhenDone" })],
    [1.5, () => ({ do: "closeWrite" })],
    [2, () => ({ do: "discard" })],
    [0.5, () => ({ do: "detach" })],
    [2, () => ({ do: "flushed" })],
    [1.5, () => ({ do: "signal" })],
    [1, () => ({ do: "misuse" })],
  ]);
}

function config(draw: Draw): ChatConfig {
  const capacity = draw.of(8, 64, 4_096, 4_096, 65_536);
  return {
    mode: draw.of("gather", "data", "range"),
    cycle: cycle(draw),
    connect: draw.chance(0.2) ? plan(draw) : { acts: [], outcome: "return" },
    answers: draw.of(0, 0, 3, 100),
    forgives: draw.chance(0.3),
    staysOpen: draw.chance(0.2),
    errorsClose: draw.chance(0.6),
    throwsInAccept: draw.chance(0.03),
    ownClock: draw.chance(0.7),
    peerReads: draw.chance(0.6),
    address: draw.of("192.0.2.1", "192.0.2.1", "192.0.2.2"),
    options: {
      maxFrameBytes: draw.of(5, 100, 65_536),
      highWaterMark: draw.of(10, 65_536),
      maxBufferedBytes: draw.of(100, 5_000, 1_000_000, 1_000_000),
      maxReadBytes: draw.of(3, 1_000, 65_536, 65_536),
    },
    limits: draw.chance(0.5) ? { idleTimeoutMs: 500, frameTimeoutMs: 500, writeTimeoutMs: 500 } : {
      idleTimeoutMs: draw.of(0, 500),
      frameTimeoutMs: draw.of(0, 400),
      writeTimeoutMs: draw.of(0, 300, 60_000),
    },
    ours: {
      capacity,
      maxReadBytes: draw.of(1, 7, 65_536, 65_536, 65_536),
      maxWriteBytes: capacity <= 64 ? draw.of(7, 65_536) : 65_536,
    },
    theirCapacity: draw.of(4, 65_536, 65_536),
    fail: draw.chance(0.2)
      ? { call: draw.of("read", "write", "closeWrite", "close"), nth: draw.of(1, 1, 1, 2, 4) }
      : null,
  };
}

const WORDS = [OWN, OWN + OWN, "E", "EN", "N", "D", "\r", "\n", "\r\n", "\r\r\n", `${OWN}\r\n`, "END", `${OWN}END`];
const HOOKS: HookName[] = ["data", "frame", "frame", "too long", "timeout", "eof", "close"];

function step(draw: Draw, chat: number): Step {
  return draw.weighed<Step>([
    [10, () => ({ do: "send", chat, words: draw.list(1, 6, () => draw.of(...WORDS)) })],
    [1, () => ({ do: "send", chat, words: Array(draw.of(40, 300)).fill(draw.of(...WORDS)) })],
    [3, () => ({ do: "flood", chat, size: draw.of(2_000, 100_000, 400_000) })],
    [5, () => ({ do: "receive", chat, size: draw.of(1, 10, 70_000) })],
    [3, () => ({ do: "leave", chat, how: draw.of("closeWrite", "closeWrite", "close", "reset") })],
    [9, () => ({ do: "act", chat, act: act(draw) })],
    [7, () => ({ do: "plan", chat, hook: draw.of(...HOOKS), plan: plan(draw) })],
    [6, () => ({ do: "settle", chat, plan: plan(draw) })],
    [4, () => ({ do: "release", chat, how: draw.of("piece", "piece", "end", "fail") })],
    [2, () => ({ do: "handshake", chat, how: draw.of("succeed", "succeed", "fail") })],
    [0.3, () => ({ do: "accept error", isOfConnection: draw.chance(0.5) })],
    [7, () => ({ do: "advance", ms: draw.of(1, 10, 250, 600, 1_000, 2_500, 5_000) })],
  ]);
}
