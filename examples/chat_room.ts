/**
 * A chat room on many machines: whoever is connected to any of its servers hears what is said on all of them, by way of Redis.
 * Shows both sides in one program, one chat that other chats depend on, and what to do when it is gone.
 *
 *     redis-server --port 6379
 *     deno run --allow-net examples/chat_room.ts --port 7001
 *     deno run --allow-net examples/chat_room.ts --port 7002
 *     nc 127.0.0.1 7001
 */

import { AsyncChat, type ChatTimeoutError } from "@asynchat/asynchat";
import { flags, serveChats } from "./command_line.ts";

const HELP = `Usage: deno run --allow-net examples/chat_room.ts [--port 7001] [--hostname 127.0.0.1]
       [--redis 127.0.0.1:6379] [--room room]
The first line that a member says is the name.`;

const LONGEST_LINE = 1_000;
const LONGEST_REPLY = 65_536;
const [FIRST_PAUSE_MS, LONGEST_PAUSE_MS, SILENCE_MS] = [100, 5_000, 10_000];

const members = new Set<Member>();
const tellAll = (line: string) => members.forEach((member) => member.say(line));

/** A client of Redis: sends commands, and gives each answer that is an array, such as a message, to `onAnswer`. */
class RedisClient extends AsyncChat {
  onAnswer: (items: string[]) => void = () => {};
  #items: string[] = [];
  #toCome = 0; //      items of an array that has begun
  #inBytes = false;
  #isAsked = false; // whether it lives, and has not said so yet

  constructor(conn: Deno.Conn) {
    super(conn, { idleTimeoutMs: SILENCE_MS, maxFrameBytes: LONGEST_REPLY });
  }

  send(...words: string[]) {
    const lengths = words.map((word) => new TextEncoder().encode(word).length);
    this.push(`*${words.length}\r\n${words.map((word, i) => `$${lengths[i]}\r\n${word}\r\n`).join("")}`);
  }

  protected override handleConnect() {
    this.setTerminator("\r\n");
  }

  protected override foundTerminator() {
    this.#isAsked = false;
    const text = this.takeText();
    if (this.#inBytes) {
      this.#inBytes = false;
      this.setTerminator("\r\n");
      return this.#take(text.slice(0, -2));
    }
    const number = Number(text.slice(1));
    if (text[0] === "-") return this.close(new Error(`Redis says ${text.slice(1)}`));
    if (text[0] === "*") this.#toCome = number;
    else if (text[0] !== "$" || number < 0) this.#take(text.slice(1));
    else {
      this.#inBytes = true;
      this.setTerminator(number + 2);
    }
  }

  #take(item: string) {
    if (this.#toCome === 0) return; // an answer that is no array: a PUBLISH was heard by so many
    this.#items.push(item);
    if (--this.#toCome === 0) this.onAnswer(this.#items.splice(0));
  }

  /** Silence may be the end of a cable: it is asked, and gone if it is silent still. */
  protected override handleTimeout(error: ChatTimeoutError) {
    if (this.#isAsked || error.kind !== "idle") return this.close(error);
    this.#isAsked = true;
    this.send("PING");
  }
}

/** Says where all servers hear it; `null` while Redis is gone. */
let publish: ((line: string) => void) | null = null;

/** Keeps two connections to Redis, one to hear and one to say, and tells the members when they are lost and found. */
async function keepInTouch(redis: string, room: string): Promise<never> {
  const [hostname, port] = redis.split(/:(?=[0-9]+$)/) as [string, string?];
  for (let pauseMs = FIRST_PAUSE_MS;; pauseMs = Math.min(2 * pauseMs, LONGEST_PAUSE_MS)) {
    let why = "it has ended the connection";
    try {
      const connect = async () => new RedisClient(await Deno.connect({ hostname, port: Number(port ?? 6379) }));
      await using hearing = await connect();
      await using saying = await connect();
      hearing.onAnswer = ([kind, , what]) => {
        if (kind === "message") return tellAll(what!);
        if (kind !== "subscribe") return;
        publish = (line) => saying.send("PUBLISH", room, line);
        pauseMs = FIRST_PAUSE_MS;
        tellAll("* In touch with the other servers");
      };
      const over = Promise.race([hearing.run(), saying.run()]);
      hearing.send("SUBSCRIBE", room);
      await over;
      why = (hearing.closeReason ?? saying.closeReason)?.message ?? why;
    } catch (error) {
      why = (error as Error).message;
    }
    if (publish !== null) tellAll(`* Out of touch with the other servers: ${why}`);
    publish = null;
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
}

/** Somebody in the room. */
class Member extends AsyncChat {
  #name = "";

  constructor(conn: Deno.Conn) {
    super(conn, { maxFrameBytes: LONGEST_LINE, maxBufferedBytes: 1_048_576 });
  }

  say(line: string) {
    this.push(`${line}\r\n`);
  }

  protected override handleConnect() {
    this.setTerminator(["\r\n", "\n"]);
    this.say(publish === null ? "* Alone for now. Your name?" : "* Your name?");
  }

  protected override foundTerminator() {
    const line = this.takeText().replace(/\p{Cc}/gu, " ").trim();
    if (line === "") return;
    if (this.#name !== "") return this.#tell(`${this.#name}: ${line}`);
    this.#name = line.slice(0, 30);
    members.add(this);
    this.#tell(`* ${this.#name} is here`);
  }

  protected override handleClose() {
    if (members.delete(this)) this.#tell(`* ${this.#name} has gone`);
  }

  /** To all, by way of Redis, which tells this server too; or, while it is gone, to those who are here. */
  #tell(line: string) {
    (publish ?? tellAll)(line);
  }
}

const options = flags(HELP, { port: "7001", hostname: "127.0.0.1", redis: "127.0.0.1:6379", room: "room" });
void keepInTouch(options.redis, options.room);
await serveChats(options, (conn) => new Member(conn));
