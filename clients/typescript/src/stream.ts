// One answer as its user reads it: an asynchronous iterator over chunks, and promises of the whole.
//
// What has come and was not read is bounded: beyond the mark the stream is paused, which leaves the
// rest in the gateway's log, and it goes on from there when the reader has caught up.
//
// Weakness: one chunk may be as large as the gateway lets a record be, and what was under way when
// the mark was reached is dropped and sent once more.

import { Answer, type Position, type SavedStream } from "./answer.js";
import { type Chunk, type StreamEvents, type StreamResult, bytesOf, chunkOf } from "./chunks.js";
import { Emitter, type Listener } from "./emitter.js";
import { ConfigurationError, TokenferryError } from "./errors.js";
import type { Done, Failed, StreamEvent } from "./events.js";
import type { Usage } from "./requests.js";

/** What a stream asks of its client. */
export interface StreamOwner {
  readonly bufferBytes: number;
  cancel(stream: Stream): Promise<void>;
  detach(stream: Stream): void;
  pause(stream: Stream): void;
  unpause(stream: Stream): void;
  followAgain(stream: Stream, position: Position): void;
  errorOf(failed: Failed): TokenferryError;
}

export class Stream implements AsyncIterable<Chunk> {
  /** The name of this following on the wire. */
  ref: string;
  readonly idempotencyKey: string | null;
  /** What was read so far. */
  readonly answer: Answer;
  #owner: StreamOwner;
  #emitter = new Emitter<StreamEvents>();
  #id: string | null;
  #events: StreamEvent[] = [];
  #chunks: Chunk[] = []; // what was made of events, and comes next
  #bytes = 0;
  #paused = false;
  #ended = false; // nothing more comes
  #over = false; // and everything was read
  #error: TokenferryError | null = null;
  #ending: Done | Failed | null = null;
  #left = false; // detached
  #reading = false;
  #waiters: (() => void)[] = []; // for anything that happens

  constructor(
    owner: StreamOwner,
    ref: string,
    from: SavedStream | null,
    idempotencyKey: string | null,
  ) {
    this.#owner = owner;
    this.ref = ref;
    this.#id = from?.streamId ?? null;
    this.idempotencyKey = idempotencyKey ?? from?.idempotencyKey ?? null;
    this.answer = new Answer(from?.epoch, from?.seq, from?.steps);
  }

  /** The gateway's name for it; null until it has begun. */
  get id(): string | null {
    return this.#id;
  }

  /** How far the chunks that were read reach; null until it has begun. */
  get position(): Position | null {
    const { epoch, seq } = this.answer;
    return this.#id === null ? null : { streamId: this.#id, epoch, seq };
  }

