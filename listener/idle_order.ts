import type { Servable } from "./types.ts";

/**
 * Finds the chat that has been idle longest: no frame, nothing sent, not busy. Activity is sampled at each search, so a
 * chat costs nothing while it works. The chats found active since the last search move to the end (second chance).
 */
export class IdleOrder {
  readonly #activity = new Map<Servable, number>(); // at the last search; oldest first

  /** Adds a chat that has just started. */
  add(chat: Servable): void {
    this.#activity.set(chat, activityOf(chat));
  }

  /** Forgets a chat. */
  delete(chat: Servable): void {
    this.#activity.delete(chat);
  }

  /** Returns the chat that has been idle longest; `undefined` when all are busy. */
  oldest(): Servable | undefined {
    let unchecked = this.#activity.size;
    for (const [chat, before] of this.#activity) {
      if (unchecked-- === 0) return undefined;
      const activity = activityOf(chat);
      if (activity === before && chat.busy !== true) return chat;
      this.#activity.delete(chat);
      this.#activity.set(chat, activity);
    }
    return undefined;
  }
}

function activityOf({ framesReceived = 0, bytesSent = 0 }: Servable): number {
  return framesReceived + bytesSent;
}
