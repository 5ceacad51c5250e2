import { assertEquals } from "@std/assert";
import { canRun, hasNet } from "../tests/permissions.ts";
import { deno, Lines, until } from "../tests/processes.ts";

/** A program that is killed at the end of the test. */
class Program implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;

  constructor(command: string, args: string[], folder: string, stderr: "null" | "piped" = "null") {
    const pipes = { stdin: "null", stdout: "piped", stderr } as const;
    this.#child = new Deno.Command(command, { args, cwd: folder, ...pipes }).spawn();
  }

  /** Stops it where it is, as if the machine hung. */
  pause(): void {
    this.#child.kill("SIGSTOP");
  }

  /** Ends it with SIGTERM. Returns its exit code and what it printed as errors. */
  async end(): Promise<{ code: number; errors: string }> {
    this.#child.kill("SIGTERM");
    const { code } = await this.#child.status;
    return { code, errors: await new Response(this.#child.stderr).text() };
  }

  /** Returns the number at the end of its first line. */
  async port(): Promise<number> {
    await using lines = new Lines(this.#child.stdout);
    return Number(/([0-9]+)$/.exec(await lines.next() ?? "")![1]);
  }

  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#child.status;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#child.stdout.locked) await this.#child.stdout.cancel();
    await this.kill().catch(() => {});
  }
}

/** A member of the room. */
class Member implements AsyncDisposable {
  readonly #conn: Deno.TcpConn;
  readonly #lines: Lines;

  static async join(port: number, name: string): Promise<Member> {
    const member = new Member(await Deno.connect({ hostname: "127.0.0.1", port }));
    await member.say(name);
    await member.receive(`* ${name} is here`);
    return member;
  }

  private constructor(conn: Deno.TcpConn) {
    this.#conn = conn;
    this.#lines = new Lines(conn.readable);
  }

  async say(line: string): Promise<void> {
    await this.#conn.write(new TextEncoder().encode(`${line}\n`));
  }

  /** Reads up to a line with this prefix, and returns it. */
  async receive(prefix: string): Promise<string> {
    for (let line; (line = await this.#lines.next()) !== null;) {
      if (line.startsWith(prefix)) return line.trimEnd();
    }
    throw new Error(`Unexpected EOF: expected a line with the prefix "${prefix}"`);
  }

  /** Reads to EOF, and returns what came last. */
  end(): Promise<string | null> {
    return this.#lines.next();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#lines[Symbol.asyncDispose]();
  }
}

/** Returns whether the server is connected to Redis, which its greeting shows. */
async function isConnected(port: number): Promise<boolean> {
  const conn = await Deno.connect({ hostname: "127.0.0.1", port });
  await using lines = new Lines(conn.readable);
  return (await lines.next())!.startsWith("* Your name?");
}

function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

/** Starts a Redis, and waits until it accepts connections. */
async function startRedisAt(port: number, folder: string): Promise<Program> {
  const args = ["--port", `${port}`, "--bind", "127.0.0.1", "--save", "", "--daemonize", "no"];
  const redis = new Program("redis-server", args, folder);
  await until("Redis answers", async () => {
    try {
      (await Deno.connect({ hostname: "127.0.0.1", port })).close();
      return true;
    } catch {
      return false;
    }
  });
  return redis;
}

Deno.test({
  name: "chat_room.ts: one room on two servers survives the loss of a server and of Redis",
  ignore: !hasNet || !canRun(deno, "redis-server"),
  async fn() {
    const folder = await Deno.makeTempDir();
    const redisPort = freePort();
    const startRedis = () => startRedisAt(redisPort, folder);
    const program = new URL("chat_room.ts", import.meta.url).pathname;
    const flags = ["--port", "0", "--redis", `127.0.0.1:${redisPort}`];
    const startServer = () => new Program(deno, ["run", "--quiet", "--allow-net=127.0.0.1", program, ...flags], folder);
    try {
      const redis = await startRedis();
      await using _redis = redis;
      await using first = startServer();
      await using second = startServer();
      const [firstPort, secondPort] = await Promise.all([first.port(), second.port()]);
      for (const port of [firstPort, secondPort]) {
        await until("the server is connected to Redis", () => isConnected(port));
      }
      await using ada = await Member.join(firstPort, "ada");
      await using bob = await Member.join(secondPort, "bob");
      await ada.receive("* bob is here");
      await bob.say("hello");
      assertEquals(await ada.receive("bob:"), "bob: hello");
      await ada.say("Köln, ∞");
      assertEquals(await bob.receive("ada:"), "ada: Köln, ∞");

      await first.kill(); // disconnects its own members only
      await using eve = await Member.join(secondPort, "eve");
      await bob.receive("* eve is here");

      await redis.kill();
      await bob.receive("* Out of touch");
      await eve.receive("* Out of touch");
      await bob.say("still here?");
      assertEquals(await eve.receive("bob:"), "bob: still here?");

      await using _again = await startRedis();
      await bob.receive("* In touch");
      await using third = startServer();
      const thirdPort = await third.port();
      await until("the server is connected to Redis", () => isConnected(thirdPort));
      await using joe = await Member.join(thirdPort, "joe");
      await bob.receive("* joe is here");
      await bob.say("welcome");
      assertEquals(await joe.receive("bob:"), "bob: welcome");
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
});

Deno.test({
  name: "chat_room.ts names the lines that a Redis which hangs may not have sent",
  ignore: !hasNet || !canRun(deno, "redis-server"),
  async fn() {
    const folder = await Deno.makeTempDir();
    const redisPort = freePort();
    const program = new URL("chat_room.ts", import.meta.url).pathname;
    const flags = ["--port", "0", "--redis", `127.0.0.1:${redisPort}`, "--redis-timeout", "0.2"];
    try {
      await using redis = await startRedisAt(redisPort, folder);
      await using server = new Program(deno, ["run", "--quiet", "--allow-net=127.0.0.1", program, ...flags], folder);
      const port = await server.port();
      await until("the server is connected to Redis", () => isConnected(port));
      await using ada = await Member.join(port, "ada");
      await using bob = await Member.join(port, "bob");
      await ada.say("before");
      await bob.receive("ada: before");
      redis.pause();
      await ada.say("one");
      await ada.say("two");
      assertEquals(await ada.receive("* Maybe"), "* Maybe not sent: ada: one");
      assertEquals(await ada.receive("*"), "* Maybe not sent: ada: two");
      await bob.receive("* Out of touch");
      await ada.say("three");
      assertEquals(await bob.receive(""), "ada: three"); // was not sent twice, and bob is not the speaker
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
});

Deno.test({
  name: "chat_room.ts says who has gone while the other members are closing",
  ignore: !hasNet || !canRun(deno),
  async fn() {
    const folder = await Deno.makeTempDir();
    const program = new URL("chat_room.ts", import.meta.url).pathname;
    const args = ["run", "--quiet", "--allow-net=127.0.0.1", program, "--port", "0", "--redis", "127.0.0.1:1"];
    try {
      await using server = new Program(deno, args, folder, "piped");
      const port = await server.port();
      await using ada = await Member.join(port, "ada");
      await using bob = await Member.join(port, "bob");
      await ada.receive("* bob is here");
      const ended = server.end(); // closes all chats
      assertEquals(await Promise.all([ada.end(), bob.end()]), [null, null]);
      assertEquals(await ended, { code: 0, errors: "" });
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
});
