/**
 * Echoes each line in capitals, until the client sends "quit". The README's first program, with flags.
 *
 *     deno run --allow-net examples/echo.ts --port 7000
 *     nc 127.0.0.1 7000
 */

import { AsyncChat } from "@asynchat/asynchat";
import { flags, serveChats } from "./command_line.ts";

const HELP = "Usage: deno run --allow-net examples/echo.ts [--port 7000] [--hostname 127.0.0.1]";

class Shout extends AsyncChat {
  protected override handleConnect() {
    this.setTerminator(["\r\n", "\n"]);
    this.push("Say something, or quit.\r\n");
  }
  protected override foundTerminator() {
    const line = this.takeText();
    this.push(`${line.toUpperCase()}!\r\n`);
    if (line === "quit") this.closeWhenDone();
  }
}

const options = flags(HELP, { port: "7000", hostname: "127.0.0.1" });
await serveChats(options, (conn) => new Shout(conn));
