import { Lexer, Marked, type Token } from "marked";
import { describe, expect, test } from "vitest";
import { Blocks, type CodeToken } from "../../src/chat/markdown/blocks.js";
import { koreanBold } from "../../src/chat/markdown/korean_bold.js";
import { DEPTH_MAX } from "../../src/chat/markdown/shallow_lexer.js";

const marked = new Marked({ gfm: true, breaks: true, extensions: [koreanBold] });
const ANSWER = `# 제목

첫 문단은 **강조(설명)**은 물론 \`코드\`도 있습니다.
둘째 줄

- 하나
- 둘

  둘의 둘째 문단
- 셋

| a | b |
|---|--:|
| 1 | 2 |

\`\`\`python
def f():
    """three \`\`\` inside"""

    return 1
\`\`\`

~~~~
~~~ not the end
~~~~

> quoted
> more

Setext
======

1. one
2. two

\`\`\`js
unfinished();
`;

/** What a reader sees of tokens: kinds and texts, without the positions. */
function seen(tokens: readonly Token[]): unknown[] {
  return tokens
    .filter((token) => token.type !== "space")
    .map((token) => {
      const { type, text, lang, depth, tokens: inner, items } = token as Record<string, any>;
      const all = [type, text?.trimEnd?.(), lang ?? "", depth, inner && seen(inner), items && seen(items)];
      return type === "code" ? [type, text?.trimEnd?.(), lang ?? ""] : all;
    });
}

/** Blocks for which reading takes no time, so that every piece is read when it comes. */
function swift(): Blocks {
  return new Blocks(() => 0);
}

function grown(text: string, size: number): { blocks: Blocks; last: readonly Token[] } {
  const blocks = swift();
  let last: readonly Token[] = [];
  for (let end = size; end < text.length + size; end += size) last = blocks.update(text.slice(0, end), false);
  return { blocks, last };
}

describe("while it grows", () => {
  test.each([1, 2, 3, 7, 40, 1000])("pieces of %i characters give what the whole gives", (size) => {
    expect(seen(grown(ANSWER, size).last)).toEqual(seen(marked.lexer(ANSWER)));
  });

  test("at every length, the blocks have all of the text", () => {
    const blocks = swift();
    for (let end = 1; end <= ANSWER.length; end += 3) {
      const tokens = blocks.update(ANSWER.slice(0, end), false);
      const whole = marked.lexer(ANSWER.slice(0, end));
      expect(seen(tokens).length).toBeGreaterThan(0);
      // Not less is shown than the whole would show, except marks that may end a code block.
      expect(tokens.filter((token) => token.type === "code").length).toBe(
        whole.filter((token) => token.type === "code").length,
      );
    }
  });

  // A text is put together from these, and cut at random; the seed is in the test's name.
  const PARTS = [
    "가나다",
    "**강조(설명)**은",
    " ",
    "\n",
    "\n\n",
    "- 하나\n",
    "  - 안\n",
    "1. 일\n",
    "> 인용\n",
    "```js\n",
    "```\n",
    "~~~\n",
    "`",
    "``",
    "# 제목\n",
    "===\n",
    "---\n",
    "| a | b |\n",
    "|---|---|\n",
    "    들여쓰기\n",
    "<div>\n",
    "</div>\n",
    "[링크](https://a.example)",
    "![그림](https://b.example/x.png)",
    "*기울임*",
    "\\*",
    "&amp;",
    "$x$",
    "<b>",
    "\t",
    "a\n",
    "- [ ] 할 일\n",
    "```",
    "[x]: /u\n",
    "[x]",
    "> [y]: /v\n",
    "[y][y]",
  ];
  test.each(Array.from({ length: 60 }, (_, seed) => seed))("a random text, seed %i", (seed) => {
    let state = seed + 1;
    const random = (below: number): number => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
      return (state >>> 8) % below;
    };
    const text = Array.from({ length: 5 + random(40) }, () => PARTS[random(PARTS.length)]!).join("");
    const blocks = swift();
    for (let end = 1 + random(9); end < text.length; end += 1 + random(9)) blocks.update(text.slice(0, end), false);
    expect(seen(blocks.update(text, true))).toEqual(seen(marked.lexer(text)));
    // Before the end, too, unless it is in a code block that is still open, or has references.
    const growing = swift();
    let last: readonly Token[] = [];
    for (let end = 1 + random(9); end < text.length + 9; end += 1 + random(9))
      last = growing.update(text.slice(0, end), false);
    const isCertain = !text.includes("]:") && !last.some((token) => (token as CodeToken).open);
    if (isCertain) expect(seen(last)).toEqual(seen(marked.lexer(text)));
  });

  test("blocks that are finished are the same objects", () => {
    const blocks = swift();
    const first = blocks.update(ANSWER.slice(0, 200), false)[0];
    let last: readonly Token[] = [];
    for (let end = 200; end <= ANSWER.length; end++) last = blocks.update(ANSWER.slice(0, end), false);
    expect(last[0]).toBe(first);
    expect(blocks.update(ANSWER, true)[0]).toBe(first);
  });

  test("what is taken back is read anew", () => {
    const blocks = swift();
    blocks.update(ANSWER, false);
    expect(seen(blocks.update("# other\n\ntext", false))).toEqual(seen(marked.lexer("# other\n\ntext")));
  });

  test("a carriage return is no character of its own", () => {
    expect(seen(swift().update("a\r\n\r\nb", false))).toEqual(seen(marked.lexer("a\n\nb")));
  });
});

