// This library: view | range | text | data, how a sink takes its lines; sink4; echo; greet.
import { AsyncChat, serve } from "@asynchat/asynchat";
import { serveGreeter } from "@asynchat/asynchat/server";

const [what, end = "crlf"] = Deno.args;
const terminator = end === "lf" ? "\n" : "\r\n";
const options = { maxFrameBytes: 1_048_576 };

/** Counts lines. */
abstract class Sink extends AsyncChat {
  bytes = 0;
  protected override handleConnect() {
    this.setTerminator(terminator, options);
  }
  protected override foundTerminator() {}
  protected override handleEof() {
    this.push(`${this.framesReceived} ${this.bytes}`);
    this.closeWhenDone();
  }
}

/** Sees each as a view. */
class ViewSink extends Sink {
  protected override collectIncomingData(data: Uint8Array) {
    this.bytes += data.length;
  }
}

/** As a range of the receive buffer. */
class RangeSink extends Sink {
  protected override collectIncomingRange(_buffer: Uint8Array, start: number, end: number) {
    this.bytes += end - start;
  }
}

/** As text. */
class TextSink extends Sink {
  protected override foundTerminator() {
    this.bytes += this.takeText().length;
  }
}

/** As bytes of one's own. */
class DataSink extends Sink {
  protected override foundTerminator() {
    this.bytes += this.takeData().length;
  }
}

/** Four bytes that say how many follow, and those. */
class CountSink extends Sink {
  #frames = 0;
  #length = 0;
  #inHead = true;
  protected override handleConnect() {
    this.setTerminator(4);
  }
  protected override collectIncomingRange(buffer: Uint8Array, start: number, end: number) {
    if (this.#inHead) { for (let at = start; at < end; at++) this.#length = this.#length << 8 | buffer[at]!; }
    else this.bytes += end - start;
  }
  protected override foundTerminator() {
    if (this.#inHead) {
      this.setTerminator(this.#length, options);
    } else {
      this.#frames++;
      this.#length = 0;
      this.setTerminator(4);
    }
    this.#inHead = !this.#inHead;
  }
  protected override handleEof() {
    this.push(`${this.#frames} ${this.bytes}`);
    this.closeWhenDone();
  }
}

class Echo extends AsyncChat {
  protected override handleConnect() {
    this.setTerminator("\r\n");
  }
  protected override foundTerminator() {
    this.push(`${this.takeText()}\r\n`);
  }
}

const where = { hostname: "127.0.0.1", port: 0, tcpBacklog: 1024 };
const chats = { view: ViewSink, range: RangeSink, text: TextSink, data: DataSink, sink4: CountSink, echo: Echo };
const Chat = chats[what as keyof typeof chats];
const server = what === "greet" ? serveGreeter(where) : serve(where, (conn) => new Chat(conn));
console.log((server.addr as Deno.NetAddr).port);
