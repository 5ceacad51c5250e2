import { assert, assertEquals } from "@std/assert";
import { concat } from "@std/bytes/concat";
import { seededRandom } from "../testing/mod.ts";
import { parseProxyHeader, type ProxyAddr } from "./proxy_header.ts";

const bytes = (text: string) => Uint8Array.from(text, (char) => char.charCodeAt(0));
const tcp = (hostname: string, port: number): ProxyAddr => ({ transport: "tcp", hostname, port });

/** A header of version 2, with its signature and length. */
function version2(command: number, family: number, rest: Uint8Array, length = rest.length): Uint8Array {
  return concat([bytes("\r\n\r\n\0\r\nQUIT\n"), Uint8Array.of(command, family, length >> 8, length & 0xff), rest]);
}

const IPV4_ENDS = Uint8Array.of(192, 0, 2, 1, 198, 51, 100, 2, 0xdc, 0x04, 0x01, 0xbb);
const IPV6_ENDS = concat([
  Uint8Array.of(0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1),
  Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2),
  Uint8Array.of(0xff, 0xff, 0, 0),
]);
const TLV = Uint8Array.of(0x04, 0, 3, 1, 2, 3);

const v4 = { source: tcp("192.0.2.1", 56_324), destination: tcp("198.51.100.2", 443) };
const v6 = { source: tcp("2001:db8::1", 65_535), destination: tcp("::2", 0) };

/** Valid headers, and the ends that they have. */
const good: [string, Uint8Array, object][] = [
  ["TCP4", bytes("PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n"), v4],
  ["TCP6", bytes("PROXY TCP6 2001:DB8:0::1 ::2 65535 0\r\n"), v6],
  ["UNKNOWN", bytes("PROXY UNKNOWN\r\n"), {}],
  ["UNKNOWN, of the maximal length", bytes(`PROXY UNKNOWN ${"f".repeat(91)}\r\n`), {}],
  ["PROXY over IPv4", version2(0x21, 0x11, IPV4_ENDS), v4],
  ["PROXY over IPv6", version2(0x21, 0x21, IPV6_ENDS), v6],
  ["PROXY over IPv4, with extensions", version2(0x21, 0x11, concat([IPV4_ENDS, TLV, TLV])), v4],
  ["PROXY with extensions of which one is cut off", version2(0x21, 0x11, concat([IPV4_ENDS, TLV.subarray(0, 4)])), v4],
  ["of the maximal length", version2(0x21, 0x11, concat([IPV4_ENDS, new Uint8Array(4096 - 16 - 12)])), v4],
  ["LOCAL", version2(0x20, 0x00, new Uint8Array()), {}],
  ["LOCAL, with addresses that are ignored", version2(0x20, 0x11, IPV4_ENDS), {}],
  ["LOCAL, with too few", version2(0x20, 0x11, TLV), {}],
  ["UNSPEC", version2(0x21, 0x00, TLV), {}],
  ["UDP", version2(0x21, 0x12, IPV4_ENDS), {}],
  ["a Unix socket", version2(0x21, 0x31, new Uint8Array(216)), {}],
];

/** Invalid headers, and the problem. */
const bad: [Uint8Array, string][] = [
  [bytes("GET / HTTP/1.1\r\n"), "it begins neither with PROXY nor with the signature of version 2"],
  [bytes("\x16\x03\x01"), "it begins neither"],
  [bytes("P\n"), "it begins neither"],
  [bytes("proxy UNKNOWN\r\n"), "it begins neither"],
  [bytes("PROXY\tUNKNOWN\r\n"), "it begins neither"],
  [bytes("\r\n\r\n\0\r\nQUIZ"), "it begins neither"],
  [bytes("\r\n\r\n\r\n"), "it begins neither"],
  [bytes("PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\n"), "it ends with a bare LF"],
  [bytes("PROXY UNKNOWN ".padEnd(107, "f")), "it has no line end in 107 bytes"],
  [bytes("PROXY UNKNOWN ".padEnd(106, "f") + "\r\n"), "it has no line end in 107 bytes"],
  [bytes("PROXY UDP4 192.0.2.1 198.51.100.2 1 2\r\n"), "its family is none of TCP4, TCP6 and UNKNOWN"],
  [bytes("PROXY UNKNOWNS\r\n"), "its family is none"],
  [bytes("PROXY \r\n"), "its family is none"],
  [bytes("PROXY TCP4 192.0.2.1 198.51.100.2 56324\r\n"), "it is not two addresses and two ports"],
  [bytes("PROXY TCP4 192.0.2.1 198.51.100.2 1 2 3\r\n"), "it is not two addresses and two ports"],
  [bytes("PROXY TCP4  192.0.2.1 198.51.100.2 1 2\r\n"), "it is not two addresses and two ports"],
  [bytes("PROXY TCP4 ::1 198.51.100.2 1 2\r\n"), "it has an address or a port that is none of TCP4"],
  [bytes("PROXY TCP6 192.0.2.1 198.51.100.2 1 2\r\n"), "it has an address or a port that is none of TCP6"],
  [bytes("PROXY TCP4 192.0.2.1 198.51.100.256 1 2\r\n"), "it has an address"],
  [bytes("PROXY TCP4 192.0.2.1 198.51.100.2 65536 2\r\n"), "it has an address or a port"],
  [bytes("PROXY TCP4 192.0.2.1 198.51.100.2 1 02\r\n"), "it has an address or a port"],
  [bytes("PROXY TCP4 192.0.2.1 198.51.100.2 1 -2\r\n"), "it has an address or a port"],
  [version2(0x11, 0x11, IPV4_ENDS), "its version is 1"],
  [version2(0x31, 0x11, IPV4_ENDS), "its version is 3"],
  [version2(0x22, 0x11, IPV4_ENDS), "its command is 2"],
  [version2(0x21, 0x41, IPV4_ENDS), "its family and protocol are 0x41"],
  [version2(0x21, 0x13, IPV4_ENDS), "its family and protocol are 0x13"],
  [version2(0x21, 0x11, IPV4_ENDS.subarray(1)), "it is too short for its addresses"],
  [version2(0x21, 0x21, IPV4_ENDS), "it is too short for its addresses"],
  [version2(0x21, 0x11, IPV4_ENDS, 4081), "it has 4097 bytes, more than 4096"],
  [version2(0x20, 0x00, IPV4_ENDS, 65_535), "it has 65551 bytes, more than 4096"],
];

