/**
 * `serve()` and its options: which listener and which handshake a server has.
 *
 * @module
 */

import { watch } from "../chat/watch.ts";
import type { ChatServer, ConnServerOptions, Servable } from "./types.ts";
import type { ConnListener } from "./accept_loop.ts";
import { ConnServer } from "./conn_server.ts";
import type { Handshake } from "./handshake.ts";
import { listenTcp } from "./loopback.ts";
import { closeQuietly } from "./rejection.ts";
import { listenUnix } from "./unix.ts";
import { type ProxyProtocolOptions, readProxyHeader } from "./proxy_protocol.ts";

/** Where to listen, and the limits of the server. */
export interface ServeOptions extends ConnServerOptions {
  /** The TCP port to listen on; 0 is any free one, which `addr` has. Required unless `path` is given. */
  port?: number;
  /**
   * The file of a Unix socket to listen on instead; it is removed at the end. A socket left behind by a dead server is
   * replaced, which needs access to a lock file beside it, `<path>.lock`; that file stays. When another server listens on it, `onError` is called with an `AddrInUse` a moment later, and the server
   * ends.
   */
  path?: string;
  /**
   * The address to listen on. `localhost` is both 127.0.0.1 and ::1, on one port; one that the machine lacks, or that
   * is not permitted, is left out. `::` is every address, IPv4 included.
   *
   * @default {"0.0.0.0"} every IPv4 address of the machine, as `Deno.listen`
   */
  hostname?: string;
  /**
   * The most connections that the kernel keeps until they are accepted. Of a `path` it is the system's default.
   *
   * @default {511} as `Deno.listen`
   */
  tcpBacklog?: number;
  /**
   * Whether to share the port with other processes and workers that set this. The kernel distributes the connections.
   * Needs Linux and Deno's `--unstable-net`.
   *
   * @default {false}
   */
  reusePort?: boolean;
  /**
   * The server's certificate chain in PEM. With it and `key` the server speaks TLS. When a peer ends without a TLS
   * close_notify, its chat ends with an `UnexpectedEof`: data may have been cut off.
   */
  cert?: string;
  /** The private key of the certificate, in PEM. */
  key?: string;
  /**
   * The time limit of a TLS handshake, in milliseconds. At the limit `onError` is called with a
   * `HandshakeTimeoutError`. Deno 2.9 frees the socket only when the peer ends or continues (denoland/deno#14547); until
   * then it counts for `maxConnections`, `maxConnectionsPerAddress` and `stats.handshaking`.
   *
   * @default {10000} as the `TLSHandshakeTimeout` of Go's net/http
   */
  handshakeTimeoutMs?: number;
  /**
   * Accepts connections from proxies that first send a PROXY header (version 1 or 2). The client's address becomes the
   * connection's `remoteAddr`, which `maxConnectionsPerAddress` counts. A connection without a valid header, or from
   * another peer, is closed, and `onError` is called with a `ProxyHeaderError`. Excludes `cert`: a header precedes TLS.
   */
  proxyProtocol?: ProxyProtocolOptions;
  /** Called once with the address, when the server listens. A rejection is passed to `onError`. */
  onListen?: (addr: Deno.Addr) => void;
}

