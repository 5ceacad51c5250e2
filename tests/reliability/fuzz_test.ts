import { assert, assertEquals } from "@std/assert";
import { isFault, parseRequestHead } from "../../server/http_head.ts";
import { serveGreeter } from "../../server.ts";
import { seededRandom } from "../../testing/mod.ts";
import { mutated, wellFormed } from "./mutate.ts";
import { local, portOf } from "../local_server.ts";
import { hasNet } from "../permissions.ts";
import { faultIn, readStream } from "./strict.ts";
import { answersIn, exchange, fromLatin1 } from "./wire.ts";

/** A new seed each run; failures report it. */
const SEED = Math.floor(Math.random() * 2 ** 31);
const STATUSES = [400, 414, 431, 501, 505];

Deno.test("parseRequestHead() accepts none of 200,000 mutated heads that strict.ts rejects", () => {
  const random = seededRandom(SEED);
  let accepted = 0;
  for (let i = 0; i < 200_000; i++) {
    const good = wellFormed(random);
    const bad = mutated(good, random);
    try {
      const head = parseRequestHead(fromLatin1(bad));
      const fault = faultIn(bad);
      if (isFault(head)) {
        assert(STATUSES.includes(head.status), `${head.status}`);
      } else {
        assertEquals(fault, null);
        accepted++;
      }
      if (i % 20 === 0) assert(!isFault(parseRequestHead(fromLatin1(good))), "rejected the original");
    } catch (error) {
      throw new Error(`Seed ${SEED}, number ${i}: ${JSON.stringify(bad)} of ${JSON.stringify(good)}`, { cause: error });
    }
  }
  assert(accepted > 20_000 && accepted < 180_000, `seed ${SEED}: ${accepted} accepted`);
});

/** Streams of heads, one a connection: valid ones, then the first invalid one. */
function* streams(count: number): Generator<string> {
  const random = seededRandom(SEED);
  let stream = "";
  for (let i = 0; i < count; i++) {
    const head = wellFormed(random);
    stream += (random() < 0.1 ? head : mutated(head, random)) + "\r\n\r\n";
    // Valid streams end at random, as does one whose head takes in the next heads as content.
    if (readStream(stream).end === "end of the stream" && random() < 0.98) continue;
    yield stream;
    stream = "";
  }
  if (stream !== "") yield stream;
}

/** Checks the invariants of the answers to any stream; returns the number of greetings. */
async function checkStream(port: number, stream: string): Promise<number> {
  const reading = readStream(stream);
  const { text, end } = await exchange(port, fromLatin1(stream));
  assertEquals(end, "end");
  const answers = answersIn(text, reading.methods);
  const greeted = answers.filter(({ status }) => status === 200).length;
  assert(greeted <= reading.methods.length, `greeted ${greeted} requests, at most ${reading.methods.length} are valid`);
  const rejections = answers.slice(greeted);
  assert(rejections.length <= 1 && rejections.every(({ status }) => status >= 400), "a rejection is the last answer");
  if (rejections[0]?.body === "") assert(stream.includes("HEAD "), "only a rejected HEAD has no page");
  assert(!answers.some(({ body }) => body.includes("smuggled")) || rejections.length === 0);
  if (greeted < reading.methods.length) {
    assertEquals(rejections.length, 1, "a valid request was neither greeted nor rejected");
  }
  return greeted;
}

Deno.test({
  name: "Greeter survives 20,000 mutated requests, greets no invalid one, and always answers",
  ignore: !hasNet,
  async fn() {
    await using server = serveGreeter(local);
    const port = portOf(server);
    let greeted = 0;
    const queue = streams(20_000);
    const client = async () => {
      for (const stream of queue) {
        const sent = stream + "GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n";
        try {
          const more = await checkStream(port, sent);
          greeted += more;
        } catch (error) {
          throw new Error(`Seed ${SEED}: ${JSON.stringify(sent)}`, { cause: error });
        }
      }
    };
    await Promise.all(Array.from({ length: 8 }, client));
    assert(greeted > 4_000, `seed ${SEED}: ${greeted} greeted`);
    assertEquals(Object.keys(server.stats.closes), ["done"], `seed ${SEED}`);
    assertEquals(server.stats.acceptErrors, 0);
  },
});
