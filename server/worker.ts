// One worker of the greeter, started by workers.ts.
import type { ChatServer } from "../listener/types.ts";
import { serveGreeter } from "./greeter.ts";
import { holdWhileAlive } from "./life_lock.ts";
import { printErrorsTo } from "./log_sink.ts";
import type { WorkerConfig, WorkerReport } from "./workers.ts";

const parent = globalThis as unknown as {
  postMessage(report: WorkerReport): void;
  onmessage: (event: MessageEvent<WorkerConfig | "shutdown">) => void;
};

let server: ChatServer | undefined;

parent.onmessage = async ({ data }) => {
  if (data === "shutdown") return void server?.shutdown();
  const { verbose, lock, ...options } = data;
  await holdWhileAlive(lock);
  printErrorsTo((error) => parent.postMessage({ error }));
  const onAnswer = (line: string) => parent.postMessage({ line });
  try {
    server = serveGreeter({ ...options, reusePort: true, ...(verbose ? { onAnswer } : {}) });
  } catch (error) {
    return parent.postMessage({ problem: String(error) });
  }
  parent.postMessage("listening");
  await server.finished;
  parent.postMessage({ stats: server.stats });
};
