/**
 * Reads a GPS receiver's NMEA 0183 sentences from a file, a pipe or a serial device, and prints its positions. Shows a chat
 * over something other than a socket, and frames with a checksum.
 *
 *     deno run --allow-read examples/gps.ts --device walk.nmea
 *     cat /dev/ttyUSB0 | deno run examples/gps.ts
 */

import { AsyncChat, type ChatConn } from "@asynchat/asynchat";
import { fail, flags } from "./command_line.ts";

const HELP = `Usage: deno run --allow-read examples/gps.ts [--device FILE]
Prints time, latitude, longitude, satellites and height of each GGA sentence. Without --device, reads standard input.`;

const MAX_SENTENCE_BYTES = 82; // NMEA 0183: from $ to the line end

class NmeaChat extends AsyncChat {
  fixes = 0;
  faults = 0;

  protected override handleConnect() {
    this.setTerminator(["\r\n", "\n"], { maxFrameBytes: MAX_SENTENCE_BYTES, onTooLong: "discard" });
  }

  protected override foundTerminator() {
    const sentence = this.takeText().replace(/\r$/, "");
    if (sentence === "") return;
    const [, body, sum] = /\$([^$*]*)\*([0-9A-F]{2})$/i.exec(sentence) ?? []; // the rest of a truncated line may precede it
    let parity = 0;
    for (const char of body ?? "") parity ^= char.charCodeAt(0);
    if (body === undefined || parity !== parseInt(sum!, 16)) {
      this.faults++;
      return console.error(`Invalid sentence: ${sentence.replace(/[^ -~]/g, "?")}`);
    }
    const [kind, time, latitude, north, longitude, east, quality, satellites, , height] = body.split(",");
    if (!/^G[A-Z]GGA$/.test(kind!) || !Number(quality)) return; // another sentence type, or no fix yet
    this.fixes++;
    const clock = time!.replace(/^(..)(..)(..).*/, "$1:$2:$3");
    console.log(
      `${clock}  ${degrees(latitude!, north!)} ${degrees(longitude!, east!)}  ${
        Number(satellites)
      } satellites  ${height} m`,
    );
  }

  /** The last sentence may have no line end. */
  protected override handleEof() {
    this.foundTerminator();
    super.handleEof();
  }

  protected override frameTooLong() {
    this.faults++;
    console.error(`Invalid sentence: longer than ${MAX_SENTENCE_BYTES} bytes`);
  }
}

/** `4807.038,N` is 48 degrees and 7.038 minutes north. */
function degrees(value: string, side: string): string {
  const point = value.indexOf(".") < 0 ? value.length : value.indexOf(".");
  const whole = Number(value.slice(0, point - 2)) + Number(value.slice(point - 2)) / 60;
  return `${whole.toFixed(5)}${side}`;
}

const { device } = flags(HELP, { device: "" });
const source = device === ""
  ? Deno.stdin
  : await Deno.open(device).catch((error) => fail(`Cannot read ${device}: ${error.message}`));
// The minimum that a chat needs of a connection. The input is one-way: output is discarded.
const conn: ChatConn = {
  read: (into) => source.read(into),
  write: (data) => Promise.resolve(data.length),
  close: () => source.close(),
};
const chat = new NmeaChat(conn);
await chat.run();
console.log(`${chat.fixes} fixes, ${chat.faults} faults`);
