import { assertEquals } from "@std/assert";
import { canRun, hasNet } from "../tests/permissions.ts";
import { deno, until, whileServing } from "../tests/processes.ts";
import { connect, exchange, fromLatin1, receive, type Received, send } from "../tests/reliability/wire.ts";

/** Encodes a command as clients send it. */
const command = (...words: string[]) =>
  `*${words.length}\r\n${words.map((word) => `$${word.length}\r\n${word}\r\n`).join("")}`;

const bytes = Array.from({ length: 256 }, (_, byte) => String.fromCharCode(byte)).join("");

/** The reply to HELLO. */
function hello(version: number): string {
  const pairs = ["server", "redis", "version", "7.0.15"].map((text) => `$${text.length}\r\n${text}\r\n`).join("");
  return `${version === 3 ? "%7" : "*14"}\r\n${pairs}$5\r\nproto\r\n:${version}\r\n$2\r\nid\r\n:0\r\n` +
    "$4\r\nmode\r\n$10\r\nstandalone\r\n$4\r\nrole\r\n$6\r\nmaster\r\n$7\r\nmodules\r\n*0\r\n";
}

type Conversation = [name: string, sent: string, heard: string];

/** What a connection sends, and redis-server's replies to it. */
const CONVERSATIONS: Conversation[] = [
  ["names in any case", command("ping") + command("Ping", "x"), "+PONG\r\n$1\r\nx\r\n"],
  ["lines of words", "PING\r\n\r\n  \r\n set  a b \r\nget a\r\nPING\r\n", "+PONG\r\n+OK\r\n$1\r\nb\r\n+PONG\r\n"],
  ["empty commands", "*0\r\n\r\n" + command("PING"), "+PONG\r\n"],
  ["empty arguments", command("SET", "", "") + command("GET", ""), "+OK\r\n$0\r\n\r\n"],
  ["line ends in arguments", command("ECHO", "\r\n*1\r\n$4\r\nPING\r\n"), "$16\r\n\r\n*1\r\n$4\r\nPING\r\n\r\n"],
  [
    "every byte, in values and keys",
    [
      command("SET", bytes, bytes),
      command("GET", bytes),
      command("SET", bytes.slice(128, 160), "short"),
      command("KEYS", `${bytes.slice(128, 160)}*`),
      command("KEYS", `${bytes.slice(0, 32)}*`), // the others have a meaning in a pattern
      command("DEL", bytes, bytes.slice(128, 160), "none"),
    ].join(""),
    `+OK\r\n$256\r\n${bytes}\r\n+OK\r\n*1\r\n$32\r\n${bytes.slice(128, 160)}\r\n*1\r\n$256\r\n${bytes}\r\n:2\r\n`,
  ],
  [
    "numbers",
    [
      command("INCR", "n"),
      command("INCR", "n"),
      command("SET", "n", "1.5"),
      command("INCR", "n"),
      command("EXPIRE", "n", "1e3"),
      command("EXPIRE", "n", "-1"),
      command("GET", "n"),
      command("EXPIRE", "n", "1"),
    ].join(""),
    ":1\r\n:2\r\n+OK\r\n-ERR value is not an integer or out of range\r\n-ERR value is not an integer or out of range\r\n" +
    ":1\r\n$-1\r\n:0\r\n",
  ],
  [
    "unknown commands",
    [
      command("NOSUCH", "a"),
      command("0)..", "a"), // the same low bits as PING
      command("", "a"),
      command("GET"),
      command("PING"),
    ].join(""),
    "-ERR unknown command 'NOSUCH', with args beginning with: 'a' \r\n" +
    "-ERR unknown command '0)..', with args beginning with: 'a' \r\n" +
    "-ERR unknown command '', with args beginning with: 'a' \r\n" +
    "-ERR wrong number of arguments for 'get' command\r\n+PONG\r\n",
  ],
  ["QUIT ends the connection", command("QUIT") + command("PING"), "+OK\r\n"],
  ["a missing length", "*1\r\n4\r\nPING\r\n", "-ERR Protocol error: expected '$', got '4'\r\n"],
  ["a negative length", "*1\r\n$-1\r\n", "-ERR Protocol error: invalid bulk length\r\n"],
  ["an invalid count", "*x\r\n", "-ERR Protocol error: invalid multibulk length\r\n"],
  ["a POST from a web page runs nothing", "POST / HTTP/1.1\r\nHost: a\r\n\r\nSET a b\r\nPING\r\n", ""],
  ["a header line of HTTP runs nothing", "Host: a\r\n\r\nSET a b\r\nPING\r\n", ""],
  ["a POST as a counted command", command("post", "/") + command("PING"), ""],
  ["lines of LF alone", "PING\n\nPING\r\r\nPING\rx\n", "+PONG\r\n+PONG\r\n$1\r\nx\r\n"],
  ["counts below 1", "*-1\r\n*0\r\n*-10\r\nPING\r\n", "+PONG\r\n"],
  ...["*\r\n", "*+1\r\n", "*01\r\n", "* 1\r\n", "*-\r\n", "*-0\r\n", "*1 \r\n", "*99999999999999999999\r\n"].map((
    sent,
  ): Conversation => [`the count ${sent}`, sent, "-ERR Protocol error: invalid multibulk length\r\n"]),
  ...["$\r\n", "$x\r\n", "$01\r\n", "$-2\r\n", "$536870913\r\n"].map((
    sent,
  ): Conversation => [`the length ${sent}`, `*1\r\n${sent}`, "-ERR Protocol error: invalid bulk length\r\n"]),
  ["an empty line in place of a length", "*1\r\n\r\n", "-ERR Protocol error: expected '$', got ' '\r\n"],
  ["a count in place of a length", "*1\r\n*1\r\n", "-ERR Protocol error: expected '$', got '*'\r\n"],
  [
    "quoted words",
    'SET a "x\\x41\\n\\""\r\nGET a\nset a \'x \\\' "y\'\nGET a\nset a ""\nGET a\n',
    '+OK\r\n$4\r\nxA\n"\r\n+OK\r\n$6\r\nx \' "y\r\n+OK\r\n$0\r\n\r\n',
  ],
  ["an open quote", 'SET a "b\r\nPING\r\n', "-ERR Protocol error: unbalanced quotes in request\r\n"],
  ["a quote within a word", 'SET a "b"c\r\nPING\r\n', "-ERR Protocol error: unbalanced quotes in request\r\n"],
  [
    "long and odd names",
    command("x".repeat(200)) + command("NOSUCH", "a\r\nb", "y".repeat(200), "z"),
    `-ERR unknown command '${"x".repeat(128)}', with args beginning with: \r\n` +
    `-ERR unknown command 'NOSUCH', with args beginning with: 'a  b' '${"y".repeat(121)}' \r\n`,
  ],
  [
    "numbers of 64 bits",
    [
      command("SET", "n", "9007199254740993"),
      command("INCR", "n"),
      command("SET", "n", "9223372036854775807"),
      command("INCR", "n"),
      command("SET", "n", "01"),
      command("INCR", "n"),
      command("EXPIRE", "n", "99999999999999999"),
    ].join(""),
    "+OK\r\n:9007199254740994\r\n+OK\r\n-ERR increment or decrement would overflow\r\n" +
    "+OK\r\n-ERR value is not an integer or out of range\r\n-ERR invalid expire time in 'expire' command\r\n",
  ],
  [
    "HELLO switches the version of the protocol",
    command("GET", "no") + command("HELLO", "3") + command("GET", "no") + command("HELLO", "2", "setname", "me") +
    command("GET", "no") + command("HELLO"),
    `$-1\r\n${hello(3)}_\r\n${hello(2)}$-1\r\n${hello(2)}`,
  ],
  [
    "HELLO and AUTH check what they are given",
    [
      command("HELLO", "4"),
      command("HELLO", "x"),
      command("HELLO", "3", "AUTH", "x"),
      command("HELLO", "3", "AUTH", "other", "x"),
      command("HELLO", "3", "SETNAME"),
      command("HELLO", "3", "SETNAME", "a b"),
      command("HELLO", "3", "FOO", "x"),
      command("GET", "no"),
      command("HELLO", "2", "AUTH", "default", "x"),
      command("AUTH", "default", "x"),
      command("AUTH", "other", "x"),
      command("AUTH", "x"),
    ].join(""),
    "-NOPROTO unsupported protocol version\r\n" +
    "-ERR Protocol version is not an integer or out of range\r\n" +
    "-ERR Syntax error in HELLO option 'AUTH'\r\n" +
    "-WRONGPASS invalid username-password pair or user is disabled.\r\n" +
    "-ERR Syntax error in HELLO option 'SETNAME'\r\n" +
    "-ERR Client names cannot contain spaces, newlines or special characters.\r\n" +
    "-ERR Syntax error in HELLO option 'FOO'\r\n" +
    `$-1\r\n${hello(2)}+OK\r\n` +
    "-WRONGPASS invalid username-password pair or user is disabled.\r\n" +
    "-ERR AUTH <password> called without any password configured for the default user. " +
    "Are you sure your configuration is correct?\r\n",
  ],
];

