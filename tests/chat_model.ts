// For chat/model_test.ts: what a chat must dispatch. Bytes are kept as strings of one character a byte, to be searched naively.

/** Notes what is wrong. A throw inside a hook or a connection would be taken for that hook's or the network's own error. */
export class Faults {
  readonly found: Error[] = [];

  expect(holds: boolean, claim: string, ...values: unknown[]): void {
    if (holds) return;
    this.found.push(
      new Error(`${claim}${values.length > 0 ? `: ${values.map((each) => show(each)).join(" | ")}` : ""}`),
    );
  }

  equal(actual: unknown, expected: unknown, claim: string): void {
    this.expect(Object.is(actual, expected), `${claim} (actual | expected)`, actual, expected);
  }

  throwIfAny(): void {
    if (this.found.length > 0) throw this.found[0];
  }
}

function show(value: unknown): string {
  return value instanceof Error ? String(value) : JSON.stringify(value) ?? String(value);
}

/** How frames end: with one of `delimiters` (the longest first), after `count` bytes (-1: none), or never. */
export interface Framing {
  readonly delimiters: readonly string[];
  readonly count: number;
  readonly limit: number;
  readonly discards: boolean;
}

/** Splits the stream naively, and checks each hook call against that. */
export class FrameOracle {
  stream: string; //       all that the peer sends
  read: number; //         how much of it the chat has
  at = 0; //               how much of it is dispatched or dropped
  ended = false; //        no more will come
  isUnsure = false; //     data may have been dispatched, and was not observed
  frames = 0;
  gathered = ""; //        what takeText() gives
  refused = false; //      the collector had no room
  discarding = false;
  remaining = 0; //        of a count
  matched: string | null = null;
  framing: Framing;
  readonly #faults: Faults;
  readonly #now: () => number;
  readonly #raw: Framing;
  readonly #isPlain: boolean; // data hooks are not observed
  readonly #gathers: boolean;
  readonly #reads: { end: number; time: number }[] = [];
  #after: Framing | null = null; // in force after a discarded frame
  #frameBytes = 0;
  #refusedLimit = 0;
  #isChanged = false; //   the terminator, after the frame had begun
  #found: string | null = null; // the terminator behind the last data
  #foundGone = false; //   its bytes were discarded
  #frameStart = 0;
  #frameTime = 0;

  constructor(
    faults: Faults,
    now: () => number,
    { unread, limit, mode }: { unread: string; limit: number; mode: "plain" | "gather" | "data" | "range" },
    framing: Framing,
  ) {
    this.#faults = faults;
    this.#now = now;
    this.stream = unread;
    this.read = unread.length;
    this.#reads.push({ end: this.read, time: now() });
    this.#raw = { delimiters: [], count: -1, limit, discards: false };
    this.#isPlain = mode === "plain";
    this.#gathers = mode === "plain" || mode === "gather";
    this.framing = framing;
    this.remaining = framing.count;
    if (framing.count === 0) this.#found = "";
  }

  get isRaw(): boolean {
    return this.framing.count < 0 && this.framing.delimiters.length === 0;
  }

  /** What getTerminator() gives. */
  get terminator(): string | number | null {
    const { delimiters, count } = this.#after ?? this.framing;
    if (count >= 0) return this.#after === null ? this.remaining : count;
    return delimiters.length > 0 ? delimiters.toSorted().join("|") : null;
  }

