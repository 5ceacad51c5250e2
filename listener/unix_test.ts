import { assert, assertEquals, assertInstanceOf, assertStringIncludes, assertThrows } from "@std/assert";
import { AsyncChat, serve, type ServeOptions } from "../mod.ts";
import { serveGreeter } from "../server.ts";
import { memoryPair } from "../testing/mod.ts";
import { canRun, granted } from "../tests/permissions.ts";
import { deno, denoRun, Lines } from "../tests/processes.ts";

class Echo extends AsyncChat {
  protected override handleConnect() {
    this.setTerminator("\n");
  }
  protected override foundTerminator() {
    this.push(`${this.takeText()}!\n`);
  }
}

/** Deno allows Unix sockets one by one: the task "test" names this one. */
const path = `${Deno.cwd()}/.socket`;
const allowed = Deno.build.os !== "windows" &&
  granted({ name: "read", path }, { name: "write", path }, { name: "net", host: `unix:${path}` }) &&
  granted({ name: "read", path: `${path}.lock` }, { name: "write", path: `${path}.lock` });

async function ask(): Promise<string> {
  using conn = await Deno.connect({ transport: "unix", path });
  await conn.write(new TextEncoder().encode("hello\n"));
  const answer = new Uint8Array(100);
  return new TextDecoder().decode(answer.subarray(0, await conn.read(answer) ?? 0));
}

function exists(): boolean {
  try {
    return Deno.lstatSync(path) !== null;
  } catch {
    return false;
  }
}

/** Leaves a stale socket behind, as a killed server does. */
function leaveStale() {
  const script = "import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])";
  new Deno.Command("python3", { args: ["-c", script, path], stdin: "null" }).outputSync();
  assertEquals(exists(), true);
}

const accept = (conn: Deno.Conn) => new Echo(conn);

Deno.test({
  name: "serve() listens on a Unix socket, and removes it at the end",
  ignore: !allowed,
  async fn() {
    const listened: Deno.Addr[] = [];
    const server = serve({ path, onListen: (addr) => listened.push(addr) }, accept);
    assertEquals({ listened, addr: server.addr }, {
      listened: [{ transport: "unix", path }],
      addr: { transport: "unix", path },
    });
    assertEquals(await ask(), "hello!\n");
    assertEquals(exists(), true);
    await server.shutdown();
    assertEquals({ exists: exists(), closes: server.stats.closes }, { exists: false, closes: { done: 1 } });
  },
});

Deno.test({
  name: "serve() replaces a stale socket, and leaves it alone when stopped before",
  ignore: !allowed || !canRun("python3"),
  async fn() {
    leaveStale();
    const listening = Promise.withResolvers<Deno.Addr>();
    const server = serve({ path, onListen: listening.resolve }, accept);
    server.unref();
    server.ref();
    await listening.promise;
    assertEquals(await ask(), "hello!\n");
    assertEquals(await ask(), "hello!\n");
    await server.shutdown();
    assertEquals(exists(), false);

    leaveStale();
    const stopped = serve({ path }, accept); // before it has found out that the socket is stale
    await stopped.shutdown();
    Deno.removeSync(path);
  },
});

Deno.test({
  name: "serve() leaves the socket of a live server alone, and a file that is no socket",
  ignore: !allowed,
  async fn() {
    const first = serve({ path }, accept);
    const errors: unknown[] = [];
    let listens = false;
    const onListen = () => void (listens = true);
    const second = serve({ path, onListen, onError: (error) => errors.push(error) }, accept);
    await second.finished;
    assertInstanceOf(errors[0], Deno.errors.AddrInUse);
    assertEquals({ errors: errors.length, listens }, { errors: 1, listens: false });
    assertEquals(await ask(), "hello!\n");
    await first.shutdown();

    Deno.writeTextFileSync(path, "precious");
    assertThrows(() => serve({ path }, accept), Deno.errors.AddrInUse);
    assertEquals(Deno.readTextFileSync(path), "precious");
    Deno.removeSync(path);
  },
});

Deno.test({
  name: "serve() over a Unix socket that ends leaves the socket of its successor alone",
  ignore: !allowed,
  async fn() {
    const first = serve({ path }, accept);
    Deno.removeSync(path);
    using successor = Deno.listen({ transport: "unix", path }); // of another program, which knows no lock
    const answering = (async () => {
      using conn = await successor.accept();
      await conn.write(new TextEncoder().encode("successor"));
    })();
    await first.shutdown();
    assertEquals({ exists: exists(), answer: await ask() }, { exists: true, answer: "successor" });
    await answering;
  },
  sanitizeOps: false, // its pending accept stays:
  sanitizeResources: false, // Deno removes the successor's file when the first listener is closed
});

Deno.test({
  name: "serve() lets one of two servers that start at once replace a stale Unix socket",
  ignore: !allowed || !canRun("python3"),
  async fn() {
    leaveStale();
    const errors: unknown[] = [];
    const onError = (error: unknown) => void errors.push(error);
    const servers = [1, 2].map(() => serve({ path, onError }, accept));
    await servers[1]!.finished;
    assertInstanceOf(errors[0], Deno.errors.AddrInUse);
    assertEquals({ errors: errors.length, answer: await ask() }, { errors: 1, answer: "hello!\n" });
    await servers[0]!.shutdown();
    assertEquals(exists(), false);
    await using again = serve({ path }, accept); // the lock is free
    assertEquals({ answer: await ask(), addr: again.addr }, { answer: "hello!\n", addr: { transport: "unix", path } });
  },
});

Deno.test({
  name: "serve() without access to the lock listens on a Unix socket, and leaves a stale one alone",
  ignore: !allowed || !canRun("python3", deno),
  async fn() {
    const permissions = [`--allow-read=${path}`, `--allow-write=${path}`, `--allow-net=unix:${path}`];
    const program = new URL("../tests/reliability/served_unix.ts", import.meta.url);
    const run = async () => {
      const child = denoRun(program, permissions, [path], { stdin: "piped" }).spawn();
      await using lines = new Lines(child.stdout);
      const line = await lines.next();
      const existsMeanwhile = exists();
      await child.stdin.close();
      await child.stderr.cancel();
      assertEquals((await child.status).code, 0);
      return { line, exists: existsMeanwhile };
    };
    assertEquals({ ...await run(), after: exists() }, { line: "listening", exists: true, after: false });
    leaveStale();
    const problem =
      `AddrInUse: Cannot listen on a Unix socket: a stale socket is replaced only with access to ${path}.lock`;
    assertEquals({ ...await run(), after: exists() }, { line: problem, exists: true, after: true });
    Deno.removeSync(path);
  },
});

Deno.test({
  name: "serveGreeter() greets curl --unix-socket",
  ignore: !allowed || !canRun("curl"),
  async fn() {
    await using _server = serveGreeter({ path });
    const args = ["--silent", "--unix-socket", path, "http://localhost/kongxx"];
    const { success, stdout } = await new Deno.Command("curl", { args, stdin: "null" }).output();
    assert(success);
    assertStringIncludes(new TextDecoder().decode(stdout), "Hello kongxx! ");
  },
});

Deno.test("serve() throws unless it gets either a port or a path, and for TLS on a path", () => {
  const refused: [ServeOptions, string][] = [
    [{}, "got neither port nor path, expected one"],
    [{ port: 0, path: "x" }, "got both port and path, expected one"],
    [{ path: "x", cert: "x", key: "x" }, "got both cert and path, expected one"],
  ];
  for (const [options, problem] of refused) {
    assertThrows(() => serve(options, () => new Echo(memoryPair()[0])), TypeError, `Cannot serve: ${problem}`);
  }
});
