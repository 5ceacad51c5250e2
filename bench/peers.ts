/** The programs that are compared, and how each is started, watched and ended. */

const HERE = new URL(".", import.meta.url).pathname;
const DENO = ["deno", "run", "--quiet", "--allow-net=127.0.0.1", "--config", `${HERE}../deno.json`];

/** Who they are in the tables. Those of "us" differ in how a frame is looked at. */
export const PEERS: Record<string, (what: string[], built: string) => string[]> = {
  "us, range": (what) => [...DENO, `${HERE}peers/us_peer.ts`, ...what],
  "us, view": (what) => [...DENO, `${HERE}peers/us_peer.ts`, ...what],
  "us, data": (what) => [...DENO, `${HERE}peers/us_peer.ts`, ...what],
  "us, text": (what) => [...DENO, `${HERE}peers/us_peer.ts`, ...what],
  "us": (what) => [...DENO, `${HERE}peers/us_peer.ts`, ...what],
  "bare Deno loop": (what) => [...DENO, `${HERE}peers/deno_peer.ts`, ...what],
  "Deno.serve": (what) => [...DENO, `${HERE}peers/deno_peer.ts`, ...what],
  "std DelimiterStream": (what) => [...DENO, `${HERE}peers/deno_peer.ts`, ...what],
  "std TextLineStream": (what) => [...DENO, `${HERE}peers/deno_peer.ts`, ...what],
  "asynchat": (what) => ["python3", "-W", "ignore", `${HERE}peers/asynchat_peer.py`, ...what],
  "asyncio streams": (what) => ["python3", `${HERE}peers/asyncio_peer.py`, ...what],
  "node:net, indexOf": (what) => ["node", `${HERE}peers/node_peer.mjs`, ...what],
  "node:net, readline": (what) => ["node", `${HERE}peers/node_peer.mjs`, ...what],
  "node:net": (what) => ["node", `${HERE}peers/node_peer.mjs`, ...what],
  "node:http": (what) => ["node", `${HERE}peers/node_peer.mjs`, ...what],
  "Go": (what, built) => [`${built}/go_peer`, ...what],
  "libevent": (what, built) => [`${built}/libevent_peer`, ...what],
};

/** What a peer's commands need, and how they are built. */
export async function build(built: string): Promise<void> {
  await run("gcc", ["-O2", "-o", `${built}/load`, `${HERE}load.c`]);
  await run("go", ["build", "-o", `${built}/go_peer`, `${HERE}peers/go_peer.go`]).catch(missing("Go"));
  const libevent = ["-O2", "-o", `${built}/libevent_peer`, `${HERE}peers/libevent_peer.c`, "-levent"];
  await run("gcc", libevent).catch(missing("libevent"));
}

/** Those that could not be found or built, and why. */
export const absent = new Map<string, string>();

function missing(peer: string) {
  return (error: unknown) => void absent.set(peer, (error as Error).message.split("\n")[0]!);
}

/** Runs a program to its end and gives what it printed. */
export async function run(command: string, args: string[], input?: Uint8Array): Promise<string> {
  const child = new Deno.Command(command, {
    args,
    stdin: input === undefined ? "null" : "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  if (input !== undefined) {
    const writer = child.stdin.getWriter();
    await writer.write(input as Uint8Array<ArrayBuffer>);
    await writer.close();
  }
  const { success, stdout, stderr } = await child.output();
  if (!success) throw new Error(`${command} failed: ${new TextDecoder().decode(stderr)}`);
  return new TextDecoder().decode(stdout);
}

/** A peer that is running. */
export class Peer implements AsyncDisposable {
  readonly name: string;
  readonly port: number;
  readonly #child: Deno.ChildProcess;

  /** Starts one; `null` when it is not to be had here, which `absent` tells. */
  static async start(name: string, what: string[], built: string): Promise<Peer | null> {
    if (absent.has(name)) return null;
    const [command, ...args] = PEERS[name]!(what, built) as [string, ...string[]];
    try {
      const child = new Deno.Command(command, { args, stdin: "null", stdout: "piped", stderr: "inherit" }).spawn();
      const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
      let line = "";
      while (!line.endsWith("\n")) {
        const { value, done } = await reader.read();
        if (done) throw new Error(`it printed ${JSON.stringify(line)} and no port`);
        line += value;
      }
      reader.cancel();
      return new Peer(name, child, Number(line));
    } catch (error) {
      missing(name)(error);
      return null;
    }
  }

  private constructor(name: string, child: Deno.ChildProcess, port: number) {
    this.name = name;
    this.#child = child;
    this.port = port;
  }

  /** Processor time so far, in seconds, of all its threads. */
  cpuSeconds(): number {
    const fields = Deno.readTextFileSync(`/proc/${this.#child.pid}/stat`).split(") ")[1]!.split(" ");
    return (Number(fields[11]) + Number(fields[12])) / 100; // USER_HZ
  }

  /** Resident memory in bytes. */
  residentBytes(): number {
    return 1024 * Number(/VmRSS:\s+([0-9]+)/.exec(Deno.readTextFileSync(`/proc/${this.#child.pid}/status`))![1]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // it has ended by itself, and what asked it has said so
    }
    await this.#child.status;
  }
}
