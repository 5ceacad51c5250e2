import { FrameSplitter, type Terminator, type TooLongPolicy } from "../core/frame_splitter.ts";
import { ReceiveBuffer } from "../core/receive_buffer.ts";
import { bytes, text } from "./recorder.ts";

/** A splitter and its buffer, for tests that check the results one by one. */
export class SplitterHarness {
  readonly buffer: ReceiveBuffer;
  readonly splitter: FrameSplitter;

  constructor(received: string, terminator?: Terminator, limit = 100, onTooLong: TooLongPolicy = "close") {
    this.buffer = new ReceiveBuffer(1024, bytes(received));
    this.splitter = new FrameSplitter(this.buffer, 100);
    if (terminator !== undefined) this.splitter.setTerminator(terminator, limit, onTooLong);
  }

  receive(data: string | Uint8Array): void {
    const received = typeof data === "string" ? bytes(data) : data;
    this.buffer.reserve().set(received);
    this.buffer.commit(received.length);
  }

  set(terminator: Terminator, limit = 100, onTooLong: TooLongPolicy = "close"): void {
    this.splitter.setTerminator(terminator, limit, onTooLong);
  }

  /** Returns the bytes of the last "data" result. */
  piece(): Uint8Array {
    return this.buffer.filled.subarray(this.splitter.pieceStart, this.splitter.pieceEnd);
  }

  /** Returns the next result, as `data abc` when it is data. */
  next(): string {
    const result = this.splitter.next();
    return result === "data" ? `data ${text(this.piece())}` : result;
  }

  /** Returns all results up to the first "more" or "too long". */
  results(): string[] {
    const results: string[] = [];
    while (results.at(-1) !== "more" && results.at(-1) !== "too long") {
      results.push(this.next());
      if (results.length > 100) throw new Error(`Too many results: ${results}`);
    }
    return results;
  }

  /** Discards all input, as `discardBuffers` does. */
  discard(): void {
    this.buffer.clear();
    this.splitter.reset();
  }
}
