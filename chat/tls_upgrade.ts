import type { ChatConn, TlsUpgrade } from "./options.ts";
import type { Clock } from "./clock.ts";
import { HandshakeTimeoutError, UnreadPlaintextError } from "../core/errors.ts";
import type { Writer } from "./writer.ts";

/** What there was before TLS. */
export interface Plaintext {
  conn: ChatConn;
  /** What was read and not told. */
  unread: Uint8Array;
  /** What writes what was pushed; nothing more will be. */
  writer: Writer;
  /** Aborted when the chat ends. */
  signal: AbortSignal;
  clock: Clock;
}

/**
 * Sends what is queued, and shakes hands. Not one byte that came ahead of the handshake reaches the chat (CVE-2011-0411): a
 * client refuses to go on, a server has them taken for the handshake that they should be.
 *
 * @returns The connection of TLS; rejects with why there is none, and has then closed nothing but what it made.
 */
export async function startTls(
  { conn, unread, writer, signal, clock }: Plaintext,
  upgrade: TlsUpgrade,
): Promise<ChatConn> {
  const { role, timeoutMs = 10_000 } = upgrade;
  if (role === "client" && unread.length > 0) throw new UnreadPlaintextError(unread.length);
  let over = false;
  let callOff = () => {};
  const end = new Promise<never>((_, reject) => {
    callOff = clock.after(timeoutMs, () => reject(new HandshakeTimeoutError("TLS handshake", timeoutMs)));
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
  try {
    await Promise.race([writer.flushed(), end]);
    const secured = upgrade.start(conn, unread).then((secured) => {
      if (over) secured.close(); // nobody waits for it any more
      return secured;
    });
    return await Promise.race([secured, end]);
  } finally {
    over = true;
    callOff();
    writer.stop(signal.reason);
  }
}
