// The way to the gateway: the TypeScript client, as whoever uses the page.

import {
  apiError,
  ConnectionError,
  type ConnectionState,
  type SavedStream,
  type Stream,
  Tokenferry,
  TokenferryError,
  type Message,
  APIError,
} from "tokenferry";
import { api, Problem } from "../shared/api.js";
import type { Failure } from "./tree.js";

/** Whom the page acts for. */
export type Identity =
  | { readonly kind: "key"; readonly key: string }
  | { readonly kind: "account"; readonly email: string }
  | { readonly kind: "guest" };

export interface Model {
  readonly id: string;
  readonly owned_by: string;
  readonly pricing: Readonly<Record<string, unknown>> | null;
  readonly context_length: number | null;
}

interface ChatModels {
  readonly who: "account" | "guest";
  readonly email: string | null;
  readonly data: Model[];
}

/** Asks who the page is and what it may use; with a key, only the latter. */
export async function askModels(key: string): Promise<{ identity: Identity; models: Model[] }> {
  if (key === "") {
    const { who, email, data } = await api<ChatModels>("GET", "/api/chat/models");
    return { identity: who === "account" ? { kind: "account", email: email ?? "" } : { kind: "guest" }, models: data };
  }
  const client = new Tokenferry({ apiKey: key });
  try {
    return { identity: { kind: "key", key }, models: (await client.models.list()) as unknown as Model[] };
  } finally {
    client.close();
  }
}

/** One client for one identity; its socket opens when it is first needed. */
export class Gateway {
  readonly #client: Tokenferry;

  constructor(identity: Identity, onConnection: (state: ConnectionState) => void) {
    this.#client =
      identity.kind === "key"
        ? new Tokenferry({ apiKey: identity.key })
        : new Tokenferry({
            ticket: () => ticket(identity.kind),
            fetch: (input, init) => fetchAs(identity.kind, input, init),
          });
    this.#client.on("connection", onConnection);
  }

  /** Asks for an answer; asking again under the same name starts nothing twice. */
  ask(model: string, messages: Message[], idempotencyKey: string): Stream {
    // What is refused is shown at once, with what can be done; nobody waits in the dark.
    return this.#client.stream({ model, messages }, { idempotencyKey, maxRetries: 0 });
  }

  resume(saved: SavedStream): Stream {
    return this.#client.resume(saved);
  }

  /** Does not wait for the next attempt to connect. */
  hurry(): void {
    this.#client.reconnect();
  }

  close(): void {
    this.#client.close();
  }
}

const FIRST_TICKET_WAIT_MS = 5_000;
let isMarked = false; // this browser has its guest's cookie, as far as this tab knows

/**
 * Lets one tab at a time ask for a guest's first ticket: the server marks a browser with the first that it gives, and
 * two at once would be two guests, of whom one could never come back to its answers.
 */
async function inTurn<T>(ask: () => Promise<T>): Promise<T> {
  // Plain HTTP from another host has no locks; and a tab that is frozen with one holds nobody up for ever.
  if (!isMarked && navigator.locks) {
    const signal = AbortSignal.timeout(FIRST_TICKET_WAIT_MS);
    try {
      const answer = await navigator.locks.request("tokenferry-guest", { signal }, ask);
      isMarked = true;
      return answer;
    } catch (reason) {
      if (!(reason instanceof DOMException)) throw reason;
    }
  }
  return ask();
}

async function ticket(who: "account" | "guest"): Promise<string> {
  const ask = async () => (await api<{ ticket: string }>("POST", "/api/chat/ticket", { who })).ticket;
  try {
    return await (who === "guest" ? inTurn(ask) : ask());
  } catch (reason) {
    if (!(reason instanceof Problem)) throw reason;
    if (reason.status === 0) throw new ConnectionError(reason.message, "unknown", { cause: reason });
    const retryable = reason.status === 429 || reason.status >= 500;
    const { code, message, param, retryAfterMs, status, requestId } = reason;
    throw apiError({ code, message, type: "", param, retryable, retryAfterMs }, { status, requestId });
  }
}

/** The short requests of the client, which has no key: an answer can be ended without a socket. */
function fetchAs(who: "account" | "guest", input: RequestInfo | URL, init?: RequestInit): Promise<Response> {
  const id = /\/v1\/streams\/([^/?]+)$/.exec(String(input))?.[1];
  if (id === undefined || init?.method !== "DELETE") return fetch(input, init);
  return fetch(`/api/chat/streams/${id}`, {
    ...init,
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ who }),
  });
}

/** What went wrong, in the form in which it is kept and shown. */
export function failureOf(reason: unknown): Failure {
  const nowMs = Date.now();
  if (reason instanceof APIError) {
    const { code, message, requestId, streamId, retryAfterMs } = reason;
    return {
      code,
      message,
      requestId: streamId ?? requestId,
      retryAtMs: retryAfterMs === null ? null : nowMs + retryAfterMs,
    };
  }
  if (reason instanceof Problem) {
    const { code, message, requestId, retryAfterMs } = reason;
    return { code, message, requestId, retryAtMs: retryAfterMs === null ? null : nowMs + retryAfterMs };
  }
  if (reason instanceof ConnectionError) {
    return { code: "connection_lost", message: reason.message, requestId: null, retryAtMs: null };
  }
  if (reason instanceof TokenferryError) {
    return { code: reason.code, message: reason.message, requestId: null, retryAtMs: null };
  }
  return { code: "other", message: String(reason), requestId: null, retryAtMs: null };
}
