import type { ConnListener } from "./accept_loop.ts";

/**
 * Listens on a Unix socket, whose file is removed at the end.
 *
 * A stale socket, which a dead server left behind, is replaced. It takes a moment to find out whether it is stale;
 * connections are refused meanwhile, as they were before.
 *
 * While it listens it holds a lock on a file beside the socket, `<path>.lock`, which stays. Only its holder removes the
 * socket. Without access to that file the server listens as well, but replaces no stale socket.
 *
 * @param path The file of the socket.
 * @throws {Deno.errors.AddrInUse} when the file exists and is no socket, and whatever else `Deno.listen` throws
 */
export function listenUnix(path: string): ConnListener<Deno.UnixConn> {
  return new UnixSocketListener(path);
}

class UnixSocketListener implements ConnListener<Deno.UnixConn> {
  readonly addr: Deno.UnixAddr;
  readonly ready?: Promise<Deno.UnixListener>;
  readonly #path: string;
  readonly #lock: Deno.FsFile | null | undefined; // null: taken, undefined: not permitted
  #listener: Deno.UnixListener | null = null;
  #identity = ""; // of the socket's file
  #rejectAccept: (error: Error) => void = () => {};
  #isClosed = false;
  #keepsAlive = true;

  constructor(path: string) {
    this.#path = path;
    this.addr = { transport: "unix", path };
    this.#lock = lockBeside(path);
    try {
      if (this.#lock === null) throw inUse("another server holds its lock");
      this.#listen();
    } catch (error) {
      if (!(error instanceof Deno.errors.AddrInUse) || isOtherThanSocket(path)) {
        this.#lock?.close();
        throw error;
      }
      this.ready = this.#lock === null ? Promise.reject(error) : this.#replace(error);
      this.ready.catch(() => {}); // `serve()` handles it
    }
  }

  async accept(): Promise<Deno.UnixConn> {
    const listener = this.#listener ?? await this.ready?.catch(() => null) ?? null;
    const { promise, resolve, reject } = Promise.withResolvers<Deno.UnixConn>();
    this.#rejectAccept = reject;
    if (this.#isClosed) reject(closedError());
    else listener?.accept().then(resolve, reject);
    return await promise;
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    if (this.#listener !== null) {
      // Deno removes whatever file is at the path: a listener that has been replaced must stay open for that.
      if (identityOf(this.#path) === this.#identity) this.#listener.close();
      else this.#listener.unref();
    }
    this.#lock?.close();
    this.#rejectAccept(closedError());
  }

  ref(): void {
    this.#keepsAlive = true;
    this.#listener?.ref();
  }

  unref(): void {
    this.#keepsAlive = false;
    this.#listener?.unref();
  }

  #listen(): Deno.UnixListener {
    this.#listener = Deno.listen({ transport: "unix", path: this.#path });
    this.#identity = identityOf(this.#path);
    if (!this.#keepsAlive) this.#listener.unref();
    return this.#listener;
  }

  /** Listens in place of a stale socket. Rejects when it is not stale, or cannot be replaced. */
  async #replace(error: Error): Promise<Deno.UnixListener> {
    const path = this.#path;
    const before = identityOf(path);
    try {
      (await Deno.connect({ transport: "unix", path })).close();
      throw error;
    } catch (refused) {
      if (!(refused instanceof Deno.errors.ConnectionRefused)) throw refused;
    }
    if (this.#isClosed) throw closedError();
    if (this.#lock === undefined) throw inUse(`a stale socket is replaced only with access to ${path}.lock`);
    if (identityOf(path) === before) Deno.removeSync(path); // else a server without a lock has replaced it
    return this.#listen();
  }
}

/** Locks the file beside a socket. Returns `null` when another holds the lock, `undefined` when it is not permitted. */
function lockBeside(path: string): Deno.FsFile | null | undefined {
  let file: Deno.FsFile;
  try {
    file = Deno.openSync(`${path}.lock`, { read: true, write: true, create: true, mode: 0o600 });
  } catch {
    return undefined; // not permitted; when the folder is missing, `listen` reports that
  }
  if (file.tryLockSync(true)) return file;
  file.close();
  return null;
}

/** Distinguishes one file at a path from the next: an inode number alone is given again. */
function identityOf(path: string): string {
  try {
    const { dev, ino, mtime, ctime } = Deno.lstatSync(path);
    return [dev, ino, mtime?.getTime(), ctime?.getTime()].join();
  } catch {
    return "";
  }
}

function isOtherThanSocket(path: string): boolean {
  try {
    return !Deno.lstatSync(path).isSocket;
  } catch {
    return false;
  }
}

function inUse(reason: string): Error {
  return new Deno.errors.AddrInUse(`Cannot listen on a Unix socket: ${reason}`);
}

function closedError(): Error {
  return new Deno.errors.BadResource("Listener has been closed");
}
