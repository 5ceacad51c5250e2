/**
 * IP addresses as text and as bytes: 4 of IPv4, 16 of IPv6.
 */

/** Parses an address strictly: no leading zeros, no zone, no brackets. Returns `null` when it is invalid. */
export function parseIp(text: string): Uint8Array | null {
  return text.includes(":") ? parseIpv6(text) : parseIpv4(text);
}

/** Formats an address; IPv6 as in RFC 5952: lower case, no leading zeros, the longest run of zeros as `::`. */
export function formatIp(bytes: Uint8Array): string {
  if (bytes.length === 4) return bytes.join(".");
  const groups: string[] = [];
  for (let at = 0; at < 16; at += 2) groups.push((bytes[at]! << 8 | bytes[at + 1]!).toString(16));
  let longest = { begin: 0, length: 1 }; // a single zero is not shortened (RFC 5952, 4.2.2)
  for (let begin = 0; begin < 8; begin++) {
    let length = 0;
    while (groups[begin + length] === "0") length++;
    if (length > longest.length) longest = { begin, length };
  }
  if (longest.length === 1) return groups.join(":");
  const before = groups.slice(0, longest.begin).join(":");
  return `${before}::${groups.slice(longest.begin + longest.length).join(":")}`;
}

/** A block of addresses: those that share `prefixLength` bits with `bytes`. */
export interface IpBlock {
  bytes: Uint8Array;
  prefixLength: number;
}

/** Parses `192.0.2.0/24`, `2001:db8::/32`, or an address alone. Returns `null` when it is none of these. */
export function parseIpBlock(text: string): IpBlock | null {
  const [address, prefix, ...rest] = text.split("/") as [string, ...string[]];
  const bytes = parseIp(address);
  if (bytes === null || rest.length > 0) return null;
  if (prefix === undefined) return { bytes, prefixLength: 8 * bytes.length };
  if (!/^(0|[1-9][0-9]{0,2})$/.test(prefix) || Number(prefix) > 8 * bytes.length) return null;
  return { bytes, prefixLength: Number(prefix) };
}

/** Whether an address is in a block. A mapped address (`::ffff:192.0.2.1`, of a listener on `::`) counts as IPv4. */
export function isInBlock(address: Uint8Array, { bytes, prefixLength }: IpBlock): boolean {
  const own = bytes.length === 4 && isMapped(address) ? address.subarray(12) : address;
  if (own.length !== bytes.length) return false;
  for (let bit = 0; bit < prefixLength; bit += 8) {
    const mask = 0xff00 >> Math.min(prefixLength - bit, 8) & 0xff;
    if (((own[bit >> 3]! ^ bytes[bit >> 3]!) & mask) !== 0) return false;
  }
  return true;
}

/** Whether an address is one of IPv4 written as IPv6: `::ffff:192.0.2.1`. */
export function isMapped(address: Uint8Array): boolean {
  return address.length === 16 && address.subarray(0, 12).join() === "0,0,0,0,0,0,0,0,0,0,255,255";
}

function parseIpv4(text: string): Uint8Array | null {
  const parts = text.split(".");
  const valid = parts.length === 4 && parts.every((part) => /^(0|[1-9][0-9]{0,2})$/.test(part) && Number(part) < 256);
  return valid ? Uint8Array.from(parts, Number) : null;
}

function parseIpv6(text: string): Uint8Array | null {
  const halves = text.split("::");
  const [left, right] = halves.map((half, i) => parseGroups(half, i === halves.length - 1));
  if (halves.length > 2 || left == null || right === null) return null;
  if (right === undefined) return left.length === 16 ? Uint8Array.from(left) : null;
  const gap = 16 - left.length - right.length;
  return gap < 2 ? null : Uint8Array.from([...left, ...new Array(gap).fill(0), ...right]);
}

/** Parses groups separated by colons; the last of an address may be an IPv4 address (RFC 4291, 2.2). */
function parseGroups(text: string, atEnd: boolean): number[] | null {
  const bytes: number[] = [];
  const groups = text === "" ? [] : text.split(":");
  for (const [i, group] of groups.entries()) {
    if (/^[0-9A-Fa-f]{1,4}$/.test(group)) {
      const value = parseInt(group, 16);
      bytes.push(value >> 8, value & 0xff);
    } else {
      const last = atEnd && i === groups.length - 1 ? parseIpv4(group) : null;
      if (last === null) return null;
      bytes.push(...last);
    }
  }
  return bytes.length > 16 ? null : bytes;
}
