import { assertEquals, assertInstanceOf, assertStringIncludes } from "@std/assert";
import * as errors from "./errors.ts";

Deno.test("each error class has its own name, and a message with its number", () => {
  const made: [error: Error, name: string, number: string][] = [
    [new errors.FrameTooLongError(10, 123), "FrameTooLongError", "123"],
    [new errors.ChatTimeoutError("idle", 123), "ChatTimeoutError", "123"],
    [new errors.OutgoingOverflowError(10, 123), "OutgoingOverflowError", "123"],
    [new errors.ProxyHeaderError("it is cut", 123), "ProxyHeaderError", "123"],
    [new errors.UnreadPlaintextError(123), "UnreadPlaintextError", "123"],
    [new errors.HandshakeTimeoutError("TLS handshake", 123), "HandshakeTimeoutError", "123"],
    [new errors.ShutdownError(123), "ShutdownError", "123"],
    [new errors.ServerFullError(123), "ServerFullError", "123"],
    [new errors.ChatClosedError("push"), "ChatClosedError", "push"],
    [new errors.IncompleteFrameError(new Uint8Array(123)), "IncompleteFrameError", "123"],
  ];
  for (const [error, name, number] of made) {
    assertInstanceOf(error, Error);
    assertEquals(error.name, name);
    assertEquals(error.constructor.name, name);
    assertStringIncludes(error.message, number, name);
  }
  const classes = Object.values(errors).filter((value) => value.prototype instanceof Error);
  assertEquals(new Set(made.map(([error]) => error.constructor)), new Set<unknown>(classes), "one is missing here");
});

Deno.test("the errors of the peer's fault have their numbers in fields", () => {
  assertEquals(new errors.ProxyHeaderError("it is cut", 7).received, 7);
  assertEquals(new errors.UnreadPlaintextError(7).received, 7);
  assertEquals(new errors.HandshakeTimeoutError("TLS handshake", 7).limitMs, 7);
  assertEquals(new errors.IncompleteFrameError(Uint8Array.of(1, 2)).partial, Uint8Array.of(1, 2));
});
