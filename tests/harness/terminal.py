"""A program on a real pseudo-terminal, and what its screen then shows.

Source: ECMA-48 for the sequences; the few that readline and rich use. Weakness: colours are read
over, and a wide character takes two columns by its East Asian width alone.
"""

import asyncio
import fcntl
import os
import pty
import re
import struct
import sys
import termios
import unicodedata
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

WAIT_S = 30
PATIENCE_S = 2
READ_BYTES_MAX = 65_536
CTRL_C, CTRL_D, TAB, ENTER = "\x03", "\x04", "\t", "\r"
# Makes the terminal the controlling one, so that Ctrl-C is a signal; then becomes the program.
_BECOME = (
    "import fcntl, os, sys, termios; os.setsid(); fcntl.ioctl(0, termios.TIOCSCTTY, 0);"
    "os.execv(sys.argv[1], sys.argv[1:])"
)
_SEQUENCE = re.compile(
    r"\x1b\[([?<>=]?[0-9;]*)([@-~])|\x1b([@-Z\\-_=>])|([\x00-\x1f\x7f])|(.)", re.DOTALL
)
_WIDE = frozenset("WF")


class Screen:
    """What a terminal of some size shows, and what has scrolled out at its top.

    Attributes:
        scrolled: The lines that are history: nobody can change them any more.
        lines: Those on the screen.
    """

    def __init__(self, rows: int, columns: int) -> None:
        self._rows, self._columns = rows, columns
        self.scrolled: list[str] = []
        self._cells: list[list[str]] = [[]]
        self._row = self._column = 0

    @property
    def lines(self) -> list[str]:
        return ["".join(cells).rstrip() for cells in self._cells]

    @property
    def everything(self) -> str:
        return "\n".join([*self.scrolled, *self.lines])

    def write(self, text: str) -> None:
        for match in _SEQUENCE.finditer(text):
            numbers, order, _, control, character = match.groups()
            if order is not None:
                self._obey(order, numbers)
            elif control is not None:
                self._control(control)
            elif character is not None:
                self._put(character)

    def _obey(self, order: str, numbers: str) -> None:
        count = int(numbers) if numbers.isdigit() else 0
        if order == "A":
            self._row = max(0, self._row - max(1, count))
        elif order == "B":
            self._down(max(1, count))
        elif order == "C":
            self._column += max(1, count)
        elif order == "D":
            self._column = max(0, self._column - max(1, count))
        elif order == "G":
            self._column = max(0, count - 1)
        elif order == "K":
            cells = self._cells[self._row]
            del cells[0 if count == 2 else self._column :]
        elif order == "J":
            del self._cells[self._row][self._column :]
            del self._cells[self._row + 1 :]
        elif order not in "mhlnqtu":
            raise AssertionError(f"the terminal was told {numbers!r}{order}")

    def _control(self, control: str) -> None:
        if control == "\r":
            self._column = 0
        elif control == "\n":
            self._down(1)
        elif control == "\b":
            self._column = max(0, self._column - 1)

    def _down(self, count: int) -> None:
        self._row += count
        while len(self._cells) <= self._row:
            self._cells.append([])
        while len(self._cells) > self._rows:
            self.scrolled.append("".join(self._cells.pop(0)).rstrip())
            self._row -= 1

    def _put(self, character: str) -> None:
        width = 1 + (unicodedata.east_asian_width(character) in _WIDE)
        if self._column + width > self._columns:
            self._column = 0
            self._down(1)
        cells = self._cells[self._row]
        cells += " " * (self._column + width - len(cells))
        # The second column of a wide character holds nothing of its own.
        cells[self._column : self._column + width] = [character, *[""] * (width - 1)]
        self._column += width


class Terminal:
    """A program and its terminal.

    Attributes:
        raw: Everything that it wrote.
        screen: What that shows.
    """

    def __init__(self, master: int, process: asyncio.subprocess.Process, screen: Screen) -> None:
        self.raw = ""
        self.screen = screen
        self.process = process
        self._master = master
        self._bytes = b""
        self._more = asyncio.Event()
        asyncio.get_running_loop().add_reader(master, self._read)

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def paste(self, text: str) -> None:
        """Paste, as terminals do where the program has asked for it."""
        assert "\x1b[?2004h" in self.raw
        self.type(f"\x1b[200~{text}\x1b[201~")

    async def until(self, pattern: str, count: int = 1) -> None:
        """Wait until the program has written this so many times; on the screen or in passing."""
        async with asyncio.timeout(WAIT_S):
            while len(re.findall(pattern, self.raw)) < count:
                self._more.clear()
                await self._more.wait()

    async def interrupt(self, until: Callable[[], Awaitable[object]]) -> None:
        """Press Ctrl-C until something has happened.

        More than once, for Python's readline misses a signal that comes just before it waits.
        """
        done = asyncio.ensure_future(until())
        while not done.done():
            self.type(CTRL_C)
            await asyncio.wait({done}, timeout=PATIENCE_S)
        await done

    async def prompted(self, count: int) -> None:
        """Wait until readline has asked so many times."""
        await self.until(r"\x1b\[\?2004h", count)

    async def ended(self) -> int:
        """Wait for the end, and return the exit status."""
        async with asyncio.timeout(WAIT_S):
            return await self.process.wait()

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._master)
        os.close(self._master)

    def _read(self) -> None:
        try:
            data = os.read(self._master, READ_BYTES_MAX)
        except OSError:  # EIO: the other side is gone
            data = b""
        if not data:
            asyncio.get_running_loop().remove_reader(self._master)
        self._bytes += data
        text = self._bytes.decode("utf-8", "ignore")
        whole = len(text.encode())
        self._bytes = self._bytes[whole:] if len(self._bytes) - whole < 4 else b""
        self.raw += text
        self.screen.write(text)
        self._more.set()


@asynccontextmanager
async def on_terminal(
    arguments: Sequence[str],
    environment: Mapping[str, str],
    directory: Path,
    *,
    rows: int = 24,
    columns: int = 80,
) -> AsyncIterator[Terminal]:
    """Run a Python module's command on a terminal; at the end it is killed if it still runs."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        _BECOME,
        sys.executable,
        *arguments,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        # The terminal's size, and not what a parent has found of its own.
        env={
            **{
                name: text for name, text in environment.items() if name not in ("COLUMNS", "LINES")
            },
            "TERM": "xterm-256color",
        },
        cwd=directory,
    )
    os.close(slave)
    terminal = Terminal(master, process, Screen(rows, columns))
    try:
        yield terminal
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        terminal.close()
