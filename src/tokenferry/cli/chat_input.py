"""What is typed at the terminal chat: lines with history, completion, and whole pastes.

Source: GNU Readline, "Bracketed paste": what a terminal marks as pasted comes as one line, its
line ends within. Weakness: without GNU Readline (some builds of Python have libedit or nothing)
there is neither, and a pasted text comes line by line.
"""

import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Final

PROMPT: Final = "> "
GOES_ON: Final = "… "
ENTRIES_MAX: Final = 1000
# A file of that many long questions; more of it is not read.
HISTORY_BYTES_MAX: Final = 4 * 2**20


def state_directory(environment: dict[str, str]) -> Path:
    """Return where the history is kept, by the XDG specification."""
    root = environment.get("XDG_STATE_HOME", "")
    # "If it is not absolute, it must be ignored."
    base = Path(root) if root.startswith("/") else Path.home() / ".local" / "state"
    return base / "tokenferry"


class History:
    """What was typed before, in a file that only its owner can read.

    One JSON string a line, so that entries of several lines stay whole.
    """

    def __init__(self, directory: Path) -> None:
        self.path = directory / "chat-history"

    def read(self) -> list[str]:
        """Return the entries, oldest first; of a file that cannot be read, none."""
        try:
            with self.path.open("rb") as file:
                lines = file.read(HISTORY_BYTES_MAX).decode("utf-8", "replace").splitlines()
        except OSError:
            return []
        return [entry for line in lines[-ENTRIES_MAX:] if (entry := _entry(line)) is not None]

    def add(self, entry: str) -> None:
        """Append an entry; a history that cannot be written is no reason to stop.

        When the file has grown to twice its size it is cut.
        """
        line = json.dumps(entry) + "\n"
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
            with os.fdopen(os.open(self.path, flags, 0o600), "w", encoding="utf-8") as file:
                os.fchmod(file.fileno(), 0o600)
                file.write(line)
        except OSError:
            return

    def trim(self) -> None:
        """Keep the last entries alone; the file is replaced as a whole."""
        entries = self.read()
        try:
            if self.path.stat().st_size <= HISTORY_BYTES_MAX // 2 and len(entries) < ENTRIES_MAX:
                return
            beside = self.path.with_suffix(f".{os.getpid()}")
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
            with os.fdopen(os.open(beside, flags, 0o600), "w", encoding="utf-8") as file:
                file.writelines(json.dumps(entry) + "\n" for entry in entries[-ENTRIES_MAX // 2 :])
            beside.replace(self.path)
        except OSError:
            return


def _entry(line: str) -> str | None:
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, str) and entry else None


class LineInput:
    """The prompt.

    Args:
        history: Where entries are kept.
        complete: Gives what a line may become; called with the line so far.
    """

    def __init__(self, history: History, complete: Callable[[str], Sequence[str]]) -> None:
        self._history = history
        self._complete = complete
        self._found: Sequence[str] = ()
        self._readline = _readline()
        history.trim()
        if self._readline is not None:
            self._set_up(self._readline)

    def read(self) -> str:
        r"""Return what was typed; a line that ends with a backslash goes on in the next one.

        Raises:
            EOFError: If the user left (Ctrl-D).
            KeyboardInterrupt: If the user interrupted.
        """
        line = input(PROMPT)
        while line.endswith("\\"):
            line = line[:-1] + "\n" + input(GOES_ON)
        entry = line.strip()
        if entry:
            self._history.add(entry)
            if self._readline is not None:
                self._readline.add_history(entry)
        return entry

    def _set_up(self, readline: ModuleType) -> None:
        readline.set_auto_history(False)
        readline.parse_and_bind("set enable-bracketed-paste on")
        readline.parse_and_bind("tab: complete")
        # A command and its argument are one word: model names have slashes and colons.
        readline.set_completer_delims("\n")
        readline.set_completer(self._next_match)
        for entry in self._history.read():
            readline.add_history(entry)

    def _next_match(self, text: str, state: int) -> str | None:
        if state == 0:
            self._found = self._complete(text)
        return self._found[state] if state < len(self._found) else None


def _readline() -> ModuleType | None:
    try:
        import readline  # noqa: PLC0415 -- some builds of Python have none
    except ImportError:
        return None
    return readline
