"""One question, and its answer as it comes; Ctrl-C stops it at the gateway."""

import sys
import time
from dataclasses import dataclass
from typing import Any, Protocol

from rich.console import Console
from rich.text import Text

from tokenferry.cli.chat_conversation import Conversation
from tokenferry.cli.chat_screen import AnswerView
from tokenferry.cli.chat_text import harmless
from tokenferry.cli.chat_words import Words
from tokenferry_client import (
    Chunk,
    Event,
    Queued,
    Reconnecting,
    Started,
    Stream,
    Tokenferry,
    TokenferryError,
    Waiting,
)

_MS = 1000


class View(Protocol):
    """Where an answer is shown."""

    status: str

    def feed(self, text: str) -> None:
        """Take the next piece."""

    def replace(self, text: str) -> None:
        """Take a text in place of everything so far."""


@dataclass(slots=True)
class Outcome:
    """How a question ended.

    Attributes:
        error: What went wrong; None if nothing did.
        stopped: Whether the user stopped it.
        confirmed: Whether the gateway has said how it ended.
    """

    text: str
    error: TokenferryError | None
    stopped: bool
    confirmed: bool
    usage: dict[str, Any] | None
    cost: str | None
    finish_reason: str | None
    first_token_s: float | None
    total_s: float


class PlainView:
    """An answer where no person watches: a pipe or a file. The text alone, as it comes."""

    def __init__(self) -> None:
        self.status = ""
        self._shown = ""

    def feed(self, text: str) -> None:
        """Write the next piece."""
        self._shown += text
        sys.stdout.write(harmless(text))
        sys.stdout.flush()

    def replace(self, text: str) -> None:
        """Write what is new of a text; what was written cannot be taken back.

        Where it is another text, that begins on a line of its own, and is whole.
        """
        if text.startswith(self._shown):
            self.feed(text[len(self._shown) :])
            return
        sys.stdout.write("\n")
        self._shown = ""
        self.feed(text)


def ask(
    client: Tokenferry, conversation: Conversation, prompt: str, view: View, words: Words
) -> Outcome:
    """Ask, show what comes, and add it to the conversation."""
    began_s = time.monotonic()
    first_s: float | None = None
    error: TokenferryError | None = None
    stopped = False
    view.status = words.thinking
    stream: Stream | None = None
    try:
        stream = client.stream(model=conversation.model, messages=conversation.asking(prompt))
        for event in stream.events():
            if isinstance(event, Chunk) and first_s is None and event.text:
                first_s = time.monotonic() - began_s
            _show(event, view, words)
    except TokenferryError as exc:
        error = exc
    except KeyboardInterrupt:
        stopped = True
        _stop(stream)
    except BaseException:
        # Nobody reads any more, as behind `head`: nobody is to pay for the rest.
        _stop(stream)
        raise
    text = "" if stream is None else stream.answer.text()
    outcome = Outcome(
        text,
        error,
        stopped,
        stream is not None and stream.ended,
        None if stream is None else stream.usage,
        None if stream is None else stream.cost,
        None if stream is None else stream.finish_reason,
        first_s,
        time.monotonic() - began_s,
    )
    if text:
        conversation.take(prompt, text)
    if outcome.usage is not None:
        conversation.count(outcome.usage, outcome.cost)
    return outcome


def _stop(stream: Stream | None) -> None:
    """Cancel at the gateway, and wait for the bill; another Ctrl-C does not wait."""
    try:
        if stream is not None:
            stream.close()
    except KeyboardInterrupt:
        return


def _show(event: Event, view: View, words: Words) -> None:
    match event:
        case Chunk(text=text, replaces=True, index=0):
            view.replace(text)
        case Chunk(text=text, index=0) if text:
            view.feed(text)
        case Started():
            view.status = words.thinking
        case Queued(position=position, eta_s=None):
            view.status = words.in_line.format(position=position)
        case Queued(position=position, eta_s=eta_s):
            view.status = words.in_line_about.format(position=position, eta_s=eta_s)
        case Waiting(wait_ms=wait_ms):
            view.status = words.held_back.format(wait_s=wait_ms / _MS)
        case Reconnecting(attempt=attempt):
            view.status = words.reconnecting.format(attempt=attempt)


def foot(outcome: Outcome, words: Words) -> str:
    """Return the line below an answer: tokens, cost, first token, total."""
    parts = []
    usage = outcome.usage
    if usage is not None:
        prompt, completion = usage.get("prompt_tokens", 0), usage.get("completion_tokens", 0)
        tokens = words.tokens.format(prompt=prompt, completion=completion)
        parts.append(f"{tokens} ({words.estimated})" if usage.get("estimated") else tokens)
        parts.append(words.no_price if outcome.cost is None else f"${outcome.cost}")
    if outcome.first_token_s is not None:
        parts.append(words.first.format(seconds=outcome.first_token_s))
    parts.append(words.total.format(seconds=outcome.total_s))
    if outcome.stopped:
        parts.append(words.stopped)
    return " · ".join(parts)


def explain(error: TokenferryError, words: Words) -> str:
    """Return what went wrong, and what to do about it."""
    lines = [harmless(error.message)]
    if error.code in words.remedies:
        lines.append(words.remedies[error.code])
    return "\n".join(lines)


def on_screen(
    console: Console, client: Tokenferry, conversation: Conversation, prompt: str, words: Words
) -> Outcome:
    """Ask, and show the answer on a terminal, with its foot and what went wrong."""
    view = AnswerView(console, words.taken_back)
    with view.live():
        outcome = ask(client, conversation, prompt, view, words)
    if outcome.error is not None:
        console.print(Text(explain(outcome.error, words), "red"))
    elif not outcome.text and not outcome.stopped:
        reason = harmless(outcome.finish_reason or "-")
        console.print(Text(words.no_answer.format(reason=reason), "yellow"))
    if outcome.stopped and not outcome.confirmed:
        console.print(Text(words.went_on, "yellow"))
    console.print(Text(foot(outcome, words), "dim"))
    return outcome
