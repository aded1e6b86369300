// The streams of a client and what carries them: a link that decides, a socket, a line for limits.
//
// Weakness: one connection for all streams; the gateway serves them in turns, and has a limit of
// streams on it (32 as a rule) beyond which requests wait.

import type { Action } from "./actions.js";
import type { Address } from "./address.js";
import type { Position, SavedStream } from "./answer.js";
import type { ClientEvents, ConnectionState, Platform } from "./client-options.js";
import { RANDOM_RANGE } from "./closing.js";
import { Emitter } from "./emitter.js";
import { Endings } from "./endings.js";
import {
  AbortedError,
  ClientClosedError,
  ConfigurationError,
  ConnectionError,
  ConnectionLostError,
  QueueFullError,
  type TokenferryError,
  apiError,
} from "./errors.js";
import type { ErrorInfo, Failed, JsonObject, StreamEvent } from "./events.js";
import { errorInfo } from "./frames.js";
import { Gate } from "./gate.js";
import { type Creation, done, failed } from "./lane.js";
import { Link } from "./link.js";
import type { StreamSummary } from "./requests.js";
import { Dialler, type Ending, type SocketConstructor } from "./socket.js";
import { Stream, type StreamOwner } from "./stream.js";

// Until then the answer to a `cancel` is waited for; then it is repeated by HTTP.
const CANCEL_MS = 3_000;
const CANCELLED = { finish_reason: "cancelled" };
const BACK_OFF_MS = 1_000;
const BACK_OFF_MS_MAX = 30_000;

export interface SessionOptions {
  readonly address: Address;
  readonly platform: Platform;
  readonly fetch: typeof fetch;
  /** What authenticates: one of the two. */
  readonly token: string | undefined;
  readonly ticket: (() => Promise<string>) | undefined;
  readonly socket: () => Promise<SocketConstructor>;
  readonly cancel: (streamId: string) => Promise<StreamSummary>;
  readonly maxRetries: number;
  readonly queueMax: number;
  readonly queueWaitMs: number;
  readonly bufferBytes: number;
  readonly idleMs: number;
  readonly outageMs: number;
}

/** A request on its way. */
interface Wish {
  readonly creation: Creation;
  readonly maxRetries: number;
  refusals: number;
  code: string;
}

export class Session implements StreamOwner {
  readonly emitter = new Emitter<ClientEvents>();
  readonly #options: SessionOptions;
  readonly #link: Link;
  readonly #dialler: Dialler;
  readonly #endings: Endings;
  readonly #gate: Gate;
  readonly #streams = new Map<string, Stream>();
  readonly #wishes = new Map<string, Wish>();
  readonly #asleep: () => void;
  #refs = 0;
  #closed = false;
  #attempt = 0;
  #cause: TokenferryError | null = null;
  #lastError: TokenferryError | null = null;
  #state: ConnectionState = { status: "idle" };
  #actions: Action[] = [];
  #acting = false;
  #timers: Partial<Record<"link" | "gate" | "idle", ReturnType<typeof setTimeout>>> = {};

