/**
 * A small IRC server: nicknames, channels, messages. Shows chats that push to each other, and two line terminators.
 *
 *     deno run --allow-net examples/irc.ts --port 6667
 *     ii -s 127.0.0.1 -p 6667 -n me
 */

import { AsyncChat } from "@asynchat/asynchat";
import { flags, serveChats } from "./command_line.ts";

const HELP = `Usage: deno run --allow-net examples/irc.ts [--port 6667] [--hostname 127.0.0.1]
Supports NICK USER JOIN PART PRIVMSG NOTICE PING QUIT of RFC 1459 and 2812.`;

const HOST = "irc.example";
const [MAX_LINE_BYTES, MAX_CHANNELS] = [512, 50]; // RFC 1459, 2.3: the line with its end
const MAX_USER_LENGTH = 10;
const ISUPPORT = `CASEMAPPING=rfc1459 CHANTYPES=# CHANLIMIT=#:${MAX_CHANNELS} CHANNELLEN=50 NICKLEN=30`;
const NICKNAME = /^[A-Za-z[\]\\`_^{|}][A-Za-z0-9[\]\\`_^{|}-]{0,29}$/;
const CHANNEL = /^#[!-+\--9;-~]{1,49}$/; // no space, comma or colon

interface Channel {
  name: string;
  members: Set<IrcChat>;
}

const users = new Map<string, IrcChat>(); //    keyed by folded nickname
const channels = new Map<string, Channel>(); // keyed by folded name

/** Folds the case of a name: `{}|~` are the lower case of `[]\^` (RFC 1459, 2.2). */
const fold = (name: string) => name.replace(/[A-^]/g, (char) => String.fromCharCode(char.charCodeAt(0) + 32));

/** Encodes a line. Cuts it, between two characters, to what RFC 1459 allows. */
function encodeLine(line: string): Uint8Array {
  const bytes = new Uint8Array(MAX_LINE_BYTES);
  const { written } = new TextEncoder().encodeInto(line, bytes.subarray(0, MAX_LINE_BYTES - 2));
  bytes.set([0x0d, 0x0a], written);
  return bytes.subarray(0, written + 2);
}

class IrcChat extends AsyncChat {
  nick = "";
  #user = "";
  #isWelcome = false;
  readonly #joined = new Set<Channel>();

  constructor(conn: Deno.Conn) {
    super(conn, { idleTimeoutMs: 180_000, maxFrameBytes: MAX_LINE_BYTES - 2, maxBufferedBytes: 1_048_576 });
  }

  protected override handleConnect() {
    this.setTerminator(["\r\n", "\n"], { onTooLong: "discard" }); // many clients send a lone LF
  }

  protected override foundTerminator() {
    const line = this.takeText().replace(/[\r\0]/g, " "); // a line has neither (RFC 1459, 2.3.1)
    // [":" prefix] command {parameter} [":" trailing]; the prefix that a client sends is ignored. Only " " is a space.
    const [, command = "", middle = "", trailing] =
      /^(?::[^ ]+ +)?([^ ]+)((?: +[^ :][^ ]*)*)(?: +:([^]*))? *$/.exec(line) ?? [];
    const parameters = middle.split(/ +/).filter((word) => word !== "");
    if (trailing !== undefined) parameters.push(trailing);
    if (command !== "") this.#command(command.toUpperCase(), parameters);
  }

  protected override frameTooLong() {
    this.#reply("417", ":Input line was too long");
  }

  protected override handleClose(reason?: Error) {
    this.#sendToPeers(`QUIT :${reason?.message.replace(/[\r\n]/g, " ") ?? "Gone"}`);
    for (const channel of this.#joined) this.#leave(channel);
    if (users.get(fold(this.nick)) === this) users.delete(fold(this.nick));
  }

  say(line: string) {
    this.push(encodeLine(line)); // a chat that is closing takes nothing
  }

  get #prefix() {
    return `:${this.nick}!${this.#user}@${HOST}`;
  }

