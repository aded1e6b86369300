import { describe, expect, test } from "vitest";
import { Colours, SLICE_CHARACTERS } from "../../src/chat/markdown/colours.js";
import { highlight, isKnown } from "../../src/chat/markdown/highlighter.js";
import type { Line } from "../../src/chat/markdown/line_emitter.js";

/** The lines of a text that comes in pieces of so many characters. */
function grown(language: string, text: string, size: number): readonly Line[] {
  const colours = new Colours((part) => highlight(language, part));
  for (let end = size; end < text.length + size; end += size) {
    const now = text.slice(0, end);
    const finished = end < text.length ? now.lastIndexOf("\n") + 1 : text.length;
    while (colours.end < finished) colours.step(now, finished);
  }
  return colours.lines;
}

function whole(language: string, text: string): readonly Line[] {
  const { lines } = highlight(language, text);
  return text.endsWith("\n") ? lines.slice(0, -1) : lines;
}

const SAMPLES: Readonly<Record<string, string>> = {
  python:
    'import os\n\n\nclass A(B):\n    """Three\n\n    lines."""\n\n    def f(self, x: int = 1) -> str:  # 주석\n        return f"{x!r} and " + \'y\'\n',
  typescript:
    'import { a } from "b";\n\n/* several\n\nlines */\nexport const f = async (x: number): Promise<void> => {\n  await g(`a ${x}\n\nb`);\n};\n\nclass C<T> extends D {\n  #x = /re[/]x/g;\n}\n',
  bash: "for x in *.txt; do\n  echo \"$x\" 'y' # z\n\ndone\n\ncat <<EOF\na $b\n\nEOF\nls -la\n",
  cpp: "#include <vector>\n\n/* a\n\n b */\ntemplate <typename T>\nint f(const T& x) {\n  return x.size() > 3 ? 'a' : 0x1f;\n}\n",
  css: "/* a\n\nb */\na:hover,\n.b > #c {\n  color: #fff;\n\n  margin: 0 1px;\n}\n\n@media (min-width: 3px) {\n  p { top: 0 }\n}\n",
  go: 'package main\n\nimport "fmt"\n\nfunc main() {\n\tfmt.Println(`a\n\nb`, 1)\n\n}\n',
  json: '{\n  "a": [1, true, null],\n\n  "b": {"c": "d"}\n}\n',
  rust: 'fn main() {\n    let x: &\'static str = "a\n\nb";\n\n    println!("{}", x); // c\n}\n',
  sql: "SELECT a, count(*) FROM t\nWHERE b = 'c\n\nd' -- e\nGROUP BY a;\n\nDROP TABLE x;\n",
  xml: '<html>\n<!-- a\n\nb -->\n<script>\nconst x = 1;\n\nf(x);\n</script>\n\n<p class="c">text</p>\n</html>\n',
  yaml: 'a:\n  - b: 1\n\n  - "c"\nd: |\n  text\n\n  more\n',
};

describe.each(Object.keys(SAMPLES))("%s", (language) => {
  const sample = SAMPLES[language]!;
  // Long enough for several slices, and long blocks without an empty line.
  const long =
    sample.repeat(Math.ceil((1.5 * SLICE_CHARACTERS) / sample.length)) + sample.replaceAll("\n\n", "\n").repeat(25);

  test.each([37, 100_000])("pieces of %i characters have the colours of the whole", (size) => {
    expect(grown(language, long, size)).toEqual(whole(language, long));
  });
});

describe("the work", () => {
  const line = "def function(value):  # a comment\n    return [value, 'text', 1]\n\n";

  test("is in proportion to what comes, and never much at a time", () => {
    const characters: number[] = [];
    const colours = new Colours((part) => {
      characters.push(part.length);
      return highlight("python", part);
    });
    const text = line.repeat(800);
    for (let end = 500; end < text.length; end += 500)
      colours.step(text.slice(0, end), text.lastIndexOf("\n", end - 1) + 1);
    expect(characters.reduce((sum, each) => sum + each)).toBeLessThan(3 * text.length);
    expect(Math.max(...characters)).toBeLessThan(SLICE_CHARACTERS);
  });

  test("what is settled is the same object ever after", () => {
    const colours = new Colours((part) => highlight("python", part));
    const text = line.repeat(200);
    colours.step(text, 3 * line.length);
    const [first] = colours.lines;
    while (colours.end < text.length) colours.step(text, text.length);
    expect(colours.lines[0]).toBe(first);
    expect(colours.lines).toHaveLength(600);
  });

  test("what stays open is not coloured anew for ever", () => {
    const characters: number[] = [];
    const colours = new Colours((part) => {
      characters.push(part.length);
      return highlight("python", part);
    });
    const text = `x = """\n${"words of a text that does not end\n\n".repeat(1_000)}`;
    for (let end = 100; end < text.length; end += 100)
      colours.step(text.slice(0, end), text.lastIndexOf("\n", end - 1) + 1);
    expect(Math.max(...characters)).toBeLessThan(4 * SLICE_CHARACTERS);
  });

  test("a line of many kilobytes stays plain, and what follows does not", () => {
    const text = `x = "${"a".repeat(20_000)}"\nimport os\n`;
    const lines = grown("python", text, 1_000);
    expect(lines).toHaveLength(2);
    expect(lines[0]).toEqual([{ name: "", text: text.slice(0, text.indexOf("\n")) }]);
    expect(lines[1]![0]).toEqual({ name: "hljs-keyword", text: "import" });
  });
});

test("names of languages, and other names of theirs", () => {
  for (const name of ["python", "py", "ts", "shell", "jsonc", "vue", "html"]) expect(isKnown(name)).toBe(true);
  for (const name of ["", "klingon", "toString"]) expect(isKnown(name)).toBe(false);
});

test("a script in a page has its own colours, and scopes have the names of the style sheet", () => {
  const [line] = highlight("xml", "<script>function f() {}</script>").lines;
  expect(line).toContainEqual({ name: "hljs-title function_", text: "f" });
});
