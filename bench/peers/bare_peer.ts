/**
 * The bare `conn.read` loop of Deno, the limit of what is built on it: `bare_peer.ts <mode> ...`, see ../peers.ts for
 * the modes. It splits requests only.
 */

/** Size of a read: asynchat's `ac_in_buffer_size`, and our largest. Echoes are many and short. */
const READ_BYTES = 65_536;
const ECHO_READ_BYTES = 4_096;

const encoder = new TextEncoder();
const decoder = new TextDecoder("latin1");

async function count(conn: Deno.Conn): Promise<void> {
  const buffer = new Uint8Array(READ_BYTES);
  let total = 0;
  for (let size; (size = await conn.read(buffer)) !== null;) total += size;
  conn.close();
  console.log(`- ${total}`);
}

async function writeAll(conn: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let sent = 0; sent < bytes.length;) sent += await conn.write(sent === 0 ? bytes : bytes.subarray(sent));
}

async function echo(conn: Deno.TcpConn): Promise<void> {
  conn.setNoDelay();
  const buffer = new Uint8Array(ECHO_READ_BYTES);
  for (let size; (size = await conn.read(buffer)) !== null;) await writeAll(conn, buffer.subarray(0, size));
  conn.close();
}

/** The minimal greeter for valid requests: finds the empty line, and the name between `GET /` and the next space. */
async function greet(conn: Deno.TcpConn): Promise<void> {
  conn.setNoDelay();
  const buffer = new Uint8Array(ECHO_READ_BYTES);
  let rest = "", last = false;
  for (let size; !last && (size = await conn.read(buffer)) !== null;) {
    rest += decoder.decode(buffer.subarray(0, size));
    let start = 0, answers = "";
    for (let end; (end = rest.indexOf("\r\n\r\n", start)) !== -1; start = end + 4) {
      last = last || rest.substring(start, end).includes("\r\nConnection: close");
      const page = `<html>\r\n<body>\r\nHello ${
        rest.substring(start + 5, rest.indexOf(" ", start + 5))
      }! \r\n</body>\r\n</html>\r\n`;
      const fields = `Content-Type: text/html; charset=utf-8\r\nContent-Length: ${page.length}\r\n`;
      answers += `HTTP/1.1 200 OK\r\n${fields}${last ? "Connection: close\r\n" : ""}\r\n${page}`;
    }
    rest = rest.substring(start);
    await writeAll(conn, encoder.encode(answers));
  }
  conn.close();
}

const [mode] = Deno.args;
const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
console.log((listener.addr as Deno.NetAddr).port);
const handle = mode === "echo" ? echo : mode === "http" ? greet : count;
for (;;) handle(await listener.accept()).catch(() => {}); // a client that disconnects within an answer
