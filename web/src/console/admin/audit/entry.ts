// What the API says of a change, and how its details are written.

import { count, exactDollars, price, UNKNOWN } from "../../../shared/format.js";
import { LIMIT_NAMES } from "../accounts/facts.js";
import { typedMinor } from "../accounts/refund.js";
import { t as accounts } from "../accounts/texts.js";
import { actionTexts, nameTexts, t } from "./texts.js";

export type Value = string | number | boolean | null | { readonly [name: string]: Value };

export interface Entry {
  readonly number: number;
  readonly created: number;
  readonly action: string;
  readonly target: string;
  /** Whose the target is. */
  readonly account: string | null;
  readonly by: string;
  readonly by_email: string | null;
  readonly details: Readonly<Record<string, Value>>;
}

export const ACTIONS = [
  "account.grant",
  "account.suspend",
  "account.unsuspend",
  "key.limit",
  "key.revoke",
  "price.set",
  "price.remove",
  "vouchers.make",
  "topup.refund",
  "topup.accept",
  "topup.close",
  "topup.abandon",
  "stream.stop",
  "stream.stopped",
  "ledger.check",
] as const;

const LIMITS: ReadonlySet<string> = new Set(LIMIT_NAMES);

/** An action in words; one that this page does not know keeps its name. */
export function actionName(action: string): string {
  const names: Readonly<Record<string, string>> = actionTexts.value;
  return names[action] ?? action;
}

/** The details as names and texts, in the order in which they were written. */
export function detailsOf({ details }: Entry): [name: string, text: string][] {
  return Object.entries(details)
    .filter(([name, value]) => (name !== "currency" || !("amount_minor" in details)) && (name !== "forced" || value))
    .map(([name, value]) => [nameOf(name), textOf(name, value, details)]);
}

function nameOf(name: string): string {
  const names: Readonly<Record<string, string>> = { ...nameTexts.value, ...accounts.value.limitLabels };
  return names[name] ?? name;
}

function textOf(name: string, value: Value, details: Entry["details"]): string {
  if (value === null && name === "valid_from") return t.value.all;
  if (value === null) return LIMITS.has(name) ? t.value.usual : UNKNOWN;
  if (typeof value === "boolean") return value ? t.value.yes : t.value.no;
  if (typeof value === "number") {
    const currency = details["currency"];
    if (name === "amount_minor" && typeof currency === "string") return price(currency, typedMinor(currency, value));
    return LIMITS.has(name) && value === 0 ? t.value.unlimited : count(value);
  }
  if (typeof value === "string") return name === "amount" || name === "credit" ? exactDollars(value) : value;
  return Object.entries(value)
    .map(
      ([part, said]) =>
        `${nameOf(part)} ${typeof said === "string" ? exactDollars(said) : textOf(part, said, details)}`,
    )
    .join(" · ");
}
