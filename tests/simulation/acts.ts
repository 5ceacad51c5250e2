// What the owner of a chat does, and what each such call must come to.

import { ChatClosedError, type ChatConn } from "../../mod.ts";
import { closeQuietly } from "../../listener/rejection.ts";
import { memoryPair } from "../../testing/mod.ts";
import type { SimulatedChat } from "./chats.ts";
import { SimulatedConn } from "./conn.ts";
import type { Conversation } from "./conversation.ts";
import { Peer } from "./peer.ts";
import { SimulatedProducer } from "./producer.ts";
import type { Act, ProducerKind, Setting } from "./schedule.ts";
import { ownByte, ownBytes } from "./wire.ts";

/** More queued producers than this count as 1 KiB each. */
const MAX_PRODUCERS = 16;
const PRODUCER_BYTES = 1024;

/** Does it, in a hook or outside. */
export function perform(conversation: Conversation, chat: SimulatedChat, act: Act): void {
  const { input } = conversation;
  switch (act.do) {
    case "push":
      for (let i = 0; i < act.times; i++) push(conversation, chat, act.size, act.isText);
      break;
    case "produce":
      for (let i = 0; i < act.times; i++) produce(conversation, chat, act.kind, act.pieces);
      break;
    case "terminator":
      // Behind a limit of the collector, a hook that passes data on gets what did not fit once more.
      if (conversation.running === "too long" && input.isRaw) break;
      if (input.refused) break;
      conversation.setTerminator(act.setting);
      break;
    case "close":
      chat.close(act.hasReason ? new Error("closed by the owner") : undefined);
      conversation.faults.equal(chat.state, "closed", "close() closes");
      break;
    case "closeWhenDone":
      if (chat.state === "open") conversation.sealAfterHook = conversation.parked !== null;
      chat.closeWhenDone();
      conversation.faults.expect(chat.state === "closing" || chat.state === "closed", "closeWhenDone() closes");
      break;
    case "closeWrite":
      conversation.isSealed ||= chat.state !== "closed";
      chat.closeWrite();
      break;
    case "discard":
      if (input.refused || conversation.usesSignal) break; // what was read ahead stays
      chat.discardBuffers();
      input.discard();
      conversation.output.drop();
      conversation.faults.equal(chat.bufferedAmount, 0, "discardBuffers() drops output");
      break;
    case "detach":
      detach(conversation, chat);
      break;
    case "upgrade":
      upgrade(conversation, chat, act.role, act.setting);
      break;
    case "flushed":
      conversation.expectSettled("flushed()", chat.flushed());
      break;
    case "signal":
      if (conversation.upgrading) break;
      if (conversation.usesSignal) break;
      conversation.usesSignal = true; // from here on a hook that waits reads ahead
      chat.signal.addEventListener("abort", () => chat.close());
      break;
    case "misuse":
      misuse(conversation, chat);
      break;
  }
}

function push(conversation: Conversation, chat: SimulatedChat, size: number, isText: boolean): void {
  const { id, faults, output, config: { options: { maxBufferedBytes } } } = conversation;
  const data = ownByte(id).repeat(size);
  const before = chat.bufferedAmount;
  const wasClosed = chat.state === "closed";
  const isQueued = chat.push(isText ? data : ownBytes(id, size));
  checkQueued(conversation, chat, isQueued, wasClosed);
  const pushed = isText ? `\u00c2${ownByte(id)}`.repeat(size) : data; // as UTF-8
  if (isQueued) output.push(pushed);
  if (isQueued) faults.equal(chat.bufferedAmount, before + pushed.length, "push() adds to bufferedAmount");
  checkHeld(conversation, chat, isQueued, maxBufferedBytes);
}

function produce(conversation: Conversation, chat: SimulatedChat, kind: ProducerKind, pieces: readonly number[]): void {
  const producer = new SimulatedProducer(kind, pieces, conversation.id, () => conversation.touch());
  const wasClosed = chat.state === "closed";
  const isQueued = chat.pushWithProducer(producer.toLike());
  checkQueued(conversation, chat, isQueued, wasClosed);
  if (isQueued) producer.item = conversation.output.push("", false);
  conversation.producers.push(producer);
  checkHeld(conversation, chat, isQueued, conversation.config.options.maxBufferedBytes);
}

