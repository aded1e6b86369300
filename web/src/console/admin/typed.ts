// What administrators type: read before it is sent, so that it can be told at its field.

import { nanosOf } from "../../shared/format.js";

const AMOUNT = /^\d{1,9}(\.\d{1,9})?$/;
const WHOLE = /^\d{1,10}$/;

/** Whether a text is an amount of USD; zero is one only where it may be. */
export function isAmount(text: string, zero = false): boolean {
  return AMOUNT.test(text) && (zero || nanosOf(text) > 0n);
}

/** Whether a text is a whole number within limits. */
export function isWhole(text: string, least: number, most: number): boolean {
  return WHOLE.test(text) && Number(text) >= least && Number(text) <= most;
}

/** A name for a request that is to be done once, however often it is sent. It needs no secure context. */
export function newReference(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
