/**
 * The header that a proxy sends before all else: who it is that connects, in the PROXY protocol of HAProxy, version 1 (a line)
 * and version 2 (binary). https://www.haproxy.org/download/2.6/doc/proxy-protocol.txt
 */

import { formatIp, parseIp } from "./ip.ts";

/** The longest line of version 1 in bytes, its CRLF counted: 2.1 of the protocol. */
const LONGEST_LINE = 107;
/** The longest header of version 2 that is taken, in bytes: nginx's `NGX_PROXY_PROTOCOL_MAX_HEADER`. */
export const LONGEST_PROXY_HEADER = 4096;

const LINE_BEGIN = Uint8Array.from("PROXY ", (char) => char.charCodeAt(0));
const SHORTEST_LINE = 15; // "PROXY UNKNOWN\r\n"
const SIGNATURE = Uint8Array.from("\r\n\r\n\0\r\nQUIT\n", (char) => char.charCodeAt(0));
const FIXED_LENGTH = 16; // of version 2: signature, command, family, the length of the rest

/** One end of a connection. */
export interface ProxyAddr {
  transport: "tcp";
  hostname: string;
  port: number;
}

/** Whose connection it is. Neither end is told (LOCAL, UNKNOWN, UNSPEC, not TCP) where it is the proxy's own or of a kind not used here. */
export interface ProxyHeader {
  /** How many bytes the header has; what follows is the client's. */
  length: number;
  source?: ProxyAddr;
  destination?: ProxyAddr;
}

/** The header is not there yet, and so many bytes belong to it at least: to read no more than these is to read no byte behind it. */
export interface ProxyHeaderMissing {
  missing: number;
}

/** What comes is no header. */
export interface ProxyHeaderFault {
  problem: string;
}

/**
 * Looks for a header at the beginning of `bytes`, which are all that have come so far. What follows it is not looked at. The
 * extensions of version 2 (TLVs) are skipped, all together and unseen.
 */
export function parseProxyHeader(bytes: Uint8Array): ProxyHeader | ProxyHeaderMissing | ProxyHeaderFault {
  if (bytes.length === 0) return { missing: SHORTEST_LINE };
  if (beginsAs(bytes, LINE_BEGIN)) return parseLine(bytes);
  if (beginsAs(bytes, SIGNATURE)) return parseBinary(bytes);
  return fault("it begins neither with PROXY nor with the signature of version 2");
}

function parseLine(bytes: Uint8Array): ProxyHeader | ProxyHeaderMissing | ProxyHeaderFault {
  const lf = bytes.subarray(0, LONGEST_LINE).indexOf(0x0a);
  if (lf < 0) {
    if (bytes.length >= LONGEST_LINE) return fault(`it has no line end in ${LONGEST_LINE} bytes`);
    const ending = bytes[bytes.length - 1] === 0x0d ? 1 : 2;
    return { missing: Math.max(SHORTEST_LINE - bytes.length, ending) };
  }
  const line = String.fromCharCode(...bytes.subarray(0, lf + 1));
  if (!line.endsWith("\r\n")) return fault("it ends with a bare LF");
  const length = line.length;
  const [, family, ...rest] = line.slice(0, -2).split(" ");
  if (family === "UNKNOWN") return { length }; // anything may follow (2.1)
  if (family !== "TCP4" && family !== "TCP6") return fault("its family is none of TCP4, TCP6 and UNKNOWN");
  if (rest.length !== 4) return fault("it is not two addresses and two ports");
  const [from, to, fromPort, toPort] = rest as [string, string, string, string];
  const source = readEnd(family, from, fromPort);
  const destination = readEnd(family, to, toPort);
  if (source === null || destination === null) return fault(`it has an address or a port that is none of ${family}`);
  return { length, source, destination };
}

function readEnd(family: "TCP4" | "TCP6", address: string, port: string): ProxyAddr | null {
  const ip = parseIp(address);
  if (ip?.length !== (family === "TCP4" ? 4 : 16)) return null;
  if (!/^(0|[1-9][0-9]{0,4})$/.test(port) || Number(port) > 65_535) return null;
  return { transport: "tcp", hostname: formatIp(ip), port: Number(port) };
}

function parseBinary(bytes: Uint8Array): ProxyHeader | ProxyHeaderMissing | ProxyHeaderFault {
  // Each byte is looked at as soon as it is there: who waits for the rest of a fault may wait for ever.
  const command = bytes[12] ?? 0x20;
  const family = bytes[13] ?? 0x00;
  if (command >> 4 !== 2) return fault(`its version is ${command >> 4}`);
  if ((command & 0xf) > 1) return fault(`its command is ${command & 0xf}`);
  if (family >> 4 > 3 || (family & 0xf) > 2) return fault(`its family and protocol are 0x${family.toString(16)}`);
  if (bytes.length < FIXED_LENGTH) return { missing: FIXED_LENGTH - bytes.length };
  const length = FIXED_LENGTH + (bytes[14]! << 8 | bytes[15]!);
  if (length > LONGEST_PROXY_HEADER) return fault(`it has ${length} bytes, more than ${LONGEST_PROXY_HEADER}`);
  const ipLength = command === 0x20 ? 0 : family === 0x11 ? 4 : family === 0x21 ? 16 : 0;
  if (ipLength > 0 && length < FIXED_LENGTH + 2 * ipLength + 4) return fault("it is too short for its addresses");
  if (bytes.length < length) return { missing: length - bytes.length };
  if (ipLength === 0) return { length };
  const end = (i: 0 | 1): ProxyAddr => {
    const ip = FIXED_LENGTH + i * ipLength;
    const port = FIXED_LENGTH + 2 * ipLength + 2 * i;
    return {
      transport: "tcp",
      hostname: formatIp(bytes.subarray(ip, ip + ipLength)),
      port: bytes[port]! << 8 | bytes[port + 1]!,
    };
  };
  return { length, source: end(0), destination: end(1) };
}

function beginsAs(bytes: Uint8Array, begin: Uint8Array): boolean {
  const length = Math.min(bytes.length, begin.length);
  for (let at = 0; at < length; at++) if (bytes[at] !== begin[at]) return false;
  return true;
}

function fault(problem: string): ProxyHeaderFault {
  return { problem };
}
