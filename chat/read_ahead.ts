import type { ChatConn } from "./options.ts";

/** The size of the one read that is made ahead: what a peer has pipelined beyond it hides its reset. */
const AHEAD_BYTES = 1024;

/** The result of a read of a connection. */
type ReadResult = { readonly count: number | null; readonly error?: undefined } | { readonly error: unknown };

/**
 * One read that is made while a hook is pending, to notice a reset. It has space of its own, since the hook may use the receive
 * buffer. Once begun it cannot be cancelled: its bytes belong to the next reader of the connection.
 */
export class ReadAhead {
  readonly #space = new Uint8Array(AHEAD_BYTES);
  #result: ReadResult | null = null;
  readonly #settled: Promise<ReadResult>;

  /**
   * Starts the read.
   *
   * @param conn The connection.
   * @param onError Called when the read fails.
   */
  constructor(conn: ChatConn, onError: (error: unknown) => void) {
    this.#settled = readOnce(conn, this.#space).then((result) => {
      this.#result = result;
      if ("error" in result) onError(result.error);
      return result;
    });
  }

  /** Whether the read has not settled. */
  get pending(): boolean {
    return this.#result === null;
  }

  /** The bytes that were read. */
  get bytes(): Uint8Array {
    const result = this.#result;
    return this.#space.subarray(0, result === null || "error" in result ? 0 : result.count ?? 0);
  }

  /** Waits for the read. Returns its bytes, or `null` at the end; rejects when it failed. */
  async take(): Promise<Uint8Array | null> {
    const result = await this.#settled;
    if ("error" in result) throw result.error;
    return result.count === null ? null : this.bytes;
  }

  /** Returns the connection as its next owner may use it: a pending read is that owner's first. */
  hand(conn: ChatConn): ChatConn {
    return this.pending ? withFirstRead(conn, this) : conn;
  }
}

async function readOnce(conn: ChatConn, space: Uint8Array): Promise<ReadResult> {
  try {
    return { count: await conn.read(space) };
  } catch (error) {
    return { error };
  }
}

/** A connection whose first bytes are those of a read that is pending already; everything else is the connection's own. */
function withFirstRead(conn: ChatConn, ahead: ReadAhead): ChatConn {
  let rest: Uint8Array | null = null; // of the first read
  let first: Promise<Uint8Array | null> | null = ahead.take();
  first.catch(() => {}); // reported by read()
  const read = async (p: Uint8Array): Promise<number | null> => {
    if (first !== null) {
      rest = await first;
      first = null;
      if (rest === null) return null;
    }
    if (rest === null) return conn.read(p);
    const count = Math.min(rest.length, p.length);
    p.set(rest.subarray(0, count));
    rest = count === rest.length ? null : rest.subarray(count);
    return count;
  };
  return new Proxy(conn, {
    get(target, name) {
      if (name === "read") return read;
      const member: unknown = Reflect.get(target, name, target);
      return typeof member === "function" ? member.bind(target) : member;
    },
  });
}
