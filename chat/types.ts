import type { Phase } from "../core/lifecycle.ts";
import type { ChatConn } from "./options.ts";

/** Where a chat is in its life: not yet run, running, in a graceful close, ended. */
export type ChatState = "new" | "open" | "closing" | "closed";

/** The state that users see, for each phase. */
export const PUBLIC_STATE: Readonly<Record<Phase, ChatState>> = {
  created: "new",
  open: "open",
  broken: "open",
  draining: "closing",
  lingering: "closing",
  closed: "closed",
  finished: "closed",
};

/** What `detach()` returns: the connection, and the data that was in transit through the chat. */
export interface Detached {
  /** The connection, still open. */
  conn: ChatConn;
  /** Bytes that were read and belong to no dispatched frame. */
  unread: Uint8Array;
  /** Bytes that were pushed and not written, in order. */
  unsent: Uint8Array[];
}
