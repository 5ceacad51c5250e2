import { isPromiseLike } from "../core/is_promise_like.ts";

/** Handles the rejection of what a callback returned: it may be a promise where its type says `void`. */
export function watch(result: unknown, onRejected: (error: unknown) => void): void {
  if (isPromiseLike(result)) result.then(undefined, onRejected);
}
