/**
 * The head of an HTTP/1 request as a value, or as the fault it has; the head of a response as text.
 *
 * Strict where leniency has been used to smuggle one request inside another: lines end with CRLF and nothing else, a field
 * name is followed by its colon at once, a length is digits, nothing is folded over two lines, nothing is given twice.
 */

/** The longest request target in bytes: RFC 9110, 4.1 asks for 8000 at least; Apache and nginx take 8 KiB. */
const LONGEST_TARGET = 8192;
/** The most field lines: Apache's `LimitRequestFields`, Python's `http.client`. */
const MOST_FIELDS = 100;

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/; //                            RFC 9110, 5.6.2
// deno-lint-ignore no-control-regex -- control characters are what it is to find
const CONTROL = /[\x00-\x08\x0a-\x1f\x7f]/; //                                all but HTAB
const REQUEST_LINE = /^([^ \t]+) ([^ \t]+) HTTP\/([0-9])\.([0-9])$/; //       RFC 9112, 3
const HOST = /^(?:\[[0-9A-Fa-f:.]+\]|[\w\-.~!$&'()*+,;=%]*)(?::[0-9]*)?$/; // RFC 9110, 7.2

/** What a request asks, as far as its head tells. */
export interface RequestHead {
  method: string;
  /** As it was sent: not decoded, the query still there. */
  target: string;
  /** 0 or 1: of HTTP/1.0 and of all later HTTP/1. */
  minorVersion: 0 | 1;
  /** Whether the connection may be used for another request. */
  keepAlive: boolean;
  /** How many bytes of content follow the head. */
  contentLength: number;
  /** Whether the client waits to be asked for its content. */
  expectsContinue: boolean;
}

/** A request that is not answered with what it asks for, and why. */
export interface HttpFault {
  status: number;
  problem: string;
}

/** Whether a head could not be taken. */
export function isFault(value: object): value is HttpFault {
  return "problem" in value;
}

/**
 * Reads a request head.
 *
 * @param bytes The head without the empty line that ends it. One empty line before it is allowed (RFC 9112, 2.2).
 */
export function parseRequestHead(bytes: Uint8Array): RequestHead | HttpFault {
  const lines = toText(bytes).split("\r\n");
  if (lines[0] === "") lines.shift();
  const requestLine = lines[0] ?? "";
  if (requestLine.length > LONGEST_TARGET && (requestLine.split(" ", 2)[1] ?? "").length > LONGEST_TARGET) {
    return fault(414, `the target is longer than ${LONGEST_TARGET} bytes`);
  }
  if (CONTROL.test(requestLine)) return fault(400, "the request line has a control character");
  const parts = REQUEST_LINE.exec(requestLine);
  if (parts === null) return fault(400, "the request line is not method, target and version");
  const [method, target, minor] = [parts[1]!, parts[2]!, parts[4]!];
  if (!TOKEN.test(method)) return fault(400, "the method is not a token");
  if (parts[3] !== "1") return fault(505, "the version is not HTTP/1");
  if (lines.length - 1 > MOST_FIELDS) return fault(431, `there are more than ${MOST_FIELDS} header fields`);
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

/** Reads the fields, which are all lines but the first. */
function readFields(lines: readonly string[], head: RequestHead): RequestHead | HttpFault {
  let hosts = 0;
  let lengths = 0;
  let close = false;
  let transferEncoded = false;
  for (let at = 1; at < lines.length; at++) {
    const field = lines[at]!;
    const colon = field.indexOf(":");
    const name = field.slice(0, Math.max(colon, 0)).toLowerCase();
    if (!TOKEN.test(name)) return fault(400, "a header line is not a name, a colon and a value");
    if (CONTROL.test(field)) return fault(400, "a header field has a control character");
    const value = trim(field, colon + 1);
    switch (name) {
      case "host":
        if (++hosts > 1 || !HOST.test(value)) return fault(400, "Host is given twice or is no host");
        break;
      case "content-length":
        if (++lengths > 1 || !/^[0-9]{1,15}$/.test(value)) {
          return fault(400, "Content-Length is given twice or is no length");
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
  if (hosts === 0 && head.minorVersion > 0) return fault(400, "Host is missing");
  if (transferEncoded) return fault(501, "Transfer-Encoding is not understood here");
  if (close) head.keepAlive = false;
  return head;
}

/**
 * The path of a target, without its query, percent-decoded as UTF-8.
 *
 * @param target In origin form, or in absolute form as a proxy gets it (RFC 9112, 3.2.2).
 */
export function decodePath(target: string): string | HttpFault {
  if (PLAIN_PATH.test(target)) return target;
  const local = target.replace(/^https?:\/\/[^/?#]*/i, "");
  if (!/^($|[/?])/.test(local)) return fault(400, "the target has no path");
  const path = local.replace(/\?[^]*$/, "");
  if (/%(?![0-9A-Fa-f]{2})/.test(path)) return fault(400, "the target has a bad percent escape");
  const decoded = path.replace(/%(..)/g, (_, digits) => String.fromCharCode(parseInt(digits, 16)));
  try {
    return utf8.decode(Uint8Array.from(decoded, (char) => char.charCodeAt(0))) || "/";
  } catch {
    return fault(400, "the target is not UTF-8");
  }
}

/** A path that means what it says: most of them. */
const PLAIN_PATH = /^\/[\w\-.~!$&'()*+,;=:@\/]*$/;

/** What the status codes used here are called: RFC 9110, 15 and RFC 6585. */
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

/** The name of a status. */
export function reasonPhrase(status: number): string {
  return REASONS[status] ?? "";
}

/**
 * A response's head, with the empty line that ends it; ASCII as long as the values are.
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

/** One UTF-16 unit a byte, so that no byte is lost ("latin1" in the Encoding standard is windows-1252). */
function toText(bytes: Uint8Array): string {
  try {
    const ascii = utf8.decode(bytes);
    if (ascii.length === bytes.length) return ascii;
  } catch {
    // not UTF-8, and still to be read
  }
  let text = "";
  for (let at = 0; at < bytes.length; at += 4096) text += String.fromCharCode(...bytes.subarray(at, at + 4096));
  return text;
}

/** The text from `begin` on without spaces and tabs around it. By hand: `/[ \t]+$/` is quadratic on a run of spaces. */
function trim(text: string, begin: number): string {
  let end = text.length;
  while (begin < end && isSpace(text, begin)) begin++;
  while (begin < end && isSpace(text, end - 1)) end--;
  return text.slice(begin, end);
}

function isSpace(text: string, at: number): boolean {
  return text[at] === " " || text[at] === "\t";
}
