/**
 * Chats over the sockets of Node: a `net.Socket` or a `tls.TLSSocket` as a connection. For Node and Bun, and for programs in
 * Deno that use `node:net`.
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

import type { Socket } from "node:net";
import type { ChatConn } from "../chat/options.ts";

/** One end of a connection, as `Deno.Conn` tells it. */
export interface NodeAddr {
  /** Always TCP. */
  transport: "tcp";
  /** The address. */
  hostname: string;
  /** The port. */
  port: number;
}

/**
 * A socket of Node as a connection, which owns it from here on.
 *
 * Nothing is read from the system before it is asked for, but for the little that Node reads ahead (`readableHighWaterMark`),
 * and a write fulfils when the system has taken it: so a peer that is slow slows its chat down. A socket whose server was
 * made without `allowHalfOpen: true` ends itself when its peer does, and its chat cannot answer then.
 *
 * What the socket emits as an error is what the pending read and write reject with, as it came, or the next one. A TLS peer
 * that ends without saying so in TLS has just ended: Node does not tell.
 */
export class NodeConn implements ChatConn {
  readonly #socket: Socket;
  #error: Error | null = null; // to be told once
  #closed = false;
  #changed: (() => void) | null = null; // wakes the read that waits
  #localAddr: NodeAddr | undefined;
  #remoteAddr: NodeAddr | undefined;

  /**
   * Makes a connection of a socket that nobody else reads.
   *
   * @param socket Connected; of a `tls.TLSSocket` the handshake may still be going on.
   */
  constructor(socket: Socket) {
    this.#socket = socket;
    void [this.localAddr, this.remoteAddr]; // a socket that is gone forgets them
    const wake = () => this.#changed?.();
    socket.on("readable", wake).on("end", wake).on("close", wake);
    socket.on("error", (error: Error) => {
      this.#error = error;
      wake();
    });
  }

  /** Reads what has come, or waits for it; `null` when the peer has ended its side. */
  async read(p: Uint8Array): Promise<number | null> {
    for (;;) {
      if (this.#closed) throw new Error("Cannot read: the connection is closed, an open one is wanted");
      const count = Math.min(p.length, this.#socket.readableLength);
      const chunk: Uint8Array | null = count > 0 ? this.#socket.read(count) : null;
      if (chunk !== null) {
        p.set(chunk);
        return chunk.length;
      }
      this.#throwError();
      if (p.length === 0) return 0;
      if (this.#socket.readableEnded || this.#socket.destroyed) return null;
      // A read of nothing makes Node read on, and end a stream that is empty.
      this.#socket.read(0);
      await new Promise<void>((resolve) => this.#changed = resolve);
      this.#changed = null;
    }
  }

  /** Writes all of `p`, and waits until the system has it. */
  write(p: Uint8Array): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#throwError();
      this.#socket.write(p, (error) => error ? reject(error) : resolve(p.length));
    });
  }

  /** Tells the peer, after what was written, that no more will be. */
  closeWrite(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#socket.once("error", reject);
      this.#socket.end(() => {
        this.#socket.off("error", reject);
        resolve();
      });
    });
  }

  /** Ends both ways at once. A pending read rejects. */
  close(): void {
    this.#closed = true;
    this.#socket.destroy();
    this.#changed?.();
  }

  /** Switches Nagle's algorithm off or on. */
  setNoDelay(noDelay = true): void {
    this.#socket.setNoDelay(noDelay);
  }

  /** Our end's address; of a socket that is connecting it is not known yet, of one in the file system it never is. */
  get localAddr(): NodeAddr | undefined {
    return this.#localAddr ??= addrOf(this.#socket.localAddress, this.#socket.localPort);
  }

  /** The peer's address; likewise. */
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
