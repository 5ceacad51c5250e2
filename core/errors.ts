/**
 * The error classes of this module: faults of the peer, and calls on a chat that is closed for sending.
 *
 * Bad arguments raise a plain `TypeError` or `RangeError`; errors of the network are passed on unchanged.
 *
 * Invariants: `name` is the name of the class; each number in a message is also in a field; a byte count has no unit in its
 * name, a time ends in `Ms`.
 */

import type { TimeoutKind } from "./time_limits.ts";

/** Raised when a frame of the peer has more data than its limit. */
export class FrameTooLongError extends Error {
  /** Maximum frame data in bytes, terminator excluded. */
  readonly limit: number;
  /** Bytes received so far; the frame may be longer. */
  readonly received: number;

  /**
   * Creates the error of one frame.
   *
   * @param limit The maximum in bytes, terminator excluded.
   * @param received The bytes received so far.
   */
  constructor(limit: number, received: number) {
    super(`Frame too long: got ${received} bytes, limit is ${limit}`);
    this.name = "FrameTooLongError";
    this.limit = limit;
    this.received = received;
  }
}

/** Raised when the stream ends in the middle of a frame that a reader has asked for. */
export class IncompleteFrameError extends Error {
  /** Bytes received of the frame; the caller owns them. */
  readonly partial: Uint8Array;

  /**
   * Creates the error of one frame.
   *
   * @param partial The bytes received of the frame; not copied.
   */
  constructor(partial: Uint8Array) {
    super(`Incomplete frame: got ${partial.length} bytes, expected a terminator before the end of the stream`);
    this.name = "IncompleteFrameError";
    this.partial = partial;
  }
}

/** Raised when the peer exceeds one of the time limits of a chat. */
export class ChatTimeoutError extends Error {
  /** The limit: next byte, end of frame, write, or graceful close. */
  readonly kind: TimeoutKind;
  /** The time limit in milliseconds. */
  readonly limitMs: number;

  /**
   * Creates the error of one time limit.
   *
   * @param kind Which limit was exceeded.
   * @param limitMs That limit in milliseconds.
   */
  constructor(kind: TimeoutKind, limitMs: number) {
    super(`${TIMEOUT_MESSAGES[kind]}, limit is ${limitMs} ms`);
    this.name = "ChatTimeoutError";
    this.kind = kind;
    this.limitMs = limitMs;
  }
}

const TIMEOUT_MESSAGES: Record<TimeoutKind, string> = {
  idle: "Idle timeout: received no byte",
  frame: "Frame timeout: the frame is incomplete",
  write: "Write timeout: the peer accepted no byte",
  close: "Close timeout: the peer is gone, or accepted too little",
};

/** Raised when output waits for a peer that does not read, and exceeds `maxBufferedBytes`. */
export class OutgoingOverflowError extends Error {
  /** Maximum output in bytes that may be buffered. */
  readonly limit: number;
  /** Bytes that were buffered when it was raised. */
  readonly buffered: number;

  /**
   * Creates the error of one chat's output.
   *
   * @param limit The maximum in bytes.
   * @param buffered The bytes that are buffered.
   */
  constructor(limit: number, buffered: number) {
    super(`Output overflow: got ${buffered} buffered bytes, limit is ${limit}`);
    this.name = "OutgoingOverflowError";
    this.limit = limit;
    this.buffered = buffered;
  }
}

/** Raised when a connection does not begin with a valid header of the PROXY protocol. */
export class ProxyHeaderError extends Error {
  /** Bytes received when the header was found invalid. */
  readonly received: number;

  /**
   * Creates the error of one connection.
   *
   * @param problem What is wrong with the header.
   * @param received The bytes received so far.
   */
  constructor(problem: string, received: number) {
    super(`Invalid PROXY header: ${problem}, got ${received} bytes, expected version 1 or 2`);
    this.name = "ProxyHeaderError";
    this.received = received;
  }
}

/** Raised when unread plaintext is buffered at the start of TLS: an attacker may have injected it. */
export class UnreadPlaintextError extends Error {
  /** Bytes received ahead of the handshake. */
  readonly received: number;

  /**
   * Creates the error of one connection.
   *
   * @param received The bytes received ahead of the handshake.
   */
  constructor(received: number) {
    super(`Cannot start TLS: got ${received} bytes ahead of the handshake, expected none`);
    this.name = "UnreadPlaintextError";
    this.received = received;
  }
}

/** Raised when a TLS handshake or a PROXY header is not complete in time, before the chat starts. */
export class HandshakeTimeoutError extends Error {
  /** The time limit in milliseconds. */
  readonly limitMs: number;

  /**
   * Creates the error of one handshake.
   *
   * @param handshake What is incomplete, as in "PROXY header".
   * @param limitMs The time limit in milliseconds.
   */
  constructor(handshake: string, limitMs: number) {
    super(`Handshake timeout: the ${handshake} is incomplete, limit is ${limitMs} ms`);
    this.name = "HandshakeTimeoutError";
    this.limitMs = limitMs;
  }
}

/** Raised for a chat that a server closes because it has not ended before `drainTimeoutMs`, or the server was aborted. */
export class ShutdownError extends Error {
  /** The time limit in milliseconds; 0 when the server was aborted. */
  readonly drainTimeoutMs: number;

  /**
   * Creates the error of one server.
   *
   * @param drainTimeoutMs The time limit in milliseconds.
   * @param options Its `cause`: what the server was aborted with.
   */
  constructor(drainTimeoutMs: number, options?: ErrorOptions) {
    super(`Shutdown: the chat has not ended, limit is ${drainTimeoutMs} ms`, options);
    this.name = "ShutdownError";
    this.drainTimeoutMs = drainTimeoutMs;
  }
}

/** Raised for the idle chat or handshake that a full server closes to accept another connection. */
export class ServerFullError extends Error {
  /** The most connections at a time. */
  readonly maxConnections: number;

  /**
   * Creates the error of one server.
   *
   * @param maxConnections The most connections at a time.
   */
  constructor(maxConnections: number) {
    super(`Server full: closed the connection that was idle longest, limit is ${maxConnections} connections`);
    this.name = "ServerFullError";
    this.maxConnections = maxConnections;
  }
}

/** Raised by a call that needs a chat open for sending, when it is closing or closed. */
export class ChatClosedError extends Error {
  /**
   * Creates the error of one call.
   *
   * @param action What the call does, as in "push".
   */
  constructor(action: string) {
    super(`Cannot ${action}: the chat is closed for sending`);
    this.name = "ChatClosedError";
  }
}

/** Returns how an error message names a value: by the class of an object, else by its type. */
export function describe(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (typeof value === "object") return value.constructor?.name ?? "object";
  return typeof value;
}

/** Returns a thrown value as an `Error`; any other value becomes its `cause`. */
export function asError(thrown: unknown): Error {
  return thrown instanceof Error
    ? thrown
    : new Error(`Unexpected throw: expected an Error, got ${describe(thrown)}`, { cause: thrown });
}
