// A connection that checks how it is used and feeds the models of its conversation.

import type { ChatConn } from "../../mod.ts";
import type { MemoryConn } from "../../testing/mod.ts";
import type { Faults, FrameOracle } from "../chat_model.ts";
import type { OutputModel } from "../chat_model_io.ts";
import { belongs, toText } from "./wire.ts";

/** What a connection reports to; none before a chat runs on it. */
export interface ConnModels {
  readonly id: number;
  readonly input: FrameOracle;
  readonly faults: Faults;
  /** Called before each read. */
  beforeRead(): void;
  /** Something has happened. */
  touch(): void;
  now(): number;
}

export class SimulatedConn implements ChatConn {
  readonly inner: MemoryConn;
  readonly remoteAddr: { readonly hostname: string };
  models: ConnModels | null = null;
  output: OutputModel | null = null; // what the chat is to write here
  reading = false;
  writing = false;
  inputEnded = false;
  ends = 0; //               calls of closeWrite
  closes = 0;
  endedAt = Infinity; //     when our side ended
  bytesRead = 0;
  bytesWritten = 0;
  bytesReadAtEnd = 0; //     of our side
  lastWriteAt = 0;
  readonly errors: unknown[] = [];
  lostAt = Infinity; //      when a call failed
  readonly #onClose: () => void;

  constructor(inner: MemoryConn, hostname: string, onClose: () => void = () => {}) {
    this.inner = inner;
    this.remoteAddr = { hostname };
    this.#onClose = onClose;
  }

  async read(p: Uint8Array): Promise<number | null> {
    const { models } = this;
    models?.touch();
    models?.faults.expect(!this.reading, "one read is pending");
    models?.faults.expect(this.closes === 0 && !this.inputEnded, "nothing is read after the end");
    models?.beforeRead();
    this.reading = true;
    try {
      const count = await this.inner.read(p);
      this.bytesRead += count ?? 0;
      this.inputEnded = count === null;
      if (this.closes === 0) models?.input.arrived(count);
      return count;
    } catch (error) {
      this.#failed(error);
      throw error;
    } finally {
      models?.touch();
      this.reading = false;
    }
  }

  async write(p: Uint8Array): Promise<number> {
    const { models } = this;
    models?.touch();
    const given = models === null ? "" : toText(p);
    models?.faults.expect(this.closes === 0 && this.ends === 0, "nothing is written after the end");
    models?.faults.expect(belongs(given, models.id), "no byte of another connection is written");
    this.output?.writes(given);
    this.writing = true;
    this.lastWriteAt = models?.now() ?? 0;
    try {
      const count = await this.inner.write(p);
      if (models !== null) models.faults.expect(toText(p) === given, "bytes stay as they are while they are written");
      this.bytesWritten += count;
      this.lastWriteAt = models?.now() ?? 0;
      this.output?.written(count);
      return count;
    } catch (error) {
      if (this.output !== null) this.output.inflight = null;
      this.#failed(error);
      throw error;
    } finally {
      this.writing = false;
      models?.touch();
    }
  }

  async closeWrite(): Promise<void> {
    const { models } = this;
    models?.touch();
    this.output?.settle();
    models?.faults.equal(++this.ends, 1, "our side is ended once");
    models?.faults.expect(this.closes === 0, "our side is ended before the connection is closed");
    models?.faults.equal(this.output?.items.length, 0, "our side is ended after the last byte");
    try {
      await this.inner.closeWrite();
      this.endedAt = models?.now() ?? 0;
      this.bytesReadAtEnd = this.bytesRead;
    } catch (error) {
      this.#failed(error);
      throw error;
    } finally {
      models?.touch();
    }
  }

  close(): void {
    this.models?.touch();
    this.closes++;
    this.models?.faults.equal(this.closes, 1, "the connection is closed once");
    this.#onClose();
    try {
      this.inner.close();
    } catch (error) {
      this.errors.push(error);
      throw error;
    }
  }

  #failed(error: unknown): void {
    if (this.closes > 0) return;
    this.errors.push(error);
    this.lostAt = Math.min(this.lostAt, this.models?.now() ?? 0);
  }
}
