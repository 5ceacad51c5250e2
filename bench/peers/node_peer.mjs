// node:net: sink | readline | sink4 | echo, and for sinks the terminator; node:http: greet.
import http from "node:http";
import net from "node:net";
import readline from "node:readline";

const [what, end = "crlf"] = process.argv.slice(2);
const terminator = Buffer.from(end === "lf" ? "\n" : "\r\n");

/** Hands on each frame as a view, joined with what was left of the piece before. */
function split(socket, onFrame) {
  let rest = null;
  socket.on("data", (data) => {
    if (rest !== null) data = Buffer.concat([rest, data]);
    let at = 0;
    for (let found; (found = data.indexOf(terminator, at)) >= 0; at = found + terminator.length) {
      onFrame(data.subarray(at, found));
    }
    rest = at < data.length ? data.subarray(at) : null;
  });
}

function sink(socket) {
  let frames = 0, bytes = 0;
  split(socket, (frame) => {
    frames++;
    bytes += frame.length;
  });
  socket.on("end", () => socket.end(`${frames} ${bytes}`));
}

function byReadline(socket) {
  let frames = 0, bytes = 0;
  readline.createInterface({ input: socket, crlfDelay: Infinity }).on("line", (line) => {
    frames++;
    bytes += line.length;
  }).on("close", () => socket.end(`${frames} ${bytes}`));
}

function sink4(socket) {
  let frames = 0, bytes = 0, rest = null;
  socket.on("data", (data) => {
    if (rest !== null) data = Buffer.concat([rest, data]);
    let at = 0;
    while (at + 4 <= data.length) {
      const length = data.readUInt32BE(at);
      if (at + 4 + length > data.length) break;
      bytes += data.subarray(at + 4, at + 4 + length).length;
      frames++;
      at += 4 + length;
    }
    rest = at < data.length ? data.subarray(at) : null;
  });
  socket.on("end", () => socket.end(`${frames} ${bytes}`));
}

function echo(socket) {
  split(socket, (frame) => socket.write(Buffer.concat([frame, terminator])));
}

function greet(request, response) {
  const page = `<html>\r\n<body>\r\nHello ${decodeURIComponent(request.url.slice(1))}! \r\n</body>\r\n</html>\r\n`;
  response.setHeader("Content-Type", "text/html; charset=utf-8");
  response.setHeader("Content-Length", Buffer.byteLength(page));
  response.end(page);
}

const server = what === "greet"
  ? http.createServer(greet)
  : net.createServer({ allowHalfOpen: true, noDelay: true }, { sink, readline: byReadline, sink4, echo }[what]);
server.listen({ port: 0, host: "127.0.0.1", backlog: 1024 }, () => console.log(server.address().port));
server.on("connection", (socket) => socket.on("error", () => {}));
