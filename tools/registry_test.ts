// Publishes the package to a stand-in for JSR, and imports it from there in an empty project.

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { canRun, hasNet } from "../tests/permissions.ts";
import { deno, Lines } from "../tests/processes.ts";

const TOP = new URL("..", import.meta.url).pathname;

/** The part of JSR that `deno publish` and imports use, on a free port. Stores the package in a folder. */
class Registry implements AsyncDisposable {
  readonly url: string;
  readonly #folder: string;
  readonly #server: Deno.HttpServer<Deno.NetAddr>;

  constructor(folder: string) {
    this.#folder = folder;
    this.#server = Deno.serve({ port: 0, hostname: "127.0.0.1", onListen() {} }, (request) => this.#answer(request));
    this.url = `http://127.0.0.1:${this.#server.addr.port}/`;
  }

  async #answer(request: Request): Promise<Response> {
    const { pathname } = new URL(request.url);
    if (request.method === "POST") {
      const archive = `${this.#folder}/package.tgz`;
      await Deno.writeFile(archive, new Uint8Array(await request.arrayBuffer()));
      await Deno.mkdir(`${this.#folder}/files`);
      await new Deno.Command("sh", { args: ["-c", "tar xzf package.tgz -C files"], cwd: this.#folder }).output();
      return Response.json({ id: "1", status: "success", error: null });
    }
    if (pathname.includes("/versions/")) {
      return Response.json({ code: "packageVersionNotFound", message: "not published yet" }, { status: 404 });
    }
    if (pathname.startsWith("/api/")) return Response.json({});
    const [, name, path = ""] = /^\/(@asynchat\/asynchat|@std\/bytes)\/(.*)$/.exec(pathname) ?? [];
    if (name === undefined) return new Response(null, { status: 404 });
    const folder = name === "@std/bytes" ? `${TOP}offline/bytes` : `${this.#folder}/files`; // a dependency of the tests
    const { version, exports } = JSON.parse(await Deno.readTextFile(`${folder}/deno.json`));
    if (path === "meta.json") return Response.json({ latest: version, versions: { [version]: {} } });
    if (path === `${version}_meta.json`) return Response.json({ exports, manifest: await this.#manifest(folder) });
    try {
      return new Response(await Deno.readFile(`${folder}/${path.replace(`${version}/`, "")}`));
    } catch {
      return new Response(null, { status: 404 });
    }
  }

  /** Returns the paths of all files in the package. */
  async files(folder = `${this.#folder}/files`): Promise<string[]> {
    const files: string[] = [];
    for await (const { name, isDirectory } of Deno.readDir(folder)) {
      if (!isDirectory) files.push(name);
      else files.push(...(await this.files(`${folder}/${name}`)).map((file) => `${name}/${file}`));
    }
    return files.sort();
  }

  async #manifest(folder: string): Promise<Record<string, unknown>> {
    const manifest: Record<string, unknown> = {};
    for (const file of await this.files(folder)) {
      const bytes = await Deno.readFile(`${folder}/${file}`);
      const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
      manifest[`/${file}`] = { size: bytes.length, checksum: `sha256-${digest.toHex()}` };
    }
    return manifest;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
  }
}

const ECHO = `
import { AsyncChat, serve } from "jsr:@asynchat/asynchat";

class Echo extends AsyncChat {
  protected override handleConnect() {
    this.setTerminator("\\r\\n");
  }
  protected override foundTerminator() {
    this.push(this.takeText().toUpperCase() + "\\r\\n");
  }
}
serve({ port: 0, hostname: "127.0.0.1", onListen: (addr) => console.log((addr as Deno.NetAddr).port) }, (conn) => new Echo(conn));
`;

Deno.test({
  name: "the published package has only its own files; it can be imported, checked and run",
  ignore: !hasNet || !canRun("sh", deno),
  async fn() {
    const folder = await Deno.makeTempDir();
    try {
      await using registry = new Registry(folder);
      const env = { JSR_URL: registry.url, DENO_DIR: `${folder}/cache`, NO_COLOR: "1" };
      const publish = ["publish", "--token", "none", "--allow-dirty", "--no-check", "--quiet"];
      const published = await new Deno.Command(deno, { args: publish, cwd: TOP, env }).output();
      assert(published.success, new TextDecoder().decode(published.stderr));
      const strays = (await registry.files()).filter((file) => /_test\.|^(tests|bench|tools|\.ci)\//.test(file));
      assertEquals(strays, []);

      await Deno.mkdir(`${folder}/project`);
      await Deno.writeTextFile(`${folder}/project/echo.ts`, ECHO);
      const checked = await new Deno.Command(deno, { args: ["check", "echo.ts"], cwd: `${folder}/project`, env })
        .output();
      assert(checked.success, new TextDecoder().decode(checked.stderr));
      const run = ["run", "--quiet", "--allow-net=127.0.0.1", "echo.ts"];
      const echo = new Deno.Command(deno, { args: run, cwd: `${folder}/project`, env, stdout: "piped", stderr: "null" })
        .spawn();
      await using lines = new Lines(echo.stdout);
      const port = Number(await lines.next());
      const conn = await Deno.connect({ hostname: "127.0.0.1", port });
      await conn.write(new TextEncoder().encode("from the registry\r\n"));
      await using replies = new Lines(conn.readable);
      assertEquals((await replies.next())?.trimEnd(), "FROM THE REGISTRY");
      const help = ["run", "--quiet", "jsr:@asynchat/asynchat/server", "--help"];
      const { stdout } = await new Deno.Command(deno, { args: help, cwd: `${folder}/project`, env }).output();
      assertStringIncludes(new TextDecoder().decode(stdout), "Hello kongxx!");
      echo.kill();
      await echo.status;

      // The greeter's workers load their program from the registry too.
      const flags = ["--unstable-net", "--allow-net=127.0.0.1", `--allow-import=${new URL(registry.url).host}`];
      const greet = ["jsr:@asynchat/asynchat/server", "--workers", "2", "--hostname", "127.0.0.1", "--port", "0"];
      const greeter = new Deno.Command(deno, {
        args: ["run", "--quiet", ...flags, ...greet],
        cwd: `${folder}/project`,
        env,
        stdout: "piped",
      }).spawn();
      await using output = new Lines(greeter.stdout);
      const page = await fetch(`${/http:\S+/.exec((await output.next())!)![0]}kongxx`);
      assertStringIncludes(await page.text(), "Hello kongxx!");
      greeter.kill();
      assertEquals((await greeter.status).code, 0);

      // The shell block of README.md's Getting started, without its last command, which serves forever.
      const block = /```sh\n(mkdir .*?)deno run --allow-net main.ts\n```/s.exec(
        await Deno.readTextFile(`${TOP}README.md`),
      )![1]!;
      const script = `set -e\ndeno() { '${deno}' "$@"; }\n${block}deno check main.ts\n`;
      const started = await new Deno.Command("sh", { args: ["-c", script], cwd: folder, env }).output();
      const log = new TextDecoder().decode(started.stdout) + new TextDecoder().decode(started.stderr);
      assert(started.success, log);
      assertStringIncludes(log, "1 passed");
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
});
