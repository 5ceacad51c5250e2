// Node: `node_peer.mjs <indexOf|readline> <mode> ...`, see ../peers.ts for the modes.

import { readFileSync } from "node:fs";
import { createServer as createHttpServer } from "node:http";
import { createServer } from "node:net";
import { createInterface } from "node:readline";

const [how, mode, ...args] = process.argv.slice(2);
const SEPARATORS = { crlf: "\r\n", lf: "\n" };

/** The usual way: keep the rest, append the next chunk, search for the separator. */
class LineSplitter {
  #rest = Buffer.alloc(0);
  #separator;
  #onLine;

  constructor(separator, onLine) {
    this.#separator = Buffer.from(separator);
    this.#onLine = onLine;
  }

  add(chunk) {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    let start = 0;
    for (let end; (end = bytes.indexOf(this.#separator, start)) !== -1; start = end + this.#separator.length) {
      this.#onLine(bytes.subarray(start, end));
    }
    this.#rest = bytes.subarray(start);
  }
}

class Count {
  frames = 0;
  bytes = 0;
  add = (frame) => {
    this.frames++;
    this.bytes += frame.length;
  };
  print = () => console.log(`${this.frames} ${this.bytes}`);
}

function lines(socket) {
  const count = new Count();
  if (how === "readline") {
    createInterface({ input: socket, crlfDelay: Infinity }).on("line", count.add).on("close", count.print);
  } else {
    const splitter = new LineSplitter(SEPARATORS[args[0]], count.add);
    socket.on("data", (chunk) => splitter.add(chunk)).on("end", count.print);
  }
}

function prefixed(socket) {
  const count = new Count();
  let rest = Buffer.alloc(0);
  socket.on("data", (chunk) => {
    const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    let start = 0;
    while (bytes.length - start >= 4) {
      const end = start + 4 + bytes.readUInt32BE(start);
      if (end > bytes.length) break;
      count.add(bytes.subarray(start + 4, end));
      start = end;
    }
    rest = bytes.subarray(start);
  }).on("end", count.print);
}

function echo(socket) {
  const answer = (line) => socket.write(`${line}\r\n`);
  if (how === "readline") {
    createInterface({ input: socket, crlfDelay: Infinity }).on("line", answer);
  } else {
    const splitter = new LineSplitter("\r\n", (line) => answer(line.latin1Slice()));
    socket.on("data", (chunk) => {
      socket.cork(); // one write for the answers to one chunk
      splitter.add(chunk);
      socket.uncork();
    });
  }
}

function greet(request, response) {
  const page = `<html>\r\n<body>\r\nHello ${request.url.slice(1)}! \r\n</body>\r\n</html>\r\n`;
  response.writeHead(200, { "Content-Type": "text/html; charset=utf-8", "Content-Length": Buffer.byteLength(page) });
  response.end(page);
}

/** Counts the lines of the file over and over, without a socket. */
function memory(separator, path, times, piece, seconds) {
  const data = readFileSync(path);
  const run = (seconds) => {
    const count = new Count();
    const splitter = new LineSplitter(separator, count.add);
    const start = performance.now();
    for (;;) {
      for (let time = 0; time < times; time++) {
        for (let at = 0; at < data.length; at += piece) splitter.add(data.subarray(at, at + piece));
      }
      splitter.add(Buffer.from(separator));
      const passed = (performance.now() - start) / 1000;
      if (passed >= seconds) return `${count.frames} ${count.bytes} ${passed}`;
    }
  };
  run(seconds / 4);
  console.log(run(seconds));
}

if (mode === "memory") {
  memory(SEPARATORS[args[0]], args[1], ...args.slice(2).map(Number));
} else {
  const handle = { lines, prefixed, echo }[mode];
  const server = mode === "http" ? createHttpServer(greet) : createServer({ noDelay: true }, handle);
  server.listen({ host: "127.0.0.1", port: 0, backlog: 511 }, () => console.log(server.address().port));
}
