"""The command that talks with a model in the terminal.

It is a client like any other: it needs an address and a key, and no access to the gateway's data.
"""

import argparse
import contextlib
import os
import sys
from collections.abc import Sequence
from typing import Final

from rich.console import Console
from rich.text import Text

from tokenferry.cli import chat_answer
from tokenferry.cli.chat_commands import Commands
from tokenferry.cli.chat_conversation import Conversation
from tokenferry.cli.chat_input import History, LineInput, state_directory
from tokenferry.cli.chat_text import harmless
from tokenferry.cli.chat_words import WORDS, Words, language_of
from tokenferry.cli.main import EXIT_FAULT, EXIT_OK, EXIT_USAGE, print_fault
from tokenferry.cli.terminal import server_url
from tokenferry_client import Tokenferry, TokenferryError

URL_VARIABLE: Final = "TOKENFERRY_BASE_URL"
# A question from a pipe: a long document, and less than the gateway's own limit on a request.
QUESTION_BYTES_MAX: Final = 1024 * 1024
_INTERRUPTED: Final = 130  # 128 + SIGINT, as shells count


def chat(arguments: argparse.Namespace) -> int:
    """Talk, or answer one question, and return the exit code.

    Raises:
        ConfigError: If the address is to be read from a configuration with faults.
    """
    words = WORDS[language_of(os.environ)]
    url = arguments.url or os.environ.get(URL_VARIABLE) or server_url(arguments.config)
    try:
        prompt = _given(arguments.prompt)
        # Who sits at a terminal would rather be told at once than wait for a gateway that is down.
        with Tokenferry(api_key=arguments.key, base_url=url, connect_attempts=1) as client:
            conversation = Conversation(arguments.model or _first_model(client))
            conversation.system = arguments.system or ""
            if prompt is not None:
                return _answer_once(client, conversation, prompt, words)
            return _Chat(client, conversation, words).run()
    except TokenferryError as exc:
        print_fault(*chat_answer.explain(exc, words).split("\n"))
        return EXIT_FAULT
    except _UnusableQuestion as exc:
        print_fault(str(exc))
        return EXIT_USAGE


class _UnusableQuestion(Exception):
    """What came from the pipe is no question."""


def _given(typed: Sequence[str]) -> str | None:
    """Return the question of the command line and of the pipe; None to ask at the terminal."""
    parts = [" ".join(typed)] if typed else []
    if not sys.stdin.isatty():
        data = sys.stdin.buffer.read(QUESTION_BYTES_MAX + 1)
        if len(data) > QUESTION_BYTES_MAX:
            raise _UnusableQuestion(
                f"the question on standard input is longer than {QUESTION_BYTES_MAX} bytes"
            )
        try:
            piped = data.decode("utf-8").strip()
        except UnicodeDecodeError as exc:
            raise _UnusableQuestion("the question on standard input is not UTF-8") from exc
        parts += [piped] if piped else []
        if not parts:
            raise _UnusableQuestion("there is no question, neither typed nor on standard input")
    return "\n\n".join(parts) if parts else None


def _first_model(client: Tokenferry) -> str:
    models = client.models.list()
    if not models:
        raise TokenferryError("The key may not ask for any model.")
    return models[0].id


def _answer_once(client: Tokenferry, conversation: Conversation, prompt: str, words: Words) -> int:
    """Answer one question: with Markdown on a terminal, the plain text elsewhere."""
    if sys.stdout.isatty():
        console = Console(highlight=False)
        outcome = chat_answer.on_screen(console, client, conversation, prompt, words)
    else:
        outcome = chat_answer.ask(client, conversation, prompt, chat_answer.PlainView(), words)
        if outcome.text and not outcome.text.endswith("\n"):
            sys.stdout.write("\n")
        if outcome.error is not None:
            print_fault(*chat_answer.explain(outcome.error, words).split("\n"))
    if outcome.stopped:
        return _INTERRUPTED
    return EXIT_OK if outcome.error is None else EXIT_FAULT


class _Chat:
    """One evening at the terminal."""

    def __init__(self, client: Tokenferry, conversation: Conversation, words: Words) -> None:
        self._client = client
        self._conversation = conversation
        self._words = words
        self._console = Console(highlight=False)
        self._commands = Commands(conversation, words, self._models)
        history = History(state_directory(dict(os.environ)))
        self._input = LineInput(history, self._commands.complete)

    def run(self) -> int:
        """Ask and answer until the user leaves; Ctrl-C at the prompt leaves the second time."""
        model, url = harmless(self._conversation.model), self._client.address.http_url
        self._say(self._words.welcome.format(model=model, url=url))
        interrupted = False
        while True:
            try:
                line = self._input.read()
            except EOFError:
                self._console.print()
                return EXIT_OK
            except KeyboardInterrupt:
                self._console.print()
                if interrupted:
                    return EXIT_OK
                interrupted = True
                self._say(self._words.leave_hint)
                continue
            interrupted = False
            if line.startswith("/") and "\n" not in line:
                if self._command(line):
                    return EXIT_OK
            elif line:
                self._ask(line)

    def _ask(self, question: str) -> None:
        # One Ctrl-C too many, when the answer has been stopped already, is not meant to leave.
        with contextlib.suppress(KeyboardInterrupt):
            chat_answer.on_screen(
                self._console, self._client, self._conversation, question, self._words
            )

    def _command(self, line: str) -> bool:
        """Carry a command out; return whether the chat is to end."""
        try:
            reply = self._commands.run(line)
        except KeyboardInterrupt:
            # Whoever waits for the gateway's models in vain gives up the command, not the chat.
            self._console.print()
            return False
        except TokenferryError as exc:
            self._console.print(Text(chat_answer.explain(exc, self._words), "red"))
            return False
        if reply.text:
            self._say(reply.text)
        return reply.leave

    def _models(self) -> list[str]:
        return [model.id for model in self._client.models.list()]

    def _say(self, text: str) -> None:
        self._console.print(Text(text, "dim"))
