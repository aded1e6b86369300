// Requests and their stories, as the API tells them, and what pages need of them.

import type { Tone } from "../parts.js";
import { withQuery } from "../query.js";
import type { Query } from "../query.js";

export const STATUSES = ["ok", "failed", "stopped"] as const;
export type Status = (typeof STATUSES)[number];

export interface Try {
  readonly provider: string;
  readonly model: string;
  /** `ok`, `cancelled`, `slower`, or an error's kind. */
  readonly outcome: string;
  readonly duration_ms: number;
  /** The provider's HTTP status; null where there was none. */
  readonly status: number | null;
}

export interface Request {
  readonly stream_id: string;
  readonly key: string;
  readonly model: string;
  readonly provider: string;
  readonly created: number;
  readonly status: Status;
  readonly finish_reason: string;
  readonly error_code: string | null;
  readonly prompt_tokens: number;
  readonly cached_tokens: number;
  readonly completion_tokens: number;
  readonly reasoning_tokens: number;
  readonly estimated: boolean;
  readonly cost: string | null;
  readonly list_cost: string | null;
  readonly first_token_ms: number | null;
  readonly duration_ms: number;
  readonly attempts: number;
  readonly tries: readonly Try[];
}

export interface Entry {
  readonly number: number;
  readonly kind: string;
  readonly amount: string;
  readonly created: number;
}

export interface Story {
  readonly request: Request;
  /** Whether the request log still has it. What only that knows is null otherwise. */
  readonly recorded: boolean;
  readonly accepted_ms: number;
  readonly ended_ms: number;
  readonly transport: string | null;
  readonly request_id: string | null;
  readonly ended_by: string | null;
  readonly queued_ms: number | null;
  readonly chunks: number | null;
  readonly tokens_per_second: number | null;
  readonly drops: number | null;
  readonly resumes: number | null;
  readonly charged: boolean;
  readonly hold: { readonly amount: string; readonly state: string; readonly released: string | null } | null;
  readonly shortfall: string;
  readonly entries: readonly Entry[];
  readonly content: { readonly prompt: string; readonly answer: string; readonly cut: boolean } | null;
}

const TONES: Readonly<Record<Status, Tone>> = { ok: "ok", failed: "bad", stopped: "calm" };

export function toneOf(status: Status): Tone {
  return TONES[status];
}

/** What the API is asked, of what the address says and the days that it means. */
export function filterOf(query: Query, from: string, to: string): Query {
  const status = STATUSES.find((known) => known === query["status"]);
  return { status, model: query["model"], key: query["key"], from, to };
}

export function csvPath(filter: Query): string {
  return withQuery("/api/requests.csv", filter);
}

/** A call of a provider in time, from the moment when the request was accepted. */
export interface Bar {
  readonly fromMs: number;
  readonly untilMs: number;
}

/** When each call ran. Only how long each took is known: one follows the other, after the wait in
 *  line, and none ends after the request; one that was slower than another ran beside it. */
export function barsOf(tries: readonly Try[], queuedMs: number, totalMs: number): Bar[] {
  let at = Math.min(queuedMs, totalMs);
  return tries.map((call) => {
    const length = Math.min(call.duration_ms, totalMs);
    const fromMs = Math.max(0, Math.min(at, totalMs - length));
    if (call.outcome !== "slower") at = fromMs + length;
    return { fromMs, untilMs: fromMs + length };
  });
}
