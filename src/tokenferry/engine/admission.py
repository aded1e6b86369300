"""Who may begin a stream now: requests, tokens and streams of keys, accounts and models.

All limits that concern a request are asked before any is changed: one that is refused has cost
nothing. What is admitted holds its streams and tokens until its settlement, which gives back what
was not used, or takes what was used beyond it.

Weakness: the state is in memory. A restart begins with fresh bursts, and of the streams that it
goes on with it counts the streams and not the tokens; each of several servers has its own.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

from tokenferry.domain.allowance import EVERYTHING, NO_OWN_LIMITS, Allowance, KeyLimits
from tokenferry.domain.rate_limit import (
    Refused,
    Standing,
    check,
    per_minute,
    standing,
    whole_ms,
)
from tokenferry.domain.routing import Catalog
from tokenferry.domain.token_rate import TokenRate
from tokenferry.engine.guests import GUESTS_TOGETHER
from tokenferry.engine.keys import Key
from tokenferry.engine.ports import Timers
from tokenferry.engine.read_limit import ReadLimit
from tokenferry.errors import LimitError, RateLimited, TokensOverLimit, TooManyStreams

NS_PER_S = 1_000_000_000
MS_PER_S = 1_000
# Some 500 bytes each; whoever was not seen for longest begins anew.
SUBJECTS_MAX = 100_000
# How many that have streams are passed over when one is to be forgotten.
PASSED_OVER_MAX = 8
# What is taken for an answer without a limit of its own: few of a chat are longer, and what is
# longer is taken at its end.
OUTPUT_TOKENS_USUAL = 1_024
# Nobody knows when a stream ends; SDKs would come back after half a second, and again.
STREAMS_RETRY_MS = 1_000

# A decision asks for the same few again and again.
limit_of = lru_cache(1_024)(per_minute)


@dataclass(frozen=True, slots=True)
class Rates:
    """What the operator allows.

    Attributes:
        key: What each key may have, if it was given nothing else.
        account: What all keys of an account may have together; the operator's own have no limit.
        models: What all keys together may have of a model or alias, by its name.
        reads_per_minute: What whoever asks for no answer may read; 0 is no limit.
    """

    key: Allowance = EVERYTHING
    account: Allowance = EVERYTHING
    models: Mapping[str, Allowance] = field(default_factory=dict)
    reads_per_minute: int = 0


UNLIMITED = Rates()


class Tokens(NamedTuple):
    """What a request may use.

    Attributes:
        prompt: Our estimate of the prompt.
        output: The most that its answers may have; None if it does not say.
    """

    prompt: int
    output: int | None


class Subject:
    """A key, an account or a model, and the state of its limits.

    Attributes:
        arrival_ns: Of its requests, see `rate_limit`.
        tokens: Of its tokens.
        running: How many streams it has.
        limits: Of a key, what it was given when it was seen last; None before that.
        allowance: What that comes to.
    """

    __slots__ = ("allowance", "arrival_ns", "limits", "running", "tokens")

    def __init__(self) -> None:
        self.limits: KeyLimits | None = None
        self.allowance = EVERYTHING
        self.arrival_ns = 0
        self.tokens = TokenRate()
        self.running = 0


class _Held(NamedTuple):
    """A subject whose limits apply to a request."""

    scope: str
    subject: Subject
    allowance: Allowance


class _Taken(NamedTuple):
    """Tokens that were taken for a request."""

    rate: TokenRate
    number: int
    tokens: int
    interval_ns: int


class Admission:
    """What one request holds of its limits, until `close`.

    Args:
        timers: The clock.
        subjects: Whose streams it is one of.
        taken: The tokens.
    """

    __slots__ = ("_subjects", "_taken", "_timers")

    def __init__(
        self, timers: Timers, subjects: Sequence[Subject], taken: Sequence[_Taken]
    ) -> None:
        self._timers = timers
        self._subjects = subjects
        self._taken = taken

    def close(self, used_tokens: int) -> None:
        """Give back what is held, once; tokens were used as many as this."""
        subjects, taken = self._subjects, self._taken
        self._subjects = self._taken = ()
        for subject in subjects:
            subject.running -= 1
        if not taken:
            return
        now_ns = _now_ns(self._timers)
        for rate, number, tokens, interval_ns in taken:
            difference = tokens - used_tokens
            if difference > 0:
                rate.give_back(number, difference * interval_ns, now_ns)
            elif difference < 0:
                rate.take(-difference * interval_ns, now_ns)


class Admissions:
    """Admits requests. See the module's docstring.

    Args:
        rates: What the operator allows.
        catalog: Which names stand for which models.
        timers: The clock.

    Attributes:
        rates: What the operator allows.
        reads: Who may ask for what begins no stream.
    """

    def __init__(self, rates: Rates, catalog: Catalog, timers: Timers) -> None:
        self.rates = rates
        self.reads = ReadLimit(rates.reads_per_minute, timers.time)
        self._catalog = catalog
        self._timers = timers
        self._keys: OrderedDict[str, Subject] = OrderedDict()
        self._accounts: OrderedDict[str, Subject] = OrderedDict()
        self._guests = Subject()
        self._models: dict[str, Subject] = {name: Subject() for name in rates.models}
        # Whether nothing limits anybody who was given nothing of their own.
        self._is_open = not (rates.key.is_limited or rates.account.is_limited or rates.models)

    def allowance(self, key: Key) -> Allowance:
        """Return what a key may have, as it is now."""
        return key.limits.within(self.rates.key)

    def admit(self, key: Key, model: str, tokens: Tokens) -> Admission:
        """Let a request begin a stream; all limits count it, or none does.

        Args:
            key: Who asks.
            model: The name that was asked for.
            tokens: What it may use.

        Raises:
            RateLimited: If there were too many requests or tokens.
            TooManyStreams: If as many streams are running as may.
            TokensOverLimit: If it may use more than a whole minute has.
        """
        now_ns = _now_ns(self._timers)
        held = self._held(key, model)
        wait = 0
        refusal: LimitError | None = None
        for each in held:
            for found_ms, error in _refusals(each, tokens, now_ns):
                if refusal is None or found_ms > wait:
                    wait, refusal = found_ms, error
        if refusal is not None:
            refusal.details["rate_limits"] = [
                found._asdict() for found in self._standings(held, now_ns)
            ]
            raise refusal
        taken = []
        for _, subject, allowance in held:
            subject.running += 1
            if allowance.requests_per_minute:
                interval_ns = limit_of(allowance.requests_per_minute).interval_ns
                subject.arrival_ns = max(subject.arrival_ns, now_ns) + interval_ns
            if allowance.tokens_per_minute:
                cost = _cost(tokens, allowance.tokens_per_minute)
                interval_ns = limit_of(allowance.tokens_per_minute).interval_ns
                number = subject.tokens.take(cost * interval_ns, now_ns)
                taken.append(_Taken(subject.tokens, number, cost, interval_ns))
        return Admission(self._timers, [each.subject for each in held], taken)

    def adopt(self, key_id: str, account_id: str, model: str) -> Admission:
        """Count a stream that an earlier process has begun; it is there, whatever the limits."""
        key = Key(key_id, "", account_id)
        subjects = [each.subject for each in self._held(key, model)]
        for subject in subjects:
            subject.running += 1
        return Admission(self._timers, subjects, ())

    def standings(self, key: Key, model: str) -> list[Standing]:
        """Return how a key stands with the tightest of its limits: of requests, then of tokens."""
        if self._is_open and key.limits is NO_OWN_LIMITS:
            return []
        return self._standings(self._held(key, model), _now_ns(self._timers))

    def _standings(self, held: Sequence[_Held], now_ns: int) -> list[Standing]:
        requests = [
            standing("requests", limit_of(count), arrival_ns=subject.arrival_ns, now_ns=now_ns)
            for _, subject, allowance in held
            if (count := allowance.requests_per_minute)
        ]
        tokens = [
            standing("tokens", limit_of(count), arrival_ns=subject.tokens.arrival_ns, now_ns=now_ns)
            for _, subject, allowance in held
            if (count := allowance.tokens_per_minute)
        ]
        return [
            min(found, key=lambda each: (each.remaining, -each.reset_ms))
            for found in (requests, tokens)
            if found
        ]

    def _held(self, key: Key, model: str) -> list[_Held]:
        """Return whose limits apply to a request."""
        rates = self.rates
        subject = _remembered(self._keys, key.public_id)
        # One object until the key is read anew: it is computed then, and not for each request.
        if subject.limits is not key.limits:
            subject.limits, subject.allowance = key.limits, key.limits.within(rates.key)
        held = [_Held("key", subject, subject.allowance)]
        if key.is_limited and rates.account.is_limited:
            subject = _remembered(self._accounts, key.account_id)
            held.append(_Held("account", subject, rates.account))
        elif key.is_guest:
            held.append(_Held("guests", self._guests, GUESTS_TOGETHER))
        if rates.models:
            held += [
                _Held("model", self._models[name], rates.models[name])
                for name in self._catalog.names_of(model)
                if name in rates.models
            ]
        return held


def _remembered(subjects: OrderedDict[str, Subject], name: str) -> Subject:
    subject = subjects.get(name)
    if subject is not None:
        subjects.move_to_end(name)
        return subject
    for _ in range(PASSED_OVER_MAX):
        if len(subjects) < SUBJECTS_MAX:
            break
        oldest, found = subjects.popitem(last=False)
        if found.running:
            # Its streams will be given back to it.
            subjects[oldest] = found
    subjects[name] = subject = Subject()
    return subject


def _refusals(held: _Held, tokens: Tokens, now_ns: int) -> list[tuple[int, LimitError]]:
    """Return what stands in a request's way at one subject, each with its wait in milliseconds."""
    scope, subject, allowance = held
    found: list[tuple[int, LimitError]] = []
    count = allowance.requests_per_minute
    if count:
        decision = check(limit_of(count), arrival_ns=subject.arrival_ns, now_ns=now_ns)
        if isinstance(decision, Refused):
            found.append(_too_fast(scope, "requests", count, decision.retry_after_ns))
    count = allowance.tokens_per_minute
    if count:
        cost = _cost(tokens, count)
        if cost > count:
            raise _over_limit(scope, cost, count)
        wait_ns = subject.tokens.wait_ns(limit_of(count), cost, now_ns)
        if wait_ns:
            found.append(_too_fast(scope, "tokens", count, wait_ns))
    count = allowance.streams_max
    if count and subject.running >= count:
        error = TooManyStreams(
            f"{_WHOSE[scope]} have {count} streams running at a time, and they are. Try again "
            "when one has ended.",
            retry_after_ms=STREAMS_RETRY_MS,
        )
        error.details["limit"] = {"scope": scope, "name": "streams_max", "value": count}
        error.limit = f"{scope}_streams"
        found.append((STREAMS_RETRY_MS, error))
    return found


