// What a client is made with, what it tells of itself, and what differs between a page and Node.

import type { Address } from "./address.js";
import type { Meaning } from "./endings.js";
import type { ConnectionError, TokenferryError } from "./errors.js";
import type { RateLimit } from "./events.js";
import type { Ending, SocketConstructor } from "./socket.js";

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
  /** Says what an upgrade means that was answered otherwise; null if nothing is known of it. */
  refusal?(ending: Ending, http: string): Promise<Meaning | null>;
  /** Says why no connection could be made. */
  diagnose(address: Address, own: typeof fetch, error: unknown): Promise<ConnectionError>;
  /** Calls back when the network may be there again, and says if it was away; returns how to stop that. */
  onWake(callback: (wasAway: boolean) => void): () => void;
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
