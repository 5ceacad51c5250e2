import { assert, assertEquals } from "@std/assert";
import { makeCertificate } from "../tests/certificates.ts";
import { canRun, hasCertificates, hasNet } from "../tests/permissions.ts";
import { deno, Lines } from "../tests/processes.ts";

/** More than the files that the process may open. */
const CONNECTIONS = 100;

Deno.test({
  name: "serve() over TLS out of files survives timeouts of handshakes, and limits what it prints",
  ignore: !hasNet || !hasCertificates || !canRun(deno, "sh"),
  async fn() {
    using certificate = makeCertificate();
    const { cert, key } = certificate;
    const program = new URL("../tests/reliability/served_tls.ts", import.meta.url).href;
    const run = [deno, "run", "--quiet", "--no-prompt", "--allow-net=127.0.0.1", program];
    const child = new Deno.Command("sh", {
      args: ["-c", 'ulimit -n 64 && exec "$@"', "sh", ...run, JSON.stringify({ cert, key, handshakeTimeoutMs: 500 })],
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    await using out = new Lines(child.stdout);
    await using errors = new Lines(child.stderr);
    const where = { hostname: "127.0.0.1", port: await out.nextPort() };

    const silent = await Promise.all(Array.from({ length: CONNECTIONS }, () => Deno.connect(where)));
    const seen = { outOfFiles: 0, timeouts: 0, omitted: 0 };
    while (seen.omitted === 0) {
      const line = await errors.next();
      assert(line !== null, `the process ended after ${JSON.stringify(seen)}`);
      if (line.includes("Too many open files")) seen.outOfFiles++;
      if (line.includes("HandshakeTimeoutError:")) seen.timeouts++;
      seen.omitted += Number(/\(([0-9]+) more errors were not printed\)$/.exec(line)?.[1] ?? 0);
    }
    assert(seen.outOfFiles > 0, "the process did not run out of files");
    assert(seen.timeouts > 0, "no handshake has timed out");
    for (const conn of silent) conn.close();

    const client = await Deno.connectTls({ ...where, caCerts: [cert] });
    await client.write(new TextEncoder().encode("hello\n"));
    const answer = new Uint8Array(100);
    assertEquals(new TextDecoder().decode(answer.subarray(0, await client.read(answer) ?? 0)), "hello\n");
    client.close();
    child.kill("SIGTERM");
    while (await errors.next() !== null);
    assertEquals((await child.status).code, 0);
  },
});