/** Where the limits are lower than redis-server's. */
const LOWER_LIMITS: Conversation[] = [
  ["a command that is too long", "*2\r\n$4\r\nECHO\r\n$67108864\r\n", "-ERR Protocol error: invalid bulk length\r\n"],
  ["too many arguments", "*1048577\r\n", "-ERR Protocol error: invalid multibulk length\r\n"],
  ["a line that is too long", `${"x".repeat(70_000)}\r\n`, "-ERR Protocol error: too big inline request\r\n"],
  ["a count that is too long", `*${"1".repeat(70_000)}\r\n`, "-ERR Protocol error: too big mbulk count string\r\n"],
  [
    "a length that is too long",
    `*1\r\n$${"1".repeat(70_000)}\r\n`,
    "-ERR Protocol error: too big bulk count string\r\n",
  ],
];

/** Numbers of connections, and the version of the server, differ. */
const withoutId = (text: string) =>
  text.replace(/(\r\nid\r\n):\d+/g, "$1:0").replace(/(\r\nversion\r\n)\$\d+\r\n[\d.]+/g, "$1$0");

/** A connection that is dropped without a reply may end in a reset. */
function assertReceived({ text, end }: Received, heard: string, name: string) {
  const ended = heard === "" && end === "reset" ? "end" : end;
  assertEquals({ text: withoutId(text), end: ended }, { text: withoutId(heard), end: "end" }, name);
}

