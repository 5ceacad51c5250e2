/**
 * Compares the CPU-bound work of one worker with that of two that share a port:
 * `deno run --allow-net=127.0.0.1 --allow-read bench/cores.ts`, on an idle machine with two cores.
 *
 * @module
 */

import { AsyncChat, serve } from "../mod.ts";

/** Rounds of work for a request: about 5 ms, against which the client's own time is negligible. */
const ROUNDS = 4_000_000;
const CLIENTS = 32;
const SECONDS = 5;

/** Does the work for each line, then answers. */
class Work extends AsyncChat {
  protected override handleConnect() {
    this.setTerminator("\n");
  }
  protected override foundTerminator() {
    this.takeData();
    let sum = 0;
    for (let i = 0; i < ROUNDS; i++) sum = Math.imul(sum ^ i, 0x9e3779b1);
    this.push(`${sum}\n`);
  }
}

async function measure(workers: number): Promise<number> {
  const probe = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = probe.addr; // free, for all workers
  probe.close();
  const running = Array.from({ length: workers }, () => new Worker(import.meta.url, { type: "module" }));
  await Promise.all(running.map((worker) =>
    new Promise((resolve) => {
      worker.onmessage = resolve;
      worker.postMessage(port);
    })
  ));
  let done = 0;
  const end = performance.now() + SECONDS * 1_000;
  const client = async () => {
    using conn = await Deno.connect({ hostname: "127.0.0.1", port });
    while (performance.now() < end) {
      await conn.write(new TextEncoder().encode("work\n"));
      await conn.read(new Uint8Array(100));
      done++;
    }
  };
  await Promise.all(Array.from({ length: CLIENTS }, client));
  for (const worker of running) worker.terminate();
  return done / SECONDS;
}

if ("WorkerGlobalScope" in globalThis) {
  const worker = globalThis as unknown as {
    postMessage(ready: boolean): void;
    onmessage: (event: MessageEvent) => void;
  };
  worker.onmessage = ({ data: port }) => {
    serve({ hostname: "127.0.0.1", port, reusePort: true }, (conn) => new Work(conn));
    worker.postMessage(true);
  };
} else {
  const one = await measure(1);
  const two = await measure(2);
  console.log(
    `1 worker: ${one.toFixed(0)} requests a second, 2 workers: ${two.toFixed(0)}, ${(two / one).toFixed(2)} times`,
  );
}
