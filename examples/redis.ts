/**
 * The part of a Redis server that redis-cli and redis-benchmark use. Shows a protocol that alternates between lines and
 * counts several times a command (`*2`, `$3`, three bytes, `$5`, five bytes), and how to make a chat fast.
 *
 *     deno run --allow-net examples/redis.ts --port 6380
 *     redis-cli -p 6380 set greeting hello
 */

import { Buffer } from "node:buffer";
import { AsyncChat } from "@asynchat/asynchat";
import { flags, serveChats } from "./command_line.ts";

const HELP = `Usage: deno run --allow-net examples/redis.ts [--port 6380] [--hostname 127.0.0.1]
Supports PING ECHO SET GET DEL INCR EXPIRE KEYS (with one *) QUIT, and what clients send at the start: HELLO AUTH SELECT
CLIENT INFO CONFIG COMMAND. Keeps its data in memory only.`;
const VERSION = "7.0.15"; // of the redis-server whose replies these are
const MAX_ARGUMENTS = 1_048_576; // as in redis-server 6
const MAX_NAME_BYTES = 128; // that an error message quotes
const MAX_COMMAND_BYTES = 67_108_864; // all arguments together; redis-server allows 1 GiB
const FRAMES: Record<number, "count" | "length"> = { 0x2a: "count", 0x24: "length" }; // keyed by first byte: * and $
const [CR_LF, OK, NO_INTEGER] = ["\r\n", "+OK\r\n", "-ERR value is not an integer or out of range\r\n"];
const WRONG_PASSWORD = "-WRONGPASS invalid username-password pair or user is disabled.\r\n";
const BAD_NAME = "-ERR Client names cannot contain spaces, newlines or special characters.\r\n";
/** A complete line, bytes, a list, or nothing. */
type Reply = string | Uint8Array | Reply[] | null;
/** The argument counts allowed, and the handler. */
type Command = [min: number, max: number, run: (args: Uint8Array[], chat: RedisChat) => Reply];

/** Decodes bytes as Latin-1, which keeps distinct keys distinct. */
const textOf = (bytes: Uint8Array): string =>
  bytes.length < 64 ? Reflect.apply(String.fromCharCode, null, bytes) : Buffer.from(bytes).toString("latin1");
const bytesOf = (text: string): Uint8Array => Buffer.from(text, "latin1");

/** Parses an integer as Redis does: without leading zeros, of 64 bits. */
function integerOf(bytes: Uint8Array): bigint | null {
  const text = textOf(bytes);
  const number = /^(?:0|-?[1-9][0-9]{0,18})$/.test(text) ? BigInt(text) : null;
  return number === null || number !== BigInt.asIntN(64, number) ? null : number;
}

