/** What is measured: (a) to (e) over loopback, between processes; (f) and (g) in memory. */

import { AsyncChat, type ChatConn } from "@asynchat/asynchat";
import { seededRandom } from "@asynchat/asynchat/testing";
import { Peer, run } from "./peers.ts";

/** How long things are measured. */
export interface Effort {
  rounds: number;
  seconds: number;
  /** Where the programs have been built. */
  built: string;
}

/** One line of a table: what every peer did in one setting, a figure a round. */
export interface Row {
  scenario: string;
  setting: string;
  unit: string;
  /** Whether less is better. */
  isCost?: boolean;
  figures: Record<string, number[]>;
}

type Setting = { setting: string; what: Record<string, string[]>; measure: (peer: Peer) => Promise<number> };

/** Measures every peer in turn, round after round, so that what the machine does meanwhile falls on all of them. */
async function alternate(scenario: string, unit: string, effort: Effort, at: Setting, isCost = false): Promise<Row> {
  const peers: Peer[] = [];
  const row: Row = { scenario, setting: at.setting, unit, isCost, figures: {} };
  try {
    for (const name in at.what) {
      const peer = await Peer.start(name, at.what[name]!, effort.built);
      if (peer !== null) peers.push(peer);
    }
    for (let round = 0; round < effort.rounds; round++) {
      for (const peer of peers) (row.figures[peer.name] ??= []).push(await at.measure(peer));
    }
  } finally {
    for (const peer of peers) await peer[Symbol.asyncDispose]();
  }
  return row;
}

interface Pattern {
  bytes: Uint8Array;
  frames: number;
  data: number;
}

/** About a MiB of lines whose lengths are random around `mean`. */
export function lines(mean: number, terminator: string): Pattern {
  const random = seededRandom(mean);
  const end = new TextEncoder().encode(terminator);
  const bytes = new Uint8Array(1_048_576 + 3 * mean);
  const pattern = { bytes, frames: 0, data: 0 };
  let at = 0;
  while (at < 1_048_576) {
    const length = Math.floor(random() * (2 * mean + 1));
    for (let i = 0; i < length; i++) bytes[at++] = 0x20 + (i * 7 + length) % 95;
    bytes.set(end, at);
    at += end.length;
    pattern.frames++;
    pattern.data += length;
  }
  return { ...pattern, bytes: bytes.subarray(0, at) };
}

/** About a MiB of frames of `length` bytes, each behind its length in four bytes. */
function counted(length: number): Pattern {
  const frames = Math.ceil(1_048_576 / (length + 4));
  const bytes = new Uint8Array(frames * (length + 4)).fill(0x61);
  const view = new DataView(bytes.buffer);
  for (let i = 0; i < frames; i++) view.setUint32(i * (length + 4), length);
  return { bytes, frames, data: frames * length };
}

/** Sends a pattern for a while; million frames a second, if the peer has counted right. The bare loop counts bytes. */
function stream(pattern: Pattern, effort: Effort): (peer: Peer) => Promise<number> {
  return async (peer) => {
    const said = await run(`${effort.built}/load`, ["stream", `${peer.port}`, `${effort.seconds}`], pattern.bytes);
    const [seconds, patterns, frames, bytes] = said.trim().split(" ").map(Number) as [number, number, number, number];
    const isRight = peer.name === "bare Deno loop"
      ? bytes === patterns * pattern.bytes.length
      : frames === patterns * pattern.frames && bytes === patterns * pattern.data;
    if (!isRight) throw new Error(`${peer.name} has counted ${frames} frames, ${bytes} bytes in ${patterns} patterns`);
    return patterns * pattern.frames / seconds / 1e6;
  };
}

