import { assert, assertEquals, assertLess } from "@std/assert";
import { seededRandom } from "../testing/cuts.ts";
import { FrameCollector } from "./frame_collector.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

Deno.test("FrameCollector.takeData() joins what was added, and leaves nothing", () => {
  const gatherer = new FrameCollector();
  for (const piece of ["ab", "", "c", "defghij"]) gatherer.add(bytes(piece));
  assertEquals(gatherer.length, 10);
  assertEquals([gatherer.takeData(), gatherer.length], [bytes("abcdefghij"), 0]);
  assertEquals(gatherer.takeData(), new Uint8Array(0));
});

Deno.test("FrameCollector.takeText() joins what was added, and leaves nothing", () => {
  const gatherer = new FrameCollector();
  for (const piece of ["ab", "cd"]) gatherer.add(bytes(piece));
  assertEquals([gatherer.takeText(), gatherer.length, gatherer.takeText()], ["abcd", 0, ""]);
});

Deno.test("FrameCollector.add() copies what it is given", () => {
  const gatherer = new FrameCollector();
  const piece = bytes("abc");
  gatherer.add(piece);
  piece.fill(0);
  gatherer.add(bytes("d"));
  assertEquals(gatherer.takeText(), "abcd");
});

Deno.test("FrameCollector.takeData() gives bytes that the caller owns", () => {
  const gatherer = new FrameCollector();
  gatherer.add(bytes("abc"));
  const first = gatherer.takeData();
  gatherer.add(bytes("xyz"));
  assertEquals(first, bytes("abc"));
  first.fill(0);
  assertEquals(gatherer.takeText(), "xyz");
});

Deno.test("FrameCollector.takeText() decodes a character that came in two pieces", () => {
  const gatherer = new FrameCollector();
  const euro = bytes("€");
  gatherer.add(euro.subarray(0, 1));
  gatherer.add(euro.subarray(1));
  assertEquals(gatherer.takeText(), "€");
});

Deno.test("FrameCollector.takeText() gives U+FFFD for what is no UTF-8, and carries none of it over", () => {
  const gatherer = new FrameCollector();
  gatherer.add(new Uint8Array([0x61, 0xff, 0xe2, 0x82]));
  assertEquals(gatherer.takeText(), "a\ufffd\ufffd");
  gatherer.add(new Uint8Array([0xac, 0x62]));
  assertEquals(gatherer.takeText(), "\ufffdb");
});

Deno.test("FrameCollector.takeText() keeps a byte order mark", () => {
  const gatherer = new FrameCollector();
  gatherer.add(bytes("\ufeffa"));
  assertEquals(gatherer.takeText(), "\ufeffa");
});

Deno.test("FrameCollector.clear() forgets what was added", () => {
  const gatherer = new FrameCollector();
  gatherer.add(bytes("abc"));
  gatherer.clear();
  assertEquals(gatherer.length, 0);
  gatherer.add(bytes("d"));
  assertEquals(gatherer.takeText(), "d");
});

Deno.test("FrameCollector.add() joins pieces of any size in any number, frame after frame", () => {
  for (let seed = 1; seed <= 20; seed++) {
    const random = seededRandom(seed);
    const gatherer = new FrameCollector();
    for (let frames = 0; frames < 5; frames++) {
      const expected: number[] = [];
      while (random() < 0.9) {
        const piece = Uint8Array.from({ length: random() * 2000 }, () => random() * 256);
        gatherer.add(piece);
        expected.push(...piece);
      }
      assertEquals(gatherer.length, expected.length, `seed ${seed}`);
      assertEquals(gatherer.takeData(), new Uint8Array(expected), `seed ${seed}`);
    }
  }
});

/** What is copied during `act`, and into memory of which sizes: the room that a gatherer keeps is seen only there. */
function copies(act: () => void): { copied: number; into: number[] } {
  const { set } = Uint8Array.prototype;
  const seen = { copied: 0, into: [] as number[] };
  Uint8Array.prototype.set = function (this: Uint8Array, source: ArrayLike<number>, offset?: number) {
    seen.copied += source.length;
    seen.into.push(this.buffer.byteLength);
    set.call(this, source, offset);
  };
  try {
    act();
  } finally {
    Uint8Array.prototype.set = set;
  }
  return seen;
}

