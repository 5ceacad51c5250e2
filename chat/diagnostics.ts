import { channel } from "node:diagnostics_channel";

/** A chat began to run: `{ chat }`. The channel's name is `asynchat:connect`. */
export const connectChannel = channel("asynchat:connect");
/** A chat is over: `{ chat, reason }`. The channel's name is `asynchat:close`. */
export const closeChannel = channel("asynchat:close");
/** A hook or a producer threw (`{ chat, error }`), or a connection could not be taken in (`{ server, error }`): `asynchat:error`. */
export const errorChannel = channel("asynchat:error");
