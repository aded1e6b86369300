// The client: streams over one connection that comes back by itself, and the short requests.
//
// It carries out what the link decides. Weakness: one connection for all streams; the gateway
// serves them in turns, and has a limit of streams on it (32 as a rule) beyond which creates wait.

import type { Action } from "./actions.js";
import { type Address, readAddress } from "./address.js";
import { requireKey } from "./api-key.js";
import type { Position, SavedStream } from "./answer.js";
import { RANDOM_RANGE } from "./closing.js";
import { Emitter, type Listener } from "./emitter.js";
import {
  APIError,
  AbortedError,
  ClientClosedError,
  ConfigurationError,
  ConnectionError,
  ConnectionLostError,
  QueueFullError,
  TokenferryError,
  UpgradeError,
  apiError,
} from "./errors.js";
import type { ErrorInfo, Failed, JsonObject, RateLimit, StreamEvent } from "./events.js";
import { errorInfo } from "./frames.js";
import { Gate } from "./gate.js";
import { Http } from "./http.js";
import { type Creation, done, failed } from "./lane.js";
import { ABNORMAL, Link } from "./link.js";
import type { ChatRequest, FollowOptions, Model, StreamOptions, StreamSummary } from "./requests.js";
import { Dialler, type Ending, type SocketConstructor } from "./socket.js";
import { Stream, type StreamOwner } from "./stream.js";

export interface ClientOptions {
  /** Where the gateway is; in a page, where the page came from; in Node, TOKENFERRY_BASE_URL. */
  readonly baseURL?: string;
  /** The API key; in Node, TOKENFERRY_API_KEY. Its form is checked at once. */
  readonly apiKey?: string;
  /** Gets a single-use ticket for each connection: how a page does without a key. */
  readonly ticket?: () => Promise<string>;
  /** For the short requests: to add what your own server wants, such as cookies. */
  readonly fetch?: typeof fetch;
  /** `globalThis.WebSocket`, or that of `ws`, unless given. */
  readonly WebSocket?: SocketConstructor;
  /** How often what failed for a while is tried again; 2. With 0, a 429 is thrown at once. */
  readonly maxRetries?: number;
  /** How many requests may wait because the key is at a limit; 1,000. */
  readonly queueMax?: number;
  /** How long one may; 60,000 ms. */
  readonly queueWaitMs?: number;
  /** What may wait to be read of one stream before it is paused; 256 KiB. */
  readonly bufferBytes?: number;
  /** How long a connection without streams is kept; 60,000 ms. */
  readonly idleMs?: number;
  /** How long a lost connection is tried again; 300,000 ms. */
  readonly outageMs?: number;
}

/** What differs between a page and Node. */
export interface Platform {
  readonly baseURL: string | undefined;
  readonly apiKey: string | undefined;
  /** Whether a key is exchanged for tickets, as headers cannot be set. */
  readonly tickets: boolean;
  /** Whether to send pings; else the gateway's heartbeats are asked for. */
  readonly pings: boolean;
  socket(): Promise<SocketConstructor>;
  /** Returns the close code that a refused upgrade counts as; null if nothing is known of it. */
  refusal(error: unknown): number | null;
  /** Says why no connection could be made. */
  diagnose(address: Address, own: typeof fetch, error: unknown): Promise<ConnectionError>;
  /** Calls back when the network may be there again; returns how to stop that. */
  onWake(callback: () => void): () => void;
}

export type ConnectionState =
  | { readonly status: "idle" | "connecting" | "open" | "closed" }
  | {
      readonly status: "reconnecting";
      /** From 1, since things went well. */
      readonly attempt: number;
      readonly waitMs: number;
      readonly error: TokenferryError;
    };

export interface ClientEvents {
  connection: ConnectionState;
  /** How the key stands with its limits, after each request. */
  rateLimits: readonly RateLimit[];
}

// Until then the answer to a `cancel` is waited for; then it is repeated by HTTP.
const CANCEL_MS = 3_000;
const CANCELLED = { finish_reason: "cancelled" };
const BACK_OFF_MS = 1_000;
const BACK_OFF_MS_MAX = 30_000;
const BAD_TICKET = 4001;
const BACK_OFF = 4100;
export const MEND = 4000;
// Section 8 of the protocol: what a browser's refused upgrade closes with.
const CLOSE_CODES: Readonly<Record<number, readonly [code: string, type: string]>> = {
  1009: ["payload_too_large", "invalid_request_error"],
  4000: ["invalid_frame", "invalid_request_error"],
  4001: ["invalid_api_key", "authentication_error"],
  4003: ["origin_not_allowed", "authentication_error"],
  4004: ["unsupported_version", "invalid_request_error"],
  4008: ["authentication_timeout", "authentication_error"],
  4029: ["too_many_connections", "rate_limit_error"],
};

interface Wish {
  readonly creation: Creation;
  readonly maxRetries: number;
  refusals: number;
  code: string;
}

