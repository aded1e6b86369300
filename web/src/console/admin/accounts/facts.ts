// What the API says of accounts.

import type { Tone } from "../../parts.js";
import { t as admin } from "../texts.js";

export type AccountState = "active" | "unverified" | "suspended";

export interface Account {
  readonly id: string;
  readonly email: string | null;
  readonly role: "admin" | "member";
  readonly state: AccountState;
  readonly suspended_reason: string | null;
  readonly language: "en" | "ko";
  readonly created: number;
  readonly balance: string;
  readonly available: string;
  readonly last_used: number | null;
}

export const LIMIT_NAMES = ["requests_per_minute", "tokens_per_minute", "streams_max"] as const;
export type LimitName = (typeof LIMIT_NAMES)[number];

export interface Key {
  readonly public_id: string;
  readonly name: string;
  readonly budget: string | null;
  readonly models: readonly string[] | null;
  readonly expires_at: number | null;
  readonly requests_per_minute: number | null;
  readonly tokens_per_minute: number | null;
  readonly streams_max: number | null;
  /** null where the operator has set nothing, 0 for no limit. */
  readonly operator_limits: Readonly<Record<LimitName, number | null>>;
  readonly created: number;
  readonly revoked: number | null;
  readonly priority: boolean;
}

export interface AccountDetail extends Account {
  readonly keys: readonly Key[];
}

export const STATE_TONES: Readonly<Record<AccountState, Tone>> = {
  active: "ok",
  unverified: "warn",
  suspended: "bad",
};

/** An account as people call it; the operator's own has no address. */
export function calledOf(account: Account): string {
  return account.email ?? admin.value.operator;
}
