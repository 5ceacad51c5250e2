/** Generates request heads for the fuzz tests: well-formed and mutated ones. One char a byte. */

/** Numbers in [0, 1). */
export type Random = () => number;

const pick = <T>(random: Random, from: ArrayLike<T>): T => from[Math.floor(random() * from.length)]!;

const TARGETS = ["/", "/kongxx", "/a%20b?c=d", "/K%C3%B6ln", "http://localhost/x", "/" + "y".repeat(60)];
const LINES = [
  "Connection: keep-alive",
  "Accept: */*",
  "User-Agent: Mozilla/5.0 (X11; Linux x86_64)",
  "Content-Length: 0",
  "Cookie: a=b; c=d",
  "Cache-Control: no-cache",
  "X-Empty:",
  "Accept-Language: de,en;q=0.5",
];

/** Fragments that have made two parsers disagree. */
const FRAGMENTS = [
  ...[
    "\r",
    "\n",
    "\r\n",
    "\r\n\r\n",
    "\n\n",
    "\n\r\n",
    "\0",
    "\t",
    "\v",
    "\f",
    " ",
    "  ",
    "\x7f",
    "\x85",
    "\xa0",
    "\xff",
  ],
  ...[":", " :", ": ", ",", ";", "%", "%00", "%0d%0a", "+", "-", "0x", "0", "18446744073709551616", "\r\n ", "\r\n\t"],
  ...["\r\nTransfer-Encoding: chunked", "\r\ntransfer-encoding:identity", "\r\nTransfer-Encoding : chunked"],
  ...["\r\nContent-Length: 5", "\r\ncontent-length:\t3 ", "\r\nContent-Length: +5", "\r\nContent-Length: 5,5"],
  ...["\r\nHost: evil", "\r\nhost:", "\r\n Host: evil", "\nHost: evil", "\rHost: evil", "\r\nConnection: close"],
  ...[
    "HTTP/1.1",
    "HTTP/1.0",
    "HTTP/2.0",
    "HTTP/0.9",
    "http/1.1",
    "GET / HTTP/1.1\r\nHost: evil\r\n\r\n",
    "HEAD",
    "POST",
  ],
];

/** A valid head, without the empty line that ends it. */
export function wellFormed(random: Random): string {
  const isOld = random() < 0.1;
  const lines = [`${pick(random, ["GET", "GET", "HEAD"])} ${pick(random, TARGETS)} HTTP/1.${isOld ? 0 : 1}`];
  if (!isOld || random() < 0.5) lines.push("Host: localhost:8888");
  const from = Math.floor(random() * LINES.length);
  lines.push(...LINES.slice(from, from + Math.floor(random() * 4)));
  return lines.join("\r\n");
}

/** Applies one to four mutations to `head`; fewer are more likely. */
export function mutated(head: string, random: Random): string {
  for (let left = 1 + Math.floor(4 * random() ** 2); left > 0; left--) head = mutatedOnce(head, random);
  return head;
}

function mutatedOnce(head: string, random: Random): string {
  const at = Math.floor(random() * (head.length + 1));
  const to = at + 1 + Math.floor(random() * 12);
  const lines = head.split("\r\n");
  const line = Math.floor(random() * lines.length);
  switch (Math.floor(random() * 11)) {
    case 0: // replace a byte
      return head.slice(0, at) + String.fromCharCode(random() * 256) + head.slice(at + 1);
    case 1: // flip a bit
      if (at === head.length) return head;
      return head.slice(0, at) + String.fromCharCode(head.charCodeAt(at) ^ 1 << random() * 8) + head.slice(at + 1);
    case 2: // insert
    case 3:
      return head.slice(0, at) + pick(random, FRAGMENTS) + head.slice(at);
    case 4: // replace
      return head.slice(0, at) + pick(random, FRAGMENTS) + head.slice(to);
    case 5: // delete
      return head.slice(0, at) + head.slice(to);
    case 6: // repeat a part
      return head.slice(0, to) + head.slice(at);
    case 7: // repeat a line
      return [...lines.slice(0, line + 1), ...lines.slice(line)].join("\r\n");
    case 8: // delete a line
      return lines.toSpliced(line, 1).join("\r\n");
    case 9: // append to a line
      return lines.with(line, lines[line]! + pick(random, FRAGMENTS)).join("\r\n");
    default: // swap the case of a line
      return lines.with(line, lines[line]!.replace(/[a-z]/gi, (char) => otherCase(char))).join("\r\n");
  }
}

function otherCase(char: string): string {
  return String.fromCharCode(char.charCodeAt(0) ^ 0x20);
}
