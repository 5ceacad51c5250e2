import { type Clock, systemClock } from "./clock.ts";
import type { TooLongPolicy } from "../core/frame_splitter.ts";

/**
 * What a chat needs of a connection. `Deno.TcpConn`, `TlsConn` and `UnixConn` fit, and the memory connections of `./testing`.
 *
 * A chat has one `read` and one `write` pending at most. `close()` must end a pending read, by whatever it gives or throws.
 */
export interface ChatConn {
  /** Reads into `p`: how many bytes came, or `null` when the peer will send no more. `0` is not the end. */
  read(p: Uint8Array): Promise<number | null>;
  /** Writes from `p`, which stays as it is until the promise settles and not longer: how many bytes were taken, maybe not all. */
  write(p: Uint8Array): Promise<number>;
  /** Ends the connection, at once and both ways. */
  close(): void;
  /** Tells the peer that no more will be written; reading goes on. */
  closeWrite?(): Promise<void>;
  /** Switches Nagle's algorithm off or on. */
  setNoDelay?(noDelay?: boolean): void;
  /** Our end's address. */
  readonly localAddr?: unknown;
  /** The peer's address. */
  readonly remoteAddr?: unknown;
}

/** How a connection becomes one of TLS; `./tls` has two ready-made, `clientTls` and `serverTls`. */
export interface TlsUpgrade {
  /** Which side of the handshake it takes. A client must have been sent nothing yet that was meant for it. */
  readonly role: "client" | "server";
  /**
   * How long it may take to send what is queued and to shake hands, in milliseconds.
   *
   * @default {10000} as the `TLSHandshakeTimeout` of Go's net/http
   */
  readonly timeoutMs?: number;
  /**
   * Shakes hands.
   *
   * @param conn The connection so far; it owns it from here on.
   * @param unread What the peer has sent already: the beginning of its handshake, or a fault.
   * @returns The connection to go on with. Rejects when the handshake fails.
   */
  start(conn: ChatConn, unread: Uint8Array): Promise<ChatConn>;
}

/** How a chat behaves. Every member may be left out. */
export interface ChatOptions {
  /**
   * The most data in bytes that a frame may have, its terminator not counted, unless `setTerminator` says otherwise; also
   * the most that the default `collectIncomingData` gathers before it is taken.
   *
   * @default {65536} as Go's bufio.Scanner and Python's asyncio streams
   */
  maxFrameBytes?: number;
  /**
   * While more bytes than this wait to be written (or more than 16 producers), no frame is dispatched and nothing is read.
   *
   * @default {65536} as Twisted and asyncio
   */
  highWaterMark?: number;
  /**
   * When more bytes than this wait to be written, the chat ends with an `OutgoingOverflowError` and drops them: for a chat
   * that is pushed to without having asked, as in a broadcast.
   *
   * @default {16777216} 16 MiB, as waitress
   */
  maxBufferedBytes?: number;
  /**
   * How long the peer may send nothing, in milliseconds; 0 is for ever. Does not run while something waits to be written.
   *
   * This limit and the next stand still while the peer waits for us: a hook is pending, or output is above `highWaterMark`.
   * All three are noticed up to a tenth late (but not more than a second), and never early.
   *
   * @default {0}
   */
  idleTimeoutMs?: number;
  /**
   * How long a frame may take from its first byte to its terminator, in milliseconds; 0 is for ever. Bytes that trickle in do not extend it.
   *
   * @default {0}
   */
  frameTimeoutMs?: number;
  /**
   * How long the peer may take nothing of what waits to be written, in milliseconds; 0 is for ever.
   *
   * @default {60000} as nginx's `send_timeout`
   */
  writeTimeoutMs?: number;
  /**
   * The largest read in bytes. Reads begin at 1 KiB and grow up to this while they come back full.
   *
   * @default {65536} asynchat's `ac_in_buffer_size`
   */
  maxReadBytes?: number;
  /**
   * Whether to switch Nagle's algorithm off, where the connection has a switch. On, a reply made of two writes
   * may wait for the peer's delayed acknowledgement.
   *
   * @default {true}
   */
  noDelay?: boolean;
  /** Bytes that were read from the connection before, as `detach()` gives them; they are looked at first. */
  unread?: Uint8Array;
  /** Where time comes from; a test passes its own. */
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
   * What becomes of a longer one: the chat ends, or the frame is dropped and the next one is looked at. Either way `frameTooLong` is told.
   *
   * @default {"close"}
   */
  onTooLong?: TooLongPolicy;
}

/** The options with their defaults filled in. */
export interface ResolvedChatOptions extends Required<Omit<ChatOptions, "unread">> {
  /** `undefined` is: none. */
  unread: Uint8Array | undefined;
}

/**
 * Fills in the defaults.
 *
 * @throws {RangeError} when a number of bytes is not a whole number from 1 on, or a time is negative or none
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
    checkByteCount("make a chat", name, resolved[name]);
  }
  for (const name of ["idleTimeoutMs", "frameTimeoutMs", "writeTimeoutMs"] as const) {
    if (Number.isFinite(resolved[name]) && resolved[name] >= 0) continue;
    throw new RangeError(`Cannot make a chat: ${name} is ${resolved[name]}, milliseconds or 0 for none are wanted`);
  }
  return resolved;
}

/**
 * Refuses what is no limit in bytes.
 *
 * @throws {RangeError} when it is not a whole number from 1 on
 */
export function checkByteCount(action: string, name: string, value: number): void {
  if (Number.isSafeInteger(value) && value > 0) return;
  throw new RangeError(`Cannot ${action}: ${name} is ${value}, a whole number of bytes from 1 on is wanted`);
}
