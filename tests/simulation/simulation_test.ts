import { assert, assertEquals } from "@std/assert";
import { describeFailure, explore, run } from "./explore.ts";
import { generate } from "./generate.ts";
import { granted } from "../permissions.ts";

/** The fast tests have no permission to run programs. */
const SEEDS = granted({ name: "run", command: "sh" }) ? 2_000 : 300;

Deno.test("A server and its chats keep their invariants in random schedules", async () => {
  for (let seed = 0; seed < SEEDS; seed++) {
    const failure = await explore(seed);
    assertEquals(failure, null, failure === null ? "" : describeFailure(failure));
  }
});

Deno.test("A schedule depends on its seed alone", () => {
  assertEquals(generate(7), generate(7));
  assert(JSON.stringify(generate(7)) !== JSON.stringify(generate(8)));
});

Deno.test("A schedule that violates an invariant is reported with the invariant", async () => {
  const { server } = generate(1);
  const error = await run({ seed: 1, server: { ...server, drainTimeoutMs: NaN }, steps: generate(1).steps });
  assert(error !== null);
});
