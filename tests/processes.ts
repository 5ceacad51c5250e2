/** Starts programs for tests, reads their output, and stops them. */

/** The Deno that runs the tests. */
export const deno = Deno.execPath();

/** A command that runs a program with this Deno; all output is piped unless `options` say otherwise. */
export function denoRun(
  program: URL | string,
  permissions: readonly string[],
  args: readonly string[] = [],
  options: Omit<Deno.CommandOptions, "args"> = {},
): Deno.Command {
  return new Deno.Command(deno, {
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    ...options,
    args: ["run", "--quiet", "--no-prompt", ...permissions, String(program), ...args],
  });
}

/** The exit code and output of a program. */
export interface Finished {
  code: number;
  out: string;
  error: string;
}

/** Runs a command to its end. */
export async function finish(command: Deno.Command): Promise<Finished> {
  const { code, stdout, stderr } = await command.output();
  return { code, out: new TextDecoder().decode(stdout), error: new TextDecoder().decode(stderr) };
}

/** How long `until` polls: more than any condition needs on any machine. */
const MAX_WAIT_MS = 60_000;

/** Polls another process until `condition` holds. Throws after 60 s. */
export async function until(what: string, condition: () => Promise<boolean>): Promise<void> {
  const began = performance.now();
  while (!await condition()) {
    if (performance.now() - began > MAX_WAIT_MS) throw new Error(`Timed out after ${MAX_WAIT_MS} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Reads the output of a program line by line. */
export class Lines implements AsyncDisposable {
  readonly #reader: ReadableStreamDefaultReader<string>;
  #rest = "";

  constructor(stream: ReadableStream<Uint8Array<ArrayBuffer>>) {
    this.#reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  }

  /** The next line, or `null` at the end. */
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

  /** The port at the end of the next line, with or without a "/" behind it. */
  async nextPort(): Promise<number> {
    const line = await this.next();
    const port = Number(/([0-9]+)\/?$/.exec(line ?? "")?.[1]);
    if (!(port > 0)) throw new Error(`Cannot read the port: the program printed ${JSON.stringify(line)}`);
    return port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#reader.cancel();
  }
}

/** Runs a program that prints its port while `use` runs, then stops it with SIGTERM. Throws unless it exits with 0. */
export async function whileServing(
  program: URL,
  permissions: string[],
  use: (port: number) => Promise<void>,
  cwd = ".",
): Promise<void> {
  const child = denoRun(program, permissions, ["--port", "0"], { cwd, stderr: "inherit" }).spawn();
  try {
    await using lines = new Lines(child.stdout);
    await use(await lines.nextPort());
  } catch (error) {
    child.kill("SIGKILL");
    await child.status;
    throw error;
  }
  child.kill("SIGTERM");
  const { code } = await child.status;
  if (code !== 0) throw new Error(`${program.pathname} failed: got exit code ${code}, expected 0`);
}
