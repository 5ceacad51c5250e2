import { assert, assertEquals, assertLess } from "@std/assert";
import { seededRandom } from "../testing/cuts.ts";
import { bytes } from "../tests/recorder.ts";
import { FrameCollector } from "./frame_collector.ts";

Deno.test("FrameCollector.takeData() joins what was added and clears it", () => {
  const collector = new FrameCollector();
  for (const piece of ["ab", "", "c", "defghij"]) collector.add(bytes(piece));
  assertEquals(collector.length, 10);
  assertEquals(collector.takeData(), bytes("abcdefghij"));
  assertEquals(collector.length, 0);
  assertEquals(collector.takeData(), new Uint8Array(0));
});

Deno.test("FrameCollector.takeText() joins what was added and clears it", () => {
  const collector = new FrameCollector();
  for (const piece of ["ab", "cd"]) collector.add(bytes(piece));
  assertEquals(collector.takeText(), "abcd");
  assertEquals(collector.length, 0);
  assertEquals(collector.takeText(), "");
});

Deno.test("FrameCollector.add() copies its data", () => {
  const collector = new FrameCollector();
  const piece = bytes("abc");
  collector.add(piece);
  piece.fill(0);
  collector.add(bytes("d"));
  assertEquals(collector.takeText(), "abcd");
});

Deno.test("FrameCollector.takeData() returns bytes that the caller owns", () => {
  const collector = new FrameCollector();
  collector.add(bytes("abc"));
  const first = collector.takeData();
  collector.add(bytes("xyz"));
  assertEquals(first, bytes("abc"));
  first.fill(0);
  assertEquals(collector.takeText(), "xyz");
});

Deno.test("FrameCollector.takeText() decodes a character that was cut in two", () => {
  const collector = new FrameCollector();
  const euro = bytes("€");
  collector.add(euro.subarray(0, 1));
  collector.add(euro.subarray(1));
  assertEquals(collector.takeText(), "€");
});

Deno.test("FrameCollector.takeText() decodes invalid bytes to U+FFFD, each frame by itself", () => {
  const collector = new FrameCollector();
  collector.add(new Uint8Array([0x61, 0xff, 0xe2, 0x82]));
  assertEquals(collector.takeText(), "a\ufffd\ufffd");
  collector.add(new Uint8Array([0xac, 0x62]));
  assertEquals(collector.takeText(), "\ufffdb");
});

Deno.test("FrameCollector.takeText() keeps a byte order mark", () => {
  const collector = new FrameCollector();
  collector.add(bytes("\ufeffa"));
  assertEquals(collector.takeText(), "\ufeffa");
});

Deno.test("FrameCollector.clear() discards what was added", () => {
  const collector = new FrameCollector();
  collector.add(bytes("abc"));
  collector.clear();
  assertEquals(collector.length, 0);
  collector.add(bytes("d"));
  assertEquals(collector.takeText(), "d");
});

Deno.test("FrameCollector.add() joins any number of pieces of any size, frame after frame", () => {
  for (let seed = 1; seed <= 20; seed++) {
    const random = seededRandom(seed);
    const collector = new FrameCollector();
    for (let frames = 0; frames < 5; frames++) {
      const expected: number[] = [];
      while (random() < 0.9) {
        const piece = Uint8Array.from({ length: random() * 2000 }, () => random() * 256);
        collector.add(piece);
        expected.push(...piece);
      }
      assertEquals(collector.length, expected.length, `seed ${seed}`);
      assertEquals(collector.takeData(), new Uint8Array(expected), `seed ${seed}`);
    }
  }
});

/** Returns what `act` copies, and the sizes of the memory it copies into: only there the kept storage shows. */
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

Deno.test("FrameCollector.add() of a byte at a time copies at most three times the data", () => {
  const collector = new FrameCollector();
  const { copied } = copies(() => {
    for (let count = 0; count < 10_000; count++) collector.add(new Uint8Array(1));
  });
  assertEquals(collector.length, 10_000);
  assertLess(copied, 30_000);
});

Deno.test("FrameCollector.add() reuses the storage of the frame before", () => {
  const collector = new FrameCollector();
  collector.add(new Uint8Array(4096));
  collector.takeData();
  collector.add(new Uint8Array(3000));
  collector.takeText();
  assertEquals(copies(() => collector.add(new Uint8Array(1))), { copied: 1, into: [4096] });
});

Deno.test("FrameCollector.clear() and the takes release the storage of a long frame", () => {
  const collector = new FrameCollector();
  for (const end of ["takeData", "takeText", "clear"] as const) {
    collector.add(new Uint8Array(4097));
    collector[end]();
    assertEquals(copies(() => collector.add(new Uint8Array(1))).into.at(-1), 1, end);
    collector.clear();
  }
});

Deno.test("FrameCollector.takeData() returns memory no larger than the data", () => {
  const collector = new FrameCollector();
  for (let count = 0; count < 2000; count++) collector.add(bytes("abc"));
  assertEquals(collector.takeData().buffer.byteLength, 6000);
});

/** Has `collector` collect `length` bytes of this value, by either way, and takes them. */
function take(collector: FrameCollector, length: number, byte: number, borrows = false): Uint8Array {
  const data = new Uint8Array(length).fill(byte);
  if (borrows) collector.borrow(data, 0, length);
  else collector.add(data);
  return collector.takeData();
}

