/**
 * Compares `examples/redis.ts` with redis-server, under redis-benchmark: `deno run --allow-all bench/redis.ts
 * [rounds]`. The servers share one core, redis-benchmark has another. Prints our rate as a multiple of redis-server's,
 * in the median round.
 *
 * @module
 */

import { PeerProcess, run } from "./processes.ts";

const CLIENTS = 50;
/** Pipelined requests on a connection, and requests in all: about half a second of work. */
const DEPTHS = [[1, 50_000], [16, 600_000], [128, 1_500_000]] as const;

const onCore = (core: number, ...command: string[]) => ["taskset", "-c", String(core), ...command];
const ours = new URL("../examples/redis.ts", import.meta.url).pathname;

/** Starts redis-server on a free port, and connects until it answers: it prints no line with the port alone. */
async function startRedis() {
  const probe = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = probe.addr;
  probe.close();
  const [program, ...args] = onCore(0, "redis-server", "--port", String(port), "--bind", "127.0.0.1", "--save", "");
  const child = new Deno.Command(program!, { args, stdin: "null", stdout: "null" }).spawn();
  for (;;) {
    try {
      (await Deno.connect({ hostname: "127.0.0.1", port })).close();
      return { port, child };
    } catch (error) {
      if (!(error instanceof Deno.errors.ConnectionRefused)) throw error;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

/** Runs redis-benchmark; returns the requests a second by test. */
async function ask(port: number, depth: number, requests: number): Promise<Map<string, number>> {
  const how = ["-p", String(port), "-n", String(requests), "-c", String(CLIENTS), "-P", String(depth)];
  const lines = (await run(onCore(1, "redis-benchmark", ...how, "--csv", "-t", "ping,set,get"))).split("\n").slice(1);
  return new Map(lines.map((line) => {
    const [name, rate] = line.replaceAll('"', "").split(",");
    return [name!, Number(rate)];
  }));
}

const median = (values: number[]) => values.toSorted((a, b) => a - b)[values.length >> 1]!;

const rounds = Number(Deno.args[0] ?? 5);
const redis = await startRedis();
await using us = await PeerProcess.start(onCore(0, Deno.execPath(), "run", "--allow-net", ours, "--port", "0"));
const rates = new Map<string, { us: number[]; redis: number[] }>();
for (let round = 0; round < rounds; round++) {
  for (const [depth, requests] of DEPTHS) {
    const [first, second] = [await ask(us.port, depth, requests), await ask(redis.port, depth, requests)];
    for (const [name, rate] of first) {
      const cell = `${name.padEnd(12)} ${String(depth).padStart(4)}`;
      const { us, redis } = rates.get(cell) ?? { us: [], redis: [] };
      rates.set(cell, { us: [...us, rate], redis: [...redis, second.get(name)!] });
    }
  }
}
redis.child.kill("SIGTERM");
await redis.child.status;

console.log(
  `             deep ${["us, a second", "redis-server", "times"].map((title) => title.padStart(14)).join("")}`,
);
for (const [cell, { us, redis }] of rates) {
  const times = median(us.map((rate, i) => rate / redis[i]!));
  const row = [median(us).toFixed(0), median(redis).toFixed(0), times.toFixed(2)];
  console.log(`${cell} ${row.map((each) => each.padStart(14)).join("")}`);
}
