// Chats that leave what their hooks do to their conversation.

import {
  AsyncChat,
  type ChatConn,
  type ChatOptions,
  type ChatTimeoutError,
  type FrameTooLongError,
} from "../../mod.ts";
import type { TlsUpgrade } from "../../chat/options.ts";
import type { Conversation } from "./conversation.ts";

/** Data is observed as views. */
export class SimulatedChat extends AsyncChat {
  protected readonly conversation: Conversation;

  constructor(conn: ChatConn, options: ChatOptions, conversation: Conversation) {
    super(conn, options);
    this.conversation = conversation;
  }
  upgrade(upgrade: TlsUpgrade): Promise<void> {
    return this.startTls(upgrade);
  }
  protected override handleConnect() {
    return this.conversation.hook("connect", () => {});
  }
  protected override collectIncomingData(data: Uint8Array) {
    return this.conversation.hook("data", () => this.conversation.onData(data));
  }
  protected override foundTerminator() {
    return this.conversation.hook("frame", () => this.conversation.onFrame());
  }
  protected override frameTooLong(error: FrameTooLongError) {
    return this.conversation.hook("too long", () => {
      this.conversation.onTooLong(error);
      if (!this.conversation.config.forgives) void super.frameTooLong(error);
    });
  }
  protected override handleTimeout(error: ChatTimeoutError) {
    return this.conversation.hook("timeout", () => {
      if (!this.conversation.config.forgives) void super.handleTimeout(error);
    });
  }
  protected override handleEof() {
    return this.conversation.hook("eof", () => {
      this.conversation.onEof();
      if (!this.conversation.config.staysOpen) void super.handleEof();
    });
  }
  protected override handleError(error: unknown) {
    this.conversation.onError(error);
  }
  protected override handleClose(reason?: Error) {
    return this.conversation.hook("close", () => this.conversation.onClose(reason));
  }
}

/** Data goes to the default collector as well. */
class GatherChat extends SimulatedChat {
  protected override collectIncomingData(data: Uint8Array) {
    return this.conversation.hook("data", () => {
      this.conversation.onData(data);
      AsyncChat.prototype["collectIncomingData"].call(this, data);
    });
  }
}

/** Data is observed as ranges. */
class RangeChat extends SimulatedChat {
  protected override collectIncomingRange(buffer: Uint8Array, start: number, end: number) {
    return this.conversation.hook("data", () => this.conversation.onData(buffer.subarray(start, end)));
  }
}

/** The class for each mode. */
export const CHATS = { gather: GatherChat, data: SimulatedChat, range: RangeChat };
