import { assertEquals, assertGreater } from "@std/assert";
import { FrameCollector } from "./frame_collector.ts";

/** What `takeData` gives for pieces of these lengths. */
function taken(...lengths: number[]): { length: number; memory: number } {
  const collector = new FrameCollector();
  for (const length of lengths) collector.add(new Uint8Array(length));
  const data = collector.takeData();
  return { length: data.length, memory: data.buffer.byteLength };
}

Deno.test("FrameCollector.takeData() copies up to 1 MiB, and hands longer runs over with their memory", () => {
  const large = 1 << 20;
  assertEquals(taken(large - 1, 1), { length: large, memory: large });
  assertGreater(taken(large - 1, 2).memory, large + 1);
});

Deno.test("FrameCollector.takeData() cuts up to 256 bytes from a slab of 2 KiB", () => {
  assertEquals(taken(256), { length: 256, memory: 2048 });
  assertEquals(taken(257), { length: 257, memory: 257 });
});

Deno.test("FrameCollector.add() makes no room anew for data that fills what there is exactly", () => {
  const half = 1_200_000;
  assertEquals(taken(half / 2, half / 2, half), { length: 2 * half, memory: 2 * half });
});

Deno.test("FrameCollector.takeData() copies exactly the borrowed range, wherever it begins", () => {
  const collector = new FrameCollector();
  const received = new TextEncoder().encode("before|data|behind");
  for (let i = 0; i < 2; i++) {
    collector.borrow(received, 7, 11);
    assertEquals(new TextDecoder().decode(collector.takeData()), "data");
  }
});
