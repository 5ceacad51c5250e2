// Guards of the options that no other test notices: each default, each bound, each message.

import { assertEquals, assertStrictEquals, assertThrows } from "@std/assert";
import { systemClock } from "./clock.ts";
import {
  type ChatConn,
  type ChatOptions,
  checkByteCount,
  checkConn,
  checkUnread,
  resolveChatOptions,
} from "./options.ts";

const BYTE_COUNTS = ["maxFrameBytes", "highWaterMark", "maxBufferedBytes", "maxReadBytes"] as const;
const TIMES = ["idleTimeoutMs", "frameTimeoutMs", "writeTimeoutMs"] as const;

Deno.test("resolveChatOptions fills in the documented defaults", () => {
  assertEquals(resolveChatOptions({}), {
    maxFrameBytes: 65_536,
    highWaterMark: 65_536,
    maxBufferedBytes: 16_777_216,
    idleTimeoutMs: 0,
    frameTimeoutMs: 0,
    writeTimeoutMs: 60_000,
    maxReadBytes: 65_536,
    noDelay: true,
    unread: undefined,
    clock: systemClock,
  });
});

Deno.test("resolveChatOptions keeps what is given", () => {
  const given: Required<ChatOptions> = {
    maxFrameBytes: 1,
    highWaterMark: 2,
    maxBufferedBytes: 3,
    idleTimeoutMs: 0.5,
    frameTimeoutMs: 5,
    writeTimeoutMs: 0,
    maxReadBytes: 6,
    noDelay: false,
    unread: new Uint8Array(7),
    clock: { now: () => 0, after: () => () => {} },
  };
  const resolved = resolveChatOptions(given);
  assertEquals(resolved, given);
  assertStrictEquals(resolved.clock, given.clock);
});

Deno.test("resolveChatOptions rejects a number of bytes that is not a whole number of at least 1", () => {
  for (const name of BYTE_COUNTS) {
    for (const value of [0, -1, 1.5, NaN, Infinity, 2 ** 53]) {
      assertThrows(
        () => resolveChatOptions({ [name]: value }),
        RangeError,
        `Cannot create a chat: ${name} is ${value}, expected a whole number of at least 1`,
      );
    }
  }
});

Deno.test("resolveChatOptions rejects a time that is negative or not finite", () => {
  for (const name of TIMES) {
    for (const value of [-1, NaN, Infinity, -Infinity]) {
      assertThrows(
        () => resolveChatOptions({ [name]: value }),
        RangeError,
        `Cannot create a chat: ${name} is ${value}, expected milliseconds, or 0 for no limit`,
      );
    }
  }
});

Deno.test("resolveChatOptions rejects unread input that is not bytes", () => {
  const unread = "text" as unknown as Uint8Array;
  assertThrows(
    () => resolveChatOptions({ unread }),
    TypeError,
    "Cannot create a chat: unread is string, expected Uint8Array",
  );
});

Deno.test("checkConn rejects what has no read, write or close, and names what is missing", () => {
  const conn: ChatConn = { read: () => Promise.resolve(null), write: () => Promise.resolve(0), close() {} };
  checkConn(conn);
  for (const name of ["read", "write", "close"] as const) {
    for (const value of [undefined, 1]) {
      const broken = { ...conn, [name]: value } as unknown as ChatConn;
      const message = `Cannot create a chat: expected a connection, got Object without ${name}()`;
      assertThrows(() => checkConn(broken), TypeError, message);
    }
  }
  for (const none of [undefined, null]) {
    const message = `Cannot create a chat: expected a connection, got ${none} without read()`;
    assertThrows(() => checkConn(none as unknown as ChatConn), TypeError, message);
  }
});

Deno.test("checkUnread accepts bytes and nothing, and names the action that it rejects", () => {
  checkUnread("read", undefined);
  checkUnread("read", new Uint8Array(0));
  assertThrows(() => checkUnread("read", null), TypeError, "Cannot read: unread is null, expected Uint8Array");
});

Deno.test("checkByteCount accepts 1 and the largest whole number, and names the action that it rejects", () => {
  checkByteCount("listen", "limit", 1);
  checkByteCount("listen", "limit", Number.MAX_SAFE_INTEGER);
  assertThrows(
    () => checkByteCount("listen", "limit", 0),
    RangeError,
    "Cannot listen: limit is 0, expected a whole number of at least 1",
  );
});
