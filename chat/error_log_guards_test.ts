// Guards of the error log that no other test notices: its rate, what it cuts and replaces, and how it names a peer.

import { assertEquals } from "@std/assert";
import { errorLog, formatPeer } from "./error_log.ts";

/** Runs `report` at a time that does not move, `second` seconds from the start. Returns the lines printed. */
function printed(second: number, report: () => void, print = (lines: string[], line: string) => void lines.push(line)) {
  const lines: string[] = [];
  const { error } = console;
  const now = performance.now;
  console.error = (line: string) => print(lines, line);
  performance.now = () => second * 1_000;
  try {
    report();
  } finally {
    console.error = error;
    performance.now = now;
  }
  return lines;
}

let second = 1_000_000; // far ahead: no test shares a second with another
const reported = (error: unknown, what = "handleError") => printed(second += 2, () => errorLog.report(what, error));

Deno.test("errorLog prints the name and message of an error, and other values as text", () => {
  assertEquals(reported(new TypeError("no bytes")), ["handleError: TypeError: no bytes"]);
  assertEquals(reported("text"), ["handleError: text"]);
  assertEquals(reported(undefined), ["handleError: undefined"]);
});

Deno.test("errorLog prints 10 lines a second, and counts the others in the first line of a later one", () => {
  const report = (count: number) => () => {
    for (let i = 0; i < count; i++) errorLog.report("a", i);
  };
  const first = printed(second += 2, report(13));
  const next = printed(second += 1, report(2));
  assertEquals({ first, next }, {
    first: Array.from({ length: 10 }, (_, i) => `a: ${i}`),
    next: ["a: 0 (3 more errors were not printed)", "a: 1"],
  });
});

Deno.test("errorLog counts the lines of a whole second together", () => {
  second += 2;
  const reportSix = () => {
    for (let i = 0; i < 6; i++) errorLog.report("a", i);
  };
  const early = printed(second, reportSix);
  const late = printed(second + 0.999, reportSix);
  assertEquals({ early: early.length, late: late.length }, { early: 6, late: 4 });
  reported("the next"); // prints how many were omitted
});

Deno.test("errorLog prints a line of 500 characters whole, and cuts a longer one", () => {
  const fits = "x".repeat(500 - "a: ".length);
  assertEquals(reported(fits, "a"), [`a: ${fits}`]);
  assertEquals(reported(`${fits}y`, "a"), [`a: ${fits}...`]);
});

Deno.test("errorLog prints a space for each run of control characters and line separators", () => {
  assertEquals(reported("1\r\n2\x1b[2J3\u20284\u20295\x006 7\x7f8"), ["handleError: 1 2 [2J3 4 5 6 7 8"]);
});

Deno.test("errorLog does not throw for what cannot be printed, nor when the output cannot be written", () => {
  const unprintable = {
    toString() {
      throw new Error("of toString");
    },
  };
  assertEquals(reported(unprintable), ["handleError: an error that cannot be printed"]);
  const lines = printed(second += 2, () => errorLog.report("a", 0), () => {
    throw new Error("broken pipe");
  });
  assertEquals(lines, []);
});

Deno.test("formatPeer formats an address of the network or of the file system, and is empty without one", () => {
  const formatted = [
    { hostname: "127.0.0.1", port: 80 },
    { hostname: "::1", port: 80 },
    { path: "/run/chat.socket" },
    { transport: "memory" },
    { hostname: 1, path: 2 },
    undefined,
    null,
  ].map(formatPeer);
  assertEquals(formatted, [" 127.0.0.1:80", " [::1]:80", " /run/chat.socket", "", "", "", ""]);
});
