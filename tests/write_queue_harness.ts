import type { Source } from "../core/producer.ts";
import { WriteQueue } from "../core/write_queue.ts";
import { text } from "./recorder.ts";

/** Pushes above this size are borrowed, not copied. */
export const MAX_COPY = 16_384;

/** Returns a producer for a queue, which never pulls it: the writer does. */
export const source = (): Source => ({ pull: () => null, cancel() {} });

/** Returns a queue with these pushes. */
export function queueOf(...pushes: (string | Uint8Array | Source)[]): WriteQueue {
  const queue = new WriteQueue();
  for (const item of pushes) {
    if (typeof item === "string" || item instanceof Uint8Array) queue.push(item);
    else queue.pushSource(item);
  }
  return queue;
}

/** Writes all that is ready. Returns the bytes of each write, as text. */
export function writeAll(queue: WriteQueue): string[] {
  const written: string[] = [];
  for (let bytes = queue.peek(); bytes !== null; bytes = queue.peek()) {
    written.push(text(bytes));
    queue.advance(bytes.length);
  }
  return written;
}
