import { assert, assertEquals } from "@std/assert";
import fc from "fast-check";
import {
  decodePath,
  formatResponseHead,
  isFault,
  parseRequestHead,
  reasonPhrase,
  type RequestHead,
} from "./http_head.ts";

const encoder = new TextEncoder();

function parse(head: string) {
  return parseRequestHead(encoder.encode(head));
}

/** The status of the fault; 0 when parsing succeeds. */
function statusOf(head: string): number {
  const result = parse(head);
  return isFault(result) ? result.status : 0;
}

Deno.test("parseRequestHead() parses method, target, version and the known fields", () => {
  const plain: RequestHead = {
    method: "GET",
    target: "/kongxx",
    minorVersion: 1,
    keepAlive: true,
    contentLength: 0,
    expectsContinue: false,
  };
  assertEquals(parse("GET /kongxx HTTP/1.1\r\nHost: localhost:8888"), plain);
  assertEquals(parse("GET /kongxx HTTP/1.0"), { ...plain, minorVersion: 0, keepAlive: false });
  assertEquals(parse("\r\nGET /kongxx HTTP/1.1\r\nhOST:\t a.b \t"), plain);
  assertEquals(parse("GET /kongxx HTTP/1.9\r\nHost:"), plain);
  assertEquals(parse("GET /kongxx HTTP/1.1\r\nHost: h\r\nConnection: x, Close"), { ...plain, keepAlive: false });
  assertEquals(parse("GET /kongxx HTTP/1.0\r\nConnection: Keep-Alive"), { ...plain, minorVersion: 0 });
  assertEquals(
    parse("GET /kongxx HTTP/1.1\r\nHost: h\r\nConnection: close, keep-alive"),
    { ...plain, keepAlive: false },
  );
  assertEquals(
    parse("POST /kongxx HTTP/1.1\r\nHost: h\r\nContent-Length: 012\r\nExpect: 100-Continue"),
    { ...plain, method: "POST", contentLength: 12, expectsContinue: true },
  );
  assertEquals(parse("GET /kongxx HTTP/1.0\r\nExpect: 100-continue"), { ...plain, minorVersion: 0, keepAlive: false });
});

Deno.test("parseRequestHead() rejects shapes of request smuggling, and malformed heads", () => {
  const host = "GET / HTTP/1.1\r\nHost: h";
  const expected: [string, number][] = [
    // the request line
    ["", 400],
    ["GET /", 400],
    ["GET / ", 400],
    ["GET  / HTTP/1.1\r\nHost: h", 400],
    ["GET / HTTP/1.1 \r\nHost: h", 400],
    [" GET / HTTP/1.1\r\nHost: h", 400],
    ["GET\t/\tHTTP/1.1\r\nHost: h", 400],
    ["GET /a b HTTP/1.1\r\nHost: h", 400],
    ["G(T / HTTP/1.1\r\nHost: h", 400],
    ["GET / http/1.1\r\nHost: h", 400],
    ["GET / HTTP/1.10\r\nHost: h", 400],
    ["GET / HTTP/+1.1\r\nHost: h", 400],
    ["GET /\0 HTTP/1.1\r\nHost: h", 400],
    ["GET / HTTP/0.9", 505],
    ["GET / HTTP/2.0\r\nHost: h", 505],
    ["\r\n\r\nGET / HTTP/1.1\r\nHost: h", 400],
    // Host
    ["GET / HTTP/1.1", 400],
    ["GET / HTTP/1.0", 0],
    [`${host}\r\nHost: h`, 400],
    ["GET / HTTP/1.0\r\nHost: h\r\nHost: i", 400],
    ["GET / HTTP/1.1\r\nHost: a b", 400],
    ["GET / HTTP/1.1\r\nHost: a/b", 400],
    ["GET / HTTP/1.1\r\nHost: user@h", 400],
    ["GET / HTTP/1.1\r\nHost: [::1]:8888", 0],
    // header lines
    [`${host}\r\nX : y`, 400],
    [`${host}\r\n: y`, 400],
    [`${host}\r\nX`, 400],
    [`${host}\r\n folded`, 400],
    [`${host}\r\nX: y\r\n\tfolded`, 400],
    [`${host}\r\nX: a\0b`, 400],
    [`${host}\r\nX: a\rb`, 400],
    [`${host}\r\nX: a\nb`, 400],
    [`${host}\nX: a`, 400],
    [`${host}\r\nX: a\x7fb`, 400],
    [`${host}\r\nX: a\tb`, 0],
    [`${host}\r\nX: Grüße`, 0],
    [`${host}\r\nX y: z`, 400],
    // lengths
    [`${host}\r\nContent-Length: 5`, 0],
    [`${host}\r\nContent-Length: +5`, 400],
    [`${host}\r\nContent-Length: -5`, 400],
    [`${host}\r\nContent-Length: 0x5`, 400],
    [`${host}\r\nContent-Length: 5, 5`, 400],
    [`${host}\r\nContent-Length: 5\r\nContent-Length: 5`, 400],
    [`${host}\r\nContent-Length:`, 400],
    [`${host}\r\nContent-Length: 5.0`, 400],
    [`${host}\r\nContent-Length: 1e3`, 400],
    [`${host}\r\nContent-Length: 9999999999999999`, 400],
    [`${host}\r\nContent-Length : 5`, 400],
    [`${host}\r\nTransfer-Encoding: chunked`, 501],
    [`${host}\r\nTransfer-Encoding: identity`, 501],
    [`${host}\r\nContent-Length: 5\r\nTransfer-Encoding: chunked`, 501],
    [`${host}\r\nTransfer-Encoding: chunked\r\nContent-Length: +5`, 400],
    // sizes
    [`GET /${"a".repeat(8_191)} HTTP/1.1\r\nHost: h`, 0],
    [`GET /${"a".repeat(8_192)} HTTP/1.1\r\nHost: h`, 414],
    ["a".repeat(8_193), 400],
    [`${host}${"\r\nX: y".repeat(99)}`, 0],
    [`${host}${"\r\nX: y".repeat(100)}`, 431],
  ];
  for (const [head, status] of expected) assertEquals(statusOf(head), status, JSON.stringify(head.slice(0, 100)));
});

