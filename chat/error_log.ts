/** Lines printed in a second at most. A peer can cause errors, but no flood. */
const MAX_LINES_PER_SECOND = 10;
const MAX_LINE_LENGTH = 500;

/**
 * Prints errors that no override takes: a line each, a limited number a second. It never throws: a log that cannot be written
 * must not end what it reports on.
 */
class ErrorLog {
  /** Prints a line; what it throws is ignored. A program may replace it, since `console.error` waits for a slow reader. */
  print: (line: string) => void = (line) => console.error(line);
  #second = -1;
  #lines = 0; // printed in that second
  #omitted = 0;

  /**
   * Prints one line, or counts it as omitted.
   *
   * @param what What failed, with the peer's address where there is one.
   * @param error What was thrown.
   */
  report(what: string, error: unknown): void {
    const second = Math.floor(performance.now() / 1_000);
    if (second !== this.#second) [this.#second, this.#lines] = [second, 0];
    if (this.#lines++ >= MAX_LINES_PER_SECOND) {
      this.#omitted++;
      return;
    }
    const omitted = this.#omitted > 0 ? ` (${this.#omitted} more errors were not printed)` : "";
    this.#omitted = 0;
    try {
      this.print(`${printable(`${what}: ${describeError(error)}`)}${omitted}`);
    } catch {
      // stderr cannot be written to: there is nowhere left to report that
    }
  }
}

/** The log of the default `handleError` and `onError`, shared by all chats and servers. */
export const errorLog = new ErrorLog();

/** Formats the peer's address for a log line; empty when there is none. */
export function formatPeer(remoteAddr: unknown): string {
  const { hostname, port, path } = (remoteAddr ?? {}) as { hostname?: unknown; port?: unknown; path?: unknown };
  if (typeof hostname === "string") return hostname.includes(":") ? ` [${hostname}]:${port}` : ` ${hostname}:${port}`;
  return typeof path === "string" ? ` ${path}` : "";
}

/** The name and message, without the stack: it is many lines, and Deno may need a file to make it. */
function describeError(error: unknown): string {
  try {
    return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  } catch {
    return "an error that cannot be printed";
  }
}

/** One line of bounded length, without control characters: a peer may have chosen the text. */
function printable(line: string): string {
  const short = line.length > MAX_LINE_LENGTH ? `${line.slice(0, MAX_LINE_LENGTH)}...` : line;
  return short.replace(/[\p{Cc}\u2028\u2029]+/gu, " ");
}
