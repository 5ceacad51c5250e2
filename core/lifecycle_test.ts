import { assert, assertEquals } from "@std/assert";
import { type Action, Lifecycle, type Phase } from "./lifecycle.ts";

const CAUSE = new Error("cause");

/** Each event of a connection's life. */
const EVENTS = {
  run: (life: Lifecycle) => life.run(),
  hookStarted: (life: Lifecycle) => life.hookStarted(),
  hookSettled: (life: Lifecycle) => life.hookSettled(),
  endOutput: (life: Lifecycle) => life.endOutput(),
  drain: (life: Lifecycle) => life.drain(CAUSE),
  outputFinished: (life: Lifecycle) => life.outputFinished(),
  outputFailed: (life: Lifecycle) => life.outputFailed(CAUSE),
  connectionLost: (life: Lifecycle) => life.connectionLost(CAUSE),
  inputFinished: (life: Lifecycle) => life.inputFinished(),
  inputFailed: (life: Lifecycle) => life.inputFailed(CAUSE),
  close: (life: Lifecycle) => life.close(CAUSE),
  detach: (life: Lifecycle) => life.detach(),
  lastHookStarted: (life: Lifecycle) => life.lastHookStarted(),
  lastHookSettled: (life: Lifecycle) => life.lastHookSettled(),
} satisfies Record<string, (life: Lifecycle) => Action | void>;
type Event = keyof typeof EVENTS;

/** What has happened around a lifecycle: which events may still come follows from it. */
interface World {
  running: boolean; // the chat was run
  hook: boolean; // a hook is pending
  outputEnded: boolean;
  inputEnded: boolean;
  sealed: number;
  lingering: number;
  ended: number; // "close" or "release" was returned
  lastHook: "no" | "running" | "settled";
}

interface Walk {
  life: Lifecycle;
  world: World;
  phases: Phase[];
}

function play(path: readonly Event[]): Walk {
  const life = new Lifecycle();
  const world: World = {
    running: false,
    hook: false,
    outputEnded: false,
    inputEnded: false,
    sealed: 0,
    lingering: 0,
    ended: 0,
    lastHook: "no",
  };
  const phases = [life.phase];
  for (const event of path) {
    const action = EVENTS[event](life) ?? "none";
    if (event === "run") world.running = true;
    if (event === "hookStarted") world.hook = true;
    if (event === "hookSettled") world.hook = false;
    if (event.startsWith("output") || event === "connectionLost") world.outputEnded = true;
    if (event.startsWith("input")) world.inputEnded = true;
    if (event === "lastHookStarted") world.lastHook = "running";
    if (event === "lastHookSettled") world.lastHook = "settled";
    if (action === "seal output") world.sealed++;
    if (action === "start lingering") world.lingering++;
    if (action === "close" || action === "release") world.ended++;
    phases.push(life.phase);
  }
  return { life, world, phases };
}

/** Whether the parts of a connection can raise the event now. */
function isPossible(event: Event, { life, world }: Walk): boolean {
  switch (event) {
    case "run":
      return !world.running;
    case "hookStarted": // a hook that closed the chat may go on
      return world.running && !world.hook && world.lastHook === "no";
    case "hookSettled":
      return world.hook;
    case "outputFinished":
      return world.running && world.sealed > 0 && !world.outputEnded && !life.closed;
    case "connectionLost":
      return world.running && !life.closed && !life.lost;
    case "outputFailed":
      return world.running && !world.outputEnded && !life.closed;
    case "inputFinished":
    case "inputFailed":
      return world.running && !world.inputEnded && !life.closed;
    case "lastHookStarted":
      return world.running && life.closed && !world.hook && world.lastHook === "no";
    case "lastHookSettled":
      return world.lastHook === "running";
    default: // what an owner may ask at any time
      return true;
  }
}

/** Every state that can be reached, by one of the shortest ways to it. */
function reachable(): Map<string, Walk & { path: Event[] }> {
  const seen = new Map<string, Walk & { path: Event[] }>();
  let paths: Event[][] = [[]];
  while (paths.length > 0) {
    const longer: Event[][] = [];
    for (const path of paths) {
      const walk = play(path);
      const { life, world } = walk;
      const state = [life.phase, life.inputEnded, life.closedDuringHook, life.reason, world];
      const key = JSON.stringify(state.map((part) => part === CAUSE ? "cause" : part ?? null));
      if (seen.has(key)) continue;
      seen.set(key, { ...walk, path });
      for (const event of Object.keys(EVENTS) as Event[]) if (isPossible(event, walk)) longer.push([...path, event]);
    }
    paths = longer;
  }
  return seen;
}

