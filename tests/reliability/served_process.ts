import { denoRun, Lines } from "../processes.ts";
import type { Figures, ServedOptions } from "./served.ts";

/** A server in a process of its own: see served.ts. */
export class Served implements AsyncDisposable {
  readonly port: number;
  readonly #child: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;
  readonly #lines: Lines;

  /** Starts it, and waits until it listens. */
  static async start(options: ServedOptions): Promise<Served> {
    const program = new URL("served.ts", import.meta.url);
    const flags = ["--allow-net=127.0.0.1", "--v8-flags=--expose-gc"];
    const pipes = { stdin: "piped", stderr: "inherit" } as const;
    const child = denoRun(program, flags, [JSON.stringify(options)], pipes).spawn();
    const lines = new Lines(child.stdout);
    return new Served(child, lines, await lines.nextPort());
  }

  private constructor(child: Deno.ChildProcess, lines: Lines, port: number) {
    this.#child = child;
    this.#input = child.stdin.getWriter();
    this.#lines = lines;
    this.port = port;
  }

  /** Its figures now, on request after a garbage collection. One call at a time. */
  async figures(collectsGarbage = false): Promise<Figures> {
    await this.#input.write(new TextEncoder().encode(collectsGarbage ? "gc\n" : "\n"));
    const line = await this.#lines.next();
    if (line === null) throw new Error(`The server died: exit code ${(await this.#child.status).code}`);
    return JSON.parse(line);
  }

  /** Shuts it down gracefully. */
  async end(): Promise<Deno.CommandStatus> {
    await this.#input.close();
    await this.#lines[Symbol.asyncDispose]();
    return await this.#child.status;
  }

  /** Ends it in any state. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.end().catch(() => {});
  }
}
