// The client: what its users call, over a session of streams and the short requests by HTTP.

import { readAddress } from "./address.js";
import type { SavedStream } from "./answer.js";
import { requireKey } from "./api-key.js";
import type { ClientEvents, ClientOptions, ConnectionState, Platform } from "./client-options.js";
import type { Listener } from "./emitter.js";
import { ConfigurationError } from "./errors.js";
import type { JsonObject } from "./events.js";
import { asking } from "./http.js";
import type {
  ChatRequest,
  FollowOptions,
  Model,
  StreamOptions,
  StreamSummary,
} from "./requests.js";
import { Session } from "./session.js";
import type { Stream } from "./stream.js";

const TICKET_TIMEOUT_MS = 10_000;

export class Client {
  readonly models: { list(): Promise<Model[]>; get(id: string): Promise<Model> };
  readonly streams: {
    list(limit?: number): Promise<StreamSummary[]>;
    get(id: string): Promise<StreamSummary>;
    cancel(id: string): Promise<StreamSummary>;
  };
  readonly #maxRetries: number;
  readonly #session: Session;

  constructor(options: ClientOptions, platform: Platform) {
    const {
      ticket,
      maxRetries = 2,
      WebSocket,
      fetch: own = (...given) => fetch(...given),
    } = options;
    const baseURL = options.baseURL ?? platform.baseURL;
    if (baseURL === undefined)
      throw new ConfigurationError("Pass `baseURL`, where the gateway is.");
    const address = readAddress(baseURL);
    const key = ticket === undefined ? (options.apiKey ?? platform.apiKey ?? "") : undefined;
    if (key === "") {
      throw new ConfigurationError(
        "Pass `apiKey`, or set TOKENFERRY_API_KEY; a page passes `ticket`.",
      );
    }
    if (key !== undefined) requireKey(key);
    const ask = asking(address, key, own, maxRetries);
    const list = async <T>(path: string) => (await ask<{ data: T[] }>(path)).data;
    const summary = (method: "GET" | "DELETE") => (id: string) =>
      ask<StreamSummary>(`/v1/streams/${encodeURIComponent(id)}`, { method, keepalive: true });
    this.#maxRetries = maxRetries;
    this.models = {
      list: () => list("/v1/models"),
      get: (id) => ask(`/v1/models/${id.split("/").map(encodeURIComponent).join("/")}`),
    };
    this.streams = {
      list: (limit = 20) => list(`/v1/streams?limit=${limit}`),
      get: summary("GET"),
      cancel: summary("DELETE"),
    };
    const exchange = async () => {
      // The link tries again by itself.
      const once = { method: "POST", timeoutMs: TICKET_TIMEOUT_MS, maxRetries: 0 } as const;
      return String((await ask<JsonObject>("/v1/stream/tickets", once))["ticket"]);
    };
    this.#session = new Session({
      ...options,
      address,
      platform,
      fetch: own,
      token: platform.tickets ? undefined : key,
      getTicket: ticket ?? (platform.tickets ? exchange : undefined),
      loadSocket: WebSocket ? async () => WebSocket : () => platform.socket(),
      cancel: (id) => this.streams.cancel(id),
      maxRetries,
    });
  }

  get connection(): ConnectionState {
    return this.#session.state;
  }

  /** Listens; returns the function that takes the listener off again. */
  on<Name extends keyof ClientEvents>(
    name: Name,
    listener: Listener<ClientEvents[Name]>,
  ): () => void {
    return this.#session.emitter.on(name, listener);
  }

  /** Asks for an answer to a chat-completion request. */
  stream(request: ChatRequest, options: StreamOptions = {}): Stream {
    const { signal, idempotencyKey = randomId(), maxRetries = this.#maxRetries } = options;
    // What is undefined is not sent.
    const asked = {
      on_disconnect: options.onDisconnect,
      orphan_timeout_s: options.orphanTimeoutS,
      recovery: options.recovery,
    };
    const creation = fixed({ request, idempotencyKey, options: asked });
    return this.#session.create(creation, maxRetries, signal);
  }

  /** Follows an answer from its start; any number of clients of one key may. */
  follow(streamId: string, options: FollowOptions = {}): Stream {
    return this.resume({ streamId, epoch: 1, seq: 0 }, options);
  }

  /** Goes on with an answer after a position: `stream.position`, or the JSON of a stream. */
  resume(from: SavedStream, { signal }: FollowOptions = {}): Stream {
    return this.#session.follow(from, signal);
  }

  /**
   * Does not wait any longer for the next attempt to connect. A connection that is open is asked
   * for a sign of life, and is replaced if none comes in five seconds.
   */
  reconnect(): void {
    this.#session.hurry();
  }

  /**
   * Closes; streams that have not ended fail with a `ClientClosedError`, and go on at the gateway.
   */
  close(): void {
    this.#session.close();
  }
}

// `crypto.randomUUID` is not there on a page that came by plain HTTP.
const randomId = (): string => crypto.getRandomValues(new Uint32Array(4)).join("-");

/**
 * Returns what is to be sent, whatever becomes of the objects that it was made of: it is sent later,
 * and perhaps again, and is to be the same request then. Throws for what a server could not read,
 * as that cannot say whose it was.
 */
function fixed<T>(wanted: T): T {
  try {
    return JSON.parse(JSON.stringify(wanted, whole)) as T;
  } catch (error) {
    throw new ConfigurationError(`The request cannot be sent: ${(error as Error).message}`);
  }
}

/** Refuses half of a character. */
function whole(_: string, value: unknown): unknown {
  if (typeof value === "string" && /\p{Cs}/u.test(value))
    throw new TypeError("a text in it holds half of an emoji; `toWellFormed()` mends it.");
  return value;
}
