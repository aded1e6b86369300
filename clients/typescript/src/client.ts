// The client: what its users call, over a session of streams and the short requests by HTTP.

import { readAddress } from "./address.js";
import type { SavedStream } from "./answer.js";
import { requireKey } from "./api-key.js";
import type { ClientEvents, ClientOptions, ConnectionState, Platform } from "./client-options.js";
import type { Listener } from "./emitter.js";
import { ConfigurationError } from "./errors.js";
import { Http } from "./http.js";
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
    const http = new Http(address, key, own, maxRetries);
    this.#maxRetries = maxRetries;
    this.models = {
      list: async () => (await http.call("/v1/models"))["data"] as Model[],
      get: async (id) => (await http.call(`/v1/models/${id}`)) as unknown as Model,
    };
    const summary = async (id: string, method: "GET" | "DELETE") => {
      const path = `/v1/streams/${encodeURIComponent(id)}`;
      return (await http.call(path, { method, keepalive: true })) as unknown as StreamSummary;
    };
    this.streams = {
      list: async (limit = 20) =>
        (await http.call(`/v1/streams?limit=${limit}`))["data"] as StreamSummary[],
      get: (id) => summary(id, "GET"),
      cancel: (id) => summary(id, "DELETE"),
    };
    const exchange = async () => {
      // The link tries again by itself.
      const once = { method: "POST", timeoutMs: TICKET_TIMEOUT_MS, maxRetries: 0 } as const;
      return String((await http.call("/v1/stream/tickets", once))["ticket"]);
    };
    this.#session = new Session({
      address,
      platform,
      fetch: own,
      token: platform.tickets ? undefined : key,
      ticket: ticket ?? (platform.tickets ? exchange : undefined),
      socket: WebSocket ? async () => WebSocket : () => platform.socket(),
      cancel: (id) => this.streams.cancel(id),
      maxRetries,
      queueMax: options.queueMax ?? 1_000,
      queueWaitMs: options.queueWaitMs ?? 60_000,
      bufferBytes: options.bufferBytes ?? 256 * 1024,
      idleMs: options.idleMs ?? 60_000,
      outageMs: options.outageMs ?? 300_000,
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
    const asked = {
      ...(options.onDisconnect && { on_disconnect: options.onDisconnect }),
      ...(options.orphanTimeoutS !== undefined && { orphan_timeout_s: options.orphanTimeoutS }),
      ...(options.recovery && { recovery: options.recovery }),
    };
    const creation = { request, idempotencyKey, options: asked };
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
function randomId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
