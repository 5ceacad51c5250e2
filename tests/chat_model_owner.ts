// For chat/model_test.ts: what the owner of a chat and its peer do, and what each such call must come to.

import { type AsyncChat, ChatClosedError, type ChatOptions, OutgoingOverflowError } from "../mod.ts";
import { FakeClock, type MemoryConn, memoryPair } from "../testing/mod.ts";
import { Faults, FrameOracle, type Framing } from "./chat_model.ts";
import { OutputModel, type ProducerKind, TestProducer, WatchedConn } from "./chat_model_io.ts";
import { bytes, text } from "./recorder.ts";

export type HookName = "connect" | "data" | "frame" | "too long" | "timeout" | "eof" | "close";

/** How frames end; no `limit` is that of the chat. */
export interface Setting {
  delimiters: string[];
  count: number;
  limit: number | undefined;
  discards: boolean;
}

/** Something that the owner of the chat does, in a hook or outside. */
export type Act =
  | { do: "push"; text: string; times: number; isText: boolean }
  | { do: "produce"; kind: ProducerKind; pieces: string[] }
  | { do: "terminator"; setting: Setting }
  | { do: "close"; hasReason: boolean }
  | { do: "closeWhenDone" | "closeWrite" | "discard" | "detach" | "take" | "flushed" | "signal" };

/** What a hook does when it is called next. */
export interface Plan {
  acts: Act[];
  outcome: "return" | "throw" | "wait";
}

export interface Config {
  mode: "plain" | "gather" | "data" | "range";
  takes: boolean; //        frames are taken; else the collector fills up
  forgives: boolean; //     timeouts and long frames do not end the chat
  staysOpen: boolean; //    the peer's end does not end the chat
  errorsClose: boolean; //  handleError ends the chat
  first: Setting;
  connect: Plan;
  unread: string;
  options: Required<Pick<ChatOptions, "maxFrameBytes" | "highWaterMark" | "maxBufferedBytes" | "maxReadBytes">>;
  limits: { idleTimeoutMs: number; frameTimeoutMs: number; writeTimeoutMs: number };
  ours: { maxReadBytes: number; maxWriteBytes: number; capacity: number };
  theirCapacity: number;
}

/** A chat and its peer, with the models of input and output that go along. */
export abstract class Harness {
  readonly config: Config;
  readonly faults = new Faults();
  readonly clock = new FakeClock();
  readonly input: FrameOracle;
  readonly output = new OutputModel(this.faults);
  readonly conn: WatchedConn;
  readonly peer: MemoryConn;
  abstract readonly chat: AsyncChat;
  readonly plans: { hook: HookName; plan: Plan }[] = [];
  readonly producers: TestProducer[] = [];
  parked: { hook: HookName; promise: PromiseWithResolvers<void> } | null = null;
  hasRun = false;
  isPeerGone = false; //     it has ended its side, closed or reset
  isPeerClosed = false;
  isSealed = false; //       closeWrite() was called
  received = ""; //          by the peer
  peerReads = 0;
  activity = 0;
  seenActivity = -1; //      at the end of the last command
  runSettled = false;
  sealAfterHook = false; //  closeWhenDone() came while a hook waited
  isEndedByOwner = false; // a push may be a mistake
  isClosed = false; //       by close()
  isDetached = false;
  readonly reasons = new Set<unknown>(); // that the end may have
  readonly flushes: { id: number; settled: boolean }[] = [];
  signal: AbortSignal | null = null;
  #toSend = "";
  #isSending = false;

  constructor(config: Config) {
    this.config = config;
    const { mode, unread, options, ours, theirCapacity } = config;
    const [inner, peer] = memoryPair(ours, { capacity: theirCapacity });
    const framing = this.#framing(config.first);
    this.peer = peer;
    this.input = new FrameOracle(
      this.faults,
      () => this.clock.now(),
      { unread, limit: options.maxFrameBytes, mode },
      framing,
    );
    this.conn = new WatchedConn(inner, this.faults, this.input, this.output, this.clock);
  }

  /** How much has happened. */
  get allActivity(): number {
    return this.activity + this.conn.activity;
  }

  /** Whether something has happened since the last command that the chat may not have noticed. */
  get isLate(): boolean {
    return this.allActivity !== this.seenActivity;
  }

  /** Checks what must hold at any moment. */
  abstract observe(): void;

  /** Whether a producer may wait for its release for ever. */
  get hasOpenGate(): boolean {
    return this.producers.some(({ isGated, item, failed }) => isGated && !failed && this.output.items.includes(item!));
  }

  get gates(): TestProducer[] {
    return this.producers.filter(({ waits, failed, cancels }) => waits && !failed && cancels === 0);
  }

  // ------------------------------------------------------------------------------------------------------------- the peer

  send(data: string): void {
    this.input.stream += data;
    this.#toSend += data;
    void this.#send();
  }

