/**
 * The header that a proxy sends first, with the client's address: HAProxy's PROXY protocol, version 1 (a line) and
 * version 2 (binary). https://www.haproxy.org/download/2.6/doc/proxy-protocol.txt
 */

import { formatIp, parseIp } from "./ip.ts";

/** The longest line of version 1, CRLF included: section 2.1 of the protocol. */
const MAX_LINE_BYTES = 107;
/** The longest header that is accepted: nginx's `NGX_PROXY_PROTOCOL_MAX_HEADER`. */
export const MAX_PROXY_HEADER_BYTES = 4096;

const LINE_PREFIX = Uint8Array.from("PROXY ", (char) => char.charCodeAt(0));
const MIN_LINE_BYTES = 15; // "PROXY UNKNOWN\r\n"
const SIGNATURE = Uint8Array.from("\r\n\r\n\0\r\nQUIT\n", (char) => char.charCodeAt(0));
const FIXED_BYTES = 16; // of version 2: signature, command, family, length

/** One end of a connection. */
export interface ProxyAddr {
  transport: "tcp";
  hostname: string;
  port: number;
}

/** A complete header. Without ends (LOCAL, UNKNOWN, UNSPEC, not TCP) the connection's own addresses stay. */
export interface ProxyHeader {
  /** Bytes of the header; the client's data follows. */
  length: number;
  source?: ProxyAddr;
  destination?: ProxyAddr;
}

/** An incomplete header. At least `missing` more bytes belong to it: reading these reads nothing after it. */
export interface IncompleteProxyHeader {
  missing: number;
}

/** Not a header. */
export interface InvalidProxyHeader {
  problem: string;
}

/**
 * Parses a header at the beginning of `bytes`, which are all that have arrived so far. Bytes after it are ignored, and
 * so are the extensions of version 2 (TLVs).
 */
export function parseProxyHeader(bytes: Uint8Array): ProxyHeader | IncompleteProxyHeader | InvalidProxyHeader {
  if (bytes.length === 0) return { missing: MIN_LINE_BYTES };
  if (hasPrefix(bytes, LINE_PREFIX)) return parseLine(bytes);
  if (hasPrefix(bytes, SIGNATURE)) return parseBinary(bytes);
  return invalid("it begins neither with PROXY nor with the signature of version 2");
}

function parseLine(bytes: Uint8Array): ProxyHeader | IncompleteProxyHeader | InvalidProxyHeader {
  const lf = bytes.subarray(0, MAX_LINE_BYTES).indexOf(0x0a);
  if (lf < 0) {
    if (bytes.length >= MAX_LINE_BYTES) return invalid(`it has no line end in ${MAX_LINE_BYTES} bytes`);
    const ending = bytes[bytes.length - 1] === 0x0d ? 1 : 2;
    return { missing: Math.max(MIN_LINE_BYTES - bytes.length, ending) };
  }
  const line = String.fromCharCode(...bytes.subarray(0, lf + 1));
  if (!line.endsWith("\r\n")) return invalid("it ends with a bare LF");
  const length = line.length;
  const [, family, ...rest] = line.slice(0, -2).split(" ");
  if (family === "UNKNOWN") return { length }; // anything may follow (2.1)
  if (family !== "TCP4" && family !== "TCP6") return invalid("its family is none of TCP4, TCP6 and UNKNOWN");
  if (rest.length !== 4) return invalid("it is not two addresses and two ports");
  const [from, to, fromPort, toPort] = rest as [string, string, string, string];
  const source = readEnd(family, from, fromPort);
  const destination = readEnd(family, to, toPort);
  if (source === null || destination === null) return invalid(`it has an address or a port that is none of ${family}`);
  return { length, source, destination };
}

function readEnd(family: "TCP4" | "TCP6", address: string, port: string): ProxyAddr | null {
  const ip = parseIp(address);
  if (ip?.length !== (family === "TCP4" ? 4 : 16)) return null;
  if (!/^(0|[1-9][0-9]{0,4})$/.test(port) || Number(port) > 65_535) return null;
  return { transport: "tcp", hostname: formatIp(ip), port: Number(port) };
}

function parseBinary(bytes: Uint8Array): ProxyHeader | IncompleteProxyHeader | InvalidProxyHeader {
  // Each byte is checked as soon as it has arrived: the rest of an invalid header may never arrive.
  const command = bytes[12] ?? 0x20;
  const family = bytes[13] ?? 0x00;
  if (command >> 4 !== 2) return invalid(`its version is ${command >> 4}`);
  if ((command & 0xf) > 1) return invalid(`its command is ${command & 0xf}`);
  if (family >> 4 > 3 || (family & 0xf) > 2) return invalid(`its family and protocol are 0x${family.toString(16)}`);
  if (bytes.length < FIXED_BYTES) return { missing: FIXED_BYTES - bytes.length };
  const length = FIXED_BYTES + (bytes[14]! << 8 | bytes[15]!);
  if (length > MAX_PROXY_HEADER_BYTES) return invalid(`it has ${length} bytes, more than ${MAX_PROXY_HEADER_BYTES}`);
  const ipLength = command === 0x20 ? 0 : family === 0x11 ? 4 : family === 0x21 ? 16 : 0;
  if (ipLength > 0 && length < FIXED_BYTES + 2 * ipLength + 4) return invalid("it is too short for its addresses");
  if (bytes.length < length) return { missing: length - bytes.length };
  if (ipLength === 0) return { length };
  const end = (i: 0 | 1): ProxyAddr => {
    const ip = FIXED_BYTES + i * ipLength;
    const port = FIXED_BYTES + 2 * ipLength + 2 * i;
    return {
      transport: "tcp",
      hostname: formatIp(bytes.subarray(ip, ip + ipLength)),
      port: bytes[port]! << 8 | bytes[port + 1]!,
    };
  };
  return { length, source: end(0), destination: end(1) };
}

/** Whether `bytes` may become something that begins with `prefix`. */
function hasPrefix(bytes: Uint8Array, prefix: Uint8Array): boolean {
  const length = Math.min(bytes.length, prefix.length);
  for (let at = 0; at < length; at++) if (bytes[at] !== prefix[at]) return false;
  return true;
}

function invalid(problem: string): InvalidProxyHeader {
  return { problem };
}
