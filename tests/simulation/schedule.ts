// What a simulation does, as data: it can be generated from a seed, replayed, and shortened.

import type { TimeoutLimits } from "../../core/time_limits.ts";
import type { ChatOptions } from "../../mod.ts";
import type { MemoryCall, MemoryConnOptions } from "../../testing/mod.ts";

/** How frames end: with one of the delimiters, after `count` bytes, or never (raw); no `limit` is that of the chat. */
export interface Setting {
  readonly delimiters: readonly string[];
  readonly count: number | null;
  readonly limit: number | null;
  readonly discards: boolean;
}

export type ProducerKind = "more" | "promise" | "iterable" | "generator" | "events" | "stream" | "failing" | "endless";

/** Something that the owner of a chat does, in a hook or outside. */
export type Act =
  | { readonly do: "push"; readonly size: number; readonly times: number; readonly isText: boolean }
  | { readonly do: "produce"; readonly kind: ProducerKind; readonly pieces: readonly number[]; readonly times: number }
  | { readonly do: "terminator"; readonly setting: Setting }
  | { readonly do: "close"; readonly hasReason: boolean }
  | { readonly do: "upgrade"; readonly role: "client" | "server"; readonly setting: Setting }
  | { readonly do: "closeWhenDone" | "closeWrite" | "discard" | "detach" | "flushed" | "signal" | "misuse" };

/** A hook that can be planned. */
export type HookName = "connect" | "data" | "frame" | "too long" | "timeout" | "eof" | "close";

/** What a hook does when it is called next. */
export interface Plan {
  readonly acts: readonly Act[];
  readonly outcome: "return" | "throw" | "wait";
}

/** One connection, its peer and its owner. */
export interface ChatConfig {
  readonly mode: "gather" | "data" | "range";
  readonly cycle: readonly Setting[]; //  each frame sets the next of these
  readonly connect: Plan;
  readonly answers: number; //            bytes pushed for each frame
  readonly forgives: boolean; //          timeouts and long frames do not end the chat
  readonly staysOpen: boolean; //         the peer's end does not end the chat
  readonly errorsClose: boolean; //       handleError ends the chat
  readonly throwsInAccept: boolean;
  readonly ownClock: boolean; //          its timers are counted apart
  readonly peerReads: boolean; //         once a step; else when the schedule says so
  readonly address: string;
  readonly options: Required<
    Pick<ChatOptions, "maxFrameBytes" | "highWaterMark" | "maxBufferedBytes" | "maxReadBytes">
  >;
  readonly limits: TimeoutLimits;
  readonly ours: MemoryConnOptions;
  readonly theirCapacity: number;
  readonly fail: { readonly call: MemoryCall; readonly nth: number } | null;
}

/** One step; `chat` is the number of the connection. */
export type Step =
  | { readonly do: "connect"; readonly chat: number; readonly config: ChatConfig }
  | { readonly do: "send"; readonly chat: number; readonly words: readonly string[] }
  | { readonly do: "flood"; readonly chat: number; readonly size: number }
  | { readonly do: "receive"; readonly chat: number; readonly size: number }
  | { readonly do: "leave"; readonly chat: number; readonly how: "closeWrite" | "close" | "reset" }
  | { readonly do: "act"; readonly chat: number; readonly act: Act }
  | { readonly do: "plan"; readonly chat: number; readonly hook: HookName; readonly plan: Plan }
  | { readonly do: "settle"; readonly chat: number; readonly plan: Plan }
  | { readonly do: "release"; readonly chat: number; readonly how: "piece" | "end" | "fail" }
  | { readonly do: "handshake"; readonly chat: number; readonly how: "succeed" | "fail" }
  | { readonly do: "accept error"; readonly isOfConnection: boolean }
  | { readonly do: "advance"; readonly ms: number }
  | { readonly do: "shutdown" | "abort" };

/** The server of a simulation. */
export interface ServerConfig {
  readonly maxConnections: number;
  readonly maxConnectionsPerAddress: number;
  readonly refusal: string;
  readonly drainTimeoutMs: number;
  readonly whenFull: "wait" | "closeOldestIdle";
}

export interface Schedule {
  readonly seed: number;
  readonly server: ServerConfig;
  readonly steps: readonly Step[];
}
