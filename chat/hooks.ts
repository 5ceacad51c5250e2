import type { ChatTimeoutError, FrameTooLongError } from "../core/errors.ts";

/**
 * The hooks of a chat as the engine calls them. In `AsyncChat` they are protected: users override them, only the engine calls
 * them. A hook that returns a promise is pending until it settles; any other result is ignored.
 */
export interface Hooks {
  handleConnect(): unknown;
  collectIncomingData(data: Uint8Array): unknown;
  collectIncomingRange(buffer: Uint8Array, start: number, end: number): unknown;
  foundTerminator(): unknown;
  frameTooLong(error: FrameTooLongError): unknown;
  handleTimeout(error: ChatTimeoutError): unknown;
  handleEof(): unknown;
  handleError(error: unknown): unknown;
  handleClose(reason?: Error): unknown;
}
