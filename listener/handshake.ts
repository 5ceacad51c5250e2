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
  readonly #pending = new Set<Conn>();

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
    let timeout: HandshakeTimeoutError | undefined;
    const cancel = this.#clock.after(timeoutMs, () => {
      timeout = new HandshakeTimeoutError(name, timeoutMs);
      closeQuietly(conn); // a pending read or TLS handshake rejects
    });
    this.#pending.add(conn);
    try {
      await this.#handshake.run(conn);
    } catch (error) {
      throw timeout ?? error;
    } finally {
      this.#pending.delete(conn);
      cancel();
    }
    if (timeout !== undefined) throw timeout; // it was completed in the very turn of the limit
  }

  /** Closes the connections of those that are pending: their `run` rejects. */
  close(): void {
    for (const conn of this.#pending) closeQuietly(conn);
  }
}
