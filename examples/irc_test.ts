import { assertEquals } from "@std/assert";
import { canRun, hasNet } from "../tests/permissions.ts";
import { deno, whileServing } from "../tests/processes.ts";

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
