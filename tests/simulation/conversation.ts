// One connection of a simulation: its peer, its chat, what the owner of the chat does, and the models that go along.

import type { Clock } from "../../chat/clock.ts";
import type { Servable } from "../../listener/types.ts";
import type { FrameTooLongError } from "../../mod.ts";
import { type FakeClock, memoryPair } from "../../testing/mod.ts";
import { Faults, FrameOracle } from "../chat_model.ts";
import { OutputModel } from "../chat_model_io.ts";
import { perform } from "./acts.ts";
import { CHATS, type SimulatedChat } from "./chats.ts";
import { type ConnModels, SimulatedConn } from "./conn.ts";
import { framingOf } from "./framing.ts";
import { Peer } from "./peer.ts";
import type { SimulatedProducer } from "./producer.ts";
import type { Act, ChatConfig, HookName, Plan, Setting } from "./schedule.ts";
import { belongs, toText } from "./wire.ts";

const STATES = ["new", "open", "closing", "closed"];

/** Something that must settle; `model` is the output that it waits for. */
export interface Pending {
  readonly what: string;
  readonly model: OutputModel;
  settled: boolean;
}

export class Conversation implements ConnModels, Servable {
  readonly id: number;
  readonly config: ChatConfig;
  readonly faults = new Faults();
  readonly clock: TimerCount;
  input: FrameOracle;
  output = new OutputModel(this.faults); // of the current writer
  conn: SimulatedConn; //                   of the current writer
  peer: Peer;
  readonly conns: SimulatedConn[] = [];
  readonly peers: Peer[] = [];
  chat: SimulatedChat | null = null; // once it is accepted
  readonly plans: { hook: HookName; plan: Plan }[] = [];
  readonly producers: SimulatedProducer[] = [];
  readonly pending: Pending[] = [];
  readonly handshakes: ((how: "succeed" | "fail") => void)[] = [];
  parked: { hook: HookName; promise: PromiseWithResolvers<void> } | null = null;
  running: HookName | null = null;
  accepted = false;
  closedByServer = false;
  abandoned = false; //      the server has finished before
  runSettled = false;
  upgrading = false;
  usesSignal = false;
  isSealed = false; //       closeWrite() was called
  sealAfterHook = false; //  closeWhenDone() came while a hook waited
  isDetached = false;
  connected = false;
  eofCalled = false;
  closeCalls = 0;
  closingAt = Infinity;
  hookSettledAt = 0;
  lingerBase: { bytes: number; at: number } | null = null; // at its first read
  activity = 0;
  seenActivity = 0; //       at the last check
  changedAt = 0; //          when something happened last
  readonly thrown = new Set<unknown>(); // by hooks
  readonly handled = new Set<unknown>();
  #frames = 0; //            of the cycle
  #state = "new";
  #view: { data: Uint8Array; was: string } | null = null; // of the data hook that waits
  readonly #time: FakeClock;
  readonly #onTouch: () => void;

  constructor(id: number, config: ChatConfig, time: FakeClock, onTouch: () => void) {
    this.id = id;
    this.config = config;
    this.#time = time;
    this.#onTouch = onTouch;
    this.clock = new TimerCount(time);
    const { fail, ours, theirCapacity } = config;
    const failing = fail === null ? {} : { fail: { ...fail, error: new Error(`injected: ${fail.call}`) } };
    const [inner, peer] = memoryPair({ ...ours, ...failing }, { capacity: theirCapacity });
    this.conns.push(this.conn = new SimulatedConn(inner, config.address));
    this.peers.push(this.peer = new Peer(peer, () => this.touch()));
    this.input = this.#newOracle(config.cycle[0]!);
  }

  /** The server accepts the connection. */
  start(): this {
    this.accepted = true;
    if (this.config.throwsInAccept) throw new Error("thrown in accept");
    const { mode, options, limits, cycle, connect, ownClock } = this.config;
    this.conn.models = this;
    this.conn.output = this.output;
    const clock = ownClock ? this.clock : this.#time;
    this.chat = new CHATS[mode](this.conn, { ...options, ...limits, clock }, this);
    this.setTerminator(cycle[0]!);
    this.plans.push({ hook: "connect", plan: connect });
    this.changedAt = this.now();
    return this;
  }

  // ------------------------------------------------------------------------------------------- what the server calls

