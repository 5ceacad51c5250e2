import { assert, assertEquals } from "@std/assert";
import { canRun, hasNet } from "../permissions.ts";
import { deno, until } from "../processes.ts";
import { Served } from "./served_process.ts";
import { askDuring, besiege, maxOpen, WAYS } from "./slow_clients.ts";

const SLOW = 100;

for (const way of Object.keys(WAYS)) {
  Deno.test({
    name: `Greeter answers an honest client among ${SLOW} slow ones: ${way}, by slowhttptest`,
    ignore: !hasNet || !canRun(deno, "slowhttptest"),
    async fn() {
      const limits = { idleTimeoutMs: 2_000, frameTimeoutMs: 2_000, writeTimeoutMs: 2_000 };
      await using served = await Served.start({ kind: "greeter", maxConnections: 2 * SLOW, ...limits });
      // slowhttptest ends when all its connections are closed; slow readers exceed no limit.
      const seconds = way === "slow read" ? 3 : 30;
      const siege = besiege(served.port, way, { connections: SLOW, perSecond: 500, seconds, everySeconds: 1 });
      const [honest, open] = await Promise.all([askDuring(served.port, siege), maxOpen(served, siege)]);
      assert(open >= SLOW, `too few slow connections: got ${open}, expected ${SLOW}`);
      assert(honest.asked > 0);
      assertEquals(honest.wrong, 0);
      await until("all are closed", async () => (await served.figures()).stats.open === 0);
      const { stats, statuses } = await served.figures();
      if (way !== "slow read") assertEquals(statuses["408"], SLOW);
      assertEquals(stats.acceptErrors, 0);
    },
  });
}

Deno.test({
  name: "Greeter with whenFull wait lets clients above maxConnections wait until slow ones time out",
  ignore: !hasNet || !canRun(deno, "slowhttptest"),
  async fn() {
    const options = { maxConnections: SLOW / 2, whenFull: "wait", frameTimeoutMs: 2_000 } as const;
    await using served = await Served.start({ kind: "greeter", ...options });
    const siege = besiege(served.port, "slow headers", {
      connections: SLOW,
      perSecond: 500,
      seconds: 30,
      everySeconds: 1,
    });
    const [honest, open] = await Promise.all([askDuring(served.port, siege), maxOpen(served, siege)]);
    assertEquals({ open, wrong: honest.wrong }, { open: SLOW / 2, wrong: 0 });
    assert(honest.ms.at(-1)! > 500, "no client had to wait");
    assertEquals((await served.figures()).statuses["408"], SLOW);
  },
});
