// Markdown of bounded depth. A model that repeats itself writes thousands of `>` in a line, each of
// which is a quotation in the one before: reading and drawing them is more than the stack holds.

import { Lexer, type Token } from "marked";
import { parts } from "./inline_parts.js";

/** What lies deeper is shown as it is written. Nobody writes a tenth of it. */
export const DEPTH_MAX = 24;

export class ShallowLexer extends Lexer {
  #blocks = 0;
  #inlines = 0;

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