  endPeer(how: "closeWrite" | "close" | "reset"): void {
    this.isPeerGone = true;
    if (how === "closeWrite") return void this.#send();
    this.isPeerClosed = true;
    if (how === "reset") this.peer.reset();
    else this.peer.close();
  }

  async #send(): Promise<void> {
    if (this.#isSending) return;
    this.#isSending = true;
    try {
      while (this.#toSend !== "" && !this.isPeerClosed) {
        const count = await this.peer.write(bytes(this.#toSend));
        this.#toSend = this.#toSend.slice(count);
        this.activity++;
      }
      if (this.isPeerGone && !this.isPeerClosed) await this.peer.closeWrite();
    } catch {
      this.#toSend = ""; // the chat has closed
    }
    this.#isSending = false;
  }

  async peerReceives(size: number): Promise<number | null> {
    this.peerReads++;
    try {
      const part = new Uint8Array(size);
      const count = await this.peer.read(part);
      this.received += text(part.subarray(0, count ?? 0));
      return count;
    } catch {
      return null; // it has closed, or the chat
    } finally {
      this.peerReads--;
      this.activity++;
    }
  }

  // ------------------------------------------------------------------------------------------------------------ the owner

  run(): void {
    this.hasRun = true;
    void this.chat.run().then(
      () => this.runSettled = true,
      (error) => this.faults.expect(false, "run() never rejects", error),
    );
  }

  act(act: Act): void {
    switch (act.do) {
      case "push":
        this.#push(act.text.repeat(this.#isFast ? act.times : Math.min(act.times, 70)), act.isText);
        break;
      case "produce":
        this.#produce(act.kind, act.pieces);
        break;
      case "terminator":
        if (!this.input.refused && !this.input.isUnsure) this.#changeTerminator(act.setting);
        break;
      case "closeWhenDone":
        this.isEndedByOwner = true;
        if (this.chat.state === "new" || this.chat.state === "open") this.sealAfterHook = this.parked !== null;
        this.chat.closeWhenDone();
        this.faults.expect(["closing", "closed"].includes(this.chat.state), "closeWhenDone() closes", this.chat.state);
        break;
      case "closeWrite":
        this.isSealed ||= this.chat.state !== "closed";
        this.isEndedByOwner = true;
        this.chat.closeWrite();
        break;
      case "close":
        this.close(act.hasReason ? new Error("close") : undefined);
        break;
      case "discard":
        this.#discard();
        break;
      case "detach":
        if (!this.input.refused && !this.output.isFloating) this.#detach();
        break;
      case "take":
        this.#take();
        break;
      case "flushed":
        this.#flush();
        break;
      case "signal":
        this.signal ??= this.chat.signal;
        this.faults.equal(this.chat.signal, this.signal, "there is one signal");
        break;
    }
    this.observe();
  }

  /** Whether a push is sent; `null` when the chat may not have noticed yet that the connection is lost. */
  get #accepts(): boolean | null {
    const { state } = this.chat;
    if (state === "closed") return false;
    if (this.conn.writeError !== undefined) return this.isLate ? null : false;
    return !this.isSealed && (state !== "closing" || this.sealAfterHook);
  }

  /** Whether large output does not take thousands of writes. */
  get #isFast(): boolean {
    return Math.min(this.config.ours.capacity, this.config.ours.maxWriteBytes) > 1_000;
  }