function checkQueued(conversation: Conversation, chat: SimulatedChat, isQueued: boolean, wasClosed: boolean): void {
  const { faults, isSealed, sealAfterHook, conn } = conversation;
  const mayReject = wasClosed || isSealed || conn.lostAt < Infinity || chat.state !== "open";
  faults.expect(isQueued || mayReject, "a push is queued while the chat is open for sending");
  const mayQueue = !wasClosed && chat.state !== "closed" && !isSealed && (chat.state === "open" || sealAfterHook);
  faults.expect(!isQueued || mayQueue || conversation.upgrading, "a push is queued while the chat is open alone");
  if (chat.state === "closed") conversation.output.drop();
}

/** What is held is bounded: bytes, and producers beyond a few. */
function checkHeld({ faults, output }: Conversation, chat: SimulatedChat, isQueued: boolean, limit: number): void {
  if (!isQueued) return;
  const producers = output.items.filter(({ done }) => !done).length;
  const held = chat.bufferedAmount + Math.max(0, producers - MAX_PRODUCERS) * PRODUCER_BYTES;
  faults.expect(held <= limit, "no more is held than maxBufferedBytes", held, limit);
}

function detach(conversation: Conversation, chat: SimulatedChat): void {
  const { conn, faults, input, output } = conversation;
  if (conversation.usesSignal || conversation.upgrading || input.refused || output.isFloating) return;
  const { state } = chat;
  try {
    const { conn: given, unread } = chat.detach();
    faults.equal(given, conn as ChatConn, "detach() gives the connection");
    faults.expect(!conn.reading && !conn.writing, "detach() throws while something is pending");
    const left = input.stream.slice(input.at, input.read);
    const isExact = state === "open" && !input.discarding;
    faults.expect(!isExact || unread.length === left.length, "detach() gives what is unread", unread.length, left);
    conversation.isDetached = true;
    output.drop();
    conn.models = null;
    for (const { inner } of conversation.conns) closeQuietly(inner);
  } catch (error) {
    const isExpected = error instanceof TypeError || (state === "closed" && error instanceof ChatClosedError);
    faults.expect(isExpected, "detach() throws for a reason", error);
  }
}

/** An upgrade that ends when the schedule says so; the connection that it gives is another pair in memory. */
function upgrade(conversation: Conversation, chat: SimulatedChat, role: "client" | "server", setting: Setting): void {
  if (conversation.usesSignal || conversation.upgrading || conversation.input.refused) return; // bytes read ahead count
  if (conversation.input.discarding) return;
  let upgraded: Promise<void>;
  try {
    upgraded = chat.upgrade({ role, start: () => handshake(conversation) });
  } catch (error) {
    const isExpected = error instanceof TypeError || error instanceof ChatClosedError;
    return conversation.faults.expect(isExpected, "startTls() throws for a reason", error);
  }
  conversation.upgrading = true;
  conversation.startOver(setting);
  conversation.expectSettled("startTls()", upgraded);
  const end = () => conversation.upgrading = false;
  upgraded.then(end, end);
  conversation.setTerminator(setting);
}

function handshake(conversation: Conversation): Promise<ChatConn> {
  const { promise, resolve, reject } = Promise.withResolvers<ChatConn>();
  const plain = conversation.conn;
  conversation.handshakes.push((how) => {
    if (how === "fail") return reject(new Error("handshake failed"));
    const { address, ours, theirCapacity } = conversation.config;
    const [inner, peer] = memoryPair(ours, { capacity: theirCapacity });
    const secured = new SimulatedConn(inner, address, () => plain.closes === 0 && plain.close());
    secured.models = conversation;
    secured.output = conversation.output;
    conversation.conns.push(secured);
    conversation.peers.push(new Peer(peer, () => conversation.touch()));
    if (conversation.chat!.state !== "closed") {
      conversation.conn = secured;
      conversation.peer = conversation.peers.at(-1)!;
    }
    resolve(secured);
  });
  return promise;
}

const MISTAKES: ((chat: SimulatedChat) => void)[] = [
  (chat) => chat.setTerminator(-1),
  (chat) => chat.setTerminator(""),
  (chat) => chat.setTerminator([]),
  (chat) => chat.push(1 as unknown as string),
  (chat) => chat.pushWithProducer({} as unknown as Iterable<Uint8Array>),
  (chat) => chat.setTerminator("\n", { maxFrameBytes: 0 }),
];

/** Each mistake is refused, and changes nothing. */
function misuse({ faults, output }: Conversation, chat: SimulatedChat): void {
  const before = chat.bufferedAmount;
  for (const make of MISTAKES) {
    let error: unknown;
    try {
      make(chat);
    } catch (thrown) {
      error = thrown;
    }
    faults.expect(error instanceof TypeError || error instanceof RangeError, "a mistake is refused", error);
  }
  faults.expect(chat.bufferedAmount === before && output.lastId >= 0, "a mistake queues nothing");
}
