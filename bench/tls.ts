/**
 * Compares the two ways to TLS on a server, Deno's own listener and `startTls(serverTls(...))` over `node:tls`:
 * `deno run -A bench/tls.ts [rounds]`. Prints handshakes, echoed megabytes and round trips a second, each way in turn.
 *
 * @module
 */

import { AsyncChat, serve } from "../mod.ts";
import { makeCertificate } from "../tests/certificates.ts";
import { serverTls } from "../transports/tls.ts";

const HANDSHAKES = 200;
const ECHOED_BYTES = 20_000_000;
const ROUND_TRIPS = 2_000;

using certificate = makeCertificate();
const { cert, key } = certificate;
const upgrade = serverTls({ cert, key });
const line = new TextEncoder().encode(`${"x".repeat(199)}\n`);

class Echo extends AsyncChat {
  protected override handleConnect(): void | Promise<void> {
    this.setTerminator("\n");
  }
  protected override foundTerminator() {
    this.push(this.takeData());
    this.push("\n");
  }
}

class UpgradedEcho extends Echo {
  protected override async handleConnect() {
    await this.startTls(upgrade);
    this.setTerminator("\n");
  }
}

const where = { port: 0, hostname: "127.0.0.1" };
const servers = {
  "Deno's": serve({ ...where, cert, key }, (conn) => new Echo(conn)),
  "node:tls": serve(where, (conn) => new UpgradedEcho(conn)),
};

function connect(port: number): Promise<Deno.TlsConn> {
  return Deno.connectTls({ hostname: "127.0.0.1", port, caCerts: [cert] });
}

/** Runs `action`, and returns how many of `count` that makes a second. */
async function perSecond(count: number, action: () => Promise<void>): Promise<number> {
  const startMs = performance.now();
  await action();
  return count / (performance.now() - startMs) * 1_000;
}

async function handshakes(port: number): Promise<void> {
  for (let i = 0; i < HANDSHAKES; i++) {
    using conn = await connect(port);
    await conn.handshake();
  }
}

async function send(conn: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let rest = bytes; rest.length > 0;) rest = rest.subarray(await conn.write(rest));
}

async function receive(conn: Deno.Conn, size: number): Promise<void> {
  const space = new Uint8Array(65_536);
  for (let received = 0; received < size;) received += await conn.read(space) ?? size;
}

async function echo(port: number): Promise<void> {
  using conn = await connect(port);
  const chunk = new Uint8Array(300 * line.length);
  for (let at = 0; at < chunk.length; at += line.length) chunk.set(line, at);
  const chunks = Math.ceil(ECHOED_BYTES / chunk.length);
  const received = receive(conn, chunks * chunk.length);
  for (let i = 0; i < chunks; i++) await send(conn, chunk);
  await received;
}

async function roundTrips(port: number): Promise<void> {
  using conn = await connect(port);
  for (let i = 0; i < ROUND_TRIPS; i++) {
    await send(conn, line);
    await receive(conn, line.length);
  }
}

for (let round = 0; round < Number(Deno.args[0] ?? 3); round++) {
  for (const [name, { addr }] of Object.entries(servers)) {
    const { port } = addr as Deno.NetAddr;
    const shaken = await perSecond(HANDSHAKES, () => handshakes(port));
    const echoed = await perSecond(ECHOED_BYTES / 1e6, () => echo(port));
    const answered = await perSecond(ROUND_TRIPS, () => roundTrips(port));
    console.log(
      `${name.padEnd(10)} ${shaken.toFixed(0)} handshakes, ${echoed.toFixed(0)} MB, ${answered.toFixed(0)} round trips`,
    );
  }
}
await Promise.all(Object.values(servers).map((server) => server.shutdown()));
