import { assert, assertEquals } from "@std/assert";
import { serve } from "../../mod.ts";
import { local, portOf } from "../local_server.ts";
import { canRun, hasNet } from "../permissions.ts";
import { finish } from "../processes.ts";
import { EchoChat } from "./served.ts";
import { connect } from "./wire.ts";

/** Resets every connection: at once, after half a line, after a line, or with an unread answer. */
const RUDE_CLIENT = `
import socket, struct, sys
port, count = int(sys.argv[1]), int(sys.argv[2])
honest = 0
for i in range(count):
    client = socket.create_connection(("127.0.0.1", port), 60)
    if i % 4 == 1: client.sendall(b"half a li")
    if i % 4 == 2: client.sendall(b"a line\\n")
    if i % 4 == 3:
        client.sendall(b"a line\\n")
        client.recv(1, socket.MSG_PEEK)
    else:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    if i % 200 == 199:
        client = socket.create_connection(("127.0.0.1", port), 60)
        client.sendall(b"still here?\\n")
        honest += client.recv(100) == b"still here?\\n"
        client.close()
print(honest)
`;

const CONNECTS = 10_000;

Deno.test({
  name: "serve() answers honest clients during and after 10,000 connection resets",
  ignore: !hasNet || !canRun("python3"),
  async fn() {
    const errors: { name: string; code?: string }[] = [];
    const onError = (error: unknown) => errors.push(error as Error);
    const chats: EchoChat[] = [];
    await using server = serve({ ...local, onError }, (conn) => {
      const chat = new EchoChat(conn);
      chats.push(chat);
      return chat;
    });
    const port = portOf(server);
    const args = ["-c", RUDE_CLIENT, String(port), String(CONNECTS)];
    const honest = CONNECTS / 200;
    const { code, out } = await finish(new Deno.Command("python3", { args }));
    assertEquals({ code, out }, { code: 0, out: `${honest}\n` });
    // Once the last is answered, all before it have been accepted.
    const last = await connect(port);
    await last.write(new TextEncoder().encode("the last\n"));
    await last.read(new Uint8Array(100));
    last.close();
    await Promise.all(chats.map((chat) => chat.run()));
    await server.shutdown();
    const { accepted, acceptErrors, closes } = server.stats;
    assertEquals(accepted + acceptErrors, CONNECTS + honest + 1, "each is accepted or reported");
    assertEquals(acceptErrors, errors.length);
    const ends = Object.values(closes).reduce((sum, count) => sum + count, 0);
    assertEquals(ends, accepted);
    // Connections with an unread answer were accepted; of the others some were reset before that.
    assert(closes.ConnectionReset! >= CONNECTS / 4, JSON.stringify(closes));
    const unexpected = errors.filter(({ name }) => !/^(ConnectionReset|ConnectionAborted|NotConnected)$/.test(name));
    assertEquals(unexpected, []);
  },
});
