import { assert, assertEquals } from "@std/assert";
import { canRun, hasNet } from "../permissions.ts";
import { deno, until } from "../processes.ts";
import { Served } from "./served_process.ts";
import { askDuring, besiege, mostOpen, WAYS } from "./slow_clients.ts";

const SLOW = 100;

for (const way of Object.keys(WAYS)) {
  Deno.test({
    name: `Greeter answers an honest client while ${SLOW} others are slow: ${way}, by slowhttptest`,
    ignore: !hasNet || !canRun(deno, "slowhttptest"),
    async fn() {
      const limits = { idleTimeoutMs: 2_000, frameTimeoutMs: 2_000, writeTimeoutMs: 2_000 };
      await using served = await Served.start({ kind: "greeter", maxConnections: 2 * SLOW, ...limits });
      // It ends when all its connections have been ended; those that read slowly have nothing to be ended for.
      const seconds = way === "slow read" ? 3 : 30;
      const siege = besiege(served.port, way, { connections: SLOW, perSecond: 500, seconds, everySeconds: 1 });
      const [honest, most] = await Promise.all([askDuring(served.port, siege), mostOpen(served, siege)]);
      assert(most >= SLOW, `${most} connections at most: it was no siege`);
      assert(honest.asked > 0);
      assertEquals(honest.wrong, 0);
      await until("all are gone", async () => (await served.figures()).stats.open === 0);
      const { stats, statuses } = await served.figures();
      if (way !== "slow read") assertEquals(statuses["408"], SLOW);
      assertEquals(stats.acceptErrors, 0);
    },
  });
}

Deno.test({
  name:
    "Greeter has whoever comes beyond its maxConnections wait, and serves them when the slow ones before have been ended",
  ignore: !hasNet || !canRun(deno, "slowhttptest"),
  async fn() {
    const options = { maxConnections: SLOW / 2, frameTimeoutMs: 2_000 };
    await using served = await Served.start({ kind: "greeter", ...options });
    const siege = besiege(served.port, "slow headers", {
      connections: SLOW,
      perSecond: 500,
      seconds: 30,
      everySeconds: 1,
    });
    const [honest, most] = await Promise.all([askDuring(served.port, siege), mostOpen(served, siege)]);
    assertEquals([most, honest.wrong], [SLOW / 2, 0]);
    assert(honest.ms.at(-1)! > 500, "nobody waited: it was no siege");
    assertEquals((await served.figures()).statuses["408"], SLOW);
  },
});
