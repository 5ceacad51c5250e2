// The far end of a connection: sends, reads, stalls and leaves.

import type { MemoryConn } from "../../testing/mod.ts";
import { toBytes, toText } from "./wire.ts";

/** The most that one `receive` takes. */
export const MAX_READ_BYTES = 16_384;

export class Peer {
  readonly conn: MemoryConn;
  received = "";
  endedSide = false; //  it has ended its side, closed or reset
  left = false; //       it has closed or reset
  reads = 0; //          pending
  readonly #touch: () => void;
  #toSend = "";
  #sending = false;
  #space: Uint8Array | null = null;

  /** @param touch Called when something has happened. */
  constructor(conn: MemoryConn, touch: () => void) {
    this.conn = conn;
    this.#touch = touch;
  }

  send(text: string): void {
    this.#toSend += text;
    void this.#send();
  }

  leave(how: "closeWrite" | "close" | "reset"): void {
    this.endedSide = true;
    this.#touch();
    if (how === "closeWrite") return void this.#send();
    this.left = true;
    if (how === "reset") this.conn.reset();
    else this.conn.close();
  }

  async receive(size: number): Promise<void> {
    this.reads++;
    try {
      this.#space ??= new Uint8Array(MAX_READ_BYTES);
      const count = await this.conn.read(this.#space.subarray(0, size));
      this.received += toText(this.#space.subarray(0, count ?? 0));
      if (count === null) return; // stays pending no longer
      this.#touch();
    } catch {
      // It has left, or the chat's end was reset.
    } finally {
      this.reads--;
    }
  }

  async #send(): Promise<void> {
    if (this.#sending) return;
    this.#sending = true;
    try {
      while (this.#toSend !== "" && !this.left) {
        const count = await this.conn.write(toBytes(this.#toSend.slice(0, 65_536)));
        this.#toSend = this.#toSend.slice(count);
        this.#touch();
      }
      if (this.endedSide && !this.left) await this.conn.closeWrite();
    } catch {
      this.#toSend = ""; // the chat has closed
    }
    this.#sending = false;
  }
}
