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
  /** Shakes hands. When it rejects, the connection is closed. */
  run(conn: Conn): Promise<unknown>;
}

/** The handshakes that are pending on a server. */
export class Handshakes<Conn extends ChatConn> {
  readonly #handshake: Handshake<Conn>;
  readonly #clock: Clock;
  readonly #pending = new Map<Conn, (reason: Error) => void>(); // oldest first

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

  /**
   * Shakes hands on `conn`, and closes it at the time limit.
   *
   * @throws {HandshakeTimeoutError} when the limit has passed, and whatever else `Handshake.run` throws
   */
  async run(conn: Conn): Promise<void> {
    const { name, timeoutMs } = this.#handshake;
    let reason: Error | undefined;
    const end = (error: Error) => {
      reason ??= error;
      closeQuietly(conn); // a pending read or TLS handshake rejects
    };
    const cancel = this.#clock.after(timeoutMs, () => end(new HandshakeTimeoutError(name, timeoutMs)));
    this.#pending.set(conn, end);
    try {
      await this.#handshake.run(conn);
    } catch (error) {
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
  }

  /** Closes the oldest that is pending: its `run` rejects with the reason. */
  closeOldest(reason: Error): void {
    for (const [conn, end] of this.#pending) {
      this.#pending.delete(conn);
      return end(reason);
    }
  }
}