Deno.test("parseProxyHeader() returns both ends and the header's length, whatever follows", () => {
  const behind = bytes("GET / HTTP/1.1\r\n\r\n");
  for (const [what, header, ends] of good) {
    for (const input of [header, concat([header, behind]), concat([header, header])]) {
      assertEquals(parseProxyHeader(input), { length: header.length, ...ends }, what);
    }
  }
});

Deno.test("parseProxyHeader() asks for the rest at every cut, and never for a byte after the header", () => {
  for (const [what, header] of good) {
    for (let cut = 0; cut < header.length; cut++) {
      const found = parseProxyHeader(header.subarray(0, cut));
      assert("missing" in found, `${what}, cut at ${cut}: ${JSON.stringify(found)}`);
      assert(found.missing > 0 && cut + found.missing <= header.length, `${what}, cut at ${cut}: ${found.missing}`);
    }
  }
});

Deno.test("parseProxyHeader() names the problem as soon as its byte has arrived", () => {
  for (const [header, problem] of bad) {
    const found = parseProxyHeader(header);
    assert("problem" in found, `${problem}: ${JSON.stringify(found)}`);
    assertEquals(found.problem.slice(0, problem.length), problem);
    // What is invalid stays invalid with more bytes, and no prefix of it is a header.
    let isInvalid = false;
    for (let cut = 0; cut <= header.length; cut++) {
      const found = parseProxyHeader(header.subarray(0, cut));
      assert(!("length" in found), `${problem}: a header at ${cut}`);
      assert(!isInvalid || "problem" in found, `${problem}: valid again at ${cut}`);
      isInvalid ||= "problem" in found;
    }
  }
  assert("problem" in parseProxyHeader(bytes("G")), "the first byte");
  assert("problem" in parseProxyHeader(bytes("\r\n\r\n\0\r\nQUIT\n\x31")), "the version");
  assert("problem" in parseProxyHeader(bytes("\r\n\r\n\0\r\nQUIT\n\x21\x44")), "the family");
});

Deno.test("parseProxyHeader() returns the same however valid and damaged headers are cut", () => {
  const seed = Math.floor(Math.random() * 2 ** 32);
  const random = seededRandom(seed);
  for (let round = 0; round < 20_000; round++) {
    const header = good[Math.floor(random() * good.length)]![1].slice();
    const damages = Math.floor(random() * 4);
    for (let i = 0; i < damages; i++) header[Math.floor(random() * header.length)] = Math.floor(random() * 256);
    const whole = parseProxyHeader(header);
    let seen = 0;
    let found = parseProxyHeader(header.subarray(0, 0));
    while ("missing" in found && seen < header.length) {
      seen = Math.min(seen + 1 + Math.floor(random() * found.missing), header.length);
      found = parseProxyHeader(header.subarray(0, seen));
      const what = `seed ${seed}, round ${round}: ${header.slice(0, 120)}`;
      assert(!("missing" in found) || (found.missing > 0 && seen + found.missing <= 4096), what);
      assert(!("length" in found) || found.length === seen, `${what}: read a byte after the header`);
    }
    if ("problem" in whole) assert("problem" in found, `seed ${seed}, round ${round}: ${header.slice(0, 120)}`);
    else assertEquals(found, whole, `seed ${seed}, round ${round}: ${header.slice(0, 120)}`);
  }
});