/** Splits a line into words, which may be quoted. Returns `null` when a quote is not closed. */
function wordsOf(line: string): Uint8Array[] | null {
  const word =
    /[ \t-\r\0]*((?:[^ \t-\r\0"']|"(?:\\[^]|[^"\\])*"(?=[ \t-\r\0]|$)|'(?:\\'|(?!\\')[^'])*'(?=[ \t-\r\0]|$))*)/y;
  const words: Uint8Array[] = [];
  while (word.lastIndex < line.length) {
    const [all, quoted] = word.exec(line)!;
    if (all === "") return null;
    if (quoted !== "") words.push(bytesOf(quoted!.replace(QUOTED, (_, double, single) => unescape(double, single))));
  }
  return words;
}
const QUOTED = /"((?:\\[^]|[^"\\])*)"|'((?:\\'|(?!\\')[^'])*)'/g;
const ESCAPED: Record<string, string> = { n: "\n", r: "\r", t: "\t", b: "\b", a: "\x07" };
function unescape(double: string | undefined, single: string): string {
  if (double === undefined) return single.replaceAll("\\'", "'");
  return double.replace(
    /\\(?:x([0-9a-f]{2})|([^]))/gi,
    (_, hex, char) => hex === undefined ? ESCAPED[char] ?? char : String.fromCharCode(parseInt(hex, 16)),
  );
}

// Numbers and names are parsed in place: decoding them to text costs more than everything else. A name is five bits a letter.
function addLetter(number: number, byte: number) {
  const letter = (byte | 0x20) - 0x60; // upper or lower case
  return letter >= 1 && letter <= 26 ? 32 * number + letter : NaN;
}

/** Shared by all clients; `expires` is in milliseconds since 1970. */
const entries = new Map<string, { value: Uint8Array; expires: number }>();
function find(name: string) {
  const entry = entries.get(name);
  if (entry === undefined || entry.expires === Infinity || entry.expires > Date.now()) return entry;
  entries.delete(name);
}

/** Returns whether a name matches a KEYS pattern with at most one `*`. */
function matches(name: string, pattern: string): boolean {
  const at = pattern.indexOf("*");
  if (at < 0) return name === pattern;
  return name.length >= pattern.length - 1 && name.startsWith(pattern.slice(0, at)) &&
    name.endsWith(pattern.slice(at + 1));
}

const commands: Record<string, Command> = {
  PING: [0, 1, ([text]) => text ?? "+PONG\r\n"],
  ECHO: [1, 1, ([text]) => text!],
  GET: [1, 1, ([key]) => find(textOf(key!))?.value ?? null],
  SET: [2, Infinity, ([key, value, ...options]) => {
    if (options.length > 0) return "-ERR syntax error\r\n";
    entries.set(textOf(key!), { value: value!, expires: Infinity });
    return OK;
  }],
  DEL: [1, Infinity, (keys) => `:${keys.map(textOf).filter((name) => find(name) && entries.delete(name)).length}\r\n`],
  KEYS: [
    1,
    1,
    ([pattern]) => [...entries.keys()].filter((name) => matches(name, textOf(pattern!)) && find(name)).map(bytesOf),
  ],
  INCR: [1, 1, ([key]) => {
    const { value, expires } = find(textOf(key!)) ?? { value: bytesOf("0"), expires: Infinity };
    const number = integerOf(value);
    if (number === null) return NO_INTEGER;
    if (number === 2n ** 63n - 1n) return "-ERR increment or decrement would overflow\r\n";
    entries.set(textOf(key!), { value: bytesOf(`${number + 1n}`), expires });
    return `:${number + 1n}\r\n`;
  }],
  EXPIRE: [2, 2, ([key, seconds]) => {
    const number = integerOf(seconds!);
    if (number === null) return NO_INTEGER;
    const expires = BigInt(Date.now()) + 1000n * number;
    if (expires !== BigInt.asIntN(64, expires)) return "-ERR invalid expire time in 'expire' command\r\n";
    const entry = find(textOf(key!));
    if (entry !== undefined) entry.expires = Number(expires);
    return entry === undefined ? ":0\r\n" : ":1\r\n";
  }],
  HELLO: [0, Infinity, (args, chat) => chat.hello(args.map(textOf))],
  AUTH: [1, 2, ([user, password]) => {
    if (password !== undefined) return textOf(user!) === "default" ? OK : WRONG_PASSWORD;
    return "-ERR AUTH <password> called without any password configured for the default user. " +
      "Are you sure your configuration is correct?\r\n";
  }],
  SELECT: [1, 1, ([index]) => {
    const number = integerOf(index!);
    return number === null ? NO_INTEGER : number === 0n ? OK : "-ERR DB index is out of range\r\n";
  }],
  CLIENT: [1, Infinity, ([subcommand, name], chat) => {
    const text = textOf(subcommand!);
    if (/^id$/i.test(text) && name === undefined) return `:${chat.id}\r\n`;
    if (/^setname$/i.test(text) && name !== undefined) return /^[!-~]*$/.test(textOf(name)) ? OK : BAD_NAME;
    return `-ERR unknown subcommand '${printable(text)}'. Try CLIENT HELP.\r\n`;
  }],
  INFO: [0, Infinity, () => bytesOf(`# Server\r\nredis_version:${VERSION}\r\n`)],
  CONFIG: [0, Infinity, () => []], // clients ask at the start, an empty reply is fine
  COMMAND: [0, Infinity, () => []],
  QUIT: [0, Infinity, () => OK],
};
const known = new Map(
  Object.entries(commands).map(([name, command]) => [bytesOf(name).reduce(addLetter, 0), command]),
);

/** Cuts text for an error message, which is one line. */
const printable = (text: string, length = MAX_NAME_BYTES): string =>
  text.replace(/\0[^]*/, "").slice(0, length).replace(/[\r\n]/g, " ");

let lastId = 0;

/** One client. A command is `*<count>` and, for each argument, `$<length>` and the bytes; or a line of words. */
class RedisChat extends AsyncChat {
  readonly id = ++lastId;
  #version = 2; // of the protocol
  #frame: "new" | "count" | "length" | "name" | "argument" | "words" = "new"; // kind of the current frame
  #number = 0; // value of its digits or letters so far
  #digits = 0;
  #sign = 1;
  #sawCr = false; // behind its digits
  #left = 0; //   of a counted frame: bytes missing, without CR LF
  #missing = 0; // missing arguments, the name included
  #budget = 0; //  bytes they may still have
  #hasName = false;
  #command: Command | undefined;
  readonly #name = new Uint8Array(MAX_NAME_BYTES);
  #nameLength = 0;
  #args: Uint8Array[] = [];

  protected override handleConnect() {
    this.setTerminator("\n", ONE_LINE); // a line of words may end in LF alone
  }

  protected override collectIncomingRange(buffer: Uint8Array, start: number, end: number) {
    if (this.#frame === "new") {
      this.#frame = FRAMES[buffer[start]!] ?? "words";
      if (this.#frame !== "words") start++;
    }
    if (this.#frame === "words") return super.collectIncomingRange(buffer, start, end);
    if (this.#frame === "count" || this.#frame === "length") {
      while (start < end) this.#addDigit(buffer[start++]!);
      return;
    }
    end = Math.min(end, start + this.#left);
    this.#left -= end - start;
    if (this.#frame === "name") { while (start < end) this.#addToName(buffer[start++]!); }
    else if (start < end) return super.collectIncomingRange(buffer, start, end);
  }

  #addDigit(byte: number) {
    if (this.#sawCr) this.#number = NaN;
    else if (byte === 0x0d) this.#sawCr = true;
    else if (byte >= 0x30 && byte <= 0x39 && (this.#number !== 0 || this.#digits === 0)) {
      this.#number = 10 * this.#number + byte - 0x30;
      this.#digits++;
    } else if (byte === 0x2d && this.#digits === 0 && this.#sign === 1) this.#sign = -1;
    else this.#number = NaN;
  }

  #addToName(byte: number) {
    this.#number = addLetter(this.#number, byte);
    if (this.#nameLength < MAX_NAME_BYTES) this.#name[this.#nameLength++] = byte;
  }

  protected override foundTerminator() {
    const frame = this.#frame;
    this.#frame = "new";
    if (frame === "argument" || frame === "name") {
      if (frame === "argument") this.#args.push(this.takeData());
      else {
        this.#command = known.get(this.#number);
        this.#number = 0;
      }
      this.setTerminator("\n", ONE_LINE);
      if (--this.#missing === 0) this.#run(this.#args);
      return;
    }
    if (frame === "words" || frame === "new") {
      const line = this.takeData();
      return this.#missing > 0 ? this.#refuse(`expected '$', got '${got(line[0])}'`) : this.#runLine(line);
    }
    const isNumber = this.#sawCr && this.#digits > 0 && (this.#sign > 0 || this.#number !== 0);
    const number = isNumber ? this.#sign * this.#number : NaN;
    this.#number = this.#digits = 0;
    this.#sign = 1;
    this.#sawCr = false;
    if (this.#missing === 0 && frame === "count") {
      if (!(number <= MAX_ARGUMENTS)) return this.#refuse("invalid multibulk length");
      this.#missing = Math.max(number, 0);
      this.#budget = MAX_COMMAND_BYTES;
    } else if (this.#missing > 0) {
      if (frame === "count") return this.#refuse("expected '$', got '*'");
      if (!(number >= 0 && number <= this.#budget)) return this.#refuse("invalid bulk length");
      this.#frame = this.#hasName ? "argument" : "name";
      this.#hasName = true;
      this.#budget -= this.#left = number;
      this.setTerminator(number + 2, ONE_ARGUMENT); // with the trailing CR LF
    }
  }

  protected override frameTooLong() {
    const kind = { count: "mbulk count string", length: "bulk count string" }[this.#frame as string] ??
      "inline request";
    this.#refuse(`too big ${kind}`);
  }

  /** Runs a line of words. */
  #runLine(line: Uint8Array) {
    const words = wordsOf(textOf(line));
    if (words === null) return this.#refuse("unbalanced quotes in request");
    const [name, ...args] = words;
    if (name === undefined) return;
    for (const byte of name) this.#addToName(byte);
    [this.#command, this.#number] = [known.get(this.#number), 0];
    this.#run(args);
  }

  #refuse(why: string) {
    this.push(bytesOf(`-ERR Protocol error: ${why}\r\n`));
    this.closeWhenDone();
  }

  #run(args: Uint8Array[]) {
    const command = this.#command;
    const nameLength = this.#nameLength;
    this.#command = undefined;
    this.#args = [];
    this.#nameLength = 0;
    this.#hasName = false;
    if (command !== undefined && args.length >= command[0] && args.length <= command[1]) {
      this.#reply(command[2](args, this));
    } else {
      const name = textOf(this.#name.slice(0, nameLength));
      if (command === undefined) return this.#rejectCommand(name, args);
      this.push(`-ERR wrong number of arguments for '${name.toLowerCase()}' command\r\n`);
    }
    if (command === commands.QUIT) this.closeWhenDone();
  }

  #rejectCommand(name: string, args: Uint8Array[]) {
    // A web page can send a POST to any port of this machine. As redis-server, do not run what may follow.
    if (/^(?:post|host:)$/i.test(name)) return this.close();
    let quoted = "";
    for (const arg of args) if (quoted.length < 128) quoted += `'${printable(textOf(arg), 128 - quoted.length)}' `;
    this.push(bytesOf(`-ERR unknown command '${printable(name)}', with args beginning with: ${quoted}\r\n`));
  }

  /** Switches the version of the protocol: `HELLO [version [AUTH user password] [SETNAME name]]`. */
  hello([version, ...options]: string[]): Reply {
    if (version !== undefined) {
      const number = integerOf(bytesOf(version));
      if (number === null) return "-ERR Protocol version is not an integer or out of range\r\n";
      if (number !== 2n && number !== 3n) return "-NOPROTO unsupported protocol version\r\n";
      let user = "default";
      while (options.length > 0) {
        const [option, first, second] = options;
        if (/^auth$/i.test(option!) && second !== undefined) [user] = [first!, options.splice(0, 3)];
        else if (!/^setname$/i.test(option!) || first === undefined) {
          return `-ERR Syntax error in HELLO option '${printable(option!)}'\r\n`;
        } else if (!/^[!-~]*$/.test(first)) return BAD_NAME;
        else options.splice(0, 2);
      }
      if (user !== "default") return WRONG_PASSWORD;
      this.#version = Number(number);
    }
    this.push(this.#version === 3 ? "%7\r\n" : "*14\r\n");
    const pairs: [string, Reply][] = [
      ["server", bytesOf("redis")],
      ["version", bytesOf(VERSION)],
      ["proto", `:${this.#version}\r\n`],
      ["id", `:${this.id}\r\n`],
      ["mode", bytesOf("standalone")],
      ["role", bytesOf("master")],
    ];
    for (const [key, value] of pairs) (this.#reply(bytesOf(key)), this.#reply(value));
    this.#reply(bytesOf("modules"));
    return [];
  }

  #reply(reply: Reply) {
    if (reply === null) this.push(this.#version === 3 ? "_\r\n" : "$-1\r\n");
    else if (typeof reply === "string") this.push(reply);
    else {
      this.push(`${Array.isArray(reply) ? "*" : "$"}${reply.length}\r\n`);
      if (Array.isArray(reply)) return reply.forEach((each) => this.#reply(each));
      this.push(reply);
      this.push(CR_LF);
    }
  }
}

const ONE_LINE = { onTooLong: "discard" } as const; // 64 KiB, as redis-server
const ONE_ARGUMENT = { maxFrameBytes: MAX_COMMAND_BYTES + 2 };
const got = (byte = 0x0d) => printable(String.fromCharCode(byte));

await serveChats(flags(HELP, { port: "6380", hostname: "127.0.0.1" }), (conn) => new RedisChat(conn));