  #push(data: string, isText: boolean): void {
    const before = this.chat.bufferedAmount;
    const reason = this.chat.closeReason;
    const accepts = this.#accepts;
    const refused = this.#isRefused(() => this.chat.push(isText ? data : bytes(data)));
    const amount = this.chat.bufferedAmount;
    const { maxBufferedBytes } = this.config.options;
    if (accepts === null && before + data.length > maxBufferedBytes) this.reasons.add(this.chat.closeReason);
    if (accepts === null) return;
    const overflows = before + data.length > maxBufferedBytes;
    this.faults.equal(refused, !accepts || overflows, "push() returns whether it queues");
    if (accepts && overflows) {
      this.faults.equal(this.chat.state, "closed", "an overflow ends the chat");
      const error = this.chat.closeReason;
      this.faults.expect(
        reason !== undefined || (error instanceof OutgoingOverflowError && error.buffered === before + data.length),
        "an overflow is the reason",
        error,
      );
      this.reasons.add(error);
      this.output.drop();
    } else {
      if (accepts) this.output.push(data);
      this.faults.equal(amount, before + (accepts ? data.length : 0), "push() adds to bufferedAmount what it accepts");
    }
  }

  #produce(kind: ProducerKind, pieces: string[]): void {
    const producer = new TestProducer(kind, pieces);
    // Known, to be mended: a producer that waits keeps a chat alive after its peer has left.
    if (producer.isGated && this.isPeerGone) return;
    const accepts = this.#accepts;
    if (accepts === null) return;
    if (accepts) producer.item = this.output.push("", false);
    const refused = this.#isRefused(() => this.chat.pushWithProducer(producer.toLike()));
    this.faults.expect(!accepts || !refused, "pushWithProducer() accepts what is sent");
    if (accepts) this.producers.push(producer);
  }

  #isRefused(push: () => unknown): boolean {
    try {
      return push() === false;
    } catch (error) {
      this.faults.expect(
        error instanceof ChatClosedError && this.isEndedByOwner,
        "push() throws by mistakes only",
        error,
      );
      return true;
    }
  }

  /** Where the pieces of data are not observed, it cannot be known which of them the collector refuses: so none. */
  #limitOf({ delimiters, count, limit }: Setting): number {
    const isUnobserved = this.config.mode === "plain" && count === 0 && delimiters.length === 0;
    return isUnobserved || limit === undefined ? this.config.options.maxFrameBytes : limit;
  }

  #framing(setting: Setting): Framing {
    const { delimiters, count, discards } = setting;
    return {
      delimiters: count > 0 ? [] : delimiters.toSorted((a, b) => b.length - a.length),
      count,
      limit: this.#limitOf(setting),
      discards,
    };
  }

  setTerminator(setting: Setting): void {
    const { delimiters, count, discards } = setting;
    const delimiter = delimiters.length > 1 ? delimiters : delimiters[0] ?? null;
    const onTooLong = discards ? "discard" : "close";
    this.chat.setTerminator(count > 0 ? count : delimiter, { maxFrameBytes: this.#limitOf(setting), onTooLong });
  }

  #changeTerminator(setting: Setting): void {
    const isLeft = this.conn.reading && this.input.read > this.input.at;
    if (this.config.mode === "plain") {
      if (isLeft) return; // when they are dispatched would not be seen
      this.#take();
    }
    this.setTerminator(setting);
    this.input.set(this.#framing(setting));
    this.input.stale ||= isLeft;
  }

  close(reason: Error | undefined): void {
    const { state, closeReason } = this.chat;
    this.isEndedByOwner = true;
    if (reason !== undefined) this.reasons.add(reason);
    this.chat.close(reason);
    this.faults.equal(this.chat.state, "closed", "close() closes");
    if (state === "closed") return this.faults.equal(this.chat.closeReason, closeReason, "the first reason counts");
    this.faults.equal(this.chat.closeReason, closeReason ?? reason, "the reason is that of close()");
    this.faults.equal(this.conn.closes, 1, "close() closes the connection");
    this.isClosed = true;
    this.output.drop();
  }

  #discard(): void {
    // Known, to be mended: after closeWhenDone() or closeWrite() our side is not ended then.
    if (this.chat.state === "closing" || this.isSealed || this.input.refused || this.#accepts === null) return;
    this.chat.discardBuffers();
    this.input.discard();
    this.output.drop();
    this.faults.equal(this.chat.bufferedAmount, 0, "discardBuffers() drops output");
  }

  #detach(): void {
    const { chat, conn, input, output } = this;
    const { state } = chat;
    const isSending = output.inflight !== null || output.items.some(({ done }) => !done);
    const mustThrow = conn.reading || (isSending && conn.writeError === undefined);
    try {
      const { conn: given, unread, unsent } = chat.detach();
      this.faults.expect(!mustThrow && state !== "closed", "detach() throws while something is pending");
      this.faults.equal(given, conn, "detach() gives the connection");
      this.faults.equal(
        unsent.map(text).join(""),
        conn.writeError ? "" : output.ready,
        "detach() gives what is unsent",
      );
      const left = input.stream.slice(input.at, input.read);
      const isExact = state === "open" && !input.discarding;
      const isLeft = isExact ? text(unread) === left : left.endsWith(text(unread));
      this.faults.expect(isLeft || this.config.mode === "plain", "detach() gives what is unread", text(unread), left);
      this.isDetached = this.isEndedByOwner = true;
      output.items = [];
    } catch (error) {
      if (state === "closed") return this.faults.expect(error instanceof ChatClosedError, "it is closed", error);
      this.faults.expect(error instanceof TypeError && (mustThrow || this.isLate), "detach()", error);
    }
  }

  #take(): void {
    if (this.chat.state === "closed" || this.input.isUnsure) return;
    this.faults.equal(this.chat.takeText(), this.input.gathered, "what was gathered is the data");
    this.input.gathered = "";
  }

  #flush(): void {
    const flush = { id: this.output.lastId, settled: false };
    this.flushes.push(flush);
    this.chat.flushed().then(() => {
      flush.settled = true;
      this.output.settle();
      const isOver = this.chat.state === "closed" || this.conn.writeError !== undefined;
      this.faults.expect(isOver || this.output.items.every(({ id }) => id > flush.id), "flushed() is not early");
    }, (error) => this.faults.expect(false, "flushed() never rejects", error));
  }
}
