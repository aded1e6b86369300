import { Marked, type Tokens } from "marked";
import { expect, test } from "vitest";
import { koreanBold } from "../../src/chat/markdown/korean_bold.js";

const marked = new Marked({ extensions: [koreanBold] });

function bold(text: string): string[] {
  const found: string[] = [];
  marked.walkTokens(marked.lexer(text), (token) => {
    if (token.type === "strong") found.push((token as Tokens.Strong).text);
  });
  return found;
}

test.each([
  ["**강조(설명)**은 됩니다.", ["강조(설명)"]],
  ["이것은 **'인용'**입니다.", ["'인용'"]],
  ["**“큰따옴표”**라고 했습니다.", ["“큰따옴표”"]],
  ["앞말**(괄호)**뒷말", ["(괄호)"]],
  ["**100%**가 됩니다", ["100%"]],
  ["**API:**는 다음과 같습니다", ["API:"]],
  ["**한글**과 **English.**도", ["한글", "English."]],
  ["**「日本語」**です", ["「日本語」"]],
  ["**“中文”**是", ["“中文”"]],
  ["**두 줄에\n걸친(것)**도", ["두 줄에\n걸친(것)"]],
  // As CommonMark has it already.
  ["**bold** text", ["bold"]],
  ["***both***", ["both"]],
])("%s", (text, expected) => {
  expect(bold(text)).toEqual(expected);
});

test.each(["** 공백 **은", "2 ** 3 ** 가", "\\**아님**은", "`**코드**은`", "**English(x)**y", "**끝나지 않음", "****"])(
  "%s is not bold",
  (text) => {
    expect(bold(text)).toEqual([]);
  },
);

test("inside there may be code and emphasis", () => {
  expect(bold("**`코드`(설명)**은")).toEqual(["`코드`(설명)"]);
  expect(bold("**a *기울임*(b)**은")).toEqual(["a *기울임*(b)"]);
});
