/**
 * Where connections come from: `serve()` and what it can be told.
 *
 * @module
 */

import type { ChatServer, ConnServerOptions, Servable } from "./types.ts";
import type { ConnListener } from "./accept_loop.ts";
import { ConnServer } from "./conn_server.ts";
import type { Handshake } from "./handshake.ts";
import { listenUnix } from "./unix.ts";
import { type ProxyProtocolOptions, readProxyHeader } from "./proxy_protocol.ts";

/** Where and how to serve. */
export interface ServeOptions extends ConnServerOptions {
  /** The port to listen on; 0 is any free one, and `addr` tells which. This or `path` has to be given. */
  port?: number;
  /**
   * The socket in the file system to listen on instead; it is removed at the end. One that a dead server has left behind is taken over.
   * Where another server listens, that is found out a moment later: `onError` is told an `AddrInUse`, and the server ends.
   */
  path?: string;
  /**
   * The address to listen on.
   *
   * @default {"0.0.0.0"} every IPv4 address of the machine, as `Deno.listen`
   */
  hostname?: string;
  /**
   * How many connections the kernel holds while none is taken in; of a `path` it is the system's default.
   *
   * @default {511} as `Deno.listen`
   */
  tcpBacklog?: number;
  /**
   * Share the port with other processes and workers that ask for the same: the kernel deals out the connections. On Linux, and
   * with Deno's `--unstable-net` only.
   *
   * @default {false}
   */
  reusePort?: boolean;
  /**
   * The server's certificate in PEM, with those that lead to one that clients know: what comes is then TLS. A peer that
   * ends without saying so in TLS has its chat ended with `UnexpectedEof`: what it said may have been cut off.
   */
  cert?: string;
  /** The private key of the certificate, in PEM. */
  key?: string;
  /**
   * How long a TLS handshake may take, in milliseconds; then the connection is closed, and `onError` is told a `HandshakeTimeoutError`.
   * (Deno 2.9 frees the socket of an unfinished handshake only when the peer ends it or goes on: denoland/deno#14547.)
   *
   * @default {10000} as the `TLSHandshakeTimeout` of Go's net/http
   */
  handshakeTimeoutMs?: number;
  /**
   * Connections come from proxies that say first, in the PROXY protocol (version 1 or 2), whose they are. The client's
   * address is then the `remoteAddr` of the connection, and is what `maxConnectionsPerAddress` counts. A connection
   * that does not begin with such a header, or comes from elsewhere, is closed, and `onError` is told a `ProxyHeaderError`.
   * Not together with `cert`: the header comes before TLS begins, where the proxy does not end TLS itself.
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
 * @throws {TypeError} when `proxyProtocol.trusted` is no list of addresses and no function, when `cert` and `key` are not a
 * certificate and its key, when `reusePort` is given without `--unstable-net`, and where options exclude each other
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
  const listener = listen(options);
  const { onListen = () => {}, onError = console.error } = options;
  try {
    if (listener.ready === undefined) onListen(listener.addr);
  } catch (error) {
    listener.close();
    throw error;
  }
  const server = new ConnServer(listener, options, accept, handshake);
  listener.ready?.then(() => onListen(listener.addr)).catch((error) => {
    if (!(error instanceof Deno.errors.BadResource)) onError(error); // which tells that it was closed meanwhile
    server.shutdown();
  });
  return server;
}

function listen(options: ServeOptions): ConnListener<Deno.Conn> {
  const { path, port, hostname, tcpBacklog, reusePort, cert, key } = options;
  if (path !== undefined) return listenUnix(path);
  const where = {
    port: port!,
    ...(hostname === undefined ? {} : { hostname }),
    ...(tcpBacklog === undefined ? {} : { tcpBacklog }),
    ...(reusePort ? { reusePort } : {}),
  };
  if (cert === undefined || key === undefined) return Deno.listen(where);
  try {
    return Deno.listenTls({ ...where, cert, key });
  } catch (error) {
    if (!(error instanceof Deno.errors.InvalidData) && !/KeyMismatch/.test(String(error))) throw error;
    throw new TypeError("Cannot serve: cert and key are not what is wanted, a certificate and its key in PEM", {
      cause: error,
    });
  }
}

function handshakeOf({ proxyProtocol, cert, handshakeTimeoutMs }: ServeOptions): Handshake<Deno.Conn> | undefined {
  if (proxyProtocol !== undefined) return readProxyHeader(proxyProtocol);
  if (cert === undefined) return undefined;
  return {
    name: "TLS handshake",
    timeoutMs: handshakeTimeoutMs ?? 10_000,
    run: (conn) => (conn as Deno.TlsConn).handshake(),
  };
}

function checkOptions(options: ServeOptions): void {
  const { maxConnections = Infinity, maxConnectionsPerAddress = Infinity, drainTimeoutMs = 0 } = options;
  const { port, path, proxyProtocol, cert, key, handshakeTimeoutMs = 1 } = options;
  checkAtLeast(1, { maxConnections, maxConnectionsPerAddress, handshakeTimeoutMs });
  checkAtLeast(1, { "proxyProtocol.timeoutMs": proxyProtocol?.timeoutMs ?? 1 });
  checkAtLeast(0, { drainTimeoutMs });
  if ((port === undefined) === (path === undefined)) {
    throw new TypeError("Cannot serve: port and path are both given or both left out, one of them is wanted");
  }
  if (cert !== undefined && path !== undefined) {
    throw new TypeError("Cannot serve: cert and path are given, one of them is wanted");
  }
  if (options.reusePort && !("listenDatagram" in Deno)) { // which there is with that flag only
    throw new TypeError("Cannot serve: reusePort is given without --unstable-net, both are wanted");
  }
  if ((cert === undefined) !== (key === undefined)) {
    throw new TypeError("Cannot serve: one of cert and key is given, both are wanted");
  }
  if (cert !== undefined && proxyProtocol !== undefined) {
    throw new TypeError("Cannot serve: cert and proxyProtocol are given, one of them is wanted");
  }
}

function checkAtLeast(least: number, values: Record<string, number>): void {
  for (const name in values) {
    const value = values[name]!;
    if (typeof value === "number" && value >= least) continue;
    throw new RangeError(`Cannot serve: ${name} is ${value}, ${least} or more is wanted`);
  }
}
