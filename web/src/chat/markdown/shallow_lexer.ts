// Markdown of bounded depth and work. A model that repeats itself writes thousands of `>` in a line,
// each of which is a quotation in the one before: reading and drawing them is more than the stack
// holds; or thousands of marks or lines, each of which is compared with all others.
//
// Weakness: lines of quotations that go on with fewer `>`, thousands of them, cost their square.

import { Lexer, type MarkedOptions, type Token, Tokenizer, type Tokens } from "marked";
import { parts } from "./inline_parts.js";

/** What lies deeper is shown as it is written. Nobody writes a tenth of it. */
export const DEPTH_MAX = 24;
/** The line of `=` or `-` that makes a heading of what is above it is looked for in so many lines. */
const HEADING_LINES_MAX = 20;

/** From each line behind an item of a list, it would be looked for in all that follow. */
class ShortHeadings extends Tokenizer {
  override lheading(source: string): Tokens.Heading | undefined {
    let end = 0;
    for (let line = 0; line < HEADING_LINES_MAX; line++) {
      end = source.indexOf("\n", end) + 1;
      if (end === 0) return super.lheading(source);
    }
    return super.lheading(source.slice(0, end));
  }
}

export class ShallowLexer extends Lexer {
  #blocks = 0;
  #inlines = 0;

  constructor(options: MarkedOptions) {
    super({ ...options, tokenizer: new ShortHeadings() });
  }

  override blockTokens<T extends Token[]>(source: string, tokens?: T, isClipped?: boolean): T {
    if (this.#blocks >= DEPTH_MAX) return asWritten("paragraph", source, tokens ?? []) as T;
    this.#blocks += 1;
    try {
      return super.blockTokens(source, tokens, isClipped) as T;
    } finally {
      this.#blocks -= 1;
    }
  }

  override inlineTokens(source: string, tokens: Token[] = []): Token[] {
    if (this.#inlines >= DEPTH_MAX) return asWritten("text", source, tokens);
    this.#inlines += 1;
    try {
      for (const part of parts(source)) super.inlineTokens(part, tokens);
      return tokens;
    } finally {
      this.#inlines -= 1;
    }
  }
}

/** Adds a text in which nothing means anything. */
function asWritten(type: "paragraph" | "text", source: string, tokens: Token[]): Token[] {
  const text = { type: "escape", raw: source, text: source } as const;
  tokens.push(type === "text" ? text : { type, raw: source, text: source, tokens: [text] });
  return tokens;
}
