/**
 * Build line- and length-framed protocols: set a terminator, get one callback per complete frame. Replaces Python's
 * `asynchat` and `asyncore`, which Python 3.12 removed, with limits, back-pressure and graceful shutdown.
 *
 * Subclass {@linkcode AsyncChat}, call `setTerminator` (a byte string, a list of them, a byte count, or `null`), and override
 * `foundTerminator`. `push` queues a reply; `closeWhenDone` flushes and closes. {@linkcode serve} runs a chat on each accepted
 * connection.
 *
 * @example A line protocol in fifteen lines
 * ```ts ignore
 * import { AsyncChat, serve } from "@asynchat/asynchat";
 *
 * class Shout extends AsyncChat {
 *   protected override handleConnect() {
 *     this.setTerminator(["\r\n", "\n"]);
 *     this.push("Say something, or quit.\r\n");
 *   }
 *   protected override foundTerminator() {
 *     const line = this.takeText();
 *     this.push(`${line.toUpperCase()}!\r\n`);
 *     if (line === "quit") this.closeWhenDone();
 *   }
 * }
 *
 * serve({ port: 7000 }, (conn) => new Shout(conn));
 * ```
 *
 * Any hook may change the terminator, and the change applies to the very next byte. Lines and counted blocks mix freely:
 *
 * @example A length line, then that many bytes
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import { AsyncChat } from "@asynchat/asynchat";
 * import { scriptedConn } from "@asynchat/asynchat/testing";
 *
 * class Blocks extends AsyncChat {
 *   readonly blocks: string[] = [];
 *   #inBlock = false;
 *   protected override handleConnect() {
 *     this.setTerminator("\n");
 *   }
 *   protected override foundTerminator() {
 *     const text = this.takeText();
 *     this.#inBlock = !this.#inBlock;
 *     if (this.#inBlock) return this.setTerminator(Number(text));
 *     this.blocks.push(text);
 *     this.setTerminator("\n");
 *   }
 * }
 *
 * const { conn } = scriptedConn(["5\nhel", "lo0\n6\nwo", "rld!"]);
 * const chat = new Blocks(conn);
 * await chat.run();
 * assertEquals(chat.blocks, ["hello", "", "world!"]); // a length of 0 is an empty frame
 * ```
 *
 * A client is the same class over a connection that you opened:
 *
 * @example A client
 * ```ts ignore
 * import { AsyncChat } from "@asynchat/asynchat";
 *
 * class Ask extends AsyncChat {
 *   protected override handleConnect() {
 *     this.setTerminator("\r\n");
 *     this.push("hello\r\n");
 *     this.closeWrite();
 *   }
 *   protected override foundTerminator() {
 *     console.log(this.takeText());
 *   }
 * }
 *
 * await new Ask(await Deno.connect({ port: 7000 })).run();
 * ```
 *
 * Every frame has a limit (64 KiB by default). While the peer takes no output, no input is read. A hook that throws ends
 * its own chat and no other. `./testing` has test tools for your own chats: connections in memory, every way to split a
 * peer's input, and a clock that you advance by hand.
 *
 * @module
 */

export { AsyncChat } from "./chat.ts";
export { ChatReader, type ChatReaderOptions, frames, type ReadOptions } from "./chat/chat_reader.ts";
export type { ChatConn, ChatOptions, TerminatorOptions, TlsUpgrade } from "./chat/options.ts";
export type { ChatState, Detached } from "./chat/types.ts";
export type {
  ChatServer,
  ConnServerOptions,
  Servable,
  ServeErrorInfo,
  ServerStats,
  ShutdownResult,
} from "./listener/types.ts";
export { type Clock, systemClock } from "./chat/clock.ts";
export type { TimeoutKind } from "./core/time_limits.ts";
export {
  ChatClosedError,
  ChatTimeoutError,
  FrameTooLongError,
  HandshakeTimeoutError,
  IncompleteFrameError,
  OutgoingOverflowError,
  ProxyHeaderError,
  ServerFullError,
  ShutdownError,
  UnreadPlaintextError,
} from "./core/errors.ts";
export { type Producer, type ProducerLike, SimpleProducer } from "./core/producer.ts";
export { findPrefixAtEnd } from "./core/find_prefix_at_end.ts";
export type { Terminator, TooLongPolicy } from "./core/frame_splitter.ts";
export { serve, type ServeOptions } from "./listener/serve.ts";
export type { ProxyProtocolOptions } from "./listener/proxy_protocol.ts";
