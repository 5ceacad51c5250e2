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
Supports PING ECHO SET GET DEL INCR EXPIRE KEYS (with one *) CONFIG COMMAND QUIT. Keeps its data in memory only.`;
const MAX_ARGUMENTS = 1_048_576; // as in redis-server
const MAX_COMMAND_BYTES = 67_108_864; // all arguments together; redis-server allows 1 GiB
const FRAMES: Record<number, "count" | "length"> = { 0x2a: "count", 0x24: "length" }; // keyed by first byte: * and $
const [CR_LF, OK] = ["\r\n", "+OK\r\n"];
const [NO_INTEGER, WRONG_COUNT] = ["-ERR value is not an integer\r\n", "-ERR wrong number of arguments\r\n"];
/** The argument counts allowed, and the handler. A reply is a complete line, bytes, or a list of bytes. */
type Command = [min: number, max: number, run: (args: Uint8Array[]) => string | Uint8Array | Uint8Array[]];

/** Decodes bytes as Latin-1, which keeps distinct keys distinct. */
const textOf = (bytes: Uint8Array): string =>
  bytes.length < 64 ? Reflect.apply(String.fromCharCode, null, bytes) : Buffer.from(bytes).toString("latin1");
const bytesOf = (text: string): Uint8Array => Buffer.from(text, "latin1");

// Numbers and names are parsed in place: decoding them to text costs more than everything else. A name is five bits a letter.
const addDigit = (number: number, byte: number) => byte >= 0x30 && byte <= 0x39 ? 10 * number + byte - 0x30 : Infinity;
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
  GET: [1, 1, ([key]) => find(textOf(key!))?.value ?? "$-1\r\n"],
  SET: [2, 2, ([key, value]) => (entries.set(textOf(key!), { value: value!, expires: Infinity }), OK)],
  DEL: [1, Infinity, (keys) => `:${keys.map(textOf).filter((name) => find(name) && entries.delete(name)).length}\r\n`],
  KEYS: [
    1,
    1,
    ([pattern]) => [...entries.keys()].filter((name) => matches(name, textOf(pattern!)) && find(name)).map(bytesOf),
  ],
  INCR: [1, 1, ([key]) => {
    const { value, expires } = find(textOf(key!)) ?? { value: bytesOf("0"), expires: Infinity };
    const next = Number(textOf(value)) + 1;
    if (`${next - 1}` !== textOf(value) || !Number.isSafeInteger(next)) return NO_INTEGER;
    entries.set(textOf(key!), { value: bytesOf(`${next}`), expires });
    return `:${next}\r\n`;
  }],
  EXPIRE: [2, 2, ([key, seconds]) => {
    if (!/^-?[0-9]{1,12}$/.test(textOf(seconds!))) return NO_INTEGER;
    const entry = find(textOf(key!));
    if (entry !== undefined) entry.expires = Date.now() + 1000 * Number(textOf(seconds!));
    return entry === undefined ? ":0\r\n" : ":1\r\n";
  }],
  CONFIG: [0, Infinity, () => []], // clients ask at the start, an empty reply is fine
  COMMAND: [0, Infinity, () => []],
  QUIT: [0, Infinity, () => OK],
};
const UNKNOWN: Command = [0, Infinity, () => "-ERR unknown command\r\n"];
const known = new Map(Object.keys(commands).map((name) => [bytesOf(name).reduce(addLetter, 0), commands[name]]));

/** One client. A command is `*<count>` and, for each argument, `$<length>` and the bytes; or a line of words. */
class RedisChat extends AsyncChat {
  #frame: "new" | "count" | "length" | "name" | "argument" | "words" = "new"; // kind of the current frame
  #number = 0; // value of its digits or letters so far
  #left = 0; //   of a counted frame: bytes missing, without CR LF
  #missing = 0; // missing arguments, the name included
  #budget = 0; //  bytes they may still have
  #command: Command | null = null;
  #args: Uint8Array[] = [];

  protected override handleConnect() {
    this.setTerminator(CR_LF);
  }

  protected override collectIncomingRange(buffer: Uint8Array, start: number, end: number) {
    if (this.#frame === "new") {
      this.#frame = FRAMES[buffer[start]!] ?? "words";
      if (this.#frame !== "words") start++;
    }
    if (this.#frame === "words") return super.collectIncomingRange(buffer, start, end);
    if (this.#frame === "count" || this.#frame === "length") {
      while (start < end) this.#number = addDigit(this.#number, buffer[start++]!);
      return;
    }
    end = Math.min(end, start + this.#left);
    this.#left -= end - start;
    if (this.#frame === "name") { while (start < end) this.#number = addLetter(this.#number, buffer[start++]!); }
    else if (start < end) return super.collectIncomingRange(buffer, start, end);
  }

  protected override foundTerminator() {
    const [frame, number] = [this.#frame, this.#number];
    [this.#frame, this.#number] = ["new", 0];
    if (frame === "argument" || frame === "name") {
      if (frame === "name") this.#command = known.get(number) ?? UNKNOWN;
      else this.#args.push(this.takeData());
      this.setTerminator(CR_LF);
      if (--this.#missing === 0) this.#run(this.#command!);
    } else if (this.#missing > 0) {
      if (frame !== "length" || number > this.#budget) return this.#refuse("invalid bulk length");
      this.#frame = this.#command === null ? "name" : "argument";
      this.#budget -= this.#left = number;
      this.setTerminator(number + 2, { maxFrameBytes: MAX_COMMAND_BYTES + 2 }); // with the trailing CR LF
    } else if (frame === "count") {
      if (number > MAX_ARGUMENTS) return this.#refuse("invalid multibulk length");
      [this.#missing, this.#budget] = [number, MAX_COMMAND_BYTES];
    } else {
      const line = this.takeData();
      const words = line.some((byte) => byte <= 0x20) ? textOf(line).trim().split(/\s+/).map(bytesOf) : [line];
      if (words[0]!.length > 0) this.#run(known.get(words[0]!.reduce(addLetter, 0)), words.slice(1));
    }
  }

  #refuse(why: string) {
    this.push(`-ERR Protocol error: ${why}\r\n`);
    this.closeWhenDone();
  }
  #run(command = UNKNOWN, args = this.#args) {
    [this.#command, this.#args] = [null, []];
    const [min, max, run] = command;
    this.#reply(args.length < min || args.length > max ? WRONG_COUNT : run(args));
    if (command === commands.QUIT) this.closeWhenDone();
  }
  #reply(reply: ReturnType<Command[2]>) {
    if (typeof reply === "string") return this.push(reply);
    this.push(`${Array.isArray(reply) ? "*" : "$"}${reply.length}\r\n`);
    if (Array.isArray(reply)) return reply.forEach((each) => this.#reply(each));
    this.push(reply);
    this.push(CR_LF);
  }
}

await serveChats(flags(HELP, { port: "6380", hostname: "127.0.0.1" }), (conn) => new RedisChat(conn));
