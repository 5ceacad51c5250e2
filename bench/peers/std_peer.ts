/**
 * The line streams of `@std/streams`: `std_peer.ts <class> <mode> ...`, see ../peers.ts for the modes. Imported from
 * the npm build of the standard library, so that the benchmark runs without access to JSR.
 */

import { DelimiterStream } from "npm:deno-std@1.4.0/streams/delimiter_stream.js";
import { TextLineStream } from "npm:deno-std@1.4.0/streams/text_line_stream.js";

const [how, mode, separator, ...args] = Deno.args;
const end = new TextEncoder().encode(separator === "lf" ? "\n" : "\r\n");

/** Splits and counts to EOF. */
async function count(bytes: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<string> {
  let frames = 0, size = 0;
  const lines: ReadableStream<string | Uint8Array> = how === "TextLineStream"
    ? bytes.pipeThrough(new TextDecoderStream()).pipeThrough(new TextLineStream())
    : bytes.pipeThrough(new DelimiterStream(end));
  for await (const line of lines) {
    frames++;
    size += line.length;
  }
  // A DelimiterStream yields one more frame at the end: the empty rest behind the last delimiter.
  return `${how === "TextLineStream" ? frames : frames - 1} ${size}`;
}

/** Counts the lines of the file over and over, without a socket. */
async function memory(data: Uint8Array<ArrayBuffer>, times: number, piece: number, seconds: number): Promise<string> {
  const start = performance.now();
  function* pieces() {
    do {
      for (let time = 0; time < times; time++) {
        for (let at = 0; at < data.length; at += piece) yield data.subarray(at, at + piece);
      }
      yield end;
    } while (performance.now() < start + seconds * 1000);
  }
  const all = pieces();
  const counted = await count(
    new ReadableStream({
      pull(controller) {
        const { value, done } = all.next();
        if (done) controller.close();
        else controller.enqueue(value);
      },
    }),
  );
  return `${counted} ${(performance.now() - start) / 1000}`;
}

if (mode === "memory") {
  const data = Deno.readFileSync(args[0]!);
  const [times, piece, seconds] = args.slice(1).map(Number);
  await memory(data, times!, piece!, seconds! / 4);
  console.log(await memory(data, times!, piece!, seconds!));
} else {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  console.log((listener.addr as Deno.NetAddr).port);
  for (;;) count((await listener.accept()).readable).then(console.log); // EOF closes the connection
}
