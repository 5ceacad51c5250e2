import { AsyncChat } from "../chat.ts";
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

/** The port that the greeter serves on unless told otherwise. */
export const DEFAULT_PORT = 8888;
/** The longest request head in bytes: Node's and h11's. */
const LONGEST_HEAD = 16_384;
/** The longest content that is skipped to keep a connection, in bytes: nginx's `client_max_body_size`. */
const LONGEST_CONTENT = 1_048_576;

/** How long a connection is kept for another request: nginx's `keepalive_timeout` is 75 s, Apache's 5 s. */
const IDLE_TIMEOUT_MS = 60_000;
/** How long a head may take, or its content: Apache's `RequestReadTimeout` for a head is 20 to 40 s. */
const HEAD_TIMEOUT_MS = 30_000;
/** A machine's first limit on open files is most often 1024; whoever raises it raises this too. */
const MOST_CONNECTIONS = 1_000;

/** An empty line ends a head. Those with a bare LF are no lines, but waiting on behind one would leave the client waiting too. */
const EMPTY_LINE = "\r\n\r\n";
const HEAD_ENDS = [EMPTY_LINE, "\n\r\n", "\n\n"];

/** How a greeter behaves. */
export interface GreeterOptions extends ChatOptions {
  /** Called with a line about each request that was answered, as `127.0.0.1:50412 GET /kongxx 200`. */
  onAnswer?: (line: string) => void;
}

/** Greets on one connection: HTTP/1.0 and 1.1, persistent and pipelined. */
export class Greeter extends AsyncChat {
  readonly #onAnswer: ((line: string) => void) | undefined;
  #headBegun = false;
  #request: RequestHead | null = null; // whose content is being skipped

  /**
   * Makes a greeter over a connection, which it owns from here on.
   *
   * @param conn The connection.
   * @param options Limits; the request head has its own.
   */
  constructor(conn: ChatConn, options: GreeterOptions = {}) {
    super(conn, { idleTimeoutMs: IDLE_TIMEOUT_MS, frameTimeoutMs: HEAD_TIMEOUT_MS, ...options });
    this.#onAnswer = options.onAnswer;
    this.#expectHead();
  }

  /** Gathers a request's head; its content is dropped. */
  protected override collectIncomingRange(buffer: Uint8Array, start: number, end: number): void {
    if (this.#request !== null) return;
    // No method begins with a byte like this, but a TLS handshake does. A lone CR LF may come first (RFC 9112, 2.2).
    if (!this.#headBegun && buffer[start]! < 0x21 && buffer[start] !== 0x0d) {
      return this.#refuse({ status: 400, problem: "this is no HTTP" });
    }
    this.#headBegun = true;
    super.collectIncomingRange(buffer, start, end);
  }

  /** A head has come, or the content behind it. */
  protected override foundTerminator(): void {
    if (this.#request !== null) {
      const request = this.#request;
      this.#expectHead();
      return this.#answer(request);
    }
    const bytes = this.takeData();
    this.#headBegun = false;
    if (this.matchedTerminator!.length !== EMPTY_LINE.length) {
      return this.#refuse({ status: 400, problem: "a line ends with a bare LF" });
    }
    if (bytes.length === 0) return; // empty lines before a request are skipped (RFC 9112, 2.2)
    const head = parseRequestHead(bytes);
    if (isFault(head)) return this.#refuse(head);
    if (head.method !== "GET" && head.method !== "HEAD") {
      return this.#refuse({ status: 405, problem: `the method is ${head.method}` }, head);
    }
    if (head.contentLength === 0) return this.#answer(head);
    if (head.contentLength > LONGEST_CONTENT) {
      return this.#refuse({ status: 413, problem: `the content is longer than ${LONGEST_CONTENT} bytes` }, head);
    }
    if (head.expectsContinue) this.push("HTTP/1.1 100 Continue\r\n\r\n");
    this.#request = head;
    this.setTerminator(head.contentLength, { maxFrameBytes: LONGEST_CONTENT });
  }

  /** A head that does not end is refused: for its target if that does not end either. */
  protected override frameTooLong(): void {
    const inTarget = !this.takeText().trimStart().includes("\r\n");
    this.#refuse(
      inTarget
        ? { status: 414, problem: `the request line is longer than ${LONGEST_HEAD} bytes` }
        : { status: 431, problem: `the head is longer than ${LONGEST_HEAD} bytes` },
    );
  }

