// Amounts, counts, times and durations as people read them. Amounts are decimal texts of the API or
// whole nano-dollars; they are never made floats, since a float has not nine decimals of a large sum.

import { language } from "./language.js";

/** What is shown where nothing is known. Zero is shown only where it is zero. */
export const UNKNOWN = "–";

export const NANOS = 1_000_000_000n;
const DECIMALS = 9;
const AMOUNT = /^(-?)(\d+)(?:\.(\d{1,9}))?$/;

/** Nano-dollars of a decimal text such as `-6.896551724`. Throws a RangeError for anything else. */
export function nanosOf(text: string): bigint {
  const parts = AMOUNT.exec(text);
  if (parts === null) throw new RangeError(`no amount: ${text.slice(0, 40)}`);
  const nanos = BigInt(parts[2]!) * NANOS + BigInt((parts[3] ?? "").padEnd(DECIMALS, "0"));
  return parts[1] === "-" ? -nanos : nanos;
}

export type Amount = string | bigint | null | undefined;

/** USD, rounded to so many decimals, half away from zero. Nothing is `$0.00`, however many there are;
 *  what would look like it and is not is `<$0.01`. */
export function dollars(amount: Amount, decimals = 2): string {
  if (amount === null || amount === undefined) return UNKNOWN;
  const nanos = typeof amount === "string" ? nanosOf(amount) : amount;
  if (nanos === 0n) return "$0.00";
  const unit = 10n ** BigInt(DECIMALS - decimals);
  const size = nanos < 0n ? -nanos : nanos;
  const sign = nanos < 0n ? "-" : "";
  const units = (size + unit / 2n) / unit;
  if (units === 0n) return `${nanos < 0n ? ">-" : "<"}$${decimalOf(1n, decimals)}`;
  return `${sign}$${decimalOf(units, decimals)}`;
}

/** USD with all decimals that there are, two at least. */
export function exactDollars(amount: Amount): string {
  if (amount === null || amount === undefined) return UNKNOWN;
  const nanos = typeof amount === "string" ? nanosOf(amount) : amount;
  const size = nanos < 0n ? -nanos : nanos;
  const text = decimalOf(size, DECIMALS).replace(/0{1,7}$/, "");
  return `${nanos < 0n ? "-" : ""}$${text}`;
}

/** What a currency's smallest units come to: won have no decimals. Unknown currencies keep their code. */
export function price(currency: string, amount: string): string {
  if (currency === "USD") return dollars(amount);
  if (currency === "KRW") {
    const won = count(BigInt(amount));
    return language.value === "ko" ? `${won}원` : `₩${won}`;
  }
  return `${amount} ${currency}`;
}

function decimalOf(units: bigint, decimals: number): string {
  const unit = 10n ** BigInt(decimals);
  const whole = count(units / unit);
  return decimals === 0 ? whole : `${whole}.${String(units % unit).padStart(decimals, "0")}`;
}

/** A whole number with its thousands apart. */
export function count(value: number | bigint | null | undefined): string {
  if (value === null || value === undefined) return UNKNOWN;
  return new Intl.NumberFormat(language.value).format(value);
}

/** A number where there is little room: 12.3K. */
export function roughly(value: number): string {
  return new Intl.NumberFormat(language.value, { notation: "compact", maximumFractionDigits: 1 }).format(value);
}

/** A share of 1 in percent, a decimal at most. */
export function percent(share: number | null): string {
  if (share === null) return UNKNOWN;
  return new Intl.NumberFormat(language.value, { style: "percent", maximumFractionDigits: 1 }).format(share);
}

/** A duration of milliseconds: 820 ms, 1.24 s, 2 min 3 s; a figure stays with its unit. */
export function duration(ms: number | null | undefined): string {
  if (ms === null || ms === undefined) return UNKNOWN;
  const isKorean = language.value === "ko";
  if (ms < 1000) return `${Math.round(ms)}${isKorean ? "ms" : "\u00a0ms"}`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(2)}${isKorean ? "초" : "\u00a0s"}`;
  const seconds = Math.round(ms / 1000);
  const [minutes, rest] = [Math.floor(seconds / 60), seconds % 60];
  const parts = isKorean ? [`${minutes}분`, `${rest}초`] : [`${minutes}\u00a0min`, `${rest}\u00a0s`];
  return (rest === 0 ? parts.slice(0, 1) : parts).join(" ");
}

/** The browser's time zone, as it is named: Asia/Seoul. */
export function zone(): string {
  return new Intl.DateTimeFormat().resolvedOptions().timeZone;
}

// Two digits for the hour in every language, so that moments stand below each other.
const MOMENT: Intl.DateTimeFormatOptions = {
  year: "numeric",
  day: "numeric",
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  hourCycle: "h23",
};

/** A moment in the browser's zone, from Unix seconds. */
export function moment(seconds: number | null | undefined): string {
  if (seconds === null || seconds === undefined) return UNKNOWN;
  return new Intl.DateTimeFormat(language.value, {
    ...MOMENT,
    month: language.value === "ko" ? "numeric" : "short",
  }).format(seconds * 1000);
}

/** The day of a moment, in the browser's zone. */
export function dateOf(seconds: number | null | undefined): string {
  if (seconds === null || seconds === undefined) return UNKNOWN;
  return new Intl.DateTimeFormat(language.value, { dateStyle: "medium" }).format(seconds * 1000);
}

/** A day of the API, 2026-11-27, as people write it: Nov 27. */
export function dayName(day: string): string {
  const form: Intl.DateTimeFormatOptions = { month: "short", day: "numeric", timeZone: "UTC" };
  return new Intl.DateTimeFormat(language.value, form).format(Date.parse(`${day}T00:00:00Z`));
}

const STEPS: readonly [Intl.RelativeTimeFormatUnit, number][] = [
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
];

/** How long ago a moment was: 3 hours ago. */
export function ago(seconds: number | null | undefined, nowMs = Date.now()): string {
  if (seconds === null || seconds === undefined) return UNKNOWN;
  const past = Math.max(0, Math.floor(nowMs / 1000 - seconds));
  const words = new Intl.RelativeTimeFormat(language.value, { numeric: "auto" });
  for (const [unit, size] of STEPS) {
    if (past >= size) return words.format(-Math.floor(past / size), unit);
  }
  return words.format(0, "second");
}