Deno.test("FrameCollector.takeData() cuts short data from a slab without overlap", () => {
  for (const borrows of [false, true]) {
    const collector = new FrameCollector();
    const taken = Array.from({ length: 500 }, (_, i) => take(collector, i % 97, i % 251, borrows));
    assertEquals(taken, taken.map((_, i) => new Uint8Array(i % 97).fill(i % 251)));
    assert(taken.every(({ byteOffset }) => byteOffset % 8 === 0), "a typed array of wider elements must fit");
    assert(taken.every(({ buffer }) => buffer.byteLength === 2048), "what one kept frame pins");
    const filled = taken.reduce((sum, { length }) => sum + Math.ceil(length / 8) * 8, 0);
    const slabs = new Set(taken.map(({ buffer }) => buffer)).size;
    assertEquals({ slabs, isTight: slabs <= Math.ceil(filled / (2048 - 96)) }, { slabs, isTight: true });
  }
});

Deno.test("FrameCollector.takeData() cuts up to 256 bytes from a slab; above, the data has its own memory", () => {
  for (const borrows of [false, true]) {
    const collector = new FrameCollector();
    const sizes = [1, 256, 257, 4096, 65_536].map((size) => take(collector, size, 1, borrows).buffer.byteLength);
    assertEquals(sizes, [2048, 2048, 257, 4096, 65_536]);
    const [first, second] = [take(collector, 256, 1, borrows), take(collector, 1, 2, borrows)];
    assertEquals(first.buffer === second.buffer, true);
  }
});

Deno.test("FrameCollector.takeData() begins a new slab when the rest is too short, and not before", () => {
  const collector = new FrameCollector();
  const taken = Array.from({ length: 9 }, (_, i) => take(collector, 256, i));
  assertEquals(taken.map(({ byteOffset }) => byteOffset), [0, 256, 512, 768, 1024, 1280, 1536, 1792, 0]);
  assertEquals(new Set(taken.map(({ buffer }) => buffer)).size, 2);
});

Deno.test("FrameCollector.takeData() continues after its slab was transferred", () => {
  const collector = new FrameCollector();
  const [first, second] = [take(collector, 10, 1), take(collector, 10, 2)];
  const moved = structuredClone(first, { transfer: [first.buffer as ArrayBuffer] });
  assertEquals({ moved, detached: [first.length, second.length] }, {
    moved: new Uint8Array(10).fill(1),
    detached: [0, 0], // both lie in the slab that was transferred
  });
  assertEquals(take(collector, 10, 3), new Uint8Array(10).fill(3));
});

Deno.test("FrameCollector.takeData() returns empty data also after other empty data was transferred", () => {
  const one = new FrameCollector();
  const other = new FrameCollector();
  for (const collector of [one, one, other, new FrameCollector()]) {
    const empty = collector.takeData();
    assertEquals(empty.length, 0);
    structuredClone(null, { transfer: [empty.buffer as ArrayBuffer] });
    assertEquals(collector.takeData().length, 0);
    assertEquals(take(collector, 3, 1), new Uint8Array(3).fill(1));
  }
});

Deno.test("FrameCollector.takeData() of two collectors shares no memory", () => {
  const one = new FrameCollector();
  const other = new FrameCollector();
  const ofOne: Uint8Array[] = [];
  const ofOther: Uint8Array[] = [];
  for (const length of [1, 10, 256, 257, 5000, 100, 3]) {
    for (const borrows of [false, true]) {
      ofOne.push(take(one, length, 1, borrows));
      ofOther.push(take(other, length, 2, borrows));
    }
  }
  for (const [taken, foreign] of [[ofOne, 2], [ofOther, 1]] as const) {
    for (const { buffer } of taken) assertEquals(new Uint8Array(buffer).includes(foreign), false);
  }
  const buffers = new Set(ofOne.map(({ buffer }) => buffer));
  assertEquals(ofOther.filter(({ buffer }) => buffers.has(buffer)), []);
  for (const buffer of buffers) structuredClone(null, { transfer: [buffer as ArrayBuffer] });
  assertEquals(ofOther.map((taken) => taken.every((byte) => byte === 2) ? taken.length : -1), [
    ...[1, 1, 10, 10, 256, 256, 257, 257, 5000, 5000, 100, 100, 3, 3],
  ]);
});

Deno.test("FrameCollector.borrow() copies only on demand, and the result is the same", () => {
  const collector = new FrameCollector();
  const buffer = bytes("-abc-def-");
  collector.borrow(buffer, 1, 4);
  assertEquals(collector.length, 3);
  buffer[1] = 0x41;
  assertEquals(collector.takeText(), "Abc", "borrowed until it is taken");
  assertEquals(collector.length, 0);
  collector.borrow(buffer, 1, 4);
  collector.copyBorrowed();
  buffer.fill(0x2e);
  collector.borrow(buffer, 0, 2);
  assertEquals(collector.length, 5);
  assertEquals(collector.takeData(), bytes("Abc.."), "copied before the change");
  collector.borrow(buffer, 0, 2);
  collector.add(bytes("!"));
  assertEquals(collector.takeText(), "..!");
  collector.borrow(buffer, 0, 2);
  collector.clear();
  assertEquals(collector.length, 0);
  assertEquals(collector.takeText(), "");
});

Deno.test("FrameCollector.takeData() hands over large storage and starts with a new one", () => {
  const collector = new FrameCollector();
  const piece = new Uint8Array(700_000).fill(1);
  collector.add(piece);
  collector.add(piece);
  const first = collector.takeData();
  assertEquals({ taken: first.length, left: collector.length }, { taken: 1_400_000, left: 0 });
  assert(first.buffer.byteLength <= 2 * first.length);
  collector.add(new Uint8Array(1_400_000).fill(2));
  assert(first.every((byte) => byte === 1));
  assert(collector.takeData().every((byte) => byte === 2));
});
