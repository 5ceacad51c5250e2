/** The driver for our side: plays a conversation over `AsyncChat` and memory connections. */

import { AsyncChat, type ChatConn, type ChatOptions, SimpleProducer } from "../../mod.ts";
import { type MemoryConn, memoryPair } from "../../testing/memory_conn.ts";
import {
  type Conversation,
  type Event,
  type Operation,
  type Outcome,
  piecesOf,
  type PythonOutcome,
  type Term,
  toBytes,
  toText,
} from "./conversation.ts";

/** A connection whose reads and writes follow the conversation. */
class PacedConn implements ChatConn {
  readonly #conn: MemoryConn;
  readonly #pauses: number[];
  readonly #takes: number[];
  readonly #fault: string | undefined;
  #reads = 0;
  #writes = 0;

  constructor(conn: MemoryConn, { pauses = [], takes = [Infinity], fault }: Conversation) {
    this.#conn = conn;
    this.#pauses = pauses;
    this.#takes = takes;
    this.#fault = fault;
  }

  async read(p: Uint8Array): Promise<number | null> {
    if (this.#pauses.includes(++this.#reads)) return 0;
    const count = await this.#conn.read(p);
    if (count === null && this.#fault !== undefined) throw networkError(this.#fault);
    return count;
  }

  // deno-lint-ignore require-await -- an error rejects, as on a socket
  async write(p: Uint8Array): Promise<number> {
    const room = this.#takes[this.#writes++ % this.#takes.length]!;
    if (room < 0) throw networkError("EPIPE");
    return this.#conn.write(p.subarray(0, room));
  }

  closeWrite(): Promise<void> {
    return this.#conn.closeWrite();
  }

  close(): void {
    this.#conn.close();
  }
}

function networkError(code: string): Error {
  return Object.assign(new Error("as the conversation says"), { name: "OSError", code });
}

/** Performs the steps of the conversation in its hooks, and records the hook calls. */
class PlayedChat extends AsyncChat {
  readonly events: Event[] = [];
  readonly #conversation: Conversation;
  #dataCalls = 0;
  #frames = 0;
  #endedByUs = false;

  constructor(conn: ChatConn, conversation: Conversation, options: ChatOptions) {
    const { readSize } = conversation;
    super(conn, readSize === undefined ? options : { ...options, maxReadBytes: readSize });
    this.#conversation = conversation;
  }

  get terminator(): Term {
    const terminator = this.getTerminator();
    return terminator instanceof Uint8Array ? toText(terminator) : terminator as number | null;
  }

  protected override handleConnect(): void | Promise<void> {
    return this.#inHook(() => this.#perform(this.#conversation.steps[0]!));
  }

  protected override collectIncomingData(data: Uint8Array): void | Promise<void> {
    return this.#inHook(() => {
      if (this.#conversation.gather) void super.collectIncomingData(data);
      else if (data.length > 0) this.#recordData(data);
      else this.events.push(["data", ""]); // never happens, and would get lost in joining
      if (this.#conversation.echo) this.push(data.slice());
      this.#perform(this.#conversation.onData?.[this.#dataCalls++] ?? []);
    });
  }

  protected override foundTerminator(): void | Promise<void> {
    return this.#inHook(() => {
      this.#recordData(this.takeData());
      this.events.push(["found", this.terminator]);
      this.#perform(this.#conversation.steps[++this.#frames] ?? []);
    });
  }

  protected override handleError(error: Error): void {
    this.events.push(["error", error.name]);
    if (!this.#conversation.goesOn) this.close(error);
  }

  protected override handleClose(): void {
    if (!this.#endedByUs) this.#recordData(this.takeData());
    this.events.push(["handle_close"]);
  }

  #inHook(act: () => void): void | Promise<void> {
    return this.#conversation.async ? Promise.resolve().then(act) : act();
  }

  #recordData(data: Uint8Array): void {
    const last = this.events.at(-1);
    if (last?.[0] === "data") last[1] += toText(data);
    else if (data.length > 0) this.events.push(["data", toText(data)]);
  }

