import { channel } from "node:diagnostics_channel";

/** Publishes `{ chat }` when a chat starts. The channel's name is `asynchat:connect`. */
export const connectChannel = channel("asynchat:connect");
/** Publishes `{ chat, reason }` when a chat has ended. The channel's name is `asynchat:close`. */
export const closeChannel = channel("asynchat:close");
/**
 * Publishes `{ chat, error }` when a hook or a producer threw, and `{ server, error }` when a connection could not be accepted.
 * The channel's name is `asynchat:error`.
 */
export const errorChannel = channel("asynchat:error");
