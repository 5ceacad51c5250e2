import type { ChatConn } from "../chat/options.ts";
import type { Handshake } from "./handshake.ts";
import { ProxyHeaderError } from "../core/errors.ts";
import { isInBlock, parseIp, parseIpBlock } from "./ip.ts";
import { MAX_PROXY_HEADER_BYTES, parseProxyHeader, type ProxyHeader } from "./proxy_header.ts";

/** Which proxies are trusted, and the time limit of their header. */
export interface ProxyProtocolOptions {
  /**
   * The trusted proxies; a header from any other peer could be forged. Either addresses and blocks, such as
   * `192.0.2.7`, `10.0.0.0/8`, `fd00::/8`; or a function called with the peer's address of each connection.
   */
  trusted: readonly string[] | ((addr: unknown) => boolean);
  /**
   * The time limit of a header, in milliseconds. Below 3,000 one lost packet can exceed it (section 3 of the protocol).
   *
   * @default {5000}
   */
  timeoutMs?: number;
}

/** The problem of a header whose connection has ended. */
export const INCOMPLETE = "it is incomplete";

/**
 * Returns the handshake that reads a PROXY header and applies its addresses to the connection. No byte after the header
 * is read.
 *
 * @throws {TypeError} when `trusted` is neither a list of addresses nor a function
 */
export function readProxyHeader<Conn extends ChatConn>(
  { trusted, timeoutMs = 5_000 }: ProxyProtocolOptions,
): Handshake<Conn> {
  const isTrusted = typeof trusted === "function" ? trusted : matcherFor(trusted);
  return {
    name: "PROXY header",
    timeoutMs,
    revealsAddress: true,
    async run(conn) {
      if (!isTrusted(conn.remoteAddr)) throw new ProxyHeaderError("the peer is not trusted", 0);
      const { source, destination } = await readHeader(conn);
      if (source === undefined) return;
      Object.defineProperties(conn, { remoteAddr: { value: source }, localAddr: { value: destination } });
    },
  };
}

async function readHeader(conn: ChatConn): Promise<ProxyHeader> {
  const bytes = new Uint8Array(MAX_PROXY_HEADER_BYTES);
  for (let length = 0;;) {
    const result = parseProxyHeader(bytes.subarray(0, length));
    if ("problem" in result) throw new ProxyHeaderError(result.problem, length);
    if ("length" in result) return result;
    const count = await conn.read(bytes.subarray(length, length + result.missing));
    if (count === null) throw new ProxyHeaderError(INCOMPLETE, length);
    length += count;
  }
}

function matcherFor(trusted: readonly string[]): (addr: unknown) => boolean {
  if (!Array.isArray(trusted)) throw invalidTrusted(trusted);
  const blocks = trusted.map((text) => {
    const block = parseIpBlock(String(text));
    if (block === null) throw invalidTrusted(text);
    return block;
  });
  return (addr) => {
    const ip = parseIp((addr as { hostname?: string } | undefined)?.hostname ?? "");
    return ip !== null && blocks.some((block) => isInBlock(ip, block));
  };
}

function invalidTrusted(value: unknown): TypeError {
  return new TypeError(
    `Cannot serve: proxyProtocol.trusted has ${
      JSON.stringify(value)
    }, expected addresses such as 10.1.2.3 or 10.0.0.0/8`,
  );
}
