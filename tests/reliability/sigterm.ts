/**
 * Counts what clients with a new connection for each request see when a server gets SIGTERM: this greeter, `Deno.serve`
 * and Go's net/http (where `go` is installed). docs/reliability.md has the output.
 *
 * deno run --allow-net=127.0.0.1 --allow-run --allow-read --allow-write=/tmp tests/reliability/sigterm.ts
 */

import { Lines } from "../processes.ts";
import { connect } from "./wire.ts";

const RUNS = 20;
const CLIENTS = 32;
/** Requests that are answered before the signal. */
const WARM_UP = 2_000;
const REQUEST = new TextEncoder().encode("GET /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");

const DENO_SERVE = `
const server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: ({ port }) => console.log(port) }, () =>
  new Response("hello"));
Deno.addSignalListener("SIGTERM", async () => {
  await server.shutdown();
  Deno.exit(0);
});
`;

const GO = `package main

import ("context"; "fmt"; "net"; "net/http"; "os"; "os/signal"; "syscall")

func main() {
	listener, _ := net.Listen("tcp", "127.0.0.1:0")
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "hello") })}
	ended := make(chan struct{})
	go func() {
		signals := make(chan os.Signal, 1)
		signal.Notify(signals, syscall.SIGTERM)
		<-signals
		server.Shutdown(context.Background())
		close(ended)
	}()
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	server.Serve(listener)
	<-ended
}
`;

type End = "answered" | "refused" | "reset" | "ended without an answer";

async function ask(port: number): Promise<End> {
  let conn: Deno.Conn;
  try {
    conn = await connect(port);
  } catch (error) {
    return error instanceof Deno.errors.ConnectionRefused ? "refused" : "reset";
  }
  const buffer = new Uint8Array(4_096);
  let received = 0;
  try {
    await conn.write(REQUEST);
    for (let count; (count = await conn.read(buffer)) !== null;) received += count;
    return received > 0 ? "answered" : "ended without an answer";
  } catch {
    return received > 0 ? "answered" : "reset";
  } finally {
    conn.close();
  }
}

/** Runs a server until the signal, and counts how the requests after it end. */
async function run(command: string, args: string[], counts: Record<End, number>): Promise<void> {
  const child = new Deno.Command(command, { args, stdin: "null", stdout: "piped", stderr: "inherit" }).spawn();
  await using lines = new Lines(child.stdout);
  const port = await lines.nextPort();
  let answered = 0;
  let signaled = false;
  const client = async () => {
    for (;;) {
      const end = await ask(port);
      if (signaled) counts[end]++;
      if (end === "refused") return;
      if (++answered === WARM_UP) {
        child.kill("SIGTERM");
        signaled = true;
      }
    }
  };
  await Promise.all(Array.from({ length: CLIENTS }, client));
  await child.status;
}

const folder = Deno.makeTempDirSync({ dir: "/tmp" });
const denoServe = `${folder}/serve.ts`;
Deno.writeTextFileSync(denoServe, DENO_SERVE);
const deno = Deno.execPath();
const greeter = new URL("../../server.ts", import.meta.url).pathname;
const servers: Record<string, [string, string[]]> = {
  "server.ts": [deno, ["run", "-q", "--allow-net", greeter, "--port", "0", "--hostname", "127.0.0.1"]],
  "server.ts on localhost": [deno, ["run", "-q", "--allow-net", greeter, "--port", "0"]],
  "Deno.serve": [deno, ["run", "-q", "--allow-net", denoServe]],
};
try {
  Deno.writeTextFileSync(`${folder}/main.go`, GO);
  const build = { args: ["build", "-o", `${folder}/go-server`, `${folder}/main.go`], cwd: folder };
  if (new Deno.Command("go", build).outputSync().success) servers["Go net/http"] = [`${folder}/go-server`, []];
} catch {
  console.log("go is not installed");
}
for (const [name, [command, args]] of Object.entries(servers)) {
  const counts = { "answered": 0, "refused": 0, "reset": 0, "ended without an answer": 0 };
  for (let i = 0; i < RUNS; i++) await run(command, args, counts);
  const shown = Object.entries(counts).map(([end, count]) => `${count} ${end}`).join(", ");
  console.log(`${name}: of requests that ended after ${RUNS} signals ${shown}`);
}
Deno.removeSync(folder, { recursive: true });
