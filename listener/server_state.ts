/**
 * The life of a server as a state machine.
 *
 *     accepting ◀──limit reached / slot released──▶ full
 *         ▲ └──────resources short───────▶ backing off
 *         └──backoff elapsed / slot released──┘
 *     accepting, full, backing off ──stop──▶ draining ──all ended──▶ finished
 *
 * - accepting    the next connection is awaited
 * - full         `maxConnections` is reached: connections wait in the kernel's backlog
 * - backing off  `accept` failed for lack of a resource, such as file descriptors
 * - draining     the listener is closed, chats are ending
 * - finished     all chats have ended or were abandoned
 *
 * Invariants: an event that means nothing in a state changes nothing; after "stop" no state accepts; "finished" is
 * final.
 */

/** Where a server is in its life. */
export type ServerState = "accepting" | "full" | "backing off" | "draining" | "finished";

/** What happens to a server. */
export type ServerEvent =
  | "limit reached"
  | "slot released"
  | "resources short"
  | "backoff elapsed"
  | "stop"
  | "all ended";

const TRANSITIONS: Readonly<Record<ServerState, Partial<Record<ServerEvent, ServerState>>>> = {
  "accepting": { "limit reached": "full", "resources short": "backing off", "stop": "draining" },
  "full": { "slot released": "accepting", "stop": "draining" },
  "backing off": { "slot released": "accepting", "backoff elapsed": "accepting", "stop": "draining" },
  "draining": { "all ended": "finished" },
  "finished": {},
};

/** One server's state; see the head of this file. */
export class ServerLifecycle {
  #state: ServerState = "accepting";

  /** Where the server is. */
  get state(): ServerState {
    return this.#state;
  }

  /** Whether the server accepts no more. */
  get stopped(): boolean {
    return this.#state === "draining" || this.#state === "finished";
  }

  /** Changes the state as `event` demands. Returns whether it changed. */
  transition(event: ServerEvent): boolean {
    const next = TRANSITIONS[this.#state][event];
    if (next === undefined) return false;
    this.#state = next;
    return true;
  }
}