/** (a) Lines into a sink that counts. */
export async function* a(effort: Effort): AsyncGenerator<Row> {
  for (const [end, terminator] of [["crlf", "\r\n"], ["lf", "\n"]] as const) {
    for (const mean of [8, 40, 200, 2_000, 20_000]) {
      const what = {
        "us, range": ["range", end],
        "us, view": ["view", end],
        "us, data": ["data", end],
        "us, text": ["text", end],
        "bare Deno loop": ["bare"],
        "Go": ["sink"],
        "libevent": ["sink", end],
        "node:net, indexOf": ["sink", end],
        "node:net, readline": ["readline"],
        "std DelimiterStream": ["delimiter", end],
        "std TextLineStream": ["lines"],
        "asyncio streams": ["sink", end],
        "asynchat": ["sink", end],
      };
      const setting = `${mean} B, ${end}`;
      const measure = stream(lines(mean, terminator), effort);
      yield await alternate("a", "M frames/s", effort, { setting, what, measure });
    }
  }
}

/** (b) Four bytes that say how many follow, and those. */
export async function* b(effort: Effort): AsyncGenerator<Row> {
  const what = {
    "us": ["sink4"],
    "Go": ["sink4"],
    "node:net": ["sink4"],
    "asynchat": ["sink4"],
    "bare Deno loop": ["bare"],
  };
  for (const length of [16, 4_096]) {
    const measure = stream(counted(length), effort);
    yield await alternate("b", "M frames/s", effort, { setting: `${length} B`, what, measure });
  }
}

/** (c) Lines that come back. */
export async function* c(effort: Effort): AsyncGenerator<Row> {
  const what = { "us": ["echo"], "bare Deno loop": ["bare-echo"], "node:net": ["echo"], "asynchat": ["echo"] };
  for (const conns of [1, 64]) {
    for (const flight of [1, 64]) {
      const measure = async (peer: Peer) => {
        const args = ["echo", `${peer.port}`, `${effort.seconds}`, `${conns}`, `${flight}`];
        const [count, seconds] = (await run(`${effort.built}/load`, args)).split(" ").map(Number) as [number, number];
        return count / seconds / 1e3;
      };
      const setting = `${conns} connection${conns > 1 ? "s" : ""}, ${flight} in flight`;
      yield await alternate("c", "k lines/s", effort, { setting, what, measure });
    }
  }
}

const PIPELINE = `
init = function(args)
  local requests = {}
  for i = 1, 16 do requests[i] = wrk.format("GET", "/kongxx") end
  all = table.concat(requests)
end
request = function() return all end
`;

/** (d) The greeter under wrk: processor time a request, and requests a second. */
export async function* d(effort: Effort): AsyncGenerator<Row> {
  const what = {
    "us": ["greet"],
    "bare Deno loop": ["bare-greet"],
    "Deno.serve": ["serve"],
    "node:http": ["greet"],
    "asynchat": ["greet"],
    "Go": ["greet"],
  };
  const script = `${effort.built}/pipeline.lua`;
  await Deno.writeTextFile(script, PIPELINE);
  const ways = { "keep-alive": [], "16 deep": ["-s", script], "a connection each": ["-H", "Connection: close"] };
  for (const [setting, more] of Object.entries(ways)) {
    const rates: Record<string, number[]> = {};
    const measure = async (peer: Peer) => {
      const before = peer.cpuSeconds();
      const seconds = Math.max(1, Math.ceil(effort.seconds));
      const args = ["-t1", "-c64", `-d${seconds}s`, ...more, `http://127.0.0.1:${peer.port}/kongxx`];
      const said = await run("wrk", args);
      if (/Non-2xx|Socket errors: connect [^0]/.test(said)) throw new Error(`${peer.name}: ${said}`);
      const count = Number(/([0-9]+) requests in/.exec(said)![1]);
      (rates[peer.name] ??= []).push(Number(/Requests\/sec:\s+([0-9.]+)/.exec(said)![1]) / 1e3);
      return (peer.cpuSeconds() - before) * 1e6 / count;
    };
    yield await alternate("d", "CPU µs/request", effort, { setting, what, measure }, true);
    yield { scenario: "d", setting, unit: "k requests/s", figures: rates };
  }
}

const IDLE = 8_000;

