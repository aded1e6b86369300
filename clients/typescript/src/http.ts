// The short requests: tickets, models, streams. Answers that fail become errors of one tree.
//
// Source: docs/errors.md; the Fetch standard. Weakness: what a browser tells of a request that
// failed is that it failed; see diagnosis.ts.

import type { Address } from "./address.js";
import { randomBits } from "./clock.js";
import { ABNORMAL, delayMs } from "./closing.js";
import { APIError, ConnectionError, apiError } from "./errors.js";
import { isObject, ownError } from "./frames.js";

const TIMEOUT_MS = 30_000;
// Longer than this nobody waits without having asked for it.
const RETRY_AFTER_MS_MAX = 60_000;

export interface Call {
  readonly method?: "GET" | "POST" | "DELETE";
  readonly timeoutMs?: number;
  /** Whether the request outlives its page. */
  readonly keepalive?: boolean;
  readonly maxRetries?: number;
}

/** Asks for the object at a path; throws an APIError or a ConnectionError. */
export type Ask = <T>(path: string, call?: Call) => Promise<T>;

/** Returns what asks a gateway. */
export function asking(
  { http }: Address,
  key: string | undefined,
  own: typeof fetch,
  maxRetries: number,
): Ask {
  const once = async <T>(path: string, call: Call): Promise<T> => {
    const { method = "GET", timeoutMs = TIMEOUT_MS, keepalive = false } = call;
    const stop = new AbortController();
    const { signal } = stop;
    const timer = setTimeout(() => stop.abort(), timeoutMs);
    try {
      const response = await own(http + path, {
        method,
        headers: key === undefined ? {} : { Authorization: `Bearer ${key}` },
        signal,
        keepalive,
        cache: "no-store",
      });
      const body: unknown = await response.json().catch((error: unknown) => {
        if (error instanceof SyntaxError) return null;
        throw error; // it broke off
      });
      if (response.ok && isObject(body)) return body as T;
      throw refused(response, body);
    } catch (error) {
      if (error instanceof APIError) throw error;
      const [kind, said] = signal.aborted
        ? (["timeout", `no answer within ${timeoutMs} ms`] as const)
        : (["unknown", "the request failed"] as const);
      throw new ConnectionError(`${method} ${path}: ${said}.`, kind, { cause: error });
    } finally {
      clearTimeout(timer);
    }
  };
  return async (path, call = {}) => {
    for (let attempt = 0; ; attempt++) {
      try {
        return await once(path, call);
      } catch (error) {
        const waitMs = attempt < (call.maxRetries ?? maxRetries) ? retryMs(error, attempt) : null;
        if (waitMs === null) throw error;
        await new Promise((resolve) => setTimeout(resolve, waitMs));
      }
    }
  };
}

/** Returns the error that an answer is. */
export function refused(
  { status, headers }: { status: number; headers: { get(name: string): string | null } },
  body: unknown,
): APIError {
  const values = isObject(body) ? body : {};
  const said = isObject(values["error"]) ? values["error"] : {};
  const text = (key: string) => (typeof said[key] === "string" ? said[key] : "");
  const number = (name: string) => Number.parseFloat(headers.get(name) ?? "");
  const millis = number("retry-after-ms");
  const afterMs = millis >= 0 ? millis : number("retry-after") * 1000;
  const info = ownError(
    text("code") || `http_${status}`,
    text("message") || `The answer is HTTP ${status}, and not the gateway's own.`,
    text("type"),
    // A proxy before a server that is away answers for it, in words of its own.
    said["retryable"] === true || (!isObject(body) && status >= 500),
    afterMs >= 0 ? afterMs : null,
  );
  return apiError(
    { ...info, param: text("param") || null },
    {
      status,
      requestId: headers.get("x-request-id"),
      limit: isObject(values["limit"]) ? values["limit"] : null,
    },
  );
}

/** Returns how long to wait before the next attempt; null for none. */
function retryMs(error: unknown, attempt: number): number | null {
  const known = error as Partial<APIError>;
  const { retryable = error instanceof ConnectionError, retryAfterMs } = known;
  const waitMs = retryAfterMs ?? delayMs(ABNORMAL, attempt, randomBits());
  return retryable && waitMs <= RETRY_AFTER_MS_MAX ? waitMs : null;
}
