// What was used, as the API tells it, and as charts and sums need it.

import { nanosOf, NANOS } from "../../shared/format.js";
import { daysOf } from "./periods.js";

export interface Used {
  readonly group: string;
  readonly requests: number;
  /** How many of them ended in an error. */
  readonly failed: number;
  /** How many have no known price, and are in no sum of costs. */
  readonly unpriced: number;
  readonly prompt_tokens: number;
  readonly cached_tokens: number;
  readonly completion_tokens: number;
  readonly cost: string;
  readonly list_cost: string;
  readonly cache_saved: string;
}

export interface UsageList {
  readonly by: "day" | "model" | "key";
  readonly data: readonly Used[];
}

export const METRICS = ["cost", "requests", "tokens"] as const;
export type Metric = (typeof METRICS)[number];

export interface Sums {
  readonly requests: number;
  readonly failed: number;
  readonly unpriced: number;
  readonly promptTokens: number;
  readonly cachedTokens: number;
  readonly completionTokens: number;
  readonly costNanos: bigint;
  readonly listNanos: bigint;
  readonly cacheSavedNanos: bigint;
}

export function sumsOf(rows: readonly Used[]): Sums {
  const whole = (of: (row: Used) => number): number => rows.reduce((sum, row) => sum + of(row), 0);
  const money = (of: (row: Used) => string): bigint => rows.reduce((sum, row) => sum + nanosOf(of(row)), 0n);
  return {
    requests: whole((row) => row.requests),
    failed: whole((row) => row.failed),
    unpriced: whole((row) => row.unpriced),
    promptTokens: whole((row) => row.prompt_tokens),
    cachedTokens: whole((row) => row.cached_tokens),
    completionTokens: whole((row) => row.completion_tokens),
    costNanos: money((row) => row.cost),
    listNanos: money((row) => row.list_cost),
    cacheSavedNanos: money((row) => row.cache_saved),
  };
}

/** What a group cost; null if there is no price for any of it. */
export function costOf(row: Used): bigint | null {
  return row.requests > 0 && row.unpriced === row.requests ? null : nanosOf(row.cost);
}

const NOTHING = {
  requests: 0,
  failed: 0,
  unpriced: 0,
  prompt_tokens: 0,
  cached_tokens: 0,
  completion_tokens: 0,
  cost: "0.00",
  list_cost: "0.00",
  cache_saved: "0.00",
};

/** A row for every day of a span: a day without requests is one of zeros, a day to come is null. */
export function everyDay(rows: readonly Used[], from: string, to: string, today: string): (Used | null)[] {
  const byDay = new Map(rows.map((row) => [row.group, row]));
  return daysOf(from, to).map((day) => (day > today ? null : (byDay.get(day) ?? { group: day, ...NOTHING })));
}

/** A value to draw, as a number: its last digits are not seen. Null where it is not known. */
export function drawn(row: Used | null, metric: Metric): number | null {
  if (row === null) return null;
  if (metric === "requests") return row.requests;
  if (metric === "tokens") return row.prompt_tokens + row.completion_tokens;
  const nanos = costOf(row);
  return nanos === null ? null : Number(nanos) / Number(NANOS);
}

/** How much of the largest each row is, for bars: 0 to 1. */
export function shares(rows: readonly Used[], metric: Metric): number[] {
  const values = rows.map((row) => drawn(row, metric) ?? 0);
  const most = Math.max(...values, 0);
  return values.map((value) => (most > 0 ? value / most : 0));
}
