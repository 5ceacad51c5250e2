/** Mutants that no test kills, and the list that explains why some may stay. */

/** A change of the source that the tests did not notice. */
export interface Survivor {
  /** Stryker's name for the kind of change. */
  readonly mutator: string;
  /** The source line that the change begins in, trimmed, without the comment at its end. */
  readonly line: string;
  /** The changed source, white space joined. */
  readonly original: string;
  /** What the change puts in its place, white space joined. */
  readonly replacement: string;
}

/** An entry of the list; one with an empty reason explains nothing. */
export interface Explained extends Survivor {
  readonly why: string;
}

/** The list: entries by source file. */
export type ExplainedByFile = Record<string, readonly Explained[]>;

/** A mutant as in Stryker's JSON report; lines and columns count from 1. */
export interface ReportedMutant {
  readonly id: string;
  readonly mutatorName: string;
  readonly replacement?: string;
  readonly status: string;
  readonly statusReason?: string;
  readonly location: { readonly start: Position; readonly end: Position };
}

interface Position {
  readonly line: number;
  readonly column: number;
}

/** Longer originals and replacements are cut: the list is for reading. */
const MAX_TEXT = 160;

/** Describes a mutant by the text it changes, so that it is found again when lines move. */
export function describeMutant(source: string, { mutatorName, replacement, location }: ReportedMutant): Survivor {
  const lines = source.split("\n");
  const { start, end } = location;
  const changed = lines.slice(start.line - 1, end.line);
  changed.push(changed.pop()!.slice(0, end.column - 1));
  changed[0] = changed[0]!.slice(start.column - 1);
  return {
    mutator: mutatorName,
    line: lines[start.line - 1]!.replace(/ \/\/ .*$/, "").trim(),
    original: shown(changed.join("\n")),
    replacement: shown(replacement ?? ""),
  };
}

function shown(text: string): string {
  const joined = text.replace(/\s+/g, " ").trim();
  return joined.length > MAX_TEXT ? `${joined.slice(0, MAX_TEXT)}...` : joined;
}

/** Whether two descriptions are of one mutant; equal changes on equal lines of a file count as one. */
function isSame(a: Survivor, b: Survivor): boolean {
  return a.mutator === b.mutator && a.line === b.line && a.original === b.original && a.replacement === b.replacement;
}

/** Whether the list has a reason for a survivor. */
export function isExplained(survivor: Survivor, entries: readonly Explained[]): boolean {
  return entries.some((entry) => entry.why.trim() !== "" && isSame(entry, survivor));
}

/** The entries that explain none of the survivors. */
export function staleEntries(survivors: readonly Survivor[], entries: readonly Explained[]): Explained[] {
  return entries.filter((entry) => !survivors.some((survivor) => isSame(entry, survivor)));
}

/** The entries for these survivors: known reasons stay, new survivors get an empty one. */
export function updateEntries(survivors: readonly Survivor[], entries: readonly Explained[]): Explained[] {
  const updated: Explained[] = [];
  for (const survivor of survivors) {
    if (updated.some((entry) => isSame(entry, survivor))) continue;
    updated.push({ ...survivor, why: entries.find((entry) => isSame(entry, survivor))?.why ?? "" });
  }
  return updated;
}
