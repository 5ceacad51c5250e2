/**
 * Conversations that chance does not have, and that ours must not make anything else of than CPython's asynchat.
 *
 * What asynchat makes of them is in vectors.json, which the real module wrote.
 */

import type { Conversation, Operation } from "./conversation.ts";

/** One conversation. */
export interface Likeness {
  /** A sentence: what both do. */
  name: string;
  conversation: Conversation;
}

const LINES: Operation = ["terminator", "\n"];
const DISCARD: Operation = ["discard_buffers"];

/** All of them. */
export const likenesses: Likeness[] = [
  {
    name: "AsyncChat.foundTerminator() is called for each of several empty frames, and collectIncomingData() for none",
    conversation: { steps: [[LINES]], chunks: "\n\n|\n" },
  },
  {
    name: "AsyncChat.discardBuffers() in collectIncomingData() leaves the frame whose terminator has come complete",
    conversation: { steps: [[LINES]], onData: [[DISCARD]], chunks: "ab\ncd\n|ef\n" },
  },
  {
    name: "AsyncChat.discardBuffers() in collectIncomingData() forgets a terminator that has only begun",
    conversation: { steps: [[["terminator", "\r\n"]]], onData: [[DISCARD]], chunks: "ab\r|\ncd\r\n|ef\r\n" },
  },
  {
    name: "AsyncChat.discardBuffers() in collectIncomingData() does not begin a count again",
    conversation: { steps: [[["terminator", 4]]], onData: [[DISCARD]], chunks: "ab|cdef\n" },
  },
  {
    name: "AsyncChat.discardBuffers() in collectIncomingData() leaves a count that has come complete",
    conversation: { steps: [[["terminator", 2]]], onData: [[DISCARD]], chunks: "abcd|ef" },
  },
  {
    name: "AsyncChat.discardBuffers() forgets what was gathered",
    conversation: { steps: [[LINES]], onData: [[], [DISCARD]], chunks: "ab|cd|ef\n", gather: true },
  },
  {
    name: "AsyncChat.handleError() is given what foundTerminator() threw, and the chat ends",
    conversation: { steps: [[LINES], [["throw"]]], chunks: "a\nb\n|c\n" },
  },
  {
    name: "AsyncChat.handleError() is given what collectIncomingData() threw, and the chat ends",
    conversation: { steps: [[LINES]], onData: [[["throw"]]], chunks: "a\nb\n|c\n" },
  },
  {
    name: "AsyncChat goes on after a hook threw when handleError() lets it",
    conversation: { steps: [[LINES], [["throw"]]], chunks: "a\nb\n|c\n", goesOn: true },
  },
  {
    name: "AsyncChat.push() of a number is a TypeError",
    conversation: { steps: [[LINES], [["push", 10]]], chunks: "a\n|b\n" },
  },
  {
    name: "AsyncChat.pushWithProducer() takes a producer that gives nothing for finished",
    conversation: { steps: [[LINES], [["produce", ["ab", "", "cd"]], ["push", "!"]]], chunks: "a\n" },
  },
  {
    name: "AsyncChat.handleClose() is told of a reset after the frames and the data that came before it",
    conversation: { steps: [[LINES]], chunks: "a\nb", fault: "ECONNRESET" },
  },
  {
    name: "AsyncChat.setTerminator() in collectIncomingData() holds for a terminator that comes in the next read",
    conversation: { steps: [[["terminator", "\r\n"]]], onData: [[LINES]], chunks: "ab|\r\ncd\n" },
  },
  {
    name: "AsyncChat.getTerminator() tells in foundTerminator() that a count has fired",
    conversation: { steps: [[["terminator", 5], ["note_terminator"]], [["note_terminator"]]], chunks: "abc|defg" },
  },
];
