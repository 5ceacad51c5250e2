/**
 * Intended differences from CPython's asynchat: the same conversation, and both outcomes.
 *
 * The outcomes of asynchat are checked against vectors.json, recorded from the real module.
 */

import type { ChatOptions } from "../../mod.ts";
import type { Conversation, Event, Operation, Outcome } from "./conversation.ts";
import type { ListenerOutcome } from "./oracle.ts";

/** One difference. The outcomes have only the members that matter. */
export interface Difference {
  /** A sentence: our behaviour; that of asynchat. */
  name: string;
  conversation: Conversation;
  python: Partial<Outcome>;
  ours: Partial<Outcome>;
  /** Options of our chat. */
  options?: ChatOptions;
}

const LINES: Operation = ["terminator", "\n"];

/** All differences that a conversation can show. */
export const differences: Difference[] = [
  // --------------------------------------------------------------- closing
  {
    name: "AsyncChat.close() in a hook stops dispatch; asynchat dispatches what it has read",
    conversation: { steps: [[LINES], [["close"]]], chunks: "a\nb\n|c\n" },
    python: { events: [["data", "a"], ["found", "\n"], ["close"], ["data", "b"], ["found", "\n"]] },
    ours: { events: [["data", "a"], ["found", "\n"], ["close"], ["handle_close"]] },
  },
  {
    name: "AsyncChat.close() calls handleClose(); asynchat calls handle_close at the peer's EOF only",
    conversation: { steps: [[LINES], [["close"]]], chunks: "a\n" },
    python: { events: [["data", "a"], ["found", "\n"], ["close"]] },
    ours: { events: [["data", "a"], ["found", "\n"], ["close"], ["handle_close"]] },
  },
  {
    name: "AsyncChat.close() drops pushes of the same turn; asynchat has sent some in push()",
    conversation: { steps: [[LINES], [["push", "bye"], ["close"]]], chunks: "a\n" },
    python: { sent: "bye" },
    ours: { sent: "" },
  },
  {
    name: "AsyncChat.push() after close() drops the data and returns false; asynchat drops it",
    conversation: { steps: [[LINES], [["close"], ["push_noted", "late"]]], chunks: "a\n" },
    python: { events: [["data", "a"], ["found", "\n"], ["close"], ["pushed", null]], sent: "" },
    ours: {
      events: [["data", "a"], ["found", "\n"], ["close"], ["pushed", false], ["handle_close"]],
      sent: "",
    },
  },
  {
    name: "AsyncChat.closeWhenDone() stops dispatch; asynchat dispatches until the queue is sent",
    conversation: {
      steps: [[LINES], [["push", "bye"], ["close_when_done"]]],
      chunks: "a\nb\n|c\nd",
      writes: [0],
      takes: [0, 3],
    },
    python: {
      events: [
        ["data", "a"],
        ["found", "\n"],
        ["close_when_done"],
        ["data", "b"],
        ["found", "\n"],
        ["data", "c"],
        ["found", "\n"],
        ["data", "d"],
        ["handle_close"],
      ],
      sent: "bye",
    },
    ours: { events: [["data", "a"], ["found", "\n"], ["close_when_done"], ["handle_close"]], sent: "bye" },
  },
  {
    name: "AsyncChat.closeWhenDone() with an empty queue closes at once; asynchat at the next event",
    conversation: { steps: [[LINES, ["close_when_done"]]], chunks: "a\n" },
    python: { events: [["close_when_done"], ["data", "a"], ["found", "\n"], ["handle_close"]] },
    ours: { events: [["close_when_done"], ["handle_close"]] },
  },
  {
    name: "AsyncChat.push() after closeWhenDone() drops the data and returns false; asynchat drops it",
    conversation: { steps: [[LINES], [["close_when_done"], ["push_noted", "late"]]], chunks: "a\n" },
    python: {
      events: [["data", "a"], ["found", "\n"], ["close_when_done"], ["handle_close"], ["pushed", null]],
      sent: "",
    },
    ours: {
      events: [["data", "a"], ["found", "\n"], ["close_when_done"], ["pushed", false], ["handle_close"]],
      sent: "",
    },
  },
  {
    name: "AsyncChat.discardBuffers() does not cancel closeWhenDone(); asynchat forgets it",
    conversation: {
      steps: [[LINES], [["push", "abc"], ["close_when_done"], ["discard_buffers"]]],
      chunks: "a\n|b\n",
      writes: [0],
      takes: [0],
    },
    python: {
      events: [["data", "a"], ["found", "\n"], ["close_when_done"], ["data", "b"], ["found", "\n"], ["handle_close"]],
    },
    ours: { events: [["data", "a"], ["found", "\n"], ["close_when_done"], ["handle_close"]] },
  },
  // -------------------------------------------------------- the peer's EOF
  {
    name: "AsyncChat.collectIncomingData() gets a partial terminator at EOF; asynchat loses it",
    conversation: { steps: [[["terminator", "\r\n\r\n"]]], chunks: "ab\r\n|\r" },
    python: { events: [["data", "ab"], ["handle_close"]] },
    ours: { events: [["data", "ab\r\n\r"], ["handle_close"]] },
  },
  {
    name: "AsyncChat flushes after the peer's EOF; asynchat closes",
    conversation: { steps: [[LINES], [["push", "reply"]]], chunks: "a\n", hasty: true, writes: [0], takes: [1] },
    python: { events: [["data", "a"], ["found", "\n"], ["handle_close"]], sent: "r" },
    ours: { events: [["data", "a"], ["found", "\n"], ["handle_close"]], sent: "reply" },
  },
  {
    name: "AsyncChat dispatches what the peer sent before it closed; asynchat stops at a failed send",
    conversation: { steps: [[LINES], [["push", "x"]]], chunks: "a\nb\n|c\n", takes: [-1] },
    python: { events: [["data", "a"], ["found", "\n"], ["handle_close"], ["data", "b"], ["found", "\n"]] },
    ours: {
      events: [
        ["data", "a"],
        ["found", "\n"],
        ["data", "b"],
        ["found", "\n"],
        ["data", "c"],
        ["found", "\n"],
        ["handle_close"],
      ],
    },
  },
  {
    name: "AsyncChat passes a network error to handleClose() only; asynchat calls handle_error first",
    conversation: { steps: [[LINES]], chunks: "a\nb", fault: "ETIMEDOUT" },
    python: { events: [["data", "a"], ["found", "\n"], ["data", "b"], ["error", "TimeoutError"], ["handle_close"]] },
    ours: { events: [["data", "a"], ["found", "\n"], ["data", "b"], ["handle_close"]] },
  },
  // -------------------------------------------------------------- framing
  {
    name: "AsyncChat without a terminator fails before the first read; asynchat at the first data",
    conversation: { steps: [[]], chunks: "a\n" },
    python: { events: [["error", "AttributeError"], ["handle_close"]] },
    ours: { events: [["error", "TypeError"], ["handle_close"]] },
  },
  {
    name: "AsyncChat.setTerminator(0) is an empty frame; asynchat is raw",
    conversation: {
      steps: [[LINES], [["terminator", 0], ["note_terminator"]], [["note_terminator"], LINES]],
      chunks: "0\nab\n",
    },
    python: {
      events: [["data", "0"], ["found", "\n"], ["terminator", null], ["data", "ab\n"], ["handle_close"]],
      terminator: null,
    },
    ours: {
      events: [
        ["data", "0"],
        ["found", "\n"],
        ["terminator", 0],
        ["found", null],
        ["terminator", null],
        ["data", "ab"],
        ["found", "\n"],
        ["handle_close"],
      ],
      terminator: "\n",
    },
  },
  {
    name: "AsyncChat.setTerminator() of no bytes throws a TypeError; asynchat is raw",
    conversation: { steps: [[LINES], [["terminator", ""]]], chunks: "a\nb\n" },
    python: { events: [["data", "a"], ["found", "\n"], ["data", "b\n"], ["handle_close"]], terminator: null },
    ours: { events: [["data", "a"], ["found", "\n"], ["error", "TypeError"], ["handle_close"]], terminator: "\n" },
  },
  {
    name: "AsyncChat.setTerminator() throws a RangeError for a negative count; asynchat a ValueError",
    conversation: { steps: [[["terminator", -1]]], chunks: "a\n" },
    python: { events: [["error", "ValueError"], ["handle_close"]] },
    ours: { events: [["error", "RangeError"], ["handle_close"]] },
  },
  {
    name: "AsyncChat.setTerminator() in a data hook applies at once; asynchat may find the old one",
    conversation: { steps: [[["terminator", "\r\n"]]], onData: [[LINES]], chunks: "ab\r\ncd\n" },
    python: { events: [["data", "ab"], ["found", "\n"], ["data", "cd"], ["found", "\n"], ["handle_close"]] },
    ours: { events: [["data", "ab\r"], ["found", "\n"], ["data", "cd"], ["found", "\n"], ["handle_close"]] },
  },
  {
    name: "AsyncChat.setTerminator() in a data hook replaces a count; asynchat ends the old count",
    conversation: { steps: [[["terminator", 5]]], onData: [[["terminator", 3]]], chunks: "abcdefghijklm" },
    python: { events: [["data", "abcde"], ["found", null], ["data", "fghijklm"], ["handle_close"]] },
    ours: { events: [["data", "abcdefgh"], ["found", null], ["data", "ijklm"], ["handle_close"]] },
  },
  {
    name: "AsyncChat.setTerminator() in a data hook counts from the next byte; asynchat from before",
    conversation: { steps: [[["terminator", 5]]], onData: [[["terminator", 9]]], chunks: "abc|defghijklm" },
    python: { events: [["data", "abcdefghi"], ["found", null], ["data", "jklm"], ["handle_close"]] },
    ours: { events: [["data", "abcdefghijkl"], ["found", null], ["data", "m"], ["handle_close"]] },
  },
  {
    name: "AsyncChat.setTerminator() in a data hook ends a pending count; asynchat subtracts from it",
    conversation: { steps: [[["terminator", 5]]], onData: [[LINES]], chunks: "abc|de\nfg\n" },
    python: { events: [["data", "abc"], ["error", "TypeError"], ["handle_close"]] },
    ours: { events: [["data", "abcde"], ["found", "\n"], ["data", "fg"], ["found", "\n"], ["handle_close"]] },
  },
  {
    name: "AsyncChat.getTerminator() in a data hook has counted its data; asynchat counts it later",
    conversation: { steps: [[["terminator", 5]]], onData: [[["note_terminator"]]], chunks: "abc|de" },
    python: { events: [["data", "abc"], ["terminator", 5], ["data", "de"], ["found", null], ["handle_close"]] },
    ours: { events: [["data", "abc"], ["terminator", 2], ["data", "de"], ["found", null], ["handle_close"]] },
  },
  // --------------------------------------------------------------- limits
  {
    name: "AsyncChat closes when a frame is too long; asynchat has no limit",
    conversation: { steps: [[LINES]], chunks: "0123456789\nok\n" },
    python: { events: [["data", "0123456789"], ["found", "\n"], ["data", "ok"], ["found", "\n"], ["handle_close"]] },
    ours: { events: [["data", "01234567"], ["handle_close"]] },
    options: { maxFrameBytes: 8 },
  },
  {
    name: "AsyncChat closes when a count is above the limit; asynchat waits for it",
    conversation: { steps: [[LINES], [["terminator", 9]]], chunks: "9\n012345678ab" },
    python: {
      events: [["data", "9"], ["found", "\n"], ["data", "012345678"], ["found", null], ["data", "ab"], [
        "handle_close",
      ]],
    },
    ours: { events: [["data", "9"], ["found", "\n"], ["handle_close"]] },
    options: { maxFrameBytes: 8 },
  },
  {
    name: "AsyncChat stops dispatch above highWaterMark; asynchat queues without limit",
    conversation: {
      steps: [[LINES], ...Array.from({ length: 6 }, (): Operation[] => [["push", "reply"], ["note_queue"]])],
      chunks: "\n\n\n|\n\n\n",
      writes: [0],
      takes: [0, 0, 0, 0, 0, 0, 0, 0, 9],
    },
    python: { events: slowPeer([5, 10, 15, 20, 25, 30]), sent: "reply".repeat(6) },
    // Above 8 bytes it waits; a write then takes 9 bytes.
    ours: { events: slowPeer([5, 10, 6, 11, 6, 11]), sent: "reply".repeat(6) },
    options: { highWaterMark: 8 },
  },
  {
    name: "AsyncChat closes when the queue exceeds its limit; asynchat has no limit",
    conversation: { steps: [[LINES], [["push", "0123456789"]]], chunks: "a\nb\n" },
    python: {
      events: [["data", "a"], ["found", "\n"], ["data", "b"], ["found", "\n"], ["handle_close"]],
      sent: "0123456789",
    },
    ours: { events: [["data", "a"], ["found", "\n"], ["handle_close"]], sent: "" },
    options: { maxBufferedBytes: 8 },
  },
  // -------------------------------------------------------------- sending
  {
    name: "AsyncChat.push() encodes text as UTF-8; asynchat raises TypeError",
    conversation: { steps: [[LINES], [["push_text", "hé"]]], chunks: "a\n" },
    python: { events: [["data", "a"], ["found", "\n"], ["error", "TypeError"], ["handle_close"]], sent: "" },
    ours: { events: [["data", "a"], ["found", "\n"], ["handle_close"]], sent: "h\xc3\xa9" },
  },
  {
    name: "AsyncChat pulls a producer after the turn; asynchat in push_with_producer()",
    conversation: { steps: [[LINES], [["produce_throwing"]]], chunks: "a\nb\n|c\n" },
    python: { events: [["data", "a"], ["found", "\n"], ["error", "RuntimeError"], ["handle_close"]] },
    ours: {
      events: [
        ["data", "a"],
        ["found", "\n"],
        ["data", "b"],
        ["found", "\n"],
        ["error", "RuntimeError"],
        ["handle_close"],
      ],
    },
  },
  {
    name: "SimpleProducer rejects a buffer size of 0; asynchat's sends nothing",
    conversation: { steps: [[LINES], [["produce_simple", "abc", 0]]], chunks: "a\n" },
    python: { events: [["data", "a"], ["found", "\n"], ["handle_close"]], sent: "" },
    ours: { events: [["data", "a"], ["found", "\n"], ["error", "RangeError"], ["handle_close"]], sent: "" },
  },
  // ------------------------------------------------------- hooks that throw
  {
    name: "AsyncChat does not repeat data after collectIncomingData() threw; asynchat does",
    conversation: { steps: [[LINES]], onData: [[["throw"]]], chunks: "a\nb\n|c\n", goesOn: true },
    python: {
      events: [
        ["data", "a"],
        ["error", "RuntimeError"],
        ["data", "a"],
        ["found", "\n"],
        ["data", "b"],
        ["found", "\n"],
        ["data", "c"],
        ["found", "\n"],
        ["handle_close"],
      ],
    },
    ours: {
      events: [
        ["data", "a"],
        ["error", "RuntimeError"],
        ["found", "\n"],
        ["data", "b"],
        ["found", "\n"],
        ["data", "c"],
        ["found", "\n"],
        ["handle_close"],
      ],
    },
  },
  {
    name: "AsyncChat.handleClose() is called last after a throw; asynchat dispatches more frames",
    conversation: { steps: [[LINES], [["throw"]]], chunks: "a\nb\n", goesOn: true },
    python: {
      events: [
        ["data", "a"],
        ["found", "\n"],
        ["error", "RuntimeError"],
        ["handle_close"],
        ["data", "b"],
        ["found", "\n"],
      ],
    },
    ours: {
      events: [
        ["data", "a"],
        ["found", "\n"],
        ["error", "RuntimeError"],
        ["data", "b"],
        ["found", "\n"],
        ["handle_close"],
      ],
    },
  },
];

