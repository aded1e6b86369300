"""Markdown of which all text is seen, however deep it lies and however narrow the terminal is.

The parser drops what is in twenty blocks or more, and what is drawn in less than a column is not
seen. What lies deeper than there is room for is a paragraph here, with the marks that it was
written with. Of HTML nothing would be drawn: here it is text.

Source: markdown-it-py's "Design principles" (rules of blocks, `maxNesting`); how wide rich draws
its marks, from its `markdown.py`.
"""

from typing import Final

from markdown_it import MarkdownIt
from markdown_it.rules_block import StateBlock
from markdown_it.token import Token
from rich.markdown import Markdown

# The parser's own limit is 20, and a list is two levels of one.
_LEVELS_MAX: Final = 17
# What is left of a line beside the marks.
_COLUMNS_MIN: Final = 16
_COLUMNS: Final = {"blockquote": 4, "bullet_list": 3, "ordered_list": 5}


def whole_markdown(text: str, columns: int) -> Markdown:
    """Return Markdown that shows all of a text on a terminal that is so wide."""
    # Where a link leads is always seen: a terminal would hide it behind the text.
    markdown = Markdown("", hyperlinks=False)
    markdown.markup = text
    markdown.parsed = _parser(columns).parse(text)
    return markdown


def _parser(columns: int) -> MarkdownIt:
    parser = MarkdownIt(options_update={"html": False}).enable(["strikethrough", "table"])
    parser.block.ruler.before("table", "deep", _Deep(columns))
    return parser


class _Deep:
    """The rule for what has no room as the block that it would be.

    Args:
        columns: How wide the terminal is.
    """

    def __init__(self, columns: int) -> None:
        self._room = columns - _COLUMNS_MIN
        self._used = 0
        self._seen = 0

    def __call__(self, state: StateBlock, begin: int, end: int, _silent: object) -> bool:
        """Take all lines of the block that this is in as one paragraph.

        It is never asked whether it would end another block, which is what `_silent` is for.
        """
        self._measure(state.tokens)
        if self._used == 0:
            return False
        if state.level < _LEVELS_MAX and self._used <= self._room:
            return False
        state.line = begin
        while state.line < end and _belongs(state, state.line):
            state.line += 1
        written = state.getLines(begin, state.line, state.blkIndent, keepLastLF=False)
        state.push("paragraph_open", "p", 1)
        state.push("inline", "", 0).children = _as_written(written)
        state.push("paragraph_close", "p", -1)
        return True

    def _measure(self, tokens: list[Token]) -> None:
        """Count the columns of the marks that are open; of each block, once."""
        for token in tokens[self._seen :]:
            kind = token.type.removesuffix("_open").removesuffix("_close")
            self._used += token.nesting * _COLUMNS.get(kind, 0)
        self._seen = len(tokens)


def _belongs(state: StateBlock, line: int) -> bool:
    return state.isEmpty(line) or state.sCount[line] >= state.blkIndent


def _as_written(text: str) -> list[Token]:
    tokens: list[Token] = []
    for line in text.strip().split("\n"):
        tokens += [Token("text", "", 0, content=line), Token("hardbreak", "br", 0)]
    return tokens[:-1]
