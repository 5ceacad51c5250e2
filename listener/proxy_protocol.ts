import type { ChatConn } from "../chat/options.ts";
import type { Handshake } from "./handshake.ts";
import { ProxyHeaderError } from "../core/errors.ts";
import { isInBlock, parseIp, parseIpBlock } from "./ip.ts";
import { LONGEST_PROXY_HEADER, parseProxyHeader, type ProxyHeader } from "./proxy_header.ts";

/** Whom to believe when it says whose connection it is, and how long that may take. */
export interface ProxyProtocolOptions {
  /**
   * The proxies, since any other that sends a header could say to be whoever it likes: addresses and blocks of addresses as
   * `192.0.2.7`, `10.0.0.0/8`, `fd00::/8`; or a function that is asked for each connection with the address of its peer.
   */
  trusted: readonly string[] | ((addr: unknown) => boolean);
  /**
   * How long a header may take to come, in milliseconds. Below three seconds one lost packet is too late (the protocol, 3).
   *
   * @default {5000}
   */
  timeoutMs?: number;
}

/**
 * Reads the header of the PROXY protocol from a connection, and shows the addresses that it tells as the connection's own.
 * Not one byte behind the header is read.
 *
 * @throws {TypeError} when `trusted` is no list of addresses and no function
 */
export function readProxyHeader<Conn extends ChatConn>(
  { trusted, timeoutMs = 5_000 }: ProxyProtocolOptions,
): Handshake<Conn> {
  const trusts = typeof trusted === "function" ? trusted : trusterOf(trusted);
  return {
    name: "PROXY header",
    timeoutMs,
    revealsAddress: true,
    async run(conn) {
      if (!trusts(conn.remoteAddr)) throw new ProxyHeaderError("its peer is not one of those that are trusted", 0);
      const { source, destination } = await read(conn);
      if (source === undefined) return;
      Object.defineProperties(conn, { remoteAddr: { value: source }, localAddr: { value: destination } });
    },
  };
}

async function read(conn: ChatConn): Promise<ProxyHeader> {
  const bytes = new Uint8Array(LONGEST_PROXY_HEADER);
  for (let length = 0;;) {
    const found = parseProxyHeader(bytes.subarray(0, length));
    if ("problem" in found) throw new ProxyHeaderError(found.problem, length);
    if ("length" in found) return found;
    const count = await conn.read(bytes.subarray(length, length + found.missing));
    if (count === null) throw new ProxyHeaderError("the connection ends before it does", length);
    length += count;
  }
}

function trusterOf(trusted: readonly string[]): (addr: unknown) => boolean {
  if (!Array.isArray(trusted)) throw untrustworthy(trusted);
  const blocks = trusted.map((text) => {
    const block = parseIpBlock(String(text));
    if (block === null) throw untrustworthy(text);
    return block;
  });
  return (addr) => {
    const ip = parseIp((addr as { hostname?: string } | undefined)?.hostname ?? "");
    return ip !== null && blocks.some((block) => isInBlock(ip, block));
  };
}

function untrustworthy(value: unknown): TypeError {
  return new TypeError(
    `Cannot serve: proxyProtocol.trusted has ${JSON.stringify(value)}, addresses as 10.1.2.3 or 10.0.0.0/8 are wanted`,
  );
}
