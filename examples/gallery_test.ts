// Runs each transcript of examples/README.md and compares the output.

import { assertEquals } from "@std/assert";
import { canRun, hasNet } from "../tests/permissions.ts";
import { deno, Lines, until } from "../tests/processes.ts";

const TOP = new URL("..", import.meta.url);
const HERE = new URL("README.md", import.meta.url);

/** A command of the page, and its output. */
interface Entry {
  command: string;
  output: string;
}

/** Returns the sections of the page: their titles and transcripts. */
function sectionsOf(page: string): { title: string; transcripts: Entry[][] }[] {
  return page.split(/^## /m).slice(1).map((section) => {
    const transcripts = [...section.matchAll(/```console\n(.*?)```/gs)].map(([, transcript]) =>
      transcript!.split(/^\$ /m).slice(1).map((part) => {
        const end = part.indexOf("\n");
        return { command: part.slice(0, end), output: part.slice(end + 1) };
      })
    );
    return { title: section.split(":")[0]!, transcripts };
  });
}

/** Runs a command in `folder` with a shell and this Deno. Returns its output. */
async function shell(command: string, folder: string): Promise<string> {
  const program = command.replaceAll("examples/", `${TOP.pathname}examples/`).replaceAll(
    "deno run",
    `'${deno}' run --quiet`,
  );
  const { stdout } = await new Deno.Command("sh", { args: ["-c", program], cwd: folder, stderr: "null" }).output();
  return new TextDecoder().decode(stdout).replaceAll("\r", "");
}

const granted = hasNet && canRun("sh", "python3", "nc", "openssl", "redis-cli", "swaks");
const page = granted ? await Deno.readTextFile(HERE) : "";

Deno.test({ name: "examples/README.md has a section for each example", ignore: !granted }, async () => {
  const titles = sectionsOf(page).map(({ title }) => title);
  const files = (await Array.fromAsync(Deno.readDir(new URL(".", import.meta.url)))).map(({ name }) => name)
    .filter((name) => /^(?!command_line).*(?<!_test)\.ts$/.test(name));
  assertEquals(titles.filter((title) => title.endsWith(".ts") && !title.startsWith("..")).sort(), files.sort());
});

for (const { title, transcripts } of sectionsOf(page)) {
  for (const [i, commands] of transcripts.entries()) {
    Deno.test(`examples/README.md, ${title}: transcript ${i + 1} matches`, async () => {
      const folder = await Deno.makeTempDir();
      try {
        await runTranscript(commands, folder);
      } finally {
        await Deno.remove(folder, { recursive: true });
      }
    });
  }
}

/** Runs a transcript in `folder`. Its first command that starts a server runs until the later ones are done. */
async function runTranscript(commands: Entry[], folder: string): Promise<void> {
  const at = commands.findIndex(({ command }) => /^(deno run .* --port [0-9]+|python3 .*:[0-9]+$)/.test(command));
  const run = async ({ command, output }: Entry, here: string) =>
    assertEquals(await shell(here, folder), output, command);
  for (const each of commands.slice(0, Math.max(at, 0))) await run(each, each.command);
  await using server = at < 0 ? null : await Served.start(commands[at]!.command, folder);
  for (const each of commands.slice(at + 1)) await run(each, server?.at(each.command) ?? each.command);
  if (server?.isOurs) assertEquals(await server.end(), 0);
}

/** A server of the page, on a free port. */
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
    await until("the server accepts connections", () => acceptsConnections(Number(real)));
    return new Served(child, isOurs, [written, real]);
  }

  private constructor(child: Deno.ChildProcess, isOurs: boolean, ports: [string, string]) {
    this.#child = child;
    this.isOurs = isOurs;
    this.#ports = ports;
  }

  /** Replaces the port on the page by the real port in a command. */
  at(command: string): string {
    return command.replaceAll(...this.#ports);
  }

  /** Stops the server. Returns its exit code. */
  async end(): Promise<number> {
    this.#child.kill("SIGTERM");
    return (await this.#child.status).code;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end().catch(() => {});
  }
}

/** Returns the port that the server prints. */
async function portOf(child: Deno.ChildProcess): Promise<string> {
  await using lines = new Lines(child.stdout);
  return /:([0-9]+)\/?$/.exec(await lines.next() ?? "")![1]!;
}

/** Returns a free port, for a server that cannot choose one itself. */
function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

async function acceptsConnections(port: number): Promise<boolean> {
  try {
    (await Deno.connect({ hostname: "127.0.0.1", port })).close();
    return true;
  } catch {
    return false;
  }
}
