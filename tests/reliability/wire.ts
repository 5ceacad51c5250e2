/** Clients that send exact bytes and record exactly what they receive. */

const encoder = new TextEncoder();

/** After this time without EOF a connection hangs. */
const MAX_WAIT_MS = 60_000;

export const connect = (port: number) => Deno.connect({ hostname: "127.0.0.1", port });

/** Writes all of `data`. Returns whether the peer took it. */
export async function send(conn: Deno.Conn, data: string | Uint8Array): Promise<boolean> {
  let rest = typeof data === "string" ? encoder.encode(data) : data;
  try {
    while (rest.length > 0) rest = rest.subarray(await conn.write(rest));
    return true;
  } catch {
    return false;
  }
}

/** All that a client received, and how the connection ended. */
export interface Received {
  /** One char a byte. */
  text: string;
  end: "end" | "reset" | "hang";
}

/** Reads to the end of the connection. */
export async function receive(conn: Deno.Conn, toleranceMs = MAX_WAIT_MS): Promise<Received> {
  const buffer = new Uint8Array(65_536);
  const received: Received = { text: "", end: "end" };
  const timer = setTimeout(() => {
    received.end = "hang";
    conn.close();
  }, toleranceMs);
  try {
    for (let count; (count = await conn.read(buffer)) !== null;) received.text += latin1(buffer.subarray(0, count));
  } catch {
    if (received.end !== "hang") received.end = "reset";
  }
  clearTimeout(timer);
  return received;
}

/** Sends `data` on a new connection, ends its side, and reads to the end. */
export async function exchange(port: number, data: string | Uint8Array): Promise<Received> {
  const conn = await connect(port);
  const receiving = receive(conn);
  if (await send(conn, data)) await conn.closeWrite().catch(() => {});
  const received = await receiving;
  if (received.end !== "hang") conn.close();
  return received;
}

/** Sends one request to the greeter on a new connection. Returns whether the answer is right. */
export async function isGreeted(port: number, name: string): Promise<boolean> {
  const request = `GET /${name} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`;
  const { text, end } = await exchange(port, request);
  const page = `<html>\r\n<body>\r\nHello ${name}! \r\n</body>\r\n</html>\r\n`;
  return end === "end" && text.startsWith("HTTP/1.1 200 OK\r\n") && text.endsWith(`\r\n\r\n${page}`);
}

/** An answer of the greeter. */
export interface Answer {
  status: number;
  body: string;
}

/**
 * Parses the final answers. `methods` are those of the valid requests: an answer to HEAD has no body. The last answer may
 * be an error without one: its request was a HEAD as well.
 */
export function answersIn(text: string, methods?: readonly string[]): Answer[] {
  const answers: Answer[] = [];
  for (let at = 0; at < text.length;) {
    const end = text.indexOf("\r\n\r\n", at);
    const head = text.slice(at, end < 0 ? text.length : end);
    const status = /^HTTP\/1\.[01] ([0-9]{3}) /.exec(head)?.[1];
    if (end < 0 || status === undefined) throw new Error(`Not an HTTP answer: ${JSON.stringify(text.slice(at))}`);
    at = end + 4;
    if (status === "100") continue;
    const method = methods === undefined ? "GET" : methods[answers.length] ?? "of an invalid request";
    const bodyless = method === "HEAD" || (method !== "GET" && at === text.length);
    const length = bodyless ? 0 : Number(/^Content-Length: (.*)$/m.exec(head)![1]);
    answers.push({ status: Number(status), body: text.slice(at, at + length) });
    if (at + length > text.length) throw new Error(`Incomplete answer: ${JSON.stringify(text.slice(at))}`);
    at += length;
  }
  return answers;
}

/** Converts bytes to text, one char each. */
export function latin1(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length; at += 4096) text += String.fromCharCode(...bytes.subarray(at, at + 4096));
  return text;
}

/** Converts text to bytes, one char each. */
export function fromLatin1(text: string): Uint8Array {
  return Uint8Array.from(text, (char) => char.charCodeAt(0));
}
