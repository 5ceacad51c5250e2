import { assert, assertEquals } from "@std/assert";
import { isFault, parseRequestHead } from "../../server/http_head.ts";
import { serveGreeter } from "../../server.ts";
import { seededRandom } from "../../testing/mod.ts";
import { mutated, wellFormed } from "./mutate.ts";
import { hasNet } from "../permissions.ts";
import { faultIn, readStream } from "./strict.ts";
import { answersIn, exchange, fromLatin1 } from "./wire.ts";

/** Another run, another seed: what fails says which. */
const SEED = Math.floor(Math.random() * 2 ** 31);
const STATUSES = [400, 414, 431, 501, 505];

Deno.test("parseRequestHead() takes no head of 200,000 mutated ones that a second opinion refuses, and never throws", () => {
  const random = seededRandom(SEED);
  let taken = 0;
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
        taken++;
      }
      if (i % 20 === 0) assert(!isFault(parseRequestHead(fromLatin1(good))), "refused as it was");
    } catch (error) {
      throw new Error(`Seed ${SEED}, number ${i}: ${JSON.stringify(bad)} of ${JSON.stringify(good)}`, { cause: error });
    }
  }
  assert(taken > 20_000 && taken < 180_000, `seed ${SEED}: ${taken} taken`);
});

/** Heads in a row, for one connection: as many as the rules take, and the first that they refuse. */
function* streams(count: number): Generator<string> {
  const random = seededRandom(SEED);
  let stream = "";
  for (let i = 0; i < count; i++) {
    const head = wellFormed(random);
    stream += (random() < 0.1 ? head : mutated(head, random)) + "\r\n\r\n";
    // The end of a connection with nothing wrong, now and then; a head that swallows the next ones says so too.
    if (readStream(stream).end === "end of the stream" && random() < 0.98) continue;
    yield stream;
    stream = "";
  }
  if (stream !== "") yield stream;
}

/** What a greeter may not do with a stream, whatever is in it. */
async function checkStream(port: number, stream: string): Promise<number> {
  const reading = readStream(stream);
  const { text, end } = await exchange(port, fromLatin1(stream));
  assertEquals(end, "end");
  const answers = answersIn(text, reading.methods);
  const greeted = answers.filter(({ status }) => status === 200).length;
  assert(greeted <= reading.methods.length, `${greeted} are greeted, ${reading.methods.length} might be`);
  const refusals = answers.slice(greeted);
  assert(refusals.length <= 1 && refusals.every(({ status }) => status >= 400), "a refusal is the last answer");
  assert(!answers.some(({ body }) => body.includes("smuggled")) || refusals.length === 0);
  if (greeted < reading.methods.length) {
    assertEquals(refusals.length, 1, "it might have been answered, and was not refused");
  }
  return greeted;
}

Deno.test({
  name: "Greeter outlives 20,000 mutated requests, greets none that the rules refuse, and ends or answers every time",
  ignore: !hasNet,
  async fn() {
    await using server = serveGreeter({ port: 0, hostname: "127.0.0.1" });
    const { port } = server.addr as Deno.NetAddr;
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
