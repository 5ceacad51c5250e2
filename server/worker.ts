// One of several workers of the greeter: started by workers.ts, which it reports to.
import type { ChatServer } from "../listener/types.ts";
import { serveGreeter } from "./greeter.ts";
import type { WorkerConfig, WorkerReport } from "./workers.ts";

const boss = globalThis as unknown as {
  postMessage(report: WorkerReport): void;
  onmessage: (event: MessageEvent<WorkerConfig | "shutdown">) => void;
};

let server: ChatServer | undefined;

boss.onmessage = async ({ data }) => {
  if (data === "shutdown") return void server?.shutdown();
  const { port, hostname, verbose } = data;
  const onAnswer = (line: string) => boss.postMessage({ line });
  try {
    server = serveGreeter({ port, hostname, reusePort: true, ...(verbose ? { onAnswer } : {}) });
  } catch (error) {
    return boss.postMessage({ problem: String(error) });
  }
  boss.postMessage("listening");
  await server.finished;
  boss.postMessage({ stats: server.stats });
};