  /** Whether a byte of a frame that is not discarded waits for the frame's end. */
  get frameBegun(): boolean {
    return !this.isRaw && !this.discarding && (this.#frameBytes > 0 || this.read > this.at);
  }

  /** No frame timeout is due before so much time has passed since then. */
  get frameSince(): number {
    return Math.max(this.#frameTime, this.#reads.find(({ end }) => end > this.#frameStart)?.time ?? 0);
  }

  set(framing: Framing): void {
    if (this.discarding && !this.isRaw) this.#after = framing;
    else {
      // A change in a frame that has begun does not restart its clock.
      const [start, time] = [this.#frameStart, this.#frameTime];
      const isBegun = !this.isRaw && (this.#isPlain || this.#frameBytes > 0 || this.read > this.at || this.#isChanged);
      this.#begin(framing);
      this.#isChanged = isBegun;
      if (isBegun) [this.#frameStart, this.#frameTime] = [start, time];
    }
  }

  /** The chat has read `count` more bytes, or the end. */
  arrived(count: number | null): void {
    if (count === null) {
      this.ended = true;
      this.stream = this.stream.slice(0, this.read);
      return;
    }
    this.read += count;
    this.#reads.push({ end: this.read, time: this.#now() });
    this.#faults.expect(this.read <= this.stream.length, "no more is read than was sent");
  }

  data(piece: string): void {
    this.#skip();
    const { length } = piece;
    const { stream, at, read } = this;
    this.#faults.expect(length > 0, "the collector gets data");
    this.#faults.equal(piece, stream.slice(at, at + length), "data is the next of the stream");
    this.#faults.expect(at + length <= read, "data has been read");
    this.#faults.expect(!this.#isHopeless, "no data comes of a count above the limit");
    this.#faults.expect(!this.discarding, "no data of a discarded frame is dispatched");
    this.#faults.expect(!this.#isFound, "no data comes between the last data and its terminator", piece);
    const end = this.#boundary(stream.length).end;
    this.#faults.expect(at + length <= end, "no data belongs to a terminator", piece, stream.slice(at, end));
    this.#faults.expect(
      this.isRaw || this.#frameBytes + length <= this.framing.limit,
      "data is within the limit",
      piece,
    );
    this.#advance(length);
  }

  frame(): void {
    this.isUnsure = false;
    this.#skip();
    this.#faults.expect(!this.discarding && !this.refused, "no frame is dispatched in place of a refused one");
    const boundary = this.#boundary(this.read);
    if (this.#isPlain && !this.#isFound) this.#advance(boundary.end - this.at);
    if (!this.#isFound) {
      this.#faults.equal(this.at, boundary.end, "all data of a frame is dispatched before its end");
      this.#faults.expect(boundary.matched !== null, "a frame ends at its terminator", this.stream.slice(this.at));
      this.#found = boundary.matched ?? "";
    }
    this.frames++;
    this.matched = this.framing.count >= 0 ? null : this.#found;
    this.#endFrame();
  }

  /** Returns the limit, and whether the chat must end. */
  tooLong(): { limit: number; ends: boolean } {
    this.isUnsure = false;
    this.#skip();
    const { limit, discards } = this.framing;
    const isHopeless = this.#isHopeless;
    if (isHopeless) {
      this.#faults.equal(this.#frameBytes, 0, "a count above the limit is too long before any data");
    } else if (!this.refused) {
      const { end } = this.#boundary(this.read);
      if (this.#isPlain) this.#advance(Math.min(limit - this.#frameBytes, end - this.at));
      this.#faults.expect(!this.isRaw && !this.discarding, "only a frame is too long");
      this.#faults.equal(this.#frameBytes, limit, "what fits is dispatched first");
      this.#faults.expect(this.at < end, "a frame of the limit is not too long", this.stream.slice(this.at));
    }
    const refusedLimit = this.refused ? this.#refusedLimit : limit;
    this.refused = false;
    this.discarding = discards;
    return { limit: refusedLimit, ends: !discards };
  }

  /** discardBuffers(): what was read is gone, but a frame whose terminator had been seen is complete. */
  discard(): void {
    if (this.#isFound) this.#foundGone = true;
    this.at = this.read;
    this.#frameBytes = 0;
    this.gathered = "";
  }

  /** The chat waits for room in its output: it may have dispatched data before. */
  pause(): void {
    this.isUnsure = this.#isPlain;
  }

  /** The chat waits for bytes, or has got the last: checks that all that can be dispatched was. */
  complete(): void {
    this.isUnsure = false;
    this.#skip();
    if (this.discarding) return;
    const { end, matched } = this.#boundary(this.read);
    const { limit } = this.framing;
    if (this.#isPlain && this.at < end && (this.isRaw || this.#frameBytes + end - this.at <= limit)) {
      this.#advance(end - this.at);
    }
    this.#faults.equal(this.at, end, "all data that came is dispatched");
    this.#faults.expect(
      !this.#isFound && matched === null,
      "each frame that came is dispatched",
      this.stream.slice(end),
    );
    this.#faults.expect(!this.refused && !this.#isHopeless, "a refused frame is reported");
  }

  /** Whether the frame is a count above its limit. */
  get #isHopeless(): boolean {
    return !this.discarding && !this.refused && this.framing.count > this.framing.limit;
  }

  get #isFound(): boolean {
    return this.#found !== null;
  }

  #begin(framing: Framing): void {
    this.framing = framing;
    this.remaining = framing.count;
    this.#frameBytes = 0;
    this.#found = null;
    this.#foundGone = this.discarding = this.#isChanged = false;
    if (framing.count === 0) this.#found = ""; // complete at once
    this.#frameStart = this.at;
    this.#frameTime = this.#now();
  }

  #advance(length: number): void {
    if (this.#gathers) length = this.#gather(this.stream.slice(this.at, this.at + length));
    this.at += length;
    this.#frameBytes += length;
    if (this.framing.count >= 0) this.remaining -= length;
    if (this.refused) return; // the rest of the piece is taken back
    const { end, matched } = this.#boundary(this.read);
    if (end === this.at && matched !== null) this.#found = matched;
  }

  /** Collects up to the limit. Returns how much that is. */
  #gather(piece: string): number {
    const { limit } = this.framing;
    const fitting = piece.slice(0, Math.max(0, limit - this.gathered.length));
    this.gathered += fitting;
    if (fitting.length < piece.length) {
      this.refused = true;
      this.#refusedLimit = limit;
    }
    return fitting.length;
  }

  /** Passes over what is discarded, as far as it is known where that ends. */
  #skip(): void {
    if (!this.discarding) return;
    if (this.#isFound) return this.#endFrame();
    const { end, matched } = this.#boundary(this.read);
    if (this.framing.count >= 0) this.remaining -= end - this.at;
    if (matched === null && !this.isRaw && this.framing.count < 0) return;
    this.at = end;
    if (matched === null) return;
    this.#found = matched;
    this.#endFrame();
  }

  #endFrame(): void {
    if (!this.#foundGone) this.at += this.#found!.length;
    const keeps = this.framing.count < 0 && this.#after === null;
    this.#begin(keeps ? this.framing : this.#after ?? this.#raw);
    this.#after = null;
  }

  /** Where the data ends that begins at `at`, if the first `known` bytes are all there is so far; and the terminator there. */
  #boundary(known: number): { end: number; matched: string | null } {
    const { stream } = this;
    const { delimiters, count } = this.framing;
    if (count >= 0) {
      const end = this.at + this.remaining;
      return end <= known ? { end, matched: "" } : { end: known, matched: null };
    }
    for (let end = this.at; end < known; end++) {
      for (const delimiter of delimiters) {
        const part = stream.slice(end, Math.min(end + delimiter.length, known));
        if (part === delimiter) return { end, matched: delimiter };
        if (!this.ended && delimiter.startsWith(part)) return { end, matched: null };
      }
    }
    return { end: known, matched: null };
  }
}
