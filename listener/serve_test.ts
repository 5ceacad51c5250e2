import { assertEquals, assertInstanceOf, assertRejects, assertThrows } from "@std/assert";
import { AsyncChat } from "../mod.ts";
import { FakeChat } from "../tests/listener_fakes.ts";
import { local, portOf } from "../tests/local_server.ts";
import { hasNet } from "../tests/permissions.ts";
import { serve } from "./serve.ts";

Deno.test("serve() throws for a limit that is not a number or too small", () => {
  const rejected = [
    { options: { maxConnections: 0 }, message: "maxConnections is 0, expected a number of at least 1" },
    { options: { maxConnections: "5" as never }, message: "maxConnections is 5, expected a number of at least 1" },
    { options: { maxConnectionsPerAddress: -1 }, message: "maxConnectionsPerAddress is -1, expected a number of at" },
    { options: { drainTimeoutMs: NaN }, message: "drainTimeoutMs is NaN, expected a number of at least 0" },
  ];
  for (const { options, message } of rejected) {
    assertThrows(() => serve({ port: 0, ...options }, () => new FakeChat()), RangeError, `Cannot serve: ${message}`);
  }
});

// -------------------------------------------------------------------------------------------------------- real sockets

class Echo extends AsyncChat {
  protected override handleConnect() {
    this.setTerminator("\n");
  }
  protected override foundTerminator() {
    this.push(`${this.takeText()}\n`);
  }
}

/** Sends a line to an echo server and returns the answer. */
async function ask(port: number, line: string): Promise<string> {
  using conn = await Deno.connect({ hostname: "127.0.0.1", port });
  await conn.write(new TextEncoder().encode(line));
  const answer = new Uint8Array(1_000);
  return new TextDecoder().decode(answer.subarray(0, await conn.read(answer) ?? 0));
}

Deno.test({
  name: "serve() serves many connections over TCP, and can listen again on its port once finished",
  ignore: !hasNet,
  async fn() {
    const listened: Deno.Addr[] = [];
    const server = serve(
      { ...local, tcpBacklog: 64, onListen: (addr) => listened.push(addr) },
      (conn) => new Echo(conn),
    );
    const port = portOf(server);
    const lines = Array.from({ length: 50 }, (_, i) => `line ${i}\n`);
    assertEquals(await Promise.all(lines.map((line) => ask(port, line))), lines);
    await server.shutdown();
    assertEquals({ open: server.connections, listened }, { open: 0, listened: [server.addr] });
    await using again = serve({ hostname: "127.0.0.1", port }, (conn) => new Echo(conn));
    assertEquals(await ask(portOf(again), "again\n"), "again\n");
  },
});

Deno.test({
  name: "serve() survives clients that connect and close at once",
  ignore: !hasNet,
  async fn() {
    await using server = serve({ ...local, onError: () => {} }, (conn) => new Echo(conn));
    for (let i = 0; i < 200; i++) (await Deno.connect({ hostname: "127.0.0.1", port: portOf(server) })).close();
    assertEquals(await ask(portOf(server), "still here\n"), "still here\n");
  },
});

Deno.test({
  name: "serve() rejects one too many of an address; the refusal arrives despite unread input",
  ignore: !hasNet,
  async fn() {
    const options = { ...local, maxConnectionsPerAddress: 1, refusal: "421 Too many\n" };
    await using server = serve(options, (conn) => new Echo(conn));
    using first = await Deno.connect({ hostname: "127.0.0.1", port: portOf(server) });
    await first.write(new TextEncoder().encode("x\n"));
    await first.read(new Uint8Array(2));
    assertEquals(await ask(portOf(server), "unread\n"), "421 Too many\n");
    const { accepted, refused, framesReceived, bytesReceived, bytesSent } = server.stats;
    assertEquals({ accepted, refused, framesReceived, bytesReceived, bytesSent }, {
      accepted: 1,
      refused: 1,
      framesReceived: 1,
      bytesReceived: 2,
      bytesSent: 2,
    });
  },
});

Deno.test({
  name: "serve() throws what Deno.listen throws, and closes the listener when onListen throws",
  ignore: !hasNet,
  async fn() {
    await using server = serve(local, (conn) => new Echo(conn));
    const port = portOf(server);
    assertThrows(() => serve({ hostname: "127.0.0.1", port }, (conn) => new Echo(conn)), Deno.errors.AddrInUse);
    let taken = 0;
    const boom = new Error("boom");
    const onListen = (addr: Deno.Addr) => {
      taken = (addr as Deno.NetAddr).port;
      throw boom;
    };
    assertEquals(assertThrows(() => serve({ ...local, onListen }, (conn) => new Echo(conn))), boom);
    assertInstanceOf(
      await assertRejects(() => Deno.connect({ hostname: "127.0.0.1", port: taken })),
      Deno.errors.ConnectionRefused,
    );
  },
});

Deno.test({
  name: "serve() ends a chat that has no terminator, and serves the next",
  ignore: !hasNet,
  async fn() {
    class Unset extends AsyncChat {
      protected override foundTerminator() {}
    }
    const errors: unknown[] = [];
    let first = true;
    const makeChat = (conn: Deno.Conn) => {
      if (!first) return new Echo(conn);
      first = false;
      return new Unset(conn);
    };
    await using server = serve({ ...local, onError: (error) => errors.push(error) }, makeChat);
    assertEquals(await ask(portOf(server), "x\n").catch((error) => error.name), "");
    assertEquals(await ask(portOf(server), "next\n"), "next\n");
    assertInstanceOf(errors[0], TypeError);
  },
});
