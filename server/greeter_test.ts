import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { Greeter, type GreeterOptions, serveGreeter } from "../server.ts";
import { everyCut, FakeClock, memoryPair, randomCut, scriptedConn } from "../testing/mod.ts";
import { local, portOf } from "../tests/local_server.ts";
import { canRun, hasNet } from "../tests/permissions.ts";
import { finish } from "../tests/processes.ts";
import { flushMicrotasks } from "../tests/recorder.ts";

const encoder = new TextEncoder();

/** All that a greeter answers to a client that sends `pieces` and ends its side. */
async function answerTo(pieces: Iterable<string | Uint8Array>, options?: GreeterOptions): Promise<string> {
  const { conn, written } = scriptedConn(pieces, { capacity: Infinity });
  await new Greeter(conn, options).run();
  return await written;
}

/** The statuses of the answers, in order. */
function statusesIn(answers: string): number[] {
  return [...answers.matchAll(/^HTTP\/1\.[01] ([0-9]{3}) /gm)].map(([, status]) => Number(status));
}

const page = (line: string) => `<html>\r\n<body>\r\n${line}\r\n</body>\r\n</html>\r\n`;

Deno.test("Greeter answers with the page of the original greeter, byte for byte", async () => {
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

Deno.test("Greeter greets the decoded, escaped path without its query, and world for an empty one", async () => {
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

Deno.test("Greeter answers the same for every cut of the requests", async () => {
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

Deno.test("Greeter keeps connections of HTTP/1.1, and of 1.0 on request; answers keep their order", async () => {
  const [conn, peer] = memoryPair();
  const greeter = new Greeter(conn);
  const over = greeter.run();
  await peer.send(Array.from({ length: 20 }, (_, i) => `GET /${i} HTTP/1.1\r\nHost: h\r\n\r\n`).join(""));
  await peer.send(
    "GET /last HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /x HTTP/1.0\r\n\r\nGET /never HTTP/1.0\r\n\r\n",
  );
  const answers = await peer.receiveText(); // to the end: the request /x does not ask to keep the connection
  peer.close();
  await over;
  const names = [...answers.matchAll(/Hello (.*)! /g)].map(([, name]) => name);
  assertEquals(names, [...Array.from({ length: 20 }, (_, i) => String(i)), "last", "x"]);
  assertEquals([...answers.matchAll(/^Connection: .*$/gm)].map(([field]) => field.trim()), [
    "Connection: keep-alive",
    "Connection: close",
  ]);
});

Deno.test("Greeter closes an HTTP/1.1 connection on Connection: close", async () => {
  const answers = await answerTo([
    "GET /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\nGET /b HTTP/1.1\r\nHost: h\r\n\r\n",
  ]);
  assertEquals(statusesIn(answers), [200]);
  assertStringIncludes(answers, "Connection: close\r\n");
});

Deno.test("Greeter answers HEAD like GET, without the page", async () => {
  const get = withoutDates(await answerTo(["GET /x HTTP/1.0\r\n\r\n"]));
  const head = withoutDates(await answerTo(["HEAD /x HTTP/1.0\r\n\r\n"]));
  assertEquals(head, get.slice(0, get.indexOf("\r\n\r\n") + 4));
});

Deno.test("Greeter skips content by count, after a 100 when the client expects one", async () => {
  const answers = await answerTo([
    "GET /a HTTP/1.1\r\nHost: h\r\nContent-Length: 20\r\n\r\n",
    "GET /evil HTTP/1.1\r\n",
    "GET /b HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n",
    "x\r\nGET /c HTTP/1.1\r\nHost: h\r\n\r\n",
  ]);
  assertEquals(statusesIn(answers), [200, 100, 200, 200]);
  assertEquals([...answers.matchAll(/Hello (.)!/g)].map(([, name]) => name), ["a", "b", "c"]);
});

Deno.test("Greeter answers each fault with its status and a short page, and closes", async () => {
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
    [`GET /${long(20_000)}`, 414], //                                        never ends
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

Deno.test("Greeter rejects a TLS handshake at its first byte, and a request that is cut off", async () => {
  const [conn, peer] = memoryPair();
  const over = new Greeter(conn).run();
  await peer.send("\x16");
  assertEquals(statusesIn(await peer.receiveText()), [400]); // at the first byte
  peer.close();
  await over;
  assertEquals(statusesIn(await answerTo(["GET /kongxx HTTP/1.1\r\n"])), [400]);
});

Deno.test("Greeter answers a silent client with nothing, and skips empty lines before a request", async () => {
  assertEquals(await answerTo([]), "");
  assertEquals(statusesIn(await answerTo(["\r\n\r\n\r\nGET / HTTP/1.0\r\n\r\n"])), [200]);
});

Deno.test("Greeter escapes the text of a fault", async () => {
  const answer = await answerTo(["<b>X</b> / HTTP/1.1\r\nHost: h\r\n\r\n"]);
  assertEquals(answer.includes("<b>"), false);
  assertStringIncludes(await answerTo(["X'Y / HTTP/1.1\r\nHost: h\r\n\r\n"]), "X&#39;Y");
});

Deno.test("Greeter calls onAnswer with the address, the request and the status", async () => {
  const lines: string[] = [];
  await answerTo(["GET /x HTTP/1.1\r\nHost: h\r\n\r\n\x16"], { onAnswer: (line) => lines.push(line) });
  assertEquals(lines, ["- GET /x 200", "- - - 400"]);
  lines.length = 0;
  const controls = Uint8Array.from("GET /\x9b31mK\xc3\xb6ln HTTP/1.0\r\n\r\n", (char) => char.charCodeAt(0));
  await answerTo([controls], { onAnswer: (line) => lines.push(line) });
  assertEquals(lines, ["- GET /%9B31mK%C3%B6ln 400"]); // no control sequence for a terminal
});

Deno.test("Greeter answers an unfinished request with 408, and closes an idle connection silently", async () => {
  const cases: [string, number, number[]][] = [
    ["", 83_000, []],
    ["GET /a HTTP/1.1\r\nHost: h\r\n\r\n", 83_000, [200]],
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

Deno.test("Greeter keeps an idle connection longer than nginx's 60 s", async () => {
  const clock = new FakeClock();
  const [conn, peer] = memoryPair();
  const greeter = new Greeter(conn, { clock });
  const over = greeter.run();
  for (let passed = 0; passed < 61_000; passed += 1_000) {
    await flushMicrotasks(10);
    clock.advance(1_000);
  }
  await peer.send("GET /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
  assertEquals(statusesIn(await peer.receiveText()), [200]);
  peer.close();
  await over;
});

Deno.test("Greeter answers the first request of a connection that is new when the server shuts down", async () => {
  const clock = new FakeClock();
  const [conn, peer] = memoryPair();
  const greeter = new Greeter(conn, { clock });
  const over = greeter.run();
  await flushMicrotasks();
  greeter.serverStopping();
  await flushMicrotasks();
  await peer.send("GET /a HTTP/1.1\r\nHost: h\r\n\r\n");
  const answer = await peer.receiveText();
  assertEquals(statusesIn(answer), [200]);
  assertStringIncludes(answer, "Connection: close\r\n");
  peer.close();
  await over;
  assertEquals(clock.pending, 0);
});

Deno.test("Greeter closes at shutdown after a second without a request, or at once after the first", async () => {
  for (const requests of ["", "GET /a HTTP/1.1\r\nHost: h\r\n\r\n"]) {
    const clock = new FakeClock();
    const [conn, peer] = memoryPair();
    const greeter = new Greeter(conn, { clock });
    const over = greeter.run();
    await peer.send(requests);
    await flushMicrotasks();
    greeter.serverStopping();
    if (requests === "") {
      clock.advance(999);
      assertEquals(greeter.state, "open");
      clock.advance(1);
    }
    assertEquals(greeter.state, "closing");
    peer.close();
    await over;
    assertEquals(clock.pending, 0);
  }
});

Deno.test("Greeter sends no page to a HEAD request that it rejects", async () => {
  const cases: [string, number][] = [
    ["HEAD /x HTTP/1.1\r\n\r\n", 400], // no Host
    ["\r\nHEAD /x HTTP/1.1\r\n\r\n", 400],
    ["HEAD /x HTTP/1.1\nHost: h\n\n", 400],
    ["HEAD /x HTTP/1.1\r\nHost: h\r\n", 400], // ends within the head
    ["HEAD /x HTTP/9.9\r\nHost: h\r\n\r\n", 505],
    ["HEAD /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n", 501],
    [`HEAD /${"x".repeat(17_000)} HTTP/1.1\r\nHost: h\r\n\r\n`, 414],
    [`HEAD /x HTTP/1.1\r\nX: ${"x".repeat(17_000)}\r\n\r\n`, 431],
    ["HEAD /%ff HTTP/1.1\r\nHost: h\r\n\r\n", 400],
  ];
  for (const [request, status] of cases) {
    const answer = await answerTo([request]);
    assertEquals(
      { statuses: statusesIn(answer), end: answer.slice(-4) },
      { statuses: [status], end: "\r\n\r\n" },
      request,
    );
  }
});

Deno.test("Greeter sends no page to a HEAD request that takes too long", async () => {
  for (const rest of ["", "Host: h\r\nContent-Length: 9\r\n\r\nabc"]) {
    const clock = new FakeClock();
    const [conn, peer] = memoryPair();
    const over = new Greeter(conn, { clock }).run();
    await peer.send(`HEAD /x HTTP/1.1\r\n${rest}`);
    for (let passed = 0; passed < 33_000; passed += 1_000) {
      await flushMicrotasks(10);
      clock.advance(1_000);
    }
    const answer = await peer.receiveText();
    assertEquals({ statuses: statusesIn(answer), end: answer.slice(-4) }, { statuses: [408], end: "\r\n\r\n" }, rest);
    peer.close();
    await over;
  }
});

Deno.test("Greeter closes with a ChatTimeoutError when the client reads nothing", async () => {
  const clock = new FakeClock();
  const [conn, peer] = memoryPair({ capacity: 10 });
  const greeter = new Greeter(conn, { clock });
  const over = greeter.run();
  await peer.send("GET /a HTTP/1.1\r\nHost: h\r\n\r\n");
  await flushMicrotasks();
  clock.advance(1_000);
  clock.advance(83_000);
  await over;
  assertEquals(greeter.closeReason?.name, "ChatTimeoutError");
  peer.close();
});

// ------------------------------------------------------------------------------------------------------------- real clients

/** Runs a greeter on a free port while `action` runs. */
async function withGreeter(action: (base: string, port: number) => Promise<void>): Promise<void> {
  await using server = serveGreeter(local);
  const port = portOf(server);
  await action(`http://127.0.0.1:${port}`, port);
}

const run = (command: string, ...args: string[]) => finish(new Deno.Command(command, { args }));

Deno.test({
  name: "Greeter answers fetch, 1,000 times on one connection",
  ignore: !hasNet,
  fn: () =>
    withGreeter(async (base) => {
      const response = await fetch(`${base}/kongxx?q`);
      assertEquals(response.status, 200);
      assertEquals(response.headers.get("content-type"), "text/html; charset=utf-8");
      assertEquals(await response.text(), page("Hello kongxx! "));
      for (let i = 0; i < 1_000; i++) {
        assertStringIncludes(await (await fetch(`${base}/${i}`)).text(), `Hello ${i}! `);
      }
      const rejected = await fetch(base, { method: "POST", body: "x" });
      assertEquals(rejected.status, 405);
      assertEquals(rejected.headers.get("allow"), "GET, HEAD");
      await rejected.body!.cancel();
    }),
});

Deno.test({
  name: "Greeter answers 1,000 pipelined requests on one TCP connection in order",
  ignore: !hasNet,
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
  name: "Greeter answers curl: HTTP/1.0 and 1.1, HEAD, a kept connection, and no HTTP/0.9",
  ignore: !hasNet || !canRun("curl"),
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
      // With HTTP/0.9 allowed the answer still has a head. (A request of HTTP/0.9 is a 400, above.)
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
  ignore: !hasNet || !canRun("python3"),
  fn: () =>
    withGreeter(async (_, port) => {
      const { code, out } = await run("python3", "-c", PYTHON_CLIENT, String(port));
      const expected = "200 11 50 False\n200 11 0 False\n200 11 49 False\n".repeat(10) + "405 True True\n";
      assertEquals({ code, out }, { code: 0, out: expected });
    }),
});

Deno.test({
  name: "Greeter greets headless Chromium, and a script in the name does not run",
  ignore: !hasNet || !canRun("chromium"),
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
