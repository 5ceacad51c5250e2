import type { Servable } from "../listener/types.ts";
import { type ChatServer, serve, type ServeOptions } from "../mod.ts";

/** Any free port of 127.0.0.1. */
export const local = { hostname: "127.0.0.1", port: 0 };

/** The TCP port that a server listens on. */
export function portOf(server: { readonly addr: Deno.Addr }): number {
  return (server.addr as Deno.NetAddr).port;
}

/** A server of a test, with the chats that it makes and the errors that it reports, in order. */
export interface LocalServer<Chat> {
  server: ChatServer;
  port: number;
  /** The next chat that is made. */
  nextChat(): Promise<Chat>;
  /** The next error that `onError` reports. */
  nextError(): Promise<unknown>;
}

/** Serves on a free port of 127.0.0.1. */
export function serveLocally<Chat extends Servable>(
  makeChat: (conn: Deno.Conn) => Chat,
  options: Partial<ServeOptions> = {},
): LocalServer<Chat> {
  let chat = Promise.withResolvers<Chat>();
  let failure = Promise.withResolvers<unknown>();
  const onError = (error: unknown) => failure.resolve(error);
  const server = serve({ ...local, onError, ...options }, (conn) => {
    const made = makeChat(conn);
    chat.resolve(made);
    return made;
  });
  return {
    server,
    port: portOf(server),
    nextChat: () => chat.promise.finally(() => chat = Promise.withResolvers()),
    nextError: () => failure.promise.finally(() => failure = Promise.withResolvers()),
  };
}
