/**
 * Where ours is on purpose not like CPython's asynchat: the same conversation, and what either makes of it.
 *
 * What is said of asynchat is held against vectors.json, which the real module wrote.
 */

import type { ChatOptions } from "../../mod.ts";
import type { Conversation, Event, Operation, Outcome } from "./conversation.ts";
import type { ListenerOutcome } from "./oracle.ts";

/** One difference. Of the outcomes only what matters is given. */
export interface Difference {
  /** A sentence: what ours does, where asynchat does what. */
  name: string;
  conversation: Conversation;
  python: Partial<Outcome>;
  ours: Partial<Outcome>;
  /** How our chat behaves, if not by default. */
  options?: ChatOptions;
}

const LINES: Operation = ["terminator", "\n"];

/** All differences that a conversation can show. */
export const differences: Difference[] = [
  // ---------------------------------------------------------------- ending
  {
    name: "AsyncChat.close() in a hook ends the telling of frames, where asynchat tells those that have been read",
    conversation: { steps: [[LINES], [["close"]]], chunks: "a\nb\n|c\n" },
    python: { events: [["data", "a"], ["found", "\n"], ["close"], ["data", "b"], ["found", "\n"]] },
    ours: { events: [["data", "a"], ["found", "\n"], ["close"], ["handle_close"]] },
  },
  {
    name: "AsyncChat.close() is followed by handleClose(), where asynchat calls handle_close for the peer's end only",
    conversation: { steps: [[LINES], [["close"]]], chunks: "a\n" },
    python: { events: [["data", "a"], ["found", "\n"], ["close"]] },
    ours: { events: [["data", "a"], ["found", "\n"], ["close"], ["handle_close"]] },
  },
  {
    name:
      "AsyncChat.close() drops what was pushed in the same turn, where asynchat sends in push() what goes out at once",
    conversation: { steps: [[LINES], [["push", "bye"], ["close"]]], chunks: "a\n" },
    python: { sent: "bye" },
    ours: { sent: "" },
  },
  {
    name: "AsyncChat.push() after close() throws, where asynchat loses what is pushed",
    conversation: { steps: [[LINES], [["close"], ["push", "late"]]], chunks: "a\n" },
    python: { events: [["data", "a"], ["found", "\n"], ["close"]], sent: "" },
    ours: {
      events: [["data", "a"], ["found", "\n"], ["close"], ["error", "ChatClosedError"], ["handle_close"]],
      sent: "",
    },
  },
  {
    name: "AsyncChat.closeWhenDone() ends the telling of frames, where asynchat tells them until the queue is sent",
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
    name: "AsyncChat.closeWhenDone() closes at once when nothing is queued, where asynchat waits for the next event",
    conversation: { steps: [[LINES, ["close_when_done"]]], chunks: "a\n" },
    python: { events: [["close_when_done"], ["data", "a"], ["found", "\n"], ["handle_close"]] },
    ours: { events: [["close_when_done"], ["handle_close"]] },
  },
  {
    name: "AsyncChat.push() after closeWhenDone() throws, where asynchat loses what is pushed",
    conversation: { steps: [[LINES], [["close_when_done"], ["push", "late"]]], chunks: "a\n" },
    python: { events: [["data", "a"], ["found", "\n"], ["close_when_done"], ["handle_close"]], sent: "" },
    ours: {
      events: [["data", "a"], ["found", "\n"], ["close_when_done"], ["error", "ChatClosedError"], ["handle_close"]],
      sent: "",
    },
  },
  {
    name: "AsyncChat.discardBuffers() after closeWhenDone() does not call the end off, where asynchat forgets it",
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
  // -------------------------------------------------------- the peer's end
  {
    name:
      "AsyncChat.collectIncomingData() gets a held-back beginning of a terminator at the end, where asynchat loses it",
    conversation: { steps: [[["terminator", "\r\n\r\n"]]], chunks: "ab\r\n|\r" },
    python: { events: [["data", "ab"], ["handle_close"]] },
    ours: { events: [["data", "ab\r\n\r"], ["handle_close"]] },
  },
  {
    name: "AsyncChat sends what is queued when the peer has ended its side, where asynchat closes",
    conversation: { steps: [[LINES], [["push", "reply"]]], chunks: "a\n", hasty: true, writes: [0], takes: [1] },
    python: { events: [["data", "a"], ["found", "\n"], ["handle_close"]], sent: "r" },
    ours: { events: [["data", "a"], ["found", "\n"], ["handle_close"]], sent: "reply" },
  },
  {
    name:
      "AsyncChat tells the frames that the peer sent before it went, where asynchat closes at the first failed send",
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
    name: "AsyncChat gives the network's fault to handleClose() alone, where asynchat calls handle_error first",
    conversation: { steps: [[LINES]], chunks: "a\nb", fault: "ETIMEDOUT" },
    python: { events: [["data", "a"], ["found", "\n"], ["data", "b"], ["error", "TimeoutError"], ["handle_close"]] },
    ours: { events: [["data", "a"], ["found", "\n"], ["data", "b"], ["handle_close"]] },
  },
  // -------------------------------------------------------------- framing
  {
    name:
      "AsyncChat fails before the first read when handleConnect() has set no terminator, where asynchat fails at what it reads",
    conversation: { steps: [[]], chunks: "a\n" },
    python: { events: [["error", "AttributeError"], ["handle_close"]] },
    ours: { events: [["error", "TypeError"], ["handle_close"]] },
  },
  {
    name: "AsyncChat.setTerminator() throws a RangeError for a negative count, where asynchat raises ValueError",
    conversation: { steps: [[["terminator", -1]]], chunks: "a\n" },
    python: { events: [["error", "ValueError"], ["handle_close"]] },
    ours: { events: [["error", "RangeError"], ["handle_close"]] },
  },
  {
    name:
      "AsyncChat.setTerminator() in collectIncomingData() holds from the next byte on, where asynchat finds the old one if it came in the same read",
    conversation: { steps: [[["terminator", "\r\n"]]], onData: [[LINES]], chunks: "ab\r\ncd\n" },
    python: { events: [["data", "ab"], ["found", "\n"], ["data", "cd"], ["found", "\n"], ["handle_close"]] },
    ours: { events: [["data", "ab\r"], ["found", "\n"], ["data", "cd"], ["found", "\n"], ["handle_close"]] },
  },
  {
    name: "AsyncChat.setTerminator() in collectIncomingData() replaces a count, where asynchat goes on with its end",
    conversation: { steps: [[["terminator", 5]]], onData: [[["terminator", 3]]], chunks: "abcdefghijklm" },
    python: { events: [["data", "abcde"], ["found", null], ["data", "fghijklm"], ["handle_close"]] },
    ours: { events: [["data", "abcdefgh"], ["found", null], ["data", "ijklm"], ["handle_close"]] },
  },
  {
    name:
      "AsyncChat.setTerminator() in collectIncomingData() counts from the next byte on, where asynchat counts that data too",
    conversation: { steps: [[["terminator", 5]]], onData: [[["terminator", 9]]], chunks: "abc|defghijklm" },
    python: { events: [["data", "abcdefghi"], ["found", null], ["data", "jklm"], ["handle_close"]] },
    ours: { events: [["data", "abcdefghijkl"], ["found", null], ["data", "m"], ["handle_close"]] },
  },
  {
    name:
      "AsyncChat.setTerminator() in collectIncomingData() replaces a count that goes on, where asynchat subtracts from the new terminator",
    conversation: { steps: [[["terminator", 5]]], onData: [[LINES]], chunks: "abc|de\nfg\n" },
    python: { events: [["data", "abc"], ["error", "TypeError"], ["handle_close"]] },
    ours: { events: [["data", "abcde"], ["found", "\n"], ["data", "fg"], ["found", "\n"], ["handle_close"]] },
  },
  {
    name:
      "AsyncChat.getTerminator() in collectIncomingData() has counted that data, where asynchat counts it afterwards",
    conversation: { steps: [[["terminator", 5]]], onData: [[["note_terminator"]]], chunks: "abc|de" },
    python: { events: [["data", "abc"], ["terminator", 5], ["data", "de"], ["found", null], ["handle_close"]] },
    ours: { events: [["data", "abc"], ["terminator", 2], ["data", "de"], ["found", null], ["handle_close"]] },
  },
  // --------------------------------------------------------------- limits
  {
    name: "AsyncChat ends at a frame that is too long, where asynchat has no limit",
    conversation: { steps: [[LINES]], chunks: "0123456789\nok\n" },
    python: { events: [["data", "0123456789"], ["found", "\n"], ["data", "ok"], ["found", "\n"], ["handle_close"]] },
    ours: { events: [["data", "01234567"], ["handle_close"]] },
    options: { maxFrameBytes: 8 },
  },
  {
    name: "AsyncChat tells no frame while too much is queued for a slow peer, where asynchat queues without limit",
    conversation: {
      steps: [[LINES], ...Array.from({ length: 6 }, (): Operation[] => [["push", "reply"], ["note_queue"]])],
      chunks: "\n\n\n|\n\n\n",
      writes: [0],
      takes: [0, 0, 0, 0, 0, 0, 0, 0, 9],
    },
    python: { events: slowPeer([5, 10, 15, 20, 25, 30]), sent: "reply".repeat(6) },
    // Above 8 bytes it waits until nine at a time have been taken.
    ours: { events: slowPeer([5, 10, 6, 11, 6, 11]), sent: "reply".repeat(6) },
    options: { highWaterMark: 8 },
  },
  {
    name: "AsyncChat ends when more is queued than it may hold, where asynchat holds what it is given",
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
    name: "AsyncChat.push() takes text as UTF-8, where asynchat raises TypeError",
    conversation: { steps: [[LINES], [["push_text", "hé"]]], chunks: "a\n" },
    python: { events: [["data", "a"], ["found", "\n"], ["error", "TypeError"], ["handle_close"]], sent: "" },
    ours: { events: [["data", "a"], ["found", "\n"], ["handle_close"]], sent: "h\xc3\xa9" },
  },
  {
    name: "AsyncChat asks a producer at the end of the turn, where asynchat asks it in push_with_producer()",
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
    name: "SimpleProducer refuses a buffer of no bytes, where asynchat's sends nothing at all",
    conversation: { steps: [[LINES], [["produce_simple", "abc", 0]]], chunks: "a\n" },
    python: { events: [["data", "a"], ["found", "\n"], ["handle_close"]], sent: "" },
    ours: { events: [["data", "a"], ["found", "\n"], ["error", "RangeError"], ["handle_close"]], sent: "" },
  },
  // ------------------------------------------------------- hooks that throw
  {
    name:
      "AsyncChat does not tell data again after collectIncomingData() threw, where asynchat does with the next read",
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
    name: "AsyncChat.handleClose() comes last when a hook threw, where asynchat tells frames that were left after it",
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

/** What a listener meets: each `accept()` gives a connection of this name, or fails with this errno. */
export interface ListenerDifference {
  name: string;
  outcomes: string[];
  python: ListenerOutcome;
  ours: ListenerOutcome;
}

/** All differences that a listener can show. The connection named "throw" is one that the accepting hook throws at. */
export const listeners: ListenerDifference[] = [
  {
    name: "serve() goes on when there are too many open files, where asyncore closes the listener",
    outcomes: ["first", "EMFILE", "last"],
    python: { events: [["accepted", "first"], ["error", "OSError"]], listening: false },
    ours: { events: [["accepted", "first"], ["error", "OSError"], ["accepted", "last"]], listening: true },
  },
  {
    name: "serve() goes on when a connection was reset before it was taken in, where asyncore closes the listener",
    outcomes: ["first", "ECONNRESET", "last"],
    python: { events: [["accepted", "first"], ["error", "ConnectionResetError"]], listening: false },
    ours: { events: [["accepted", "first"], ["error", "ConnectionResetError"], ["accepted", "last"]], listening: true },
  },
  {
    name: "serve() goes on when no chat could be made for a connection, where asyncore closes the listener",
    outcomes: ["first", "throw", "last"],
    python: { events: [["accepted", "first"], ["accepted", "throw"], ["error", "RuntimeError"]], listening: false },
    ours: {
      events: [["accepted", "first"], ["accepted", "throw"], ["error", "RuntimeError"], ["accepted", "last"]],
      listening: true,
    },
  },
];
