import { assert, assertEquals } from "@std/assert";
import { canRun, hasNet } from "../permissions.ts";
import { deno, Lines } from "../processes.ts";
import { answersIn, connect, hear, latin1, send } from "./wire.ts";

/** Those that ask one thing at a time, and those that ask all at once, and so have answers in the server's queue. */
const CLIENTS = 195;
const GREEDY = 5;
/** With an answer five times as long: more than the kernel takes, 25 MB. */
const LONG_REQUEST = `GET /${"&".repeat(1_000)} HTTP/1.1\r\nHost: localhost\r\n\r\n`;
const REQUESTS = 5_000;

/**
 * How it ends for a client. The second cannot be told from a request that was lost on its way, and every HTTP client that keeps
 * connections has to reckon with it: the server ended its side while the request was coming (RFC 9112, 9.3.1 and 9.6).
 */
type End = "between requests" | "instead of an answer" | "within an answer" | "reset";

interface Client {
  answered: number;
  /** Fulfills when it has been answered ten times, or will never be. */
  busy: Promise<void>;
  end: Promise<End>;
}

/** Asks, waits for the answer, thinks, and asks again, until the server ends the connection. */
async function keepAsking(port: number, name: string, thinkMs: number): Promise<Client> {
  const conn = await connect(port);
  const request = `GET /${name} HTTP/1.1\r\nHost: localhost\r\n\r\n`;
  const page = `Hello ${name}! \r\n</body>\r\n</html>\r\n`;
  const buffer = new Uint8Array(4096);
  const busy = Promise.withResolvers<void>();
  const client: Client = { answered: 0, busy: busy.promise, end: Promise.resolve("reset") };
  const listen = async (): Promise<End> => {
    let text = "";
    let asked = true;
    let sending = send(conn, request);
    let thinking: ReturnType<typeof setTimeout> | undefined;
    try {
      for (let count; (count = await conn.read(buffer)) !== null;) {
        text += latin1(buffer.subarray(0, count));
        if (!text.endsWith(page)) continue;
        assert(text.startsWith("HTTP/1.1 200 OK\r\n"), text);
        if (++client.answered === 10) busy.resolve();
        text = "";
        asked = false;
        thinking = setTimeout(() => {
          asked = true;
          sending = send(conn, request);
        }, thinkMs);
      }
      return text !== "" ? "within an answer" : asked ? "instead of an answer" : "between requests";
    } catch {
      return "reset";
    } finally {
      busy.resolve();
      clearTimeout(thinking);
      await sending;
      conn.close();
    }
  };
  client.end = listen();
  return client;
}

/** Asks all at once, and hears nothing until it is told to: how many answers came then, to the end. */
async function askAtOnce(port: number): Promise<() => Promise<number>> {
  const conn = await connect(port);
  const sending = send(conn, LONG_REQUEST.repeat(REQUESTS));
  return async () => {
    const { text, end } = await hear(conn);
    assertEquals(end, "end");
    await sending;
    conn.close();
    return answersIn(text).filter(({ status }) => status === 200).length;
  };
}

Deno.test({
  name: "server.ts is told to stop under 200 busy clients: each request that it has read is answered, none is reset",
  ignore: !hasNet || !canRun(deno),
  async fn() {
    const program = new URL("../../server.ts", import.meta.url).href;
    const flags = ["--port", "0", "--hostname", "127.0.0.1", "--verbose"];
    const args = ["run", "--quiet", "--no-prompt", "--allow-net=127.0.0.1", program, ...flags];
    const child = new Deno.Command(deno, { args, stdin: "null", stdout: "piped", stderr: "inherit" }).spawn();
    await using out = new Lines(child.stdout);
    const port = Number(/([0-9]+)\/$/.exec(await out.next() ?? "")![1]);
    let lines = 0;
    let last = "";
    const reading = (async () => {
      for (let line; (line = await out.next()) !== null; last = line) lines++;
    })();

    const greedy = await Promise.all(Array.from({ length: GREEDY }, () => askAtOnce(port)));
    // Half of them never pause, half do: so the end comes to some in the middle of a request, to some between two.
    const clients = await Promise.all(
      Array.from({ length: CLIENTS }, (_, i) => keepAsking(port, `client${i}`, i % 2 === 0 ? 0 : 50)),
    );
    await Promise.all(clients.map(({ busy }) => busy));
    const told = performance.now();
    child.kill("SIGTERM");
    const heard = await Promise.all(greedy.map((hearAll) => hearAll()));
    const ends = await Promise.all(clients.map(({ end }) => end));
    const { code } = await child.status;
    const tookMs = performance.now() - told;
    await reading;

    assertEquals(code, 0);
    assert(tookMs < 10_000, `it took ${tookMs} ms: longer than a drain may`);
    assert(heard.every((count) => count > 0 && count < REQUESTS), `${heard}: they had nothing in the queue`);
    assertEquals(ends.filter((end) => end === "reset" || end === "within an answer"), []);
    assert(ends.includes("between requests"));
    // The server's own count of the heads that it has read to their end is that of the answers that have arrived.
    const read = Number(/: ([0-9]+) frames, /.exec(last)![1]);
    const answered = [...heard, ...clients.map((client) => client.answered)].reduce((sum, count) => sum + count);
    assertEquals([read, lines - 1], [answered, answered]);
    assert(last.endsWith(`; ended: ${CLIENTS + GREEDY} done`), last);
  },
});
