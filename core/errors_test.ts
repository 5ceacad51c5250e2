import { assertEquals, assertInstanceOf, assertStrictEquals } from "@std/assert";
import {
  asError,
  ChatClosedError,
  ChatTimeoutError,
  describe,
  FrameTooLongError,
  HandshakeTimeoutError,
  IncompleteFrameError,
  OutgoingOverflowError,
  ProxyHeaderError,
  UnreadPlaintextError,
} from "./errors.ts";

Deno.test("FrameTooLongError has its name, its numbers and a message with them", () => {
  const error = new FrameTooLongError(10, 12);
  assertInstanceOf(error, Error);
  const { name, limit, received } = error;
  assertEquals({ name, limit, received }, { name: "FrameTooLongError", limit: 10, received: 12 });
  assertEquals(error.message, "Frame too long: got 12 bytes, limit is 10");
});

Deno.test("ChatTimeoutError has its name, its kind, its limit and a message with them", () => {
  const messages = {
    idle: "Idle timeout: received no byte, limit is 50 ms",
    frame: "Frame timeout: the frame is incomplete, limit is 50 ms",
    write: "Write timeout: the peer accepted no byte, limit is 50 ms",
  };
  for (const kind of ["idle", "frame", "write"] as const) {
    const error = new ChatTimeoutError(kind, 50);
    assertInstanceOf(error, Error);
    const { name, message, limitMs } = error;
    const expected = { name: "ChatTimeoutError", message: messages[kind], kind, limitMs: 50 };
    assertEquals({ name, message, kind: error.kind, limitMs }, expected);
  }
});

Deno.test("OutgoingOverflowError has its name, its numbers and a message with them", () => {
  const error = new OutgoingOverflowError(10, 12);
  assertInstanceOf(error, Error);
  const { name, limit, buffered } = error;
  assertEquals({ name, limit, buffered }, { name: "OutgoingOverflowError", limit: 10, buffered: 12 });
  assertEquals(error.message, "Output overflow: got 12 buffered bytes, limit is 10");
});

Deno.test("ChatClosedError has its name and a message with the action", () => {
  const error = new ChatClosedError("push");
  assertInstanceOf(error, Error);
  assertEquals(error.name, "ChatClosedError");
  assertEquals(error.message, "Cannot push: the chat is closed for sending");
});

Deno.test("IncompleteFrameError has its name, the partial frame and a message with its length", () => {
  const { name, message, partial } = new IncompleteFrameError(new Uint8Array([1, 2]));
  assertEquals({ name, message, partial }, {
    name: "IncompleteFrameError",
    message: "Incomplete frame: got 2 bytes, expected a terminator before the end of the stream",
    partial: new Uint8Array([1, 2]),
  });
});

Deno.test("ProxyHeaderError has its name, its number and a message with the problem", () => {
  const { name, message, received } = new ProxyHeaderError("it has no line end", 107);
  assertEquals({ name, message, received }, {
    name: "ProxyHeaderError",
    message: "Invalid PROXY header: it has no line end, got 107 bytes, expected version 1 or 2",
    received: 107,
  });
});

Deno.test("UnreadPlaintextError has its name, its number and a message with it", () => {
  const { name, message, received } = new UnreadPlaintextError(5);
  assertEquals({ name, message, received }, {
    name: "UnreadPlaintextError",
    message: "Cannot start TLS: got 5 bytes ahead of the handshake, expected none",
    received: 5,
  });
});

Deno.test("HandshakeTimeoutError has its name, its limit and a message with the handshake", () => {
  const { name, message, limitMs } = new HandshakeTimeoutError("PROXY header", 50);
  assertEquals({ name, message, limitMs }, {
    name: "HandshakeTimeoutError",
    message: "Handshake timeout: the PROXY header is incomplete, limit is 50 ms",
    limitMs: 50,
  });
});

Deno.test("describe() names the class of an object and the type of anything else", () => {
  const named: [value: unknown, name: string][] = [
    [null, "null"],
    [undefined, "undefined"],
    [1, "number"],
    ["", "string"],
    [false, "boolean"],
    [1n, "bigint"],
    [Symbol("s"), "symbol"],
    [() => {}, "function"],
    [{}, "Object"],
    [[], "Array"],
    [new Date(0), "Date"],
    [new (class Duck {})(), "Duck"],
    [Object.create(null), "object"],
  ];
  for (const [value, name] of named) assertEquals(describe(value), name);
});

Deno.test("asError() returns an error of any class unchanged", () => {
  for (const error of [new Error("a"), new TypeError("b"), new ChatClosedError("push"), new DOMException("c")]) {
    assertStrictEquals(asError(error), error);
  }
});

Deno.test("asError() wraps any other value, with that value as its cause", () => {
  const thrown: [value: unknown, name: string][] = [
    ["boom", "string"],
    [undefined, "undefined"],
    [null, "null"],
    [{ message: "no error" }, "Object"],
  ];
  for (const [value, name] of thrown) {
    const error = asError(value);
    assertInstanceOf(error, Error);
    const { message, cause } = error;
    assertEquals({ message, cause }, { message: `Unexpected throw: expected an Error, got ${name}`, cause: value });
  }
});
