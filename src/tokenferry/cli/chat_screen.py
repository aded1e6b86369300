"""Shows an answer while it comes: finished blocks for good, the rest in a part that is redrawn.

What is finished goes into the terminal's own history once and is never touched again. Only the tail
below it is drawn anew, a few times a second whatever the pace of the tokens, and never more of it
than fits: so nothing flickers and nothing that scrolled by is drawn twice.

Source: rich's documentation, "Live Display" and "Markdown". Weakness: of a code block that is
longer than the screen only the end is seen until it is closed.
"""

import os
import sys
import termios
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from rich.console import Console, ConsoleOptions, Group, RenderResult
from rich.live import Live
from rich.segment import Segment
from rich.text import Text

from tokenferry.cli.chat_blocks import Blocks
from tokenferry.cli.chat_markdown import whole_markdown
from tokenferry.cli.chat_text import harmless

FRAMES_PER_SECOND: Final = 12
# Below the tail: the line that says what is going on, and the cursor's.
_OTHER_LINES: Final = 3
# Of what `tcgetattr` gives, POSIX's c_lflag.
_LOCAL_MODES: Final = 3


class AnswerView:
    """One answer on the screen.

    Args:
        console: The terminal.
        taken_back: What to say where the answer is taken back.
    """

    def __init__(self, console: Console, taken_back: str) -> None:
        self._console = console
        self._taken_back = taken_back
        self._blocks = Blocks()
        self._shown = ""
        self._printed = False
        self.status = ""
        self._live = Live(
            console=console,
            get_renderable=self._moving,
            auto_refresh=False,
            transient=True,
        )
        # What is drawn depends on what was drawn before: one writer at a time, to the end.
        self._drawing = threading.Lock()
        self._over = threading.Event()

    @contextmanager
    def live(self) -> Iterator[None]:
        """Draw what comes; at the end, and after an interrupt too, everything stands for good."""
        artist = threading.Thread(target=self._redraw, name="chat-screen", daemon=True)
        self._live.start()
        artist.start()
        try:
            with _no_echo():
                yield
        finally:
            self._over.set()
            try:
                artist.join()
            finally:  # one interrupt more must not leave the terminal without its cursor
                tail, self._blocks = self._blocks.tail, Blocks()
                with self._drawing, self._console:
                    self._live.stop()
                    self._print(tail)

    def feed(self, text: str) -> None:
        """Take the next piece."""
        self.status = ""
        self._shown += text
        with self._drawing:
            done = self._blocks.feed(harmless(text))
            if not done:
                return
            # In one write: the moving part shrinks to what is left, and what is done goes above it.
            # The other way round it would be seen twice, and could scroll away so.
            with self._console:
                self._live.refresh()
                for block in done:
                    self._print(block)

    def replace(self, text: str) -> None:
        """Take a text in place of everything so far; what stands already is not shown again."""
        if text.startswith(self._shown):
            self.feed(text[len(self._shown) :])
            return
        with self._drawing, self._console:
            tail, self._blocks = self._blocks.tail, Blocks()
            self._live.refresh()
            self._print(tail)
            self._console.print(Text(self._taken_back, "yellow"))
        self._shown = ""
        self.feed(text)

    def _print(self, block: str) -> None:
        if not block.strip():
            return
        if self._printed:
            self._console.print()
        self._printed = True
        self._console.print(_Rendered(block))

    def _redraw(self) -> None:
        """Draw the moving part, a few times a second."""
        while not self._over.wait(1 / FRAMES_PER_SECOND):
            with self._drawing:
                self._live.refresh()

    def _moving(self) -> Group:
        """Return what is drawn anew."""
        tail, status = self._blocks.tail, self.status
        parts: list[_Rendered | Text] = []
        if tail.strip():
            parts += [*([Text()] if self._printed else []), _Rendered(tail, moves=True)]
        if status:
            parts.append(Text(status, "dim", overflow="ellipsis", no_wrap=True))
        return Group(*parts)


class _Rendered:
    """Markdown without blanks at the ends of lines, nor empty lines at its own ends.

    Args:
        text: What it says; harmless.
        moves: Whether it is only the last lines that are wanted, as many as fit on the screen.
    """

    def __init__(self, text: str, *, moves: bool = False) -> None:
        self._text = text
        self._moves = moves

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Give the lines."""
        markdown = whole_markdown(self._text, options.max_width)
        rendered = console.render_lines(markdown, options.update(height=None), pad=False)
        lines = [_unpadded(line) for line in rendered]
        while lines and not lines[-1]:
            lines.pop()
        while lines and not lines[0]:
            lines.pop(0)
        if self._moves:
            lines = lines[-max(1, console.size.height - _OTHER_LINES) :]
        for line in lines:
            yield from line
            yield Segment.line()


def _unpadded(line: list[Segment]) -> list[Segment]:
    """Return a line without the blanks at its end, unless they have a background."""
    while line and not (line[-1].style and line[-1].style.bgcolor):
        text = line[-1].text.rstrip()
        if text:
            return [*line[:-1], Segment(text, line[-1].style)]
        line = line[:-1]
    return line


@contextmanager
def _no_echo() -> Iterator[None]:
    """Keep what is typed meanwhile off the screen; it waits for the next prompt."""
    descriptor = sys.stdin.fileno()
    if not os.isatty(descriptor):
        yield
        return
    before = termios.tcgetattr(descriptor)
    silent = [*before]
    silent[_LOCAL_MODES] = before[_LOCAL_MODES] & ~termios.ECHO
    termios.tcsetattr(descriptor, termios.TCSADRAIN, silent)
    try:
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
