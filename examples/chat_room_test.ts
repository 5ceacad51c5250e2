import { assertEquals } from "@std/assert";
import { canRun, hasNet } from "../tests/permissions.ts";
import { deno, Lines, until } from "../tests/processes.ts";

/** A program that is ended with the test, whatever happens. */
class Program implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;

  constructor(command: string, args: string[], folder: string) {
    const pipes = { stdin: "null", stdout: "piped", stderr: "null" } as const;
    this.#child = new Deno.Command(command, { args, cwd: folder, ...pipes }).spawn();
  }

  /** The number at the end of its first line. */
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

/** Somebody in the room. */
class Member implements AsyncDisposable {
  readonly #conn: Deno.TcpConn;
  readonly #lines: Lines;

  static async join(port: number, name: string): Promise<Member> {
    const member = new Member(await Deno.connect({ hostname: "127.0.0.1", port }));
    await member.say(name);
    await member.hears(`* ${name} is here`);
    return member;
  }

  private constructor(conn: Deno.TcpConn) {
    this.#conn = conn;
    this.#lines = new Lines(conn.readable);
  }

  async say(line: string): Promise<void> {
    await this.#conn.write(new TextEncoder().encode(`${line}\n`));
  }

  /** Reads up to a line that begins so; gives it. */
  async hears(beginning: string): Promise<string> {
    for (let line; (line = await this.#lines.next()) !== null;) {
      if (line.startsWith(beginning)) return line.trimEnd();
    }
    throw new Error(`The end has come before "${beginning}"`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#lines[Symbol.asyncDispose]();
  }
}

/** Whether the server is in touch with Redis: it says so to who comes. */
async function isInTouch(port: number): Promise<boolean> {
  const conn = await Deno.connect({ hostname: "127.0.0.1", port });
  await using lines = new Lines(conn.readable);
  return (await lines.next())!.startsWith("* Your name?");
}

function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

Deno.test({
  name: "chat_room.ts: one room on two servers; one may die, Redis may die, and who is left goes on",
  ignore: !hasNet || !canRun(deno, "redis-server"),
  async fn() {
    const folder = await Deno.makeTempDir();
    const redisPort = freePort();
    const startRedis = async () => {
      const args = ["--port", `${redisPort}`, "--bind", "127.0.0.1", "--save", "", "--daemonize", "no"];
      const redis = new Program("redis-server", args, folder);
      await until("Redis answers", async () => {
        try {
          (await Deno.connect({ hostname: "127.0.0.1", port: redisPort })).close();
          return true;
        } catch {
          return false;
        }
      });
      return redis;
    };
    const program = new URL("chat_room.ts", import.meta.url).pathname;
    const flags = ["--port", "0", "--redis", `127.0.0.1:${redisPort}`];
    const startServer = () => new Program(deno, ["run", "--quiet", "--allow-net=127.0.0.1", program, ...flags], folder);
    try {
      const redis = await startRedis();
      await using _redis = redis;
      await using first = startServer();
      await using second = startServer();
      const [firstPort, secondPort] = await Promise.all([first.port(), second.port()]);
      for (const port of [firstPort, secondPort]) await until("it is in touch", () => isInTouch(port));
      await using ada = await Member.join(firstPort, "ada");
      await using bob = await Member.join(secondPort, "bob");
      await ada.hears("* bob is here");
      await bob.say("hello");
      assertEquals(await ada.hears("bob:"), "bob: hello");
      await ada.say("Köln, ∞");
      assertEquals(await bob.hears("ada:"), "ada: Köln, ∞");

      await first.kill(); // its members are lost, and nobody else
      await using eve = await Member.join(secondPort, "eve");
      await bob.hears("* eve is here");

      await redis.kill();
      await bob.hears("* Out of touch");
      await eve.hears("* Out of touch");
      await bob.say("anybody?");
      assertEquals(await eve.hears("bob:"), "bob: anybody?");

      await using _again = await startRedis();
      await bob.hears("* In touch");
      await using third = startServer();
      const thirdPort = await third.port();
      await until("it is in touch", () => isInTouch(thirdPort));
      await using joe = await Member.join(thirdPort, "joe");
      await bob.hears("* joe is here");
      await bob.say("welcome");
      assertEquals(await joe.hears("bob:"), "bob: welcome");
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
});
