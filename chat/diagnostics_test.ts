import { assertEquals } from "@std/assert";
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { scriptedConn } from "../testing/mod.ts";
import { Recorder } from "../tests/recorder.ts";

Deno.test("AsyncChat publishes its beginning, its errors and its end", async () => {
  const seen: [string | symbol, unknown][] = [];
  const listen = (message: unknown, name: string | symbol) => seen.push([name, message]);
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
    assertEquals(seen.map(([name]) => name), names);
    assertEquals(seen.map(([, message]) => (message as { chat: unknown }).chat === chat), [true, true, true]);
    assertEquals((seen[1]![1] as { error: unknown }).error, error);
    assertEquals((seen[2]![1] as { reason: unknown }).reason, error);
  } finally {
    for (const name of names) unsubscribe(name, listen);
  }
});