def _cost(tokens: Tokens, limit: int) -> int:
    """Return what is taken for a request; an answer without a limit fits, if its prompt does."""
    if tokens.output is not None:
        return tokens.prompt + tokens.output
    return max(tokens.prompt, min(tokens.prompt + OUTPUT_TOKENS_USUAL, limit))


_WHOSE = {
    "key": "This key may",
    "account": "The keys of this account may together",
    "guests": "All guests together may",
    "model": "All keys together may, of this model,",
}


def _too_fast(scope: str, name: str, count: int, wait_ns: int) -> tuple[int, LimitError]:
    wait_ms = whole_ms(wait_ns)
    error = RateLimited(
        f"{_WHOSE[scope]} use {count} {name} a minute. "
        f"Try again in {wait_ms / MS_PER_S:g} seconds.",
        retry_after_ms=wait_ms,
    )
    error.details["limit"] = {"scope": scope, "name": f"{name}_per_minute", "value": count}
    error.limit = f"{scope}_{name}"
    return wait_ms, error


def _over_limit(scope: str, cost: int, count: int) -> TokensOverLimit:
    error = TokensOverLimit(
        f"{_WHOSE[scope]} use {count} tokens a minute, and this request alone may use {cost}. "
        "Ask for less output with `max_tokens`, or send a shorter prompt.",
        param="max_tokens",
    )
    error.details["limit"] = {"scope": scope, "name": "tokens_per_minute", "value": count}
    error.limit = f"{scope}_tokens"
    return error


def _now_ns(timers: Timers) -> int:
    # Rounded: a float of seconds is seldom exactly the nanosecond that it stands for.
    return round(timers.time() * NS_PER_S)
