import { HandshakeTimeoutError, UnreadPlaintextError } from "../core/errors.ts";
import type { Clock } from "./clock.ts";
import type { ChatConn, TlsUpgrade } from "./options.ts";
import type { Writer } from "./writer.ts";

/** The chat's connection before TLS. */
export interface Plaintext {
  conn: ChatConn;
  /** What was received and not dispatched. */
  unread: Uint8Array;
  /** Writes what was pushed; nothing more will be. */
  writer: Writer;
  /** Aborted when the chat ends. */
  signal: AbortSignal;
  clock: Clock;
}

/**
 * Sends what is queued, and shakes hands. No byte that came ahead of the handshake reaches the chat (CVE-2011-0411): a client
 * refuses to go on, a server takes it for the beginning of the handshake.
 *
 * @returns The secure connection. Rejects with the reason when there is none; only what was created here is closed then.
 */
export async function startTls(
  { conn, unread, writer, signal, clock }: Plaintext,
  upgrade: TlsUpgrade,
): Promise<ChatConn> {
  const { role, timeoutMs = 10_000 } = upgrade;
  if (role === "client" && unread.length > 0) throw new UnreadPlaintextError(unread.length);
  let failed = false; // from the moment on, not from when this function notices
  let cancelTimeout = () => {};
  const failure = new Promise<never>((_, reject) => {
    const fail = (error: unknown) => {
      failed = true;
      reject(error);
    };
    cancelTimeout = clock.after(timeoutMs, () => fail(new HandshakeTimeoutError("TLS handshake", timeoutMs)));
    signal.addEventListener("abort", () => fail(signal.reason), { once: true });
  });
  try {
    await Promise.race([writer.flushed(), failure]);
    const secured = upgrade.start(conn, unread).then((secured) => {
      if (failed) secured.close(); // too late: the chat has ended
      return secured;
    });
    return await Promise.race([secured, failure]);
  } finally {
    cancelTimeout();
    writer.stop(signal.reason);
  }
}
