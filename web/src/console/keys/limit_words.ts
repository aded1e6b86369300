// A limit of a key in words: what holds, whose it is, and why a number of the owner's does not hold.

import { count } from "../../shared/format.js";
import type { Key, LimitName } from "./terms.js";
import { t } from "./texts.js";

/** What holds of one limit, and why; null where it is as keys have it as a rule. */
export function limitWords(of: Key, name: LimitName): string | null {
  const [own, operator, holds] = [of[name], of.operator_limits[name], of.effective_limits[name]];
  if (own === null && operator === null) return null;
  const notes: string[] = [];
  if (operator === holds) notes.push(t.value.byOperator);
  else if (operator !== null) notes.push(t.value.operatorHas(operator === 0 ? t.value.noLimit : count(operator)));
  if (own !== null && own !== holds) {
    if (operator === null) notes.push(t.value.asARule);
    notes.push(t.value.noEffect(count(own)));
  }
  const number = holds === 0 ? t.value.unlimited[name] : t.value.rates[name](count(holds));
  return notes.length === 0 ? number : t.value.noted(number, notes.join(", "));
}

/** What is said below the field of one limit. */
export function limitHint(of: Key | null, name: LimitName): string {
  const operator = of?.operator_limits[name] ?? null;
  if (operator === null) return t.value.limitHint;
  return operator === 0 ? t.value.freedHint : t.value.operatorHint(count(operator));
}
