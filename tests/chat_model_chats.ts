// For chat/model_test.ts: chats that leave what their hooks do to the world that they live in.

import { AsyncChat, type ChatConn, type ChatOptions, type ChatTimeoutError, type FrameTooLongError } from "../mod.ts";
import type { World } from "./chat_model_world.ts";

/** Data goes to the default collector, and is not observed. */
export class PlainChat extends AsyncChat {
  protected readonly world: World;

  constructor(conn: ChatConn, options: ChatOptions, world: World) {
    super(conn, options);
    this.world = world;
  }
  protected override handleConnect() {
    return this.world.hook("connect", () => {});
  }
  protected override foundTerminator() {
    return this.world.hook("frame", () => this.world.onFrame());
  }
  protected override frameTooLong(error: FrameTooLongError) {
    return this.world.hook("too long", () => {
      this.world.onTooLong(error);
      if (!this.world.config.forgives) void super.frameTooLong(error);
    });
  }
  protected override handleTimeout(error: ChatTimeoutError) {
    return this.world.hook("timeout", () => {
      this.world.onTimeout(error);
      if (!this.world.config.forgives) void super.handleTimeout(error);
    });
  }
  protected override handleEof() {
    return this.world.hook("eof", () => {
      this.world.onEof();
      if (!this.world.config.staysOpen) void super.handleEof();
    });
  }
  protected override handleError(error: unknown) {
    this.world.onError(error);
  }
  protected override handleClose(reason?: Error) {
    return this.world.hook("close", () => this.world.onClose(reason));
  }
}

/** Data is observed as views. */
export class DataChat extends PlainChat {
  protected override collectIncomingData(data: Uint8Array) {
    return this.world.hook("data", () => {
      this.world.onData(data);
      if (this.world.config.mode === "gather") void super.collectIncomingData(data);
    });
  }
}

/** Data is observed as ranges. */
export class RangeChat extends PlainChat {
  protected override collectIncomingRange(buffer: Uint8Array, start: number, end: number) {
    return this.world.hook("data", () => this.world.onData(buffer.subarray(start, end)));
  }
}
