import { assertEquals } from "@std/assert";
import { TimeLimits } from "./time_limits.ts";

Deno.test("TimeLimits.check() times a frame of number 0 like any other", () => {
  const limits = new TimeLimits({ idleTimeoutMs: 0, frameTimeoutMs: 30, writeTimeoutMs: 0 }, 0);
  const begun = {
    peerWaits: false,
    bytesReceived: 1,
    frameNumber: 0,
    frameBegun: true,
    bytesSent: 0,
    outputPending: false,
    producing: false,
    hookPending: false,
    inputEnded: false,
    closing: false,
  };
  const found = [10, 20, 30, 40].map((now) => limits.check(now, begun));
  assertEquals(found, [null, null, null, "frame"]);
});
