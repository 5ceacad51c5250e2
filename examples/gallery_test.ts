// Runs each transcript of examples/README.md: what is written there is what happens.

import { assertEquals } from "@std/assert";
import { canRun, deno, Lines, until } from "../reliability/processes.ts";

const TOP = new URL("..", import.meta.url);
const HERE = new URL("README.md", import.meta.url);

/** A section of the page: its heading, and its transcript as commands, each with what it prints. */
interface Section {
  title: string;
  commands: { command: string; prints: string }[];
}

function sectionsOf(page: string): Section[] {
  return page.split(/^## /m).slice(1).map((section) => {
    const transcript = /```console\n(.*?)```/s.exec(section)![1]!;
    const commands = transcript.split(/^\$ /m).slice(1).map((part) => {
      const end = part.indexOf("\n");
      return { command: part.slice(0, end), prints: part.slice(end + 1) };
    });
    return { title: section.split(":")[0]!, commands };
  });
}

/** Runs a command in `folder` with a shell that knows this Deno; what it printed. */
async function shell(command: string, folder: string): Promise<string> {
  const program = command.replaceAll("examples/", `${TOP.pathname}examples/`).replaceAll(
    "deno run",
    `'${deno}' run --quiet`,
  );
  const { stdout } = await new Deno.Command("sh", { args: ["-c", program], cwd: folder, stderr: "null" }).output();
  return new TextDecoder().decode(stdout).replaceAll("\r", "");
}

const granted = await canRun("sh", "python3", "nc", "redis-cli", "swaks");
const page = granted ? await Deno.readTextFile(HERE) : "";

Deno.test({ name: "examples/README.md has a section for each example", ignore: !granted }, async () => {
  const titles = sectionsOf(page).map(({ title }) => title);
  const files = (await Array.fromAsync(Deno.readDir(new URL(".", import.meta.url)))).map(({ name }) => name)
    .filter((name) => /^(?!command_line).*(?<!_test)\.ts$/.test(name));
  assertEquals(titles.filter((title) => title.endsWith(".ts") && !title.startsWith("..")).sort(), files.sort());
});

for (const { title, commands } of sectionsOf(page)) {
  Deno.test(`examples/README.md tells what ${title} does`, async () => {
    const folder = await Deno.makeTempDir();
    try {
      const isServed = /^(deno run .* --port [0-9]+|python3 .*:[0-9]+$)/.test(commands[0]!.command);
      const [served, asked] = isServed ? [commands[0]!, commands.slice(1)] : [null, commands];
      await using server = served === null ? null : await Served.start(served.command, folder);
      for (const { command, prints } of asked) {
        const here = server === null ? command : server.at(command);
        assertEquals(await shell(here, folder), prints, command);
      }
      if (server?.isOurs) assertEquals(await server.end(), 0);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  });
}

/** A server of the page, on a port of its own. */
class Served implements AsyncDisposable {
  readonly isOurs: boolean;
  readonly #child: Deno.ChildProcess;
  readonly #ports: [written: string, real: string];

  static async start(command: string, folder: string): Promise<Served> {
    const isOurs = command.startsWith("deno run");
    const written = /(?:--port |:)([0-9]+)/.exec(command)![1]!;
    const asked = isOurs ? "0" : `${freePort()}`;
    const words = command.replace(written, asked).replace(/(examples\/|server\.ts)/, `${TOP.pathname}$1`).split(" ");
    const child = new Deno.Command(isOurs ? deno : words[0]!, {
      args: words.slice(1),
      cwd: folder,
      stdin: "null",
      stdout: isOurs ? "piped" : "null",
      stderr: "inherit",
    }).spawn();
    const real = isOurs ? await portOf(child) : asked;
    await until("it takes connections", () => takesConnections(Number(real)));
    return new Served(child, isOurs, [written, real]);
  }

  private constructor(child: Deno.ChildProcess, isOurs: boolean, ports: [string, string]) {
    this.#child = child;
    this.isOurs = isOurs;
    this.#ports = ports;
  }

  /** A command with the real port instead of the one on the page. */
  at(command: string): string {
    return command.replaceAll(...this.#ports);
  }

  /** Tells it to end; its exit code. */
  async end(): Promise<number> {
    this.#child.kill("SIGTERM");
    return (await this.#child.status).code;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end().catch(() => {});
  }
}

/** Where it serves, as it says itself. */
async function portOf(child: Deno.ChildProcess): Promise<string> {
  await using lines = new Lines(child.stdout);
  return /:([0-9]+)\/?$/.exec(await lines.next() ?? "")![1]!;
}

/** A port for a server that cannot choose one and say so. */
function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

async function takesConnections(port: number): Promise<boolean> {
  try {
    (await Deno.connect({ hostname: "127.0.0.1", port })).close();
    return true;
  } catch {
    return false;
  }
}
