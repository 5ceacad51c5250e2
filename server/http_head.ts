/**
 * Parses the head of an HTTP/1 request into a value or a fault, and formats the head of a response.
 *
 * Strict where lenient parsers allow request smuggling: lines end with CR LF only, no space stands before a colon, a
 * length is digits only, line folding and repeated fields are errors.
 */

/** RFC 9110, 4.1 recommends 8000 at least; Apache and nginx allow 8 KiB. */
const MAX_TARGET_BYTES = 8192;
/** As Apache's `LimitRequestFields` and Python's `http.client`. */
const MAX_FIELDS = 100;

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/; //                            RFC 9110, 5.6.2
// deno-lint-ignore no-control-regex -- finds control characters
const CONTROL = /[\x00-\x08\x0a-\x1f\x7f]/; //                                all but HTAB
const REQUEST_LINE = /^([^ \t]+) ([^ \t]+) HTTP\/([0-9])\.([0-9])$/; //       RFC 9112, 3
const HOST = /^(?:\[[0-9A-Fa-f:.]+\]|[\w\-.~!$&'()*+,;=%]*)(?::[0-9]*)?$/; // RFC 9110, 7.2

/** A parsed request head. */
export interface RequestHead {
  method: string;
  /** As sent: not decoded, with its query. */
  target: string;
  /** 0 for HTTP/1.0, 1 for any later HTTP/1. */
  minorVersion: 0 | 1;
  /** Whether another request may follow. */
  keepAlive: boolean;
  /** Bytes of content behind the head. */
  contentLength: number;
  /** Whether the client waits for a 100 (Continue). */
  expectsContinue: boolean;
}

/** A status of 400 or above, and the reason in words. */
export interface HttpFault {
  status: number;
  problem: string;
}

/** Whether parsing failed. */
export function isFault(value: object): value is HttpFault {
  return "problem" in value;
}

/**
 * Parses a request head. Never throws.
 *
 * @param bytes The head without the empty line that ends it. One empty line before it is allowed (RFC 9112, 2.2).
 */
export function parseRequestHead(bytes: Uint8Array): RequestHead | HttpFault {
  const lines = toText(bytes).split("\r\n");
  if (lines[0] === "") lines.shift();
  const requestLine = lines[0] ?? "";
  if (requestLine.length > MAX_TARGET_BYTES && (requestLine.split(" ", 2)[1] ?? "").length > MAX_TARGET_BYTES) {
    return fault(414, `request target too long, limit is ${MAX_TARGET_BYTES} bytes`);
  }
  if (CONTROL.test(requestLine)) return fault(400, "control character in the request line");
  const parts = REQUEST_LINE.exec(requestLine);
  if (parts === null) return fault(400, "malformed request line: expected method, target and version");
  const [method, target, minor] = [parts[1]!, parts[2]!, parts[4]!];
  if (!TOKEN.test(method)) return fault(400, "malformed method");
  if (parts[3] !== "1") return fault(505, "unsupported version: expected HTTP/1");
  if (lines.length - 1 > MAX_FIELDS) return fault(431, `too many header fields, limit is ${MAX_FIELDS}`);
  const head: RequestHead = {
    method,
    target,
    minorVersion: minor === "0" ? 0 : 1,
    keepAlive: minor !== "0",
    contentLength: 0,
    expectsContinue: false,
  };
  return readFields(lines, head);
}

/** Parses the fields, which are all lines but the first. */
function readFields(lines: readonly string[], head: RequestHead): RequestHead | HttpFault {
  let hosts = 0;
  let lengths = 0;
  let close = false;
  let transferEncoded = false;
  for (let at = 1; at < lines.length; at++) {
    const field = lines[at]!;
    const colon = field.indexOf(":");
    const name = field.slice(0, Math.max(colon, 0)).toLowerCase();
    if (!TOKEN.test(name)) return fault(400, "malformed header line: expected name, colon and value");
    if (CONTROL.test(field)) return fault(400, "control character in a header field");
    const value = trim(field, colon + 1);
    switch (name) {
      case "host":
        if (++hosts > 1 || !HOST.test(value)) return fault(400, "repeated or malformed Host");
        break;
      case "content-length":
        if (++lengths > 1 || !/^[0-9]{1,15}$/.test(value)) {
          return fault(400, "repeated or malformed Content-Length");
        }
        head.contentLength = Number(value);
        break;
      case "transfer-encoding":
        transferEncoded = true;
        break;
      case "connection":
        for (const option of value.toLowerCase().split(",")) {
          if (trim(option, 0) === "close") close = true;
          if (trim(option, 0) === "keep-alive") head.keepAlive = true;
        }
        break;
      case "expect":
        head.expectsContinue = value.toLowerCase() === "100-continue" && head.minorVersion > 0;
        break;
    }
  }
  if (hosts === 0 && head.minorVersion > 0) return fault(400, "missing Host");
  if (transferEncoded) return fault(501, "unsupported Transfer-Encoding");
  if (close) head.keepAlive = false;
  return head;
}

/**
 * Extracts the path of a target: without its query, percent-decoded as UTF-8.
 *
 * @param target In origin form, or in the absolute form that proxies get (RFC 9112, 3.2.2).
 */
export function decodePath(target: string): string | HttpFault {
  if (PLAIN_PATH.test(target)) return target;
  const local = target.replace(/^https?:\/\/[^/?#]*/i, "");
  if (!/^($|[/?])/.test(local)) return fault(400, "request target without a path");
  const path = local.replace(/\?[^]*$/, "");
  if (/%(?![0-9A-Fa-f]{2})/.test(path)) return fault(400, "bad percent escape in the request target");
  const decoded = path.replace(/%(..)/g, (_, digits) => String.fromCharCode(parseInt(digits, 16)));
  try {
    return utf8.decode(Uint8Array.from(decoded, (char) => char.charCodeAt(0))) || "/";
  } catch {
    return fault(400, "request target is not UTF-8");
  }
}

/** A path that needs no decoding: most of them. */
const PLAIN_PATH = /^\/[\w\-.~!$&'()*+,;=:@\/]*$/;

/** Reason phrases of RFC 9110, 15 and RFC 6585. */
const REASONS: Record<number, string> = {
  200: "OK",
  400: "Bad Request",
  405: "Method Not Allowed",
  408: "Request Timeout",
  413: "Content Too Large",
  414: "URI Too Long",
  431: "Request Header Fields Too Large",
  501: "Not Implemented",
  505: "HTTP Version Not Supported",
};

/** The reason phrase of a status, "" for one that is not used here. */
export function reasonPhrase(status: number): string {
  return REASONS[status] ?? "";
}

/**
 * Formats a response head with the empty line that ends it. The result is ASCII if the values are.
 *
 * @param fields Header lines as name and value, in order.
 */
export function formatResponseHead(minorVersion: 0 | 1, status: number, fields: Record<string, string>): string {
  let head = `HTTP/1.${minorVersion} ${status} ${reasonPhrase(status)}\r\n`;
  for (const name in fields) head += `${name}: ${fields[name]}\r\n`;
  return head + "\r\n";
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function fault(status: number, problem: string): HttpFault {
  return { status, problem };
}

/** Decodes each byte to one UTF-16 unit. ("latin1" of the Encoding standard is windows-1252, which loses bytes.) */
function toText(bytes: Uint8Array): string {
  try {
    const ascii = utf8.decode(bytes);
    if (ascii.length === bytes.length) return ascii;
  } catch {
    // not UTF-8, but a head all the same
  }
  let text = "";
  for (let at = 0; at < bytes.length; at += 4096) text += String.fromCharCode(...bytes.subarray(at, at + 4096));
  return text;
}

/** Trims spaces and tabs from `text.slice(begin)`. A loop, as `/[ \t]+$/` is quadratic in a run of spaces. */
function trim(text: string, begin: number): string {
  let end = text.length;
  while (begin < end && isSpace(text, begin)) begin++;
  while (begin < end && isSpace(text, end - 1)) end--;
  return text.slice(begin, end);
}

function isSpace(text: string, at: number): boolean {
  return text[at] === " " || text[at] === "\t";
}
