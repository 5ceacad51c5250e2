// Settings as the oracle of the chat model takes them.

import type { Framing } from "../chat_model.ts";
import type { Setting } from "./schedule.ts";

/** A setting, and what it leaves to the chat. */
export function framingOf({ delimiters, count, limit, discards }: Setting, maxFrameBytes: number): Framing {
  return {
    delimiters: delimiters.toSorted((a, b) => b.length - a.length),
    count: count ?? -1,
    limit: limit ?? maxFrameBytes,
    discards,
  };
}
