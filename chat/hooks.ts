import type { ChatTimeoutError, FrameTooLongError } from "../core/errors.ts";

/** The hooks of a chat as the engine calls them. In `AsyncChat` they are protected: users override them, only the engine calls. */
export interface Hooks {
  handleConnect(): void | Promise<void>;
  collectIncomingData(data: Uint8Array): void | Promise<void>;
  collectIncomingRange(buffer: Uint8Array, start: number, end: number): void | Promise<void>;
  foundTerminator(): void | Promise<void>;
  frameTooLong(error: FrameTooLongError): void | Promise<void>;
  handleTimeout(error: ChatTimeoutError): void | Promise<void>;
  handleEof(): void | Promise<void>;
  handleError(error: unknown): void;
  handleClose(reason?: Error): void | Promise<void>;
}
