// What must hold of a conversation whenever nothing more happens without time or an event.

import type { Conversation } from "./conversation.ts";

/** A chat whose connection is lost, or whose side has ended, waits this long for its peer. */
const LINGER_MS = 2_000;
/** In a lingering close so much input is dropped, and as much as was sent, before reads are preceded by pauses. */
const MAX_LINGER_BYTES = 65_536;
const DROP_BYTES = 16_384;
const MIN_PAUSE_MS = 10;
/** A producer's piece and a block of ready bytes come on top of what is pushed. */
const MAX_READY_BYTES = 65_536 + 20_000;
const MAX_PRODUCERS = 16;
/** Time is advanced in slices: what a microtask starts may be late by one. */
export const SLICE_MS = 500;

/** Checks a conversation at rest. Returns whether it has ended and nothing of it is left to check. */
export function checkAtRest(conversation: Conversation): boolean {
  const { chat, conn, faults, output } = conversation;
  if (chat === null) return false;
  conversation.observe();
  output.settle();
  if (chat.state === "closed" || conversation.conns.some(({ lostAt }) => lostAt < Infinity)) output.drop();
  checkCounters(conversation);
  for (const error of conversation.thrown) {
    faults.expect(conversation.handled.has(error), "handleError gets what was thrown", error);
  }
  for (const { what, model, settled } of conversation.pending) {
    if (settled || (what === "startTls()" && chat.state !== "closed")) continue;
    faults.expect(chat.state !== "closed" && model.items.length > 0, `${what} settles`);
  }
  if (chat.state === "closed") return checkClosed(conversation);
  faults.equal(conn.closes, 0, "the connection is closed at the end");
  faults.equal(conversation.closeCalls, 0, "handleClose is called at the end");
  checkEnd(conversation);
  checkTime(conversation);
  checkOutput(conversation);
  checkInput(conversation);
  return false;
}

function checkCounters({ chat, config, conns, faults, input, output }: Conversation): void {
  const { bufferedAmount, bytesSent, bytesReceived, framesReceived } = chat!;
  const missing = output.amount - bufferedAmount;
  faults.expect(missing === 0 || missing === output.lateAmount, "bufferedAmount is what is queued", missing);
  const limit = Math.max(config.options.maxBufferedBytes, MAX_READY_BYTES);
  faults.expect(bufferedAmount <= limit, "bufferedAmount is bounded", bufferedAmount, limit);
  faults.equal(bytesSent, conns.reduce((sum, conn) => sum + conn.bytesWritten, 0), "bytesSent is what was written");
  const bytesRead = conns.reduce((sum, conn) => sum + conn.bytesRead, 0);
  faults.expect(bytesReceived <= bytesRead, "bytesReceived is what was read", bytesReceived, bytesRead);
  faults.equal(framesReceived, input.frames, "framesReceived is what was dispatched");
}

function checkClosed(conversation: Conversation): boolean {
  const { faults, conn, parked, closeCalls, runSettled } = conversation;
  faults.equal(conversation.clock.pending, 0, "no timer is left when a chat has closed");
  faults.equal(conn.closes, conversation.isDetached ? 0 : 1, "the connection is closed once, unless it was detached");
  const isClosing = parked === null || parked.hook === "close";
  faults.equal(closeCalls, isClosing ? 1 : 0, "handleClose is called once, after the hook that waits");
  faults.equal(runSettled, parked === null, "run() settles after handleClose");
  for (const { kind, item, failed, cancels, cancellable } of conversation.producers) {
    const isCut = cancellable && !failed && item?.done !== true;
    faults.expect(isCut ? cancels === 1 : cancels <= 1, `a producer is cancelled at the end, once: ${kind}`, cancels);
  }
  return runSettled;
}

