/**
 * The peers, and the commands that start them. A peer is a program that takes a mode, prints its port, and for each
 * closed connection a line of counts (`<frames> <bytes>`, or `- <all bytes>` if it does not split):
 *
 * - `lines <crlf|lf>`, `prefixed`: counts lines, or frames behind a length of four bytes
 * - `echo`: echoes each line
 * - `http <keep|close>`: the greeter
 * - `memory <crlf|lf> <file> <times> <piece> <seconds>`: counts the lines of the file, repeated and followed by a
 *   separator, over and over in memory, in pieces of `<piece>` bytes; prints the counts and the seconds, and exits
 * - `classes <count> <which> <seconds>`: warms up `<count>` chat classes in memory, measures one (the first is 0),
 *   prints its frames a second, and exits
 */

import { run } from "./processes.ts";

/** A kind of work; `many` is `echo` on very many connections, `grow` is `memory` with very long lines. */
export type Job = "lines" | "prefixed" | "echo" | "many" | "http" | "memory" | "grow" | "classes";

export interface Peer {
  readonly name: string;
  readonly tool: ToolName;
  /** Arguments before the mode. */
  readonly args: readonly string[];
  readonly jobs: readonly Job[];
}

/** A program that peers run on. */
interface Tool {
  /** Returns its command. Throws when it is missing. */
  prepare(buildDir: string): Promise<readonly string[]>;
  version(command: readonly string[]): Promise<string> | string;
}

const here = (path: string) => new URL(path, import.meta.url).pathname;

const TOOLS = {
  load: {
    prepare: async (dir) => {
      await run(["gcc", "-O2", "-o", `${dir}/load`, here("load.c")]);
      return [`${dir}/load`];
    },
    version: async () => (await run(["gcc", "--version"])).split("\n")[0]!,
  },
  deno: {
    prepare: () => Promise.resolve([Deno.execPath(), "run", "--quiet", "--allow-net=127.0.0.1", "--allow-read"]),
    version: () => `Deno ${Deno.version.deno}, V8 ${Deno.version.v8}`,
  },
  python: {
    // The interpreter itself, not a wrapper; one that still has asynchat.
    prepare: async () => [
      await run(["python3", "-W", "ignore", "-c", "import asynchat, sys; print(sys.executable)"]),
      "-W",
      "ignore",
    ],
    version: ([python]) => run([python!, "--version"]),
  },
  node: {
    prepare: async () => [await run(["node", "-p", "process.execPath"])],
    version: async ([node]) => `Node ${await run([node!, "--version"])}`,
  },
  go: {
    prepare: async (dir) => {
      await run(["go", "build", "-o", `${dir}/go_peer`, here("peers/go_peer.go")]);
      return [`${dir}/go_peer`];
    },
    version: () => run(["go", "version"]),
  },
  libevent: {
    prepare: async (dir) => {
      await run(["gcc", "-O2", "-o", `${dir}/libevent_peer`, here("peers/libevent_peer.c"), "-levent"]);
      return [`${dir}/libevent_peer`];
    },
    version: async ([peer]) => `libevent ${await run([peer!, "version"])}`,
  },
  wrk: {
    prepare: async () => [await run(["which", "wrk"])],
    version: async () => (await run(["sh", "-c", "wrk --version || true"])).split("\n")[0]!,
  },
} satisfies Record<string, Tool>;

export type ToolName = keyof typeof TOOLS;

const deno = (name: string, file: string, args: string[], ...jobs: Job[]): Peer => ({
  name,
  tool: "deno",
  args: [here(file), ...args],
  jobs,
});
const other = (name: string, tool: ToolName, args: string[], ...jobs: Job[]): Peer => ({ name, tool, args, jobs });
const python = here("peers/asynchat_peer.py");
const node = here("peers/node_peer.mjs");

/** Our variants; ratios use the first. */
export const OURS: readonly Peer[] = [
  deno("collectIncomingData", "us.ts", ["collect"], "lines", "prefixed", "memory", "grow"),
  deno("collectIncomingRange", "us.ts", ["range"], "lines", "prefixed", "memory", "grow", "classes"),
  deno("takeText", "us.ts", ["takeText"], "lines", "echo", "many", "memory", "grow", "classes"),
  deno("takeData", "us.ts", ["takeData"], "lines", "prefixed", "echo", "memory", "grow"),
  deno("greeter", "us.ts", ["greeter"], "http"),
];

/**
 * The others. Those without `grow` scan a long frame again with each piece (libevent, Go) or copy it (Node): 64 MiB
 * would take minutes.
 */
export const OTHERS: readonly Peer[] = [
  other("asynchat", "python", [python], "lines", "prefixed", "echo", "many", "http", "memory", "grow"),
  other("asyncio", "python", [here("peers/asyncio_peer.py")], "lines", "prefixed", "echo"),
  other("node:net indexOf", "node", [node, "indexOf"], "lines", "prefixed", "echo", "many", "memory"),
  other("node:net readline", "node", [node, "readline"], "lines", "echo"),
  other("node:http", "node", [node, "indexOf"], "http"),
  deno("TextLineStream", "peers/std_peer.ts", ["TextLineStream"], "lines", "memory", "grow"),
  deno("DelimiterStream", "peers/std_peer.ts", ["DelimiterStream"], "lines", "memory", "grow"),
  deno("Deno.serve", "peers/serve_peer.ts", [], "http"),
  other("libevent", "libevent", [], "lines", "prefixed", "echo", "memory"),
  other("Go", "go", [], "lines", "prefixed", "echo", "many", "http", "memory"),
  deno("bare read loop", "peers/bare_peer.ts", [], "lines", "prefixed", "echo", "many", "http"),
  other("nothing (load alone)", "load", ["sink"], "lines", "prefixed"),
];

/** The tools that were found. */
export interface Found {
  readonly commands: Partial<Record<ToolName, readonly string[]>>;
  readonly versions: Partial<Record<ToolName, string>>;
  /** Why a tool is missing. */
  readonly missing: Partial<Record<ToolName, string>>;
}

/** Finds the tools, and builds those that need it. */
export async function findTools(
  buildDir: string,
  names = Object.keys(TOOLS) as readonly ToolName[],
): Promise<Found> {
  const found: Required<Found> = { commands: {}, versions: {}, missing: {} };
  for (const name of names) {
    const tool: Tool = TOOLS[name];
    try {
      const command = await tool.prepare(buildDir);
      found.versions[name] = await tool.version(command);
      found.commands[name] = command;
    } catch (error) {
      found.missing[name] = (error as Error).message;
    }
  }
  return found;
}
