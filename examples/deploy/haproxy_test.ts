// The real HAProxy with haproxy.cfg: greeters behind it see its clients, and one is restarted without a lost request.
import { assert, assertEquals } from "@std/assert";
import { AsyncChat, type ChatConn, type ChatServer } from "../../mod.ts";
import { serveGreeter } from "../../server.ts";
import { canRun, hasNet } from "../../tests/permissions.ts";

const hostname = "127.0.0.1";
const config = new URL("haproxy.cfg", import.meta.url).pathname;

/** Asks for a greeting again and again on one connection, until it is told to stop. */
class Asking extends AsyncChat {
  answers = 0;
  readonly wrong: string[] = [];
  stopped = false;
  #inBody = false;

  constructor(conn: ChatConn, readonly name: string) {
    super(conn);
  }
  protected override handleConnect() {
    this.#ask();
  }
  protected override foundTerminator() {
    const text = this.takeText();
    if (!this.#inBody) {
      if (!text.startsWith("HTTP/1.1 200 ")) this.wrong.push(text);
      this.#inBody = true;
      return this.setTerminator(Number(/^content-length: ([0-9]+)/im.exec(text)![1]));
    }
    this.answers++;
    if (!text.includes(`Hello ${this.name}! `)) this.wrong.push(text);
    if (this.stopped) this.closeWhenDone();
    else this.#ask();
  }
  protected override handleEof() {
    this.wrong.push("the connection has ended");
  }
  #ask() {
    this.#inBody = false;
    this.setTerminator("\r\n\r\n");
    this.push(`GET /${this.name} HTTP/1.1\r\nHost: h\r\n\r\n`);
  }
}

function freePort(): number {
  using listener = Deno.listen({ hostname, port: 0 });
  return listener.addr.port;
}

/** A greeter behind the proxy, and what it has answered. */
function greeter(port = 0) {
  const lines: string[] = [];
  const errors: unknown[] = [];
  const server: ChatServer = serveGreeter({
    hostname,
    port,
    proxyProtocol: { trusted: [hostname] },
    onAnswer: (line) => lines.push(line),
    onError: (error) => errors.push(error),
  });
  return { server, port: (server.addr as Deno.NetAddr).port, lines, errors };
}

/** Says something to HAProxy's admin socket, and gives back its answer. */
async function admin(port: number, command: string): Promise<string> {
  using conn = await Deno.connect({ hostname, port });
  await conn.write(new TextEncoder().encode(`${command}\n`));
  const answer = new Uint8Array(10_000);
  let length = 0;
  for (let count; (count = await conn.read(answer.subarray(length))) !== null;) length += count;
  return new TextDecoder().decode(answer.subarray(0, length));
}

/** A column of `show stat` about a server. */
async function stat(port: number, server: string, column: string): Promise<string> {
  const [head, ...rows] = (await admin(port, "show stat greeters 4 -1")).replace("# ", "").trim().split("\n");
  return rows.map((row) => row.split(",")).find((row) => row[1] === server)![head!.split(",").indexOf(column)]!;
}

/** Asks until it is so: the answers take their time. */
async function until(condition: () => Promise<boolean> | boolean): Promise<void> {
  while (!await condition()) await new Promise((resolve) => setTimeout(resolve, 0));
}

Deno.test({
  name: "HAProxy with haproxy.cfg tells greeters their clients, and one is restarted without a lost request",
  ignore: !hasNet || !canRun("haproxy"),
  async fn() {
    let one = greeter();
    const two = greeter();
    const [bind, stats] = [freePort(), freePort()];
    const env = {
      BIND: `${hostname}:${bind}`,
      ADMIN: `ipv4@${hostname}:${stats}`,
      ONE: `${hostname}:${one.port}`,
      TWO: `${hostname}:${two.port}`,
    };
    await using haproxy = new Deno.Command("haproxy", {
      args: ["-db", "-f", config],
      env,
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    let ended: Deno.CommandStatus | undefined;
    haproxy.status.then((status) => ended = status);
    await until(() => {
      assert(ended === undefined, `haproxy has ended with ${ended?.code}`);
      return admin(stats, "show info").then(() => true, () => false);
    });
    for (const name of ["one", "two"]) await until(async () => await stat(stats, name, "check_status") === "L7OK");

    const conns = await Promise.all(Array.from({ length: 8 }, () => Deno.connect({ hostname, port: bind })));
    const clients = conns.map((conn, i) => new Asking(conn, `k${i}`));
    const over = clients.map((client) => client.run());
    await until(() => one.lines.length > 100 && two.lines.length > 100);
    for (const [i, conn] of conns.entries()) { // each client as itself, health checks as the proxy
      const line = `${hostname}:${(conn.localAddr as Deno.NetAddr).port} GET /k${i} 200`;
      assert(one.lines.includes(line) && two.lines.includes(line), line);
    }
    assert(two.lines.some((line) => line.endsWith(" GET /health 200")));

    await admin(stats, "set server greeters/one state drain");
    await until(async () => await stat(stats, "one", "scur") === "0");
    await one.server.shutdown();
    const before = clients.map(({ answers }) => answers);
    await until(() => clients.every(({ answers }, i) => answers > before[i]! + 10)); // served by the other
    const { port, errors } = one;
    one = greeter(port);
    await admin(stats, "set server greeters/one state ready");
    await until(() => one.lines.length > 100);

    for (const client of clients) client.stopped = true;
    await Promise.all(over);
    assertEquals(clients.map(({ wrong, closeReason }) => [wrong, closeReason]), clients.map(() => [[], undefined]));
    assertEquals([errors, one.errors, two.errors], [[], [], []]);
    haproxy.kill("SIGTERM");
    await haproxy.status;
    await Promise.all([one.server.shutdown(), two.server.shutdown()]);
  },
});
