/**
 * Conversations that random ones do not cover, in which ours must behave exactly as CPython's asynchat.
 *
 * The outcomes of asynchat are in vectors.json, recorded from the real module.
 */

import type { Conversation, Operation } from "./conversation.ts";

/** One conversation. */
export interface Likeness {
  /** A sentence: the behaviour of both. */
  name: string;
  conversation: Conversation;
}

const LINES: Operation = ["terminator", "\n"];
const DISCARD: Operation = ["discard_buffers"];

/** All likenesses. */
export const likenesses: Likeness[] = [
  {
    name: "AsyncChat.foundTerminator() is called for each empty frame, collectIncomingData() is not",
    conversation: { steps: [[LINES]], chunks: "\n\n|\n" },
  },
  {
    name: "AsyncChat.discardBuffers() in a data hook keeps the end of a complete frame",
    conversation: { steps: [[LINES]], onData: [[DISCARD]], chunks: "ab\ncd\n|ef\n" },
  },
  {
    name: "AsyncChat.discardBuffers() in a data hook drops a partial terminator",
    conversation: { steps: [[["terminator", "\r\n"]]], onData: [[DISCARD]], chunks: "ab\r|\ncd\r\n|ef\r\n" },
  },
  {
    name: "AsyncChat.discardBuffers() in a data hook does not restart a count",
    conversation: { steps: [[["terminator", 4]]], onData: [[DISCARD]], chunks: "ab|cdef\n" },
  },
  {
    name: "AsyncChat.discardBuffers() in a data hook keeps the end of a complete count",
    conversation: { steps: [[["terminator", 2]]], onData: [[DISCARD]], chunks: "abcd|ef" },
  },
  {
    name: "AsyncChat.discardBuffers() drops the collected data",
    conversation: { steps: [[LINES]], onData: [[], [DISCARD]], chunks: "ab|cd|ef\n", gather: true },
  },
  {
    name: "AsyncChat.handleError() gets what foundTerminator() throws, and the chat closes",
    conversation: { steps: [[LINES], [["throw"]]], chunks: "a\nb\n|c\n" },
  },
  {
    name: "AsyncChat.handleError() gets what collectIncomingData() throws, and the chat closes",
    conversation: { steps: [[LINES]], onData: [[["throw"]]], chunks: "a\nb\n|c\n" },
  },
  {
    name: "AsyncChat continues after a hook threw when handleError() does not close",
    conversation: { steps: [[LINES], [["throw"]]], chunks: "a\nb\n|c\n", goesOn: true },
  },
  {
    name: "AsyncChat.push() of a number is a TypeError",
    conversation: { steps: [[LINES], [["push", 10]]], chunks: "a\n|b\n" },
  },
  {
    name: "AsyncChat.pushWithProducer() treats an empty piece as the end of the producer",
    conversation: { steps: [[LINES], [["produce", ["ab", "", "cd"]], ["push", "!"]]], chunks: "a\n" },
  },
  {
    name: "AsyncChat.handleClose() comes after the frames and data before a reset",
    conversation: { steps: [[LINES]], chunks: "a\nb", fault: "ECONNRESET" },
  },
  {
    name: "AsyncChat.setTerminator() in a data hook applies to the next read",
    conversation: { steps: [[["terminator", "\r\n"]]], onData: [[LINES]], chunks: "ab|\r\ncd\n" },
  },
  {
    name: "AsyncChat.getTerminator() in foundTerminator() reports that a count has fired",
    conversation: { steps: [[["terminator", 5], ["note_terminator"]], [["note_terminator"]]], chunks: "abc|defg" },
  },
];
