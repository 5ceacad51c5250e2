/**
 * TLS in the middle of a conversation (STARTTLS), for `AsyncChat.startTls()`: `serverTls` and `clientTls`.
 *
 * @example A server that offers it
 * ```ts ignore
 * import { AsyncChat, serve } from "@asynchat/asynchat";
 * import { serverTls } from "@asynchat/asynchat/tls";
 *
 * const tls = serverTls({ cert: Deno.readTextFileSync("cert.pem"), key: Deno.readTextFileSync("key.pem") });
 *
 * class Commands extends AsyncChat {
 *   protected override handleConnect() {
 *     this.setTerminator("\r\n");
 *   }
 *   protected override async foundTerminator() {
 *     if (this.takeText() !== "STARTTLS") return this.push("502 Not known here\r\n");
 *     this.push("220 Go ahead\r\n");
 *     await this.startTls(tls); // forget here what the client has said so far: anybody may have said it
 *   }
 * }
 *
 * serve({ port: 2525 }, (conn) => new Commands(conn));
 * ```
 *
 * Called first thing in `handleConnect`, it is TLS from the beginning: behind a PROXY header, or on Node.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { createPrivateKey, X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import { Duplex } from "node:stream";
import { setImmediate } from "node:timers";
import { connect, createSecureContext, TLSSocket } from "node:tls";
import type { ChatConn, TlsUpgrade } from "../chat/options.ts";
import { NodeConn } from "./node.ts";

/** Who a server is, and how long its client may take. */
export interface ServerTlsOptions {
  /** The certificate in PEM, with those that lead to one that clients know. */
  cert: string;
  /** The private key of the certificate, in PEM. */
  key: string;
  /**
   * How long it may take to send what is queued and to shake hands, in milliseconds.
   *
   * @default {10000}
   */
  timeoutMs?: number;
}

/** Whom a client wants to talk to, and how long that may take. */
export interface ClientTlsOptions {
  /** The name or address that the server's certificate has to be for. */
  hostname: string;
  /** Certificates in PEM to trust: `Deno.startTls` does so besides those of the platform, `node:tls` instead of them. */
  caCerts?: string[];
  /**
   * How long it may take to send what is queued and to shake hands, in milliseconds.
   *
   * @default {10000}
   */
  timeoutMs?: number;
}

/** How much is read at a time of what is encrypted: the longest record of TLS (RFC 8446, 5.2), a little rounded. */
const READ_BYTES = 17_408;

/**
 * The server's side of TLS on any connection, by `node:tls` (Deno has no server's side of its own: denoland/deno#18451).
 *
 * What the peer has sent ahead is given to TLS, which refuses it unless it is the beginning of the handshake. A peer that ends
 * without saying so in TLS has just ended: `node:tls` does not tell.
 *
 * @param options Certificate and key.
 * @throws {TypeError} when the key does not fit the certificate
 * @throws {Error} when they are none
 */
export function serverTls({ cert, key, timeoutMs }: ServerTlsOptions): TlsUpgrade {
  if (!new X509Certificate(cert).checkPrivateKey(createPrivateKey(key))) { // Deno 2.9 would tell each client instead
    throw new TypeError("Cannot serve TLS: the key is of another certificate, the one of this certificate is wanted");
  }
  const secureContext = createSecureContext({ cert, key });
  return {
    role: "server",
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
    start: (conn, unread) =>
      shakeHands(conn, new TLSSocket(new ConnStream(conn, unread), { isServer: true, secureContext }), "secure"),
  };
}

/**
 * The client's side of TLS: `Deno.startTls` on a TCP connection of Deno, where a truncated end is told (`UnexpectedEof`), and
 * `node:tls` on any other.
 *
 * @param options The server's name.
 */
export function clientTls({ hostname, caCerts = [], timeoutMs }: ClientTlsOptions): TlsUpgrade {
  return {
    role: "client",
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
    async start(conn) {
      if (native !== undefined && conn.constructor.name === "TcpConn") {
        const secured = await native.startTls(conn, { hostname, caCerts });
        try {
          await secured.handshake();
        } catch (error) {
          secured.close();
          throw error;
        }
        return secured;
      }
      const trust = caCerts.length === 0 ? {} : { ca: caCerts };
      const socket = connect({
        socket: new ConnStream(conn, new Uint8Array()),
        host: hostname,
        servername: isIP(hostname) ? "" : hostname,
        ...trust,
      });
      return shakeHands(conn, socket, "secureConnect");
    },
  };
}

/** As much of the platform as is used where it is there: named so, this file needs no types of Deno's. */
interface NativeTls {
  startTls(conn: ChatConn, options: { hostname: string; caCerts: string[] }): Promise<ChatConn & NativeHandshake>;
}

interface NativeHandshake {
  handshake(): Promise<unknown>;
}

const native: NativeTls | undefined = Reflect.get(globalThis, "Deno");

async function shakeHands(conn: ChatConn, socket: TLSSocket, done: "secure" | "secureConnect"): Promise<ChatConn> {
  const secured = new NodeConn(socket);
  Object.defineProperties(secured, { localAddr: { value: conn.localAddr }, remoteAddr: { value: conn.remoteAddr } });
  // Without a tls.Server nobody else makes errors of these.
  socket.on("_tlsError", (error: Error) => socket.destroy(error));
  try {
    await new Promise<void>((resolve, reject) => {
      const ended = () =>
        reject(new Error("Cannot start TLS: the peer has ended the connection, a handshake is wanted"));
      socket.once(done, resolve).once("error", reject).once("end", ended).once("close", ended);
    });
  } catch (error) {
    secured.close();
    throw error;
  }
  return secured;
}

/** A connection as a stream of Node: what TLS reads and writes. */
class ConnStream extends Duplex {
  readonly #conn: ChatConn;
  #unread: Uint8Array;
  #begun = false;

  constructor(conn: ChatConn, unread: Uint8Array) {
    super();
    this.#conn = conn;
    this.#unread = unread;
  }

  override async _read(): Promise<void> {
    // Deno 2.9's TLSSocket begins in the next turn, and throws where nobody can catch it when it has failed before.
    if (!this.#begun) await new Promise<void>((resolve) => setImmediate(resolve));
    this.#begun = true;
    try {
      let bytes: Uint8Array | null = this.#unread;
      this.#unread = bytes.subarray(bytes.length);
      while (bytes !== null && bytes.length === 0) {
        const space = new Uint8Array(READ_BYTES);
        const count = await this.#conn.read(space);
        bytes = count === null ? null : space.subarray(0, count);
      }
      this.push(bytes && Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length));
    } catch (error) {
      this.destroy(error as Error);
    }
  }

  override async _write(bytes: Uint8Array, _encoding: string, done: (error?: Error) => void): Promise<void> {
    try {
      for (let rest = bytes; rest.length > 0;) rest = rest.subarray(await this.#conn.write(rest));
      done();
    } catch (error) {
      done(error as Error);
    }
  }

  override async _final(done: (error?: Error) => void): Promise<void> {
    try {
      await this.#conn.closeWrite?.();
      done();
    } catch (error) {
      done(error as Error);
    }
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    try {
      this.#conn.close();
    } catch {
      // it is closed already
    }
    done(error);
  }
}
