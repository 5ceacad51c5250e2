import type { ConnListener } from "./accept_loop.ts";

/**
 * Listens on a socket in the file system, which is removed at the end.
 *
 * A file that is there already is removed if it is a socket that nobody listens on, which takes a moment to find out; what
 * connects meanwhile is refused, as it was before.
 *
 * @param path Where.
 * @throws {Deno.errors.AddrInUse} when there is a file that is no socket, and whatever else `Deno.listen` throws
 */
export function listenUnix(path: string): ConnListener<Deno.UnixConn> {
  try {
    return Deno.listen({ transport: "unix", path });
  } catch (error) {
    if (!(error instanceof Deno.errors.AddrInUse) || !Deno.lstatSync(path).isSocket) throw error;
    return new TakeOver(path, error);
  }
}

/** A listener on the place of one that has died, if it has. */
class TakeOver implements ConnListener<Deno.UnixConn> {
  readonly addr: Deno.UnixAddr;
  readonly ready: Promise<Deno.UnixListener>;
  #listener: Deno.UnixListener | null = null;
  #closed = Promise.withResolvers<never>();
  #stopped = false;
  #keepsAlive = true;

  constructor(path: string, inUse: Error) {
    this.addr = { transport: "unix", path };
    this.#closed.promise.catch(() => {});
    this.ready = this.#take(path, inUse);
  }

  accept(): Promise<Deno.UnixConn> {
    return this.#listener?.accept() ?? this.ready.then((own) => own.accept(), () => this.#closed.promise);
  }

  close(): void {
    this.#stopped = true;
    this.#closed.reject(new Deno.errors.BadResource("Listener has been closed"));
    this.#listener?.close();
  }

  ref(): void {
    this.#keepsAlive = true;
    this.#listener?.ref();
  }

  unref(): void {
    this.#keepsAlive = false;
    this.#listener?.unref();
  }

  async #take(path: string, inUse: Error): Promise<Deno.UnixListener> {
    const { ino } = await Deno.lstat(path);
    try {
      (await Deno.connect({ transport: "unix", path })).close();
      throw inUse;
    } catch (error) {
      if (!(error instanceof Deno.errors.ConnectionRefused)) throw error;
    }
    if (this.#stopped) return this.#closed.promise;
    if (Deno.lstatSync(path).ino === ino) Deno.removeSync(path); // else another has taken it over meanwhile
    this.#listener = Deno.listen({ transport: "unix", path });
    if (!this.#keepsAlive) this.#listener.unref();
    return this.#listener;
  }
}
