import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { serveGreeter } from "../../server.ts";
import { local, portOf } from "../local_server.ts";
import { hasNet } from "../permissions.ts";
import { SHAPES } from "./smuggling.ts";
import { faultIn } from "./strict.ts";
import { answersIn, exchange, fromLatin1 } from "./wire.ts";

const SMUGGLED = "GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n";

Deno.test({
  name: "Greeter answers each shape of request smuggling with its status, and closes if it rejects",
  ignore: !hasNet,
  async fn() {
    await using server = serveGreeter(local);
    const port = portOf(server);
    assert(SHAPES.length > 100);
    for (const [name, bytes, statuses] of SHAPES) {
      const { text, end } = await exchange(port, fromLatin1(bytes + SMUGGLED));
      assertEquals(end, "end", name);
      const answers = answersIn(text);
      assertEquals(answers.map(({ status }) => status), statuses, name);
      const smuggled = answers.map(({ body }) => body.includes("Hello smuggled!"));
      assertEquals(smuggled, statuses.length === 1 ? [false] : [false, true], name);
      if (statuses.length === 1) assertStringIncludes(text, "\r\nConnection: close\r\n", name);
    }
  },
});

Deno.test("faultIn() rejects every shape that the greeter rejects, within its rules", () => {
  // Not covered by strict.ts: the syntax of Host, the size of a number, other schemes.
  const beyond = /^(Host (as|with)|Content-Length above|absolute form of another)/;
  for (const [name, bytes, statuses] of SHAPES) {
    const [head] = bytes.replace(/^(\r\n)+/, "").split("\r\n\r\n") as [string];
    const rejected = [400, 501, 505].includes(statuses[0]!);
    if (!beyond.test(name)) assertEquals(faultIn(head) !== null, rejected, name);
  }
});
