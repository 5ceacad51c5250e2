/** Web Locks as Deno 2.9 has them, without types. Where they are missing, the end of a thread is not noticed. */
interface LockManager {
  request(name: string, callback: () => Promise<void> | void): Promise<void>;
}

const locks = (navigator as { locks?: LockManager }).locks;

/** Holds a lock while this thread lives. Fulfills when it is held. */
export function holdWhileAlive(name: string): Promise<void> {
  return new Promise((resolve) => {
    if (locks === undefined) return resolve();
    void locks.request(name, () => {
      resolve();
      return new Promise(() => {}); // released by the end of the thread
    });
  });
}

/** Calls `onEnd` once the thread that holds a lock has ended. */
export function onThreadEnd(name: string, onEnd: () => void): void {
  void locks?.request(name, onEnd);
}
