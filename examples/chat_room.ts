/**
 * A chat room on many machines: Redis forwards each line to the members on all servers. Shows a server and a client in one
 * program, one chat that other chats depend on, and what to do when its connection is lost.
 *
 *     redis-server --port 6379
 *     deno run --allow-net examples/chat_room.ts --port 7001
 *     deno run --allow-net examples/chat_room.ts --port 7002
 *     nc 127.0.0.1 7001
 */

import { AsyncChat, type ChatTimeoutError } from "@asynchat/asynchat";
import { fail, flags, serveChats } from "./command_line.ts";

const HELP = `Usage: deno run --allow-net examples/chat_room.ts [--port 7001] [--hostname 127.0.0.1]
       [--redis 127.0.0.1:6379] [--redis-timeout 10] [--room room]
A member's first line is the member's name. When Redis is silent for the timeout, in seconds, it is sent a PING; when it
is silent for as long again, it is lost.`;

const MAX_LINE_BYTES = 1_000;
const MAX_REPLY_BYTES = 65_536;
const MAX_UNCONFIRMED = 1_000;
const [MIN_BACKOFF_MS, MAX_BACKOFF_MS] = [100, 5_000];

const members = new Set<Member>();
const broadcast = (line: string) => members.forEach((member) => member.say(line));

/**
 * A Redis client. Sends commands. Calls `onReply` with each reply that is an array, such as a message, and `onNumber` for
 * each that is a number: PUBLISH returns how many subscribers there are.
 */
class RedisClient extends AsyncChat {
  onReply: (items: string[]) => void = () => {};
  onNumber: () => void = () => {};
  #items: string[] = [];
  #missing = 0; // missing items of the current array
  #inBytes = false;
  #pingSent = false; // and nothing received since

  constructor(conn: Deno.Conn, idleTimeoutMs: number) {
    super(conn, { idleTimeoutMs, maxFrameBytes: MAX_REPLY_BYTES });
  }

  send(...words: string[]) {
    const lengths = words.map((word) => new TextEncoder().encode(word).length);
    this.push(`*${words.length}\r\n${words.map((word, i) => `$${lengths[i]}\r\n${word}\r\n`).join("")}`);
  }

  protected override handleConnect() {
    this.setTerminator("\r\n");
  }

  protected override foundTerminator() {
    this.#pingSent = false;
    const text = this.takeText();
    if (this.#inBytes) {
      this.#inBytes = false;
      this.setTerminator("\r\n");
      return this.#take(text.slice(0, -2));
    }
    const number = Number(text.slice(1));
    if (text[0] === "-") return this.close(new Error(`Redis replied with an error: ${text.slice(1)}`));
    if (text[0] === ":" && this.#missing === 0) this.onNumber();
    else if (text[0] === "*") this.#missing = number;
    else if (text[0] !== "$" || number < 0) this.#take(text.slice(1));
    else {
      this.#inBytes = true;
      this.setTerminator(number + 2);
    }
  }

  #take(item: string) {
    if (this.#missing === 0) return; // not in an array: PONG
    this.#items.push(item);
    if (--this.#missing === 0) this.onReply(this.#items.splice(0));
  }

  /** Probes an idle connection with PING, and closes it when it stays idle: the peer may be unreachable. */
  protected override handleTimeout(error: ChatTimeoutError) {
    if (this.#pingSent || error.kind !== "idle") return this.close(error);
    this.#pingSent = true;
    this.send("PING");
  }
}

/** Sends a line of a member to all servers; `null` while Redis is unreachable. */
let publish: ((line: string, member: Member) => void) | null = null;

/** Keeps two connections to Redis, one to subscribe and one to publish. Notifies the members when they are lost or restored. */
async function stayConnected(redis: string, room: string, idleTimeoutMs: number): Promise<never> {
  const [hostname, port] = redis.split(/:(?=[0-9]+$)/) as [string, string?];
  for (let backoffMs = MIN_BACKOFF_MS;; backoffMs = Math.min(2 * backoffMs, MAX_BACKOFF_MS)) {
    let cause = "it closed the connection";
    const unconfirmed: [line: string, member: Member][] = []; // sent, and not yet replied to
    try {
      const connect = async () =>
        new RedisClient(await Deno.connect({ hostname, port: Number(port ?? 6379) }), idleTimeoutMs);
      await using subscriber = await connect();
      await using publisher = await connect();
      subscriber.onReply = ([kind, , line]) => {
        if (kind === "message") return broadcast(line!);
        if (kind !== "subscribe") return;
        publisher.onNumber = () => unconfirmed.shift();
        publish = (line, member) => {
          if (unconfirmed.length === MAX_UNCONFIRMED) return member.say(`* Not sent: ${line}`);
          unconfirmed.push([line, member]);
          publisher.send("PUBLISH", room, line);
        };
        backoffMs = MIN_BACKOFF_MS;
        broadcast("* In touch with the other servers");
      };
      const finished = Promise.race([subscriber.run(), publisher.run()]);
      subscriber.send("SUBSCRIBE", room);
      await finished;
      cause = (subscriber.closeReason ?? publisher.closeReason)?.message ?? cause;
    } catch (error) {
      cause = (error as Error).message;
    }
    if (publish !== null) broadcast(`* Out of touch with the other servers: ${cause}`);
    publish = null;
    for (const [line, member] of unconfirmed) member.say(`* Maybe not sent: ${line}`);
    await new Promise((resolve) => setTimeout(resolve, backoffMs));
  }
}

/** A member of the room. */
class Member extends AsyncChat {
  #name = "";

  constructor(conn: Deno.Conn) {
    super(conn, { maxFrameBytes: MAX_LINE_BYTES, maxBufferedBytes: 1_048_576 });
  }

  say(line: string) {
    this.push(`${line}\r\n`); // a chat that is closing takes nothing
  }

  protected override handleConnect() {
    this.setTerminator(["\r\n", "\n"]);
    this.say(publish === null ? "* Alone for now. Your name?" : "* Your name?");
  }

  protected override foundTerminator() {
    const line = this.takeText().replace(/\p{Cc}/gu, " ").trim();
    if (line === "") return;
    if (this.#name !== "") return this.#send(`${this.#name}: ${line}`);
    this.#name = line.slice(0, 30);
    members.add(this);
    this.#send(`* ${this.#name} is here`);
  }

  protected override handleClose() {
    if (members.delete(this)) this.#send(`* ${this.#name} has gone`);
  }

  /** Sends a line to all members through Redis, which sends it back to this server too; without Redis, to this server's members. */
  #send(line: string) {
    (publish ?? broadcast)(line, this);
  }
}

const options = flags(HELP, {
  port: "7001",
  hostname: "127.0.0.1",
  redis: "127.0.0.1:6379",
  room: "room",
  "redis-timeout": "10",
});
const timeoutMs = 1000 * Number(options["redis-timeout"]);
if (!(timeoutMs > 0)) fail("Cannot start: expected a number of seconds above 0 as --redis-timeout");
void stayConnected(options.redis, options.room, timeoutMs);
await serveChats(options, (conn) => new Member(conn));
