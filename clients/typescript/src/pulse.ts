// Whether the server is alive: when it is asked for a sign, and when it is taken for dead.
//
// Source: spec/PROTOCOL.md, section 6.

import { type Action, send } from "./actions.js";
import { GRACE_MS, HEARTBEAT_MS, HEARTBEAT_MS_MAX, HEARTBEAT_MS_MIN } from "./link-options.js";

export class Pulse {
  readonly #pings: boolean;
  #everyMs = HEARTBEAT_MS;
  #heardMs = 0;
  #asked = false;
  #doubtedMs: number | null = null;

  /** With `pings` it asks; else the server tells by itself that it is there. */
  constructor(pings: boolean) {
    this.#pings = pings;
  }

  /** Begins with a new connection. */
  begin(nowMs: number): void {
    this.#everyMs = HEARTBEAT_MS;
    this.heard(nowMs);
  }

  /** Takes note of a sign of life. */
  heard(nowMs: number): void {
    this.#heardMs = nowMs;
    this.#asked = false;
    this.#doubtedMs = null;
  }

  /** Takes what the server says of its heartbeats. */
  expect(everyS: number): void {
    const wantedMs = Math.floor(Math.min(everyS * 1000, HEARTBEAT_MS_MAX));
    this.#everyMs = Math.max(HEARTBEAT_MS_MIN, wantedMs);
  }

  /** Asks for a sign of life, which is to come soon; nothing if that was done already. */
  doubt(nowMs: number): Action[] {
    if (this.#doubtedMs !== null) return [];
    this.#doubtedMs = nowMs;
    return [send({ type: "ping", t: nowMs }), this.timer(nowMs)];
  }

  /** Returns what the timer leads to; null when the server has been silent for too long. */
  fired(nowMs: number): Action[] | null {
    const silentMs = nowMs - this.#heardMs;
    const isDead = this.#doubtedMs !== null && nowMs - this.#doubtedMs >= GRACE_MS;
    if (isDead || silentMs >= this.#patienceMs) return null;
    const out: Action[] = [];
    if (this.#pings && !this.#asked && silentMs >= this.#everyMs) {
      this.#asked = true;
      out.push(send({ type: "ping", t: nowMs }));
    }
    return [...out, this.timer(nowMs)];
  }

  /**
   * Sets the timer to when silence will have lasted long enough for the next step. Frames do not
   * move it: it is looked at when it fires.
   */
  timer(nowMs: number): Action {
    const waitMs = this.#pings && !this.#asked ? this.#everyMs : this.#patienceMs;
    const doubtMs = this.#doubtedMs === null ? Infinity : this.#doubtedMs + GRACE_MS;
    return { kind: "timer", inMs: Math.max(1, Math.min(this.#heardMs + waitMs, doubtMs) - nowMs) };
  }

  get #patienceMs(): number {
    return 2 * this.#everyMs + GRACE_MS;
  }
}
