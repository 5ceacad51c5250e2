/** A listener, connections and chats that a test moves by hand; for the tests of listener/. */

import type { ChatConn } from "../chat/options.ts";
import type { ConnListener } from "../listener/accept_loop.ts";
import { ConnServer } from "../listener/conn_server.ts";
import type { Handshake } from "../listener/handshake.ts";
import type { ConnServerOptions, Servable, ServeErrorInfo } from "../listener/types.ts";
import { FakeClock } from "../testing/mod.ts";

/** A connection that receives nothing, and records what is written and whether it was closed. */
export class FakeConn implements ChatConn {
  closed = false;
  written = "";
  readonly remoteAddr: { hostname: string };
  readonly #end = Promise.withResolvers<null>();

  constructor(hostname = "192.0.2.1") {
    this.remoteAddr = { hostname };
  }
  read() {
    return this.#end.promise;
  }
  write(bytes: Uint8Array) {
    this.written += new TextDecoder().decode(bytes);
    return Promise.resolve(bytes.length);
  }
  close() {
    if (this.closed) throw new Error("Bad resource ID");
    this.closed = true;
    this.#end.resolve(null);
  }
}

/** A listener that accepts what a test offers: connections, and errors of `accept`. */
export class FakeListener<Conn = FakeConn> implements ConnListener<Conn> {
  readonly addr: Deno.Addr = { transport: "tcp", hostname: "127.0.0.1", port: 1 };
  accepts = 0;
  closed = false;
  readonly refs: boolean[] = [];
  readonly #offered: (Conn | Error)[] = [];
  #pending: PromiseWithResolvers<Conn> | null = null;

  accept(): Promise<Conn> {
    this.accepts++;
    this.#pending = Promise.withResolvers();
    const { promise } = this.#pending;
    this.#match();
    return promise;
  }
  offer(...offered: (Conn | Error)[]) {
    this.#offered.push(...offered);
    this.#match();
  }
  close() {
    this.closed = true;
    this.#pending?.reject(Object.assign(new Error("Listener has been closed"), { name: "BadResource" }));
  }
  ref() {
    this.refs.push(true);
  }
  unref() {
    this.refs.push(false);
  }
  #match() {
    if (this.#pending === null || this.#offered.length === 0) return;
    const next = this.#offered.shift()!;
    if (next instanceof Error) this.#pending.reject(next);
    else this.#pending.resolve(next);
    this.#pending = null;
  }
}

/** A chat that records how it is closed, and ends then or, when `stuck`, only when the test resolves `ended`. */
export class FakeChat implements Servable {
  readonly calls: string[] = [];
  readonly ended = Promise.withResolvers<void>();
  stuck = false;
  busy = false;
  framesReceived = 0;
  closeReason: Error | undefined;

  run() {
    return this.ended.promise;
  }
  closeWhenDone() {
    this.calls.push("closeWhenDone");
    if (!this.stuck) this.ended.resolve();
  }
  close(reason?: Error) {
    this.calls.push("close");
    this.closeReason ??= reason;
    if (!this.stuck) this.ended.resolve();
  }
}

/** A chat that ends only when the test resolves `ended`. */
export function stuckChat(): FakeChat {
  return Object.assign(new FakeChat(), { stuck: true });
}

/** A handshake that ends when the test resolves or rejects its member of `pending`. */
export class FakeHandshake implements Handshake<FakeConn> {
  readonly name = "test handshake";
  readonly timeoutMs = 1_000;
  readonly revealsAddress: boolean;
  readonly pending: PromiseWithResolvers<void>[] = [];

  constructor(revealsAddress = false) {
    this.revealsAddress = revealsAddress;
  }
  run() {
    const handshake = Promise.withResolvers<void>();
    this.pending.push(handshake);
    return handshake.promise;
  }
}

/** A server on a fake listener, with the chats that it made and the errors that it reported. */
export function fakeServer(
  options: ConnServerOptions = {},
  makeChat: () => FakeChat = () => new FakeChat(),
  handshake?: FakeHandshake,
) {
  const listener = new FakeListener();
  const clock = new FakeClock();
  const chats: FakeChat[] = [];
  const errors: unknown[] = [];
  const infos: ServeErrorInfo[] = [];
  const onError = (error: unknown, info: ServeErrorInfo) => {
    errors.push(error);
    infos.push(info);
  };
  const server = new ConnServer(listener, { clock, onError, ...options }, () => {
    const chat = makeChat();
    chats.push(chat);
    return chat;
  }, handshake);
  return { listener, clock, chats, errors, infos, server };
}

/** An error of `accept` as the platform throws it. */
export function systemError(name: string, code: string): Error {
  return Object.assign(new Error(code), { name, code });
}

export { captureErrors } from "./console.ts";
