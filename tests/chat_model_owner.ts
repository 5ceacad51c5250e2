// For chat/model_test.ts: what the owner of a chat and its peer do, and what each such call must come to.

import { type AsyncChat, ChatClosedError, type ChatConn, type ChatOptions, OutgoingOverflowError } from "../mod.ts";
import { FakeClock, type MemoryConn, memoryPair } from "../testing/mod.ts";
import { Faults, FrameOracle, type Framing } from "./chat_model.ts";
import { OutputModel, type ProducerKind, TestProducer, WatchedConn } from "./chat_model_io.ts";
import { bytes, text } from "./recorder.ts";

export type HookName = "connect" | "data" | "frame" | "too long" | "timeout" | "eof" | "close";

/** How frames end; a `count` of -1 is none; no `limit` is that of the chat. */
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
  readonly notQueued: TestProducer[] = [];
  detached: { text: string; from: number } | null = null; // what was read after detach()
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
  isClosed = false; //       by close()
  isDetached = false;
  readonly reasons = new Set<unknown>(); // that the end may have
  readonly flushes: { id: number; settled: boolean }[] = [];
  usesSignal = false; //     so that a reset is noticed while a hook waits
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

  /** Whether so much input was dropped that reads are paced. */
  get isPausing(): boolean {
    return this.chat.state === "closing" && this.conn.ends === 1 &&
      this.conn.bytesRead - this.conn.bytesReadAtEnd > 65_536 + this.chat.bytesSent;
  }

  /** Bytes that were read ahead count once the chat has taken them in. */
  takeAhead(): void {
    const { ahead } = this.conn;
    if (ahead === null || this.chat.bytesReceived < this.conn.bytesRead) return;
    this.conn.ahead = null;
    this.input.arrived(ahead);
  }

  /** Checks what must hold at any moment. */
  abstract observe(): void;

  /** Whether so much input is dropped that it may be paced. */
  get mayFlood(): boolean {
    const isFast = Math.min(this.config.ours.maxReadBytes, this.config.ours.capacity) > 1_000;
    return isFast && this.chat.state === "closing" && !this.isPeerGone;
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
    this.takeAhead();
    switch (act.do) {
      case "push":
        this.#push(act.text.repeat(this.#isFast ? act.times : Math.min(act.times, 70)), act.isText);
        break;
      case "produce":
        this.#produce(act.kind, act.pieces);
        break;
      case "terminator":
        if (!this.input.isUnsure) this.#changeTerminator(act.setting);
        break;
      case "closeWhenDone":
        if (this.chat.state === "new" || this.chat.state === "open") this.sealAfterHook = this.parked !== null;
        this.chat.closeWhenDone();
        this.faults.expect(["closing", "closed"].includes(this.chat.state), "closeWhenDone() closes", this.chat.state);
        break;
      case "closeWrite":
        this.isSealed ||= this.chat.state !== "closed";
        this.chat.closeWrite();
        break;
      case "close":
        this.close(act.hasReason ? new Error("close") : undefined);
        break;
      case "discard":
        this.#discard();
        break;
      case "detach":
        this.#detach();
        break;
      case "take":
        this.#take();
        break;
      case "flushed":
        this.#flush();
        break;
      case "signal":
        this.usesSignal = true;
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
    if (this.conn.lostError !== undefined) return this.isLate ? null : false;
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
    const isQueued = this.#isQueued(() => this.chat.push(isText ? data : bytes(data)));
    const amount = this.chat.bufferedAmount;
    if (accepts === null) return void this.reasons.add(this.chat.closeReason);
    this.faults.expect(!isQueued || accepts, "push() returns false when it is not queued");
    if (accepts && !this.#checkHeld(isQueued, before + data.length, reason)) return;
    if (accepts) this.output.push(data);
    this.faults.equal(amount, before + (accepts ? data.length : 0), "push() adds to bufferedAmount what it accepts");
  }

  #produce(kind: ProducerKind, pieces: string[]): void {
    const producer = new TestProducer(kind, pieces);
    const before = this.chat.bufferedAmount;
    const accepts = this.#accepts;
    if (accepts === null) return;
    if (accepts) producer.item = this.output.push("", false);
    const { closeReason } = this.chat;
    const isQueued = this.#isQueued(() => this.chat.pushWithProducer(producer.toLike()));
    if (accepts) this.producers.push(producer);
    else this.notQueued.push(producer);
    this.faults.expect(!isQueued || accepts, "pushWithProducer() returns false when it is not queued");
    this.faults.expect(producer.stream?.locked !== true || accepts, "a stream that is not queued is not locked");
    if (accepts) this.#checkHeld(isQueued, before, closeReason);
  }

  #isQueued(push: () => boolean): boolean {
    try {
      return push();
    } catch (error) {
      this.faults.expect(false, "push() does not throw", error);
      return false;
    }
  }

  /** Whether more than `maxBufferedBytes` was held, where each queued producer beyond the 16th counts as 1 KiB. */
  #checkHeld(isQueued: boolean, bytes: number, reasonBefore: Error | undefined): boolean {
    const { maxBufferedBytes } = this.config.options;
    const held = (producers: number) => bytes + 1024 * Math.max(0, producers - 16);
    const queued = this.output.items.filter(({ done }) => !done).length;
    const least = held(queued);
    const late = this.producers.filter(({ isGated, item }) => isGated && item!.done).length;
    const most = held(queued + (this.isLate ? late : 0));
    this.faults.expect(!isQueued || least <= maxBufferedBytes, "an overflow ends the chat", least);
    this.faults.expect(isQueued || most > maxBufferedBytes, "what fits is queued", most);
    if (isQueued) return true;
    const error = this.chat.closeReason;
    this.faults.equal(this.chat.state, "closed", "an overflow ends the chat");
    const isExact = error instanceof OutgoingOverflowError && error.buffered >= least && error.buffered <= most;
    this.faults.expect(reasonBefore !== undefined || isExact, "an overflow is the reason", error);
    this.reasons.add(error);
    this.output.drop();
    return false;
  }

  /** Where the pieces of data are not observed, it cannot be known which of them the collector refuses: so none. */
  #limitOf({ delimiters, count, limit }: Setting): number {
    const isUnobserved = this.config.mode === "plain" && count < 0 && delimiters.length === 0;
    return isUnobserved || limit === undefined ? this.config.options.maxFrameBytes : limit;
  }

  #framing(setting: Setting): Framing {
    const { delimiters, count, discards } = setting;
    return {
      delimiters: count >= 0 ? [] : delimiters.toSorted((a, b) => b.length - a.length),
      count,
      limit: this.#limitOf(setting),
      discards,
    };
  }

  setTerminator(setting: Setting): void {
    const { delimiters, count, discards } = setting;
    const delimiter = delimiters.length > 1 ? delimiters : delimiters[0] ?? null;
    const onTooLong = discards ? "discard" : "close";
    this.chat.setTerminator(count >= 0 ? count : delimiter, { maxFrameBytes: this.#limitOf(setting), onTooLong });
  }

  #changeTerminator(setting: Setting): void {
    if (this.config.mode === "plain") this.#take();
    this.setTerminator(setting);
    this.input.set(this.#framing(setting));
  }

  close(reason: Error | undefined): void {
    const { state, closeReason } = this.chat;
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
    if (this.#accepts === null) return;
    this.chat.discardBuffers();
    this.input.discard();
    this.output.drop();
    this.faults.equal(this.chat.bufferedAmount, 0, "discardBuffers() drops output");
  }

  #detach(): void {
    const { chat, conn, input, output } = this;
    const { state } = chat;
    const isSending = output.inflight !== null || output.items.some(({ done }) => !done);
    const mustThrow = (conn.reading ? !conn.isReadingAhead : this.isPausing) || output.inflight !== null ||
      (isSending && conn.lostError === undefined);
    try {
      const { conn: given, unread, unsent } = chat.detach();
      this.faults.expect(!mustThrow && state !== "closed", "detach() throws while something is pending");
      this.faults.expect((given === conn) === !conn.isReadingAhead, "detach() gives the connection");
      this.faults.equal(
        unsent.map(text).join(""),
        conn.lostError ? "" : output.ready,
        "detach() gives what is unsent",
      );
      const left = input.stream.slice(input.at, input.read + (conn.ahead ?? 0));
      const isExact = state === "open" && !input.discarding;
      const isLeft = isExact ? text(unread) === left : left.endsWith(text(unread));
      this.faults.expect(isLeft || this.config.mode === "plain", "detach() gives what is unread", text(unread), left);
      this.isDetached = conn.isDetached = true;
      output.items = [];
      if (!conn.inputEnded) void this.#readOn(given, input.read + (conn.ahead ?? 0));
    } catch (error) {
      if (state === "closed") return this.faults.expect(error instanceof ChatClosedError, "it is closed", error);
      this.faults.expect(error instanceof TypeError && (mustThrow || this.isLate), "detach()", error);
    }
  }

  /** Reads what a detached connection still gives: not a byte is lost. */
  async #readOn(conn: ChatConn, from: number): Promise<void> {
    const detached = this.detached = { text: "", from };
    const part = new Uint8Array(3);
    try {
      for (let count; (count = await conn.read(part)) !== null; this.activity++) {
        detached.text += text(part.subarray(0, count));
      }
    } catch {
      // It was reset, or is closed by now.
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
      const isOver = this.chat.state === "closed" || this.conn.lostError !== undefined;
      this.faults.expect(isOver || this.output.items.every(({ id }) => id > flush.id), "flushed() is not early");
    }, (error) => this.faults.expect(false, "flushed() never rejects", error));
  }
}
