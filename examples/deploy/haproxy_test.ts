// Runs HAProxy with haproxy.cfg: the greeters see its clients' addresses, and one is restarted without a lost request.
import { assert, assertEquals } from "@std/assert";
import { AsyncChat, type ChatConn, type ChatServer } from "../../mod.ts";
import { serveGreeter } from "../../server.ts";
import { canRun, hasNet } from "../../tests/permissions.ts";

const hostname = "127.0.0.1";
const config = new URL("haproxy.cfg", import.meta.url).pathname;

/** Requests greetings in a loop on one connection, until `stopped` is set. */
class RequestLoop extends AsyncChat {
  responses = 0;
  readonly wrong: string[] = [];
  stopped = false;
  #inBody = false;

  constructor(conn: ChatConn, readonly name: string) {
    super(conn);
  }
  protected override handleConnect() {
    this.#request();
  }
  protected override foundTerminator() {
    const text = this.takeText();
    if (!this.#inBody) {
      if (!text.startsWith("HTTP/1.1 200 ")) this.wrong.push(text);
      this.#inBody = true;
      return this.setTerminator(Number(/^content-length: ([0-9]+)/im.exec(text)![1]));
    }
    this.responses++;
    if (!text.includes(`Hello ${this.name}! `)) this.wrong.push(text);
    if (this.stopped) this.closeWhenDone();
    else this.#request();
  }
  protected override handleEof() {
    this.wrong.push("unexpected EOF");
  }
  #request() {
    this.#inBody = false;
    this.setTerminator("\r\n\r\n");
    this.push(`GET /${this.name} HTTP/1.1\r\nHost: h\r\n\r\n`);
  }
}

function freePort(): number {
  using listener = Deno.listen({ hostname, port: 0 });
  return listener.addr.port;
}

/** Starts a greeter behind the proxy, and records its responses and errors. */
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

/** Sends a command to HAProxy's admin socket, and returns the reply. */
async function admin(port: number, command: string): Promise<string> {
  using conn = await Deno.connect({ hostname, port });
  await conn.write(new TextEncoder().encode(`${command}\n`));
  const reply = new Uint8Array(10_000);
  let length = 0;
  for (let count; (count = await conn.read(reply.subarray(length))) !== null;) length += count;
  return new TextDecoder().decode(reply.subarray(0, length));
}

/** Returns a column of `show stat` for a server. */
async function stat(port: number, server: string, column: string): Promise<string> {
  const [head, ...rows] = (await admin(port, "show stat greeters 4 -1")).replace("# ", "").trim().split("\n");
  return rows.map((row) => row.split(",")).find((row) => row[1] === server)![head!.split(",").indexOf(column)]!;
}

/** Polls until the condition holds. */
async function until(condition: () => Promise<boolean> | boolean): Promise<void> {
  while (!await condition()) await new Promise((resolve) => setTimeout(resolve, 0));
}

/** Runs HAProxy in front of two greeters, with clients that send requests while `use` runs. None gets a wrong response. */
async function whileRequesting(use: (run: Run) => Promise<void>): Promise<void> {
  const one = greeter();
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
  let exited: Deno.CommandStatus | undefined;
  haproxy.status.then((status) => exited = status);
  await until(() => {
    assert(exited === undefined, `haproxy exited with ${exited?.code}`);
    return admin(stats, "show info").then(() => true, () => false);
  });
  for (const name of ["one", "two"]) await until(async () => await stat(stats, name, "check_status") === "L7OK");

  const conns = await Promise.all(Array.from({ length: 8 }, () => Deno.connect({ hostname, port: bind })));
  const clients = conns.map((conn, i) => new RequestLoop(conn, `k${i}`));
  const finished = clients.map((client) => client.run());
  await until(() => one.lines.length > 100 && two.lines.length > 100);
  const run = { one, two, stats, conns, clients };
  await use(run);

  for (const client of clients) client.stopped = true;
  await Promise.all(finished);
  for (const { name, wrong, closeReason } of clients) {
    assertEquals({ name, wrong, closeReason }, { name, wrong: [], closeReason: undefined });
  }
  haproxy.kill("SIGTERM");
  await haproxy.status;
  await Promise.all([run.one.server.shutdown(), two.server.shutdown()]);
  assertEquals({ one: run.one.errors, two: two.errors }, { one: [], two: [] });
}

/** What a test of `whileRequesting` works with. It may replace the first greeter. */
interface Run {
  one: ReturnType<typeof greeter>;
  readonly two: ReturnType<typeof greeter>;
  /** HAProxy's admin port. */
  readonly stats: number;
  readonly conns: Deno.TcpConn[];
  readonly clients: RequestLoop[];
}

Deno.test({
  name: "haproxy.cfg passes client addresses; a greeter restarts without a lost request",
  ignore: !hasNet || !canRun("haproxy"),
  fn: () =>
    whileRequesting(async (run) => {
      const { two, stats, conns, clients } = run;
      for (const [i, conn] of conns.entries()) { // clients by their own address, health checks by the proxy's
        const line = `${hostname}:${(conn.localAddr as Deno.NetAddr).port} GET /k${i} 200`;
        assert(run.one.lines.includes(line) && two.lines.includes(line), line);
      }
      assert(two.lines.some((line) => line.endsWith(" GET /health 200")));

      await admin(stats, "set server greeters/one state drain");
      await until(async () => await stat(stats, "one", "scur") === "0");
      await run.one.server.shutdown();
      const before = clients.map(({ responses }) => responses);
      await until(() => clients.every(({ responses }, i) => responses > before[i]! + 10)); // served by the other greeter
      const { port, errors } = run.one;
      assertEquals(errors, []);
      run.one = greeter(port);
      await admin(stats, "set server greeters/one state ready");
      await until(() => run.one.lines.length > 100);
    }),
});

Deno.test({
  name: "haproxy.cfg loses no request when greeters restart that were not drained",
  ignore: !hasNet || !canRun("haproxy"),
  fn: () =>
    whileRequesting(async (run) => {
      for (let restart = 0; restart < 5; restart++) {
        const { port, errors, server } = run.one;
        await server.shutdown();
        assertEquals(errors, []);
        const before = run.clients.map(({ responses }) => responses);
        await until(() => {
          assertEquals(run.clients.flatMap(({ wrong }) => wrong), []);
          return run.clients.every(({ responses }, i) => responses > before[i]! + 10);
        });
        run.one = greeter(port);
        await until(() => run.one.lines.length > 100);
      }
    }),
});
