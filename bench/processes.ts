/** Runs the processes of the benchmark: peers that serve, and programs that run to their end. */

/** Time limit of a process, far above what the slowest peer takes. */
const MAX_MS = 180_000;

/**
 * Runs a program to its end.
 *
 * @returns What it printed.
 * @throws {Error} with the error that it printed, when it fails
 */
export async function run(command: readonly string[]): Promise<string> {
  const [program, ...args] = command;
  const { success, stdout, stderr } = await new Deno.Command(program!, {
    args,
    stdin: "null",
    signal: AbortSignal.timeout(MAX_MS),
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes).trim();
  if (!success) {
    const lines = text(stderr).split("\n");
    throw new Error(
      `Cannot run ${program}: ${lines.find((line) => /error/i.test(line)) ?? (lines.at(-1) || "it failed")}`,
    );
  }
  return text(stdout);
}

/** A running peer. It prints its port first, then a line of counts for each closed connection. */
export class PeerProcess implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #output: AsyncIterator<string>;
  #port = 0;

  private constructor(command: readonly string[]) {
    const [program, ...args] = command;
    this.#child = new Deno.Command(program!, {
      args,
      stdin: "null",
      stdout: "piped",
      stderr: "inherit",
      signal: AbortSignal.timeout(MAX_MS),
    }).spawn();
    this.#output = linesOf(this.#child.stdout);
  }

  /** Starts a peer, and waits until it listens. */
  static async start(command: readonly string[]): Promise<PeerProcess> {
    const peer = new PeerProcess(command);
    try {
      peer.#port = Number(/(\d+)\/?$/.exec(await peer.nextLine())?.[1]);
    } catch (error) {
      await peer[Symbol.asyncDispose]();
      throw error;
    }
    return peer;
  }

  get pid(): number {
    return this.#child.pid;
  }

  get port(): number {
    return this.#port;
  }

  /** The next line that it prints. */
  async nextLine(): Promise<string> {
    const { value, done } = await this.#output.next();
    if (done) throw new Error("Cannot read from the peer: it exited");
    return value.trim();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // already exited
    }
    await this.#child.status;
    while (!(await this.#output.next()).done);
  }
}

async function* linesOf(output: ReadableStream<Uint8Array<ArrayBuffer>>): AsyncGenerator<string> {
  let rest = "";
  for await (const text of output.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop()!;
    yield* lines;
  }
}