  #perform(step: Operation[]): void {
    for (const operation of step) this.#do(operation);
  }

  #do([name, argument, size]: Operation): unknown {
    switch (name) {
      case "terminator":
        return this.setTerminator(typeof argument === "string" ? toBytes(argument) : argument);
      case "note_terminator":
        this.events.push(["terminator", this.terminator]);
        return;
      case "note_queue":
        this.events.push(["queued", this.bufferedAmount]);
        return;
      case "push":
        return this.push(typeof argument === "string" ? toBytes(argument) : argument as unknown as string);
      case "push_noted":
        this.events.push(["pushed", this.push(toBytes(argument))]);
        return;
      case "push_bytearray":
        return this.push(toBytes(argument));
      case "push_view":
        return this.push(toBytes(`<${argument}>`).subarray(1, -1));
      case "push_text":
        return this.push(argument);
      case "produce":
        return this.pushWithProducer(pieces(argument, this.#conversation.async ?? false));
      case "produce_simple":
        return this.pushWithProducer(new SimpleProducer(toBytes(argument), size));
      case "produce_bytes":
        return this.pushWithProducer(toBytes(argument));
      case "discard_buffers":
        return this.discardBuffers();
      case "close_when_done":
        this.#endedByUs = true;
        this.events.push([name]);
        return this.closeWhenDone();
      case "close":
        this.#endedByUs = true;
        this.events.push([name]);
        return this.close();
      case "produce_throwing":
        return this.pushWithProducer({ more: fail });
      case "throw":
        return fail();
    }
  }
}

function fail(): never {
  throw Object.assign(new Error("as the conversation says"), { name: "RuntimeError" });
}

function pieces(texts: string[], async: boolean): { more(): Uint8Array | Promise<Uint8Array> } {
  const rest = texts.map(toBytes);
  const more = () => rest.shift() ?? new Uint8Array(0);
  return { more: async ? () => Promise.resolve().then(more) : more };
}

/**
 * Plays a conversation with our chat.
 *
 * @param conversation The conversation.
 * @param options Options of the chat; those of the conversation take precedence.
 * @param pieces What the peer sends, by default the chunks of the conversation.
 */
export async function play(
  conversation: Conversation,
  options: ChatOptions = {},
  pieces: Uint8Array[] = piecesOf(conversation),
): Promise<Outcome> {
  const [conn, peer] = memoryPair({}, { capacity: Infinity });
  const chat = new PlayedChat(new PacedConn(conn, conversation), conversation, options);
  const sent = peer.receive();
  const over = chat.run();
  try {
    for (const piece of pieces) await peer.send(piece);
  } catch (error) {
    if ((error as Error).name !== "BrokenPipe") throw error; // closed by the chat
  }
  await peer.closeWrite();
  await over;
  const outcome = { events: chat.events, sent: toText(await sent), terminator: chat.terminator };
  peer.close();
  return outcome;
}

/**
 * Converts an outcome of CPython's asynchat to the one that ours must have: the same, apart from intended differences.
 *
 * After `close()` and `closeWhenDone()` only `handleClose` is called, and it always is. A partial terminator at EOF is
 * data. Everything else is the same, event for event.
 */
export function expectedOutcome({ echo = false }: Conversation, python: PythonOutcome): Outcome {
  const { sent, held, terminator } = python;
  const ending = python.events.findIndex(([name]) => name === "close" || name === "close_when_done");
  if (ending >= 0) return { events: [...python.events.slice(0, ending + 1), ["handle_close"]], sent, terminator };
  const events = structuredClone(python.events.slice(0, -1));
  const last = events.at(-1);
  if (last?.[0] === "data") last[1] += held;
  else if (held !== "") events.push(["data", held]);
  events.push(python.events.at(-1)!);
  return { events, sent: echo ? sent + held : sent, terminator };
}

/** Our outcome and the expected one. Leaves out what depends on timing, and what asynchat does after closing. */
export function comparePlayed(
  conversation: Conversation,
  python: PythonOutcome,
  ours: Outcome,
): [ours: Outcome, expected: Outcome] {
  const expected = expectedOutcome(conversation, python);
  const names = new Set(python.events.map(([name]) => name));
  // Frames that asynchat dispatches after closing may change its terminator.
  if (names.has("close") || names.has("close_when_done")) expected.terminator = ours.terminator;
  // close() drops the queue; how much that is depends on the speed of the peer.
  if (names.has("close")) expected.sent = commonPrefix(ours.sent, expected.sent);
  return [ours, expected];
}

function commonPrefix(ours: string, theirs: string): string {
  return ours.startsWith(theirs) || theirs.startsWith(ours) ? ours : theirs;
}
