// What a screen reader is told of one answer: few things, and the end always.
//
// Source: WCAG 2.2, 4.1.3; danny-avila/LibreChat#3942. Tokens are not read out: the transcript is
// no live region.

export const ANNOUNCEMENTS_MAX = 6;
const QUEUE_MS = 10_000;

export class Announcements {
  #count = 0;
  #queueMs = Number.NEGATIVE_INFINITY;
  #last = "";

  /** Begins anew, with another answer. */
  begin(): void {
    this.#count = 0;
    this.#queueMs = Number.NEGATIVE_INFINITY;
    this.#last = "";
  }

  /** Whether to say this; one of the few is kept for the end. */
  admits(words: string, kind: "queue" | "step" | "end", nowMs: number): boolean {
    if (words === this.#last && kind !== "end") return false;
    if (kind === "queue") {
      if (nowMs - this.#queueMs < QUEUE_MS) return false;
      this.#queueMs = nowMs;
    }
    const most = kind === "end" ? ANNOUNCEMENTS_MAX : ANNOUNCEMENTS_MAX - 1;
    if (this.#count >= most) return false;
    this.#count += 1;
    this.#last = words;
    return true;
  }
}
