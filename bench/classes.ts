/**
 * Compares eight chat classes in one process with one class alone: `deno run -A bench/classes.ts [rounds]`.
 *
 * Each access to a property of `this` in a base class sees the hidden classes of all subclasses, and is slow from the
 * fifth on. The classes do the same work. Each is measured after all of them were warmed up, on lines of 40 B that come
 * from memory. Every figure is the median of the rounds, each with new processes.
 *
 * @module
 */

import { AsyncChat, type ChatConn } from "../mod.ts";
import { run } from "./processes.ts";
import { short } from "./tables.ts";

/** How many classes there are in the process that has many. */
export const CLASSES = 8;
const VARIANTS = ["range", "takeText"] as const;
/** How a chat gets the data of a frame. */
export type ClassVariant = typeof VARIANTS[number];

const LINE_BYTES = 40;
const LINE = `${"x".repeat(LINE_BYTES)}\r\n`;
/** More than the largest read, from any offset in a line. */
const LINES = new TextEncoder().encode(LINE.repeat(25_000));
/** Warm-up rounds of each class; their length as a part of the measured time. */
const WARM_UPS = 2;
const WARM_UP = 0.25;
const SECONDS = 0.5;

type CountingChat = AsyncChat & { readonly frames: number; readonly bytes: number };
type CountingClass = new (conn: ChatConn) => CountingChat;

/** A connection whose reads are full of lines until the time is over. */
class LinesConn implements ChatConn {
  readonly #endMs: number;
  #at = 0; // in the line
  #started = false;

  constructor(endMs: number) {
    this.#endMs = endMs;
  }

  read(p: Uint8Array): Promise<number | null> {
    const over = this.#started && performance.now() >= this.#endMs; // one read at least, on a busy machine too
    this.#started = true;
    if (over && this.#at === 0) return Promise.resolve(null);
    const size = Math.min(p.length, (over ? LINE.length : LINES.length) - this.#at);
    p.set(LINES.subarray(this.#at, this.#at + size));
    this.#at = (this.#at + size) % LINE.length;
    return Promise.resolve(size);
  }

  write(p: Uint8Array): Promise<number> {
    return Promise.resolve(p.length);
  }

  close(): void {}
}

/** Creates a class whose objects have `fields` fields before the counters, so that no two layouts are the same. */
export function makeClass(variant: ClassVariant, fields: number): CountingClass {
  abstract class Padded extends AsyncChat {
    constructor(conn: ChatConn) {
      super(conn);
      for (let i = 0; i < fields; i++) Object.assign(this, { [`field${i}`]: i });
    }

    protected override handleConnect(): void {
      this.setTerminator("\r\n");
    }
  }
  if (variant === "range") {
    return class extends Padded {
      frames = 0;
      bytes = 0;

      protected override collectIncomingRange(_buffer: Uint8Array, start: number, end: number): void {
        this.bytes += end - start;
      }

      protected override foundTerminator(): void {
        this.frames++;
      }
    };
  }
  return class extends Padded {
    frames = 0;
    bytes = 0;

    protected override foundTerminator(): void {
      this.frames++;
      this.bytes += this.takeText().length;
    }
  };
}

/** Imports this module once per class, as shared code of the hooks would slow the hooks down too. */
async function makeClasses(variant: ClassVariant, count: number): Promise<CountingClass[]> {
  const classes: CountingClass[] = [];
  for (let index = 0; index < count; index++) {
    const copy: { makeClass: typeof makeClass } = await import(`${import.meta.url}?class=${index}`);
    classes.push(copy.makeClass(variant, index));
  }
  return classes;
}

/** Measures the frames a second of one class. Throws when it counts wrong. */
async function rateOf(Chat: CountingClass, seconds: number): Promise<number> {
  const start = performance.now();
  const chat = new Chat(new LinesConn(start + seconds * 1000));
  await chat.run();
  const rate = chat.frames * 1000 / (performance.now() - start);
  if (chat.frames === 0 || chat.bytes !== chat.frames * LINE_BYTES) {
    throw new Error(`Wrong count: got ${chat.bytes} bytes in ${chat.frames} frames of ${LINE_BYTES}`);
  }
  return rate;
}

/**
 * Creates `count` classes, warms all of them up, and measures some, one by one.
 *
 * @param measured The indices of the classes to measure.
 * @returns Frames a second of each of these.
 */
export async function classRates(
  variant: ClassVariant,
  count: number,
  measured: readonly number[],
  seconds: number,
): Promise<number[]> {
  const classes = await makeClasses(variant, count);
  for (let i = 0; i < WARM_UPS; i++) {
    for (const Chat of classes) await rateOf(Chat, seconds * WARM_UP);
  }
  const rates: number[] = [];
  for (const at of measured) rates.push(await rateOf(classes[at]!, seconds));
  return rates;
}

async function main(rounds: number): Promise<void> {
  const inProcess = async (...args: (string | number)[]) => {
    const command = [Deno.execPath(), "run", "--quiet", "--allow-read", import.meta.filename!, ...args.map(String)];
    return (await run(command)).split(" ").map(Number);
  };
  const median = (values: number[]) => values.toSorted((a, b) => a - b)[values.length >> 1]!;
  for (const variant of VARIANTS) {
    const samples: { alone: number; each: number[] }[] = [];
    for (let round = 0; round < rounds; round++) {
      const [alone] = await inProcess("--measure", variant, 1);
      samples.push({ alone: alone!, each: await inProcess("--measure", variant, CLASSES) });
    }
    const line = (title: string, figure: string) => console.log(`  ${title.padEnd(24)}${figure}`);
    console.log(`${variant}: lines of ${LINE_BYTES} B in memory, a second`);
    line("one class alone", short(median(samples.map(({ alone }) => alone))));
    const each = Array.from({ length: CLASSES }, (_, at) => median(samples.map(({ each }) => each[at]!)));
    each.forEach((rate, at) => line(`class ${at + 1} of ${CLASSES}`, short(rate)));
    line("eighth / first", median(samples.map(({ each }) => each.at(-1)! / each[0]!)).toFixed(2));
    line("eighth / alone", median(samples.map(({ each, alone }) => each.at(-1)! / alone)).toFixed(2));
  }
}

if (import.meta.main) {
  const [first = "5", variant, count] = Deno.args;
  if (first === "--measure") {
    const all = Array.from({ length: Number(count) }, (_, at) => at);
    console.log((await classRates(variant as ClassVariant, all.length, all, SECONDS)).join(" "));
  } else {
    await main(Number(first));
  }
}
