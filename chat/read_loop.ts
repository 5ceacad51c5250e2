import { asError } from "../core/errors.ts";
import type { FrameInput } from "../core/frame_input.ts";
import type { Action, Lifecycle } from "../core/lifecycle.ts";
import type { Dispatcher } from "./dispatcher.ts";
import type { ChatConn } from "./options.ts";

/** As many reads of 0 bytes in a row are an error: Go's `maxConsecutiveEmptyReads`. */
const MAX_EMPTY_READS = 100;

/** The connection that a read loop reads. */
export interface Readable {
  readonly conn: ChatConn;
  readonly lifecycle: Lifecycle;
  hookFailed(error: unknown): void;
  apply(action: Action): void;
}

/** Reads a connection and dispatches what arrives, until the peer ends its side, a read fails, or the chat is closed. */
export class ReadLoop {
  readonly #connection: Readable;
  readonly #input: FrameInput;
  readonly #dispatcher: Dispatcher;
  #pending = false;
  #emptyReads = 0; // in a row
  bytesReceived = 0;

  constructor(connection: Readable, input: FrameInput, dispatcher: Dispatcher) {
    this.#connection = connection;
    this.#input = input;
    this.#dispatcher = dispatcher;
  }

  /** Whether a read is pending. */
  get pending(): boolean {
    return this.#pending;
  }

  /** Runs to the end of the input. Never rejects. */
  async run(): Promise<void> {
    const { lifecycle } = this.#connection;
    const dispatcher = this.#dispatcher;
    await this.#connect();
    while (!lifecycle.closed && !lifecycle.inputEnded) {
      // In a graceful close input is dropped, so that a peer that is still sending gets to read our last bytes.
      if (lifecycle.closing) {
        this.#input.drop();
      } else if (!dispatcher.dispatchNow()) {
        await dispatcher.dispatch();
        continue;
      }
      try {
        this.#pending = true;
        const count = await this.#connection.conn.read(this.#input.reserve());
        this.#pending = false;
        if (!lifecycle.closed) this.#received(count);
      } catch (error) {
        this.#pending = false;
        this.#connection.apply(lifecycle.inputFailed(asError(error)));
      }
    }
    await dispatcher.dispatch();
    if (lifecycle.dispatching) await dispatcher.call((hooks) => hooks.handleEof());
  }

  async #connect(): Promise<void> {
    const { lifecycle } = this.#connection;
    if (!lifecycle.dispatching) return;
    await this.#dispatcher.call((hooks) => hooks.handleConnect());
    if (!lifecycle.dispatching || this.#input.ready) return;
    this.#connection.hookFailed(noTerminator());
    this.#connection.apply(lifecycle.close(noTerminator())); // also if handleError did not: there is no way to go on
  }

  /** Takes in what a read returned; 0 bytes are not the end. */
  #received(count: number | null): void {
    if (count === null) {
      this.#input.end();
      return this.#connection.apply(this.#connection.lifecycle.inputFinished());
    }
    this.#input.commit(count);
    this.bytesReceived += count;
    this.#emptyReads = count === 0 ? this.#emptyReads + 1 : 0;
    if (this.#emptyReads === MAX_EMPTY_READS) {
      throw new Error(`Cannot read: the connection returned 0 bytes ${MAX_EMPTY_READS} times in a row`);
    }
  }
}

/** A chat ran without a terminator. */
export function noTerminator(): TypeError {
  return new TypeError("Cannot run the chat: no terminator is set, call setTerminator() before the first read");
}
