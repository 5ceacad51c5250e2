// For chat/model_test.ts: a chat in whose hooks planned things are done, and what must hold of it after each step.

import { type AsyncChat, ChatTimeoutError, type FrameTooLongError } from "../mod.ts";
import { DataChat, PlainChat, RangeChat } from "./chat_model_chats.ts";
import { type Config, Harness, type HookName, type Plan } from "./chat_model_owner.ts";
import { bytes, flushMicrotasks, text } from "./recorder.ts";

const LINGER_MS = 2_000;
const STATES = ["new", "open", "closing", "closed"];

/** A chat, its peer and the models, checked after each command. */
export class World extends Harness {
  readonly chat: AsyncChat;
  #quietSince = 0;
  #running: HookName | null = null;
  #connected = false;
  #eofCalled = false;
  #closeCalls = 0;
  #mustEnd = false; //       a frame was too long
  #state = "new";
  #reason: Error | undefined;
  #view: { data: Uint8Array; was: string } | null = null; // of the data hook that waits
  #ranAt = 0;
  #closingAt = Infinity;
  #latestClosingAt = 0; //   when a hook that waited had ended
  readonly #thrown = new Set<unknown>(); // by hooks, to be given to handleError
  readonly #handled = new Set<unknown>();

  constructor(config: Config) {
    super(config);
    const { mode, options, limits, unread } = config;
    this.conn.beforeRead = (size) => {
      this.takeAhead();
      if (this.chat.state === "closing") return false; // to be dropped
      this.faults.equal(
        this.chat.bytesReceived,
        this.conn.bytesRead,
        "what was read ahead is taken in before more is read",
      );
      if (this.parked !== null && this.usesSignal) {
        this.faults.expect(size <= 1024, "at most 1024 bytes are read ahead", size);
        return true;
      }
      this.faults.expect(!this.parked && !this.#running, "nothing is read while a hook runs");
      const isFull = this.chat.bufferedAmount > options.highWaterMark;
      this.faults.expect(!isFull, "nothing is read while output is full");
      return false;
    };
    const Class = { plain: PlainChat, gather: DataChat, data: DataChat, range: RangeChat }[mode];
    this.chat = new Class(this.conn, { ...options, ...limits, clock: this.clock, unread: bytes(unread) }, this);
    this.setTerminator(config.first);
    this.plans.push({ hook: "connect", plan: config.connect });
  }

  // ------------------------------------------------------------------------------------------------------------ the hooks

  /** Checks that this hook may be called now, does what belongs to it, and what is planned. */
  hook(name: HookName, body: () => void): void | Promise<void> {
    this.activity++;
    this.takeAhead();
    const { chat, faults } = this;
    faults.equal(this.#running ?? this.parked?.hook, undefined, `one hook at a time, and then ${name}`);
    faults.equal(this.#closeCalls, 0, `no hook after handleClose, and then ${name}`);
    if (name === "close") faults.equal(chat.state, "closed", "handleClose comes at the end");
    else faults.equal(chat.state, "open", `no hook but handleClose after the end, and then ${name}`);
    if (name === "connect") faults.expect(!this.#connected, "handleConnect is called once");
    else faults.expect(this.#connected || name === "close", "handleConnect is called first", name);
    if (["data", "frame", "too long", "eof"].includes(name)) {
      faults.expect(!this.#eofCalled, "handleEof follows all frames");
    }
    if (name === "data" || name === "frame") {
      faults.expect(
        chat.bufferedAmount <= this.config.options.highWaterMark,
        "nothing is dispatched while output is full",
      );
    }
    if (name === "connect") this.#connected = true;
    if (name === "close") this.#closeCalls++;
    this.#running = name;
    body();
    const at = this.plans.findIndex(({ hook }) => hook === name);
    const plan = at < 0 ? undefined : this.plans.splice(at, 1)[0]!.plan;
    for (const act of plan?.acts ?? []) this.act(act);
    this.observe();
    this.#running = null;
    if (plan?.outcome === "wait") {
      this.parked = { hook: name, promise: Promise.withResolvers() };
      return this.parked.promise.promise;
    }
    this.#hookEnded(name);
    if (plan?.outcome === "throw") throw this.#newThrown(name);
  }

  /** Settles the hook that waits, after it has done something more. */
  settleHook({ acts, outcome }: Plan): void {
    const { hook, promise } = this.parked!;
    for (const act of acts) this.act(act);
    this.parked = null;
    this.#hookEnded(hook);
    if (this.sealAfterHook) this.#latestClosingAt = this.clock.now();
    this.sealAfterHook = false;
    if (outcome === "throw") promise.reject(this.#newThrown(hook));
    else promise.resolve();
  }

  #hookEnded(name: HookName): void {
    const view = name === "data" ? this.#view : null;
    if (view !== null) this.faults.equal(text(view.data), view.was, "data stays while the hook runs");
    if (name !== "too long") return;
    this.input.gathered = "";
    if (this.chat.state === "closed") this.#mustEnd = false; // before the hook had ended: it has a reason of its own
  }

  #newThrown(hook: HookName): Error {
    const error = new Error(`thrown in ${hook}`);
    this.#thrown.add(error);
    return error;
  }

  onData(data: Uint8Array): void {
    this.#view = { data, was: text(data) };
    this.input.data(this.#view.was);
  }

  onFrame(): void {
    this.input.frame();
    this.faults.equal(this.chat.framesReceived, this.input.frames, "framesReceived counts this frame");
    const { matchedTerminator } = this.chat;
    this.faults.equal(
      matchedTerminator && text(matchedTerminator),
      this.input.matched,
      "the terminator is the one that matched",
    );
    if (this.config.takes || this.config.mode === "plain") this.act({ do: "take" });
  }

  onTooLong(error: FrameTooLongError): void {
    const { limit, ends } = this.input.tooLong();
    this.#mustEnd ||= ends;
    this.faults.expect(error.limit === limit && error.received > limit, "the error has the numbers", error, limit);
    this.reasons.add(error);
    if (this.config.takes) this.act({ do: "take" });
  }

  onTimeout(error: ChatTimeoutError): void {
    this.reasons.add(error);
    this.#checkTimeout(error);
  }

  onEof(): void {
    this.faults.expect(this.conn.inputEnded, "handleEof comes when the peer has ended");
    this.input.complete();
    this.#eofCalled = true;
  }

  onError(error: unknown): void {
    this.activity++;
    const isKnown = this.#thrown.has(error) || this.producers.some((each) => each.failed && each.error === error);
    this.faults.expect(isKnown && !this.#handled.has(error), "handleError gets what was thrown, once", error);
    this.faults.expect(
      this.#closeCalls === 0 || String(error).endsWith("close"),
      "handleError comes before handleClose",
      error,
    );
    this.#handled.add(error);
    this.reasons.add(error);
    if (this.config.errorsClose) this.close(error as Error);
  }

  onClose(reason: Error | undefined): void {
    this.faults.equal(reason, this.chat.closeReason, "handleClose gets the reason");
    if (reason instanceof ChatTimeoutError && !this.reasons.has(reason)) { // it came while a hook waited, or at the end
      this.reasons.add(reason);
      this.#checkTimeout(reason);
    }
    const { conn, output } = this;
    const isGraceful = reason === undefined && !this.isClosed && !this.isDetached;
    this.faults.expect(
      reason === undefined || this.reasons.has(reason) || conn.errors.includes(reason),
      "a reason",
      reason,
    );
    if (!isGraceful) return;
    this.faults.expect(!this.#mustEnd && conn.errors.length === 0, "what went wrong is the reason", conn.errors);
    output.settle();
    this.faults.expect(output.items.length === 0, "a graceful end sends all", output.ready);
    this.faults.equal(conn.ends, 1, "a graceful end ends our side");
    this.faults.expect(
      conn.inputEnded || this.#lingered >= LINGER_MS,
      "a graceful end waits for the peer",
      this.#lingered,
    );
  }

  /** How long both are so: our side has ended, and the chat is closing. */
  get #lingered(): number {
    return this.clock.now() - Math.max(this.conn.endedAt, this.#closingAt);
  }

  /** A limit is never noticed early. */
  #checkTimeout({ kind, limitMs }: ChatTimeoutError): void {
    this.faults.equal(
      limitMs,
      this.config.limits[`${kind === "close" ? "write" : kind}TimeoutMs`],
      "the limit is that of the options",
    );
    const { lastReadAt, lastWriteAt } = this.conn;
    const since = { idle: lastReadAt, write: lastWriteAt, frame: this.input.frameSince, close: this.#ranAt }[kind];
    const passed = this.clock.now() - Math.max(since, this.#ranAt);
    this.faults.expect(passed >= limitMs, `a ${kind} timeout is not early`, passed, limitMs);
    const isProducing = this.output.items.some(({ done }) => !done);
    this.faults.expect(kind !== "idle" || !isProducing, "an idle limit stands still while a producer is queued");
    const mayClose = this.#state === "closing" || (this.conn.inputEnded && isProducing);
    this.faults.expect(kind !== "close" || mayClose, "a close timeout ends what would have no end");
  }

  // ------------------------------------------------------------------------------------------------------------ the checks

  override run(): void {
    this.#ranAt = this.clock.now();
    super.run();
  }

  observe(): void {
    const { state, closeReason } = this.chat;
    this.faults.expect(STATES.indexOf(state) >= STATES.indexOf(this.#state), "the state goes on", this.#state, state);
    if (state === "closing") this.#closingAt = Math.min(this.#closingAt, this.clock.now());
    this.#state = state;
    this.faults.expect(
      this.#reason === undefined || closeReason === this.#reason,
      "the first reason counts",
      closeReason,
    );
    this.#reason = closeReason;
  }

  /** Lets everything happen that needs no time, and checks. */
  async settle(isAdvance = false): Promise<void> {
    const before = this.seenActivity;
    for (let rounds = 0, seen = -1; seen !== this.allActivity; rounds++) {
      seen = this.allActivity;
      await flushMicrotasks(40);
      if (rounds === 50_000) throw new Error("the chat does not come to rest");
    }
    this.observe();
    this.takeAhead();
    this.output.settle();
    const { state } = this.chat;
    const isLost = this.conn.lostError !== undefined;
    if (state === "closed" || isLost) this.output.drop();
    const { amount, lateAmount } = this.output;
    const missing = amount - this.chat.bufferedAmount;
    this.faults.expect(missing === 0 || missing === lateAmount, "bufferedAmount is what waits", missing, lateAmount);
    this.faults.equal(this.chat.bytesSent, this.output.wire.length, "bytesSent is what was written");
    this.faults.equal(this.chat.framesReceived, this.input.frames, "framesReceived is what was dispatched");
    const isAborted = this.signal?.aborted ?? null;
    this.faults.expect(
      isAborted === null || isAborted === (isLost || state === "closed"),
      "the signal is aborted at the end",
      state,
    );
    if (state === "closed") this.#checkClosed();
    else this.#checkAlive();
    for (const { id, settled } of this.flushes) {
      this.faults.expect(settled || (state !== "closed" && this.output.items.length > 0), "flushed() is not late", id);
    }
    for (const error of this.#thrown) {
      this.faults.expect(this.#handled.has(error), "handleError gets what was thrown", error);
    }
    if (!isAdvance || before !== this.allActivity) this.#quietSince = this.clock.now();
    else this.#checkTimeLimits();
    this.seenActivity = this.allActivity;
    this.faults.throwIfAny();
  }

  #checkClosed(): void {
    const { faults } = this;
    faults.equal(this.clock.pending, 0, "no timer is left");
    faults.equal(this.conn.closes, this.isDetached ? 0 : 1, "the connection is closed once, unless it was detached");
    faults.expect(this.chat.bytesReceived <= this.conn.bytesRead, "bytesReceived is what was read");
    const isSaid = this.hasRun && (this.parked === null || this.parked.hook === "close");
    faults.equal(this.#closeCalls, isSaid ? 1 : 0, "handleClose is called once, after the hook that waits");
    faults.equal(this.runSettled, isSaid && this.parked === null, "run() settles after handleClose");
    for (const { kind, cancels } of this.notQueued) {
      faults.equal(cancels, kind === "more" ? 0 : 1, `a producer that is not queued is cancelled: ${kind}`);
    }
    for (const { kind, item, failed, cancels } of this.producers) {
      const isCancelled = kind !== "more" && !item!.done && !failed;
      faults.expect(isCancelled ? cancels === 1 : cancels <= 1, `a producer is cancelled at the end: ${kind}`, cancels);
    }
  }

  #checkAlive(): void {
    const { chat, conn, faults, input, output, parked } = this;
    const { state } = chat;
    const now = this.clock.now();
    faults.equal(conn.closes, 0, "the connection is closed at the end");
    faults.equal(this.#closeCalls, 0, "handleClose is called at the end");
    faults.equal(chat.bytesReceived, conn.bytesRead - (conn.ahead ?? 0), "bytesReceived is what was read");
    faults.expect(conn.readError === undefined || parked !== null, "a read that failed ends the chat");
    const isPausing = this.isPausing;
    const timers = 1 + Number(state === "closing" || conn.lostError !== undefined) + Number(isPausing);
    faults.expect(this.clock.pending <= timers, "there are few timers", this.clock.pending);
    if (!this.hasRun) return faults.equal(conn.activity, 0, "nothing happens before run()");
    faults.expect(this.#connected || state === "closing", "handleConnect is called");
    faults.expect(!this.#mustEnd || parked !== null || state === "closing", "a frame too long ends the chat");
    const isLost = conn.lostError !== undefined;
    faults.expect(
      !isLost || (state === "open" && !this.#eofCalled) || parked !== null,
      "a lost connection ends the chat",
    );
    faults.expect(!isLost || now - conn.lostAt < LINGER_MS, "a lost connection ends the chat in time");
    faults.expect(isLost || output.ready === "" || output.inflight !== null, "what waits is written", output.ready);
    const isWriting = output.items.length > 0 || output.inflight !== null;
    const isSealed = this.isSealed || (state === "closing" && !this.sealAfterHook);
    if (isSealed && !isLost) {
      faults.expect(isWriting || conn.ends === 1, "our side is ended after the last byte");
    } else if (!isSealed) faults.equal(conn.ends, 0, "our side is ended on demand alone");
    if (parked !== null && this.usesSignal && state === "open" && !isLost) {
      const isWatching = conn.reading || conn.inputEnded || conn.ahead !== null || conn.readError !== undefined;
      faults.expect(isWatching, "a read is made ahead while a hook waits");
    }
    if (parked !== null) return;
    if (state === "closing" && conn.ends === 1) {
      faults.expect(!conn.inputEnded, "the chat ends when both sides have");
      faults.expect(
        Math.min(this.#lingered, now - this.#latestClosingAt) < LINGER_MS,
        "the chat does not wait for ever",
        now,
      );
    }
    if (state === "open" && chat.bufferedAmount > this.config.options.highWaterMark) return input.pause();
    faults.expect(conn.reading || conn.inputEnded || isPausing, "the chat reads");
    faults.equal(conn.ahead, null, "what was read ahead is taken in");
    if (state === "closing") return;
    faults.expect(!conn.inputEnded || this.#eofCalled, "handleEof is called");
    if (!this.#eofCalled) input.complete();
    const terminator = chat.getTerminator();
    const shown = Array.isArray(terminator) ? terminator.map(text).toSorted().join("|") : terminator;
    faults.equal(
      shown instanceof Uint8Array ? text(shown) : shown,
      input.terminator,
      "getTerminator() is what is in force",
    );
  }

  /** Nothing but time has passed for a while: a limit that ran must have been noticed. */
  #checkTimeLimits(): void {
    const { chat, conn, output, parked } = this;
    const { idleTimeoutMs, frameTimeoutMs, writeTimeoutMs } = this.config.limits;
    if (!this.hasRun || chat.state === "closed") return;
    const passed = this.clock.now() - this.#quietSince;
    const isDue = (limit: number) => limit > 0 && passed >= limit + 2 * Math.max(limit / 10, 10);
    const peerIsDue = chat.state === "open" && parked === null && !conn.inputEnded && output.amount === 0;
    const isProducing = output.items.some(({ done }) => !done);
    const isIdle = peerIsDue && output.inflight === null && !isProducing;
    this.faults.expect(!isIdle || !isDue(idleTimeoutMs), "an idle timeout is noticed", passed);
    this.faults.expect(
      !peerIsDue || !this.input.frameBegun || !isDue(frameTimeoutMs),
      "a frame timeout is noticed",
      passed,
    );
    const isStuck = output.inflight !== null && !output.isFloating;
    this.faults.expect(!isStuck || !isDue(writeTimeoutMs), "a write timeout is noticed", passed);
    const isSilent = conn.inputEnded && isProducing && output.amount === 0 && parked === null &&
      conn.lostError === undefined;
    this.faults.expect(!isSilent || !isDue(writeTimeoutMs), "a producer that waits for ever is ended", passed);
  }

  // --------------------------------------------------------------------------------------------------------------- the end

  /** Ends the chat, gracefully where it can still be, and checks that nothing is left. */
  async finish(): Promise<void> {
    if (!this.hasRun) this.run();
    for (let round = 0, isOver = false; round < 40 && !isOver; round++) {
      isOver = this.runSettled; // and once more, so that the peer gets the rest
      if (this.parked !== null) this.settleHook({ acts: [], outcome: "return" });
      else if (this.gates.length > 0) this.gates[0]!.release("end");
      else if (!this.isPeerGone) this.endPeer("closeWrite");
      else if (this.chat.state === "open" && this.#eofCalled) this.act({ do: "closeWhenDone" });
      else if (round > 20) this.clock.advance(1_000);
      if (!this.isPeerClosed && this.peerReads === 0) void this.#drain();
      await this.settle();
    }
    this.faults.equal(this.chat.state, "closed", "the chat ends");
    this.faults.expect(this.runSettled, "run() settles");
    const { wire } = this.output;
    const isWhole = !this.isPeerClosed && !this.isDetached;
    this.faults.expect(wire.startsWith(this.received), "the peer receives what was sent", this.received, wire);
    if (this.detached !== null) {
      const rest = this.input.stream.slice(this.detached.from);
      this.faults.expect(
        rest.startsWith(this.detached.text),
        "a detached connection goes on",
        this.detached.text,
        rest,
      );
      if (!this.isPeerClosed) this.faults.equal(this.detached.text, rest, "a detached connection loses no byte");
    }
    if (isWhole) this.faults.equal(this.received, wire, "the peer receives all that was sent");
    this.faults.throwIfAny();
    if (this.isDetached) this.conn.close();
    if (!this.isPeerClosed) this.peer.close();
  }

  async #drain(): Promise<void> {
    while (await this.peerReceives(65_536) !== null);
  }
}
