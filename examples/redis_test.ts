import { assertEquals } from "@std/assert";
import { canRun, hasNet } from "../tests/permissions.ts";
import { deno, whileServing } from "../tests/processes.ts";
import { connect, exchange, fromLatin1, receive, send } from "../tests/reliability/wire.ts";

/** Encodes a command as clients send it. */
const command = (...words: string[]) =>
  `*${words.length}\r\n${words.map((word) => `$${word.length}\r\n${word}\r\n`).join("")}`;

const bytes = Array.from({ length: 256 }, (_, byte) => String.fromCharCode(byte)).join("");

/** What a connection sends, and the replies to it. */
const CONVERSATIONS: [name: string, sent: string, heard: string][] = [
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
      command("KEYS", bytes),
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
    ":1\r\n:2\r\n+OK\r\n-ERR value is not an integer\r\n-ERR value is not an integer\r\n:1\r\n$-1\r\n:0\r\n",
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
    `${"-ERR unknown command\r\n".repeat(3)}-ERR wrong number of arguments\r\n+PONG\r\n`,
  ],
  ["QUIT ends the connection", command("QUIT") + command("PING"), "+OK\r\n"],
  ["a missing length", "*1\r\n4\r\nPING\r\n", "-ERR Protocol error: invalid bulk length\r\n"],
  ["a negative length", "*1\r\n$-1\r\n", "-ERR Protocol error: invalid bulk length\r\n"],
  ["a command that is too long", "*2\r\n$4\r\nECHO\r\n$67108864\r\n", "-ERR Protocol error: invalid bulk length\r\n"],
  ["an invalid count", "*x\r\n", "-ERR Protocol error: invalid multibulk length\r\n"],
  ["too many arguments", "*1048577\r\n", "-ERR Protocol error: invalid multibulk length\r\n"],
];

Deno.test({
  name: "redis.ts sends the same replies to whole and to byte-by-byte input",
  ignore: !hasNet || !canRun(deno),
  fn: () =>
    whileServing(new URL("redis.ts", import.meta.url), ["--allow-net=127.0.0.1"], async (port) => {
      for (const [name, sent, heard] of CONVERSATIONS) {
        assertEquals(await exchange(port, fromLatin1(sent)), { text: heard, end: "end" }, name);
        const conn = await connect(port);
        conn.setNoDelay(true);
        const hearing = receive(conn);
        for (const byte of fromLatin1(sent)) if (!await send(conn, new Uint8Array([byte]))) break;
        await conn.closeWrite().catch(() => {}); // it has ended first
        assertEquals(await hearing, { text: heard, end: "end" }, `${name}, byte by byte`);
        conn.close();
        await exchange(port, command("DEL", "a", "n", ""));
      }
    }),
});
