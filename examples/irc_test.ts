import { assert, assertEquals } from "@std/assert";
import { canRun, hasNet } from "../tests/permissions.ts";
import { deno, Lines, whileServing } from "../tests/processes.ts";
import { connect, send } from "../tests/reliability/wire.ts";

/** A user, who has joined #deno. */
class User implements AsyncDisposable {
  readonly #conn: Deno.Conn;
  readonly #lines: Lines;

  static async join(port: number, nick: string): Promise<User> {
    const user = new User(await connect(port));
    await user.send(`NICK ${nick}`, `USER ${nick} 0 * :me`, "JOIN #deno");
    return user;
  }

  private constructor(conn: Deno.Conn) {
    this.#conn = conn;
    this.#lines = new Lines(conn.readable);
  }

  async send(...lines: string[]): Promise<void> {
    for (const line of lines) await send(this.#conn, `${line}\r\n`);
  }

  /** Reads up to a line that contains `text`, and returns all lines. Each has at most 512 bytes. */
  async receive(text: string): Promise<string[]> {
    const lines: string[] = [];
    while (!lines.at(-1)?.includes(text)) {
      const line = await this.#lines.next();
      assert(line !== null, `Unexpected EOF: expected a line with ${text}`);
      assert(new TextEncoder().encode(`${line}\n`).length <= 512, line);
      lines.push(line.replace("\r", ""));
    }
    return lines;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#lines[Symbol.asyncDispose]();
  }
}

const whileIrcServes = (use: (port: number) => Promise<void>) =>
  whileServing(new URL("irc.ts", import.meta.url), ["--allow-net=127.0.0.1"], use);

/** Two clients of irc-framework, which many bots use: they join a channel, talk, and one quits. */
const CLIENTS = `
import { Client } from "npm:irc-framework@4.14.0";
const connect = (nick) => {
  const client = new Client();
  client.connect({ host: "127.0.0.1", port: Number(Deno.args[0]), nick, username: nick, gecos: nick, auto_reconnect: false, enable_chghost: false });
  return client;
};
const once = (client, name, matches = () => true) => new Promise((resolve) => client.on(name, (event) => matches(event) && resolve(event)));
const ada = connect("ada");
await once(ada, "registered");
ada.join("#deno");
await once(ada, "userlist");
const bob = connect("bob");
await once(bob, "registered");
const joined = once(ada, "join", ({ nick }) => nick === "bob");
bob.join("#deno");
const { users } = await once(bob, "userlist");
console.log(users.map(({ nick }) => nick).sort().join(" "));
await joined;
const received = once(ada, "privmsg");
bob.say("#deno", "hello, all");
const { nick, target, message } = await received;
console.log(nick, target, message);
const replied = once(bob, "privmsg");
ada.say("bob", "hello, bob");
const reply = await replied;
console.log(reply.nick, reply.target, reply.message);
const quit = once(ada, "quit");
bob.quit("later");
console.log((await quit).nick, "has gone");
ada.quit();
await once(ada, "socket close");
Deno.exit();
`;

Deno.test({
  name: "irc.ts lets two irc-framework clients join a channel and talk",
  ignore: !hasNet || !canRun(deno),
  fn: () =>
    whileServing(new URL("irc.ts", import.meta.url), ["--allow-net=127.0.0.1"], async (port) => {
      const { stdout } = await new Deno.Command(deno, {
        args: ["eval", "--quiet", CLIENTS, `${port}`],
        stderr: "inherit",
      })
        .output();
      assertEquals(new TextDecoder().decode(stdout).split("\n"), [
        "ada bob",
        "bob #deno hello, all",
        "ada bob hello, bob",
        "bob has gone",
        "",
      ]);
    }),
});

Deno.test({
  name: "irc.ts goes on with the others while a member of the channel is closing",
  ignore: !hasNet || !canRun(deno),
  fn: () =>
    whileIrcServes(async (port) => {
      await using ada = await User.join(port, "ada");
      await ada.receive(" 366 ");
      await using bob = await User.join(port, "bob");
      await using eve = await User.join(port, "eve");
      await Promise.all([ada.receive(":eve!"), eve.receive(" 366 ")]);
      await bob.send("QUIT"); // and does not close its side
      await bob.receive("ERROR :Bye");
      await ada.send("PRIVMSG #deno :hello", "PRIVMSG bob :hello", "PING x");
      await ada.receive("PONG");
      await eve.receive("PRIVMSG #deno :hello");
    }),
});

Deno.test({
  name: "irc.ts cuts relayed lines between characters, and splits lists of names, at 512 bytes",
  ignore: !hasNet || !canRun(deno),
  fn: () =>
    whileIrcServes(async (port) => {
      await using stack = new AsyncDisposableStack();
      const nicks = Array.from({ length: 30 }, (_, i) => `n${i}`.padEnd(30, "x"));
      for (const nick of nicks) await stack.use(await User.join(port, nick)).receive(" 366 ");
      await using ada = await User.join(port, "ada");
      const names = (await ada.receive(" 366 ")).filter((line) => line.includes(" 353 "));
      assertEquals(names.length, 2);
      assertEquals(names.flatMap((line) => line.split(" :")[1]!.split(" ")).sort(), [...nicks, "ada"].sort());

      await using bob = await User.join(port, "b".repeat(30));
      await ada.receive(`${"b".repeat(30)}!`);
      await bob.send(`PRIVMSG ada :${"x".repeat(480)}`, `PRIVMSG ada :x${"é".repeat(240)}`);
      const prefix = `:${"b".repeat(30)}!${"b".repeat(10)}@irc.example PRIVMSG ada :`;
      assertEquals(await ada.receive("PRIVMSG"), [prefix + "x".repeat(510 - prefix.length)]);
      assertEquals(await ada.receive("PRIVMSG"), [`${prefix}x${"é".repeat((509 - prefix.length) >> 1)}`]);
    }),
});

Deno.test({
  name: "irc.ts relays any character, but neither CR nor NUL, and folds the case as RFC 1459",
  ignore: !hasNet || !canRun(deno),
  fn: () =>
    whileIrcServes(async (port) => {
      await using ada = await User.join(port, "ada[]\\^");
      assertEquals(
        (await ada.receive(" 366 ")).some((line) => line.includes(" 005 ada[]\\^ CASEMAPPING=rfc1459 ")),
        true,
      );
      await using bob = await User.join(port, "ADA{}|^");
      await bob.receive(" 433 ");
      await bob.send("NICK bob", "JOIN #deno");
      await bob.receive(" 366 ");
      await ada.receive(":bob!");
      await bob.send("PRIVMSG AdA{}|^ :a\u2028b\u00a0c\rd\0e");
      assertEquals(await ada.receive("PRIVMSG"), [":bob!ADA@irc.example PRIVMSG AdA{}|^ :a\u2028b\u00a0c d e"]);
    }),
});