  async run(): Promise<void> {
    await this.chat!.run();
    this.runSettled = true;
    this.touch();
  }
  closeWhenDone(): void {
    this.act({ do: "closeWhenDone" });
  }
  close(reason?: Error): void {
    this.closedByServer ||= this.chat!.state !== "closed";
    this.chat!.close(reason);
    this.observe();
  }
  get bytesReceived() {
    return this.chat!.bytesReceived;
  }
  get bytesSent() {
    return this.chat!.bytesSent;
  }
  get framesReceived() {
    return this.chat!.framesReceived;
  }
  get closeReason() {
    return this.chat!.closeReason;
  }

  // ------------------------------------------------------------------------------------------------- what happens

  now(): number {
    return this.#time.now();
  }

  touch(): void {
    this.activity++;
    this.#onTouch();
  }

  /** What the peer sends is lost when the chat is upgrading, has ended, or was rejected. */
  send(text: string): void {
    if (!this.upgrading) this.input.stream += text;
    this.peer.send(text);
  }

  act(act: Act): void {
    if (this.chat === null) return;
    this.touch();
    perform(this, this.chat, act);
    this.observe();
  }

  /** The hook that waits does something more, and settles. */
  settleHook({ acts, outcome }: Plan): void {
    if (this.parked === null) return;
    for (const act of acts) this.act(act);
    const { hook, promise } = this.parked;
    this.parked = null;
    this.#hookEnded(hook);
    this.hookSettledAt = this.now();
    this.sealAfterHook = false;
    if (outcome === "throw") promise.reject(this.#newThrown(hook));
    else promise.resolve();
  }

  setTerminator(setting: Setting): void {
    const { delimiters, count, discards, limit } = setting;
    const { maxFrameBytes } = this.config.options;
    const onTooLong = discards ? "discard" : "close";
    const terminator = count ?? (delimiters.length > 1 ? delimiters : delimiters[0] ?? null);
    this.chat!.setTerminator(terminator, { maxFrameBytes: limit ?? maxFrameBytes, onTooLong });
    this.input.set(framingOf(setting, maxFrameBytes));
  }

  /** The chat is to go on over another connection: what was read is dropped. */
  startOver(setting: Setting): void {
    const { frames } = this.input;
    this.input = this.#newOracle(setting);
    this.input.frames = frames;
    this.output = new OutputModel(this.faults);
  }

  #newOracle(setting: Setting): FrameOracle {
    const { mode, options: { maxFrameBytes } } = this.config;
    const given = { unread: "", limit: maxFrameBytes, mode };
    return new FrameOracle(this.faults, () => this.now(), given, framingOf(setting, maxFrameBytes));
  }

  /** Notes a promise that must settle. */
  expectSettled(what: string, promise: Promise<unknown>): void {
    const pending = { what, model: this.output, settled: false };
    this.pending.push(pending);
    const settle = () => {
      pending.settled = true;
      this.touch();
    };
    promise.then(settle, settle);
  }

