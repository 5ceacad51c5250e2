import { assertEquals } from "@std/assert";
import { type ServerEvent, ServerLifecycle, type ServerState } from "./server_state.ts";

const EVENTS: ServerEvent[] = [
  "limit reached",
  "slot released",
  "resources short",
  "backoff elapsed",
  "stop",
  "all ended",
];

/** What an event leads to; it changes nothing in the states that are left out. */
const EXPECTED: Record<ServerEvent, Partial<Record<ServerState, ServerState>>> = {
  "limit reached": { "accepting": "full" },
  "slot released": { "full": "accepting", "backing off": "accepting" },
  "resources short": { "accepting": "backing off" },
  "backoff elapsed": { "backing off": "accepting" },
  "stop": { "accepting": "draining", "full": "draining", "backing off": "draining" },
  "all ended": { "draining": "finished" },
};

/** The shortest way to each state. */
const WAYS: Record<ServerState, ServerEvent[]> = {
  "accepting": [],
  "full": ["limit reached"],
  "backing off": ["resources short"],
  "draining": ["stop"],
  "finished": ["stop", "all ended"],
};
const STATES = Object.keys(WAYS) as ServerState[];

function after(events: ServerEvent[]): ServerLifecycle {
  const lifecycle = new ServerLifecycle();
  for (const event of events) lifecycle.transition(event);
  return lifecycle;
}

Deno.test("ServerLifecycle changes as expected by every event in every state, and returns whether", () => {
  let transitions = 0;
  for (const state of STATES) {
    for (const event of EVENTS) {
      const lifecycle = after(WAYS[state]);
      assertEquals(lifecycle.state, state);
      const changed = lifecycle.transition(event);
      const next = EXPECTED[event][state] ?? state;
      assertEquals({ state, event, next: lifecycle.state, changed }, { state, event, next, changed: next !== state });
      if (changed) transitions++;
    }
  }
  assertEquals(transitions, 9);
});

Deno.test("ServerLifecycle never accepts again after stop, whatever happens", () => {
  for (const state of STATES) {
    for (const first of EVENTS) {
      for (const second of EVENTS) {
        const lifecycle = after([...WAYS[state], "stop", first, second]);
        assertEquals({ state, first, second, stopped: lifecycle.stopped }, { state, first, second, stopped: true });
      }
    }
  }
  assertEquals(STATES.filter((state) => after(WAYS[state]).stopped), ["draining", "finished"]);
});

Deno.test("ServerLifecycle from every state finishes by stop and the end of all", () => {
  for (const state of STATES) assertEquals(after([...WAYS[state], "stop", "all ended"]).state, "finished", state);
});
