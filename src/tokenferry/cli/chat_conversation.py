"""A conversation in the terminal: what has been said, with which model, and what it cost."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tokenferry.domain.money import format_dollars, parse_dollars


@dataclass(slots=True)
class Conversation:
    """What has been said so far.

    Attributes:
        model: Who is asked next.
        system: What the model is told before everything else; empty for nothing.
        turns: What was said, in OpenAI's form, without `system`.
        answers: How many answers there were, in this conversation and those before.
        unpriced: How many of them have no known cost.
    """

    model: str
    system: str = ""
    turns: list[dict[str, str]] = field(default_factory=list)
    answers: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_nanos: int = 0
    unpriced: int = 0

    def asking(self, prompt: str) -> list[dict[str, str]]:
        """Return the messages of a request with a new question at the end."""
        before = [{"role": "system", "content": self.system}] if self.system else []
        return [*before, *self.turns, {"role": "user", "content": prompt}]

    def take(self, prompt: str, answer: str) -> None:
        """Keep a question and as much of its answer as came."""
        self.turns += [
            {"role": "user", "content": prompt},
            {"role": "assistant", "content": answer},
        ]

    def count(self, usage: Mapping[str, Any] | None, cost: str | None) -> None:
        """Add what an answer used and costs."""
        self.answers += 1
        self.prompt_tokens += _tokens(usage, "prompt_tokens")
        self.completion_tokens += _tokens(usage, "completion_tokens")
        nanos = None if cost is None else parse_dollars(cost)
        if nanos is None:
            self.unpriced += 1
        else:
            self.cost_nanos += nanos

    @property
    def cost(self) -> str:
        """What all answers cost, in decimal USD."""
        return format_dollars(self.cost_nanos)

    def restart(self) -> None:
        """Forget what was said; model, system message and sums stay."""
        self.turns = []

    def as_markdown(self) -> str:
        """Return the conversation as a document."""
        parts = [f"# {self.model}"]
        if self.system:
            parts.append(f"## system\n\n{self.system}")
        parts += [f"## {turn['role']}\n\n{turn['content'].strip()}" for turn in self.turns]
        return "\n\n".join(parts) + "\n"


def _tokens(usage: Mapping[str, Any] | None, name: str) -> int:
    value = None if usage is None else usage.get(name)
    return value if isinstance(value, int) else 0
