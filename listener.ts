/**
 * Where connections come from: `serve()` and what it can be told.
 *
 * @module
 */

import type { ChatServer, ConnServerOptions, Servable } from "./chat_server.ts";
import { ConnServer, type Handshake } from "./conn_server.ts";
import { type ProxyProtocolOptions, readProxyHeader } from "./proxy_protocol.ts";

/** Where and how to serve. */
export interface ServeOptions extends ConnServerOptions {
  /** The port to listen on; 0 is any free one, and `addr` tells which. */
  port: number;
  /**
   * The address to listen on.
   *
   * @default {"0.0.0.0"} every IPv4 address of the machine, as `Deno.listen`
   */
  hostname?: string;
  /**
   * How many connections the kernel holds while none is taken in.
   *
   * @default {511} as `Deno.listen`
   */
  tcpBacklog?: number;
  /**
   * Connections come from proxies that say first, in the PROXY protocol (version 1 or 2), whose they are. The client's
   * address is then the `remoteAddr` of the connection, and is what `maxConnectionsPerAddress` counts. A connection
   * that does not begin with such a header, or comes from elsewhere, is closed, and `onError` is told a `ProxyHeaderError`.
   */
  proxyProtocol?: ProxyProtocolOptions;
  /** Called once with the address, when connections can come. */
  onListen?: (addr: Deno.Addr) => void;
}

/**
 * Serves a chat on every connection that comes. A peer that resets while it waits, too many open files, a bug in one chat:
 * none of these ends the server.
 *
 * @param options Where, and how many.
 * @param accept Makes the chat for a connection; the server runs it. When it throws, that connection is closed.
 * @returns The running server.
 * @throws {Deno.errors.AddrInUse} when the port is taken, and whatever else `Deno.listen` throws
 * @throws {RangeError} when a limit is no number, or too small
 * @throws {TypeError} when `proxyProtocol.trusted` is no list of addresses and no function
 *
 * @example
 * ```ts ignore
 * import { AsyncChat, serve } from "@asynchat/asynchat";
 *
 * class Echo extends AsyncChat {
 *   protected override handleConnect() {
 *     this.setTerminator("\n");
 *   }
 *   protected override foundTerminator() {
 *     this.push(`${this.takeText()}\n`);
 *   }
 * }
 *
 * await using server = serve({ port: 7000, maxConnections: 1000 }, (conn) => new Echo(conn));
 * await server.finished;
 * ```
 */
export function serve(options: ServeOptions, accept: (conn: Deno.Conn) => Servable): ChatServer {
  checkOptions(options);
  const handshake = handshakeOf(options);
  const { port, hostname, tcpBacklog } = options;
  const listener = Deno.listen({
    port,
    ...(hostname === undefined ? {} : { hostname }),
    ...(tcpBacklog === undefined ? {} : { tcpBacklog }),
  });
  try {
    options.onListen?.(listener.addr);
  } catch (error) {
    listener.close();
    throw error;
  }
  return new ConnServer(listener, options, accept, handshake);
}

function handshakeOf({ proxyProtocol }: ServeOptions): Handshake<Deno.Conn> | undefined {
  if (proxyProtocol !== undefined) return readProxyHeader(proxyProtocol);
}

function checkOptions(options: ServeOptions): void {
  const { maxConnections = Infinity, maxConnectionsPerAddress = Infinity, drainTimeoutMs = 0, proxyProtocol } = options;
  checkAtLeast(1, {
    maxConnections,
    maxConnectionsPerAddress,
    "proxyProtocol.timeoutMs": proxyProtocol?.timeoutMs ?? 1,
  });
  checkAtLeast(0, { drainTimeoutMs });
}

function checkAtLeast(least: number, values: Record<string, number>): void {
  for (const name in values) {
    const value = values[name]!;
    if (typeof value === "number" && value >= least) continue;
    throw new RangeError(`Cannot serve: ${name} is ${value}, ${least} or more is wanted`);
  }
}
