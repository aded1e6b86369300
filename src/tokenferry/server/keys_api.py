"""The API keys of an account.

    GET    /api/keys               all of them
    POST   /api/keys               a new one, whose text is shown this once
    PATCH  /api/keys/{public_id}   its name and terms
    DELETE /api/keys/{public_id}   revoke it, at once and for good

What is changed or revoked here is noticed by every running server as if a command had done it.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Annotated, Any, TypeVar

from msgspec import UNSET, Meta, Struct, UnsetType

from tokenferry.domain.allowance import (
    LIMIT_NAMES,
    NO_OWN_LIMITS,
    REQUESTS_PER_MINUTE_MAX,
    STREAMS_MAX,
    TOKENS_PER_MINUTE_MAX,
    Allowance,
    KeyLimits,
)
from tokenferry.domain.api_key import (
    MODEL_CHARACTERS_MAX,
    MODELS_MAX,
    NAME_CHARACTERS_MAX,
    KeyRecord,
    KeyTerms,
    clean_models,
    clean_name,
    parse_key,
)
from tokenferry.domain.money import format_dollars, parse_dollars
from tokenferry.engine.keys import KeyStore, create_key
from tokenferry.engine.links import World
from tokenferry.engine.statement import KeyUse, Statements
from tokenferry.engine.workers import Workers
from tokenferry.errors import InvalidRequest, KeyNotFound, TooManyKeys
from tokenferry.server.api_routes import Body, Call, Route

# Good ones, and all that there ever were: rows of keys are never deleted.
LIVE_KEYS_MAX = 100
KEYS_MAX = 1_000
# The end of the year 9999.
SECONDS_MAX = 253_402_300_799

Name = Annotated[str, Meta(min_length=1, max_length=4 * NAME_CHARACTERS_MAX)]
Model = Annotated[str, Meta(min_length=1, max_length=MODEL_CHARACTERS_MAX)]
Models = Annotated[list[Model], Meta(min_length=1, max_length=MODELS_MAX)]
Budget = Annotated[
    str, Meta(max_length=30, description="USD it may spend in a calendar month, such as `10.00`.")
]
Expiry = Annotated[int, Meta(ge=0, le=SECONDS_MAX, description="Unix time until which it is good.")]

_STRICTER = "It holds where it is stricter than what the operator lets the key have."
Requests = Annotated[int, Meta(ge=1, le=REQUESTS_PER_MINUTE_MAX, description=_STRICTER)]
Tokens = Annotated[int, Meta(ge=1, le=TOKENS_PER_MINUTE_MAX, description=_STRICTER)]
Streams = Annotated[int, Meta(ge=1, le=STREAMS_MAX, description=_STRICTER)]

T = TypeVar("T")


class NewKey(Body):
    """A key to be made; what is not said is not limited."""

    name: Name
    budget: Budget | None = None
    models: Models | None = None
    expires_at: Expiry | None = None
    requests_per_minute: Requests | None = None
    tokens_per_minute: Tokens | None = None
    streams_max: Streams | None = None


class KeyChange(Body):
    """What is to change of a key; null takes a limit away."""

    name: Name | UnsetType = UNSET
    budget: Budget | UnsetType | None = UNSET
    models: Models | UnsetType | None = UNSET
    expires_at: Expiry | UnsetType | None = UNSET
    requests_per_minute: Requests | UnsetType | None = UNSET
    tokens_per_minute: Tokens | UnsetType | None = UNSET
    streams_max: Streams | UnsetType | None = UNSET


class OperatorLimits(Struct):
    """What the operator has set for a key: null where nothing, 0 for no limit."""

    requests_per_minute: int | None
    tokens_per_minute: int | None
    streams_max: int | None


class EffectiveLimits(Struct):
    """What holds for a key, the strictest that was set for it or for all; 0 for no limit."""

    requests_per_minute: int
    tokens_per_minute: int
    streams_max: int


class KeyFacts(Struct):
    """A key, without its secret; null where its owner has not limited it.

    `last_used` is when its latest request ended, null if there was none; `spent` is USD of this
    calendar month (UTC), which `budget` limits.
    """

    public_id: str
    name: str
    budget: str | None
    models: list[str] | None
    expires_at: int | None
    requests_per_minute: int | None
    tokens_per_minute: int | None
    streams_max: int | None
    operator_limits: OperatorLimits
    effective_limits: EffectiveLimits
    created: int
    revoked: int | None
    last_used: int | None
    spent: str


class CreatedKey(Struct):
    """A new key; its text is shown this once."""

    key: str
    facts: KeyFacts


class KeyList(Struct):
    """All keys of an account, oldest first, revoked ones included."""

    data: list[KeyFacts]


class KeysApi:
    """The routes of one's own keys.

    Args:
        store: Where keys are kept; used by `disk` alone.
        statements: What keys were used for; likewise.
        disk: A single thread.
        world: Clocks and dice.
        usual: What keys may have as a rule.
    """

    def __init__(
        self,
        store: KeyStore,
        statements: Statements,
        disk: Workers,
        world: World,
        usual: Allowance,
    ) -> None:
        self._usual = usual
        self._store = store
        self._statements = statements
        self._disk = disk
        self._world = world

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route("GET", "/api/keys", self._list, "List the keys", answer=KeyList),
            Route("POST", "/api/keys", self._create, "Make a key",
                  body=NewKey, answer=CreatedKey, status=201),
            Route("PATCH", "/api/keys/{public_id}", self._change, "Change a key",
                  body=KeyChange, answer=KeyFacts),
            Route("DELETE", "/api/keys/{public_id}", self._revoke, "Revoke a key",
                  answer=KeyFacts),
        ]  # fmt: skip

    async def _list(self, call: Call[Any]) -> KeyList:
        account_id = call.account.account_id
        return KeyList(await self._on_disk(lambda: self._facts(self._store.of_account(account_id))))

    async def _create(self, call: Call[NewKey]) -> CreatedKey:
        body, account_id = call.body, call.account.account_id
        terms = KeyTerms(
            account_id,
            _models(body.models),
            _budget(body.budget),
            self._expiry(body.expires_at),
            _limits(body, NO_OWN_LIMITS),
        )
        name, now_ms = _name(body.name), self._world.wall_ms()

        def create() -> CreatedKey:
            check_room(self._store, account_id)
            key = create_key(self._store, name, now_ms, self._world.random, terms)
            parsed = parse_key(key)
            public_id = parsed.public_id if parsed else ""
            return CreatedKey(key, self._facts_of(account_id, public_id))

        return await self._on_disk(create)

    async def _change(self, call: Call[KeyChange]) -> KeyFacts:
        body, account_id = call.body, call.account.account_id
        public_id = call.request.match_info["public_id"]
        changes: dict[str, Any] = {}
        if body.budget is not UNSET:
            changes["budget_nanos"] = _budget(body.budget)
        if body.models is not UNSET:
            changes["models"] = _models(body.models)
        if body.expires_at is not UNSET:
            changes["expires_at_ms"] = self._expiry(body.expires_at)
        name = None if body.name is UNSET else _name(body.name)

        def change() -> KeyFacts:
            record = self._owned(account_id, public_id)
            limits = _limits(body, record.terms.limits)
            terms = replace(record.terms, **changes, limits=limits)
            self._store.change(public_id, name or record.name, terms)
            return self._facts_of(account_id, public_id)

        return await self._on_disk(change)

    async def _revoke(self, call: Call[Any]) -> KeyFacts:
        account_id, now_ms = call.account.account_id, self._world.wall_ms()
        public_id = call.request.match_info["public_id"]

        def revoke() -> KeyFacts:
            self._owned(account_id, public_id)
            self._store.revoke(public_id, now_ms)
            return self._facts_of(account_id, public_id)

        return await self._on_disk(revoke)

    async def _on_disk(self, work: Callable[[], T]) -> T:
        return await self._disk.run(work)

    def _owned(self, account_id: str, public_id: str) -> KeyRecord:
        record = self._store.find(public_id)
        if record is None or record.terms.account_id != account_id:
            raise KeyNotFound("This account has no such key; GET /api/keys lists all.")
        return record

    def _facts_of(self, account_id: str, public_id: str) -> KeyFacts:
        return self._facts([self._owned(account_id, public_id)])[0]

    def _facts(self, records: Sequence[KeyRecord]) -> list[KeyFacts]:
        return key_facts(records, self._statements, self._world.wall_ms(), self._usual)

    def _expiry(self, seconds: int | None) -> int | None:
        if seconds is None:
            return None
        if seconds * 1000 <= self._world.wall_ms():
            raise InvalidRequest(
                "`expires_at` has passed; name a later time, or revoke the key.",
                param="expires_at",
            )
        return seconds * 1000


def check_room(store: KeyStore, account_id: str) -> None:
    """Make sure that an account may have one more key.

    Raises:
        TooManyKeys: If it may not.
    """
    records = store.of_account(account_id)
    live = sum(record.revoked_at_ms is None for record in records)
    if live >= LIVE_KEYS_MAX:
        raise TooManyKeys(f"This account has its {LIVE_KEYS_MAX} keys; revoke one first.")
    if len(records) >= KEYS_MAX:
        raise TooManyKeys(
            f"This account has had {KEYS_MAX} keys, as many as it may; ask the operator."
        )


def _limits(body: NewKey | KeyChange, so_far: KeyLimits) -> KeyLimits:
    """Return a key's limits with what its owner says in a body; the operator's stay."""
    given = {name: value for name in LIMIT_NAMES if (value := getattr(body, name)) is not UNSET}
    return replace(so_far, owner=replace(so_far.owner, **given)) if given else so_far


def _name(text: str) -> str:
    name = clean_name(text)
    if name is None:
        raise InvalidRequest(
            f"`name` must have 1..{NAME_CHARACTERS_MAX} printable characters.", param="name"
        )
    return name


def _budget(text: str | None) -> int | None:
    if text is None:
        return None
    nanos = parse_dollars(text)
    if nanos is None or nanos < 0:
        raise InvalidRequest("`budget` must be an amount such as `10.00`.", param="budget")
    return nanos


def _models(names: list[str] | None) -> tuple[str, ...] | None:
    if names is None:
        return None
    models = clean_models(names)
    if models is None:
        raise InvalidRequest("`models` must be names of models.", param="models")
    return models


def key_facts(
    records: Sequence[KeyRecord], statements: Statements, now_ms: int, usual: Allowance
) -> list[KeyFacts]:
    """Return keys as their owner sees them, with what they did; in the disk's thread.

    Args:
        records: The keys.
        statements: What they were used for.
        now_ms: Unix time; of its calendar month is what they spent.
        usual: What keys may have as a rule.
    """
    uses = statements.key_use([record.public_id for record in records], now_ms)
    return [_facts(record, use, usual) for record, use in zip(records, uses, strict=True)]


def _facts(record: KeyRecord, use: KeyUse, usual: Allowance) -> KeyFacts:
    terms = record.terms
    own, operator = terms.limits.owner, terms.limits.operator
    holds = terms.limits.within(usual)
    return KeyFacts(
        record.public_id,
        record.name,
        None if terms.budget_nanos is None else format_dollars(terms.budget_nanos),
        None if terms.models is None else list(terms.models),
        None if terms.expires_at_ms is None else terms.expires_at_ms // 1000,
        own.requests_per_minute,
        own.tokens_per_minute,
        own.streams_max,
        OperatorLimits(
            operator.requests_per_minute, operator.tokens_per_minute, operator.streams_max
        ),
        EffectiveLimits(holds.requests_per_minute, holds.tokens_per_minute, holds.streams_max),
        record.created_at_ms // 1000,
        None if record.revoked_at_ms is None else record.revoked_at_ms // 1000,
        None if use.last_ms is None else use.last_ms // 1000,
        format_dollars(use.spent_nanos),
    )