  #reply(code: string, text: string) {
    this.say(`:${HOST} ${code} ${this.nick || "*"} ${text}`);
  }

  /** Sends a message once to each other user who shares a channel with this one. */
  #sendToPeers(message: string) {
    const others = new Set([...this.#joined].flatMap(({ members }) => [...members]));
    for (const other of others) if (other !== this) other.say(`${this.#prefix} ${message}`);
  }

  #leave(channel: Channel) {
    this.#joined.delete(channel);
    channel.members.delete(this);
    if (channel.members.size === 0) channels.delete(fold(channel.name));
  }

  #command(command: string, [first = "", second = ""]: string[]) {
    if (command === "PING") return this.say(`:${HOST} PONG ${HOST} :${first}`);
    if (command === "NICK") return this.#setNick(first);
    if (command === "USER" && this.#user === "") {
      return (this.#user = first.replace(/[^\w-]/g, "").slice(0, MAX_USER_LENGTH) || "user", this.#welcome());
    }
    if (command === "CAP" || command === "PONG") return;
    if (command === "QUIT") return (this.say(`ERROR :Bye`), this.closeWhenDone());
    if (!this.#isWelcome) return this.#reply("451", ":You have not registered");
    const channel = channels.get(fold(first));
    const isMember = channel !== undefined && channel.members.has(this);
    switch (command) {
      case "JOIN":
        return first.split(",").forEach((name) => this.#join(name));
      case "PART":
        if (!isMember) return this.#reply("442", `${first} :You're not on that channel`);
        for (const member of channel.members) member.say(`${this.#prefix} PART ${channel.name} :${second}`);
        return this.#leave(channel);
      case "PRIVMSG":
      case "NOTICE": {
        if (second === "") return command === "PRIVMSG" && this.#reply("412", ":No text to send");
        const line = `${this.#prefix} ${command} ${first} :${second}`;
        if (isMember) return channel.members.forEach((member) => member !== this && member.say(line));
        const user = users.get(fold(first));
        if (user !== undefined) return user.say(line);
        return command === "PRIVMSG" &&
          this.#reply(channel ? "404" : "401", `${first} :${channel ? "Cannot send to channel" : "No such nick"}`);
      }
      default:
        return this.#reply("421", `${command} :Unknown command`);
    }
  }

  /** Joins the nicknames of the members, as many as fit into each line. */
  #linesOfNames(channel: Channel): string[] {
    const room = MAX_LINE_BYTES - `:${HOST} 353 ${this.nick} = ${channel.name} :\r\n`.length;
    const lines: string[] = [];
    for (const { nick } of channel.members) {
      const line = lines.at(-1);
      if (line === undefined || line.length + 1 + nick.length > room) lines.push(nick);
      else lines[lines.length - 1] = `${line} ${nick}`;
    }
    return lines;
  }

  #setNick(nick: string) {
    if (!NICKNAME.test(nick)) return this.#reply("432", `${nick.slice(0, 30) || "*"} :Erroneous nickname`);
    const other = users.get(fold(nick));
    if (other !== undefined && other !== this) return this.#reply("433", `${nick} :Nickname is already in use`);
    const before = this.#prefix;
    users.delete(fold(this.nick));
    if (this.#isWelcome) (this.say(`${before} NICK :${nick}`), this.#sendToPeers(`NICK :${nick}`));
    users.set(fold(this.nick = nick), this);
    this.#welcome();
  }

  #welcome() {
    if (this.#isWelcome || this.nick === "" || this.#user === "") return;
    this.#isWelcome = true;
    this.#reply("001", `:Welcome, ${this.nick}`);
    this.#reply("005", `${ISUPPORT} :are supported by this server`);
    this.#reply("422", ":There is no message of the day");
  }

  #join(name: string) {
    if (!CHANNEL.test(name)) return this.#reply("403", `${name.slice(0, 50)} :No such channel`);
    if (this.#joined.size >= MAX_CHANNELS) return this.#reply("405", `${name} :You have joined too many channels`);
    const channel = channels.get(fold(name)) ?? { name, members: new Set<IrcChat>() };
    if (channel.members.has(this)) return;
    channels.set(fold(name), channel);
    channel.members.add(this);
    this.#joined.add(channel);
    for (const member of channel.members) member.say(`${this.#prefix} JOIN :${channel.name}`);
    for (const names of this.#linesOfNames(channel)) this.#reply("353", `= ${channel.name} :${names}`);
    this.#reply("366", `${channel.name} :End of /NAMES list`);
  }
}

const options = flags(HELP, { port: "6667", hostname: "127.0.0.1" });
await serveChats(options, (conn) => new IrcChat(conn));
