// Random interleavings of what a peer and the owner of a chat do, against an independent model: see tests/chat_model*.ts.
//
// To replay a failure, pass its `seed` and `path` to `fc.assert`, and its `replayPath` to `fc.commands`.

import fc from "fast-check";
import type { Act, Config, HookName, Plan, Setting } from "../tests/chat_model_owner.ts";
import { World } from "../tests/chat_model_world.ts";

/** A command: what it does, and when it may be generated. */
class Step implements fc.AsyncCommand<World, World> {
  readonly #name: string;
  readonly #perform: (world: World) => void;
  readonly #mayRun: (world: World) => boolean;

  constructor(name: string, perform: (world: World) => void, mayRun: (world: World) => boolean = () => true) {
    this.#name = name;
    this.#perform = perform;
    this.#mayRun = mayRun;
  }
  check(world: Readonly<World>): boolean {
    return this.#mayRun(world as World);
  }
  async run(_: World, world: World): Promise<void> {
    this.#perform(world);
    await world.settle(this.#name.startsWith("advance"));
  }
  toString(): string {
    return this.#name;
  }
}

function step<Value>(
  name: string,
  values: fc.Arbitrary<Value>,
  perform: (world: World, value: Value) => void,
  mayRun?: (world: World) => boolean,
): fc.Arbitrary<Step> {
  return values.map((value) => new Step(`${name} ${JSON.stringify(value)}`, (world) => perform(world, value), mayRun));
}

const nothing = fc.constant(null);

// -------------------------------------------------------------------------------------------------------- what is generated

const word = fc.constantFrom(
  "a",
  "bc",
  "E",
  "EN",
  "N",
  "D",
  "\r",
  "\n",
  "\r\n",
  "\r\r\n",
  "a\r\n",
  "END",
  "aENDb\r\nc\n",
);
const run = fc.constantFrom("a\r\n".repeat(40), `${"x".repeat(70)}\r\n`, "ab\nEND".repeat(20));
const data = fc.oneof(
  { weight: 9, arbitrary: fc.array(word, { minLength: 1, maxLength: 6 }).map((words) => words.join("")) },
  { weight: 1, arbitrary: run },
);

const setting: fc.Arbitrary<Setting> = fc.record({
  delimiters: fc.constantFrom(["\r\n"], ["\r\n"], ["\n"], ["\r"], ["END"], ["\n", "\r\n"], ["\r", "\r\n"], [
    "END",
    "EN\r",
  ], []),
  count: fc.constantFrom(-1, -1, -1, -1, -1, 0, 1, 2, 3, 5, 9),
  limit: fc.constantFrom(3, 6, undefined, undefined),
  discards: fc.boolean(),
});

const act: fc.Arbitrary<Act> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant("push" as const),
      text: fc.constantFrom("", "p", "pushed\r\n", "0123456789"),
      times: fc.constantFrom(1, 1, 1, 4, 2_500),
      isText: fc.boolean(),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant("produce" as const),
      kind: fc.constantFrom("iterable", "more", "gated", "stream", "iterable", "more", "gated", "stream", "failing"),
      pieces: fc.array(fc.constantFrom("made", "0123456789".repeat(3), "m"), { maxLength: 3 }),
    }),
  },
  { weight: 6, arbitrary: fc.record({ do: fc.constant("terminator" as const), setting }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("close" as const), hasReason: fc.boolean() }) },
  {
    weight: 7,
    arbitrary: fc.record({
      do: fc.constantFrom(
        "closeWhenDone",
        "closeWrite",
        "discard",
        "detach",
        "take",
        "take",
        "flushed",
        "flushed",
        "signal",
        "signal",
      ),
    }),
  },
);

/** What matters most in a hook, where a terminator may have been found and not dispatched. */
const inputAct: fc.Arbitrary<Act> = fc.oneof(
  fc.record({ do: fc.constantFrom("discard", "detach", "take", "closeWhenDone") }),
  fc.record({ do: fc.constant("terminator" as const), setting }),
);

const plan: fc.Arbitrary<Plan> = fc.record({
  acts: fc.array(fc.oneof({ weight: 3, arbitrary: act }, { weight: 1, arbitrary: inputAct }), { maxLength: 2 }),
  outcome: fc.constantFrom("return", "return", "wait", "wait", "throw"),
});

