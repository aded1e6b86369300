// What the API says of models and prices, and what a price is when it is typed.

import type { Faults } from "../../../shared/form.js";
import { nanosOf } from "../../../shared/format.js";
import { t as admin } from "../texts.js";
import { isAmount, isWhole } from "../typed.js";
import { t } from "./texts.js";

export type Rates = Readonly<Record<string, string>>;

export interface Part {
  readonly service_tier: string | null;
  readonly hours: string | null;
  readonly above_prompt_tokens: number | null;
  readonly rates: Rates;
}

export interface Price {
  readonly name: string;
  readonly valid_from: string | null;
  readonly own: boolean;
  readonly source: string;
  readonly rates: Rates;
  readonly parts: readonly Part[];
}

export interface Candidate {
  readonly provider: string;
  readonly model: string;
  readonly price: Price | null;
  readonly coming: readonly Price[];
  readonly context_tokens_max: number | null;
  readonly output_tokens_max: number | null;
  readonly shutdown_date: string | null;
  readonly successor: string | null;
}

export interface Model {
  readonly id: string;
  readonly alias: boolean;
  readonly candidates: readonly Candidate[];
}

export interface OwnPrice extends Price {
  readonly state: "counts" | "coming" | "replaced";
  readonly context_tokens_max: number | null;
  readonly output_tokens_max: number | null;
  readonly shutdown_date: string | null;
  readonly successor: string | null;
}

export type Typed = {
  readonly model: string;
  readonly input: string;
  readonly output: string;
  readonly cached_input: string;
  readonly cache_write: string;
  readonly cache_write_1h: string;
  readonly reasoning: string;
  readonly context_tokens_max: string;
  readonly output_tokens_max: string;
  readonly valid_from: string;
  readonly shutdown: string;
  readonly successor: string;
  readonly force: string;
};

export const NOTHING_TYPED: Typed = {
  model: "",
  input: "",
  output: "",
  cached_input: "",
  cache_write: "",
  cache_write_1h: "",
  reasoning: "",
  context_tokens_max: "",
  output_tokens_max: "",
  valid_from: "",
  shutdown: "",
  successor: "",
  force: "",
};

const RATES = ["input", "output", "cached_input", "cache_write", "cache_write_1h", "reasoning"] as const;
const NUMBERS = ["context_tokens_max", "output_tokens_max"] as const;
const TEXTS = ["valid_from", "shutdown", "successor"] as const;
const RATE_MAX_NANOS = 1_000_000n * 1_000_000_000n;
const TOKENS_MAX = 100_000_000;

/** What the form begins with for a candidate: its price so far. */
export function typedOf(candidate: Candidate): Typed {
  const { rates } = candidate.price ?? { rates: {} as Rates };
  return {
    ...NOTHING_TYPED,
    model: candidate.price?.name ?? candidate.model,
    ...Object.fromEntries(RATES.map((name) => [name, rates[name] ?? ""])),
    context_tokens_max: String(candidate.context_tokens_max ?? ""),
    output_tokens_max: String(candidate.output_tokens_max ?? ""),
    shutdown: candidate.shutdown_date ?? "",
    successor: candidate.successor ?? "",
  };
}

export function faultsOf(typed: Typed): Faults<Typed> {
  const found: Record<string, string> = {};
  if (typed.model.trim() === "") found["model"] = t.value.nameMissing;
  for (const name of RATES) {
    const text = typed[name].trim();
    if (text === "" && name !== "input" && name !== "output") continue;
    if (!isAmount(text, true) || nanosOf(text) > RATE_MAX_NANOS) found[name] = t.value.price;
  }
  for (const name of NUMBERS) {
    const text = typed[name].trim();
    if (text !== "" && !isWhole(text, 1, TOKENS_MAX)) found[name] = admin.value.wholeNumber("1", "100,000,000");
  }
  if (typed.successor.trim() !== "" && typed.shutdown === "") found["successor"] = t.value.needsShutdown;
  return found as Faults<Typed>;
}

/** What is sent: nothing that was left empty. */
export function bodyOf(typed: Typed): Record<string, string | number | boolean> {
  const body: Record<string, string | number | boolean> = { model: typed.model.trim() };
  for (const name of [...RATES, ...TEXTS]) if (typed[name].trim() !== "") body[name] = typed[name].trim();
  for (const name of NUMBERS) if (typed[name].trim() !== "") body[name] = Number(typed[name]);
  if (typed.force !== "") body["force"] = true;
  return body;
}