function slowPeer(queued: number[]): Event[] {
  return [...queued.flatMap((bytes): Event[] => [["found", "\n"], ["queued", bytes]]), ["handle_close"]];
}

/** A difference of listeners: each `accept()` returns a connection of this name, or fails with this errno. */
export interface ListenerDifference {
  name: string;
  outcomes: string[];
  python: ListenerOutcome;
  ours: ListenerOutcome;
}

/** All differences of listeners. The accepting hook throws at the connection named "throw". */
export const listeners: ListenerDifference[] = [
  {
    name: "serve() survives too many open files; asyncore closes the listener",
    outcomes: ["first", "EMFILE", "last"],
    python: { events: [["accepted", "first"], ["error", "OSError"]], listening: false },
    ours: { events: [["accepted", "first"], ["error", "OSError"], ["accepted", "last"]], listening: true },
  },
  {
    name: "serve() survives a connection that was reset in the backlog; asyncore closes the listener",
    outcomes: ["first", "ECONNRESET", "last"],
    python: { events: [["accepted", "first"], ["error", "ConnectionResetError"]], listening: false },
    ours: { events: [["accepted", "first"], ["error", "ConnectionResetError"], ["accepted", "last"]], listening: true },
  },
  {
    name: "serve() survives a factory that throws; asyncore closes the listener",
    outcomes: ["first", "throw", "last"],
    python: { events: [["accepted", "first"], ["accepted", "throw"], ["error", "RuntimeError"]], listening: false },
    ours: {
      events: [["accepted", "first"], ["accepted", "throw"], ["error", "RuntimeError"], ["accepted", "last"]],
      listening: true,
    },
  },
];
