// Runs a schedule: a server, its connections, their peers and owners, and one clock. No randomness, no time of its own.

import { ConnServer } from "../../listener/conn_server.ts";
import { FakeClock } from "../../testing/mod.ts";
import { FakeListener, systemError } from "../listener_fakes.ts";
import { flushMicrotasks } from "../recorder.ts";
import { checkAtRest, SLICE_MS } from "./checks.ts";
import type { SimulatedConn } from "./conn.ts";
import { Conversation } from "./conversation.ts";
import { OWN } from "./generate.ts";
import { MAX_READ_BYTES } from "./peer.ts";
import type { Schedule, Step } from "./schedule.ts";
import { belongs, ownByte } from "./wire.ts";

/** Runs to the end, or to the first violated invariant, which is thrown. */
export async function simulate(schedule: Schedule): Promise<void> {
  const simulation = new Simulation(schedule);
  await simulation.settle();
  for (const step of schedule.steps) {
    await simulation.step(step);
    await simulation.settle();
  }
  await simulation.finish();
}

class Simulation {
  readonly #clock = new FakeClock();
  readonly #listener = new FakeListener<SimulatedConn>();
  readonly #conversations = new Map<number, Conversation>();
  #checked: Conversation[] = []; // those that have not ended
  readonly #byConn = new Map<SimulatedConn, Conversation>();
  readonly #server: ConnServer<SimulatedConn>;
  readonly #abort = new AbortController();
  readonly #drainTimeoutMs: number;
  readonly #expected = new Set<unknown>(); // errors of accepting
  readonly #errors: unknown[] = []; //        that were reported
  #activity = 0;
  #stopped = false;
  #finished = false;

