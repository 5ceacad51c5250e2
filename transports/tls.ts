/**
 * Upgrades a running chat to TLS (STARTTLS): `serverTls` and `clientTls` for `AsyncChat.startTls()`.
 *
 * @example A server with STARTTLS
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
 *     if (this.takeText() !== "STARTTLS") return this.push("502 Unknown command\r\n");
 *     this.push("220 Go ahead\r\n");
 *     await this.startTls(tls); // then forget all state so far: plaintext can be injected
 *   }
 * }
 *
 * serve({ port: 2525 }, (conn) => new Commands(conn));
 * ```
 *
 * Call `startTls` first in `handleConnect` for TLS from the beginning: behind a PROXY header, or on Node.
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

/** Options of {@linkcode serverTls}. */
export interface ServerTlsOptions {
  /** The certificate in PEM, with its intermediate certificates. */
  cert: string;
  /** The private key of the certificate, in PEM. */
  key: string;
  /**
   * Time limit for sending the queued output and for the handshake, in milliseconds.
   *
   * @default {10000}
   */
  timeoutMs?: number;
}

/** Options of {@linkcode clientTls}. */
export interface ClientTlsOptions {
  /** The host name or address that the server's certificate must match. */
  hostname: string;
  /** Trusted CA certificates in PEM. `Deno.startTls` adds them to those of the platform, `node:tls` replaces those. */
  caCerts?: string[];
  /**
   * Time limit for sending the queued output and for the handshake, in milliseconds.
   *
   * @default {10000}
   */
  timeoutMs?: number;
}

/** The longest record of TLS (RFC 8446, 5.2), rounded up. */
const READ_BYTES = 17_408;

/**
 * Creates the server's side of a TLS upgrade, over any connection.
 *
 * Uses `node:tls`, as Deno has no server side for a running connection (denoland/deno#18451). Bytes that the peer sent
 * ahead go to TLS, which rejects anything but the beginning of a handshake. An EOF without `close_notify` is a plain
 * EOF: `node:tls` does not report the difference.
 *
 * @param options Certificate and key.
 * @returns The upgrade for `AsyncChat.startTls()`; one serves any number of chats.
 * @throws {TypeError} when the key does not match the certificate
 * @throws {Error} when the certificate or the key is not valid PEM
 */
export function serverTls({ cert, key, timeoutMs }: ServerTlsOptions): TlsUpgrade {
  if (!new X509Certificate(cert).checkPrivateKey(createPrivateKey(key))) { // Deno 2.9 fails each handshake instead
    throw new TypeError("Cannot serve TLS: the private key does not match the certificate");
  }
  const secureContext = createSecureContext({ cert, key });
  return {
    role: "server",
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
    start: (conn, unread) =>
      handshake(conn, new TLSSocket(new ConnStream(conn, unread), { isServer: true, secureContext }), "secure"),
  };
}

/**
 * Creates the client's side of a TLS upgrade, over any connection.
 *
 * Uses `Deno.startTls` on Deno's own TCP connections, where an EOF without `close_notify` is an `UnexpectedEof`;
 * `node:tls` on all others.
 *
 * @param options The server's name and what to trust.
 * @returns The upgrade for `AsyncChat.startTls()`; one serves any number of chats.
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
      return handshake(conn, socket, "secureConnect");
    },
  };
}

/** What is used of `Deno` where it exists. Declared here, so that this file needs no types of Deno. */
interface NativeTls {
  startTls(conn: ChatConn, options: { hostname: string; caCerts: string[] }): Promise<ChatConn & NativeHandshake>;
}

interface NativeHandshake {
  handshake(): Promise<unknown>;
}

const native: NativeTls | undefined = Reflect.get(globalThis, "Deno");

async function handshake(conn: ChatConn, socket: TLSSocket, done: "secure" | "secureConnect"): Promise<ChatConn> {
  const secured = new NodeConn(socket);
  Object.defineProperties(secured, { localAddr: { value: conn.localAddr }, remoteAddr: { value: conn.remoteAddr } });
  // A tls.Server would turn these into errors; without one we do.
  socket.on("_tlsError", (error: Error) => socket.destroy(error));
  try {
    await new Promise<void>((resolve, reject) => {
      const ended = () => reject(new Error("Cannot start TLS: the peer closed the connection during the handshake"));
      socket.once(done, resolve).once("error", reject).once("end", ended).once("close", ended);
    });
  } catch (error) {
    secured.close();
    throw error;
  }
  return secured;
}

/** Adapts a connection to a Node stream, for TLS to read and write. */
class ConnStream extends Duplex {
  readonly #conn: ChatConn;
  #unread: Uint8Array;
  #started = false;

  constructor(conn: ChatConn, unread: Uint8Array) {
    super();
    this.#conn = conn;
    this.#unread = unread;
  }

  override async _read(): Promise<void> {
    // Deno 2.9's TLSSocket starts in the next turn, and throws uncaught if its stream has failed before.
    if (!this.#started) await new Promise<void>((resolve) => setImmediate(resolve));
    this.#started = true;
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
      // already closed
    }
    done(error);
  }
}
