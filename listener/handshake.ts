import type { Clock } from "../chat/clock.ts";
import type { ChatConn } from "../chat/options.ts";
import { HandshakeTimeoutError } from "../core/errors.ts";
import { closeQuietly } from "./rejection.ts";
import { loadStackSources } from "./stack_sources.ts";

/** What a connection has to complete before its chat starts. Other connections are accepted meanwhile. */
export interface Handshake<Conn> {
  /** Its name in the error of a timeout. */
  readonly name: string;
  /** The time limit in milliseconds. */
  readonly timeoutMs: number;
  /** Whether the peer's address is known only afterwards. */
  readonly revealsAddress?: boolean;
  /**
   * Whether `close()` frees no file before `run` settles, as that of Deno's TLS (denoland/deno#14547). The connection is
   * then kept and counted until its peer ends or continues.
   */
  readonly holdsFile?: boolean;
  /** Shakes hands. When it rejects, the connection is closed. */
  run(conn: Conn): Promise<unknown>;
}

/** The handshakes that are pending on a server. */
export class Handshakes<Conn extends ChatConn> {
  readonly #handshake: Handshake<Conn>;
  readonly #clock: Clock;
  readonly #pending = new Map<Conn, (reason: Error) => void>(); // oldest first
  readonly #held = new Map<Conn, Promise<void>>(); // timed out, with a file

  constructor(handshake: Handshake<Conn>, clock: Clock) {
    this.#handshake = handshake;
    this.#clock = clock;
    loadStackSources(new HandshakeTimeoutError(handshake.name, handshake.timeoutMs));
  }

  /** Whether the peer's address is known only after the handshake. */
  get revealsAddress(): boolean {
    return this.#handshake.revealsAddress === true;
  }

  /** How many are pending. */
  get size(): number {
    return this.#pending.size;
  }

  /** How many connections hold a file: those that are pending, and those that timed out and cannot free it. */
  get files(): number {
    return this.#pending.size + this.#held.size;
  }

  /** How many could free a file for another connection. */
  get closable(): number {
    return this.#handshake.holdsFile ? 0 : this.#pending.size;
  }

  /**
   * Shakes hands on `conn`, and closes it at the time limit or, when that frees no file, as soon as it does.
   *
   * @throws {HandshakeTimeoutError} when the limit has passed, and whatever else `Handshake.run` throws
   */
  async run(conn: Conn): Promise<void> {
    const { name, timeoutMs } = this.#handshake;
    let reason: Error | undefined;
    const ended = Promise.withResolvers<void>();
    const end = (error: Error) => {
      reason ??= error;
      if (this.#handshake.holdsFile) ended.reject(error);
      else closeQuietly(conn); // a pending read rejects
    };
    const cancel = this.#clock.after(timeoutMs, () => end(new HandshakeTimeoutError(name, timeoutMs)));
    this.#pending.set(conn, end);
    const running = this.#start(conn);
    try {
      await Promise.race([running, ended.promise]);
    } catch (error) {
      if (error === reason) this.#hold(conn, running);
      throw reason ?? error;
    } finally {
      this.#pending.delete(conn);
      cancel();
    }
    if (reason !== undefined) throw reason; // it was completed in the very turn of the limit
  }

  /** Closes the connections of those that are pending: their `run` rejects. */
  close(): void {
    for (const conn of this.#pending.keys()) closeQuietly(conn);
    for (const conn of this.#held.keys()) closeQuietly(conn);
  }

  /** Returns when the file of a connection that timed out is free; `undefined` when `close()` frees it. */
  whenFree(conn: Conn): Promise<void> | undefined {
    return this.#held.get(conn);
  }

  /** Closes a connection that is not to be served. Returns when its file is free; `undefined` when it is. */
  reject(conn: Conn): Promise<void> | undefined {
    if (this.#handshake.holdsFile) this.#hold(conn, this.#start(conn));
    else closeQuietly(conn);
    return this.#held.get(conn);
  }

  async #start(conn: Conn): Promise<unknown> {
    return await this.#handshake.run(conn);
  }

  #hold(conn: Conn, running: Promise<unknown>): void {
    const free = () => {
      closeQuietly(conn);
      this.#held.delete(conn);
    };
    this.#held.set(conn, running.then(free, free));
  }

  /** Closes the oldest that is pending: its `run` rejects with the reason. */
  closeOldest(reason: Error): void {
    for (const [conn, end] of this.#pending) {
      this.#pending.delete(conn);
      return end(reason);
    }
  }
}
