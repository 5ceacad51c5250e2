import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { Greeter, type GreeterOptions, serveGreeter } from "../server.ts";
import { everyCut, FakeClock, memoryPair, randomCut, scriptedConn } from "../testing/mod.ts";
import { flushMicrotasks } from "../tests/recorder.ts";

const encoder = new TextEncoder();

/** What a greeter answers to these bytes, to the end of the connection; the client then ends its side. */
async function answerTo(pieces: Iterable<string | Uint8Array>, options?: GreeterOptions): Promise<string> {
  const { conn, written } = scriptedConn(pieces, { capacity: Infinity });
  await new Greeter(conn, options).run();
  return await written;
}

/** The status lines in a run of answers. */
function statusesIn(answers: string): number[] {
  return [...answers.matchAll(/^HTTP\/1\.[01] ([0-9]{3}) /gm)].map(([, status]) => Number(status));
}

const page = (line: string) => `<html>\r\n<body>\r\n${line}\r\n</body>\r\n</html>\r\n`;

Deno.test("Greeter answers with the page of the first greeter, byte for byte", async () => {
  const answer = await answerTo(["GET /kongxx HTTP/1.1\r\nHost: localhost:8888\r\n\r\n"]);
  const [head, body] = answer.split("\r\n\r\n") as [string, string];
  assertEquals(body, "<html>\r\n<body>\r\nHello kongxx! \r\n</body>\r\n</html>\r\n");
  const [status, ...fields] = head.split("\r\n");
  assertEquals(status, "HTTP/1.1 200 OK");
  assertEquals(fields.filter((field) => !field.startsWith("Date: ")), [
    "Content-Type: text/html; charset=utf-8",
    "Content-Length: 50",
    "X-Content-Type-Options: nosniff",
  ]);
  const date = fields.find((field) => field.startsWith("Date: "))!;
  assertMatch(date, /^Date: (Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT$/);
});

Deno.test("Greeter takes the name from the path: decoded, escaped, without the query, world when there is none", async () => {
  const expected = {
    "/": "Hello world! ",
    "/?x": "Hello world! ",
    "/K%C3%B6ln?x=y": "Hello Köln! ",
    "/%3Cscript%3Ealert(1)%3C/script%3E": "Hello &lt;script&gt;alert(1)&lt;/script&gt;! ",
    "/%22'%26": "Hello &quot;&#39;&amp;! ",
    "/a/b": "Hello a/b! ",
    "//": "Hello /! ",
    "http://localhost:8888/proxy": "Hello proxy! ",
  };
  for (const [target, line] of Object.entries(expected)) {
    const answer = await answerTo([`GET ${target} HTTP/1.0\r\n\r\n`]);
    assertEquals(answer.slice(answer.indexOf("\r\n\r\n") + 4), page(line), target);
    assertStringIncludes(answer, `Content-Length: ${encoder.encode(page(line)).length}\r\n`, target);
  }
});

Deno.test("Greeter answers the same however the request is cut", async () => {
  for (const pieces of everyCut(encoder.encode("GET /"))) {
    const answer = await answerTo([...pieces, "x HTTP/1.0\r\n", "\r\n"]);
    assertStringIncludes(answer, "Hello x! ");
  }
  const requests = "GET /a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc\r\nHEAD /b HTTP/1.1\r\nHost: h\r\n\r\n" +
    "GET /c HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /d HTTP/1.1\nHost: h\n\n";
  const whole = withoutDates(await answerTo([requests]));
  assertEquals(statusesIn(whole), [200, 200, 200, 400]);
  for (let seed = 0; seed < 200; seed++) {
    const cut = await answerTo(randomCut(encoder.encode(requests), seed, 12));
    assertEquals(withoutDates(cut), whole, `seed ${seed}`);
  }
});

function withoutDates(answers: string): string {
  return answers.replaceAll(/^Date: .*\r\n/gm, "");
}

Deno.test("Greeter keeps an HTTP/1.1 connection, and an HTTP/1.0 one that asks; pipelined answers are in order", async () => {
  const [conn, peer] = memoryPair();
  const greeter = new Greeter(conn);
  const over = greeter.run();
  await peer.send(Array.from({ length: 20 }, (_, i) => `GET /${i} HTTP/1.1\r\nHost: h\r\n\r\n`).join(""));
  await peer.send(
    "GET /last HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /x HTTP/1.0\r\n\r\nGET /never HTTP/1.0\r\n\r\n",
  );
  const answers = await peer.receiveText(); // the greeter ends its side after the request that does not ask to be kept
  peer.close();
  await over;
  const names = [...answers.matchAll(/Hello (.*)! /g)].map(([, name]) => name);
  assertEquals(names, [...Array.from({ length: 20 }, (_, i) => String(i)), "last", "x"]);
  assertEquals([...answers.matchAll(/^Connection: .*$/gm)].map(([field]) => field.trim()), [
    "Connection: keep-alive",
    "Connection: close",
  ]);
});

Deno.test("Greeter ends an HTTP/1.1 connection when it is asked to", async () => {
  const answers = await answerTo([
    "GET /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\nGET /b HTTP/1.1\r\nHost: h\r\n\r\n",
  ]);
  assertEquals([statusesIn(answers), answers.includes("Connection: close\r\n")], [[200], true]);
});

Deno.test("Greeter answers HEAD as GET, without the page", async () => {
  const get = withoutDates(await answerTo(["GET /x HTTP/1.0\r\n\r\n"]));
  const head = withoutDates(await answerTo(["HEAD /x HTTP/1.0\r\n\r\n"]));
  assertEquals(head, get.slice(0, get.indexOf("\r\n\r\n") + 4));
});

Deno.test("Greeter skips a request's content by count, and asks for it where the client waits to be asked", async () => {
  const answers = await answerTo([
    "GET /a HTTP/1.1\r\nHost: h\r\nContent-Length: 20\r\n\r\n",
    "GET /evil HTTP/1.1\r\n",
    "GET /b HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n",
    "x\r\nGET /c HTTP/1.1\r\nHost: h\r\n\r\n",
  ]);
  assertEquals(statusesIn(answers), [200, 100, 200, 200]);
  assertEquals([...answers.matchAll(/Hello (.)!/g)].map(([, name]) => name), ["a", "b", "c"]);
});

Deno.test("Greeter refuses every fault with its status and a short page, and ends the connection", async () => {
  const long = (length: number) => "x".repeat(length);
  const expected: [string, number][] = [
    ["GET / HTTP/1.1\nHost: h\n\n", 400], //                                  bare LF
    ["GET / HTTP/1.1\r\nHost: h\n\r\n", 400],
    ["nonsense\r\n\r\n", 400], //                                            request line
    ["GET /kongxx\r\n\r\n", 400], //                                         HTTP/0.9
    ["GET / HTTP/1.1\r\n\r\n", 400], //                                      no Host
    ["GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400],
    ["GET /%zz HTTP/1.1\r\nHost: h\r\n\r\n", 400], //                        percent escape
    ["GET / HTTP/1.1\r\nHost : h\r\n\r\n", 400], //                          space before colon
    ["GET / HTTP/1.1\r\nHost: h\r\nContent-Length: +1\r\n\r\n", 400],
    ["GET / HTTP/1.1\r\nHost: h\r\nX: \0\r\n\r\n", 400], //                  control character
    ["\x16\x03\x01", 400], //                                                TLS
    ["POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nabcde", 405],
    ["OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n", 405],
    ["GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 1048577\r\n\r\n", 413],
    [`GET /${long(8_192)} HTTP/1.1\r\nHost: h\r\n\r\n`, 414],
    [`GET /${long(20_000)}`, 414], //                                        and no end of it
    [`GET / HTTP/1.1\r\nHost: h\r\nX: ${long(16_384)}\r\n\r\n`, 431],
    [`GET / HTTP/1.1\r\nHost: h\r\n${"X: y\r\n".repeat(100)}\r\n`, 431],
    ["GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 501],
    ["GET / HTTP/2.0\r\nHost: h\r\n\r\n", 505],
  ];
  for (const [request, status] of expected) {
    const name = JSON.stringify(request.slice(0, 60));
    const answers = await answerTo([`${request}GET /next HTTP/1.1\r\nHost: h\r\n\r\n`]);
    assertEquals(statusesIn(answers), [status], name); // and no answer to what follows
    assertStringIncludes(answers, "\r\nConnection: close\r\n", name);
    assertMatch(answers, new RegExp(`\r\n\r\n<html>\r\n<body>\r\n${status} [^\r]+: [^\r]+\r\n</body>`), name);
    assertEquals(answers.includes("\r\nAllow: GET, HEAD\r\n"), status === 405, name);
  }
});

Deno.test("Greeter refuses a TLS handshake at its first byte, and a request that breaks off at its end", async () => {
  const [conn, peer] = memoryPair();
  const over = new Greeter(conn).run();
  await peer.send("\x16");
  assertEquals(statusesIn(await peer.receiveText()), [400]); // without waiting for anything more
  peer.close();
  await over;
  assertEquals(statusesIn(await answerTo(["GET /kongxx HTTP/1.1\r\n"])), [400]);
});

Deno.test("Greeter says nothing to a client that says nothing, and skips empty lines before a request", async () => {
  assertEquals(await answerTo([]), "");
  assertEquals(statusesIn(await answerTo(["\r\n\r\n\r\nGET / HTTP/1.0\r\n\r\n"])), [200]);
});

Deno.test("Greeter never sends a fault's text as markup", async () => {
  const answer = await answerTo(["<b>X</b> / HTTP/1.1\r\nHost: h\r\n\r\n"]);
  assertEquals(answer.includes("<b>"), false);
  assertStringIncludes(await answerTo(["X'Y / HTTP/1.1\r\nHost: h\r\n\r\n"]), "X&#39;Y");
});

Deno.test("Greeter tells onAnswer who asked what and what it got", async () => {
  const lines: string[] = [];
  await answerTo(["GET /x HTTP/1.1\r\nHost: h\r\n\r\n\x16"], { onAnswer: (line) => lines.push(line) });
  assertEquals(lines, ["- GET /x 200", "- - - 400"]);
  lines.length = 0;
  const controls = Uint8Array.from("GET /\x9b31mK\xc3\xb6ln HTTP/1.0\r\n\r\n", (char) => char.charCodeAt(0));
  await answerTo([controls], { onAnswer: (line) => lines.push(line) });
  assertEquals(lines, ["- GET /%9B31mK%C3%B6ln 400"]); // nothing that a terminal would obey
});

Deno.test("Greeter tells a client that does not finish its request in time, and lets go a silent one without a word", async () => {
  const cases: [string, number, number[]][] = [
    ["", 66_000, []],
    ["GET /a HTTP/1.1\r\nHost: h\r\n\r\n", 66_000, [200]],
    ["GET /a HTTP/1.1\r\n", 33_000, [408]],
    ["GET /a HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nabc", 33_000, [408]],
  ];
  for (const [request, ms, statuses] of cases) {
    const clock = new FakeClock();
    const [conn, peer] = memoryPair();
    const over = new Greeter(conn, { clock }).run();
    await peer.send(request);
    for (let passed = 0; passed < ms; passed += 1_000) {
      await flushMicrotasks(10);
      clock.advance(1_000);
    }
    assertEquals(statusesIn(await peer.receiveText()), statuses, request);
    peer.close();
    await over;
    assertEquals(clock.pending, 0);
  }
});

Deno.test("Greeter ends with an error when the client takes nothing", async () => {
  const clock = new FakeClock();
  const [conn, peer] = memoryPair({ capacity: 10 });
  const greeter = new Greeter(conn, { clock });
  const over = greeter.run();
  await peer.send("GET /a HTTP/1.1\r\nHost: h\r\n\r\n");
  await flushMicrotasks();
  clock.advance(1_000);
  clock.advance(65_000);
  await over;
  assertEquals(greeter.closeReason?.name, "ChatTimeoutError");
  peer.close();
});

// ------------------------------------------------------------------------------------------------------------- real clients

const net = (await Deno.permissions.query({ name: "net", host: "127.0.0.1" })).state === "granted";

/** Whether a program is here and may be run; where not, what needs it is ignored. */
async function canRun(command: string): Promise<boolean> {
  if (!net || (await Deno.permissions.query({ name: "run", command })).state !== "granted") return false;
  return await new Deno.Command(command, { args: ["--version"], stdout: "null", stderr: "null" }).output()
    .then(({ success }) => success, () => false);
}

/** A greeter on a free port for as long as `action` takes. */
async function withGreeter(action: (base: string, port: number) => Promise<void>): Promise<void> {
  await using server = serveGreeter({ port: 0, hostname: "127.0.0.1" });
  const { port } = server.addr as Deno.NetAddr;
  await action(`http://127.0.0.1:${port}`, port);
}

async function run(command: string, ...args: string[]): Promise<{ code: number; out: string }> {
  const { code, stdout } = await new Deno.Command(command, { args, stdout: "piped", stderr: "null" }).output();
  return { code, out: new TextDecoder().decode(stdout) };
}

Deno.test({
  name: "Greeter answers the platform's fetch, 1,000 times on one connection",
  ignore: !net,
  fn: () =>
    withGreeter(async (base) => {
      const response = await fetch(`${base}/kongxx?q`);
      assertEquals([response.status, response.headers.get("content-type")], [200, "text/html; charset=utf-8"]);
      assertEquals(await response.text(), page("Hello kongxx! "));
      for (let i = 0; i < 1_000; i++) {
        assertStringIncludes(await (await fetch(`${base}/${i}`)).text(), `Hello ${i}! `);
      }
      const refused = await fetch(base, { method: "POST", body: "x" });
      assertEquals([refused.status, refused.headers.get("allow")], [405, "GET, HEAD"]);
      await refused.body!.cancel();
    }),
});

Deno.test({
  name: "Greeter answers 1,000 pipelined requests on one TCP connection in order",
  ignore: !net,
  fn: () =>
    withGreeter(async (_, port) => {
      using conn = await Deno.connect({ hostname: "127.0.0.1", port });
      const requests = Array.from({ length: 1_000 }, (_, i) => `GET /${i} HTTP/1.1\r\nHost: h\r\n\r\n`).join("");
      const sent = (async () => {
        for (let rest = encoder.encode(requests); rest.length > 0;) rest = rest.subarray(await conn.write(rest));
        await conn.closeWrite();
      })();
      let answers = "";
      const part = new Uint8Array(65_536);
      const decoder = new TextDecoder();
      for (let count; (count = await conn.read(part)) !== null;) answers += decoder.decode(part.subarray(0, count));
      await sent;
      assertEquals([...answers.matchAll(/Hello ([0-9]+)! /g)].map(([, name]) => Number(name)), [
        ...Array(1_000).keys(),
      ]);
    }),
});

Deno.test({
  name: "Greeter answers curl: HTTP/1.0 and 1.1, HEAD, one connection for many, and no HTTP/0.9",
  ignore: !await canRun("curl"),
  fn: () =>
    withGreeter(async (base, port) => {
      const curl = (...args: string[]) => run("curl", "-s", "--noproxy", "*", "--max-time", "20", ...args);
      const line = page("Hello kongxx! ");
      assertEquals((await curl(`${base}/kongxx`)).out, line);
      const old = (await curl("-i", "--http1.0", `${base}/kongxx`)).out;
      assert(old.startsWith("HTTP/1.0 200 OK\r\n") && old.endsWith(line), old);
      const head = (await curl("-I", `${base}/kongxx`)).out;
      assert(head.startsWith("HTTP/1.1 200 OK\r\n") && head.endsWith("\r\n\r\n"), head);
      const several = await curl("-w", "%{num_connects}", `${base}/a`, `${base}/b`, `${base}/c`);
      assertEquals(several.out, ["a", "b", "c"].map((name, i) => page(`Hello ${name}! `) + (i === 0 ? 1 : 0)).join(""));
      // To allow HTTP/0.9 changes nothing: the answer is no bare page. (To ask in 0.9 is a 400, above.)
      assertMatch((await curl("-i", "--http0.9", `${base}/kongxx`)).out, /^HTTP\/1\.1 200 /);
      assertMatch((await curl("-i", "-d", "x", `${base}/kongxx`)).out, /^HTTP\/1\.1 405 /);
      assertMatch((await curl("-i", `${base}/${"x".repeat(9_000)}`)).out, /^HTTP\/1\.1 414 /);
      assertMatch((await curl("-i", "-H", `X: ${"x".repeat(20_000)}`, base)).out, /^HTTP\/1\.1 431 /);
      assertMatch(
        (await curl("-i", "-H", "Transfer-Encoding: chunked", "-X", "GET", "-d", "x", base)).out,
        /^HTTP\/1\.1 501 /,
      );
      assertEquals((await curl("-k", `https://127.0.0.1:${port}/`)).code, 35); // "SSL connect error", at once
    }),
});

const PYTHON_CLIENT = `
import http.client, sys
conn = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=20)
for method, target in (("GET", "/kongxx"), ("HEAD", "/x"), ("GET", "/K%C3%B6ln")) * 10:
    conn.request(method, target)
    answer = conn.getresponse()
    body = answer.read()
    print(answer.status, answer.version, len(body), answer.will_close)
conn.request("DELETE", "/")
answer = conn.getresponse()
print(answer.status, answer.will_close, len(answer.read()) > 0)
`;

Deno.test({
  name: "Greeter answers Python's http.client on one connection",
  ignore: !await canRun("python3"),
  fn: () =>
    withGreeter(async (_, port) => {
      const { code, out } = await run("python3", "-c", PYTHON_CLIENT, String(port));
      assertEquals([code, out], [
        0,
        "200 11 50 False\n200 11 0 False\n200 11 49 False\n".repeat(10) + "405 True True\n",
      ]);
    }),
});

Deno.test({
  name: "Greeter is read in headless Chromium, and what it greets does not run",
  ignore: !await canRun("chromium"),
  fn: () =>
    withGreeter(async (base) => {
      const flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"];
      const quiet = ["--disable-background-networking", "--disable-component-update", "--disable-sync"];
      const dom = async (path: string) => (await run("chromium", ...flags, ...quiet, "--dump-dom", base + path)).out;
      assertMatch(await dom("/kongxx"), /<body>\s*Hello kongxx!\s*<\/body>/);
      const script = await dom("/%3Cscript%3Edocument.title='run'%3C/script%3E");
      assertMatch(script, /Hello &lt;script&gt;document\.title='run'&lt;\/script&gt;!/);
      assertEquals(/<(script|title)/.test(script), false);
      assertMatch(await dom("/%3Cscript%3Ealert(1)%3C/script%3E"), /Hello &lt;script&gt;alert\(1\)&lt;\/script&gt;!/);
    }),
});
