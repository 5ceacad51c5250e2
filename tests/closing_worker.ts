/** A worker for workers.ts that closes itself after its first connection. */

import { Counters } from "../listener/counters.ts";
import { holdWhileAlive } from "../server/life_lock.ts";
import type { WorkerConfig, WorkerReport } from "../server/workers.ts";

const parent = globalThis as unknown as {
  postMessage(report: WorkerReport): void;
  onmessage: (event: MessageEvent<WorkerConfig | "shutdown">) => void;
  close(): void;
};

parent.onmessage = async ({ data }) => {
  if (data === "shutdown") return parent.postMessage({ stats: new Counters().snapshot([], 0) });
  await holdWhileAlive(data.lock);
  const listener = Deno.listen({ port: data.port, hostname: data.hostname, reusePort: true });
  parent.postMessage("listening");
  const conn = await listener.accept();
  await conn.write(new TextEncoder().encode("closing"));
  await conn.closeWrite();
  for (const buffer = new Uint8Array(100); await conn.read(buffer) !== null;); // closes without a reset
  conn.close();
  parent.close();
};
