// Enter, also of an input method: the Enter that ends a composition of Hangul sends, once, and after
// the last syllable is in the field. For other scripts it only ends the composition.
//
// Source: UI Events, section 5.7; nesquena/hermes-webui#7348 (Enter twice), omnigent-ai/omnigent#243
// (the last syllable sent alone). Weakness: what an input method that composes Hangul and Han in one
// does with its Enter is told by the last character alone.

// Jamo, compatibility jamo, syllables.
const HANGUL_AT_END = /[\u1100-\u11ff\u3130-\u318f\uac00-\ud7a3]$/;
// Some systems report the Enter that ended a composition once more, or let it break the line.
export const ECHO_MS = 80;

/** What of a key decides. */
export interface Key {
  readonly key: string;
  readonly code: string;
  readonly keyCode: number;
  readonly isComposing: boolean;
  readonly shiftKey: boolean;
  readonly ctrlKey: boolean;
  readonly altKey: boolean;
  readonly metaKey: boolean;
}

/** What is to be done: nothing, keep the key from its effect, or also send, now or a moment later. */
export type Verdict = "pass" | "swallow" | "send" | "send-soon";

export class EnterKey {
  readonly #breaksLine: boolean;
  #composed = "";
  #sendOnEnd = false;
  #deafUntilMs = Number.NEGATIVE_INFINITY;

  /** `breaksLine`: Enter always begins a new line, as on a phone. */
  constructor(breaksLine: boolean) {
    this.#breaksLine = breaksLine;
  }

  begun(): void {
    this.#composed = "";
    this.#sendOnEnd = false;
  }

  updated(text: string): void {
    this.#composed = text;
  }

  /** Takes the end of a composition. */
  ended(text: string, nowMs: number): Verdict {
    this.#composed = text;
    if (!this.#sendOnEnd) return "pass";
    this.#sendOnEnd = false;
    return this.#sendSoon(nowMs);
  }

  pressed(key: Key, nowMs: number): Verdict {
    const isEnter = [key.key, key.code].some((name) => name === "Enter" || name === "NumpadEnter");
    if (!isEnter || key.shiftKey || key.ctrlKey || key.altKey || key.metaKey || this.#breaksLine) {
      this.#sendOnEnd = false;
      return "pass";
    }
    if (key.isComposing) {
      this.#sendOnEnd = HANGUL_AT_END.test(this.#composed);
      return "pass";
    }
    if (nowMs < this.#deafUntilMs) return "swallow";
    if (key.keyCode !== 229) return "send";
    // Safari reports the end of the composition before the key that caused it.
    return HANGUL_AT_END.test(this.#composed) ? this.#sendSoon(nowMs) : "swallow";
  }

  /** Says whether a line break that the browser is about to make is the echo of an Enter. */
  isEcho(inputType: string, nowMs: number): boolean {
    return (inputType === "insertLineBreak" || inputType === "insertParagraph") && nowMs < this.#deafUntilMs;
  }

  #sendSoon(nowMs: number): Verdict {
    this.#composed = "";
    this.#deafUntilMs = nowMs + ECHO_MS;
    return "send-soon";
  }
}
