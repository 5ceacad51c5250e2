import { AsyncChat } from "../chat.ts";
import { type Clock, systemClock } from "../chat/clock.ts";
import type { ChatConn, ChatOptions } from "../chat/options.ts";
import type { ChatServer } from "../listener/types.ts";
import type { ChatTimeoutError } from "../core/errors.ts";
import {
  decodePath,
  formatResponseHead,
  type HttpFault,
  isFault,
  parseRequestHead,
  reasonPhrase,
  type RequestHead,
} from "./http_head.ts";
import { serve, type ServeOptions } from "../listener/serve.ts";

/** The default port. */
export const DEFAULT_PORT = 8888;
/** Limit of a request head, as in Node and h11. */
const MAX_HEAD_BYTES = 16_384;
/** Limit of content that is skipped to keep a connection, as nginx's `client_max_body_size`. */
const MAX_CONTENT_BYTES = 1_048_576;

/**
 * How long an idle connection is kept: longer than a proxy in front keeps it (nginx 60 s), which else sends a request
 * while this end closes.
 */
const IDLE_TIMEOUT_MS = 75_000;
/** Time limit of a head, and of its content. Apache's `RequestReadTimeout` for a head is 20 to 40 s. */
const HEAD_TIMEOUT_MS = 30_000;
/** Stays below the usual limit of 1024 open files. */
export const MAX_CONNECTIONS = 1_000;
/** One client cannot fill the server, and a proxy has room. */
export const MAX_CONNECTIONS_PER_ADDRESS = 500;
/** The most connections at a time, and what gives way then. */
const LIMITS = {
  maxConnections: MAX_CONNECTIONS,
  maxConnectionsPerAddress: MAX_CONNECTIONS_PER_ADDRESS,
  whenFull: "closeOldestIdle",
} as const;

/** How long a new connection may take to send its request when the server shuts down. Go's net/http waits 5 s. */
const GRACE_MS = 1_000;

const EMPTY_LINE = "\r\n\r\n";
/** Ends of a head. Those with a bare LF are errors, recognized so that the client gets an answer at once. */
const HEAD_ENDS = [EMPTY_LINE, "\n\r\n", "\n\n"];

/** Options of a {@linkcode Greeter}. */
export interface GreeterOptions extends ChatOptions {
  /** Called with a line for each answered request, such as `127.0.0.1:50412 GET /kongxx 200`. */
  onAnswer?: (line: string) => void;
}

/**
 * Answers the requests of one connection: HTTP/1.0 and 1.1, persistent and pipelined.
 *
 * When a client ends its side within a head, it gets a 400; an idle one is closed without an answer. A head above
 * 16,384 bytes is a 431 (414 when its target does not end), content above 1 MiB a 413, and a request that takes more
 * than 30 s a 408.
 */
export class Greeter extends AsyncChat {
  readonly #onAnswer: ((line: string) => void) | undefined;
  #inHead = false;
  #skipping: RequestHead | null = null; // its content is being skipped
  readonly #clock: Clock;
  #isLast = false; // closes after the next answer
  #cancelGrace: () => void = () => {};

  /**
   * Creates a greeter over a connection, and takes ownership of it.
   *
   * @param conn The connection.
   * @param options Limits of the chat. `maxFrameBytes` does not apply: heads and content have limits of their own.
   */
  constructor(conn: ChatConn, options: GreeterOptions = {}) {
    super(conn, { idleTimeoutMs: IDLE_TIMEOUT_MS, frameTimeoutMs: HEAD_TIMEOUT_MS, ...options });
    this.#onAnswer = options.onAnswer;
    this.#clock = options.clock ?? systemClock;
    this.#expectHead();
  }

