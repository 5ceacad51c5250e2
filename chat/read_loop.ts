import { asError } from "../core/errors.ts";
import type { FrameInput } from "../core/frame_input.ts";
import type { Action, Lifecycle } from "../core/lifecycle.ts";
import { ReceiveBuffer } from "../core/receive_buffer.ts";
import type { Clock } from "./clock.ts";
import type { Dispatcher } from "./dispatcher.ts";
import type { ChatConn } from "./options.ts";
import { ReadAhead } from "./read_ahead.ts";

/**
 * In a lingering close this much input is dropped, and as much more as was sent: a peer that is still sending gets to read
 * what is in flight. Beyond that each read is preceded by a pause, the first this long and each next twice as long.
 */
const MAX_LINGER_BYTES = 65_536;
const MIN_PAUSE_MS = 10;

/** The space for input that is dropped; a pending hook may still use the receive buffer. */
const DROP_BYTES = 16_384;

/** The connection that a read loop reads. */
export interface Readable {
  readonly conn: ChatConn;
  readonly lifecycle: Lifecycle;
  readonly bytesSent: number;
  readonly clock: Clock;
  hookFailed(error: unknown): void;
  watchPeer(): void;
  apply(action: Action): void;
}

/** Reads a connection and dispatches what arrives, until the peer ends its side, a read fails, or the chat is closed. */
export class ReadLoop {
  readonly #connection: Readable;
  readonly #input: FrameInput;
  readonly #dispatcher: Dispatcher;
  #pending = false;
  #ahead: ReadAhead | null = null;
  #dropBuffer: ReceiveBuffer | null = null;
  #lingerBytes = 0; // dropped since our side ended
  #pauseMs = MIN_PAUSE_MS;
  #endPause: (() => void) | null = null;
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
      if (!lifecycle.closing && !dispatcher.dispatchNow()) {
        await dispatcher.dispatch();
        continue;
      }
      try {
        this.#pending = true; // also in a pause: input was dropped, so detach() would give a stream with a gap
        if (this.#lingerBytes > MAX_LINGER_BYTES + this.#connection.bytesSent) await this.#pause();
        if (lifecycle.closed) return;
        // Input that is dropped has space of its own: a hook that is pending may still use the receive buffer.
        const into = lifecycle.closing ? this.#dropBuffer ??= new ReceiveBuffer(DROP_BYTES) : this.#input;
        if (this.#ahead !== null) this.#receivedAhead(await this.#ahead.take());
        else this.#received(into, await this.#connection.conn.read(into.reserve()));
        this.#pending = false;
        this.#connection.watchPeer();
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

  /** Reads ahead while a hook is pending, so that a reset is noticed. At most once before the next read. */
  readAhead(): void {
    const { conn, lifecycle } = this.#connection;
    if (this.#pending || this.#ahead !== null || !lifecycle.dispatching || lifecycle.inputEnded) return;
    this.#ahead = new ReadAhead(conn, (error) => {
      this.#connection.apply(lifecycle.connectionLost(asError(error)));
    });
  }

  /** Returns what is needed to read on from the connection elsewhere: it, and the bytes that were read ahead. */
  release(): { conn: ChatConn; bytes: Uint8Array } {
    const ahead = this.#ahead;
    this.#ahead = null;
    const { conn } = this.#connection;
    return ahead === null ? { conn, bytes: new Uint8Array(0) } : { conn: ahead.hand(conn), bytes: ahead.bytes };
  }

  /** Takes in what was read ahead. */
  #receivedAhead(bytes: Uint8Array | null): void {
    this.#ahead = null;
    if (bytes === null) return this.#inputEnded();
    if (this.#connection.lifecycle.dispatching) this.#input.append(bytes);
    this.bytesReceived += bytes.length;
  }

  #inputEnded(): void {
    const { lifecycle } = this.#connection;
    if (lifecycle.closed) return;
    this.#input.end();
    this.#connection.apply(lifecycle.inputFinished());
  }

  /** Ends a pause: the connection is closed. */
  stop(): void {
    this.#endPause?.();
  }

  async #pause(): Promise<void> {
    let cancel = () => {};
    await new Promise<void>((resolve) => {
      this.#endPause = resolve;
      cancel = this.#connection.clock.after(this.#pauseMs, resolve);
    });
    cancel();
    this.#endPause = null;
    this.#pauseMs *= 2;
  }

  /** Takes in what a read returned; 0 bytes are not the end. */
  #received(into: FrameInput | ReceiveBuffer, count: number | null): void {
    const { lifecycle } = this.#connection;
    if (count === null) return this.#inputEnded();
    if (lifecycle.closed) return;
    into.commit(count);
    this.bytesReceived += count;
    if (into === this.#dropBuffer) this.#dropBuffer.clear();
    if (lifecycle.phase === "lingering") this.#lingerBytes += count;
  }
}

/** A chat ran without a terminator. */
export function noTerminator(): TypeError {
  return new TypeError("Cannot run the chat: no terminator is set, call setTerminator() before the first read");
}
