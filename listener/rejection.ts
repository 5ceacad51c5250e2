import { AsyncChat } from "../chat.ts";
import type { Clock } from "../chat/clock.ts";
import type { ChatConn } from "../chat/options.ts";
import { watch } from "../chat/watch.ts";

/** How long a peer may leave the refusal unread. */
const WRITE_TIMEOUT_MS = 2_000;
/** While this many rejections are pending, further connections are closed without a refusal. */
const MAX_REJECTIONS = 100;
/** And this share of `maxConnections`: one address must not fill the server with its rejections. */
const MAX_SHARE = 1 / 10;

/** Sends a refusal and closes gracefully, so that it arrives despite unread input. */
class Rejection extends AsyncChat {
  readonly #refusal: Uint8Array;

  constructor(conn: ChatConn, refusal: Uint8Array, clock: Clock) {
    super(conn, { writeTimeoutMs: WRITE_TIMEOUT_MS, clock });
    this.#refusal = refusal;
  }
  protected override handleConnect(): void {
    this.push(this.#refusal);
    this.closeWhenDone();
  }
  protected override handleError(): void {
    this.close(); // the peer is not served: nothing to report
  }
  protected override foundTerminator(): void {}
}

/** Rejects connections, a limited number at a time. */
export class Rejections {
  readonly #refusal: Uint8Array;
  readonly #clock: Clock;
  readonly #max: number; // pending at a time
  readonly #pending = new Set<Rejection>();

  constructor(refusal: string | Uint8Array, maxConnections: number, clock: Clock) {
    this.#max = Math.max(1, Math.min(MAX_REJECTIONS, maxConnections * MAX_SHARE));
    this.#refusal = typeof refusal === "string" ? new TextEncoder().encode(refusal) : refusal;
    this.#clock = clock;
  }

  /**
   * Sends the refusal to `conn`, if there is one, and closes it.
   *
   * @returns The end of it; `undefined` when the connection was closed at once.
   */
  reject(conn: ChatConn): Promise<void> | undefined {
    if (this.#refusal.length === 0 || this.#pending.size >= this.#max) {
      closeQuietly(conn);
      return undefined;
    }
    const rejection = new Rejection(conn, this.#refusal, this.#clock);
    this.#pending.add(rejection);
    return rejection.run().then(() => void this.#pending.delete(rejection));
  }

  /** Closes all that are pending now. */
  close(): void {
    for (const rejection of this.#pending) rejection.close();
  }
}

/** Closes a connection that may be closed already. */
export function closeQuietly(conn: { close(): unknown }): void {
  try {
    watch(conn.close(), () => {});
  } catch {
    // It was closed already.
  }
}
