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

/** A connection that pauses, and takes what it is given, as the conversation says. */
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

  // deno-lint-ignore require-await -- a fault is a rejection, as on a socket
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

/** Does at the start and in each hook what the conversation says, and writes down which hooks were called. */
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
      else if (data.length > 0) this.#noteData(data);
      else this.events.push(["data", ""]); // is never so, and would be lost in joining
      if (this.#conversation.echo) this.push(data.slice());
      this.#perform(this.#conversation.onData?.[this.#dataCalls++] ?? []);
    });
  }

  protected override foundTerminator(): void | Promise<void> {
    return this.#inHook(() => {
      this.#noteData(this.takeData());
      this.events.push(["found", this.terminator]);
      this.#perform(this.#conversation.steps[++this.#frames] ?? []);
    });
  }

  protected override handleError(error: Error): void {
    this.events.push(["error", error.name]);
    if (!this.#conversation.goesOn) this.close(error);
  }

  protected override handleClose(): void {
    if (!this.#endedByUs) this.#noteData(this.takeData());
    this.events.push(["handle_close"]);
  }

  #inHook(act: () => void): void | Promise<void> {
    return this.#conversation.async ? Promise.resolve().then(act) : act();
  }

  #noteData(data: Uint8Array): void {
    const last = this.events.at(-1);
    if (last?.[0] === "data") last[1] += toText(data);
    else if (data.length > 0) this.events.push(["data", toText(data)]);
  }

  #perform(step: Operation[]): void {
    for (const operation of step) this.#do(operation);
  }

  #do([name, argument, size]: Operation): void {
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
 * Plays a conversation over ours.
 *
 * @param conversation The conversation.
 * @param options How the chat behaves; what the conversation says comes first.
 * @param pieces What the peer sends, where not what the conversation says.
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
    if ((error as Error).name !== "BrokenPipe") throw error; // it has closed, as it may
  }
  await peer.closeWrite();
  await over;
  const outcome = { events: chat.events, sent: toText(await sent), terminator: chat.terminator };
  peer.close();
  return outcome;
}

/**
 * What ours must do where CPython's asynchat did `python`: the same, but for what we do differently on purpose.
 *
 * After `close()` and `closeWhenDone()` no hook is called but `handleClose`, which is called in any case; and the beginning
 * of a terminator that the peer did not finish is data. Otherwise, event for event, the same.
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

/** Ours and what it must be, for an assertion: what hangs on the peer's speed, and what asynchat does after the end, left out. */
export function comparePlayed(
  conversation: Conversation,
  python: PythonOutcome,
  ours: Outcome,
): [ours: Outcome, expected: Outcome] {
  const expected = expectedOutcome(conversation, python);
  const names = new Set(python.events.map(([name]) => name));
  // The frames that asynchat tells after the end may change its terminator still.
  if (names.has("close") || names.has("close_when_done")) expected.terminator = ours.terminator;
  // What is still queued at a close() is dropped; how much that is hangs on how fast the peer was.
  if (names.has("close")) expected.sent = commonBeginning(ours.sent, expected.sent);
  return [ours, expected];
}

function commonBeginning(ours: string, theirs: string): string {
  return ours.startsWith(theirs) || theirs.startsWith(ours) ? ours : theirs;
}
