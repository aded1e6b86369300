// The short requests: tickets, models, streams. Answers that fail become errors of one tree.
//
// Source: docs/errors.md; the Fetch standard. Weakness: what a browser tells of a request that
// failed is that it failed; see diagnosis.ts.

import type { Address } from "./address.js";
import { AbortedError, APIError, ConnectionError, apiError } from "./errors.js";
import type { ErrorInfo, JsonObject } from "./events.js";
import { isObject } from "./frames.js";

const TIMEOUT_MS = 30_000;
// As the official SDKs of OpenAI: half a second, doubling, at most eight.
const RETRY_MS = 500;
const RETRY_MS_MAX = 8_000;
// Longer than this nobody waits without having asked for it.
const RETRY_AFTER_MS_MAX = 60_000;

export interface Call {
  readonly method?: "GET" | "POST" | "DELETE";
  readonly signal?: AbortSignal | undefined;
  readonly timeoutMs?: number;
  /** Whether the request outlives its page. */
  readonly keepalive?: boolean;
  readonly maxRetries?: number;
}

export class Http {
  readonly #address: Address;
  readonly #key: string | undefined;
  readonly #fetch: typeof fetch;
  readonly #maxRetries: number;

  constructor(address: Address, key: string | undefined, own: typeof fetch, maxRetries: number) {
    this.#address = address;
    this.#key = key;
    this.#fetch = own;
    this.#maxRetries = maxRetries;
  }

  /** Returns the object that the gateway answers with; throws an APIError or ConnectionError. */
  async call(path: string, options: Call = {}): Promise<JsonObject> {
    const { maxRetries = this.#maxRetries, signal } = options;
    for (let attempt = 0; ; attempt++) {
      try {
        return await this.#once(path, options);
      } catch (error) {
        const waitMs = attempt < maxRetries ? retryMs(error, attempt) : null;
        if (waitMs === null) throw error;
        await sleep(waitMs, signal);
      }
    }
  }

  async #once(path: string, options: Call): Promise<JsonObject> {
    const { method = "GET", signal, timeoutMs = TIMEOUT_MS, keepalive = false } = options;
    const stop = new AbortController();
    const abort = () => stop.abort();
    if (signal?.aborted) throw new AbortedError(signal.reason);
    signal?.addEventListener("abort", abort);
    const timer = setTimeout(abort, timeoutMs);
    try {
      const response = await this.#fetch(this.#address.http + path, {
        method,
        headers: this.#key === undefined ? {} : { Authorization: `Bearer ${this.#key}` },
        signal: stop.signal,
        keepalive,
        cache: "no-store",
      });
      const body: unknown = await response.json().catch(() => null);
      if (response.ok && isObject(body)) return body;
      throw refusal(response, body);
    } catch (error) {
      if (error instanceof APIError) throw error;
      if (signal?.aborted) throw new AbortedError(signal.reason);
      const said = stop.signal.aborted ? `no answer within ${timeoutMs} ms` : "the request failed";
      const kind = stop.signal.aborted ? "timeout" : "unknown";
      throw new ConnectionError(`${method} ${path}: ${said}.`, kind, { cause: error });
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", abort);
    }
  }
}

function refusal(response: Response, body: unknown): APIError {
  const values = isObject(body) ? body : {};
  const said = isObject(values["error"]) ? values["error"] : {};
  const { status, headers } = response;
  const text = (key: string) => (typeof said[key] === "string" ? said[key] : "");
  const info: ErrorInfo = {
    code: text("code") || `http_${status}`,
    message: text("message") || `The answer is HTTP ${status}, and not the gateway's own.`,
    type: text("type"),
    param: text("param") || null,
    // A proxy before a server that is away answers for it, in words of its own.
    retryable: said["retryable"] === true || (!isObject(body) && status >= 500),
  };
  const seconds = Number.parseFloat(headers.get("retry-after") ?? "");
  const millis = Number.parseFloat(headers.get("retry-after-ms") ?? "");
  const afterMs = Number.isFinite(millis) ? millis : seconds * 1000;
  return apiError(info, {
    status,
    requestId: headers.get("x-request-id"),
    retryAfterMs: Number.isFinite(afterMs) ? afterMs : null,
    limit: isObject(values["limit"]) ? values["limit"] : null,
  });
}

/** Returns how long to wait before the next attempt; null for none. */
function retryMs(error: unknown, attempt: number): number | null {
  const backOffMs = Math.min(RETRY_MS_MAX, RETRY_MS * 2 ** attempt) * (0.75 + Math.random() / 4);
  if (error instanceof ConnectionError) return backOffMs;
  if (!(error instanceof APIError) || !error.retryable) return null;
  const waitMs = error.retryAfterMs ?? backOffMs;
  return waitMs <= RETRY_AFTER_MS_MAX ? waitMs : null;
}

/** Waits; throws an AbortedError when the signal says so. */
export function sleep(waitMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const abort = () => {
      clearTimeout(timer);
      reject(new AbortedError(signal?.reason));
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", abort);
      resolve();
    }, waitMs);
    if (signal?.aborted) abort();
    else signal?.addEventListener("abort", abort, { once: true });
  });
}
