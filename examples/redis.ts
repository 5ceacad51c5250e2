/**
 * A Redis server, as far as redis-cli and redis-benchmark go. Shows a protocol that changes from lines to counts and back
 * several times a command: `*2`, `$3`, three bytes, `$5`, five bytes. Needs `--allow-net`.
 *
 *     deno run --allow-net examples/redis.ts --port 6380
 *     redis-cli -p 6380 set greeting hello
 */

import { AsyncChat } from "@asynchat/asynchat";
import { flags, serveChats } from "./command_line.ts";

const HELP = `Usage: deno run --allow-net examples/redis.ts [--port 6380] [--hostname 127.0.0.1]
Knows PING ECHO SET GET DEL INCR EXPIRE KEYS CONFIG COMMAND QUIT. Keeps nothing when it ends.`;

const MOST_ARGUMENTS = 1_048_576; // as redis-server
const LARGEST_COMMAND = 67_108_864; // of all its arguments; redis-server stops at 1 GiB
const [STAR, DOLLAR, ZERO, CR_LF] = [0x2a, 0x24, 0x30, "\r\n"];

/** What a command answers: a line, bytes, none, or several of them. */
type Answer = string | Uint8Array | null | Uint8Array[];
type Command = [least: number, most: number, run: (...args: Uint8Array[]) => Answer];

const latin1 = new TextDecoder("latin1");
/** Bytes as text, one char each, so that no two keys become one. */
const textOf = (bytes: Uint8Array) => bytes.length < 32 ? String.fromCharCode(...bytes) : latin1.decode(bytes);
const bytesOf = (text: string) => Uint8Array.from(text, (char) => char.charCodeAt(0));

/** What all clients share; `expires` is in milliseconds since 1970. */
const entries = new Map<string, { value: Uint8Array; expires: number }>();

function find(name: string) {
  const entry = entries.get(name);
  if (entry === undefined || entry.expires > Date.now()) return entry;
  entries.delete(name);
}

/** Whether a name fits a pattern of KEYS, with `*` and `?`; the work is in proportion to both. */
function fits(name: string, pattern: string): boolean {
  let [at, star, behind] = [0, -1, 0];
  for (let i = 0; i < name.length;) {
    if (pattern[at] === "*") [star, behind] = [at++, i];
    else if (pattern[at] === "?" || pattern[at] === name[i]) [at, i] = [at + 1, i + 1];
    else if (star < 0) return false;
    else [at, i] = [star + 1, ++behind];
  }
  return /^\**$/.test(pattern.slice(at));
}

const commands = new Map<string, Command>(Object.entries({
  PING: [0, 1, (text) => text ?? "+PONG"],
  ECHO: [1, 1, (text) => text!],
  GET: [1, 1, (key) => find(textOf(key!))?.value ?? null],
  DEL: [1, Infinity, (...keys) => `:${keys.map(textOf).filter((name) => find(name) && entries.delete(name)).length}`],
  KEYS: [1, 1, (pattern) => {
    const names = [...entries.keys()].filter((name) => fits(name, textOf(pattern!)) && find(name));
    return names.map(bytesOf);
  }],
  CONFIG: [0, Infinity, () => []], // what clients ask first, and can do without
  COMMAND: [0, Infinity, () => []],
  SET: [2, 2, (key, value) => {
    entries.set(textOf(key!), { value: value!, expires: Infinity });
    return "+OK";
  }],
  INCR: [1, 1, (key) => {
    const { value, expires } = find(textOf(key!)) ?? { value: bytesOf("0"), expires: Infinity };
    const next = Number(textOf(value)) + 1;
    if (`${next - 1}` !== textOf(value) || !Number.isSafeInteger(next)) return "-ERR value is not an integer";
    entries.set(textOf(key!), { value: bytesOf(`${next}`), expires });
    return `:${next}`;
  }],
  EXPIRE: [2, 2, (key, seconds) => {
    if (!/^-?[0-9]{1,12}$/.test(textOf(seconds!))) return "-ERR value is not an integer";
    const entry = find(textOf(key!));
    if (entry !== undefined) entry.expires = Date.now() + 1000 * Number(textOf(seconds!));
    return entry === undefined ? ":0" : ":1";
  }],
}));

