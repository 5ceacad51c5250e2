import { describe } from "../core/errors.ts";
import type { TooLongPolicy } from "../core/frame_splitter.ts";
import { type Clock, systemClock } from "./clock.ts";

/**
 * The connection of a chat. `Deno.TcpConn`, `TlsConn` and `UnixConn` fit, and the memory connections of `./testing`.
 *
 * A chat has at most one `read` and one `write` pending. `close()` must settle a pending read, with any result or error.
 */
export interface ChatConn {
  /** Reads into `p`. Returns the number of bytes, or `null` when the peer will send no more; 0 is not the end. */
  read(p: Uint8Array): Promise<number | null>;
  /** Writes from `p`, which does not change before the promise settles. Returns how many bytes were taken, maybe not all. */
  write(p: Uint8Array): Promise<number>;
  /** Closes the connection at once, both ways. */
  close(): void;
  /** Ends our side: the peer sees the end of its input. Reading goes on. */
  closeWrite?(): Promise<void>;
  /** Disables or enables Nagle's algorithm. */
  setNoDelay?(noDelay?: boolean): void;
  /** Our address. */
  readonly localAddr?: unknown;
  /** The peer's address. */
  readonly remoteAddr?: unknown;
}

/** How a connection is upgraded to TLS; `./tls` has `clientTls` and `serverTls`. */
export interface TlsUpgrade {
  /** The side of the handshake. A client must not have received anything that TLS should have carried. */
  readonly role: "client" | "server";
  /**
   * The time to send what is queued and to shake hands, in milliseconds.
   *
   * @default {10000} as the `TLSHandshakeTimeout` of Go's net/http
   */
  readonly timeoutMs?: number;
  /**
   * Shakes hands.
   *
   * @param conn The connection so far; owned by the upgrade from here on.
   * @param unread What the peer has sent already: the beginning of its handshake, or a fault.
   * @returns The secure connection. Rejects when the handshake fails.
   */
  start(conn: ChatConn, unread: Uint8Array): Promise<ChatConn>;
}

/** The limits and switches of a chat. All are optional. */
export interface ChatOptions {
  /**
   * The most data in bytes that a frame may have, its terminator not counted, unless `setTerminator` sets another limit; also
   * the most that the default `collectIncomingData` collects before it is taken.
   *
   * @default {65536} as Go's bufio.Scanner and Python's asyncio streams
   */
  maxFrameBytes?: number;
  /**
   * While more bytes than this are queued for writing (or more than 16 producers), no frame is dispatched and nothing is read.
   *
   * @default {65536} as Twisted and asyncio
   */
  highWaterMark?: number;
  /**
   * When more bytes than this are queued for writing, the chat ends with an `OutgoingOverflowError` and drops them: for a chat
   * that is pushed to without having asked, as in a broadcast.
   *
   * @default {16777216} 16 MiB, as waitress
   */
  maxBufferedBytes?: number;
  /**
   * How long the peer may send nothing, in milliseconds; 0 is no limit. Does not run while output is queued.
   *
   * This limit and the next stand still while the peer waits for us: a hook is pending, or output is above `highWaterMark`.
   * All three are noticed up to a tenth late (but not more than a second), and never early.
   *
   * @default {0}
   */
  idleTimeoutMs?: number;
  /**
   * How long a frame may take from its first byte to its terminator, in milliseconds; 0 is no limit. Bytes that trickle in do
   * not extend it.
   *
   * @default {0}
   */
  frameTimeoutMs?: number;
  /**
   * How long the peer may take nothing of the output that is queued, in milliseconds; 0 is no limit.
   *
   * @default {60000} as nginx's `send_timeout`
   */
  writeTimeoutMs?: number;
  /**
   * The largest read in bytes. Reads begin at 1 KiB and grow up to this while they fill their space.
   *
   * @default {65536} asynchat's `ac_in_buffer_size`
   */
  maxReadBytes?: number;
  /**
   * Whether to disable Nagle's algorithm, where the connection can. When it is enabled, a reply of two writes may wait for the
   * peer's delayed acknowledgement.
   *
   * @default {true}
   */
  noDelay?: boolean;
  /** Bytes that were read from the connection before, as `detach()` returns them; they are dispatched first. Copied. */
  unread?: Uint8Array;
  /** The source of time; tests pass their own. */
  clock?: Clock;
}

/** The limits of one terminator. */
export interface TerminatorOptions {
  /**
   * The most data in bytes that a frame with this terminator may have, the terminator not counted.
   *
   * @default {ChatOptions.maxFrameBytes}
   */
  maxFrameBytes?: number;
  /**
   * What to do with an oversized frame: close the chat, or discard the frame and go on with the next. Either way
   * `frameTooLong` is called.
   *
   * @default {"close"}
   */
  onTooLong?: TooLongPolicy;
}

/** The options with their defaults filled in. */
export interface ResolvedChatOptions extends Required<Omit<ChatOptions, "unread">> {
  /** `undefined` when there are none. */
  unread: Uint8Array | undefined;
}

/**
 * Fills in the defaults.
 *
 * @throws {RangeError} when a number of bytes is not a whole number of at least 1, or a time is negative or not finite
 */
export function resolveChatOptions(options: ChatOptions): ResolvedChatOptions {
  const resolved = {
    maxFrameBytes: options.maxFrameBytes ?? 65_536,
    highWaterMark: options.highWaterMark ?? 65_536,
    maxBufferedBytes: options.maxBufferedBytes ?? 16_777_216,
    idleTimeoutMs: options.idleTimeoutMs ?? 0,
    frameTimeoutMs: options.frameTimeoutMs ?? 0,
    writeTimeoutMs: options.writeTimeoutMs ?? 60_000,
    maxReadBytes: options.maxReadBytes ?? 65_536,
    noDelay: options.noDelay ?? true,
    unread: options.unread,
    clock: options.clock ?? systemClock,
  };
  for (const name of ["maxFrameBytes", "highWaterMark", "maxBufferedBytes", "maxReadBytes"] as const) {
    checkByteCount("create a chat", name, resolved[name]);
  }
  for (const name of ["idleTimeoutMs", "frameTimeoutMs", "writeTimeoutMs"] as const) {
    if (Number.isFinite(resolved[name]) && resolved[name] >= 0) continue;
    throw new RangeError(
      `Cannot create a chat: ${name} is ${resolved[name]}, expected milliseconds, or 0 for no limit`,
    );
  }
  return resolved;
}

/**
 * Rejects what is not a connection.
 *
 * @throws {TypeError} when `conn` has no `read`, `write` or `close`
 */
export function checkConn(conn: ChatConn): void {
  for (const name of ["read", "write", "close"] as const) {
    if (typeof conn?.[name] === "function") continue;
    throw new TypeError(`Cannot create a chat: expected a connection, got ${describe(conn)} without ${name}()`);
  }
}

/**
 * Rejects an invalid byte limit.
 *
 * @throws {RangeError} when it is not a whole number of at least 1
 */
export function checkByteCount(action: string, name: string, value: number): void {
  if (Number.isSafeInteger(value) && value > 0) return;
  throw new RangeError(`Cannot ${action}: ${name} is ${value}, expected a whole number of at least 1`);
}
