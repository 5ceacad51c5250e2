import type { Clock } from "../chat/clock.ts";
import { watch } from "../chat/watch.ts";
import type { ServerLifecycle } from "./server_state.ts";
import { closeQuietly } from "./rejection.ts";
import { loadStackSources } from "./stack_sources.ts";

/** What a server needs of a listener: `Deno.Listener` fits. */
export interface ConnListener<Conn> {
  /** The address it listens on. */
  readonly addr: Deno.Addr;
  /** For a listener that starts later: fulfills when it listens, rejects when it cannot. */
  readonly ready?: Promise<unknown>;
  /** Returns the next connection. Rejects when that connection failed, or the listener was closed. */
  accept(): Promise<Conn>;
  /** Stops listening; a pending `accept` rejects. */
  close(): void;
  /** Keeps the process alive. */
  ref(): void;
  /** Lets the process end. */
  unref(): void;
}

/** What an accept loop asks and reports. */
export interface AcceptEvents<Conn> {
  /** Whether one more connection may be accepted now. */
  hasCapacity(): boolean;
  /** How long to wait before `hasCapacity` is asked again, in milliseconds; until `resume()` when it is left out. */
  readonly recheckMs?: number;
  /** A connection was accepted. */
  onConnection(conn: Conn): void;
  /** `accept` failed; the loop goes on. */
  onError(error: unknown): void;
  /** The listener could not be closed; the loop ends. */
  onCloseError(error: unknown): void;
}

/** The delay after an error that would repeat at once doubles between these: Go's net/http. */
const MIN_BACKOFF_MS = 5;
const MAX_BACKOFF_MS = 1_000;

/** Errors of one connection, by name and by code: the next `accept` may well succeed. */
const PER_CONNECTION_ERRORS =
  /^(ConnectionReset|ConnectionAborted|NotConnected|ECONNRESET|ECONNABORTED|ENOTCONN|EPROTO)$/;

/** Accepts connections one after the other, and does nothing else. */
export class AcceptLoop<Conn extends { close(): unknown }> {
  readonly #listener: ConnListener<Conn>;
  readonly #lifecycle: ServerLifecycle;
  readonly #clock: Clock;
  readonly #events: AcceptEvents<Conn>;
  #backoffMs = 0;
  #wake: () => void = () => {}; // ends the current pause

  constructor(
    listener: ConnListener<Conn>,
    lifecycle: ServerLifecycle,
    clock: Clock,
    events: AcceptEvents<Conn>,
  ) {
    this.#listener = listener;
    this.#lifecycle = lifecycle;
    this.#clock = clock;
    this.#events = events;
  }

  /** Accepts until `stop()`. Never rejects. */
  async run(): Promise<void> {
    loadStackSources();
    while (!this.#lifecycle.stopped) {
      if (!this.#events.hasCapacity()) {
        if (this.#lifecycle.transition("limit reached")) await this.#pause(this.#events.recheckMs);
        continue;
      }
      try {
        const conn = await this.#listener.accept();
        if (this.#lifecycle.stopped) closeQuietly(conn); // it was accepted in the very turn of the stop
        else this.#events.onConnection(conn);
        this.#backoffMs = 0;
      } catch (error) {
        if (!this.#lifecycle.stopped) await this.#failed(error);
      }
    }
  }

  /** Accepts again after a pause: a slot was released. */
  resume(): void {
    if (this.#lifecycle.transition("slot released")) this.#wake();
  }

  /** Closes the listener and ends `run()`. The lifecycle has stopped before. */
  stop(): void {
    try {
      watch(this.#listener.close(), this.#events.onCloseError);
    } catch (error) {
      this.#events.onCloseError(error);
    }
    this.#wake();
  }

  async #failed(error: unknown): Promise<void> {
    this.#events.onError(error);
    if (isPerConnectionError(error)) return;
    this.#backoffMs = Math.min(2 * this.#backoffMs || MIN_BACKOFF_MS, MAX_BACKOFF_MS);
    if (this.#lifecycle.transition("resources short")) await this.#pause(this.#backoffMs);
  }

  /** Waits for `resume()` or `stop()`, at most for `delayMs`. */
  async #pause(delayMs = Infinity): Promise<void> {
    let cancel = () => {};
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
      if (delayMs === Infinity) return;
      cancel = this.#clock.after(delayMs, () => {
        if (!this.#lifecycle.transition("backoff elapsed")) this.#lifecycle.transition("slot released");
        resolve();
      });
    });
    cancel();
  }
}

function isPerConnectionError(error: unknown): boolean {
  const { name, code } = (error ?? {}) as { name?: unknown; code?: unknown };
  return PER_CONNECTION_ERRORS.test(String(name)) || PER_CONNECTION_ERRORS.test(String(code));
}
