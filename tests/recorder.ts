// Helpers of our own tests; not part of the public "./testing".
import { AsyncChat } from "../chat.ts";
import type { ChatConn, ChatOptions } from "../chat/options.ts";
import type { FrameTooLongError } from "../core/errors.ts";

/** Records every hook call. A test sets `onFrame` and the like to act in a hook. */
export class Recorder extends AsyncChat {
  readonly events: string[] = [];
  readonly reasons: (Error | undefined)[] = [];
  readonly errors: unknown[] = [];
  onConnect: () => void | Promise<void> = () => {};
  onFrame: (text: string) => void | Promise<void> = () => {};
  onTooLong: (error: FrameTooLongError) => void | Promise<void> = (error) => super.frameTooLong(error);
  onEof: () => void | Promise<void> = () => super.handleEof();
  onError: (error: unknown) => void = (error) => this.close(error as Error);

  constructor(conn: ChatConn, options: ChatOptions = {}) {
    super(conn, options);
    this.setTerminator("\r\n");
  }
  protected override handleConnect() {
    this.events.push("connect");
    return this.onConnect();
  }
  protected override foundTerminator() {
    const text = this.takeText();
    this.events.push(`frame ${text}`);
    return this.onFrame(text);
  }
  protected override frameTooLong(error: FrameTooLongError) {
    this.events.push(`too long ${this.takeText()}`);
    return this.onTooLong(error);
  }
  protected override handleEof() {
    const rest = this.takeText();
    this.events.push(rest === "" ? "eof" : `eof ${rest}`);
    return this.onEof();
  }
  protected override handleError(error: unknown) {
    this.errors.push(error);
    this.onError(error);
  }
  protected override handleClose(reason?: Error) {
    this.events.push("close");
    this.reasons.push(reason);
  }
}

/** Runs `count` rounds of microtasks, to prove that nothing (more) happens. */
export async function flushMicrotasks(count = 50) {
  for (let i = 0; i < count; i++) await Promise.resolve();
}

/** Decodes UTF-8. */
export function text(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}

/** Encodes as UTF-8. */
export function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