  /** Collects a request head; drops content. */
  protected override collectIncomingRange(buffer: Uint8Array, start: number, end: number): void {
    if (this.#skipping !== null) return;
    // A TLS handshake begins with such a byte, a method never does. RFC 9112, 2.2 allows one CR LF before the request.
    if (!this.#inHead && buffer[start]! < 0x21 && buffer[start] !== 0x0d) {
      return this.#reject({ status: 400, problem: "not an HTTP request" });
    }
    this.#inHead = true;
    super.collectIncomingRange(buffer, start, end);
  }

  /** Answers a complete head, or a request whose content has been skipped. */
  protected override foundTerminator(): void {
    if (this.#skipping !== null) {
      const request = this.#skipping;
      this.#expectHead();
      return this.#answer(request);
    }
    const bytes = this.takeData();
    this.#inHead = false;
    if (this.matchedTerminator!.length !== EMPTY_LINE.length) {
      return this.#reject({ status: 400, problem: "a line ends with a bare LF" }, undefined, isHead(bytes));
    }
    if (bytes.length === 0) return; // an empty line before a request (RFC 9112, 2.2)
    const head = parseRequestHead(bytes);
    if (isFault(head)) return this.#reject(head, undefined, isHead(bytes));
    if (head.method !== "GET" && head.method !== "HEAD") {
      return this.#reject({ status: 405, problem: `unsupported method ${head.method}` }, head);
    }
    if (head.contentLength === 0) return this.#answer(head);
    if (head.contentLength > MAX_CONTENT_BYTES) {
      return this.#reject({ status: 413, problem: `content too long, limit is ${MAX_CONTENT_BYTES} bytes` }, head);
    }
    if (head.expectsContinue) this.push("HTTP/1.1 100 Continue\r\n\r\n");
    this.#skipping = head;
    this.setTerminator(head.contentLength, { maxFrameBytes: MAX_CONTENT_BYTES });
  }

  /** Rejects a head above the limit, with a 414 if even its first line is. */
  protected override frameTooLong(): void {
    const bytes = this.takeData();
    const inTarget = !latin1.decode(bytes).trimStart().includes("\r\n");
    this.#reject(
      inTarget
        ? { status: 414, problem: `request line too long, limit is ${MAX_HEAD_BYTES} bytes` }
        : { status: 431, problem: `request head too long, limit is ${MAX_HEAD_BYTES} bytes` },
      undefined,
      isHead(bytes),
    );
  }

  /** Answers an unfinished request with a 408, and closes an idle connection without an answer. */
  protected override handleTimeout(error: ChatTimeoutError): void {
    if (error.kind === "write") return this.close(error);
    if (!this.#inHead && this.#skipping === null) return this.closeWhenDone();
    const fault = { status: 408, problem: `request incomplete after ${error.limitMs} ms` };
    if (this.#skipping !== null) this.#reject(fault, this.#skipping);
    else this.#reject(fault, undefined, isHead(this.takeData()));
  }

  /** Answers a partial head with a 400. Closes a connection without one silently: browsers open spare connections. */
  protected override handleEof(): void {
    if (this.#inHead) {
      this.#reject({ status: 400, problem: "request head incomplete" }, undefined, isHead(this.takeData()));
    } else this.closeWhenDone();
  }

  /**
   * Closes gracefully when the server shuts down. A connection that has sent no request yet is new: its request is on
   * the way, and is answered when it arrives within a second.
   */
  serverStopping(): void {
    if (this.framesReceived > 0) return this.closeWhenDone();
    this.#isLast = true;
    this.#cancelGrace = this.#clock.after(GRACE_MS, () => this.closeWhenDone());
  }

  /** Ends the time limit of a shutdown. */
  protected override handleClose(_reason?: Error): void {
    this.#cancelGrace();
  }

  #expectHead(): void {
    this.#skipping = null;
    this.setTerminator(HEAD_ENDS, { maxFrameBytes: MAX_HEAD_BYTES });
  }

  #answer(request: RequestHead): void {
    const path = decodePath(request.target);
    if (typeof path !== "string") return this.#reject(path, request);
    this.#respond(request, 200, greeting(path.slice(1) || "world"), request.keepAlive && !this.#isLast);
  }

