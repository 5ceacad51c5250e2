import { assertEquals } from "@std/assert";
import fc from "fast-check";
import { formatIp, isInBlock, parseIp, parseIpBlock } from "./ip.ts";

/** Parses and formats an address; `null` when it is invalid. */
function reformat(text: string): string | null {
  const bytes = parseIp(text);
  return bytes && formatIp(bytes);
}

Deno.test("formatIp() returns the canonical form of RFC 5952", () => {
  const expected: [string, string][] = [
    ["0.0.0.0", "0.0.0.0"],
    ["255.1.20.3", "255.1.20.3"],
    ["::", "::"],
    ["::1", "::1"],
    ["1::", "1::"],
    ["2001:DB8:0:0:0:0:0:1", "2001:db8::1"],
    ["2001:0db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
    ["2001:0:0:1:0:0:0:1", "2001:0:0:1::1"],
    ["1:0:0:2:0:0:3:4", "1::2:0:0:3:4"],
    ["1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"],
    ["1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"],
    ["::ffff:192.0.2.1", "::ffff:c000:201"],
    ["1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:102:304"],
  ];
  for (const [text, formatted] of expected) assertEquals(reformat(text), formatted, text);
});

Deno.test("parseIp() rejects what is not an address, or ambiguous", () => {
  const rejected = [
    ["", "1", "1.2.3", "1.2.3.4.5", "256.1.1.1", "01.2.3.4", "1.2.3.04", "1.2.3.", ".1.2.3", "1.2.3.4 ", "0x1.2.3.4"],
    [":", ":::", "1::2::3", ":1", "1:", "12345::", "g::", "::1%eth0", "[::1]", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9"],
    ["1:2:3:4:5:6:7:8::", "::1:2:3:4:5:6:7:8", "1.2.3.4::", "::1.2.3.4:1", "1:2:3:4:5:6:7:1.2.3.4", "::1.2.3.256"],
  ].flat();
  for (const text of rejected) assertEquals(parseIp(text), null, text);
});

Deno.test("parseIp() inverts formatIp() for every address", () => {
  const byte = fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 255 }));
  const bytes = fc.oneof(
    fc.array(byte, { minLength: 4, maxLength: 4 }),
    fc.array(byte, { minLength: 16, maxLength: 16 }),
  );
  fc.assert(fc.property(bytes, (bytes) => {
    assertEquals([...parseIp(formatIp(Uint8Array.from(bytes)))!], bytes);
  }));
});

Deno.test("isInBlock() compares as many bits as the prefix has", () => {
  const expected: [string, string, boolean][] = [
    ["10.1.2.3", "10.0.0.0/8", true],
    ["11.1.2.3", "10.0.0.0/8", false],
    ["192.0.2.129", "192.0.2.128/25", true],
    ["192.0.2.127", "192.0.2.128/25", false],
    ["192.0.2.1", "192.0.2.1", true],
    ["192.0.2.2", "192.0.2.1/32", false],
    ["192.0.2.2", "0.0.0.0/0", true],
    ["::1", "0.0.0.0/0", false],
    ["192.0.2.1", "::/0", false],
    ["::ffff:192.0.2.1", "192.0.2.0/24", true],
    ["::fffe:192.0.2.1", "192.0.2.0/24", false],
    ["::ffff:192.0.2.1", "::ffff:0:0/96", true],
    ["2001:db8:1::5", "2001:db8::/31", true],
    ["2001:dba::5", "2001:db8::/31", false],
  ];
  for (const [address, block, inside] of expected) {
    assertEquals(isInBlock(parseIp(address)!, parseIpBlock(block)!), inside, `${address} in ${block}`);
  }
});

Deno.test("parseIpBlock() rejects what is not a block", () => {
  for (const text of ["", "10/8", "10.0.0.0/33", "::/129", "::/-1", "::/08", "::/", "::/1/2", "localhost", "*"]) {
    assertEquals(parseIpBlock(text), null, text);
  }
});