  /** A client that does not finish its request is told so; one that only keeps its connection is let go quietly. */
  protected override handleTimeout(error: ChatTimeoutError): void {
    if (error.kind === "write") return this.close(error);
    if (!this.#headBegun && this.#request === null) return this.closeWhenDone();
    this.#refuse({ status: 408, problem: `the request has not ended in ${error.limitMs} ms` });
  }

  /** A client that goes in the middle of a head is told; one that sent nothing, as browsers' spare connections do, is not. */
  protected override handleEof(): void {
    if (this.#headBegun) this.#refuse({ status: 400, problem: "the head does not end" });
    else this.closeWhenDone();
  }

  #expectHead(): void {
    this.#request = null;
    this.setTerminator(HEAD_ENDS, { maxFrameBytes: LONGEST_HEAD });
  }

  #answer(request: RequestHead): void {
    const path = decodePath(request.target);
    if (typeof path !== "string") return this.#refuse(path, request);
    this.#respond(request, 200, greeting(path.slice(1) || "world"), request.keepAlive);
  }

  /** Answers with a fault, and ends the connection: what follows a request that was not understood cannot be either. */
  #refuse(fault: HttpFault, request?: RequestHead): void {
    const title = `${fault.status} ${reasonPhrase(fault.status)}`;
    const page = `<html>\r\n<body>\r\n${escapeHtml(`${title}: ${fault.problem}`)}\r\n</body>\r\n</html>\r\n`;
    this.#respond(request, fault.status, page, false);
  }

  #respond(request: RequestHead | undefined, status: number, page: string, keepAlive: boolean): void {
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
    this.push(request?.method === "HEAD" ? head : head + page);
    if (!keepAlive) this.closeWhenDone();
    if (this.#onAnswer === undefined) return;
    const asked = request === undefined ? "- -" : `${request.method} ${printable(request.target)}`;
    this.#onAnswer(`${formatAddr(this.conn.remoteAddr)} ${asked} ${status}`);
  }
}

/**
 * Serves the greeter.
 *
 * @param options As for `serve`; by default the port is 8888, the address `localhost`, and there are 1,000 connections at most.
 * @returns The running server.
 * @throws {Deno.errors.AddrInUse} when the port is taken, and whatever else `Deno.listen` throws
 */
export function serveGreeter(options: Partial<ServeOptions> & GreeterOptions = {}): ChatServer {
  const where = options.path === undefined ? { port: DEFAULT_PORT, hostname: "localhost" } : {};
  return serve({ ...where, maxConnections: MOST_CONNECTIONS, ...options }, (conn) => new Greeter(conn, options));
}

const encoder = new TextEncoder();

/** How many bytes a text is as UTF-8. */
function byteLength(text: string): number {
  return BEYOND_ASCII.test(text) ? encoder.encode(text).length : text.length;
}

// deno-lint-ignore no-control-regex -- they are ASCII too
const BEYOND_ASCII = /[^\x00-\x7f]/;

/** Byte for byte the page of the first greeter, which was written with asyncore. */
function greeting(name: string): string {
  return `<html>\r\n<body>\r\nHello ${escapeHtml(name)}! \r\n</body>\r\n</html>\r\n`;
}

const ENTITIES: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };

function escapeHtml(text: string): string {
  return /[&<>"']/.test(text) ? text.replace(/[&<>"']/g, (char) => ENTITIES[char]!) : text;
}

let dateSecond = 0;
let dateText = "";

/** The time as RFC 9110, 5.6.7 wants it; made once a second. */
function httpDate(): string {
  const second = Math.floor(Date.now() / 1000);
  if (second !== dateSecond) {
    dateSecond = second;
    dateText = new Date(second * 1000).toUTCString();
  }
  return dateText;
}

/** A target as it may be shown on a terminal: what is beyond ASCII may be a control sequence there. */
function printable(target: string): string {
  return target.replace(/[^\x21-\x7e]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);
}

function formatAddr(addr: unknown): string {
  const { hostname, port } = (addr ?? {}) as Partial<Deno.NetAddr>;
  return hostname === undefined ? "-" : hostname.includes(":") ? `[${hostname}]:${port}` : `${hostname}:${port}`;
}
