// When a code block is coloured: soon after lines of it are finished, a few times a second, and a
// slice at a time, so that the page answers in between.

import { Colours } from "./colours.js";
import type { Line } from "./line_emitter.js";

// Beyond this no code is coloured: its elements would be too many.
const COLOURED_CHARACTERS_MAX = 60_000;
const COLOURING_MS = 250;
// The share of the time that colouring may take of a block that is being written.
const COLOURING_SHARE = 12;

/** The beginning of a text, and its lines. */
export interface Coloured {
  readonly text: string;
  readonly lines: readonly Line[];
}

export interface Wanted {
  readonly lang: string;
  readonly text: string;
  readonly isOpen: boolean;
}

type Highlighter = typeof import("./highlighter.js");

export const NOTHING: Coloured = { text: "", lines: [] };

let loading: Promise<Highlighter> | null = null;

function load(): Promise<Highlighter> {
  loading ??= import("./highlighter.js");
  loading.catch(() => (loading = null)); // without the network; the next block asks again
  return loading;
}

/** Whether the colours are those of the text's beginning. */
export function isColoured(coloured: Coloured, text: string): boolean {
  // A finished block has no newline at its end, and what was coloured of it may.
  return `${text}\n`.startsWith(coloured.text);
}

export class Colouring {
  readonly #tell: (coloured: Coloured) => void;
  #wanted: Wanted = { lang: "", text: "", isOpen: false };
  #coloured = NOTHING;
  #colours: Colours | null = null;
  #lang = "";
  #timer = 0;
  #isLoading = false;
  #isStopped = false;
  #notBeforeMs = 0;

  constructor(tell: (coloured: Coloured) => void) {
    this.#tell = tell;
  }

  /** Takes the block as it is now. */
  follow(wanted: Wanted): void {
    this.#wanted = wanted;
    this.#goOn();
  }

  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#timer);
  }

  /** How far colours are wanted: while it is written, to the last line that is finished. */
  get #end(): number {
    const { lang, text, isOpen } = this.#wanted;
    const end = isOpen ? text.lastIndexOf("\n") + 1 : text.length;
    return lang === "" || end > COLOURED_CHARACTERS_MAX ? 0 : end;
  }

  get #isBehind(): boolean {
    return this.#coloured.text.length < this.#end || !isColoured(this.#coloured, this.#wanted.text);
  }

  #goOn(): void {
    if (this.#isLoading || this.#isStopped || !this.#isBehind) return;
    clearTimeout(this.#timer);
    // Of a block that is finished nothing more comes: the rest is coloured as fast as it can be.
    const waitMs = this.#wanted.isOpen ? this.#notBeforeMs - performance.now() : 0;
    this.#timer = window.setTimeout(() => void this.#colour(), Math.max(0, waitMs));
  }

  async #colour(): Promise<void> {
    this.#isLoading = true;
    const highlighter = await load().catch(() => null);
    this.#isLoading = false;
    // Plain, until the next block comes.
    if (highlighter === null || this.#isStopped || !this.#isBehind) return;
    const { lang, text } = this.#wanted;
    if (!highlighter.isKnown(lang)) return;
    const beganMs = performance.now();
    if (this.#colours === null || this.#lang !== lang || !isColoured(this.#coloured, text)) {
      this.#colours = new Colours((part) => highlighter.highlight(lang, part));
      this.#lang = lang;
    }
    this.#colours.step(text, this.#end);
    this.#coloured = { text: text.slice(0, this.#colours.end), lines: this.#colours.lines };
    const hasMore = this.#isBehind;
    const tookMs = performance.now() - beganMs;
    this.#notBeforeMs = hasMore ? 0 : beganMs + Math.max(COLOURING_MS, COLOURING_SHARE * tookMs);
    this.#tell(this.#coloured);
    this.#goOn();
  }
}
