import { assertEquals, assertInstanceOf } from "@std/assert";
import { AsyncChat, type ChatConn, ServerFullError, ShutdownError } from "../mod.ts";
import { FakeClock, memoryPair } from "../testing/mod.ts";
import { FakeListener } from "../tests/listener_fakes.ts";
import { flushMicrotasks } from "../tests/recorder.ts";
import { ConnServer } from "./conn_server.ts";
import type { ConnServerOptions } from "./types.ts";

// Real chats on a server that closes them.

class Recorded extends AsyncChat {
  reasons: (Error | undefined)[] = [];
  release = Promise.withResolvers<void>();

  constructor(conn: ChatConn, clock: FakeClock) {
    super(conn, { clock });
    this.setTerminator("\n");
  }
  protected override foundTerminator(): void | Promise<void> {
    if (this.takeText() === "wait") return this.release.promise;
  }
  protected override handleClose(reason?: Error) {
    this.reasons.push(reason);
  }
}

function served(options: ConnServerOptions) {
  const listener = new FakeListener<ChatConn>();
  const clock = new FakeClock();
  const chats: Recorded[] = [];
  const server = new ConnServer(listener, { clock, ...options }, (conn) => {
    chats.push(new Recorded(conn, clock));
    return chats.at(-1)!;
  });
  const connect = () => {
    const [conn, peer] = memoryPair();
    listener.offer(conn);
    return peer;
  };
  return { clock, chats, server, connect };
}

Deno.test("ConnServer.shutdown() counts a chat whose hook is pending at the limit, with its frames and bytes", async () => {
  const { clock, chats, server, connect } = served({ drainTimeoutMs: 1_000 });
  const peer = connect();
  await peer.send("one\nwait\n");
  await flushMicrotasks();
  const shutdown = server.shutdown();
  await flushMicrotasks();
  clock.advance(1_000);
  assertEquals(await shutdown, { cut: 1 });
  const { bytesReceived, framesReceived, closes } = server.stats;
  assertEquals({ bytesReceived, framesReceived, closes }, {
    bytesReceived: 9,
    framesReceived: 2,
    closes: { ShutdownError: 1 },
  });
  chats[0]!.release.resolve();
  await flushMicrotasks();
  assertInstanceOf(chats[0]!.reasons[0], ShutdownError);
  assertEquals(server.stats.closes, { ShutdownError: 1 }); // not twice
  peer.close();
});

Deno.test("ConnServer.shutdown() passes a ShutdownError to handleClose of a chat whose peer does not read", async () => {
  const { clock, chats, server, connect } = served({ drainTimeoutMs: 1_000 });
  const peer = connect();
  await flushMicrotasks();
  chats[0]!.push(new Uint8Array(1_000_000));
  const shutdown = server.shutdown();
  await flushMicrotasks();
  clock.advance(1_000);
  assertEquals(await shutdown, { cut: 1 });
  const reason = chats[0]!.reasons[0];
  assertInstanceOf(reason, ShutdownError);
  assertEquals(reason.drainTimeoutMs, 1_000);
  peer.close();
});

Deno.test("ConnServer that is full closes half a frame, but no chat with a pending hook or with output", async () => {
  const { chats, server, connect } = served({ maxConnections: 3, whenFull: "closeOldestIdle" });
  const peers = [connect(), connect(), connect()];
  await peers[0]!.send("wait\n");
  await peers[2]!.send("half a fra");
  await flushMicrotasks();
  chats[1]!.push(new Uint8Array(1_000_000));
  await flushMicrotasks();
  assertEquals(chats.map(({ busy }) => busy), [true, true, false]);
  peers.push(connect());
  await flushMicrotasks();
  assertEquals(chats.map(({ state }) => state), ["open", "open", "closed", "open"]);
  assertInstanceOf(chats[2]!.reasons[0], ServerFullError);
  assertEquals(server.connections, 3);
  chats[0]!.release.resolve();
  for (const peer of peers) peer.close();
  await server.shutdown();
});
