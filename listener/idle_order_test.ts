import { assertEquals } from "@std/assert";
import { FakeChat } from "../tests/listener_fakes.ts";
import { IdleOrder } from "./idle_order.ts";

function order(count: number) {
  const chats = Array.from({ length: count }, () => Object.assign(new FakeChat(), { bytesSent: 0 }));
  const idle = new IdleOrder();
  for (const chat of chats) idle.add(chat);
  return { chats, idle, oldest: () => chats.indexOf(idle.oldest() as (typeof chats)[number]) };
}

Deno.test("IdleOrder returns the first of chats that did nothing", () => {
  const { oldest, idle, chats } = order(3);
  assertEquals([oldest(), oldest()], [0, 0]);
  idle.delete(chats[0]!);
  assertEquals(oldest(), 1);
});

Deno.test("IdleOrder moves chats to the end that received a frame or sent bytes since the last search", () => {
  const { chats, oldest } = order(3);
  chats[0]!.framesReceived++;
  chats[1]!.bytesSent++;
  assertEquals(oldest(), 2);
  chats[2]!.framesReceived++;
  assertEquals(oldest(), 0); // idle since the first search
});

Deno.test("IdleOrder returns no busy chat, and undefined when all are busy or none is there", () => {
  const { chats, idle, oldest } = order(2);
  chats[0]!.busy = true;
  assertEquals(oldest(), 1);
  chats[1]!.busy = true;
  assertEquals(idle.oldest(), undefined);
  chats[0]!.busy = false;
  assertEquals(oldest(), 0);
  assertEquals(order(0).idle.oldest(), undefined);
});

Deno.test("IdleOrder returns undefined once when all were active, and the one that is idle longest then", () => {
  const { chats, idle, oldest } = order(2);
  for (const chat of chats) chat.framesReceived++;
  assertEquals(idle.oldest(), undefined);
  assertEquals(oldest(), 0);
});