const config: fc.Arbitrary<Config> = fc.record({
  mode: fc.constantFrom("plain", "gather", "data", "range"),
  takes: fc.boolean(),
  forgives: fc.boolean(),
  staysOpen: fc.boolean(),
  errorsClose: fc.boolean(),
  first: setting,
  connect: fc.oneof(
    { weight: 4, arbitrary: fc.constant<Plan>({ acts: [], outcome: "return" }) },
    { weight: 1, arbitrary: plan },
  ),
  unread: fc.constantFrom("", "", "", "un\r\nread\r"),
  options: fc.record({
    maxFrameBytes: fc.constantFrom(5, 100, 65_536),
    highWaterMark: fc.constantFrom(10, 65_536),
    maxBufferedBytes: fc.constantFrom(100, 1_000_000, 1_000_000),
    maxReadBytes: fc.constantFrom(3, 65_536, 65_536),
  }),
  limits: fc.record({
    idleTimeoutMs: fc.constantFrom(0, 0, 500),
    frameTimeoutMs: fc.constantFrom(0, 0, 400),
    writeTimeoutMs: fc.constantFrom(0, 300, 300, 60_000),
  }),
  ours: fc.record({
    maxReadBytes: fc.constantFrom(1, 7, 65_536, 65_536),
    maxWriteBytes: fc.constantFrom(7, 65_536),
    capacity: fc.constantFrom(8, 64, 65_536),
  }),
  theirCapacity: fc.constantFrom(4, 65_536, 65_536),
}).map((config) =>
  config.mode === "plain" ? { ...config, options: { ...config.options, maxFrameBytes: 65_536 } } : config
);

const hook = fc.constantFrom<HookName>("data", "frame", "frame", "too long", "timeout", "eof", "close");

const commands = fc.commands([
  fc.oneof(
    { weight: 12, arbitrary: step("send", data, (world, data) => world.send(data), (world) => !world.isPeerGone) },
    {
      weight: 1,
      arbitrary: step(
        "flood",
        fc.constantFrom(70_000, 100_000),
        (world, size) => world.send("f".repeat(size)),
        (world) => world.mayFlood,
      ),
    },
    { weight: 10, arbitrary: step("act", act, (world, act) => world.act(act)) },
    { weight: 6, arbitrary: step("plan", fc.record({ hook, plan }), (world, plan) => world.plans.push(plan)) },
    {
      weight: 6,
      arbitrary: step("settle", plan, (world, plan) => world.settleHook(plan), (world) => world.parked !== null),
    },
    {
      weight: 4,
      arbitrary: step(
        "release",
        fc.constantFrom("piece", "piece", "end", "fail"),
        (world, how) => world.gates[0]!.release(how),
        (world) => world.gates.length > 0,
      ),
    },
    {
      weight: 5,
      arbitrary: step(
        "receive",
        fc.constantFrom(1, 10, 100_000),
        (world, size) => void world.peerReceives(size),
        (world) => world.peerReads === 0 && !world.isPeerClosed,
      ),
    },
    {
      weight: 5,
      arbitrary: step("advance", fc.constantFrom(10, 250, 500, 2_000), (world, ms) => world.clock.advance(ms)),
    },
    {
      weight: 1,
      arbitrary: step(
        "end peer",
        fc.constantFrom("closeWrite", "closeWrite", "close"),
        (world, how) => world.endPeer(how),
        (world) => !world.isPeerClosed,
      ),
    },
    {
      weight: 1,
      arbitrary: step("reset", nothing, (world) => world.endPeer("reset"), (world) => !world.isPeerClosed),
    },
  ),
], { maxCommands: 40, size: "max" });

Deno.test("AsyncChat agrees with its model in random interleavings of its owner and its peer", async () => {
  const printed: unknown[] = [];
  const { log, error } = console;
  console.log = console.error = (...values: unknown[]) => void printed.push(values);
  try {
    await fc.assert(
      fc.asyncProperty(config, fc.boolean(), commands, async (config, runsLate, commands) => {
        const world = new World(config);
        if (!runsLate) world.run();
        await world.settle();
        await fc.asyncModelRun(() => ({ model: world, real: world }), commands);
        await world.finish();
        if (printed.length > 0) throw new Error("The library prints nothing", { cause: printed.splice(0) });
      }),
      { numRuns: 3_000 },
    );
  } finally {
    Object.assign(console, { log, error });
  }
});
