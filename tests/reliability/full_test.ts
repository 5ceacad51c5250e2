import { assertEquals } from "@std/assert";
import { canRun, hasNet } from "../permissions.ts";
import { deno, until } from "../processes.ts";
import { Served } from "./served_process.ts";
import { connect, isGreeted, send } from "./wire.ts";

/** As many as the greeter has connections by default. */
const HALF_HEADS = 1_000;
const HALF_HEAD = "GET /a HTTP/1.1\r\nHost: ";

Deno.test({
  name: `Greeter answers at once while ${HALF_HEADS} half request heads fill it; those that are closed were idle`,
  ignore: !hasNet || !canRun(deno),
  async fn() {
    await using served = await Served.start({ kind: "greeter", maxConnectionsPerAddress: 2 * HALF_HEADS });
    const halves = [];
    for (let i = 0; i < HALF_HEADS; i++) {
      const conn = await connect(served.port);
      await send(conn, HALF_HEAD);
      halves.push(conn);
    }
    await until("all are open", async () => (await served.figures()).stats.open === HALF_HEADS);
    const began = performance.now();
    for (let i = 0; i < 20; i++) assertEquals(await isGreeted(served.port, `client${i}`), true);
    const tookMs = performance.now() - began;
    assertEquals(tookMs < 2_000, true, `20 answers took ${tookMs} ms`);
    const { stats } = await served.figures();
    assertEquals({ full: stats.closes.ServerFullError! >= 1, errors: stats.acceptErrors }, { full: true, errors: 0 });
    for (const conn of halves) conn.close();
  },
});

Deno.test({
  name: "Greeter rejects the 501st connection of one address, and accepts it once another has ended",
  ignore: !hasNet || !canRun(deno),
  async fn() {
    await using served = await Served.start({ kind: "greeter" });
    const conns = await Promise.all(Array.from({ length: 500 }, () => connect(served.port)));
    await until("all are open", async () => (await served.figures()).stats.open === 500);
    assertEquals(await isGreeted(served.port, "rejected").catch(() => false), false);
    assertEquals((await served.figures()).stats.refused, 1);
    conns.pop()!.close();
    await until("one has ended", async () => (await served.figures()).stats.open === 499);
    assertEquals(await isGreeted(served.port, "accepted"), true);
    for (const conn of conns) conn.close();
  },
});
