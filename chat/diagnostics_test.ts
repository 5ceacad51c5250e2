import { assertEquals } from "@std/assert";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { scriptedConn } from "../testing/mod.ts";
import { Recorder } from "../tests/recorder.ts";

Deno.test("AsyncChat publishes connect, error and close on its diagnostics channels", async () => {
  const published: [name: string | symbol, message: unknown][] = [];
  const listen = (message: unknown, name: string | symbol) => published.push([name, message]);
  const names = ["asynchat:connect", "asynchat:error", "asynchat:close"];
  for (const name of names) subscribe(name, listen);
  try {
    const { conn, written } = scriptedConn(["a\r\n"]);
    const chat = new Recorder(conn);
    const error = new Error("boom");
    chat.onFrame = () => {
      throw error;
    };
    await chat.run();
    await written;
    assertEquals(published.map(([name]) => name), names);
    assertEquals(published.map(([, message]) => (message as { chat: unknown }).chat === chat), [true, true, true]);
    assertEquals((published[1]![1] as { error: unknown }).error, error);
    assertEquals((published[2]![1] as { reason: unknown }).reason, error);
  } finally {
    for (const name of names) unsubscribe(name, listen);
  }
});
