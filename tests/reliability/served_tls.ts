/**
 * An echo server over TLS, in a process of its own that may run out of files.
 *
 * Its argument is `{ cert, key, handshakeTimeoutMs }` as JSON. It prints its port, and shuts down on SIGTERM.
 */

import { serve } from "../../mod.ts";
import { EchoChat } from "./served.ts";

if (import.meta.main) {
  const options = { hostname: "127.0.0.1", port: 0, ...JSON.parse(Deno.args[0]!) };
  const server = serve(options, (conn) => new EchoChat(conn));
  Deno.addSignalListener("SIGTERM", async () => {
    await server.shutdown();
    Deno.exit();
  });
  console.log((server.addr as Deno.NetAddr).port);
}
