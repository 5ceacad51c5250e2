import { errorLog } from "../chat/error_log.ts";

/** Queued bytes above which lines are dropped: 100,000 lines, for a reader that pauses. */
const MAX_QUEUED_BYTES = 8_388_608;
/** The most bytes of one write: a reader that is slow gets whole lines. */
const MAX_WRITE_BYTES = 65_536;

/** What a log is written to: `Deno.stdout` fits. */
export interface LogTarget {
  /** Writes some of the bytes; returns how many. */
  write(bytes: Uint8Array): Promise<number>;
}

/**
 * Writes lines beside the program: it never blocks, never throws and never grows without a bound.
 *
 * Lines that do not fit into the queue, and those that cannot be written, are dropped. Their number is written once the
 * queue is empty.
 */
export class LogSink {
  readonly #target: LogTarget;
  readonly #maxQueuedBytes: number;
  readonly #encoder = new TextEncoder();
  #queue: Uint8Array[] = [];
  #queuedBytes = 0; // without the write that is pending
  #dropped = 0; // lines, not yet reported
  #writing: Promise<void> | null = null;

  /**
   * Creates a sink.
   *
   * @param target Where lines go; nothing else may write to it.
   * @param maxQueuedBytes The limit of the queue.
   */
  constructor(target: LogTarget, maxQueuedBytes = MAX_QUEUED_BYTES) {
    this.#target = target;
    this.#maxQueuedBytes = maxQueuedBytes;
  }

  /** Queues a line, or drops it. */
  line(text: string): void {
    const bytes = this.#encoder.encode(`${text}\n`);
    if (this.#queuedBytes + bytes.length > this.#maxQueuedBytes) {
      this.#dropped++;
      return;
    }
    this.#queue.push(bytes);
    this.#queuedBytes += bytes.length;
    this.#writing ??= this.#run();
  }

  /** Waits until everything is written, at most for `timeoutMs`. */
  async flush(timeoutMs: number): Promise<void> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const timeout = new Promise<void>((resolve) => timer = setTimeout(resolve, timeoutMs));
    await Promise.race([this.#writing, timeout]);
    clearTimeout(timer);
  }

  async #run(): Promise<void> {
    await null; // what is logged in one turn is written at once
    while (this.#queue.length > 0) {
      const { lines, bytes } = this.#take();
      const written = await this.#write(bytes);
      if (!written) this.#dropped += lines;
      else if (this.#queue.length === 0) await this.#reportDropped();
    }
    this.#writing = null;
  }

  #take(): { lines: number; bytes: Uint8Array } {
    let lines = 0;
    let length = 0;
    do length += this.#queue[lines++]!.length; while (
      lines < this.#queue.length && length + this.#queue[lines]!.length <= MAX_WRITE_BYTES
    );
    const bytes = new Uint8Array(length);
    let at = 0;
    for (const line of this.#queue.splice(0, lines)) {
      bytes.set(line, at);
      at += line.length;
    }
    this.#queuedBytes -= length;
    return { lines, bytes };
  }

  /** Returns whether all bytes were written. */
  async #write(bytes: Uint8Array): Promise<boolean> {
    try {
      for (let rest = bytes; rest.length > 0;) {
        const count = await this.#target.write(rest);
        if (count === 0) return false;
        rest = rest.subarray(count);
      }
      return true;
    } catch {
      return false; // the disk is full or the reader is gone: there is nowhere to report that
    }
  }

  async #reportDropped(): Promise<void> {
    const dropped = this.#dropped;
    if (dropped === 0) return;
    this.#dropped = 0;
    const text = `${dropped} lines of the log were dropped: they could not be written in time\n`;
    if (!await this.#write(this.#encoder.encode(text))) this.#dropped += dropped;
  }
}

/** Prints the errors that no hook and no `onError` takes elsewhere than on `console.error`, which blocks and throws. */
export function printErrorsTo(print: (line: string) => void): void {
  errorLog.print = print;
}
