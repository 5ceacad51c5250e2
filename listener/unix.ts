import type { ConnListener } from "./accept_loop.ts";

/**
 * Listens on a Unix socket, whose file is removed at the end.
 *
 * A stale socket, which a dead server left behind, is replaced. It takes a moment to find out whether it is stale;
 * connections are refused meanwhile, as they were before.
 *
 * @param path The file of the socket.
 * @throws {Deno.errors.AddrInUse} when the file exists and is no socket, and whatever else `Deno.listen` throws
 */
export function listenUnix(path: string): ConnListener<Deno.UnixConn> {
  try {
    return Deno.listen({ transport: "unix", path });
  } catch (error) {
    if (!(error instanceof Deno.errors.AddrInUse) || !Deno.lstatSync(path).isSocket) throw error;
    return new StaleSocketListener(path, error);
  }
}

/** Replaces a socket if it is stale, and listens then. */
class StaleSocketListener implements ConnListener<Deno.UnixConn> {
  readonly addr: Deno.UnixAddr;
  readonly ready: Promise<Deno.UnixListener>;
  #listener: Deno.UnixListener | null = null;
  #closed = Promise.withResolvers<never>(); // rejects on close
  #isClosed = false;
  #keepsAlive = true;

  constructor(path: string, inUse: Error) {
    this.addr = { transport: "unix", path };
    this.#closed.promise.catch(() => {});
    this.ready = this.#replace(path, inUse);
  }

  accept(): Promise<Deno.UnixConn> {
    return this.#listener?.accept() ??
      this.ready.then((listener) => listener.accept(), () => this.#closed.promise);
  }

  close(): void {
    this.#isClosed = true;
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

  async #replace(path: string, inUse: Error): Promise<Deno.UnixListener> {
    const { ino } = await Deno.lstat(path);
    try {
      (await Deno.connect({ transport: "unix", path })).close();
      throw inUse;
    } catch (error) {
      if (!(error instanceof Deno.errors.ConnectionRefused)) throw error;
    }
    if (this.#isClosed) return this.#closed.promise;
    if (Deno.lstatSync(path).ino === ino) Deno.removeSync(path); // else another server has replaced it meanwhile
    this.#listener = Deno.listen({ transport: "unix", path });
    if (!this.#keepsAlive) this.#listener.unref();
    return this.#listener;
  }
}
