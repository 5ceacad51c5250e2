// Guards of AsyncChat that no other test of chats notices: the default collectIncomingRange, busy, and disposal.

import { assertEquals } from "@std/assert";
import { AsyncChat } from "../mod.ts";
import { memoryPair, scriptedConn } from "../testing/mod.ts";
import { text } from "../tests/recorder.ts";

/** A chat that ignores its frames. */
class Silent extends AsyncChat {
  protected override foundTerminator() {}
}

Deno.test("AsyncChat.collectIncomingRange calls an overridden collectIncomingData with a view of the range", async () => {
  class Delegating extends AsyncChat {
    readonly calls: string[] = [];
    protected override collectIncomingRange(buffer: Uint8Array, start: number, end: number) {
      this.calls.push("range");
      return super.collectIncomingRange(buffer, start, end);
    }
    protected override collectIncomingData(data: Uint8Array) {
      this.calls.push(`data ${text(data)}`);
    }
    protected override foundTerminator() {
      this.calls.push(`frame "${this.takeText()}"`);
    }
  }
  const { conn } = scriptedConn(["one\r\ntwo\r\n"]);
  const chat = new Delegating(conn);
  chat.setTerminator("\r\n");
  await chat.run();
  assertEquals(chat.calls, ["range", "data one", 'frame ""', "range", "data two", 'frame ""']);
});

Deno.test("AsyncChat.busy is true while output is queued", () => {
  const [conn] = memoryPair();
  const chat = new Silent(conn);
  const before = chat.busy;
  chat.push("queued");
  assertEquals({ before, pushed: chat.busy }, { before: false, pushed: true });
});

Deno.test("AsyncChat disposed while it runs closes gracefully", async () => {
  const [conn, peer] = memoryPair();
  const chat = new Silent(conn);
  chat.setTerminator("\n");
  const over = chat.run();
  chat.push("last");
  const disposed = chat[Symbol.asyncDispose]();
  assertEquals({ state: chat.state, accepted: chat.push("late") }, { state: "closing", accepted: false });
  assertEquals(await peer.receiveText(), "last");
  peer.close();
  await Promise.all([over, disposed]);
  assertEquals({ state: chat.state, reason: chat.closeReason }, { state: "closed", reason: undefined });
});
