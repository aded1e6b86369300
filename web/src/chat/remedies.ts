// What is told of a failure, and what can be done about it.

import { t } from "./texts.js";
import type { Failure } from "./tree.js";

export type Remedy = "retry" | "top-up" | "model" | "key" | "log-in" | "new-chat";

export interface Explained {
  readonly words: string;
  readonly remedies: readonly Remedy[];
}

type Plain = {
  [Name in keyof typeof t.value]: (typeof t.value)[Name] extends string ? Name : never;
}[keyof typeof t.value];

const KNOWN: Readonly<Record<string, readonly [words: Plain, ...remedies: Remedy[]]>> = {
  insufficient_credit: ["insufficient_credit", "top-up", "model"],
  budget_exceeded: ["budget_exceeded", "top-up", "model"],
  too_many_streams: ["too_many_streams", "retry"],
  too_many_connections: ["too_many_connections", "retry"],
  provider_auth_failed: ["provider_auth_failed", "model"],
  provider_cut_off: ["cut_off", "retry"],
  provider_event_too_large: ["cut_off", "retry"],
  stream_too_large: ["cut_off", "retry"],
  upstream_lost: ["cut_off", "retry"],
  tokens_over_limit: ["too_long", "new-chat"],
  payload_too_large: ["too_long", "new-chat"],
  context_length_exceeded: ["too_long", "new-chat"],
  expired: ["expired", "retry"],
  stream_not_found: ["stream_not_found", "retry"],
  position_ahead: ["expired", "retry"],
  login_required: ["login_required", "log-in"],
  missing_api_key: ["missing_api_key", "key"],
  invalid_api_key_format: ["invalid_api_key_format", "key"],
  invalid_api_key: ["invalid_api_key", "key"],
  expired_api_key: ["expired_api_key", "key"],
  invalid_ticket: ["invalid_ticket", "retry"],
  authentication_timeout: ["invalid_ticket", "retry"],
  account_suspended: ["account_suspended"],
  origin_not_allowed: ["origin_not_allowed"],
  model_not_found: ["model_not_found", "model"],
  model_retired: ["model_not_found", "model"],
  model_not_priced: ["model_not_priced", "model"],
  model_not_allowed: ["model_not_allowed", "model", "log-in"],
  server_draining: ["server_draining", "retry"],
  server_overloaded: ["server_overloaded", "retry"],
  storage_unavailable: ["server_overloaded", "retry"],
  queue_full: ["queue_full", "retry", "model"],
  queue_timeout: ["queue_full", "retry", "model"],
  connection_lost: ["connection_lost", "retry"],
  unreachable: ["unreachable", "retry"],
};
const DOWN: ReadonlySet<string> = new Set([
  "provider_unreachable",
  "provider_timeout",
  "provider_error",
  "provider_invalid_response",
]);
const LIMITS: ReadonlySet<string> = new Set(["rate_limit_exceeded", "too_many_bad_keys"]);

export function explained(failure: Failure, model: string, hasText: boolean, nowMs: number): Explained {
  const { code, retryAtMs } = failure;
  if (LIMITS.has(code)) {
    const seconds = retryAtMs === null ? 0 : Math.ceil((retryAtMs - nowMs) / 1000);
    return { words: seconds > 0 ? t.value.rate_limited_for(seconds) : t.value.rate_limited, remedies: ["retry"] };
  }
  // Of an answer that had begun, what has come is paid for.
  if (DOWN.has(code)) {
    const words = hasText ? t.value.cut_off : t.value.provider_down(model || t.value.model);
    return { words, remedies: ["retry", "model"] };
  }
  const known = Object.hasOwn(KNOWN, code) ? KNOWN[code] : undefined;
  if (known === undefined) return { words: t.value.other, remedies: ["retry", "model"] };
  const [words, ...remedies] = known;
  return { words: t.value[words], remedies };
}

/** Whether the server's own words say more than ours. */
export function tellsMore(code: string): boolean {
  return !DOWN.has(code) && !LIMITS.has(code) && (!Object.hasOwn(KNOWN, code) || code.startsWith("provider_"));
}
