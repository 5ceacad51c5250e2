/**
 * An echo server on a Unix socket, in a process of its own with few permissions.
 *
 * Its argument is the path. It prints "listening" or the error, and shuts down at the end of its input.
 */

import { serve } from "../../mod.ts";
import { EchoChat } from "./served.ts";

if (import.meta.main) {
  const path = Deno.args[0]!;
  const onListen = () => console.log("listening");
  const onError = (error: unknown) => console.log(String(error));
  const server = serve({ path, onListen, onError }, (conn) => new EchoChat(conn));
  for await (const _ of Deno.stdin.readable);
  await server.shutdown();
}
