/**
 * The life of one connection as a state machine. Each method is an event and returns the one action that the caller has to
 * take now.
 *
 *     created ──run──▶ open ──drain──▶ draining ──output ended──▶ lingering ──▶ closed ──▶ finished
 *                       │ write failed                                ▲   input ended, or 2 s
 *                       └──────────────▶ broken ───────drain──────────┘
 *
 * - open       frames are dispatched, output is written
 * - broken     a write failed: what the peer sent before it is still dispatched, for 2 s at most
 * - draining   no frame is dispatched, input is dropped, queued output is written
 * - lingering  our side has ended, input is dropped until the peer ends its side (RFC 9112, 9.6)
 * - closed     the connection is closed or detached; `handleClose` is due
 * - finished   `handleClose` has settled
 *
 * Invariants: phases only move to the right; "close" or "release" is returned once, "seal output" at most once; the first
 * reason stays; output is sealed only when no hook is running, since that hook may still push.
 */

/** Where a connection is in its life. */
export type Phase = "created" | "open" | "broken" | "draining" | "lingering" | "closed" | "finished";

/** What an event asks of the caller; "release" is "close" without closing the connection. */
export type Action = "none" | "seal output" | "start lingering" | "close" | "release";

/** One connection's state; see the head of this file. */
export class Lifecycle {
  #phase: Phase = "created";
  #input: "open" | "ended" = "open";
  #output: "open" | "sealed" | "ended" | "failed" = "open";
  #hook: "none" | "running" | "running, then seal" | "last" = "none";
  #closedDuringHook = false;
  #reason: Error | undefined;

  /** Where the connection is. */
  get phase(): Phase {
    return this.#phase;
  }

  /** Whether frames are dispatched. */
  get dispatching(): boolean {
    return this.#phase === "open" || this.#phase === "broken";
  }

  /** Whether the connection is in a graceful close: input is dropped. */
  get closing(): boolean {
    return this.#phase === "draining" || this.#phase === "lingering";
  }

  /** Whether the connection is closed or detached. */
  get closed(): boolean {
    return this.#phase === "closed" || this.#phase === "finished";
  }

  /** Whether the peer will send no more. */
  get inputEnded(): boolean {
    return this.#input === "ended";
  }

  /** Whether the connection has failed: nothing can be sent any more. */
  get lost(): boolean {
    return this.#output === "failed";
  }

  /** Whether a hook's promise is pending. */
  get hookPending(): boolean {
    return this.#hook === "running" || this.#hook === "running, then seal";
  }

  /** Whether a hook was running when the connection closed. */
  get closedDuringHook(): boolean {
    return this.#closedDuringHook;
  }

  /** Whether `handleClose` was called: no hook may follow. */
  get lastHookCalled(): boolean {
    return this.#hook === "last";
  }

  /** The first error that ended the connection. */
  get reason(): Error | undefined {
    return this.#reason;
  }

  /** The chat starts. */
  run(): void {
    if (this.#phase === "created") this.#phase = "open";
  }

  /** A hook returned a pending promise. */
  hookStarted(): void {
    this.#hook = "running";
  }

  /** That promise has settled. */
  hookSettled(): Action {
    const sealDue = this.#hook === "running, then seal" && !this.closed;
    this.#hook = "none";
    return sealDue ? this.#seal() : "none";
  }

  /** The owner ends our side; input goes on. */
  endOutput(): Action {
    return this.closed || this.#output !== "open" ? "none" : this.#seal();
  }

  /** A graceful close begins: dispatch stops, queued output is written. */
  drain(cause?: Error): Action {
    if (this.closed) return "none";
    this.#reason ??= cause;
    if (this.closing) return "none";
    this.#phase = "draining";
    if (this.#hook === "none") return this.#seal();
    this.#hook = "running, then seal";
    return "none";
  }

  /** The last byte is written and our side has ended. */
  outputFinished(): Action {
    this.#output = "ended";
    return this.#lingerOrClose();
  }

  /** A write failed. */
  outputFailed(error: Error): Action {
    this.#output = "failed";
    if (this.#phase !== "open" || this.#input === "ended") return this.close(error);
    this.#phase = "broken";
    this.#reason ??= error;
    return "start lingering";
  }

  /** The connection was reset, which was noticed ahead of what the peer sent before: that is still dispatched. */
  connectionLost(error: Error): Action {
    return this.lost ? "none" : this.outputFailed(error);
  }

  /** The peer has sent its last byte. */
  inputFinished(): Action {
    this.#input = "ended";
    return this.#phase === "broken" ? this.close() : this.#lingerOrClose();
  }

  /** A read failed. */
  inputFailed(error: Error): Action {
    this.#input = "ended";
    return this.close(error);
  }

  /** The end, now. */
  close(reason?: Error): Action {
    if (this.closed) return "none";
    this.#reason ??= reason;
    this.#phase = "closed";
    this.#closedDuringHook = this.#hook !== "none";
    return "close";
  }

  /** The owner takes the connection away. */
  detach(): Action {
    return this.close() === "close" ? "release" : "none";
  }

  /** Closing the connection failed. */
  closeFailed(error: Error): void {
    this.#reason ??= error;
  }

  /** `handleClose` is called. */
  lastHookStarted(): void {
    this.#hook = "last";
  }

  /** `handleClose` has settled. */
  lastHookSettled(): void {
    this.#phase = "finished";
  }

  #seal(): Action {
    if (this.#outputIsOver()) return this.#lingerOrClose();
    if (this.#output === "sealed") return "none";
    this.#output = "sealed";
    return "seal output";
  }

  #outputIsOver(): boolean {
    return this.#output === "ended" || this.#output === "failed";
  }

  #lingerOrClose(): Action {
    if (!this.#outputIsOver() || !this.closing) return "none";
    if (this.#input === "ended") return this.close();
    if (this.#phase === "lingering") return "none";
    this.#phase = "lingering";
    return "start lingering";
  }
}