describe("the work", () => {
  const paragraph =
    "Some words of a paragraph, **bold** and `code`, which is about as long as one is. 그리고 한국어도.\n\n";

  test("is in proportion to what comes, and not to what is there", () => {
    const read = (count: number): number => grown(paragraph.repeat(count), 20).blocks.readCharacters;
    // Ten times the text is ten times the work; reading all of it each time would be a hundred times.
    expect(read(200) / read(20)).toBeLessThan(12);
  });

  /** Reads a text in pieces on a machine that reads so many characters in a millisecond. */
  function streamed(text: string, perMs: number): { readCharacters: number; lateMs: number } {
    const [piece, everyMs] = [32, 10];
    let ms = 0;
    let upToDateMs = 0;
    let lateMs = 0;
    const blocks: Blocks = new Blocks(() => ms + blocks.readCharacters / perMs);
    for (let end = piece; end < text.length; end += piece) {
      blocks.update(text.slice(0, end), false);
      if (!blocks.isBehind) upToDateMs = ms;
      lateMs = Math.max(lateMs, ms - upToDateMs);
      ms += everyMs;
    }
    return { readCharacters: blocks.readCharacters, lateMs };
  }

  test.each([
    ["a paragraph", "*a "],
    ["one word", "`"],
    ["a paragraph of lines", "가나다 **라** 마\n"],
    ["a list", "- **항목**: 설명\n"],
    ["a table", "| a | **b** |\n"],
    ["a quotation", "> 인용 `코드`\n"],
  ])("is in proportion to what comes also in %s that does not end", (_name, unit) => {
    const start = unit.startsWith("|") ? "| a | b |\n|---|---|\n" : "";
    const read = (length: number): number => streamed(start + unit.repeat(length / unit.length), 50).readCharacters;
    // To read all of it for each piece would be sixteen times as much.
    expect(read(32_000) / read(8_000)).toBeLessThan(6);
  });

  test("what has come is shown at once in texts of a usual length, and soon in long ones", () => {
    const list = (length: number): string => "- **항목**: 설명\n".repeat(length / 12);
    expect(streamed(list(1_500), 500).lateMs).toBeLessThanOrEqual(10);
    expect(streamed(list(20_000), 500).lateMs).toBeLessThan(300);
  });

  test("what is behind is read when it is asked for again, and not twice", () => {
    let ms = 0;
    const blocks: Blocks = new Blocks(() => ms + blocks.readCharacters);
    const first = "가 ".repeat(100);
    blocks.update(first, false);
    blocks.update(`${first}끝`, false);
    expect(blocks.isBehind).toBe(true);
    ms += 10_000;
    expect(seen(blocks.update(`${first}끝`, false))).toEqual(seen(marked.lexer(`${first}끝`)));
    expect(blocks.isBehind).toBe(false);
    const read = blocks.readCharacters;
    blocks.update(`${first}끝`, false);
    expect(blocks.readCharacters).toBe(read);
    expect(blocks.isBehind).toBe(false);
  });

  test.each([
    ["an item of a list", "- a\n"],
    ["an item in a quotation", "> - a\n"],
  ])("is in proportion to the lines behind %s", (_name, start) => {
    const { lheading } = Lexer.rules.block.gfm;
    const { exec } = RegExp.prototype;
    const searched = (length: number): number => {
      let characters = 0;
      lheading.exec = (subject) => {
        characters += subject.length;
        return exec.call(lheading, subject);
      };
      try {
        swift().update(start + "가\n".repeat(length / 2), true);
      } finally {
        lheading.exec = exec;
      }
      return characters;
    };
    // To look for the end of a heading in all that follows would be sixteen times as much.
    expect(searched(8_000) / searched(2_000)).toBeLessThan(6);
  });

  test("a heading of several lines is one", () => {
    const text = `- a\n\n  ${"가\n  ".repeat(15)}===\n\n${"나\n".repeat(15)}---\n`;
    expect(seen(swift().update(text, true))).toEqual(seen(marked.lexer(text)));
    expect(
      swift()
        .update(text, true)
        .map(({ type }) => type),
    ).toEqual(["list", "heading"]);
  });

  test("an open code block is not read as Markdown at all", () => {
    const blocks = swift();
    blocks.update("```python\n", false);
    const before = blocks.readCharacters;
    let text = "```python\n";
    for (let line = 0; line < 2000; line++) {
      text += `value_${line} = ${line}\n`;
      blocks.update(text, false);
    }
    expect(blocks.readCharacters).toBe(before);
  });
});

