import type { Servable, ServerStats } from "./types.ts";

/** Counts what a server has done. What open chats count is added on demand. */
export class Counters {
  readonly #total: ServerStats = {
    accepted: 0,
    refused: 0,
    open: 0,
    handshaking: 0,
    acceptErrors: 0,
    bytesReceived: 0,
    bytesSent: 0,
    framesReceived: 0,
    closes: {},
  };

  /** Counts a connection whose chat started, one that was rejected, or an error of accepting. */
  count(event: "accepted" | "refused" | "acceptErrors"): void {
    this.#total[event]++;
  }

  /** Counts a chat that has ended, or was abandoned for a reason. */
  chatEnded(chat: Servable, abandoned?: Error): void {
    addCounts(this.#total, chat);
    const reason = (chat.closeReason ?? abandoned)?.name ?? "done";
    this.#total.closes[reason] = (this.#total.closes[reason] ?? 0) + 1;
  }

  /** Returns a copy, with the chats and handshakes that are open. */
  snapshot(open: Iterable<Servable>, handshaking: number): ServerStats {
    const stats = { ...this.#total, handshaking, closes: { ...this.#total.closes } };
    for (const chat of open) {
      stats.open++;
      addCounts(stats, chat);
    }
    return stats;
  }
}

function addCounts(stats: ServerStats, chat: Servable): void {
  stats.bytesReceived += chat.bytesReceived ?? 0;
  stats.bytesSent += chat.bytesSent ?? 0;
  stats.framesReceived += chat.framesReceived ?? 0;
}
