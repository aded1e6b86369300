// The requests that have not started yet: they wait for a limit, are sent when the gate opens, and
// stand in line again when they are refused for a while.
//
// Weakness: of a refusal that says no time it is guessed how long to wait.

import { later, now, randomBits } from "./clock.js";
import { BACK_OFF, delayMs } from "./closing.js";
import { apiError } from "./errors.js";
import type { Failed, RateLimit } from "./events.js";
import { ownError } from "./frames.js";
import { Gate } from "./gate.js";
import { type Creation, failed } from "./lane.js";

const BACK_OFF_MS = 1_000;

export interface LineOwner {
  /** Sends a request; throws a RangeError if there are too many streams. */
  send(ref: string, creation: Creation): void;
  /** Ends a request that would have to wait for too long. */
  end(failed: Failed): void;
  waits(ref: string, waiting: { waitMs: number; ahead: number; code: string }): void;
}

interface Wish {
  readonly creation: Creation;
  readonly maxRetries: number;
  refusals: number;
  /** Why it waits. */
  code: string;
}

export class Line {
  readonly #owner: LineOwner;
  readonly #gate: Gate;
  readonly #wishes = new Map<string, Wish>();
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(owner: LineOwner, lineMax: number, waitMsMax: number) {
    this.#owner = owner;
    this.#gate = new Gate(lineMax, waitMsMax);
  }

  /** Puts a request at the end; false if the line is full. */
  enter(ref: string, creation: Creation, maxRetries: number): boolean {
    const code = "rate_limit_exceeded";
    this.#wishes.set(ref, { creation, maxRetries, refusals: 0, code });
    return this.#gate.enter(ref, now());
  }

  /** How many wait. */
  get length(): number {
    return this.#gate.length;
  }

  /** Says whether a request waits. */
  waits(ref: string): boolean {
    return this.#gate.waits(ref);
  }

  /** Takes note that a request has started. */
  started(ref: string): void {
    this.#gate.started(ref);
    this.leave(ref);
  }

  /** Takes note of how the key stands. */
  standing(limits: readonly RateLimit[]): void {
    this.#gate.standing(limits, now());
    this.#moveSoon();
  }

  /** Forgets a request. */
  leave(ref: string): void {
    this.#gate.leave(ref);
    this.#wishes.delete(ref);
    this.#moveSoon();
  }

  /** Puts a refused request back into its place, if it may be repeated. */
  repeats({ ref, error, streamId }: Failed): boolean {
    const wish = this.#wishes.get(ref);
    const { code, retryable, retryAfterMs } = error;
    if (!wish?.maxRetries || !retryable || streamId !== null || code === "connection_lost")
      return false;
    const refusals = wish.refusals++;
    // Of a limit it is known when it ends: the time a request may wait bounds that.
    if (refusals >= wish.maxRetries && apiError(error).status !== 429) return false;
    wish.code = code;
    this.#gate.refused(ref, retryAfterMs ?? delayMs(BACK_OFF, refusals, randomBits()), now());
    this.move();
    return true;
  }

  /** Sends those whose time has come, and tells the others how long they wait. */
  move(): void {
    const time = now();
    const { go, late, wakeInMs } = this.#gate.next(time);
    const waitMs = this.#gate.waitMs(time);
    for (const ref of go) this.#send(ref);
    for (const ref of late) this.#tooLate(ref, waitMs);
    clearTimeout(this.#timer);
    if (wakeInMs !== null) this.#timer = later(() => this.move(), wakeInMs);
    this.#gate.waiting().forEach((ref, ahead) => {
      const code = this.#wishes.get(ref)?.code ?? "";
      this.#owner.waits(ref, { waitMs, ahead, code });
    });
  }

  /** Lets go of all. */
  close(): void {
    for (const ref of this.#gate.waiting()) this.leave(ref);
    clearTimeout(this.#timer);
  }

  #send(ref: string): void {
    const wish = this.#wishes.get(ref);
    if (!wish) return;
    try {
      this.#owner.send(ref, wish.creation);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      this.#gate.refused(ref, BACK_OFF_MS, now()); // as many streams as a link has
    }
  }

  #tooLate(ref: string, waitMs: number): void {
    const code = this.#wishes.get(ref)?.code ?? "";
    const message = `The key is at a limit for ${Math.ceil(waitMs / 1000)} s more, longer than \`queueWaitMs\` lets a request wait.`;
    const error = ownError(code, message, "rate_limit_error", true, Math.ceil(waitMs));
    this.leave(ref);
    this.#owner.end(failed(ref, error));
  }

  /** Looks at the line when what came together has been read. */
  #moveSoon(): void {
    if (this.length === 0) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.move(), 0);
  }
}
