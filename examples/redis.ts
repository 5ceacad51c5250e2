/**
 * A Redis server, as far as redis-cli and redis-benchmark go. Shows a protocol that changes from lines to counts and back
 * several times a command (`*2`, `$3`, three bytes, `$5`, five bytes), and how to go fast. Needs `--allow-net`.
 *
 *     deno run --allow-net examples/redis.ts --port 6380
 *     redis-cli -p 6380 set greeting hello
 */

import { Buffer } from "node:buffer";
import { AsyncChat } from "@asynchat/asynchat";
import { flags, serveChats } from "./command_line.ts";

const HELP = `Usage: deno run --allow-net examples/redis.ts [--port 6380] [--hostname 127.0.0.1]
Knows PING ECHO SET GET DEL INCR EXPIRE KEYS (of one *) CONFIG COMMAND QUIT. Keeps nothing when it ends.`;
const MOST_ARGUMENTS = 1_048_576; // as redis-server
const LARGEST_COMMAND = 67_108_864; // of all its arguments; redis-server stops at 1 GiB
const FRAMES: Record<number, "count" | "length"> = { 0x2a: "count", 0x24: "length" }; // by their first byte, * and $
const [CR_LF, OK] = ["\r\n", "+OK\r\n"];
const [NO_INTEGER, WRONG_COUNT] = ["-ERR value is not an integer\r\n", "-ERR wrong number of arguments\r\n"];
/** How many arguments, and what to do: the answer is a line as it is, bytes, or several of them. */
type Command = [least: number, most: number, run: (given: Uint8Array[]) => string | Uint8Array | Uint8Array[]];

/** Bytes as text, one char each, so that no two keys become one. */
const textOf = (bytes: Uint8Array): string =>
  bytes.length < 64 ? Reflect.apply(String.fromCharCode, null, bytes) : Buffer.from(bytes).toString("latin1");
const bytesOf = (text: string): Uint8Array => Buffer.from(text, "latin1");

// Numbers and names are read where they lie: to make text of them takes longer than all the rest. A name is five bits a letter.
const addDigit = (number: number, byte: number) => byte >= 0x30 && byte <= 0x39 ? 10 * number + byte - 0x30 : Infinity;
function addLetter(number: number, byte: number) {
  const letter = (byte | 0x20) - 0x60; // large or small
  return letter >= 1 && letter <= 26 ? 32 * number + letter : NaN;
}

/** What all clients share; `expires` is in milliseconds since 1970. */
const entries = new Map<string, { value: Uint8Array; expires: number }>();
function find(name: string) {
  const entry = entries.get(name);
  if (entry === undefined || entry.expires === Infinity || entry.expires > Date.now()) return entry;
  entries.delete(name);
}

/** Whether a name fits a pattern of KEYS, as far as one `*` goes. */
function fits(name: string, like: string): boolean {
  const at = like.indexOf("*");
  if (at < 0) return name === like;
  return name.length >= like.length - 1 && name.startsWith(like.slice(0, at)) && name.endsWith(like.slice(at + 1));
}

const commands: Record<string, Command> = {
  PING: [0, 1, ([text]) => text ?? "+PONG\r\n"],
  ECHO: [1, 1, ([text]) => text!],
  GET: [1, 1, ([key]) => find(textOf(key!))?.value ?? "$-1\r\n"],
  SET: [2, 2, ([key, value]) => (entries.set(textOf(key!), { value: value!, expires: Infinity }), OK)],
  DEL: [1, Infinity, (keys) => `:${keys.map(textOf).filter((name) => find(name) && entries.delete(name)).length}\r\n`],
  KEYS: [1, 1, ([like]) => [...entries.keys()].filter((name) => fits(name, textOf(like!)) && find(name)).map(bytesOf)],
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
  CONFIG: [0, Infinity, () => []], // what clients ask first, and can do without
  COMMAND: [0, Infinity, () => []],
  QUIT: [0, Infinity, () => OK],
};
const UNKNOWN: Command = [0, Infinity, () => "-ERR unknown command\r\n"];
const known = new Map(Object.keys(commands).map((name) => [bytesOf(name).reduce(addLetter, 0), commands[name]]));

/** One client. A command is `*<count>` and, for each argument, `$<length>` and the bytes; or a line of words. */
class RedisChat extends AsyncChat {
  #frame: "new" | "count" | "length" | "name" | "argument" | "words" = "new"; // what the current one is
  #number = 0; // what is being read of it, where it is one
  #left = 0; //   bytes to come of it, where it was counted, without the line end
  #toCome = 0; // arguments of the command that has begun, its name included
  #room = 0; //   for their bytes
  #command: Command | null = null;
  #given: Uint8Array[] = [];

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
      else this.#given.push(this.takeData());
      this.setTerminator(CR_LF);
      if (--this.#toCome === 0) this.#run(this.#command!);
    } else if (this.#toCome > 0) {
      if (frame !== "length" || number > this.#room) return this.#refuse("invalid bulk length");
      this.#frame = this.#command === null ? "name" : "argument";
      this.#room -= this.#left = number;
      this.setTerminator(number + 2, { maxFrameBytes: LARGEST_COMMAND + 2 }); // with the line end behind it
    } else if (frame === "count") {
      if (number > MOST_ARGUMENTS) return this.#refuse("invalid multibulk length");
      [this.#toCome, this.#room] = [number, LARGEST_COMMAND];
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
  #run(command = UNKNOWN, given = this.#given) {
    [this.#command, this.#given] = [null, []];
    const [least, most, run] = command;
    this.#answer(given.length < least || given.length > most ? WRONG_COUNT : run(given));
    if (command === commands.QUIT) this.closeWhenDone();
  }
  #answer(answer: ReturnType<Command[2]>) {
    if (typeof answer === "string") return this.push(answer);
    this.push(`${Array.isArray(answer) ? "*" : "$"}${answer.length}\r\n`);
    if (Array.isArray(answer)) return answer.forEach((each) => this.#answer(each));
    this.push(answer);
    this.push(CR_LF);
  }
}

await serveChats(flags(HELP, { port: "6380", hostname: "127.0.0.1" }), (conn) => new RedisChat(conn));
