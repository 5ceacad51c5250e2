import { assertEquals } from "@std/assert";
import { FakeConn } from "../tests/listener_fakes.ts";
import { addressOf, Admission, NO_ADDRESS } from "./admission.ts";

Deno.test("Admission is full at maxConnections, and has capacity again after a release", () => {
  const admission = new Admission(2, Infinity);
  assertEquals(admission.full, false);
  admission.acquireSlot("a");
  assertEquals(admission.full, false);
  admission.acquireSlot(NO_ADDRESS);
  assertEquals(admission.full, true);
  admission.releaseSlot(NO_ADDRESS);
  assertEquals(admission.full, false);
});

Deno.test("Admission gives each address its own slots, and counts nothing for one too many", () => {
  const admission = new Admission(4, 2);
  assertEquals(["a", "a", "a", "b"].map((address) => admission.acquireSlot(address)), [true, true, false, true]);
  assertEquals(admission.full, false);
  admission.releaseSlot("a");
  assertEquals([admission.acquireSlot("a"), admission.acquireSlot("a")], [true, false]);
});

Deno.test("Admission does not limit connections without an address, but counts them in total", () => {
  const admission = new Admission(3, 1);
  assertEquals([1, 2, 3].map(() => admission.acquireSlot(NO_ADDRESS)), [true, true, true]);
  assertEquals(admission.full, true);
});

Deno.test("Admission moves a slot to the address that a handshake revealed, or releases it", () => {
  const admission = new Admission(2, 1);
  admission.acquireSlot(NO_ADDRESS);
  admission.acquireSlot(NO_ADDRESS);
  assertEquals(admission.moveSlot(NO_ADDRESS, "a"), true);
  assertEquals(admission.full, true);
  assertEquals(admission.moveSlot(NO_ADDRESS, "a"), false);
  assertEquals(admission.full, false);
  assertEquals(admission.moveSlot("a", "a"), true); // a handshake that revealed nothing new
});

Deno.test("addressOf() returns the IPv4 address or the IPv6 network, and no address for what has none", () => {
  const conn = new FakeConn("192.0.2.7");
  assertEquals(addressOf(conn), "192.0.2.7");
  assertEquals(addressOf(new FakeConn("::ffff:192.0.2.7")), "192.0.2.7");
  assertEquals(addressOf(new FakeConn("2001:db8:1:2:3:4:5:6")), "2001:db8:1:2::/64");
  assertEquals(addressOf(new FakeConn("2001:db8:1:2:ffff::")), "2001:db8:1:2::/64");
  assertEquals(addressOf(new FakeConn("fe80::1%2")), "fe80::/64");
  assertEquals(addressOf(new FakeConn("a:name")), "a:name");
  for (const remoteAddr of [undefined, null, {}, { transport: "unix", path: "/x" }, { hostname: 5 }]) {
    assertEquals(addressOf(Object.assign(new FakeConn(), { remoteAddr })), NO_ADDRESS);
  }
});
