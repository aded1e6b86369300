// The colours of a code block while it grows: a slice at a time, and what is certain only once. To
// colour all of it anew takes longer with each line, up to a tenth of a second for one of 60 kB.
//
// Source: highlight.js 11. Where it stands in no open comment, text or the like, it can begin anew;
// the best place for that is behind an empty line. Weakness: an expression that looks across such a
// place is coloured as its parts are; what is open for very long, as a text of many pages may be,
// is taken for closed at last; and a line of many kilobytes stays plain.

import type { Line } from "./line_emitter.js";

/** What is coloured at a time: some 10 ms of a processor. */
export const SLICE_CHARACTERS = 4_000;
// What is open for longer is not coloured anew with each line.
const OPEN_CHARACTERS_MAX = 8_000;

export interface Highlighted {
  readonly lines: readonly Line[];
  /** Whether nothing is open at the end. */
  readonly isClosed: boolean;
}

export type Highlight = (text: string) => Highlighted;

export class Colours {
  readonly #highlight: Highlight;
  #settled: readonly Line[] = [];
  #settledEnd = 0;
  #open: readonly Line[] = [];
  #end = 0;

  constructor(highlight: Highlight) {
    this.#highlight = highlight;
  }

  /** How many characters have their colours. */
  get end(): number {
    return this.#end;
  }

  /** The lines that have their colours; those that cannot change are the same objects. */
  get lines(): readonly Line[] {
    return [...this.#settled, ...this.#open];
  }

  /** Colours the next slice of a text that begins as before; `end` says how far it is wanted. */
  step(text: string, end: number): void {
    const most = this.#end + SLICE_CHARACTERS;
    const to = end <= most ? end : sliceEnd(text, this.#end, most, end);
    this.#settleUntil(text, behind(text, "\n\n", to - 1));
    const { lines, isClosed } = this.#highlighted(text, to);
    const length = to - this.#settledEnd;
    const isGoodPlace = isClosed && (length > SLICE_CHARACTERS || text.endsWith("\n\n", to));
    if (text[to - 1] === "\n" && (isGoodPlace || length > OPEN_CHARACTERS_MAX)) this.#settle(lines, to);
    else this.#open = lines;
    this.#end = to;
  }

  /** Settles what lies before an empty line, unless something is open there. */
  #settleUntil(text: string, empty: number): void {
    if (empty <= this.#settledEnd) return;
    const { lines, isClosed } = this.#highlighted(text, empty);
    if (isClosed) this.#settle(lines, empty);
  }

  #settle(lines: readonly Line[], to: number): void {
    this.#settled = [...this.#settled, ...lines];
    this.#settledEnd = to;
    this.#open = [];
  }

  #highlighted(text: string, to: number): Highlighted {
    const part = text.slice(this.#settledEnd, to);
    const isShort = part.length <= OPEN_CHARACTERS_MAX + SLICE_CHARACTERS;
    const { lines, isClosed } = isShort ? this.#highlight(part) : { lines: plain(part), isClosed: true };
    // The last line is empty: what follows begins a line of its own.
    return { lines: part.endsWith("\n") ? lines.slice(0, -1) : lines, isClosed };
  }
}

/** Where a slice ends: behind an empty line, or else behind a line; a line is never cut. */
function sliceEnd(text: string, from: number, most: number, end: number): number {
  for (const mark of ["\n\n", "\n"]) {
    const last = behind(text, mark, most);
    if (last > from) return last;
  }
  const next = text.indexOf("\n", most) + 1;
  return next === 0 || next > end ? end : next;
}

/** Where the last `mark` ends that ends at `most` or sooner; 0 if there is none. */
function behind(text: string, mark: string, most: number): number {
  const at = most < mark.length ? -1 : text.lastIndexOf(mark, most - mark.length);
  return at < 0 ? 0 : at + mark.length;
}

function plain(text: string): Line[] {
  return text.split("\n").map((line) => (line === "" ? [] : [{ name: "", text: line }]));
}