Deno.test("parseRequestHead() is linear in long runs of spaces", () => {
  assertEquals(statusOf(`GET / HTTP/1.1\r\nHost: h\r\nX: a${" ".repeat(16_000)}b`), 0);
});

Deno.test("parseRequestHead() never throws, whatever the bytes", () => {
  const line = fc.constantFrom(
    "GET / HTTP/1.1",
    "Host: h",
    "Content-Length: 1",
    "Transfer-Encoding: x",
    "\r\n",
    "\n",
    " ",
  );
  const noise = fc.uint8Array({ maxLength: 40 });
  fc.assert(fc.property(fc.array(fc.oneof(line.map((text) => encoder.encode(text)), noise)), (parts) => {
    const result = parseRequestHead(Uint8Array.from(parts.flatMap((part) => [...part])));
    if (!isFault(result)) assert(result.contentLength >= 0 && result.method.length > 0 && result.target.length > 0);
    else assert([400, 414, 431, 501, 505].includes(result.status));
  }));
});

Deno.test("decodePath() decodes UTF-8, drops the query, and accepts the absolute form", () => {
  const expected: [string, string | number][] = [
    ["/kongxx", "/kongxx"],
    ["/", "/"],
    ["/a/b?c=d?e", "/a/b"],
    ["/?q", "/"],
    ["/%3Cscript%3E", "/<script>"],
    ["/K%C3%B6ln", "/Köln"],
    ["/%e4%BD%A0", "/你"],
    ["/a+b%2B", "/a+b+"],
    ["/%EF%BB%BFbom", "/\ufeffbom"],
    ["http://localhost:8888/x?y", "/x"],
    ["HTTPS://h", "/"],
    ["http://h?q", "/"],
    ["/%", 400],
    ["/%4", 400],
    ["/%zz", 400],
    ["/%C3", 400],
    ["/%FF", 400],
    ["/%C0%80", 400],
    ["*", 400],
    ["kongxx", 400],
    ["kongxx?x=/", 400],
    ["localhost:80", 400],
    ["http://h#x", 400],
    ["ftp://h/x", 400],
  ];
  for (const [target, result] of expected) {
    const path = decodePath(target);
    assertEquals(typeof path === "string" ? path : path.status, result, target);
  }
  // Some clients, such as curl, send bytes beyond ASCII unescaped.
  const head = parse("GET /Köln HTTP/1.0") as RequestHead;
  assertEquals(decodePath(head.target), "/Köln");
});

Deno.test("decodePath() reverses encodeURIComponent", () => {
  fc.assert(fc.property(fc.string({ unit: "grapheme" }), (name) => {
    assertEquals(decodePath(`/${encodeURIComponent(name)}`), `/${name}`);
  }));
});

Deno.test("formatResponseHead() gives a status line, the fields in order and an empty line", () => {
  assertEquals(
    formatResponseHead(0, 405, { Allow: "GET", Connection: "close" }),
    "HTTP/1.0 405 Method Not Allowed\r\nAllow: GET\r\nConnection: close\r\n\r\n",
  );
  assertEquals(reasonPhrase(299), "");
});
