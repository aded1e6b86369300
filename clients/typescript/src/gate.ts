// The line of requests that wait because the key is at a limit. Pure: it is told the time.
//
//     enter ──open──▶ sent ──started──▶ gone
//       │              └──refused, with a time──▶ back to its place in the line
//       └──closed──▶ the line ──the time has come, and room for one──▶ sent
//
// Source: spec/PROTOCOL.md, section 7.1: `retry_after_ms` is exactly when one request is let
// through. So after a refusal one is sent, and the next when that one has started; each that
// starts makes room for one more, and `rate_limits` says how much there is. Weakness: other
// clients of the same key are not seen; who is refused again waits again.

import type { RateLimit } from "./events.js";

const MINUTE_MS = 60_000;

interface Waiter {
  readonly ref: string;
  readonly deadlineMs: number;
  /** Whether it has been let through, and nothing has been heard of it yet. */
  sent: boolean;
}

export interface Decision {
  /** Those that are to be sent now, in order. */
  readonly go: string[];
  /** Those whose time would come too late. */
  readonly late: string[];
  /** When to ask again; null when only an answer changes anything. */
  readonly wakeInMs: number | null;
}

export class Gate {
  readonly #lineMax: number;
  readonly #waitMsMax: number;
  #line: Waiter[] = []; // in order of arrival, until they have started
  #notBeforeMs = 0;
  #room = Infinity;

  constructor(lineMax: number, waitMsMax: number) {
    this.#lineMax = lineMax;
    this.#waitMsMax = waitMsMax;
  }

  /** How many wait. */
  get length(): number {
    return this.waiting().length;
  }

  /** Returns those that wait, the first first. */
  waiting(): string[] {
    return this.#line.filter(({ sent }) => !sent).map(({ ref }) => ref);
  }

  /** Says whether one waits. */
  waits(ref: string): boolean {
    return this.waiting().includes(ref);
  }

  /** Says how long the first of the line has to wait. */
  waitMs(nowMs: number): number {
    return Math.max(0, this.#notBeforeMs - nowMs);
  }

  /** Puts a request at the end of the line; false if the line is full. */
  enter(ref: string, nowMs: number): boolean {
    if (this.length >= this.#lineMax) return false;
    this.#line.push({ ref, deadlineMs: nowMs + this.#waitMsMax, sent: false });
    return true;
  }

  /** Takes note that a request has started. */
  started(ref: string): void {
    if (!this.#sent(ref)) return;
    this.leave(ref);
    this.#room += 1;
  }

  /** Takes note of how the key stands. */
  standing(limits: readonly RateLimit[], nowMs: number): void {
    const requests = limits.find((limit) => limit.name === "requests");
    if (!requests) return;
    this.#room = requests.remaining;
    if (requests.remaining > 0 || requests.limit === 0) return;
    // All are free after `resetMs`, one after the other: the first so much earlier.
    const firstMs = requests.resetMs - MINUTE_MS + MINUTE_MS / requests.limit;
    this.#closeUntil(nowMs + firstMs);
  }

  /** Takes note of a refusal for a while; the request is back in its place. */
  refused(ref: string, retryAfterMs: number, nowMs: number): void {
    const waiter = this.#sent(ref);
    if (!waiter) return;
    waiter.sent = false;
    this.#room = 1;
    this.#closeUntil(nowMs + retryAfterMs);
  }

  /** Forgets a request, wherever it is. */
  leave(ref: string): void {
    this.#line = this.#line.filter((waiter) => waiter.ref !== ref);
  }

  /** Says who may be sent now. */
  next(nowMs: number): Decision {
    const [go, late]: [string[], string[]] = [[], []];
    const times: number[] = [];
    const open = nowMs >= this.#notBeforeMs;
    const earliestMs = Math.max(nowMs, this.#notBeforeMs);
    let room = Math.max(1, this.#room) - this.#line.filter(({ sent }) => sent).length;
    for (const waiter of this.#line) {
      const { ref, deadlineMs, sent } = waiter;
      if (sent) continue;
      if (open && room-- > 0) {
        waiter.sent = true;
        go.push(ref);
      } else if (deadlineMs < earliestMs) late.push(ref);
      else times.push(deadlineMs + 1);
    }
    late.forEach((ref) => this.leave(ref));
    if (times.length > 0 && !open) times.push(this.#notBeforeMs);
    const wakeInMs = times.length > 0 ? Math.max(1, Math.ceil(Math.min(...times) - nowMs)) : null;
    return { go, late, wakeInMs };
  }

  #sent(ref: string): Waiter | undefined {
    return this.#line.find((waiter) => waiter.sent && waiter.ref === ref);
  }

  #closeUntil(timeMs: number): void {
    this.#notBeforeMs = Math.max(this.#notBeforeMs, timeMs);
  }
}
