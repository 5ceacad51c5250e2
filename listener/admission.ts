import type { ChatConn } from "../chat/options.ts";
import { formatIp, isMapped, parseIp } from "./ip.ts";

/** Counts the connections of each address, and all of them. Connections that are handshaking count. */
export class Admission {
  readonly #maxConnections: number;
  readonly #maxConnectionsPerAddress: number;
  readonly #slotsPerAddress = new Map<string, number>(); // no address has 0
  #slots = 0;

  constructor(maxConnections: number, maxConnectionsPerAddress: number) {
    this.#maxConnections = maxConnections;
    this.#maxConnectionsPerAddress = maxConnectionsPerAddress;
  }

  /** Whether no more connections may be accepted. */
  get full(): boolean {
    return this.#slots >= this.#maxConnections;
  }

  /** Whether there is one connection too many already: another was closed for it, and has not ended yet. */
  get exceeded(): boolean {
    return this.#slots > this.#maxConnections;
  }

  /** Counts a connection. Returns `false`, and counts nothing, when its address is at the limit. */
  acquireSlot(address: string): boolean {
    if (address !== NO_ADDRESS) {
      const slots = this.#slotsPerAddress.get(address) ?? 0;
      if (slots >= this.#maxConnectionsPerAddress) return false;
      this.#slotsPerAddress.set(address, slots + 1);
    }
    this.#slots++;
    return true;
  }

  /** Counts a connection no longer. */
  releaseSlot(address: string): void {
    this.#slots--;
    const slots = this.#slotsPerAddress.get(address) ?? 0;
    if (slots > 1) this.#slotsPerAddress.set(address, slots - 1);
    else this.#slotsPerAddress.delete(address);
  }

  /** Counts a connection to another address. Returns `false`, and releases its slot, when that one is at the limit. */
  moveSlot(from: string, to: string): boolean {
    this.releaseSlot(from);
    return this.acquireSlot(to);
  }
}

/** The address of connections that have none, or none yet: counted in total only. */
export const NO_ADDRESS = "";

/** Returns what a connection counts for: the peer's IPv4 address, or its IPv6 network. */
export function addressOf(conn: ChatConn): string {
  const { hostname } = (conn.remoteAddr ?? {}) as { hostname?: unknown };
  return typeof hostname === "string" ? networkOf(hostname) : NO_ADDRESS;
}

/** IPv6 addresses count by /64: a host usually has all of it. A mapped address is one of IPv4 (RFC 4291, 2.5.5.2). */
function networkOf(hostname: string): string {
  if (!hostname.includes(":")) return hostname;
  const bytes = parseIp(hostname.split("%", 1)[0]!);
  if (bytes === null) return hostname;
  return isMapped(bytes) ? formatIp(bytes.subarray(12)) : `${formatIp(bytes.fill(0, 8))}/64`;
}