  /** Answers with an error and closes: bytes behind a request that was not understood have no known meaning. */
  #reject(fault: HttpFault, request?: RequestHead, omitsPage = request?.method === "HEAD"): void {
    const title = `${fault.status} ${reasonPhrase(fault.status)}`;
    const page = `<html>\r\n<body>\r\n${escapeHtml(`${title}: ${fault.problem}`)}\r\n</body>\r\n</html>\r\n`;
    this.#respond(request, fault.status, page, false, omitsPage);
  }

  #respond(
    request: RequestHead | undefined,
    status: number,
    page: string,
    keepAlive: boolean,
    omitsPage = request?.method === "HEAD",
  ): void {
    const minorVersion = request?.minorVersion ?? 1;
    const fields: Record<string, string> = {
      "Content-Type": "text/html; charset=utf-8",
      "Content-Length": String(byteLength(page)),
      "Date": httpDate(),
      "X-Content-Type-Options": "nosniff",
    };
    if (status === 405) fields.Allow = "GET, HEAD";
    if (!keepAlive) fields.Connection = "close";
    else if (minorVersion === 0) fields.Connection = "keep-alive";
    const head = formatResponseHead(minorVersion, status, fields);
    this.push(omitsPage ? head : head + page);
    if (!keepAlive) this.closeWhenDone();
    if (this.#onAnswer === undefined) return;
    const line = request === undefined ? "- -" : `${request.method} ${printable(request.target)}`;
    this.#onAnswer(`${formatAddr(this.conn.remoteAddr)} ${line} ${status}`);
  }
}

/**
 * Serves the greeter: accepts connections and runs a {@linkcode Greeter} on each.
 *
 * @param options As for `serve`. Defaults: port 8888, hostname `localhost`, 1,000 connections at most, 500 from one
 * address; when it is full, the connection that is idle longest is closed.
 * @returns The running server.
 * @throws {Deno.errors.AddrInUse} when the port is in use; other errors of `Deno.listen` pass through
 */
export function serveGreeter(options: Partial<ServeOptions> & GreeterOptions = {}): ChatServer {
  const where = options.path === undefined ? { port: DEFAULT_PORT, hostname: "localhost" } : {};
  return serve({ ...where, ...LIMITS, ...options }, (conn) => new Greeter(conn, options));
}

const encoder = new TextEncoder();
const latin1 = new TextDecoder("latin1");

/** Whether a head that is not understood begins as a HEAD request does: its answer has no content (RFC 9110, 9.3.2). */
function isHead(bytes: Uint8Array): boolean {
  return latin1.decode(bytes.subarray(0, 100)).trimStart().startsWith("HEAD ");
}

/** The length of a text in bytes of UTF-8. */
function byteLength(text: string): number {
  return BEYOND_ASCII.test(text) ? encoder.encode(text).length : text.length;
}

// deno-lint-ignore no-control-regex -- control characters are ASCII
const BEYOND_ASCII = /[^\x00-\x7f]/;

/** The page of the original greeter, written with asyncore, byte for byte. */
function greeting(name: string): string {
  return `<html>\r\n<body>\r\nHello ${escapeHtml(name)}! \r\n</body>\r\n</html>\r\n`;
}

const ENTITIES: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };

function escapeHtml(text: string): string {
  return /[&<>"']/.test(text) ? text.replace(/[&<>"']/g, (char) => ENTITIES[char]!) : text;
}

let dateSecond = 0;
let dateText = "";

/** The time in the format of RFC 9110, 5.6.7; formatted once a second. */
function httpDate(): string {
  const second = Math.floor(Date.now() / 1000);
  if (second !== dateSecond) {
    dateSecond = second;
    dateText = new Date(second * 1000).toUTCString();
  }
  return dateText;
}

/** Escapes a target for a terminal, where bytes beyond ASCII may be control sequences. */
function printable(target: string): string {
  return target.replace(/[^\x21-\x7e]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);
}

function formatAddr(addr: unknown): string {
  const { hostname, port } = (addr ?? {}) as Partial<Deno.NetAddr>;
  return hostname === undefined ? "-" : hostname.includes(":") ? `[${hostname}]:${port}` : `${hostname}:${port}`;
}