export class Client implements StreamOwner {
  readonly bufferBytes: number;
  readonly models: { list(): Promise<Model[]>; get(id: string): Promise<Model> };
  readonly streams: {
    list(limit?: number): Promise<StreamSummary[]>;
    get(id: string): Promise<StreamSummary>;
    cancel(id: string): Promise<StreamSummary>;
  };
  readonly #address: Address;
  readonly #platform: Platform;
  readonly #fetch: typeof fetch;
  readonly #http: Http;
  readonly #maxRetries: number;
  readonly #idleMs: number;
  readonly #link: Link;
  readonly #dialler: Dialler;
  readonly #gate: Gate;
  readonly #emitter = new Emitter<ClientEvents>();
  readonly #streams = new Map<string, Stream>();
  readonly #wishes = new Map<string, Wish>();
  readonly #asleep: () => void;
  #refs = 0;
  #closed = false;
  #connected = false; // once
  #attempt = 0;
  #badTickets = 0;
  #cause: TokenferryError | null = null;
  #state: ConnectionState = { status: "idle" };
  #actions: Action[] = [];
  #acting = false;
  #timers: Partial<Record<"link" | "gate" | "idle", ReturnType<typeof setTimeout>>> = {};

  constructor(options: ClientOptions, platform: Platform) {
    const { apiKey = platform.apiKey, ticket } = options;
    const baseURL = options.baseURL ?? platform.baseURL;
    if (baseURL === undefined) throw new ConfigurationError("Pass `baseURL`, where the gateway is.");
    if (ticket === undefined && !apiKey) {
      throw new ConfigurationError("Pass `apiKey`, or set TOKENFERRY_API_KEY; a page passes `ticket`.");
    }
    if (ticket === undefined && apiKey) requireKey(apiKey);
    this.#platform = platform;
    this.#address = readAddress(baseURL);
    this.#fetch = options.fetch ?? ((...given) => fetch(...given));
    this.#maxRetries = options.maxRetries ?? 2;
    this.#idleMs = options.idleMs ?? 60_000;
    this.bufferBytes = options.bufferBytes ?? 256 * 1024;
    this.#gate = new Gate(options.queueMax ?? 1_000, options.queueWaitMs ?? 60_000);
    const key = ticket === undefined ? apiKey : undefined;
    this.#http = new Http(this.#address, key, this.#fetch, this.#maxRetries);
    const usesTickets = ticket !== undefined || platform.tickets;
    this.#link = new Link({
      ticket: usesTickets,
      pings: platform.pings,
      notices: true,
      attemptsMax: Infinity, // the time alone decides
      outageMsMax: options.outageMs ?? 300_000,
      ...(usesTickets || key === undefined ? {} : { token: key }),
    });
    const { WebSocket } = options;
    const load = WebSocket ? () => Promise.resolve(WebSocket) : () => platform.socket();
    this.#dialler = new Dialler(this.#address, load, ticket ?? (() => this.#ticket()), {
      opened: () => this.#opened(),
      received: (text) => this.#act(this.#link.received(text, now(), randomBits())),
      closed: (ending) => void this.#ended(ending),
    });
    this.#asleep = platform.onWake(() => this.reconnect());
    this.models = {
      list: async () => (await this.#http.call("/v1/models"))["data"] as Model[],
      get: async (id) => (await this.#http.call(`/v1/models/${id}`)) as unknown as Model,
    };
    const named = (id: string) => `/v1/streams/${encodeURIComponent(id)}`;
    const summary = async (id: string, method: "GET" | "DELETE") =>
      (await this.#http.call(named(id), { method, keepalive: true })) as unknown as StreamSummary;
    this.streams = {
      list: async (limit = 20) =>
        (await this.#http.call(`/v1/streams?limit=${limit}`))["data"] as StreamSummary[],
      get: (id) => summary(id, "GET"),
      cancel: (id) => summary(id, "DELETE"),
    };
  }

  get connection(): ConnectionState {
    return this.#state;
  }

  /** Listens; returns the function that takes the listener off again. */
  on<Name extends keyof ClientEvents>(name: Name, listener: Listener<ClientEvents[Name]>): () => void {
    return this.#emitter.on(name, listener);
  }

  /** Asks for an answer to a chat-completion request. */
  stream(request: ChatRequest, options: StreamOptions = {}): Stream {
    const { signal, idempotencyKey = randomId(), maxRetries = this.#maxRetries } = options;
    const asked: JsonObject = {
      ...(options.onDisconnect && { on_disconnect: options.onDisconnect }),
      ...(options.orphanTimeoutS !== undefined && { orphan_timeout_s: options.orphanTimeoutS }),
      ...(options.recovery && { recovery: options.recovery }),
    };
    const creation: Creation = {
      request,
      idempotencyKey,
      ...(Object.keys(asked).length > 0 && { options: asked }),
    };
    const stream = this.#add(null, idempotencyKey);
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

  /** Follows an answer from its start; any number of clients of one key may. */
  follow(streamId: string, options: FollowOptions = {}): Stream {
    return this.resume({ streamId, epoch: 1, seq: 0 }, options);
  }

  /** Goes on with an answer after a position: `stream.position`, or the JSON of a stream. */
  resume(from: SavedStream, { signal }: FollowOptions = {}): Stream {
    const stream = this.#add(from, null);
    try {
      this.#act(this.#link.follow(stream.ref, following(from), now()));
    } catch (error) {
      this.#forget(stream);
      if (error instanceof RangeError) throw new ConfigurationError(`${error.message}: ${from.streamId}`);
      throw error;
    }
    this.#heed(stream, signal, false);
    return stream;
  }

  /** Does not wait any longer for the next attempt to connect. */
  reconnect(): void {
    this.#dialler.hurry();
  }

  /** Closes; streams that have not ended fail with a `ClientClosedError`, and go on at the gateway. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#asleep();
    for (const [ref, stream] of [...this.#streams]) {
      if (!this.#wishes.has(ref)) continue;
      this.#gate.leave(ref);
      if (stream.id === null) stream.end(new ClientClosedError(), true);
    }
    this.#act(this.#link.close());
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
    this.#timers.idle = setTimeout(() => this.#act(this.#link.close()), this.#idleMs);
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
      const patience = new Promise<void>((resolve) => setTimeout(resolve, CANCEL_MS));
      await Promise.race([ended, patience]);
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
      found = await this.streams.cancel(id);
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
    else this.#deliver(done(ref, { ...frame, ...(found.finish_reason ? {} : CANCELLED) }, epoch, head));
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
    if (!wish || wish.maxRetries === 0 || !retryable || event.streamId !== null || this.#closed) return false;
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
      for (let action = this.#actions.shift(); action; action = this.#actions.shift()) this.#carryOut(action);
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
      this.#emitter.emit("rateLimits", event.limits);
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
    const state = { attempt, waitMs, error: this.#lastError ?? new ConnectionError("The connection was lost.", "lost") };
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
    this.#emitter.emit("connection", state);
  }

  // -- the socket -------------------------------------------------------------------------------

  #lastError: TokenferryError | null = null;

  async #ticket(): Promise<string> {
    const path = "/v1/stream/tickets";
    const answer = await this.#http.call(path, { method: "POST", timeoutMs: 10_000, maxRetries: 0 });
    return String(answer["ticket"]);
  }

  #opened(): void {
    this.#connected = true;
    this.#act(this.#link.opened(now()));
  }

  async #ended({ code, reason, error, wasOpen }: Ending): Promise<void> {
    if (!wasOpen) return this.#failedToOpen(code, error);
    const said = reason || `The connection was closed with ${code}.`;
    this.#lastError = new ConnectionError(said, "lost", { cause: error });
    this.#lost(code, said);
  }

  async #failedToOpen(code: number, error: unknown): Promise<void> {
    if (error instanceof ConfigurationError) return this.#refuse(error);
    if (error instanceof APIError) {
      if (!error.retryable) return this.#refuse(error);
      this.#lastError = error;
      return this.#lost(BACK_OFF, error.message);
    }
    const { http } = this.#address;
    const refused = this.#platform.refusal(error);
    if (refused !== null) {
      const said = `${http} answers HTTP and opens no WebSocket: ${(error as Error).message}`;
      this.#lastError = new UpgradeError(said, "upgrade", { cause: error });
      return refused === MEND ? this.#refuse(this.#lastError) : this.#lost(refused, said);
    }
    if (this.#connected) {
      this.#lastError = new ConnectionError(`${http} cannot be reached.`, "lost", { cause: error });
    } else {
      const found = await this.#platform.diagnose(this.#address, this.#fetch, error);
      this.#lastError = found;
      const hopeless = found.kind === "wrong_scheme" || found.kind === "certificate";
      if (hopeless || this.#attempt >= this.#maxRetries) return this.#refuse(found);
    }
    this.#lost(code, "");
  }

  #lost(given: number, message: string): void {
    let code = given;
    if (this.#link.ready) this.#badTickets = 0;
    // A ticket does not outlive the server that gave it; the second one in a row is another matter.
    else if (code === BAD_TICKET && this.#link.ticket && this.#badTickets++ === 0) code = ABNORMAL;
    const [known, type] = CLOSE_CODES[code] ?? [];
    const refusal =
      known && type ? { code: known, type, message, param: null, retryable: code === 4029 } : null;
    this.#act(this.#link.closed(code, now(), randomBits(), refusal));
  }

  #refuse(error: TokenferryError): void {
    this.#cause = error;
    const retryable = false;
    const { code, message } = error;
    this.#act(this.#link.refuse({ code, message, type: "", param: null, retryable }));
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

// `crypto.randomUUID` is not there on a page that came by plain HTTP.
function randomId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