/** One client. A command is `*<count>` and, for each argument, `$<length>` and the bytes; or a line of words. */
class RedisChat extends AsyncChat {
  #given: Uint8Array[] = [];
  #toCome = 0; //           arguments of the command that has begun
  #room = 0; //             for the bytes of those to come
  #inArgument = false;
  #kind = 0; //             the first byte of the line
  #number = NaN; //         what stands behind it; more than any limit where that is no number

  protected override handleConnect() {
    this.setTerminator(CR_LF);
  }

  /** Numbers are read where they lie: to make text of them takes longer than all the rest. */
  protected override collectIncomingRange(buffer: Uint8Array, start: number, end: number) {
    if (this.#inArgument) return super.collectIncomingRange(buffer, start, end);
    if (this.#kind === 0) this.#kind = buffer[start]!;
    if (this.#kind !== STAR && this.#kind !== DOLLAR) return super.collectIncomingRange(buffer, start, end);
    if (Number.isNaN(this.#number)) [this.#number, start] = [0, start + 1]; // the kind itself
    for (; start < end; start++) {
      const digit = buffer[start]! - ZERO;
      this.#number = digit >= 0 && digit <= 9 ? 10 * this.#number + digit : Infinity;
    }
  }

  protected override foundTerminator() {
    const [kind, number] = [this.#kind, this.#number];
    [this.#kind, this.#number] = [0, NaN];
    if (this.#inArgument) {
      this.#given.push(this.takeData().subarray(0, -2));
      this.#inArgument = false;
      this.setTerminator(CR_LF);
      if (--this.#toCome === 0) this.#run();
    } else if (this.#toCome > 0) {
      if (kind !== DOLLAR || !(number <= this.#room)) return this.#refuse("invalid bulk length");
      this.#inArgument = true;
      this.#room -= number;
      this.setTerminator(number + 2, { maxFrameBytes: LARGEST_COMMAND + 2 }); // with the line end behind it
    } else if (kind === STAR) {
      if (!(number <= MOST_ARGUMENTS)) return this.#refuse("invalid multibulk length");
      [this.#toCome, this.#room] = [number, LARGEST_COMMAND];
    } else {
      this.#given = this.takeText().split(/\s+/).filter((word) => word !== "").map(bytesOf);
      if (this.#given.length > 0) this.#run();
    }
  }

  #refuse(why: string) {
    this.push(`-ERR Protocol error: ${why}\r\n`);
    this.closeWhenDone();
  }

  #run() {
    const [name, ...rest] = this.#given as [Uint8Array, ...Uint8Array[]];
    this.#given = [];
    const known = commands.get(textOf(name)) ?? commands.get(textOf(name).toUpperCase());
    if (known === undefined) {
      if (!/^quit$/i.test(textOf(name))) return this.#answer("-ERR unknown command");
      this.#answer("+OK");
      return this.closeWhenDone();
    }
    const [least, most, run] = known;
    this.#answer(rest.length < least || rest.length > most ? "-ERR wrong number of arguments" : run(...rest));
  }

  #answer(answer: Answer) {
    if (answer === null) return this.push("$-1\r\n");
    if (typeof answer === "string") return this.push(answer + CR_LF);
    this.push(`${Array.isArray(answer) ? "*" : "$"}${answer.length}\r\n`);
    if (Array.isArray(answer)) return answer.forEach((each) => this.#answer(each));
    this.push(answer);
    this.push(CR_LF);
  }
}

const options = flags(HELP, { port: "6380", hostname: "127.0.0.1" });
await serveChats(options, (conn) => new RedisChat(conn));
