/**
 * A second parser of request heads, independent of `server/http_head.ts`: checks the rules of RFC 9112 one by one. What
 * it rejects the greeter must reject; it may accept what the greeter rejects for other reasons, such as a limit. Text
 * is one char a byte.
 */

const VISIBLE = (char: string) => char > " " && char !== "\x7f";
const TOKEN_CHARS = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
const isToken = (text: string) => text !== "" && [...text].every((char) => TOKEN_CHARS.includes(char));
const isDigits = (text: string) => text !== "" && [...text].every((char) => "0123456789".includes(char));

/** The rule that a head (without the empty line that ends it) breaks, or `null`. */
export function faultIn(head: string): string | null {
  for (let at = 0; at < head.length; at++) {
    if (head[at] === "\r" && head[at + 1] !== "\n") return "bare CR";
    if (head[at] === "\n" && head[at - 1] !== "\r") return "bare LF";
    if (head[at]! < " " && !"\r\n\t".includes(head[at]!) || head[at] === "\x7f") return "control character";
  }
  const lines = head.split("\r\n");
  if (lines[0] === "") lines.shift(); // one empty line is allowed
  const words = (lines.shift() ?? "").split(" ");
  if (words.length !== 3) return "not three words";
  const [method, target, version] = words as [string, string, string];
  if (!isToken(method)) return "method";
  if (target === "" || ![...target].every(VISIBLE)) return "target";
  if (version.length !== 8 || !version.startsWith("HTTP/1.") || !isDigits(version[7]!)) return "version";
  const names: string[] = [];
  for (const line of lines) {
    if (line === "") return "empty line";
    if (line[0] === " " || line[0] === "\t") return "obs-fold";
    const colon = line.indexOf(":");
    if (colon < 0) return "no colon";
    const name = line.slice(0, colon);
    if (!isToken(name)) return "field name";
    names.push(name.toLowerCase());
    if (names.at(-1) === "content-length" && !isDigits(valueOf(line))) return "Content-Length is not a number";
  }
  const count = (name: string) => names.filter((other) => other === name).length;
  if (count("transfer-encoding") > 0) return "Transfer-Encoding";
  if (count("content-length") > 1) return "two Content-Lengths";
  if (count("host") > 1) return "two Hosts";
  if (count("host") === 0 && version !== "HTTP/1.0") return "no Host";
  return null;
}

/** The value of a field line, without the spaces and tabs around it. */
function valueOf(line: string): string {
  let value = line.slice(line.indexOf(":") + 1);
  while (value !== "" && " \t".includes(value[0]!)) value = value.slice(1);
  while (value !== "" && " \t".includes(value.at(-1)!)) value = value.slice(0, -1);
  return value;
}

/** The valid requests of a stream. */
export interface Reading {
  /** Methods of valid, complete requests, in order. */
  methods: string[];
  /** Why no more follow. */
  end: string;
}

/** Parses a stream up to the first invalid request, the first that asks to close, or the end. */
export function readStream(stream: string): Reading {
  const methods: string[] = [];
  for (let at = 0;;) {
    while (stream.startsWith("\r\n", at)) at += 2;
    const end = stream.indexOf("\r\n\r\n", at);
    if (end < 0) return { methods, end: "end of the stream" };
    const head = stream.slice(at, end);
    const fault = faultIn(head);
    if (fault !== null) return { methods, end: fault };
    const lines = head.split("\r\n").slice(1);
    const length = lines.find((line) => line.toLowerCase().startsWith("content-length:"));
    at = end + 4 + (length === undefined ? 0 : Number(valueOf(length)));
    if (at > stream.length) return { methods, end: "end of the stream" };
    methods.push(head.slice(0, head.indexOf(" ")));
    const connection = lines.filter((line) => line.toLowerCase().startsWith("connection:"));
    const options = connection.flatMap((line) =>
      valueOf(line).toLowerCase().split(",").map((part) => valueOf(`:${part}`))
    );
    const isOld = head.split("\r\n", 1)[0]!.endsWith("HTTP/1.0");
    if (options.includes("close") || isOld && !options.includes("keep-alive")) return { methods, end: "asked for" };
  }
}