describe("an open code block", () => {
  const code = (text: string): CodeToken => swift().update(text, false).at(-1) as CodeToken;

  test("is open until its end has come", () => {
    expect(code("```js\na();\n")).toMatchObject({ type: "code", text: "a();", lang: "js", open: true });
    expect(code("```js\na();\n```\n").open ?? false).toBe(false);
    expect(code("````js\na();\n```\n")).toMatchObject({ text: "a();\n```", open: true });
  });

  test("does not show the marks of its end while they come", () => {
    for (const marks of ["`", "``", "```"]) expect(code(`\`\`\`js\na();\n${marks}`).text.trimEnd()).toBe("a();");
    expect(code("```js\na();\n```x").text).toBe("a();\n```x");
  });

  test("what follows its end is text again", () => {
    const { last } = grown("```js\na();\n```\n\n**bold**\n", 1);
    expect(seen(last)).toEqual(seen(marked.lexer("```js\na();\n```\n\n**bold**\n")));
  });
});

test("in the end a reference finds the address that came later", () => {
  const text = "See [here][1].\n\nMore.\n\nEven more.\n\n[1]: https://example.com/\n";
  const blocks = swift();
  for (let end = 1; end <= text.length; end++) blocks.update(text.slice(0, end), false);
  expect(seen(blocks.update(text, true))).toEqual(seen(marked.lexer(text)));
  expect(JSON.stringify(blocks.update(text, true)[0])).toContain("https://example.com/");
});

describe("a model that repeats itself", () => {
  const depthOf = (tokens: readonly Token[] | undefined): number =>
    Math.max(0, ...(tokens ?? []).map((token) => 1 + depthOf(childrenOf(token))));
  const childrenOf = (token: Token): Token[] => {
    const { items, tokens } = token as { items?: Token[]; tokens?: Token[] };
    return [...(items ?? []), ...(tokens ?? [])];
  };
  const textOf = (token: Token): string => {
    const children = childrenOf(token);
    return children.length > 0 ? children.map(textOf).join("") : ((token as { text?: string }).text ?? "");
  };

  test.each([
    ["quotations", ">".repeat(20_000), 20_000 - DEPTH_MAX],
    ["lists in a line", "- ".repeat(10_000), 10_000 - DEPTH_MAX],
    ["numbers in a line", "1. ".repeat(6_000), 6_000 - DEPTH_MAX],
    ["lists of quotations", "- > ".repeat(5_000), 10_000 - DEPTH_MAX],
    ["emphasis", "*a **b ".repeat(300) + "** c*".repeat(300), 0],
  ])("%s of any depth are shown, and as they are written below some", (_name, marks, left) => {
    for (const isWhole of [false, true]) {
      const tokens = swift().update(`${marks}word`, isWhole);
      // A list has items between it and what is in them.
      expect(depthOf(tokens)).toBeLessThan(3 * DEPTH_MAX);
      const text = tokens.map(textOf).join("");
      expect(text).toMatch(/word$/);
      expect(text.replace(/[^>\-.]/g, "").length).toBeGreaterThanOrEqual(left);
    }
  });

  test("what people write is far from it", () => {
    const source = "> > > - 1. > **a _b `c`_**";
    expect(swift().update(source, true)).toEqual([...marked.lexer(source)]);
  });
});
