// The streams of a client and what carries them: a link that decides, a socket, a line for limits.
//
// Weakness: one connection for all streams; the gateway serves them in turns, and has a limit of
// streams on it (32 as a rule) beyond which requests wait.

import type { Action } from "./actions.js";
import type { Address } from "./address.js";
import type { Position, SavedStream } from "./answer.js";
import type { ClientEvents, ClientOptions, ConnectionState, Platform } from "./client-options.js";
import { later, now, randomBits } from "./clock.js";
import type { StreamEvents } from "./chunks.js";
import { Emitter } from "./emitter.js";
import { type Conclude, concluding } from "./endings.js";
import {
  AbortedError,
  ClientClosedError,
  ConfigurationError,
  ConnectionError,
  ConnectionLostError,
  type APIError,
  QueueFullError,
  type TokenferryError,
  apiError,
} from "./errors.js";
import type { ErrorInfo, Failed, JsonObject, StreamEvent } from "./events.js";
import { errorInfo, ownError } from "./frames.js";
import { type Creation, done, failed } from "./lane.js";
import { Line } from "./line.js";
import { Link } from "./link.js";
import type { StreamSummary } from "./requests.js";
import { Dialler, type Ending, type SocketConstructor } from "./socket.js";
import { Stream, type StreamOwner } from "./stream.js";

// Until then the answer to a `cancel` is waited for; then it is repeated by HTTP.
const CANCEL_MS = 3_000;

/** What a session needs beside the client's own options. */
export interface SessionOptions extends Omit<ClientOptions, "fetch"> {
  readonly address: Address;
  readonly platform: Platform;
  readonly fetch: typeof fetch;
  /** What authenticates: one of the two. */
  readonly token: string | undefined;
  readonly getTicket: (() => Promise<string>) | undefined;
  readonly loadSocket: () => Promise<SocketConstructor>;
  readonly cancel: (streamId: string) => Promise<StreamSummary>;
  readonly maxRetries: number;
}