const states = reachable();
const ORDER: Phase[] = ["created", "open", "broken", "draining", "lingering", "closed", "finished"];

Deno.test("Lifecycle reaches every phase, and never goes back", () => {
  for (const { phases, path } of states.values()) {
    const at = phases.map((phase) => ORDER.indexOf(phase));
    assertEquals(at, at.toSorted((a, b) => a - b), path.join());
  }
  assertEquals(new Set([...states.values()].map(({ life }) => life.phase)), new Set(ORDER));
});

Deno.test("Lifecycle seals once, ends once, and lingers once a phase", () => {
  for (const { life, world, path } of states.values()) {
    assert(world.sealed <= 1 && world.ended <= 1 && world.lingering <= 2, path.join());
    assertEquals(life.closed, world.ended === 1, path.join());
    if (life.phase === "lingering") assert(world.lingering > 0, path.join());
  }
});

Deno.test("Lifecycle in every closing state ends with the hook, the output and the input", () => {
  for (const { life, world, path } of states.values()) {
    if (!life.closing || !world.running) continue;
    const rest = [...path];
    for (const event of ["hookSettled", "outputFinished", "inputFinished"] as const) {
      if (isPossible(event, play(rest))) rest.push(event);
    }
    assert(play(rest).life.closed, `${path} then ${rest.slice(path.length)}`);
  }
});

Deno.test("Lifecycle does not seal the output while a hook is running that may still push", () => {
  for (const { world, path } of states.values()) {
    if (!world.hook || world.sealed === 0) continue;
    // Sealed before the hook started, by endOutput, or by a drain while no hook was running.
    const started = path.lastIndexOf("hookStarted");
    const sealedBefore = play(path.slice(0, started)).world.sealed === 1;
    assert(sealedBefore || path.slice(started).includes("endOutput"), path.join());
  }
});

Deno.test("Lifecycle keeps the first reason, and has one where an error ended it", () => {
  for (const { life, path } of states.values()) {
    if (path.some((event) => event === "outputFailed")) assertEquals(life.reason, CAUSE, path.join());
    if (life.reason === undefined) continue;
    const after = play([...path, "close", "inputFailed"]);
    assertEquals(after.life.reason, life.reason, path.join());
  }
  const life = new Lifecycle();
  life.closeFailed(CAUSE);
  life.closeFailed(new Error("second"));
  assertEquals(life.reason, CAUSE);
});

Deno.test("Lifecycle changes phase by these events and no others", () => {
  const transitions = new Map<string, Set<Event>>();
  let events = 0;
  for (const walk of states.values()) {
    for (const event of Object.keys(EVENTS) as Event[]) {
      if (!isPossible(event, walk)) continue;
      events++;
      const { phase } = play([...walk.path, event]).life;
      if (phase === walk.life.phase) continue;
      const transition = `${walk.life.phase} -> ${phase}`;
      transitions.set(transition, (transitions.get(transition) ?? new Set()).add(event));
    }
  }
  const CLOSES = ["close", "detach"] as const;
  assertEquals(
    Object.fromEntries([...transitions].map(([transition, by]) => [transition, [...by].sort()])),
    {
      "created -> open": ["run"],
      "created -> draining": ["drain"],
      "created -> closed": [...CLOSES],
      "open -> broken": ["connectionLost", "outputFailed"],
      "open -> draining": ["drain"],
      "open -> lingering": ["drain"],
      "open -> closed": ["close", "connectionLost", "detach", "drain", "inputFailed", "outputFailed"],
      "broken -> draining": ["drain"],
      "broken -> lingering": ["drain"],
      "broken -> closed": [...CLOSES, "inputFailed", "inputFinished"],
      "draining -> lingering": ["hookSettled", "outputFinished"],
      "draining -> closed": [
        "close",
        "connectionLost",
        "detach",
        "hookSettled",
        "inputFailed",
        "inputFinished",
        "outputFailed",
        "outputFinished",
      ],
      "lingering -> closed": [...CLOSES, "inputFailed", "inputFinished"],
      "closed -> finished": ["lastHookSettled"],
    },
  );
  assert(states.size > 100 && events > 500, `${states.size} states, ${events} transitions`);
});
