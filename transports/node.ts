/**
 * Runs chats over Node's sockets: adapts a `net.Socket` or a `tls.TLSSocket` to a connection. For Node and Bun, and for
 * programs in Deno that use `node:net`.
 *
 * @example A server on Node
 * ```ts ignore
 * import { createServer } from "node:net";
 * import { AsyncChat } from "@asynchat/asynchat";
 * import { NodeConn } from "@asynchat/asynchat/node";
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
 * const server = createServer({ allowHalfOpen: true }, (socket) => void new Echo(new NodeConn(socket)).run());
 * server.listen(7000);
 * ```
 *
 * @module
 */

import { Socket } from "node:net";
import type { ChatConn } from "../chat/options.ts";

/** The address of one end of a connection, shaped like `Deno.NetAddr`. */
export interface NodeAddr {
  /** Always TCP. */
  transport: "tcp";
  /** The address. */
  hostname: string;
  /** The port. */
  port: number;
}

/**
 * Adapts a Node socket to a connection, which owns the socket from then on.
 *
 * Keeps back-pressure in both directions: it reads on demand, apart from what Node reads ahead
 * (`readableHighWaterMark`), and a write fulfills when the system has taken the bytes.
 *
 * At EOF of the peer, `read` fulfills with `null`. Create the server with `allowHalfOpen: true`: without it Node closes
 * the socket at EOF, and the chat cannot answer any more. An EOF without TLS's own end (`close_notify`) is a plain EOF:
 * Node does not report the difference.
 *
 * When the socket emits an error, the pending read and write reject with it unchanged, or else the next call.
 */
export class NodeConn implements ChatConn {
  readonly #socket: Socket;
  readonly #mayKeep: boolean; // bytes, after a write
  #error: Error | null = null; // not reported yet
  #closed = false;
  #changed: (() => void) | null = null; // wakes the pending read
  #localAddr: NodeAddr | undefined;
  #remoteAddr: NodeAddr | undefined;

  /**
   * Creates a connection over a socket, and takes ownership of it.
   *
   * @param socket Connected or connecting; the handshake of a `tls.TLSSocket` may be pending. Has no other reader.
   */
  constructor(socket: Socket) {
    this.#socket = socket;
    this.#mayKeep = !(socket instanceof Socket);
    void [this.localAddr, this.remoteAddr]; // a destroyed socket forgets them
    const wake = () => this.#changed?.();
    socket.on("readable", wake).on("end", wake).on("close", wake);
    socket.on("error", (error: Error) => {
      this.#error = error;
      wake();
    });
  }

  /**
   * Reads into `p` what has arrived, or waits for the next bytes.
   *
   * @returns The number of bytes read, or `null` at EOF.
   * @throws {Error} when this end is closed; errors of the socket pass through
   */
  async read(p: Uint8Array): Promise<number | null> {
    for (;;) {
      if (this.#closed) throw new Error("Cannot read: the connection is closed");
      const count = Math.min(p.length, this.#socket.readableLength);
      const chunk: Uint8Array | null = count > 0 ? this.#socket.read(count) : null;
      if (chunk !== null) {
        p.set(chunk);
        return chunk.length;
      }
      this.#throwError();
      if (p.length === 0) return 0;
      if (this.#socket.readableEnded || this.#socket.destroyed) return null;
      // A read of 0 bytes makes Node fill its buffer, and emit "end" for an empty one.
      this.#socket.read(0);
      await new Promise<void>((resolve) => this.#changed = resolve);
      this.#changed = null;
    }
  }

  /**
   * Writes all of `p`, and waits until the system has taken it. Borrows `p` until then; copies it for a stream that
   * stands in for a socket of Node, and may keep it longer.
   *
   * @returns The length of `p`.
   * @throws {Error} of the socket, passed through
   */
  write(p: Uint8Array): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#throwError();
      this.#socket.write(this.#mayKeep ? new Uint8Array(p) : p, (error) => error ? reject(error) : resolve(p.length));
    });
  }

  /** Ends our side after what was written. The peer reads EOF, and may still send. */
  closeWrite(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#socket.once("error", reject);
      this.#socket.end(() => {
        this.#socket.off("error", reject);
        resolve();
      });
    });
  }

  /** Closes both directions immediately. A pending read rejects. */
  close(): void {
    this.#closed = true;
    this.#socket.destroy();
    this.#changed?.();
  }

  /** Disables Nagle's algorithm, or enables it with `false`. */
  setNoDelay(noDelay = true): void {
    this.#socket.setNoDelay(noDelay);
  }

  /** Our address. `undefined` while the socket is connecting, and for a Unix socket. */
  get localAddr(): NodeAddr | undefined {
    return this.#localAddr ??= addrOf(this.#socket.localAddress, this.#socket.localPort);
  }

  /** The peer's address. `undefined` while the socket is connecting, and for a Unix socket. */
  get remoteAddr(): NodeAddr | undefined {
    return this.#remoteAddr ??= addrOf(this.#socket.remoteAddress, this.#socket.remotePort);
  }

  #throwError(): void {
    const error = this.#error;
    this.#error = null;
    if (error !== null) throw error;
  }
}

function addrOf(hostname: string | undefined, port: number | undefined): NodeAddr | undefined {
  return hostname === undefined || port === undefined ? undefined : { transport: "tcp", hostname, port };
}
