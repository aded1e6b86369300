"""Which providers can serve a model name: the catalog of models and aliases.

Accepted names are an alias, `provider/model`, and the provider's own name for the model, looked
up in this order. A bare name that several providers serve has them all as candidates, in the
order of the configuration.

Weakness: where one provider's own name reads like another's `provider/model` (an aggregator's
`openai/gpt-4.1` beside a provider called openai), the latter wins; the aggregator's is then
reached as `aggregator/openai/gpt-4.1` only.
"""

import difflib
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from tokenferry.errors import ModelNotFound

NEAR_NAMES_MAX = 5
# Comparing takes about 20 µs a name, in the event loop.
_SEARCHED_NAMES_MAX = 500
# Longer names are cut in messages: they come from the client.
_SHOWN_CHARACTERS_MAX = 100
# What difflib calls similar; its own default hides `gpt4` from `gpt-4.1-mini`.
_SIMILARITY_MIN = 0.5
# The owner that GET /v1/models shows for an alias.
ALIAS_OWNER = "tokenferry"


class Candidate(NamedTuple):
    """One way to serve a request.

    Attributes:
        provider: The provider's configured name.
        model: The provider's own name for the model.
    """

    provider: str
    model: str


class Try(NamedTuple):
    """One call of a candidate, as it is recorded.

    Attributes:
        provider: The provider's configured name.
        model: The provider's own name for the model.
        outcome: `ok`, `cancelled`, `slower` (another one was first), or an error's kind.
        duration_ms: From the call to its end.
    """

    provider: str
    model: str
    outcome: str
    duration_ms: int


class ModelEntry(NamedTuple):
    """A model as it is listed to clients.

    Attributes:
        id: The name that clients ask for.
        provider: The first provider that serves it; `tokenferry` for an alias.
    """

    id: str
    provider: str


class Catalog:
    """Everything that clients can ask for.

    Args:
        models: (provider, model) pairs in the order of the configuration.
        aliases: (name, candidates) pairs; each candidate is one of `models`.

    Raises:
        ValueError: If an alias has no candidate, or names a model that is not there.
    """

    def __init__(
        self,
        models: Iterable[tuple[str, str]],
        aliases: Iterable[tuple[str, Sequence[tuple[str, str]]]] = (),
    ) -> None:
        bare: dict[str, list[Candidate]] = {}
        qualified: dict[str, tuple[Candidate, ...]] = {}
        for pair in models:
            candidate = Candidate(*pair)
            bare.setdefault(candidate.model, []).append(candidate)
            qualified[f"{candidate.provider}/{candidate.model}"] = (candidate,)
        named: dict[str, tuple[Candidate, ...]] = {}
        for name, pairs in aliases:
            named[name] = tuple(Candidate(*pair) for pair in pairs)
            if not named[name]:
                raise ValueError(f"alias {name!r} has no candidates")
            for candidate in named[name]:
                if f"{candidate.provider}/{candidate.model}" not in qualified:
                    raise ValueError(f"alias {name!r} names {candidate}, which is not there")
        own = {model: tuple(candidates) for model, candidates in bare.items()}
        self._candidates = own | qualified | named
        self._entries = {
            name: ModelEntry(name, candidates[0].provider)
            for name, candidates in self._candidates.items()
        } | {name: ModelEntry(name, ALIAS_OWNER) for name in named}
        self._listed = [*named, *(name for name in own if name not in named)]

    def resolve(self, model: str) -> tuple[Candidate, ...]:
        """Return the ways to serve `model`, best first; at least one.

        Raises:
            ModelNotFound: If nothing by that name is configured; the message has near names.
        """
        try:
            return self._candidates[model]
        except KeyError:
            raise self._not_found(model) from None

    def entry(self, model: str) -> ModelEntry:
        """Return the listing of one model, by any name that `resolve` accepts.

        Raises:
            ModelNotFound: As `resolve` does.
        """
        try:
            return self._entries[model]
        except KeyError:
            raise self._not_found(model) from None

    def names_of(self, model: str) -> tuple[str, ...]:
        """Return a name and those of the model that it stands for first; none if unknown."""
        candidates = self._candidates.get(model)
        if candidates is None:
            return ()
        provider, own = candidates[0]
        return tuple(dict.fromkeys((model, own, f"{provider}/{own}")))

    def listing(self) -> list[ModelEntry]:
        """Return all aliases and models, each name once, in the order of the configuration."""
        return [self._entries[name] for name in self._listed]

    def _not_found(self, model: str) -> ModelNotFound:
        shown = model[:_SHOWN_CHARACTERS_MAX]
        searched = self._listed[:_SEARCHED_NAMES_MAX]
        near = difflib.get_close_matches(shown, searched, NEAR_NAMES_MAX, _SIMILARITY_MIN)
        hint = f" Near names: {', '.join(near)}." if near else ""
        return ModelNotFound(
            f"The model {shown!r} is not served here.{hint} GET /v1/models lists all.",
            param="model",
        )
