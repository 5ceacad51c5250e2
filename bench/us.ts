/**
 * This library as a peer: `us.ts <variant> <mode> ...`, see ./peers.ts for the modes. The variants are the ways to get
 * the data of a frame.
 */

import { AsyncChat, type ChatConn, serve } from "../mod.ts";
import { serveGreeter } from "../server.ts";
import { classRates, type ClassVariant } from "./classes.ts";

const [variant, mode, ...args] = Deno.args;

/** Above the longest frame of any scenario. */
const MAX_FRAME_BYTES = 1 << 28;
const SEPARATOR = args[0] === "lf" ? "\n" : "\r\n";

/** Counts frames and their bytes. `Lines` and `Prefixed` define the frames. */
abstract class Counter extends AsyncChat {
  frames = 0;
  bytes = 0;

  constructor(conn: ChatConn) {
    super(conn, { maxFrameBytes: MAX_FRAME_BYTES });
  }

  protected override foundTerminator(): void {
    this.frames++;
  }

  protected override handleClose(reason?: Error): void {
    if (mode !== "memory") console.log(`${this.frames} ${this.bytes} ${reason ?? ""}`);
  }
}

class Lines extends Counter {
  protected override handleConnect(): void {
    this.setTerminator(SEPARATOR);
  }
}

/** Counts without keeping anything. */
class CollectedLines extends Lines {
  protected override collectIncomingData(data: Uint8Array): void {
    this.bytes += data.length;
  }
}

/** The same without a view per piece. */
class RangeLines extends Lines {
  protected override collectIncomingRange(_buffer: Uint8Array, start: number, end: number): void {
    this.bytes += end - start;
  }
}

/** As most programs do. */
class TextLines extends Lines {
  protected override foundTerminator(): void {
    this.frames++;
    this.bytes += this.takeText().length; // of ASCII
  }
}

class DataLines extends Lines {
  protected override foundTerminator(): void {
    this.frames++;
    this.bytes += this.takeData().length;
  }
}

abstract class Prefixed extends Counter {
  protected head = 0;
  protected inBody = false;

  protected override handleConnect(): void {
    this.setTerminator(4);
  }

  protected override foundTerminator(): void {
    if (this.inBody) this.frames++;
    this.setTerminator(this.inBody ? 4 : this.head);
    this.inBody = !this.inBody;
  }
}

class CollectedPrefixed extends Prefixed {
  protected override collectIncomingData(data: Uint8Array): void {
    if (this.inBody) this.bytes += data.length;
    else for (const byte of data) this.head = this.head << 8 | byte;
  }
}

class RangePrefixed extends Prefixed {
  protected override collectIncomingRange(buffer: Uint8Array, start: number, end: number): void {
    if (this.inBody) this.bytes += end - start;
    else for (let at = start; at < end; at++) this.head = this.head << 8 | buffer[at]!;
  }
}

class DataPrefixed extends Prefixed {
  protected override foundTerminator(): void {
    const data = this.takeData();
    if (this.inBody) this.bytes += data.length;
    else this.head = new DataView(data.buffer, data.byteOffset).getUint32(0);
    super.foundTerminator();
  }
}

class TextEcho extends AsyncChat {
  protected override handleConnect(): void {
    this.setTerminator("\r\n");
  }

  protected override foundTerminator(): void {
    this.push(`${this.takeText()}\r\n`);
  }
}

const CRLF = new Uint8Array([0x0d, 0x0a]);

class DataEcho extends TextEcho {
  protected override foundTerminator(): void {
    this.push(this.takeData());
    this.push(CRLF);
  }
}

const VARIANTS: Record<string, Record<string, new (conn: ChatConn) => AsyncChat>> = {
  range: { lines: RangeLines, prefixed: RangePrefixed },
  collect: { lines: CollectedLines, prefixed: CollectedPrefixed },
  takeText: { lines: TextLines, echo: TextEcho },
  takeData: { lines: DataLines, prefixed: DataPrefixed, echo: DataEcho },
};

/** A connection that repeats the same bytes until the time is over. */
class MemoryConn implements ChatConn {
  readonly #end = new TextEncoder().encode(SEPARATOR);
  #at = 0;

  constructor(readonly data: Uint8Array, readonly times: number, readonly piece: number, readonly endMs: number) {}

  read(p: Uint8Array): Promise<number | null> {
    const { data, times } = this;
    if (this.#at === data.length * times) {
      this.#at++; // the separator
      p.set(this.#end);
      return Promise.resolve(this.#end.length);
    }
    if (this.#at > data.length * times) {
      if (performance.now() >= this.endMs) return Promise.resolve(null);
      this.#at = 0;
    }
    const start = this.#at % data.length;
    const size = Math.min(this.piece, p.length, data.length - start);
    p.set(data.subarray(start, start + size));
    this.#at += size;
    return Promise.resolve(size);
  }

  write(p: Uint8Array): Promise<number> {
    return Promise.resolve(p.length);
  }

  close(): void {}
}

async function memory(file: string, times: number, piece: number, seconds: number): Promise<string> {
  const data = Deno.readFileSync(file);
  const Chat = VARIANTS[variant!]!.lines as new (conn: ChatConn) => Counter;
  const run = async (seconds: number) => {
    const start = performance.now();
    const chat = new Chat(new MemoryConn(data, times, piece, start + seconds * 1000));
    await chat.run();
    return `${chat.frames} ${chat.bytes} ${(performance.now() - start) / 1000}`;
  };
  await run(seconds / 4);
  return await run(seconds);
}

const where = {
  hostname: "127.0.0.1",
  port: 0,
  onListen: (addr: Deno.Addr) => console.log((addr as Deno.NetAddr).port),
};
if (mode === "memory") {
  console.log(await memory(args[1]!, Number(args[2]), Number(args[3]), Number(args[4])));
} else if (mode === "classes") {
  const [count, measured, seconds] = args.map(Number);
  console.log((await classRates(variant as ClassVariant, count!, [measured!], seconds!)).join(" "));
} else if (mode === "http") {
  serveGreeter(where);
} else {
  const Chat = VARIANTS[variant!]![mode!]!;
  serve(where, (conn) => new Chat(conn));
}