/**
 * Listens, and runs a chat on each connection. The server survives connections that are reset before they are accepted,
 * a lack of file descriptors, and errors in a chat.
 *
 * @param options Where to listen, and limits.
 * @param accept Makes the chat of a connection; the server runs it. When it throws, `onError` is called and that
 * connection is closed.
 * @returns The running server.
 * @throws {Deno.errors.AddrInUse} when the port is in use, and whatever else `Deno.listen` throws
 * @throws {RangeError} when a limit is not a number or too small
 * @throws {TypeError} when options exclude each other, `reusePort` is set without `--unstable-net`, `cert` and `key`
 * are not a certificate and its key, or `proxyProtocol.trusted` is neither a list of addresses nor a function
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
  const handshake = handshakeFor(options);
  const listener = listen(options);
  const { onListen = () => {} } = options;
  let listening: unknown;
  try {
    if (listener.ready === undefined) listening = onListen(listener.addr);
  } catch (error) {
    closeQuietly(listener);
    throw error;
  }
  const server = new ConnServer(listener, options, accept, handshake);
  const onRejected = (error: unknown) => server.report(error, "listen");
  watch(listening, onRejected);
  listener.ready?.then(() => watch(onListen(listener.addr), onRejected)).catch((error) => {
    if (!(error instanceof Deno.errors.BadResource)) server.report(error, "listen"); // else it was closed meanwhile
    void server.shutdown();
  });
  return server;
}

function listen(options: ServeOptions): ConnListener<Deno.Conn> {
  const { path, port, hostname, tcpBacklog, reusePort, cert, key } = options;
  if (path !== undefined) return listenUnix(path);
  const address = {
    port: port!,
    ...(hostname === undefined ? {} : { hostname }),
    ...(tcpBacklog === undefined ? {} : { tcpBacklog }),
    ...(reusePort ? { reusePort } : {}),
  };
  if (cert === undefined || key === undefined) return listenTcp(address, (at) => Deno.listen(at));
  try {
    return listenTcp(address, (at) => Deno.listenTls({ ...at, cert, key }));
  } catch (error) {
    if (!(error instanceof Deno.errors.InvalidData) && !/KeyMismatch/.test(String(error))) throw error;
    throw new TypeError("Cannot serve: cert or key is invalid, expected a certificate and its key in PEM", {
      cause: error,
    });
  }
}

function handshakeFor({ proxyProtocol, cert, handshakeTimeoutMs }: ServeOptions): Handshake<Deno.Conn> | undefined {
  if (proxyProtocol !== undefined) return readProxyHeader(proxyProtocol);
  if (cert === undefined) return undefined;
  return {
    name: "TLS handshake",
    timeoutMs: handshakeTimeoutMs ?? 10_000,
    holdsFile: true,
    run: (conn) => (conn as Deno.TlsConn).handshake(),
  };
}

function checkOptions(options: ServeOptions): void {
  const { maxConnections = Infinity, maxConnectionsPerAddress = Infinity, drainTimeoutMs = 0 } = options;
  const { port, path, proxyProtocol, cert, key, handshakeTimeoutMs = 1 } = options;
  checkAtLeast(1, { maxConnections, maxConnectionsPerAddress, handshakeTimeoutMs });
  checkAtLeast(1, { "proxyProtocol.timeoutMs": proxyProtocol?.timeoutMs ?? 1 });
  checkAtLeast(0, { drainTimeoutMs });
  if (options.whenFull !== undefined && options.whenFull !== "wait" && options.whenFull !== "closeOldestIdle") {
    throw new TypeError(`Cannot serve: whenFull is "${options.whenFull}", expected "wait" or "closeOldestIdle"`);
  }
  if ((port === undefined) === (path === undefined)) {
    throw new TypeError(
      `Cannot serve: got ${port === undefined ? "neither port nor path" : "both port and path"}, expected one`,
    );
  }
  if (cert !== undefined && path !== undefined) {
    throw new TypeError("Cannot serve: got both cert and path, expected one");
  }
  if (options.reusePort && !("listenDatagram" in Deno)) { // exists with that flag only
    throw new TypeError("Cannot serve: got reusePort without --unstable-net, expected both");
  }
  if ((cert === undefined) !== (key === undefined)) {
    throw new TypeError(
      `Cannot serve: got ${cert === undefined ? "key without cert" : "cert without key"}, expected both`,
    );
  }
  if (cert !== undefined && proxyProtocol !== undefined) {
    throw new TypeError("Cannot serve: got both cert and proxyProtocol, expected one");
  }
}

function checkAtLeast(min: number, values: Record<string, number>): void {
  for (const name in values) {
    const value = values[name]!;
    if (typeof value === "number" && value >= min) continue;
    throw new RangeError(`Cannot serve: ${name} is ${value}, expected a number of at least ${min}`);
  }
}