  constructor(options: SessionOptions) {
    const { address, platform, token, ticket } = options;
    this.#options = options;
    this.#gate = new Gate(options.queueMax, options.queueWaitMs);
    this.#endings = new Endings(address, platform, options.fetch, options.maxRetries);
    this.#link = new Link({
      ticket: ticket !== undefined,
      pings: platform.pings,
      notices: true,
      attemptsMax: Infinity, // the time alone decides
      outageMsMax: options.outageMs,
      ...(token !== undefined && { token }),
    });
    this.#dialler = new Dialler(address, options.socket, ticket ?? (async () => ""), {
      opened: () => {
        this.#endings.opened();
        this.#act(this.#link.opened(now()));
      },
      received: (text) => this.#act(this.#link.received(text, now(), randomBits())),
      closed: (ending) => void this.#ended(ending),
    });
    this.#asleep = platform.onWake((wasAway) => this.hurry(wasAway));
  }

  get bufferBytes(): number {
    return this.#options.bufferBytes;
  }

  get state(): ConnectionState {
    return this.#state;
  }

  /** Asks for an answer, or puts the request into the line. */
  create(creation: Creation, maxRetries: number, signal?: AbortSignal): Stream {
    const stream = this.#add(null, creation.idempotencyKey);
    const code = "rate_limit_exceeded";
    this.#wishes.set(stream.ref, { creation, maxRetries, refusals: 0, code });
    if (!this.#gate.enter(stream.ref, now())) {
      this.#forget(stream);
      throw new QueueFullError(this.#gate.length);
    }
    this.#heed(stream, signal, true);
    this.#pump();
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
    // Those that wait in the line are not the link's.
    for (const stream of this.#streams.values()) stream.end(new ClientClosedError(), true);
    for (const timer of Object.values(this.#timers)) clearTimeout(timer);
    this.#become({ status: "closed" });
  }

  // -- streams ----------------------------------------------------------------------------------

  #add(from: SavedStream | null, idempotencyKey: string | null): Stream {
    if (this.#closed) throw new ClientClosedError();
    clearTimeout(this.#timers.idle);
    const stream = new Stream(this, String(++this.#refs), from, idempotencyKey);
    this.#streams.set(stream.ref, stream);
    return stream;
  }

  #forget(stream: Stream): void {
    this.#gate.leave(stream.ref);
    this.#wishes.delete(stream.ref);
    this.#streams.delete(stream.ref);
    if (this.#streams.size > 0 || this.#closed) return;
    clearTimeout(this.#timers.idle);
    this.#timers.idle = setTimeout(() => this.#act(this.#link.close()), this.#options.idleMs);
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
    if (stream.ended) return;
    if (this.#link.usable && !stream.paused) {
      let timer: ReturnType<typeof setTimeout> | undefined;
      const patience = new Promise<void>((resolve) => (timer = setTimeout(resolve, CANCEL_MS)));
      await Promise.race([ended, patience]);
      clearTimeout(timer);
    }
    if (stream.ended) return;
    if (stream.id !== null && (await this.#cancelByHttp(stream, stream.id))) return;
    if (!stream.paused) await ended;
  }

  /** Asks for the end of a stream: of the gateway, or of this client's own line. */
  #ask({ ref }: Stream): void {
    if (this.#gate.waits(ref)) this.#deliver(done(ref, CANCELLED, 0, 0));
    else this.#act(this.#link.cancel(ref, now(), randomBits()));
  }

  async #cancelByHttp(stream: Stream, id: string): Promise<boolean> {
    let found: StreamSummary;
    try {
      found = await this.#options.cancel(id);
    } catch {
      return false; // the link sends it when the connection is back
    }
    if (stream.ended) return true;
    const { ref } = stream;
    this.#act(this.#link.detach(ref, now(), randomBits()));
    const { epoch, head } = found;
    const message = found.completion?.choices?.[0]?.message;
    if (message) this.#deliver({ type: "snapshot", ref, epoch, through: head, message });
    const frame = found as unknown as JsonObject;
    if (found.error) this.#deliver(failed(ref, errorInfo(frame), id, epoch, head, frame));
    else
      this.#deliver(
        done(ref, { ...frame, ...(found.finish_reason ? {} : CANCELLED) }, epoch, head),
      );
    return true;
  }

  detach(stream: Stream): void {
    this.#act(this.#link.detach(stream.ref, now(), randomBits()));
    this.#forget(stream);
    stream.end(null);
    this.#pump();
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
    const { error, streamId, retryAfterMs, limit, usage, cost, state } = failed;
    if (this.#cause && this.#cause.code === error.code) return this.#cause;
    if (error.code === "client_closed") return new ClientClosedError();
    if (error.code === "connection_lost") {
      return new ConnectionLostError(error.message, "lost", { cause: this.#lastError });
    }
    if (error.code === "connection_closed") return new ConnectionError(error.message, "lost");
    const requestId = this.#link.connectionId;
    return apiError(error, { requestId, streamId, retryAfterMs, limit, usage, cost, state });
  }

  // -- the line ---------------------------------------------------------------------------------

  #pump(): void {
    if (this.#closed) return;
    const time = now();
    const { go, late, wakeInMs } = this.#gate.next(time);
    for (const ref of go) this.#create(ref);
    for (const ref of late) this.#tooLate(ref, this.#gate.waitMs(time));
    clearTimeout(this.#timers.gate);
    if (wakeInMs !== null) this.#timers.gate = setTimeout(() => this.#pump(), wakeInMs);
    this.#gate.waiting().forEach((ref, ahead) => {
      const code = this.#wishes.get(ref)?.code ?? "";
      this.#streams.get(ref)?.emit("waiting", { waitMs: this.#gate.waitMs(time), ahead, code });
    });
  }

  #create(ref: string): void {
    const wish = this.#wishes.get(ref);
    if (!wish) return;
    try {
      this.#act(this.#link.create(ref, wish.creation, now()));
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      this.#gate.refused(ref, BACK_OFF_MS, now()); // as many streams as a link has
    }
  }

  #tooLate(ref: string, waitMs: number): void {
    const message = `The key is at a limit for ${Math.ceil(waitMs / 1000)} s more, longer than \`queueWaitMs\` lets a request wait.`;
    const error: ErrorInfo = {
      code: this.#wishes.get(ref)?.code ?? "rate_limit_exceeded",
      message,
      type: "rate_limit_error",
      param: null,
      retryable: true,
    };
    this.#deliver(failed(ref, error, null, 0, 0, { retry_after_ms: Math.ceil(waitMs) }), true);
  }

  /** Puts a refused request back into the line, if it may be repeated. */
  #repeats(event: Failed): boolean {
    const wish = this.#wishes.get(event.ref);
    const { code, retryable } = event.error;
    if (!wish || wish.maxRetries === 0 || !retryable || event.streamId !== null || this.#closed)
      return false;
    if (code === "connection_lost" || this.#cause?.code === code) return false;
    const refusals = wish.refusals++;
    // Of a limit it is known when it ends: the time a request may wait bounds that.
    const isLimit = apiError(event.error).status === 429;
    if (!isLimit && refusals >= wish.maxRetries) return false;
    const backOffMs = Math.min(BACK_OFF_MS_MAX, BACK_OFF_MS * 2 ** Math.min(refusals, 10));
    wish.code = code;
    this.#gate.refused(event.ref, event.retryAfterMs ?? backOffMs, now());
    this.#pump();
    return true;
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
        clearTimeout(this.#timers.link);
        if (action.inMs !== null) {
          const fired = () => this.#act(this.#link.fired(now(), randomBits()));
          this.#timers.link = setTimeout(fired, action.inMs);
        }
        return;
      case "connect":
        this.#attempt = action.attempt;
        if (action.attempt > 0) this.#comingBack(action.attempt, action.delayMs);
        return this.#dialler.dial(action.delayMs, action.ticket);
      case "close":
        return this.#dialler.hangUp(action.code);
    }
  }

  #deliver(event: StreamEvent, finally_ = false): void {
    const stream = this.#streams.get(event.ref);
    if (event.type === "started") {
      this.#gate.started(event.ref);
      this.#wishes.delete(event.ref);
      this.#pumpSoon();
    } else if (event.type === "rate_limits") {
      this.#gate.standing(event.limits, now());
      this.emitter.emit("rateLimits", event.limits);
      this.#pumpSoon();
    } else if (event.type === "done" || event.type === "failed") {
      if (event.type === "failed" && !finally_ && this.#repeats(event)) return;
      if (stream) this.#forget(stream);
      this.#pumpSoon();
    }
    stream?.push(event);
  }

  /** Looks at the line when what came together has been read. */
  #pumpSoon(): void {
    if (this.#gate.length === 0 || this.#closed) return;
    clearTimeout(this.#timers.gate);
    this.#timers.gate = setTimeout(() => this.#pump(), 0);
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
    const { code, error, refusal } = await this.#endings.conclude(
      ending,
      this.#link,
      this.#attempt,
    );
    this.#lastError = error;
    if (code !== null) return this.#act(this.#link.closed(code, now(), randomBits(), refusal));
    this.#cause = error;
    const { message } = error;
    this.#act(
      this.#link.refuse({ code: error.code, message, type: "", param: null, retryable: false }),
    );
    this.#cause = null;
  }
}

const following = ({ streamId, epoch, seq }: Position) => ({ streamId, epoch, after: seq });

function now(): number {
  return Math.floor(performance.now());
}

function randomBits(): number {
  return Math.floor(Math.random() * RANDOM_RANGE);
}