/** A chat that was to end has ended, or waits for something that will end. */
function checkEnd(conversation: Conversation): void {
  const { chat, conn, faults, parked, upgrading, lingerBase } = conversation;
  const { state } = chat!;
  const now = conversation.now();
  for (const { lostAt } of conversation.conns) {
    faults.expect(now < lostAt + LINGER_MS + SLICE_MS, "a chat whose connection is lost ends in time", now - lostAt);
  }
  if (lingerBase !== null) checkLinger(conversation, lingerBase);
  if (parked !== null || upgrading || conn.lostAt < Infinity || state !== "closing" || conn.ends === 0) return;
  faults.expect(!conn.inputEnded, "a chat ends when both sides have");
  const since = Math.max(conn.endedAt, conversation.closingAt, conversation.hookSettledAt);
  faults.expect(now - since < LINGER_MS, "a chat lingers for two seconds at most", now - since);
}

/** Beyond what a peer may have in flight, a lingering close reads ever more slowly. */
function checkLinger(conversation: Conversation, base: { bytes: number; at: number }): void {
  const { chat, conn } = conversation;
  const elapsed = conversation.now() - base.at;
  const pauses = Math.floor(Math.log2(elapsed / MIN_PAUSE_MS + 1));
  const limit = MAX_LINGER_BYTES + chat!.bytesSent + DROP_BYTES * (1 + pauses);
  const dropped = conn.bytesRead - base.bytes;
  conversation.faults.expect(dropped <= limit, "a lingering close reads a bounded amount", dropped, limit);
}

/** A limit that ran while nothing happened has been noticed. */
function checkTime(conversation: Conversation): void {
  const { chat, config, conn, faults, output, parked, input } = conversation;
  if (config.forgives || parked !== null || conversation.upgrading) return;
  const { idleTimeoutMs, frameTimeoutMs, writeTimeoutMs } = config.limits;
  const passed = conversation.now() - conversation.changedAt;
  const isDue = (limitMs: number) => limitMs > 0 && passed > 1.5 * limitMs + SLICE_MS;
  const isStuck = output.inflight !== null && !output.isFloating;
  faults.expect(!isStuck || !isDue(writeTimeoutMs), "a peer that takes nothing frees its place", passed);
  const isWaiting = conn.inputEnded && output.items.length > 0;
  faults.expect(!isWaiting || !isDue(writeTimeoutMs), "a peer that left frees its place, producer or not", passed);
  if (chat!.state !== "open" || conn.inputEnded || output.items.length > 0 || output.inflight !== null) return;
  faults.expect(!isDue(idleTimeoutMs), "a peer that sends nothing frees its place", passed);
  faults.expect(!input.frameBegun || !isDue(frameTimeoutMs), "a peer that ends no frame frees its place", passed);
}

function checkOutput({ chat, conn, faults, isSealed, output, sealAfterHook, upgrading }: Conversation): void {
  if (upgrading || conn.lostAt < Infinity) return;
  faults.expect(output.ready === "" || output.inflight !== null, "what is ready is written");
  if (isSealed || (chat!.state === "closing" && !sealAfterHook)) {
    const isWriting = output.items.length > 0 || output.inflight !== null;
    faults.expect(isWriting || conn.ends === 1, "our side is ended after the last byte");
  } else faults.equal(conn.ends, 0, "our side is ended on demand alone");
}

/** All that has come is dispatched, and the chat reads on. */
function checkInput(conversation: Conversation): void {
  const { chat, conn, faults, input, output, parked, upgrading } = conversation;
  if (parked !== null || upgrading) return;
  // The end of one may be waiting for a write.
  const producers = output.items.filter(({ done }) => !done).length;
  const isFull = chat!.bufferedAmount > conversation.config.options.highWaterMark || producers >= MAX_PRODUCERS;
  if (chat!.state === "closing") {
    const mayPause = conversation.lingerBase !== null;
    return faults.expect(conn.reading || conn.inputEnded || mayPause, "a chat that closes drops input");
  }
  if (isFull) return;
  faults.expect(conversation.connected, "handleConnect is called");
  faults.expect(conn.reading || conn.inputEnded, "a chat reads");
  faults.expect(!conn.inputEnded || conversation.eofCalled, "handleEof is called");
  if (!conversation.eofCalled) input.complete();
}