Deno.test("FrameCollector.add() of a byte at a time copies no more than a few times what comes", () => {
  const gatherer = new FrameCollector();
  const { copied } = copies(() => {
    for (let count = 0; count < 10_000; count++) gatherer.add(new Uint8Array(1));
  });
  assertEquals(gatherer.length, 10_000);
  assertLess(copied, 30_000);
});

Deno.test("FrameCollector.add() makes no room anew for a frame as long as the one before", () => {
  const gatherer = new FrameCollector();
  gatherer.add(new Uint8Array(4096));
  gatherer.takeData();
  gatherer.add(new Uint8Array(3000));
  gatherer.takeText();
  assertEquals(copies(() => gatherer.add(new Uint8Array(1))), { copied: 1, into: [4096] });
});

Deno.test("FrameCollector.clear() gives back what a long frame needed", () => {
  const gatherer = new FrameCollector();
  for (const end of ["takeData", "takeText", "clear"] as const) {
    gatherer.add(new Uint8Array(4097));
    gatherer[end]();
    assertEquals(copies(() => gatherer.add(new Uint8Array(1))).into.at(-1), 1, end);
    gatherer.clear();
  }
});

Deno.test("FrameCollector.takeData() gives memory no larger than the data", () => {
  const gatherer = new FrameCollector();
  for (let count = 0; count < 2000; count++) gatherer.add(bytes("abc"));
  assertEquals(gatherer.takeData().buffer.byteLength, 6000);
});

Deno.test("FrameCollector.takeData() cuts what is short from a common slab, no byte twice, and outlives the loss of one", () => {
  const gatherer = new FrameCollector();
  const take = (length: number, byte: number) => {
    gatherer.add(new Uint8Array(length).fill(byte));
    return gatherer.takeData();
  };
  const taken = Array.from({ length: 500 }, (_, i) => take(i % 97, i % 251));
  assert(new Set(taken.map(({ buffer }) => buffer)).size < 10);
  assertEquals(taken, taken.map((_, i) => new Uint8Array(i % 97).fill(i % 251)));
  assert(taken.every(({ byteOffset }) => byteOffset % 8 === 0), "a wider view would not fit on it");
  structuredClone(null, { transfer: [take(10, 1).buffer as ArrayBuffer] });
  assertEquals(take(10, 2), new Uint8Array(10).fill(2));
});

Deno.test("FrameCollector.lend() copies only when it has to, and what is gathered is the same", () => {
  const gatherer = new FrameCollector();
  const buffer = bytes("-abc-def-");
  gatherer.lend(buffer, 1, 4);
  assertEquals(gatherer.length, 3);
  buffer[1] = 0x41;
  assertEquals([gatherer.takeText(), gatherer.length], ["Abc", 0]);
  gatherer.lend(buffer, 1, 4);
  gatherer.keep();
  buffer.fill(0x2e);
  gatherer.lend(buffer, 0, 2);
  assertEquals([gatherer.length, gatherer.takeData()], [5, bytes("Abc..")]);
  gatherer.lend(buffer, 0, 2);
  gatherer.add(bytes("!"));
  assertEquals(gatherer.takeText(), "..!");
  gatherer.lend(buffer, 0, 2);
  gatherer.clear();
  assertEquals([gatherer.length, gatherer.takeText()], [0, ""]);
});

Deno.test("FrameCollector.takeData() hands a large run over as it is, and begins anew", () => {
  const gatherer = new FrameCollector();
  const piece = new Uint8Array(700_000).fill(1);
  gatherer.add(piece);
  gatherer.add(piece);
  const first = gatherer.takeData();
  assertEquals([first.length, gatherer.length], [1_400_000, 0]);
  assert(first.buffer.byteLength <= 2 * first.length);
  gatherer.add(new Uint8Array(1_400_000).fill(2));
  assert(first.every((byte) => byte === 1));
  assert(gatherer.takeData().every((byte) => byte === 2));
});
