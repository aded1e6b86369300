// Orders of credit, and what is sold, as the API tells them.

import type { Tone } from "../parts.js";

export type OrderState =
  | "open"
  | "waiting"
  | "paid"
  | "failed"
  | "expired"
  | "review"
  | "closed"
  | "refunding"
  | "partly_refunded"
  | "refunded"
  | "disputed";

export interface Order {
  readonly id: string;
  readonly provider: string;
  readonly state: OrderState;
  readonly currency: string;
  readonly amount: string;
  readonly credit: string;
  readonly credited: string;
  readonly detail: string;
  readonly live: boolean;
  readonly created: number;
  readonly expires: number;
}

export interface Seller {
  readonly name: string;
  readonly currencies: readonly string[];
  readonly live: boolean;
}

export interface Package {
  readonly id: string;
  readonly currency: string;
  readonly amount: string;
  readonly credit: string;
}

export interface Options {
  readonly providers: readonly Seller[];
  readonly packages: readonly Package[];
}

export interface Balance {
  readonly balance: string;
  readonly held: string;
  readonly available: string;
}

export interface Entry {
  readonly number: number;
  readonly kind: string;
  readonly reference: string;
  readonly amount: string;
  readonly created: number;
  readonly note: string;
}

const TONES: Readonly<Record<OrderState, Tone>> = {
  open: "calm",
  waiting: "warn",
  paid: "ok",
  failed: "bad",
  expired: "calm",
  review: "warn",
  closed: "calm",
  refunding: "warn",
  partly_refunded: "warn",
  refunded: "calm",
  disputed: "bad",
};

export function toneOf(state: OrderState): Tone {
  return TONES[state];
}

/** What an order is called now: one that was not paid in time has no rate to be paid at any more. */
export function shownState(order: Pick<Order, "state" | "expires">, nowMs: number): OrderState {
  return order.state === "open" && order.expires * 1000 <= nowMs ? "expired" : order.state;
}

/** Whether an order may still be paid. */
export function mayBePaid(order: Pick<Order, "state" | "expires">, nowMs: number): boolean {
  return (order.state === "open" || order.state === "failed") && order.expires * 1000 > nowMs;
}

/** Whether the provider of an order may know more than its state says. */
export function mayChange(state: OrderState): boolean {
  return state === "open" || state === "waiting" || state === "failed" || state === "expired" || state === "refunding";
}

/** The currencies in which something is sold that somebody takes, the page's language's own first. */
export function currenciesOf(options: Options, first: string): string[] {
  const sold = new Set(options.packages.map((one) => one.currency));
  const taken = [...sold].filter((currency) => options.providers.some((one) => one.currencies.includes(currency)));
  return taken.sort((a, b) => Number(b === first) - Number(a === first) || (a < b ? -1 : 1));
}

const NAMES: Readonly<Record<string, readonly [string, string]>> = {
  toss: ["Toss Payments", "토스페이먼츠"],
  portone: ["PortOne", "포트원"],
  stripe: ["Stripe", "Stripe"],
};

export function sellerName(name: string, korean: boolean): string {
  return NAMES[name]?.[korean ? 1 : 0] ?? name;
}