  /** Checks what must hold at any moment. */
  observe(): void {
    const { state } = this.chat!;
    this.faults.expect(STATES.indexOf(state) >= STATES.indexOf(this.#state), "the state goes on", this.#state, state);
    if (state === "closing") this.closingAt = Math.min(this.closingAt, this.now());
    this.#state = state;
  }

  beforeRead(): void {
    const { chat, conn } = this;
    if (chat!.state === "closing") {
      if (Math.min(conn.endedAt, conn.lostAt) < Infinity) this.lingerBase ??= { bytes: conn.bytesRead, at: this.now() };
      return;
    }
    if (this.usesSignal && this.parked !== null) return; // it reads ahead
    this.faults.expect(this.parked === null && this.running === null, "nothing is read while a hook runs");
    const isFull = chat!.bufferedAmount > this.config.options.highWaterMark;
    this.faults.expect(!isFull, "nothing is read while output is full");
  }

  // ------------------------------------------------------------------------------------------------------ the hooks

  /** Checks that this hook may be called now, does what belongs to it, and what is planned. */
  hook(name: HookName, body: () => void): void | Promise<void> {
    this.touch();
    const { faults } = this;
    const chat = this.chat!;
    faults.equal(this.running ?? this.parked?.hook, undefined, `one hook at a time, and then ${name}`);
    faults.equal(this.closeCalls, 0, `no hook after handleClose, and then ${name}`);
    if (name === "close") faults.equal(chat.state, "closed", "handleClose comes at the end");
    else faults.equal(chat.state, "open", `no hook but handleClose after the end, and then ${name}`);
    if (name === "connect") faults.expect(!this.connected, "handleConnect is called once");
    else faults.expect(this.connected || name === "close", "handleConnect is called first", name);
    if (name === "data" || name === "frame" || name === "too long" || name === "eof") {
      faults.expect(!this.eofCalled, "handleEof follows all frames");
      faults.expect(!this.upgrading, "no plaintext is dispatched during an upgrade");
    }
    if (name === "data" || name === "frame") {
      const isFull = chat.bufferedAmount > this.config.options.highWaterMark;
      faults.expect(!isFull, "nothing is dispatched while output is full");
    }
    if (name === "connect") this.connected = true;
    if (name === "close") this.closeCalls++;
    this.running = name;
    body();
    const at = this.plans.findIndex(({ hook }) => hook === name);
    const plan = at < 0 ? undefined : this.plans.splice(at, 1)[0]!.plan;
    for (const act of plan?.acts ?? []) this.act(act);
    this.observe();
    this.running = null;
    if (plan?.outcome === "wait") {
      this.parked = { hook: name, promise: Promise.withResolvers() };
      return this.parked.promise.promise;
    }
    this.#hookEnded(name);
    if (plan?.outcome === "throw") throw this.#newThrown(name);
  }

  #hookEnded(name: HookName): void {
    const view = this.#view;
    if (name === "data" && view !== null) {
      this.faults.expect(toText(view.data) === view.was, "data stays while the hook runs", view.was);
    }
    if (name === "too long") this.input.gathered = "";
  }

  #newThrown(hook: HookName): Error {
    const error = new Error(`thrown in ${hook}`);
    this.thrown.add(error);
    return error;
  }

  onData(data: Uint8Array): void {
    this.#view = { data, was: toText(data) };
    this.faults.expect(belongs(this.#view.was, this.id), "no byte of another connection is dispatched");
    this.input.data(this.#view.was);
  }

  onFrame(): void {
    this.input.frame();
    this.take();
    const { answers, cycle } = this.config;
    if (answers > 0) this.act({ do: "push", size: answers, times: 1, isText: false });
    if (cycle.length > 1) this.setTerminator(cycle[++this.#frames % cycle.length]!);
    else if (cycle[0]!.count !== null) this.setTerminator(cycle[0]!);
  }

  /** Takes what the default collector has. */
  take(): void {
    if (this.chat!.state === "closed") return;
    this.faults.equal(toText(this.chat!.takeData()), this.input.gathered, "what is collected is the frame's data");
    this.input.gathered = "";
  }

  onTooLong({ limit, received }: FrameTooLongError): void {
    const expected = this.input.tooLong();
    this.faults.equal(limit, expected.limit, "the limit is the frame's");
    this.faults.expect(received > limit, "a frame too long has more than its limit", received, limit);
  }

  onEof(): void {
    this.faults.expect(this.conn.inputEnded, "handleEof comes when the peer has ended");
    this.input.complete();
    this.eofCalled = true;
  }

  onError(error: unknown): void {
    this.touch();
    const isKnown = this.thrown.has(error) || this.producers.some((each) => each.failed && each.error === error);
    this.faults.expect(isKnown && !this.handled.has(error), "handleError gets what was thrown, once", error);
    this.handled.add(error);
    if (this.config.errorsClose) this.chat!.close(error as Error);
  }

  onClose(reason: Error | undefined): void {
    this.faults.equal(reason, this.chat!.closeReason, "handleClose gets the reason");
  }
}

/** Counts the timers of one chat. */
class TimerCount implements Clock {
  readonly #time: FakeClock;
  pending = 0;

  constructor(time: FakeClock) {
    this.#time = time;
  }
  now(): number {
    return this.#time.now();
  }
  after(delayMs: number, callback: () => void): () => void {
    let isSet = true;
    const end = () => {
      if (isSet) this.pending--;
      isSet = false;
    };
    this.pending++;
    const cancel = this.#time.after(delayMs, () => {
      end();
      callback();
    });
    return () => {
      end();
      cancel();
    };
  }
}