/** Starts redis-server on a free port while `use` runs. */
async function whileRedisServes(use: (port: number) => Promise<void>): Promise<void> {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  listener.close();
  const folder = await Deno.makeTempDir();
  const args = ["--port", `${port}`, "--bind", "127.0.0.1", "--save", "", "--dir", folder];
  const child = new Deno.Command("redis-server", { args, stdin: "null", stdout: "null", stderr: "null" }).spawn();
  try {
    await until("redis-server accepts connections", () =>
      connect(port).then((conn) => {
        conn.close();
        return true;
      }, () => false));
    await use(port);
  } finally {
    child.kill("SIGKILL");
    await child.status;
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test({
  name: "redis.ts sends redis-server's replies, to whole and to byte-by-byte input",
  ignore: !hasNet || !canRun(deno),
  fn: () =>
    whileServing(new URL("redis.ts", import.meta.url), ["--allow-net=127.0.0.1"], async (port) => {
      for (const [name, sent, heard] of [...CONVERSATIONS, ...LOWER_LIMITS]) {
        assertReceived(await exchange(port, fromLatin1(sent)), heard, name);
        if (heard === "") assertEquals((await exchange(port, command("GET", "a"))).text, "$-1\r\n", name);
        await exchange(port, command("DEL", "a", "n", ""));
        if (sent.length > 10_000) continue;
        const conn = await connect(port);
        conn.setNoDelay(true);
        const hearing = receive(conn);
        for (const byte of fromLatin1(sent)) if (!await send(conn, new Uint8Array([byte]))) break;
        await conn.closeWrite().catch(() => {}); // it has ended first
        assertReceived(await hearing, heard, `${name}, byte by byte`);
        conn.close();
        if (heard === "") assertEquals((await exchange(port, command("GET", "a"))).text, "$-1\r\n", name);
        await exchange(port, command("DEL", "a", "n", ""));
      }
    }),
});

Deno.test({
  name: "redis-server sends the replies that redis_test.ts expects",
  ignore: !hasNet || !canRun(deno, "redis-server"),
  fn: () =>
    whileRedisServes(async (port) => {
      for (const [name, sent, heard] of CONVERSATIONS) {
        assertReceived(await exchange(port, fromLatin1(sent)), heard, name);
        await exchange(port, command("DEL", "a", "n", ""));
      }
    }),
});

/** The two clients that most programs on Node use. */
const CLIENTS = `
import { Redis } from "npm:ioredis@6.0.0";
import { createClient } from "npm:redis@6.3.1";
const port = Number(Deno.args[0]);
const ioredis = new Redis(port, "127.0.0.1");
console.log(await ioredis.set("a", "é"), await ioredis.get("a"), await ioredis.get("none"), await ioredis.incr("n"));
console.log(JSON.stringify(await ioredis.pipeline().incr("n").get("n").del("a", "n").exec()));
console.log(await ioredis.quit());
for (const RESP of [2, 3]) {
  const client = await createClient({ url: "redis://127.0.0.1:" + port, RESP, name: "me" }).connect();
  console.log(await client.set("a", "é"), await client.get("a"), await client.get("none"), await client.incr("n"));
  console.log(await client.del(["a", "n"]), await client.keys("*"), await client.ping());
  await client.close();
}
`;

Deno.test({
  name: "redis.ts serves ioredis, and node-redis with both versions of the protocol",
  ignore: !hasNet || !canRun(deno),
  fn: () =>
    whileServing(new URL("redis.ts", import.meta.url), ["--allow-net=127.0.0.1"], async (port) => {
      const { stdout } = await new Deno.Command(deno, {
        args: ["eval", "--quiet", CLIENTS, `${port}`],
        env: { NO_COLOR: "1" },
        stderr: "inherit",
      }).output();
      const nodeRedis = ["OK é null 1", "2 [] PONG"];
      assertEquals(new TextDecoder().decode(stdout).split("\n"), [
        "OK é null 1",
        '[[null,2],[null,"2"],[null,2]]',
        "OK",
        ...nodeRedis,
        ...nodeRedis,
        "",
      ]);
    }),
});
