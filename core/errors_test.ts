import { assertEquals, assertInstanceOf, assertStrictEquals } from "@std/assert";
import {
  asError,
  ChatClosedError,
  ChatTimeoutError,
  describe,
  FrameTooLongError,
  OutgoingOverflowError,
} from "./errors.ts";

Deno.test("FrameTooLongError has its name, its numbers and a message that tells them", () => {
  const error = new FrameTooLongError(10, 12);
  assertInstanceOf(error, Error);
  assertEquals([error.name, error.limit, error.received], ["FrameTooLongError", 10, 12]);
  assertEquals(error.message, "Cannot take the frame: 12 bytes have come without an end, at most 10 are wanted");
});

Deno.test("ChatTimeoutError has its name, its kind and limit and a message that tells them", () => {
  const waitedFor = { idle: "no byte has come", frame: "the frame has not ended", write: "the peer has taken nothing" };
  for (const kind of ["idle", "frame", "write"] as const) {
    const error = new ChatTimeoutError(kind, 50);
    assertInstanceOf(error, Error);
    assertEquals([error.name, error.kind, error.limitMs], ["ChatTimeoutError", kind, 50]);
    assertEquals(error.message, `Cannot wait any longer: ${waitedFor[kind]} in 50 ms, it is wanted sooner`);
  }
});

Deno.test("OutgoingOverflowError has its name, its numbers and a message that tells them", () => {
  const error = new OutgoingOverflowError(10, 12);
  assertInstanceOf(error, Error);
  assertEquals([error.name, error.limit, error.buffered], ["OutgoingOverflowError", 10, 12]);
  assertEquals(error.message, "Cannot hold what was pushed: 12 bytes wait to be written, at most 10 are wanted");
});

Deno.test("ChatClosedError has its name and a message that tells what came too late", () => {
  const error = new ChatClosedError("push");
  assertInstanceOf(error, Error);
  assertEquals(error.name, "ChatClosedError");
  assertEquals(error.message, "Cannot push: the chat is closed for sending, an open one is wanted");
});

Deno.test("describe() names the class of an object and the type of anything else", () => {
  const named: [value: unknown, name: string][] = [
    [null, "null"],
    [undefined, "undefined"],
    [1, "a number"],
    ["", "a string"],
    [false, "a boolean"],
    [1n, "a bigint"],
    [Symbol("s"), "a symbol"],
    [() => {}, "a function"],
    [{}, "an object of class Object"],
    [[], "an object of class Array"],
    [new Date(0), "an object of class Date"],
    [new (class Duck {})(), "an object of class Duck"],
    [Object.create(null), "an object of class null"],
  ];
  for (const [value, name] of named) assertEquals(describe(value), name);
});

Deno.test("asError() gives an error as it is, of whatever class", () => {
  for (const error of [new Error("a"), new TypeError("b"), new ChatClosedError("push"), new DOMException("c")]) {
    assertStrictEquals(asError(error), error);
  }
});

Deno.test("asError() makes an error of anything else, with that as its cause", () => {
  const thrown: [value: unknown, name: string][] = [
    ["boom", "a string"],
    [undefined, "undefined"],
    [null, "null"],
    [{ message: "no error" }, "an object of class Object"],
  ];
  for (const [value, name] of thrown) {
    const error = asError(value);
    assertInstanceOf(error, Error);
    assertEquals([error.message, error.cause], [`Cannot go on: ${name} was thrown`, value]);
  }
});
