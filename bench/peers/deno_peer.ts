// Deno without this library: bare | bare-echo | bare-greet, a loop of `conn.read`; delimiter | lines, the streams of std; serve, Deno.serve.
import { DelimiterStream } from "npm:deno-std@1.4.0/streams/delimiter_stream.js";
import { TextLineStream } from "npm:deno-std@1.4.0/streams/text_line_stream.js";

const [what, end = "crlf"] = Deno.args;
const terminator = new TextEncoder().encode(end === "lf" ? "\n" : "\r\n");

async function answer(conn: Deno.Conn, frames: number, bytes: number) {
  await conn.write(new TextEncoder().encode(`${frames} ${bytes}`));
  conn.close();
}

/** The limit: all bytes are read and none is looked at. */
async function bare(conn: Deno.Conn) {
  const buffer = new Uint8Array(65_536);
  let bytes = 0;
  for (let count; (count = await conn.read(buffer)) !== null;) bytes += count;
  await answer(conn, 0, bytes);
}

/** One line or many in a read: all go back as they are. */
async function bareEcho(conn: Deno.Conn) {
  const buffer = new Uint8Array(1024);
  try {
    for (let count; (count = await conn.read(buffer)) !== null;) {
      for (let at = 0; at < count;) at += await conn.write(buffer.subarray(at, count));
    }
  } catch {
    // it is gone
  }
  conn.close();
}

/** As little as answers a well-formed request: finds the empty line and the target. */
async function bareGreet(conn: Deno.Conn) {
  const buffer = new Uint8Array(8192);
  const decoder = new TextDecoder("latin1");
  const encoder = new TextEncoder();
  let rest = "";
  try {
    for (let count; (count = await conn.read(buffer)) !== null;) {
      rest += decoder.decode(buffer.subarray(0, count));
      let answers = "";
      let closes = false;
      for (let end; (end = rest.indexOf("\r\n\r\n")) >= 0; rest = rest.slice(end + 4)) {
        const head = rest.slice(0, end);
        const page = `<html>\r\n<body>\r\nHello ${head.slice(5, head.indexOf(" ", 5))}! \r\n</body>\r\n</html>\r\n`;
        closes = head.includes("\r\nConnection: close");
        answers +=
          `HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: ${page.length}\r\n\r\n${page}`;
      }
      const bytes = encoder.encode(answers);
      for (let at = 0; at < bytes.length;) at += await conn.write(bytes.subarray(at));
      if (closes) break;
    }
  } catch {
    // it is gone
  }
  conn.close();
}

/** As `conn.readable`, but that the connection stays open at the end, for the answer. */
function readable(conn: Deno.Conn): ReadableStream<Uint8Array<ArrayBuffer>> {
  return new ReadableStream({
    async pull(controller) {
      const buffer = new Uint8Array(65_536);
      const count = await conn.read(buffer);
      if (count === null) controller.close();
      else controller.enqueue(buffer.subarray(0, count));
    },
  }, { highWaterMark: 0 });
}

async function delimiter(conn: Deno.Conn) {
  let frames = -1; // what follows the last terminator is told too, as an empty one
  let bytes = 0;
  const splitter: TransformStream<Uint8Array, Uint8Array> = new DelimiterStream(terminator);
  for await (const frame of readable(conn).pipeThrough(splitter)) {
    frames++;
    bytes += frame.length;
  }
  await answer(conn, frames, bytes);
}

async function lines(conn: Deno.Conn) {
  let frames = 0;
  let bytes = 0;
  const splitter: TransformStream<string, string> = new TextLineStream();
  for await (const line of readable(conn).pipeThrough(new TextDecoderStream()).pipeThrough(splitter)) {
    frames++;
    bytes += line.length;
  }
  await answer(conn, frames, bytes);
}

if (what === "serve") {
  const onListen = ({ port }: Deno.NetAddr) => console.log(port);
  Deno.serve({ port: 0, hostname: "127.0.0.1", onListen }, (request) => {
    const name = decodeURIComponent(new URL(request.url).pathname.slice(1));
    const page = `<html>\r\n<body>\r\nHello ${name}! \r\n</body>\r\n</html>\r\n`;
    return new Response(page, { headers: { "content-type": "text/html; charset=utf-8" } });
  });
} else {
  const run = { bare, "bare-echo": bareEcho, "bare-greet": bareGreet, delimiter, lines }[what!]!;
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0, tcpBacklog: 1024 });
  console.log(listener.addr.port);
  for (;;) run(await listener.accept());
}