/** (e) Many connections, a line on each, then silence: the time that takes, and the memory of each a minute later. */
export async function* e(effort: Effort): AsyncGenerator<Row> {
  const what = { "us": ["echo"], "bare Deno loop": ["bare-echo"], "node:net": ["echo"], "asynchat": ["echo"] };
  const memory: Record<string, number[]> = {};
  const measure = async (peer: Peer) => {
    const before = peer.residentBytes();
    const args = ["idle", `${peer.port}`, `${IDLE}`];
    const load = new Deno.Command(`${effort.built}/load`, { args, stdin: "piped", stdout: "piped" }).spawn();
    const { value } = await load.stdout.pipeThrough(new TextDecoderStream()).getReader().read();
    if (peer.name === "us" || peer.name === "bare Deno loop") await quiet();
    (memory[peer.name] ??= []).push((peer.residentBytes() - before) / IDLE / 1024);
    await load.stdin.close();
    await load.status;
    return Number(value);
  };
  const setting = `${IDLE} connections`;
  yield await alternate("e", "s", { ...effort, rounds: 1 }, { setting, what, measure }, true);
  yield { scenario: "e", setting, unit: "KiB each", isCost: true, figures: memory };
}

/** V8 gives back the part of its young generation that it does not need after half a minute without work. */
const quiet = () => new Promise((resolve) => setTimeout(resolve, 35_000));

/** A connection from which a pattern comes, in pieces of a size or as large as they are asked for. */
function comes(pattern: Uint8Array, total: number, size = Infinity): ChatConn {
  let sent = 0;
  return {
    read(into) {
      if (sent >= total) return Promise.resolve(null);
      const at = sent % pattern.length;
      const count = Math.min(into.length, size, pattern.length - at, total - sent);
      into.set(pattern.subarray(at, at + count));
      sent += count;
      return Promise.resolve(count);
    },
    write: (data) => Promise.resolve(data.length),
    close() {},
  };
}

class Sink extends AsyncChat {
  protected override handleConnect() {
    this.setTerminator("\r\n", { maxFrameBytes: 2 ** 28 });
  }
  protected override foundTerminator() {
    this.takeData();
  }
}

class RangeSink extends Sink {
  protected override collectIncomingRange() {}
}

async function secondsFor(Chat: typeof Sink, conn: ChatConn): Promise<number> {
  const began = performance.now();
  await new Chat(conn, { maxFrameBytes: 2 ** 28 }).run();
  return (performance.now() - began) / 1e3;
}

/** (f) The lines of (a) without sockets. */
export async function* f(effort: Effort): AsyncGenerator<Row> {
  for (const mean of [8, 40, 200, 2_000, 20_000]) {
    const { bytes, frames } = lines(mean, "\r\n");
    const patterns = Math.ceil(200 * effort.seconds);
    const figures: Row["figures"] = { "us, range": [], "us, data": [] };
    for (let round = 0; round < effort.rounds; round++) {
      for (const [name, Chat] of [["us, range", RangeSink], ["us, data", Sink]] as const) {
        const seconds = await secondsFor(Chat, comes(bytes, patterns * bytes.length));
        figures[name]!.push(patterns * frames / seconds / 1e6);
      }
    }
    yield { scenario: "f", setting: `${mean} B, crlf`, unit: "M frames/s", figures };
  }
}

/** (g) One frame that grows: the time for each of its bytes. */
export async function* g(effort: Effort): AsyncGenerator<Row> {
  const settings = [[1, 1_460], [4, 1_460], [16, 1_460], [64, 1_460], [1, 1]] as const;
  for (const [mib, size] of settings) {
    const length = mib * 1_048_576;
    const frame = new Uint8Array(length + 2).fill(0x61);
    frame.set([13, 10], length);
    const figures: number[] = [];
    for (let round = 0; round < effort.rounds; round++) {
      figures.push(await secondsFor(Sink, comes(frame, frame.length, size)) * 1e9 / length);
    }
    const setting = `${mib} MiB, ${size} B at a time`;
    yield { scenario: "g", setting, unit: "ns/byte", isCost: true, figures: { us: figures } };
  }
}
