"""The settings of rate limits: what keys, accounts and models may have."""

from dataclasses import dataclass, field

from tokenferry.config.report import did_you_mean
from tokenferry.config.rules import Integer, PlainRule, Refused, refuse_all, type_of
from tokenferry.config.spec import spec
from tokenferry.domain.allowance import (
    REQUESTS_PER_MINUTE_MAX,
    STREAMS_MAX,
    TOKENS_PER_MINUTE_MAX,
    Allowance,
)

_RULES = {
    "requests_per_minute": Integer(0, REQUESTS_PER_MINUTE_MAX),
    "tokens_per_minute": Integer(0, TOKENS_PER_MINUTE_MAX),
    "streams_max": Integer(0, STREAMS_MAX),
}


@dataclass(frozen=True)
class ModelLimits(PlainRule):
    """Tables of limits by the names of models."""

    high: int
    kind = "tables"

    def accept(self, value: object) -> tuple[tuple[str, Allowance], ...]:
        """Accept a table of tables."""
        if not isinstance(value, dict):
            raise Refused(f"is {type_of(value)}, not a table", 'write [limits.models."NAME"]')
        if len(value) > self.high:
            raise Refused(f"has {len(value)} models", f"write at most {self.high}")
        found: list[tuple[str, Allowance]] = []
        refusals: list[Refused] = []
        for name, table in value.items():
            try:
                found.append((name, _allowance(table)))
            except Refused as exc:
                exc.inside = (name, *exc.inside)
                refusals.append(exc)
        refuse_all(refusals)
        return tuple(found)

    def range(self) -> str:
        """Return what a table may have."""
        return f'`[limits.models."NAME"]` with {", ".join(f"`{name}`" for name in _RULES)}'


def _allowance(table: object) -> Allowance:
    if not isinstance(table, dict):
        raise Refused(
            f"has a model with {type_of(table)}, not a table", 'write [limits.models."NAME"]'
        )
    for key, value in table.items():
        if key not in _RULES:
            remedy = did_you_mean(key, _RULES, f"a model has {', '.join(_RULES)}")
            raise Refused(f"has `{key}`, which is no limit of a model", remedy, (key,))
        try:
            _RULES[key].accept(value)
        except Refused as exc:
            exc.problem = f"has `{key}` that {exc.problem}"
            exc.inside = (key,)
            raise
    return Allowance(**table)


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitSettings:
    """The table `[limits]`."""

    requests_per_minute: int = field(
        default=60,
        metadata=spec(
            _RULES["requests_per_minute"],
            "Requests for an answer a minute and key, all of them at once if need be; 0 is no "
            "limit. `tokenferry keys create --rpm` gives a key a number of its own.",
        ),
    )
    tokens_per_minute: int = field(
        default=0,
        metadata=spec(
            _RULES["tokens_per_minute"],
            "Tokens of prompts and answers a minute and key; 0 is no limit. A request takes its "
            "prompt and its `max_tokens` up front, and what it did not use is given back.",
        ),
    )
    streams_max: int = field(
        default=0,
        metadata=spec(
            _RULES["streams_max"],
            "Answers of one key that are generated at the same time; 0 is no limit.",
        ),
    )
    account_requests_per_minute: int = field(
        default=0,
        metadata=spec(
            _RULES["requests_per_minute"],
            "The same of all keys of an account together. The operator's own keys have no limit "
            "together.",
        ),
    )
    account_tokens_per_minute: int = field(
        default=0,
        metadata=spec(_RULES["tokens_per_minute"], "Tokens of all keys of an account together."),
    )
    account_streams_max: int = field(
        default=0,
        metadata=spec(_RULES["streams_max"], "Answers of all keys of an account together."),
    )
    models: tuple[tuple[str, Allowance], ...] = field(
        default=(),
        metadata=spec(
            ModelLimits(1_000),
            "What all keys together may have of a model or alias. A model's limit counts for all "
            "of its names, and for aliases that have it as their first candidate.",
        ),
    )
    reads_per_minute: int = field(
        default=6_000,
        metadata=spec(
            _RULES["requests_per_minute"],
            "Requests over HTTP a minute for what begins no answer: streams, models, estimates. "
            "All keys of an account count together, the operator's own each by itself; 0 is no "
            "limit. A list counts as 10; each 1,000 records that are read of an answer, and each "
            "4 KiB of an estimate's body, count as 1 more.",
        ),
    )
    bad_keys_per_minute: int = field(
        default=60,
        metadata=spec(
            _RULES["requests_per_minute"],
            "Wrong keys a minute and IPv4 address, or /64 network of IPv6, beyond which it is "
            "told to wait; 0 is no limit. Keys that have been good before still are. Behind "
            "proxies, set `trusted_proxies` of `[accounts]`.",
        ),
    )
    guest_connections_per_minute: int = field(
        default=30,
        metadata=spec(
            _RULES["requests_per_minute"],
            "Connections a minute that the chat page may open without a key and without a login, "
            "from one IPv4 address or /64 network of IPv6; 0 is no limit. See `guest_demo` of "
            "`[server]`.",
        ),
    )

    def key_allowance(self) -> Allowance:
        """Return what each key may have as a rule."""
        return Allowance(self.requests_per_minute, self.tokens_per_minute, self.streams_max)

    def account_allowance(self) -> Allowance:
        """Return what the keys of an account may have together."""
        return Allowance(
            self.account_requests_per_minute,
            self.account_tokens_per_minute,
            self.account_streams_max,
        )
