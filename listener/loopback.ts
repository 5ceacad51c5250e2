import type { ConnListener } from "./accept_loop.ts";
import { closeQuietly } from "./rejection.ts";

/** Where to listen. */
export interface TcpAddress {
  port: number;
  hostname?: string;
}

/** How often another free port is tried when the first is taken on `::1`. */
const MAX_TRIES = 20;

/**
 * Listens on TCP. The hostname `localhost` means both loopback addresses, 127.0.0.1 and ::1, on one port: clients
 * connect to either. One that the machine does not have, or that is not permitted, is left out.
 *
 * @param address Where to listen; `listen` gets its other fields as well.
 * @param listen `Deno.listen`, or one with TLS.
 * @throws {Deno.errors.AddrInUse} when the port is in use on one of them, and whatever else `listen` throws
 */
export function listenTcp<Address extends TcpAddress, Listener extends ConnListener<Deno.Conn>>(
  address: Address,
  listen: (address: Address) => Listener,
): ConnListener<Deno.Conn> {
  if (address.hostname !== "localhost") return listen(address);
  for (let tries = 1;; tries++) {
    const first = listenIfPossible({ ...address, hostname: "127.0.0.1" }, listen);
    const port = first === null ? address.port : (first.addr as Deno.NetAddr).port;
    try {
      const second = listenIfPossible({ ...address, hostname: "::1", port }, listen);
      if (first !== null && second !== null) return new LoopbackListener(first, second);
      return first ?? second ?? listen(address); // which throws, unless "localhost" alone is permitted
    } catch (error) {
      if (first !== null) closeQuietly(first);
      const isTaken = error instanceof Deno.errors.AddrInUse && address.port === 0;
      if (!isTaken || tries === MAX_TRIES) throw error;
    }
  }
}

/** Errors of `listen` that mean that an address cannot be had here. */
const NOT_HERE = /^(NotCapable|AddrNotAvailable|EADDRNOTAVAIL|EAFNOSUPPORT|EPROTONOSUPPORT)$/;

function listenIfPossible<Address, Listener>(address: Address, listen: (address: Address) => Listener) {
  try {
    return listen(address);
  } catch (error) {
    const { name, code } = error as { name?: unknown; code?: unknown };
    if (NOT_HERE.test(String(name)) || NOT_HERE.test(String(code))) return null;
    throw error;
  }
}

/** Two listeners as one. At most one connection of each is accepted before it is asked for. */
export class LoopbackListener<Conn extends { close(): void }> implements ConnListener<Conn> {
  readonly addr: Deno.Addr;
  readonly #listeners: readonly ConnListener<Conn>[];
  readonly #accepting = new Set<ConnListener<Conn>>();
  #accepted: ({ conn: Conn } | { error: unknown })[] = []; // not yet asked for
  #waiter: PromiseWithResolvers<Conn> | null = null;
  #closed = false;

  constructor(...listeners: readonly [ConnListener<Conn>, ConnListener<Conn>]) {
    this.#listeners = listeners;
    this.addr = listeners[0].addr;
  }

  accept(): Promise<Conn> {
    const next = this.#accepted.shift();
    if (next !== undefined) return "conn" in next ? Promise.resolve(next.conn) : Promise.reject(next.error);
    this.#waiter = Promise.withResolvers();
    for (const listener of this.#listeners) void this.#acceptOn(listener);
    return this.#waiter.promise;
  }

  close(): void {
    this.#closed = true;
    for (const result of this.#accepted) if ("conn" in result) closeQuietly(result.conn);
    this.#accepted = [];
    for (const listener of this.#listeners) listener.close();
  }

  ref(): void {
    for (const listener of this.#listeners) listener.ref();
  }

  unref(): void {
    for (const listener of this.#listeners) listener.unref();
  }

  async #acceptOn(listener: ConnListener<Conn>): Promise<void> {
    if (this.#accepting.has(listener)) return;
    this.#accepting.add(listener);
    let result: { conn: Conn } | { error: unknown };
    try {
      result = { conn: await listener.accept() };
    } catch (error) {
      result = { error };
    }
    this.#accepting.delete(listener);
    const waiter = this.#waiter;
    this.#waiter = null;
    if (waiter === null) {
      if (!this.#closed) this.#accepted.push(result);
      else if ("conn" in result) closeQuietly(result.conn);
    } else if ("conn" in result) waiter.resolve(result.conn);
    else waiter.reject(result.error);
  }
}
