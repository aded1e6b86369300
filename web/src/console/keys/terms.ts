// A key's terms, as the form has them and as the API does.

import type { Faults } from "../../shared/form.js";
import { missing } from "../../shared/form.js";
import { t } from "./texts.js";

export const NUMBERS = ["requests_per_minute", "tokens_per_minute", "streams_max"] as const;
export type LimitName = (typeof NUMBERS)[number];

export interface Key {
  readonly public_id: string;
  readonly name: string;
  /** USD of a calendar month; null for no limit of its own. */
  readonly budget: string | null;
  readonly models: readonly string[] | null;
  readonly expires_at: number | null;
  readonly requests_per_minute: number | null;
  readonly tokens_per_minute: number | null;
  readonly streams_max: number | null;
  /** null where the operator has set nothing, 0 for no limit. */
  readonly operator_limits: Readonly<Record<LimitName, number | null>>;
  /** The strictest of its own, the operator's and those of all keys; 0 for no limit. */
  readonly effective_limits: Readonly<Record<LimitName, number>>;
  readonly created: number;
  readonly revoked: number | null;
  readonly last_used: number | null;
  /** USD of this calendar month. */
  readonly spent: string;
}

export type Terms = {
  name: string;
  budget: string;
  models: string;
  expires_at: string;
  requests_per_minute: string;
  tokens_per_minute: string;
  streams_max: string;
};

export const NO_TERMS: Terms = {
  name: "",
  budget: "",
  models: "",
  expires_at: "",
  requests_per_minute: "",
  tokens_per_minute: "",
  streams_max: "",
};

/** What the form shows of a key. */
export function termsOf(key: Key): Terms {
  return {
    name: key.name,
    budget: key.budget ?? "",
    models: key.models?.join(", ") ?? "",
    expires_at: key.expires_at === null ? "" : dayOf(key.expires_at),
    requests_per_minute: String(key.requests_per_minute ?? ""),
    tokens_per_minute: String(key.tokens_per_minute ?? ""),
    streams_max: String(key.streams_max ?? ""),
  };
}

/** What is wrong with them. */
export function faultsOf(terms: Terms, nowMs = Date.now()): Faults<Terms> {
  const faults: { [K in keyof Terms]?: string } = { ...missing(terms, "name") };
  if (terms.budget !== "" && !/^\d{1,9}(\.\d{1,9})?$/.test(terms.budget.trim())) faults.budget = t.value.badBudget;
  for (const name of NUMBERS) {
    if (terms[name] !== "" && !/^[1-9]\d{0,9}$/.test(terms[name].trim())) faults[name] = t.value.badNumber;
  }
  if (terms.expires_at !== "" && !(endOf(terms.expires_at) * 1000 > nowMs)) faults.expires_at = t.value.badDay;
  return faults;
}

/** What the API is sent: null for what is not limited. */
export function bodyOf(terms: Terms): Record<string, unknown> {
  const models = terms.models
    .split(",")
    .map((name) => name.trim())
    .filter(Boolean);
  const body: Record<string, unknown> = {
    name: terms.name.trim(),
    budget: terms.budget.trim() || null,
    models: models.length > 0 ? models : null,
    expires_at: terms.expires_at === "" ? null : endOf(terms.expires_at),
  };
  for (const name of NUMBERS) body[name] = terms[name].trim() === "" ? null : Number(terms[name]);
  return body;
}

/** What of the new terms is not as it was: what was changed elsewhere meanwhile stays. */
export function changeOf(key: Key, terms: Terms): Record<string, unknown> {
  const [before, after] = [bodyOf(termsOf(key)), bodyOf(terms)];
  const changed = Object.keys(after).filter((name) => JSON.stringify(before[name]) !== JSON.stringify(after[name]));
  return Object.fromEntries(changed.map((name) => [name, after[name]]));
}

/** The last second of a day in the browser's zone, Unix time; NaN for no day. */
function endOf(day: string): number {
  return Math.floor(new Date(`${day}T23:59:59`).getTime() / 1000);
}

function dayOf(seconds: number): string {
  const date = new Date(seconds * 1000);
  const two = (number: number): string => String(number).padStart(2, "0");
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
}

export type KeyState = "active" | "revoked" | "expired";

export function stateOf(key: Key, nowMs = Date.now()): KeyState {
  if (key.revoked !== null) return "revoked";
  return key.expires_at !== null && key.expires_at * 1000 <= nowMs ? "expired" : "active";
}
