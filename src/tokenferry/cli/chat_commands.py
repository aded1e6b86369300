"""What begins with a slash at the terminal chat."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tokenferry.cli.chat_conversation import Conversation
from tokenferry.cli.chat_text import harmless
from tokenferry.cli.chat_words import Words

NAMES: Final = ("/cost", "/help", "/model", "/models", "/new", "/quit", "/save", "/system")
_REMOVE: Final = "-"


@dataclass(frozen=True, slots=True)
class Reply:
    """What a command has to say.

    Attributes:
        leave: Whether the chat is to end.
    """

    text: str = ""
    leave: bool = False


class Commands:
    """The commands on one conversation.

    Args:
        conversation: What they work on.
        words: The language.
        models: Gives the names of all models; may ask the gateway.
    """

    def __init__(
        self, conversation: Conversation, words: Words, models: Callable[[], Sequence[str]]
    ) -> None:
        self._conversation = conversation
        self._words = words
        self._models = models
        self._known: Sequence[str] | None = None
        self._table: dict[str, Callable[[str], Reply]] = {
            "/cost": self._cost,
            "/help": lambda _: Reply(words.help),
            "/model": self._model,
            "/models": lambda _: Reply("\n".join(map(harmless, self._list()))),
            "/new": self._new,
            "/quit": lambda _: Reply(leave=True),
            "/save": self._save,
            "/system": self._system,
        }

    def run(self, line: str) -> Reply:
        """Carry a command out."""
        name, _, argument = line.partition(" ")
        act = self._table.get(name.strip())
        if act is None:
            return Reply(self._words.unknown.format(command=harmless(name.strip())))
        return act(argument.strip())

    def complete(self, line: str) -> Sequence[str]:
        """Return what a line may become."""
        if line.startswith("/model "):
            known = self._list() if self._known is None else self._known
            return [f"/model {name}" for name in known if f"/model {name}".startswith(line)]
        return [name for name in NAMES if name.startswith(line)] if line.startswith("/") else []

    def _list(self) -> Sequence[str]:
        self._known = self._models()
        return self._known

    def _model(self, name: str) -> Reply:
        if name:
            self._conversation.model = name
        return Reply(self._words.model_is.format(model=harmless(self._conversation.model)))

    def _new(self, _: str) -> Reply:
        self._conversation.restart()
        return Reply(self._words.new)

    def _system(self, text: str) -> Reply:
        if text:
            self._conversation.system = "" if text == _REMOVE else text
        system = self._conversation.system
        if not system:
            return Reply(self._words.no_system)
        return Reply(self._words.system_is.format(system=harmless(system)))

    def _cost(self, _: str) -> Reply:
        conversation, words = self._conversation, self._words
        said = words.cost.format(
            answers=conversation.answers,
            prompt=conversation.prompt_tokens,
            completion=conversation.completion_tokens,
            cost=conversation.cost,
        )
        if conversation.unpriced:
            said += words.cost_unpriced.format(unpriced=conversation.unpriced)
        return Reply(said)

    def _save(self, name: str) -> Reply:
        if not name:
            return Reply(self._words.save_what)
        path = Path(name).expanduser()
        try:
            path.write_text(harmless(self._conversation.as_markdown()), encoding="utf-8")
        except OSError as exc:
            reason = exc.strerror or exc
            return Reply(self._words.not_saved.format(path=harmless(name), reason=reason))
        return Reply(self._words.saved.format(path=harmless(name)))
