// deno task simulate [--seeds N] [--from SEED] [--seed SEED]: runs many seeds, or one, and reports the first that fails.

import { describeFailure, explore } from "./explore.ts";

const USAGE = "Usage: deno task simulate [--seeds COUNT] [--from SEED] | --seed SEED";

/** Reads `--name number` pairs. Returns `null` when there is anything else. */
function parseArguments(args: readonly string[]): Map<string, number> | null {
  const values = new Map<string, number>();
  for (let i = 0; i < args.length; i += 2) {
    const name = args[i]!;
    const value = Number(args[i + 1] ?? NaN);
    if (!["--seeds", "--from", "--seed"].includes(name) || !Number.isSafeInteger(value) || value < 0) return null;
    values.set(name, value);
  }
  return values;
}

async function main(): Promise<number> {
  const values = parseArguments(Deno.args);
  if (values === null) {
    console.error(USAGE);
    return 2;
  }
  const one = values.get("--seed");
  const from = one ?? values.get("--from") ?? 0;
  const count = one === undefined ? values.get("--seeds") ?? 10_000 : 1;
  const progress = new Progress(from, count);
  for (let seed = from; seed < from + count; seed++) {
    const failure = await explore(seed);
    if (failure !== null) {
      progress.clear();
      console.error(describeFailure(failure));
      console.error(`Replay with: deno task simulate --seed ${seed}`);
      return 1;
    }
    progress.done(seed);
  }
  progress.clear();
  console.log(`${count} ${count === 1 ? "seed holds" : "seeds hold"}, from ${from}: ${progress.rate} a second`);
  return 0;
}

/** One line that is overwritten on a terminal; elsewhere a line now and then. */
class Progress {
  readonly #from: number;
  readonly #count: number;
  readonly #started = performance.now();
  readonly #isTerminal = Deno.stderr.isTerminal();
  #shownAt = this.#started;
  #seeds = 0;

  constructor(from: number, count: number) {
    this.#from = from;
    this.#count = count;
  }

  get rate(): number {
    return Math.round(this.#seeds / (performance.now() - this.#started) * 1_000);
  }

  done(seed: number): void {
    this.#seeds = seed - this.#from + 1;
    const now = performance.now();
    if (now - this.#shownAt < (this.#isTerminal ? 200 : 10_000)) return;
    this.#shownAt = now;
    const line = `${this.#seeds} of ${this.#count} seeds, ${this.rate} a second`;
    Deno.stderr.writeSync(new TextEncoder().encode(this.#isTerminal ? `\r\x1b[K${line}` : `${line}\n`));
  }

  clear(): void {
    if (this.#isTerminal) Deno.stderr.writeSync(new TextEncoder().encode("\r\x1b[K"));
  }
}

if (import.meta.main) Deno.exit(await main());
