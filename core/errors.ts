/**
 * The errors that are ours: faults of the peer, and a use of the chat that came too late.
 *
 * Bad arguments are plain `TypeError` and `RangeError`; what the network raises is passed on as it came.
 */

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

/** What was thrown, as an Error. */
export function asError(thrown: unknown): Error {
  return thrown instanceof Error
    ? thrown
    : new Error(`Cannot go on: ${describe(thrown)} was thrown`, { cause: thrown });
}