export class Session implements StreamOwner {
  readonly emitter = new Emitter<ClientEvents>();
  readonly bufferBytes: number;
  readonly #idleMs: number;
  readonly #cancel: SessionOptions["cancel"];
  readonly #link: Link;
  readonly #dialler: Dialler;
  readonly #conclude: Conclude;
  readonly #line: Line;
  readonly #streams = new Map<string, Stream>();
  readonly #asleep: () => void;
  #refs = 0;
  #closed = false;
  #dials = 0; // how often another connection, or none, was wanted
  #refusal: ErrorInfo | null = null; // what `#lastError` is to the link, while that hears of it
  #lastError: TokenferryError | null = null;
  #state: ConnectionState = { status: "idle" };
  #actions: Action[] = [];
  #acting = false;
  #linkTimer: ReturnType<typeof setTimeout> | undefined;
  #idleTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(options: SessionOptions) {
    const { address, platform, token, getTicket, maxRetries } = options;
    this.bufferBytes = options.bufferBytes ?? 256 * 1024;
    this.#idleMs = options.idleMs ?? 60_000;
    this.#cancel = options.cancel;
    const owner = {
      send: (ref: string, creation: Creation) => this.#act(this.#link.create(ref, creation, now())),
      end: (event: Failed) => this.#deliver(event),
      waits: (ref: string, waiting: StreamEvents["waiting"]) =>
        this.#streams.get(ref)?.emit("waiting", waiting),
    };
    const waitMsMax = options.queueWaitMs ?? 60_000;
    this.#line = new Line(owner, options.queueMax ?? 1_000, waitMsMax);
    this.#conclude = concluding(address, platform, options.fetch);
    this.#link = new Link({
      ticket: getTicket !== undefined,
      pings: platform.pings,
      notices: true,
      attemptsMax: Infinity, // the time alone decides
      outageMsMax: options.outageMs ?? 300_000,
      maxRetries,
      waitMsMax,
      ...(token !== undefined && { token }),
    });
    this.#dialler = new Dialler(address, options.loadSocket, getTicket, {
      opened: () => this.#act(this.#link.opened(now())),
      received: (text) => this.#act(this.#link.received(text, now(), randomBits())),
      closed: (ending) => void this.#ended(ending),
    });
    this.#asleep = platform.onWake((wasAway) => this.hurry(wasAway));
  }

  get state(): ConnectionState {
    return this.#state;
  }

  /** Asks for an answer, or puts the request into the line. */
  create(creation: Creation, maxRetries: number, signal?: AbortSignal): Stream {
    const stream = this.#add(null, creation.idempotencyKey);
    if (!this.#line.enter(stream.ref, creation, maxRetries)) {
      this.#forget(stream);
      throw new QueueFullError(this.#line.length);
    }
    this.#heed(stream, signal, true);
    this.#line.move();
    return stream;
  }

  /** Goes on with an answer after a position. */
  follow(from: SavedStream, signal?: AbortSignal): Stream {
    const stream = this.#add(from, null);
    try {
      this.#act(this.#link.follow(stream.ref, following(from), now()));
    } catch (error) {
      this.#forget(stream);
      if (!(error instanceof RangeError)) throw error;
      throw new ConfigurationError(`${error.message}: ${from.streamId}`);
    }
    this.#heed(stream, signal, false);
    return stream;
  }

  /**
   * Does not wait any longer for the next attempt to connect. What is open is asked for a sign of
   * life, or is given up if the network was away.
   */
  hurry(wasAway = false): void {
    this.#act(wasAway ? this.#link.redial(now(), randomBits()) : this.#link.doubt(now()));
    this.#dialler.hurry();
  }

  /** Lets everything go. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#asleep();
    this.#act(this.#link.close());
    this.#line.close();
    // Those that wait in the line are not the link's.
    for (const stream of this.#streams.values()) stream.end(new ClientClosedError(), true);
    clearTimeout(this.#linkTimer);
    clearTimeout(this.#idleTimer);
    this.#become({ status: "closed" });
  }

  // -- streams ----------------------------------------------------------------------------------

  #add(from: SavedStream | null, idempotencyKey: string | null): Stream {
    if (this.#closed) throw new ClientClosedError();
    clearTimeout(this.#idleTimer);
    const stream = new Stream(this, String(++this.#refs), from, idempotencyKey);
    this.#streams.set(stream.ref, stream);
    return stream;
  }

  #forget({ ref }: Stream): void {
    this.#line.leave(ref);
    this.#streams.delete(ref);
    if (this.#streams.size > 0 || this.#closed) return;
    clearTimeout(this.#idleTimer);
    this.#idleTimer = later(() => this.#act(this.#link.close()), this.#idleMs);
  }

  #heed(stream: Stream, signal: AbortSignal | undefined, cancels: boolean): void {
    if (!signal) return;
    const abort = () => {
      stream.end(new AbortedError(signal.reason), true);
      if (cancels) this.#ask(stream);
      else this.detach(stream);
    };
    if (signal.aborted) return abort();
    signal.addEventListener("abort", abort, { once: true });
    stream.on("ended", () => signal.removeEventListener("abort", abort));
  }

  async cancel(stream: Stream): Promise<void> {
    if (stream.ended) return;
    const ended = new Promise<void>((resolve) => stream.once("ended", () => resolve()));
    this.#ask(stream);
    if (this.#link.usable && !stream.paused) {
      let timer: ReturnType<typeof setTimeout> | undefined;
      const patience = new Promise<void>((resolve) => (timer = setTimeout(resolve, CANCEL_MS)));
      await Promise.race([ended, patience]);
      clearTimeout(timer);
    }
    if (stream.ended || (stream.id !== null && (await this.#cancelByHttp(stream, stream.id))))
      return;
    if (!stream.paused) await ended;
  }

  /** Asks for the end of a stream: of the gateway, or of this client's own line. */
  #ask({ ref }: Stream): void {
    if (this.#line.waits(ref)) this.#deliver(done(ref));
    else this.#act(this.#link.cancel(ref, now(), randomBits()));
  }

  async #cancelByHttp(stream: Stream, id: string): Promise<boolean> {
    // What fails here, the link sends when the connection is back.
    const found = await this.#cancel(id).catch(() => null);
    if (!found) return false;
    if (stream.ended) return true;
    const { ref } = stream;
    this.#act(this.#link.detach(ref, now(), randomBits()));
    const { epoch, head } = found;
    const messages = (found.completion?.choices ?? []).map((choice) => choice.message ?? {});
    const [message] = messages;
    if (message) this.#deliver({ type: "snapshot", ref, epoch, through: head, message, messages });
    const frame = found as unknown as JsonObject;
    const reason = found.finish_reason ?? "cancelled";
    this.#deliver(
      found.error
        ? failed(ref, errorInfo(frame), id, epoch, head, frame)
        : done(ref, { ...frame, finish_reason: reason }, epoch, head),
    );
    return true;
  }

  detach(stream: Stream): void {
    this.#act(this.#link.detach(stream.ref, now(), randomBits()));
    this.#forget(stream);
    stream.end(null);
    this.#line.move();
  }

  pause(stream: Stream): void {
    this.#act(this.#link.pause(stream.ref, now(), randomBits()));
  }

  unpause(stream: Stream): void {
    this.#act(this.#link.unpause(stream.ref));
  }

  followAgain(stream: Stream, position: Position): void {
    this.#act(this.#link.detach(stream.ref, now(), randomBits()));
    this.#streams.delete(stream.ref);
    stream.ref = String(++this.#refs);
    this.#streams.set(stream.ref, stream);
    this.#act(this.#link.follow(stream.ref, following(position), now()));
  }

  errorOf(failed: Failed): TokenferryError {
    const { code, message } = failed.error;
    if (failed.error === this.#refusal && this.#lastError) return this.#lastError;
    if (code === "client_closed") return new ClientClosedError();
    if (code === "connection_lost")
      return new ConnectionLostError(message, "lost", { cause: this.#lastError });
    return apiError(failed.error, { ...failed, requestId: this.#link.connectionId });
  }

  // -- actions ----------------------------------------------------------------------------------

  /** Carries actions out in order, also when a listener asks for more in between. */
  #act(wanted: Action[]): void {
    this.#actions.push(...wanted);
    if (this.#acting) return;
    this.#acting = true;
    try {
      for (let action = this.#actions.shift(); action; action = this.#actions.shift())
        this.#carryOut(action);
    } finally {
      this.#acting = false;
    }
    this.#refresh();
  }

  #carryOut(action: Action): void {
    switch (action.kind) {
      case "send":
        return this.#dialler.send(JSON.stringify(action.message));
      case "deliver":
        return this.#deliver(action.event);
      case "timer":
        clearTimeout(this.#linkTimer);
        if (action.inMs !== null) {
          const fired = () => this.#act(this.#link.fired(now(), randomBits()));
          this.#linkTimer = later(fired, action.inMs);
        }
        return;
      case "connect":
        this.#dials += 1;
        if (action.attempt > 0) this.#comingBack(action.attempt, action.delayMs);
        return this.#dialler.dial(action.delayMs);
      case "close":
        this.#dials += 1;
        return this.#dialler.hangUp(action.code);
    }
  }

  #deliver(event: StreamEvent): void {
    const stream = this.#streams.get(event.ref);
    if (event.type === "started") this.#line.started(event.ref);
    else if (event.type === "rate_limits") {
      this.#line.standing(event.limits);
      this.emitter.emit("rateLimits", event.limits);
    } else if (event.type === "done" || event.type === "failed") {
      // That there is no connection is no matter of the line.
      if (event.type === "failed" && !this.#refusal && this.#line.repeats(event)) return;
      if (stream) this.#forget(stream);
    }
    stream?.push(event);
  }

  #comingBack(attempt: number, waitMs: number): void {
    const state = {
      attempt,
      waitMs,
      error: this.#lastError ?? new ConnectionError("The connection was lost.", "lost"),
    };
    this.#become({ status: "reconnecting", ...state });
    for (const stream of this.#streams.values()) stream.emit("reconnecting", state);
  }

  #refresh(): void {
    const { phase, usable } = this.#link;
    if (this.#closed) return;
    if (usable) this.#become({ status: "open" });
    else if (phase === "idle") this.#become({ status: "idle" });
    else if (this.#state.status === "idle") this.#become({ status: "connecting" });
  }

  #become(state: ConnectionState): void {
    if (state.status === this.#state.status && state.status !== "reconnecting") return;
    this.#state = state;
    this.emitter.emit("connection", state);
  }

  async #ended(ending: Ending): Promise<void> {
    const dials = this.#dials;
    const [error, code] = await this.#conclude(ending, this.#link);
    if (dials !== this.#dials) return; // it took a while, and is about another connection now
    this.#lastError = error;
    const refusal = { ...ownError(error.code, error.message), ...(error as Partial<APIError>) };
    this.#refusal = refusal;
    this.#act(
      code === null
        ? this.#link.refuse(refusal)
        : this.#link.closed(code, now(), randomBits(), refusal),
    );
    this.#refusal = null;
  }
}

const following = ({ streamId, epoch, seq }: Position) => ({ streamId, epoch, after: seq });
