import { assertEquals } from "@std/assert";
import { flushMicrotasks } from "../tests/recorder.ts";
import { LogSink } from "./log_sink.ts";

/** A target whose writes a test settles. */
class FakeTarget {
  text = "";
  writes = 0;
  /** The most bytes that a write takes; 0 fails it. */
  takes = Infinity;
  stalled = false;
  #resume: (() => void) | null = null;

  async write(bytes: Uint8Array): Promise<number> {
    this.writes++;
    if (this.stalled) await new Promise<void>((resolve) => this.#resume = resolve);
    if (this.takes === 0) throw new Error("No space left on device");
    const taken = bytes.subarray(0, this.takes);
    this.text += new TextDecoder().decode(taken);
    return taken.length;
  }
  resume() {
    this.stalled = false;
    this.#resume?.();
  }
}

Deno.test("LogSink writes the lines of one turn at once", async () => {
  const target = new FakeTarget();
  const sink = new LogSink(target);
  for (const line of ["one", "two", "dr\u00e9i"]) sink.line(line);
  await sink.flush(1_000);
  assertEquals({ text: target.text, writes: target.writes }, { text: "one\ntwo\ndr\u00e9i\n", writes: 1 });
  sink.line("four");
  await sink.flush(1_000);
  assertEquals(target.text, "one\ntwo\ndr\u00e9i\nfour\n");
});

Deno.test("LogSink goes on after a write that took less than it was given", async () => {
  const target = Object.assign(new FakeTarget(), { takes: 2 });
  const sink = new LogSink(target);
  sink.line("one");
  sink.line("two");
  await sink.flush(1_000);
  assertEquals({ text: target.text, writes: target.writes }, { text: "one\ntwo\n", writes: 4 });
});

Deno.test("LogSink drops what exceeds its queue, and writes how many lines that were", async () => {
  const target = Object.assign(new FakeTarget(), { stalled: true });
  const sink = new LogSink(target, 8);
  sink.line("one");
  await flushMicrotasks();
  for (const line of ["two", "333", "no", "nor"]) sink.line(line);
  await flushMicrotasks();
  assertEquals({ text: target.text, writes: target.writes }, { text: "", writes: 1 });
  target.resume();
  await sink.flush(1_000);
  assertEquals(
    target.text,
    "one\ntwo\n333\n2 lines of the log were dropped: they could not be written in time\n",
  );
});

Deno.test("LogSink counts lines that cannot be written, and reports them once it can write", async () => {
  const target = Object.assign(new FakeTarget(), { takes: 0 });
  const sink = new LogSink(target);
  sink.line("lost");
  await sink.flush(1_000);
  sink.line("lost too");
  await sink.flush(1_000);
  target.takes = Infinity;
  sink.line("kept");
  await sink.flush(1_000);
  assertEquals(target.text, "kept\n2 lines of the log were dropped: they could not be written in time\n");
});

Deno.test("LogSink.flush() gives up at its limit when no write ends", async () => {
  const target = Object.assign(new FakeTarget(), { stalled: true });
  const sink = new LogSink(target);
  sink.line("one");
  await sink.flush(1);
  assertEquals(target.text, "");
  target.resume();
  await sink.flush(1_000);
  assertEquals(target.text, "one\n");
});
