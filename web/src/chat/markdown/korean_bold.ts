// Bold beside Hangul, Han and Kana: `**강조(설명)**은`. By CommonMark's rules the closing asterisks
// stand between punctuation and a letter and close nothing, so that the asterisks would be shown.
//
// Source: CommonMark 0.31, section 6.2 (delimiter runs); markedjs/marked#3617.

import type { TokenizerAndRendererExtension, Tokens } from "marked";

// Hangul (jamo, compatibility jamo, syllables), Kana, Han with its extension A, and compatibility.
const LETTERS =
  "\\u1100-\\u11ff\\u3040-\\u30ff\\u3130-\\u318f\\u3400-\\u4dbf\\u4e00-\\u9fff\\uac00-\\ud7a3\\uf900-\\ufaff";
const HAS_LETTER = new RegExp(`[${LETTERS}]`);
// No space inside the asterisks, and no other pair of them.
const BOLD = new RegExp(String.raw`^\*\*(?![\s*])((?:[^*\n]|\n(?!\s*\n)|\*(?!\*))*?[^\s*])\*\*(?!\*)`);

export const koreanBold: TokenizerAndRendererExtension = {
  name: "strong",
  level: "inline",
  start: (source) => {
    const at = source.indexOf("**");
    return at < 0 ? undefined : at;
  },
  tokenizer(source): Tokens.Strong | undefined {
    const match = BOLD.exec(source);
    if (match === null) return undefined;
    const [raw, text] = match as unknown as [string, string];
    const next = source.charAt(raw.length);
    if (!HAS_LETTER.test(text) && !HAS_LETTER.test(next)) return undefined;
    return { type: "strong", raw, text, tokens: this.lexer.inlineTokens(text) };
  },
};
