/**
 * The errors that are ours: faults of the peer, and a use of the chat that came too late.
 *
 * Bad arguments are plain `TypeError` and `RangeError`; what the network raises is passed on as it came.
 */

import type { TimeoutKind } from "./time_limits.ts";

/** The peer sent a frame with more data than its terminator allows. */
export class FrameTooLongError extends Error {
  /** The most bytes of data that the frame might have had, its terminator not counted. */
  readonly limit: number;
  /** How many bytes of it had come when that was noticed; the frame may be longer. */
  readonly received: number;

  /**
   * Tells how long the frame might have been, and how long it is at least.
   *
   * @param limit The most bytes allowed.
   * @param received How many had come.
   */
  constructor(limit: number, received: number) {
    super(`Cannot take the frame: ${received} bytes have come without an end, at most ${limit} are wanted`);
    this.name = "FrameTooLongError";
    this.limit = limit;
    this.received = received;
  }
}

/** The peer kept the chat waiting for longer than it may. */
export class ChatTimeoutError extends Error {
  /** For what: its next byte ("idle"), the end of a frame ("frame"), or its taking what was sent ("write"). */
  readonly kind: TimeoutKind;
  /** How long it might have taken, in milliseconds. */
  readonly limitMs: number;

  /**
   * Tells what took too long.
   *
   * @param kind What was waited for.
   * @param limitMs How long it might have taken, in milliseconds.
   */
  constructor(kind: TimeoutKind, limitMs: number) {
    super(`Cannot wait any longer: ${WAITED_FOR[kind]} in ${limitMs} ms, it is wanted sooner`);
    this.name = "ChatTimeoutError";
    this.kind = kind;
    this.limitMs = limitMs;
  }
}

/** More was pushed than the peer takes. */
export class OutgoingOverflowError extends Error {
  /** The most bytes that might have waited to be written. */
  readonly limit: number;
  /** How many did. */
  readonly buffered: number;

  /**
   * Tells how much waited.
   *
   * @param limit The most bytes that might have waited.
   * @param buffered How many did.
   */
  constructor(limit: number, buffered: number) {
    super(`Cannot hold what was pushed: ${buffered} bytes wait to be written, at most ${limit} are wanted`);
    this.name = "OutgoingOverflowError";
    this.limit = limit;
    this.buffered = buffered;
  }
}

/** A connection does not begin with a header of the PROXY protocol that can be believed. */
export class ProxyHeaderError extends Error {
  /** How many bytes had come when that was noticed. */
  readonly received: number;

  /**
   * Tells what is wrong with the header.
   *
   * @param problem What is wrong.
   * @param received How many bytes had come.
   */
  constructor(problem: string, received: number) {
    super(`Cannot take the PROXY header: ${problem} (${received} bytes have come), one of version 1 or 2 is wanted`);
    this.name = "ProxyHeaderError";
    this.received = received;
  }
}

/** On the way to TLS there were bytes that nobody protected: somebody may have put them there. */
export class UnreadPlaintextError extends Error {
  /** How many there were. */
  readonly received: number;

  /**
   * Tells how much there was.
   *
   * @param received How many bytes had come ahead of the handshake.
   */
  constructor(received: number) {
    super(`Cannot start TLS: ${received} bytes have come ahead of the handshake, none are wanted`);
    this.name = "UnreadPlaintextError";
    this.received = received;
  }
}

/** What has to come before a chat can begin did not come in time. */
export class HandshakeTimeoutError extends Error {
  /** How long it might have taken, in milliseconds. */
  readonly limitMs: number;

  /**
   * Tells what took too long.
   *
   * @param handshake What was waited for, as in "PROXY header".
   * @param limitMs How long it might have taken, in milliseconds.
   */
  constructor(handshake: string, limitMs: number) {
    super(`Cannot wait any longer: the ${handshake} has not come in ${limitMs} ms, it is wanted sooner`);
    this.name = "HandshakeTimeoutError";
    this.limitMs = limitMs;
  }
}

/** Something was asked of a chat that has ended its own side. */
export class ChatClosedError extends Error {
  /**
   * Tells what came too late.
   *
   * @param action What was asked, as in "push".
   */
  constructor(action: string) {
    super(`Cannot ${action}: the chat is closed for sending, an open one is wanted`);
    this.name = "ChatClosedError";
  }
}

/** Names a value in an error message: its class if it has one, or its type. */
export function describe(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (typeof value === "object") return `an object of class ${value.constructor?.name ?? "null"}`;
  return `a ${typeof value}`;
}

const WAITED_FOR: Record<TimeoutKind, string> = {
  idle: "no byte has come",
  frame: "the frame has not ended",
  write: "the peer has taken nothing",
};

/** What was thrown, as an Error. */
export function asError(thrown: unknown): Error {
  return thrown instanceof Error
    ? thrown
    : new Error(`Cannot go on: ${describe(thrown)} was thrown`, { cause: thrown });
}

/** The peer has ended in the middle of a frame. */
export class IncompleteFrameError extends Error {
  /** What had come of it, as bytes that the caller owns. */
  readonly partial: Uint8Array;

  /**
   * Tells what had come.
   *
   * @param partial The bytes of the frame.
   */
  constructor(partial: Uint8Array) {
    super(`Cannot read the frame: the peer has ended after ${partial.length} bytes of it, its terminator is wanted`);
    this.name = "IncompleteFrameError";
    this.partial = partial;
  }
}
