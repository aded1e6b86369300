// Which days a page of figures is about. Days are those of the API, in UTC, both ends included.

import type { Query } from "../query.js";

export const PERIODS = ["7", "30", "90", "month", "last-month", "own"] as const;
export type Period = (typeof PERIODS)[number];

export interface Span {
  readonly period: Period;
  readonly from: string;
  readonly to: string;
}

const DAY_MS = 86_400_000;
const DAY = /^\d{4}-\d{2}-\d{2}$/;
const DEFAULT: Period = "30";
// What the API takes.
const DAYS_MAX = 3_660;

export function dayAt(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10);
}

function msOf(day: string): number {
  return Date.parse(`${day}T00:00:00Z`);
}

function isDay(text: string | undefined): text is string {
  return text !== undefined && DAY.test(text) && !Number.isNaN(msOf(text));
}

/** The days that an address asks for; what it says wrongly is the last 30 days. */
export function spanOf(query: Query, nowMs: number): Span {
  const today = dayAt(nowMs);
  const [from, to] = [query["from"], query["to"]];
  if (isDay(from) && isDay(to) && from <= to && daysOf(from, to, 1).length > 0) return { period: "own", from, to };
  const period = PERIODS.find((known) => known === query["period"] && known !== "own") ?? DEFAULT;
  if (period === "month") return { period, from: `${today.slice(0, 8)}01`, to: lastOfMonth(today) };
  if (period === "last-month") {
    const last = dayAt(msOf(`${today.slice(0, 8)}01`) - DAY_MS);
    return { period, from: `${last.slice(0, 8)}01`, to: last };
  }
  return { period, from: dayAt(msOf(today) - (Number(period) - 1) * DAY_MS), to: today };
}

function lastOfMonth(day: string): string {
  const [year, month] = [Number(day.slice(0, 4)), Number(day.slice(5, 7))];
  return dayAt(Date.UTC(year, month, 0));
}

/** All days of a span, in order; `most` of them at most. */
export function daysOf(from: string, to: string, most = DAYS_MAX): string[] {
  const days: string[] = [];
  for (let ms = msOf(from); ms <= msOf(to) && days.length < most; ms += DAY_MS) days.push(dayAt(ms));
  return days;
}
