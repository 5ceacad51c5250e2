/** The samples of all rounds, and their statistics. */

import type { Measure, Sample } from "./scenarios.ts";

/** The median of several figures, and their range. */
export interface Spread {
  readonly median: number;
  readonly low: number;
  readonly high: number;
}

/** The samples by case, peer and round. Failed samples are missing. */
export class Results {
  readonly #samples = new Map<string, Map<string, Sample[]>>();

  add(caseName: string, peer: string, round: number, sample: Sample): void {
    const ofCase = this.#samples.get(caseName) ?? new Map<string, Sample[]>();
    const rounds = ofCase.get(peer) ?? [];
    rounds[round] = sample;
    this.#samples.set(caseName, ofCase.set(peer, rounds));
  }

  /** The peers with samples of a case. */
  peers(caseName: string): string[] {
    return [...this.#samples.get(caseName)?.keys() ?? []];
  }

  spread(caseName: string, peer: string, measure: Measure): Spread | null {
    return spreadOf(this.#rounds(caseName, peer).map((sample) => sample?.[measure]));
  }

  /**
   * Computes how many times better we are than the other, per round, as other load slows down both. The other may be a
   * figure.
   */
  ratio(measure: Measure, [ourCase, us]: [string, string], other: [string, string] | number): Spread | null {
    const theirs = typeof other === "number" ? null : this.#rounds(...other);
    return spreadOf(
      this.#rounds(ourCase, us).map((sample, round) => {
        const our = sample?.[measure];
        const their = theirs === null ? other as number : theirs[round]?.[measure];
        if (our === undefined || their === undefined) return undefined;
        return measure === "rate" ? our / their : their / our;
      }),
    );
  }

  #rounds(caseName: string, peer: string): (Sample | undefined)[] {
    return [...this.#samples.get(caseName)?.get(peer) ?? []];
  }
}

function spreadOf(values: (number | undefined)[]): Spread | null {
  const sorted = values.filter((value) => value !== undefined).sort((a, b) => a - b);
  if (sorted.length === 0) return null;
  const middle = (sorted.length - 1) / 2;
  const median = (sorted[Math.floor(middle)]! + sorted[Math.ceil(middle)]!) / 2;
  return { median, low: sorted[0]!, high: sorted.at(-1)! };
}
