export { AsyncChat, type ChatState, type Detached } from "./chat.ts";
export type { ChatConn, ChatOptions, TerminatorOptions } from "./chat_options.ts";
export { type Clock, systemClock } from "./clock.ts";
export { ChatClosedError, FrameTooLongError } from "./core/errors.ts";
export { type Producer, type ProducerLike, SimpleProducer } from "./core/producer.ts";
export { findPrefixAtEnd, type Terminator, type TooLongPolicy } from "./core/splitter.ts";
export { type ChatServer, type Servable, serve, type ServeOptions } from "./listener.ts";