  constructor({ server }: Schedule) {
    this.#drainTimeoutMs = server.drainTimeoutMs;
    const options = {
      ...server,
      clock: this.#clock,
      signal: this.#abort.signal,
      onError: (error: unknown) => this.#errors.push(error),
    };
    this.#server = new ConnServer(this.#listener, options, (conn) => this.#accept(conn));
    void this.#server.finished.then(() => {
      this.#finished = true;
      for (const conversation of this.#conversations.values()) conversation.abandoned = !conversation.runSettled;
      this.#activity++;
    });
  }

  #accept(conn: SimulatedConn): Conversation {
    const conversation = this.#byConn.get(conn)!;
    try {
      return conversation.start();
    } catch (error) {
      this.#expected.add(error);
      throw error;
    }
  }

  // ------------------------------------------------------------------------------------------------------ the steps

  async step(step: Step): Promise<void> {
    switch (step.do) {
      case "connect":
        return this.#connect(step.chat, step.config);
      case "advance":
        return await this.#advance(step.ms);
      case "accept error":
        return this.#failAccept(step.isOfConnection);
      case "shutdown":
      case "abort":
        return this.#stop(step.do);
    }
    const conversation = this.#conversations.get(step.chat);
    if (conversation === undefined) return;
    const { peer, config } = conversation;
    conversation.touch();
    switch (step.do) {
      case "send": {
        if (peer.endedSide) return;
        const text = step.words.join("").replaceAll(OWN, ownByte(step.chat));
        return conversation.send(text);
      }
      case "flood": {
        if (peer.endedSide) return;
        // A flood is dropped by a chat that closes; the models of others are too slow for it.
        const isDropped = conversation.chat?.state === "closing";
        const most = isDropped ? 400 * Math.min(config.ours.maxReadBytes!, config.theirCapacity) : 600;
        return conversation.send(ownByte(step.chat).repeat(Math.min(step.size, most)));
      }
      case "receive":
        if (!peer.left && peer.reads === 0) void peer.receive(step.size);
        return;
      case "leave":
        if (!peer.left) peer.leave(step.how);
        return;
      case "act":
        return conversation.act(step.act);
      case "plan":
        return void conversation.plans.push({ hook: step.hook, plan: step.plan });
      case "settle":
        return conversation.settleHook(step.plan);
      case "release":
        return conversation.producers.find(({ waits }) => waits)?.release(step.how);
      case "handshake":
        return conversation.handshakes.shift()?.(step.how);
    }
  }

  #connect(id: number, config: Conversation["config"]): void {
    const conversation = new Conversation(id, config, this.#clock, () => this.#activity++);
    this.#conversations.set(id, conversation);
    this.#checked.push(conversation);
    this.#byConn.set(conversation.conn, conversation);
    this.#listener.offer(conversation.conn);
  }

  #failAccept(isOfConnection: boolean): void {
    const error = isOfConnection ? systemError("ConnectionReset", "ECONNRESET") : systemError("Error", "EMFILE");
    this.#expected.add(error);
    this.#listener.offer(error);
  }

  #stop(how: "shutdown" | "abort"): void {
    this.#stopped = true;
    if (how === "abort") this.#abort.abort();
    else void this.#server.shutdown();
  }

  /** In slices, so that what a timer starts can go on before the next. */
  async #advance(ms: number): Promise<void> {
    for (let rest = ms; rest > 0; rest -= SLICE_MS) {
      this.#clock.advance(Math.min(rest, SLICE_MS));
      if (rest > SLICE_MS) await this.#rest();
    }
  }

  // ----------------------------------------------------------------------------------------------------- the checks

  /** Lets everything happen that needs no time. */
  async #rest(): Promise<void> {
    for (let rounds = 0, seen = -1; seen !== this.#activity; rounds++) {
      seen = this.#activity;
      await flushMicrotasks(24);
      if (rounds === 100_000) throw new Error("The simulation does not come to rest");
    }
  }

  async settle(): Promise<void> {
    for (const { config, peer } of this.#checked) {
      if (config.peerReads && !peer.left && peer.reads === 0) void peer.receive(MAX_READ_BYTES);
    }
    await this.#rest();
    const ended = new Set<Conversation>();
    for (const conversation of this.#checked) {
      if (conversation.activity !== conversation.seenActivity) conversation.changedAt = this.#clock.now();
      conversation.seenActivity = conversation.activity;
      if (checkAtRest(conversation)) ended.add(conversation);
      this.#throwFaults(conversation);
    }
    if (ended.size > 0) this.#checked = this.#checked.filter((each) => !ended.has(each));
    this.#checkServer();
  }

  #throwFaults({ id, faults }: Conversation): void {
    const [error] = faults.found;
    if (error !== undefined) throw new Error(`Chat ${id}: ${error.message}`);
  }

  #checkServer(): void {
    const { connections, stats } = this.#server;
    const errors = this.#errors.filter((error) => !this.#expected.has(error));
    claim(errors.length === 0, "the server reports what failed alone", errors);
    const started = [...this.#conversations.values()].filter(({ chat }) => chat !== null);
    claim(stats.accepted === started.length, "accepted counts the chats", stats.accepted, started.length);
    const running = started.filter(({ runSettled }) => !runSettled).length;
    claim(stats.open === connections, "open is the number of connections");
    if (this.#finished) claim(connections === 0, "no place is held at the end", connections);
    else claim(connections === running, "each chat that runs holds a place, no other", connections, running);
    const closes = Object.values(stats.closes).reduce((sum, count) => sum + count, 0);
    claim(closes + connections === stats.accepted, "each chat that ended is counted once", closes, stats.accepted);
    const isDone = ({ chat, closedByServer, abandoned }: Conversation) =>
      !closedByServer && !abandoned && chat!.closeReason === undefined;
    const done = started.filter(isDone).length;
    claim((stats.closes["done"] ?? 0) <= done, "a chat that was cut is not done", stats.closes["done"], done);
  }

  // -------------------------------------------------------------------------------------------------------- the end

  async finish(): Promise<void> {
    if (!this.#stopped) this.#stop("shutdown");
    await this.settle();
    for (let passed = 0; passed <= this.#drainTimeoutMs && !this.#finished; passed += SLICE_MS) {
      await this.#advance(SLICE_MS);
      await this.settle();
    }
    if (!this.#finished) await this.#advance(1);
    await this.settle();
    claim(this.#finished, "the server finishes within drainTimeoutMs");
    for (const conversation of this.#conversations.values()) await this.#endChat(conversation);
    await this.settle();
    claim(this.#clock.pending === 0, "no timer is pending at the end", this.#clock.pending);
    const all = [...this.#conversations.values()];
    for (const conversation of all) this.#checkEnded(conversation);
    const waiting = all.length - all.filter(({ accepted }) => accepted).length - this.#server.stats.refused;
    const open =
      all.filter(({ accepted, config, conn }) => !accepted && config.fail?.call !== "close" && !conn.inner.closed)
        .length;
    claim(open <= waiting, "a connection that was rejected is closed", open, waiting);
  }

  /** Settles what the schedule has left pending. */
  async #endChat(conversation: Conversation): Promise<void> {
    conversation.plans.length = 0;
    conversation.settleHook({ acts: [], outcome: "return" });
    await this.#rest();
    conversation.settleHook({ acts: [], outcome: "return" }); // handleClose may wait as well
    for (const handshake of conversation.handshakes.splice(0)) handshake("succeed");
  }

  #checkEnded(conversation: Conversation): void {
    const { chat, config, conns, peers, pending } = conversation;
    if (chat !== null) {
      claim(chat.state === "closed" && conversation.runSettled, `chat ${conversation.id} ends`);
      claim(pending.every(({ settled }) => settled), `each promise of chat ${conversation.id} settles`);
    }
    const mayBeOpen = !conversation.accepted || config.fail?.call === "close";
    const isClosed = conns.every(({ inner }) => inner.closed);
    claim(isClosed || mayBeOpen, `the connection of chat ${conversation.id} is closed`);
    for (const { received } of peers) {
      claim(belongs(received, conversation.id), "no byte of another connection is received");
    }
    this.#throwFaults(conversation);
  }
}

function claim(holds: boolean, what: string, ...values: unknown[]): void {
  if (!holds) throw new Error(`${what}${values.length > 0 ? `: ${values.map(String).join(" | ")}` : ""}`);
}
