// The time and the dice, which what is pure is told.

import { RANDOM_RANGE } from "./closing.js";

export const now = (): number => Math.floor(performance.now());

export const randomBits = (): number => Math.floor(Math.random() * RANDOM_RANGE);
