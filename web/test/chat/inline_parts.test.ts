import { Marked, type Token } from "marked";
import { describe, expect, test } from "vitest";
import { Blocks } from "../../src/chat/markdown/blocks.js";
import { COST_PER_CHARACTER, PART_CHARACTERS, PART_MARKS, parts } from "../../src/chat/markdown/inline_parts.js";
import { koreanBold } from "../../src/chat/markdown/korean_bold.js";

const marked = new Marked({ gfm: true, breaks: true, extensions: [koreanBold] });

/** What a reader sees: the names of elements around their texts, however these are cut. */
function shown(tokens: readonly Token[]): string {
  return tokens
    .map((token) => {
      const { type, text, tokens: inner } = token as { type: string; text?: string; tokens?: Token[] };
      if (type === "text" || type === "escape") return inner ? shown(inner) : text;
      return `<${type}>${inner ? shown(inner) : (text ?? "")}</${type}>`;
    })
    .join("");
}

const SENTENCE =
  "이 절의 **핵심(요약)**은 `read_file`과 [문서](https://a.example/b_c)에 있고, **오래 걸리는 일은 따로. 한꺼번에 하지 않습니다.** It is *not* 3 * 4, e.g. `a b. c`.";

describe("what people and models write in one paragraph", () => {
  test.each([
    ["lines", "\n"],
    ["sentences", " "],
    ["lines with items", "\n- "],
  ])("%s mean what they mean when all is read at once", (_name, between) => {
    const text = Array<string>(200).fill(SENTENCE).join(between);
    expect(text.length).toBeGreaterThan(3 * PART_CHARACTERS);
    expect(shown(new Blocks().update(text, true))).toBe(shown(marked.lexer(text)));
  });

  test("as long as a page, it is not cut at all", () => {
    expect(parts(Array<string>(6).fill(SENTENCE).join(" "))).toHaveLength(1);
    expect(parts("가나다 ".repeat(1_500))).toHaveLength(1);
  });
});

const HOSTILE = [
  "*a ",
  "a_",
  "**a*b ",
  "*가<",
  "가[_",
  "~~__a",
  "[a](",
  "*www.",
  "`a ``b ",
  "![",
  "*",
  "가",
  "😀",
  "a\n",
];

describe("the parts of a text", () => {
  test.each(HOSTILE)("of %j make it up, are affordable, and stay when it grows", (unit) => {
    const text = unit.repeat(20_000 / unit.length);
    const all = parts(text);
    expect(all.join("")).toBe(text);
    for (const part of all) {
      const marks = part.match(/[*_~`[\]<!]/g)?.length ?? 0;
      expect(part.length).toBeLessThanOrEqual(PART_CHARACTERS);
      if (marks > PART_MARKS) expect(marks * marks).toBeLessThanOrEqual(COST_PER_CHARACTER * part.length);
      // Throws for half a character.
      expect(decodeURIComponent(encodeURIComponent(part))).toBe(part);
    }
    const grown = parts(text + unit.repeat(1_000));
    expect(grown.slice(0, all.length - 1)).toEqual(all.slice(0, -1));
  });

  test("end before a line, or else behind a sentence, and where nothing is open", () => {
    const words = "가나다 ".repeat(1_200);
    expect(parts(`${words}.\n**a\nb** ${words}`)[0]).toBe(`${words}.`);
    expect(parts(`${words}다. **a. b** ${words}`)[0]).toBe(`${words}다.`);
    expect(parts(`${words}\`a b\`${"a".repeat(PART_CHARACTERS)}`)[0]).toBe(words.trimEnd());
  });
});

/** How often regular expressions are tried until a text is read. */
function work(text: string): number {
  const { exec } = RegExp.prototype;
  let count = 0;
  RegExp.prototype.exec = function (this: RegExp, subject: string): RegExpExecArray | null {
    count += 1;
    return exec.call(this, subject);
  };
  try {
    new Blocks().update(text, true);
  } finally {
    RegExp.prototype.exec = exec;
  }
  return count;
}

test.each(HOSTILE)("the work for %j is in proportion to its length", (unit) => {
  const of = (length: number): number => work(`a${unit.repeat(length / unit.length)}`);
  // To compare each mark with each other would be sixteen times as much.
  expect(of(16_000) / of(4_000)).toBeLessThan(6);
});
