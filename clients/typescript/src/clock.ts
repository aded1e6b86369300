// The time and the dice, which what is pure is told.

import { RANDOM_RANGE } from "./closing.js";

export const now = (): number => Math.floor(performance.now());

// What `setTimeout` takes; beyond it, it does not wait at all.
const WAIT_MS_MAX = 2 ** 31 - 1;

/** Calls after a while; for ever is some weeks. */
export const later = (call: () => void, inMs: number): ReturnType<typeof setTimeout> =>
  setTimeout(call, Math.min(inMs, WAIT_MS_MAX));

export const randomBits = (): number => Math.floor(Math.random() * RANDOM_RANGE);
