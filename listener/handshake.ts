import type { Clock } from "../chat/clock.ts";
import type { ChatConn } from "../chat/options.ts";
import { HandshakeTimeoutError } from "../core/errors.ts";
import { closeQuietly } from "./rejection.ts";

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

/**
 * Shakes hands on `conn`, and closes it at the time limit.
 *
 * @throws {HandshakeTimeoutError} when the limit has passed, and whatever else `handshake.run` throws
 */
export async function shakeHands<Conn extends ChatConn>(
  conn: Conn,
  handshake: Handshake<Conn>,
  clock: Clock,
): Promise<void> {
  let timeout: HandshakeTimeoutError | undefined;
  const cancel = clock.after(handshake.timeoutMs, () => {
    timeout = new HandshakeTimeoutError(handshake.name, handshake.timeoutMs);
    closeQuietly(conn); // a pending read or TLS handshake rejects
  });
  try {
    await handshake.run(conn);
  } catch (error) {
    throw timeout ?? error;
  } finally {
    cancel();
  }
  if (timeout !== undefined) throw timeout; // it was completed in the very turn of the limit
}
