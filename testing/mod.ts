/**
 * Tests chats without a network: connections in memory, input cut in every way, a clock that tests advance.
 *
 * @example A chat answers the same, however the network cuts its input
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { AsyncChat } from "@asynchat/asynchat";
 * import { everyCut, scriptedConn } from "@asynchat/asynchat/testing";
 *
 * class Sum extends AsyncChat {
 *   #sum = 0;
 *   protected override handleConnect() {
 *     this.setTerminator("\r\n");
 *   }
 *   protected override foundTerminator() {
 *     this.push(`${this.#sum += Number(this.takeText())}\r\n`);
 *   }
 * }
 *
 * for (const pieces of everyCut(new TextEncoder().encode("1\r\n20\r\n"))) {
 *   const { conn, written } = scriptedConn(pieces);
 *   await new Sum(conn).run();
 *   assertEquals(await written, "1\r\n21\r\n");
 * }
 * ```
 *
 * @module
 */

export { everyCut, randomCut, seededRandom } from "./cuts.ts";
export { FakeClock } from "./fake_clock.ts";
export {
  type MemoryCall,
  MemoryConn,
  type MemoryConnOptions,
  memoryPair,
  type ScriptedConn,
  scriptedConn,
} from "./memory_conn.ts";