  /** Of an answer that was read to its end; also of one that failed, if the gateway knows it. */
  get usage(): Usage | null {
    return (this.#ending?.usage as Usage | null | undefined) ?? null;
  }

  get cost(): string | null {
    return this.#ending?.cost ?? null;
  }

  get finishReason(): string | null {
    return this.#ending?.type === "done" ? this.#ending.finishReason : null;
  }

  /** Whether nothing more comes from the gateway; what has come may still be unread. */
  get ended(): boolean {
    return this.#ended;
  }

  /** Whether it is let wait at the gateway, because too much of it is unread here. */
  get paused(): boolean {
    return this.#paused;
  }

  /** About how much of it waits here to be read; a little over the client's `bufferBytes` at most. */
  get bufferedBytes(): number {
    return this.#bytes;
  }

  /** Listens; returns the function that takes the listener off again. */
  on<Name extends keyof StreamEvents>(
    name: Name,
    listener: Listener<StreamEvents[Name]>,
  ): () => void {
    return this.#emitter.on(name, listener);
  }

  once<Name extends keyof StreamEvents>(
    name: Name,
    listener: Listener<StreamEvents[Name]>,
  ): () => void {
    return this.#emitter.once(name, listener);
  }

  /** For this client alone. */
  emit<Name extends keyof StreamEvents>(name: Name, value: StreamEvents[Name]): void {
    this.#emitter.emit(name, value);
  }

  /**
   * Ends the answer at the gateway, by HTTP where the connection is down. What was generated until
   * then can still be read. Resolves when the gateway has confirmed it; it never rejects.
   */
  cancel(): Promise<void> {
    return this.#owner.cancel(this);
  }

  /** Stops receiving: reading ends, the answer goes on at the gateway. */
  detach(): void {
    this.#left = true;
    this.#owner.detach(this);
  }

  /** Returns what `client.resume` goes on from, with what was read; null before it has begun. */
  toJSON(): SavedStream | null {
    const { position, idempotencyKey } = this;
    if (!position) return null;
    // A copy: whoever keeps the object must not find later steps beside an earlier position.
    const steps = [...this.answer.steps];
    return { ...position, ...(idempotencyKey && { idempotencyKey }), steps };
  }

  // -- reading ----------------------------------------------------------------------------------

  /** Iterates over the chunks; leaving the loop before the end cancels, unless it is detached. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Chunk, void, void> {
    if (this.#reading) throw new ConfigurationError("The stream is being read already.");
    this.#reading = true;
    try {
      for (let chunk = await this.#take(); chunk !== null; chunk = await this.#take()) yield chunk;
    } finally {
      this.#reading = false;
      if (!this.#over) {
        void this.cancel();
        void this.#drain();
      }
    }
  }

  /** Reads to the end, unless somebody else does, and returns the whole; throws what went wrong. */
  async final(): Promise<StreamResult> {
    void this.#drain();
    while (!this.#over) await this.#news();
    if (this.#error) throw this.#error;
    if (this.#ending?.type !== "done")
      throw new TokenferryError("The stream was detached before its end.", "detached");
    const { text, reasoning, toolCalls, choices } = this.answer;
    const { finishReason, finishReasons, usage, cost, balance, notice } = this.#ending;
    return {
      streamId: this.#id,
      text,
      reasoning,
      toolCalls,
      texts: choices.map((choice) => choice.text),
      finishReason,
      finishReasons,
      usage: usage as Usage | null,
      cost,
      balance,
      notice,
    };
  }

  /** Reads to the end and returns the text; throws what went wrong. */
  async text(): Promise<string> {
    return (await this.final()).text;
  }

  async #drain(): Promise<void> {
    if (this.#reading || this.#over) return;
    this.#reading = true;
    try {
      while (await this.#take());
    } catch {
      // Whoever wants to know asks `final`, which throws the same.
    } finally {
      this.#reading = false;
    }
  }

  async #take(): Promise<Chunk | null> {
    for (;;) {
      const chunk = this.#chunks.shift();
      if (chunk) return chunk;
      const event = this.#events.shift();
      if (event) this.#read(event);
      else if (!this.#ended) await this.#news();
      else {
        this.#over = true;
        this.#stir();
        if (this.#error) throw this.#error;
        return null;
      }
    }
  }

  #read(event: StreamEvent): void {
    const { answer } = this;
    this.#bytes -= bytesOf(event);
    if (this.#paused && this.#bytes <= this.#owner.bufferBytes / 4) {
      this.#paused = false;
      this.#owner.unpause(this);
    }
    switch (event.type) {
      case "started":
        answer.epoch = event.epoch;
        return;
      case "chunk":
        answer.apply(event);
        this.#chunks.push(chunkOf(event));
        return;
      case "rewind":
        return this.#rewind(event.epoch, event.keepThrough);
      case "snapshot":
        answer.replace(
          event.epoch,
          event.through,
          ...(event.messages.length ? event.messages : [event.message]),
        );
        return this.#replace("snapshot");
      case "done":
        answer.epoch = event.epoch || answer.epoch;
        answer.seq = Math.max(event.seq, answer.seq);
        this.#ending = event;
        return;
      case "failed":
        this.#ending = event;
    }
  }

  #rewind(epoch: number, keepThrough: number): void {
    this.answer.rewind(epoch, keepThrough);
    this.#replace("reset");
    const { position } = this;
    if (this.answer.seq === keepThrough || !position || this.#left) return;
    // Less is known than the gateway counts on: what follows does not fit.
    this.#clear();
    this.#ended = false;
    this.#error = null;
    this.#owner.followAgain(this, position);
  }

  #replace(replaces: "reset" | "snapshot"): void {
    const { epoch, seq, choices } = this.answer;
    this.#chunks = choices.map(({ text, reasoning, toolCalls }, index) => ({
      text,
      reasoning,
      toolCalls: toolCalls.map((call, place) => ({ index: place, ...call })).filter(Boolean),
      index,
      replaces,
      delta: {},
      epoch,
      seq,
    }));
  }

  #clear(): void {
    this.#events = [];
    this.#bytes = 0;
  }

  // -- the client -------------------------------------------------------------------------------

  /** Takes an event; for this client alone. */
  push(event: StreamEvent): void {
    if (this.#ended) return;
    switch (event.type) {
      case "queued":
        return this.emit("queued", { position: event.position, etaS: event.etaS });
      case "caught_up":
        return this.emit("caughtUp", { seq: event.seq });
      case "rate_limits":
        return this.emit("rateLimits", event.limits);
    }
    this.#events.push(event);
    this.#bytes += bytesOf(event);
    if (event.type === "started") {
      this.#id = event.streamId;
      this.emit("started", { streamId: event.streamId, epoch: event.epoch, seq: 0 });
    } else if (event.type === "done" || event.type === "failed") {
      return this.end(event.type === "failed" ? this.#owner.errorOf(event) : null);
    } else if (!this.#paused && this.#bytes > this.#owner.bufferBytes) {
      this.#paused = true;
      this.#owner.pause(this);
    }
    this.#stir();
  }

  /** Says that nothing more comes; for this client alone. With an error, reading throws it. */
  end(error: TokenferryError | null, drop = false): void {
    if (this.#ended) return;
    if (drop) this.#clear();
    this.#ended = true;
    this.#error = error; // thrown when what came before it has been read
    this.#stir();
    this.emit("ended", { error });
  }

  /** Waits until anything happens. */
  #news(): Promise<void> {
    return new Promise((resolve) => this.#waiters.push(resolve));
  }

  #stir(): void {
    for (const wake of this.#waiters.splice(0)) wake();
  }
}
