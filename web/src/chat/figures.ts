// Figures as people read them; what is not known is a dash.

import { language } from "../shared/language.js";

export const UNKNOWN = "–";
// A dollar amount of an answer is small: three digits that mean something.
const DIGITS = 3;

/** Decimal USD as the server writes it, cut to what matters: `$0.000412`. */
export function cost(amount: string | null): string {
  if (amount === null) return UNKNOWN;
  const match = /^(-?\d+)(?:\.(\d+))?$/.exec(amount);
  if (match === null) return UNKNOWN;
  const [, whole, decimals = ""] = match as unknown as [string, string, string?];
  if (whole !== "0") return `$${whole}.${decimals.slice(0, 2).padEnd(2, "0")}`;
  const first = decimals.search(/[1-9]/);
  if (first < 0) return "$0";
  return `$0.${decimals
    .slice(0, Math.max(2, first + DIGITS))
    .replace(/0+$/, "")
    .padEnd(2, "0")}`;
}

/** A duration: `820 ms`, `4.2 s`. */
export function duration(ms: number | null): string {
  if (ms === null) return UNKNOWN;
  const format = (value: number, digits: number) =>
    new Intl.NumberFormat(language.value, { minimumFractionDigits: digits, maximumFractionDigits: digits }).format(
      value,
    );
  if (ms < 1000) return language.value === "ko" ? `${format(ms, 0)}ms` : `${format(ms, 0)} ms`;
  return language.value === "ko" ? `${format(ms / 1000, 1)}초` : `${format(ms / 1000, 1)} s`;
}

/** A price of a million tokens without needless zeros; null where there is none. */
export function rate(pricing: Readonly<Record<string, unknown>> | null, name: "input" | "output"): string | null {
  const text = pricing?.[name];
  if (typeof text !== "string") return null;
  const [whole, decimals = ""] = text.split(".") as [string, string?];
  const kept = decimals.replace(/0+$/, "");
  return kept === "" ? whole : `${whole}.${kept.padEnd(2, "0")}`;
}
