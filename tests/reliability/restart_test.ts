import { assert, assertEquals } from "@std/assert";
import { canRun, hasNet } from "../permissions.ts";
import { deno, denoRun, Lines } from "../processes.ts";
import { answersIn, connect, latin1, receive, send } from "./wire.ts";

/** Clients with one request at a time. */
const CLIENTS = 195;
/** Clients that pipeline, and so have answers in the server's queue. */
const GREEDY = 5;
/** Its answer is five times as long, as each "&" is escaped: 25 MB in all, more than the kernel buffers. */
const LONG_REQUEST = `GET /${"&".repeat(1_000)} HTTP/1.1\r\nHost: localhost\r\n\r\n`;
const REQUESTS = 5_000;

/**
 * How a connection ends for a client. "instead of an answer" is legal: the server closed while the request was on its
 * way, which every HTTP client with kept connections must expect (RFC 9112, 9.3.1 and 9.6).
 */
type End = "between requests" | "instead of an answer" | "within an answer" | "reset";

interface Client {
  answered: number;
  /** Fulfills after ten answers, or at the end. */
  busy: Promise<void>;
  end: Promise<End>;
}

/** Sends a request, waits for the answer, thinks from the tenth on, and repeats until the server closes. */
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
        }, client.answered < 10 ? 0 : thinkMs);
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

/** Pipelines all requests. The returned function then reads to EOF, and counts the answers. */
async function pipelineAll(port: number): Promise<() => Promise<number>> {
  const conn = await connect(port);
  const sending = send(conn, LONG_REQUEST.repeat(REQUESTS));
  return async () => {
    const { text, end } = await receive(conn);
    assertEquals(end, "end");
    await sending;
    conn.close();
    return answersIn(text).filter(({ status }) => status === 200).length;
  };
}

Deno.test({
  name: "server.ts drains 200 busy clients on SIGTERM: each request read is answered, none reset",
  ignore: !hasNet || !canRun(deno),
  async fn() {
    const program = new URL("../../server.ts", import.meta.url);
    const flags = ["--port", "0", "--hostname", "127.0.0.1", "--verbose"];
    const child = denoRun(program, ["--allow-net=127.0.0.1"], flags, { stderr: "inherit" }).spawn();
    await using out = new Lines(child.stdout);
    const port = await out.nextPort();
    let lines = 0;
    let dropped = 0; // lines of the log, when this process reads too slowly
    let last = "";
    const reading = (async () => {
      for (let line; (line = await out.next()) !== null; last = line) {
        if (/^[0-9]+ lines of the log were dropped/.test(line)) dropped += parseInt(line);
        else lines++;
      }
    })();

    const greedy = await Promise.all(Array.from({ length: GREEDY }, () => pipelineAll(port)));
    // Half of them think for longer than the signal takes: the end comes between two requests for these.
    const clients = await Promise.all(
      Array.from({ length: CLIENTS }, (_, i) => keepAsking(port, `client${i}`, i % 2 === 0 ? 0 : 5_000)),
    );
    await Promise.all(clients.map(({ busy }) => busy));
    const signaled = performance.now();
    child.kill("SIGTERM");
    const counts = await Promise.all(greedy.map((countAnswers) => countAnswers()));
    const ends = await Promise.all(clients.map(({ end }) => end));
    const { code } = await child.status;
    const tookMs = performance.now() - signaled;
    await reading;

    assertEquals(code, 0);
    assert(tookMs < 10_000, `drain took ${tookMs} ms, limit is 10000 ms`);
    assert(counts.every((count) => count > 0 && count < REQUESTS), `${counts} answers: nothing was in the queue`);
    assertEquals(ends.filter((end) => end === "reset" || end === "within an answer"), []);
    assert(ends.includes("between requests"));
    // The server's count of complete heads equals the number of answers that arrived.
    const read = Number(/: ([0-9]+) frames, /.exec(last)![1]);
    const answered = [...counts, ...clients.map((client) => client.answered)].reduce((sum, count) => sum + count);
    assertEquals({ read, logged: lines - 1 + dropped }, { read: answered, logged: answered });
    assert(last.endsWith(`; ended: ${CLIENTS + GREEDY} done`), last);
  },
});
