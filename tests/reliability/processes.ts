/** For the tests here: programs that are started, asked and ended. */

import type { Figures, ServedOptions } from "./served.ts";

/** The Deno that runs the tests. */
export const deno = Deno.execPath();

const NOTHING = { stdin: "null", stdout: "null", stderr: "null" } as const;

/** Whether the tests may use the network, and these programs, which are there. */
export async function canRun(...commands: string[]): Promise<boolean> {
  if ((await Deno.permissions.query({ name: "net", host: "127.0.0.1" })).state !== "granted") return false;
  for (const command of commands) {
    if ((await Deno.permissions.query({ name: "run", command })).state !== "granted") return false;
    const isThere = await new Deno.Command(command, { args: ["--version"], ...NOTHING }).output().then(
      () => true,
      () => false,
    );
    if (!isThere) return false;
  }
  return true;
}

/** Time enough for anything, on any machine. */
const BOUND_MS = 60_000;

/** Waits until `condition` holds of another process, which tells nothing unasked: so it is asked now and then, and not for ever. */
export async function until(what: string, condition: () => Promise<boolean>): Promise<void> {
  const began = performance.now();
  while (!await condition()) {
    if (performance.now() - began > BOUND_MS) throw new Error(`Not in ${BOUND_MS} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** The lines of a program's output, one at a time. */
export class Lines implements AsyncDisposable {
  readonly #reader: ReadableStreamDefaultReader<string>;
  #rest = "";

  constructor(stream: ReadableStream<Uint8Array<ArrayBuffer>>) {
    this.#reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  }

  /** The next line, or `null` when there is none. */
  async next(): Promise<string | null> {
    let end: number;
    while ((end = this.#rest.indexOf("\n")) < 0) {
      const { value, done } = await this.#reader.read();
      if (done) return null;
      this.#rest += value;
    }
    const line = this.#rest.slice(0, end);
    this.#rest = this.#rest.slice(end + 1);
    return line;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#reader.cancel();
  }
}

/** Runs a program that serves and says where, as the examples do, while `use` asks it; then it has to end in good order. */
export async function whileServing(
  program: URL,
  permissions: string[],
  use: (port: number) => Promise<void>,
  cwd = ".",
): Promise<void> {
  const args = ["run", "--quiet", "--no-prompt", ...permissions, program.pathname, "--port", "0"];
  const child = new Deno.Command(deno, { args, cwd, stdin: "null", stdout: "piped", stderr: "inherit" }).spawn();
  try {
    await using lines = new Lines(child.stdout);
    await use(Number(/([0-9]+)$/.exec(await lines.next() ?? "")![1]));
  } catch (error) {
    child.kill("SIGKILL");
    await child.status;
    throw error;
  }
  child.kill("SIGTERM");
  const { code } = await child.status;
  if (code !== 0) throw new Error(`It ended with code ${code}, 0 is wanted`);
}

/** A server in a process of its own; see `served.ts`. */
export class Served implements AsyncDisposable {
  readonly port: number;
  readonly #child: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;
  readonly #lines: Lines;

  static async start(options: ServedOptions): Promise<Served> {
    const program = new URL("served.ts", import.meta.url).href;
    const flags = ["run", "--quiet", "--no-prompt", "--allow-net=127.0.0.1", "--v8-flags=--expose-gc"];
    const args = [...flags, program, JSON.stringify(options)];
    const pipes = { stdin: "piped", stdout: "piped", stderr: "inherit" } as const;
    const child = new Deno.Command(deno, { args, ...pipes }).spawn();
    const lines = new Lines(child.stdout);
    const port = Number(await lines.next());
    if (!(port > 0)) throw new Error("The server has not started");
    return new Served(child, lines, port);
  }

  private constructor(child: Deno.ChildProcess, lines: Lines, port: number) {
    this.#child = child;
    this.#input = child.stdin.getWriter();
    this.#lines = lines;
    this.port = port;
  }

  /** What it tells of itself, after a garbage collection if its memory is what matters; one may ask at a time. */
  async figures(collectsGarbage = false): Promise<Figures> {
    await this.#input.write(new TextEncoder().encode(collectsGarbage ? "gc\n" : "\n"));
    const line = await this.#lines.next();
    if (line === null) throw new Error(`The server has died: code ${(await this.#child.status).code}`);
    return JSON.parse(line);
  }

  /** Ends it in good order. */
  async end(): Promise<Deno.CommandStatus> {
    await this.#input.close();
    await this.#lines[Symbol.asyncDispose]();
    return await this.#child.status;
  }

  /** Ends it, whatever state it is in. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.end().catch(() => {});
  }
}
