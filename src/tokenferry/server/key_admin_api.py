"""What administrators do with the keys of others.

PATCH  /api/admin/keys/{public_id}   what it may have, as `tokenferry keys limit` does
DELETE /api/admin/keys/{public_id}   revoke it, at once and for good
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any

from msgspec import UNSET, Meta, UnsetType
from msgspec.structs import asdict

from tokenferry.domain.allowance import (
    LIMIT_NAMES,
    REQUESTS_PER_MINUTE_MAX,
    STREAMS_MAX,
    TOKENS_PER_MINUTE_MAX,
    Allowance,
    KeyLimits,
)
from tokenferry.domain.api_key import KeyRecord
from tokenferry.engine.audit_trail import AuditEntry
from tokenferry.engine.keys import KeyStore, LimitChange
from tokenferry.engine.links import World
from tokenferry.engine.statement import Statements
from tokenferry.engine.workers import Workers
from tokenferry.errors import KeyNotFound
from tokenferry.server import audit_log
from tokenferry.server.api_routes import Body, Call, Route
from tokenferry.server.keys_api import KeyFacts, key_facts

_ANY = "0 for no limit, null for what keys have as a rule."
Requests = Annotated[int, Meta(ge=0, le=REQUESTS_PER_MINUTE_MAX, description=_ANY)]
Tokens = Annotated[int, Meta(ge=0, le=TOKENS_PER_MINUTE_MAX, description=_ANY)]
Streams = Annotated[int, Meta(ge=0, le=STREAMS_MAX, description=_ANY)]


class KeyAllowance(Body):
    """What is to change of the operator's limits of a key; they may be any.

    Those of its owner stay, and hold where they are stricter.
    """

    requests_per_minute: Requests | UnsetType | None = UNSET
    tokens_per_minute: Tokens | UnsetType | None = UNSET
    streams_max: Streams | UnsetType | None = UNSET
    priority: bool | UnsetType = UNSET


class AnyKeyFacts(KeyFacts, kw_only=True):
    """A key, as administrators see it.

    `priority` says whether it may ask for the service tier of that name.
    """

    account: str
    priority: bool
    suspended: bool


class KeyAdminApi:
    """The routes of keys for administrators.

    Args:
        store: Where keys are kept; used by `disk` alone.
        statements: What keys were used for; likewise.
        disk: A single thread.
        world: The clock.
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
        path = "/api/admin/keys/{public_id}"
        return [
            Route("PATCH", path, self._limit, "Change what a key may have",
                  body=KeyAllowance, answer=AnyKeyFacts, access="admin"),
            Route("DELETE", path, self._revoke, "Revoke any key",
                  answer=AnyKeyFacts, access="admin"),
        ]  # fmt: skip

    async def _limit(self, call: Call[KeyAllowance]) -> AnyKeyFacts:
        public_id, now_ms = call.request.match_info["public_id"], self._world.wall_ms()

        def change(record: KeyRecord) -> LimitChange:
            terms = record.terms
            limits = _limits(call.body, terms.limits)
            facts = _changes(terms.limits, limits)
            if not facts:
                return LimitChange(limits)
            account = terms.account_id
            return LimitChange(
                limits,
                audit_log.entry_of(call, now_ms, "key.limit", public_id, account=account, **facts),
            )

        def limit() -> tuple[AnyKeyFacts, AuditEntry | None]:
            changed = self._store.limit(public_id, change)
            if changed is None:
                raise _not_found()
            return self._facts(public_id), changed.entry

        shown, entry = await self._disk.run(limit)
        if entry is not None:
            audit_log.tell(entry)
        return shown

    async def _revoke(self, call: Call[Any]) -> AnyKeyFacts:
        public_id, now_ms = call.request.match_info["public_id"], self._world.wall_ms()

        def revoke() -> tuple[AnyKeyFacts, AuditEntry | None]:
            account = self._found(public_id).terms.account_id
            entry = audit_log.entry_of(call, now_ms, "key.revoke", public_id, account=account)
            was_good = self._store.revoke(public_id, now_ms, entry)
            return self._facts(public_id), entry if was_good else None

        shown, entry = await self._disk.run(revoke)
        if entry is not None:
            audit_log.tell(entry)
        return shown

    def _facts(self, public_id: str) -> AnyKeyFacts:
        records = [self._found(public_id)]
        return any_key_facts(records, self._statements, self._world.wall_ms(), self._usual)[0]

    def _found(self, public_id: str) -> KeyRecord:
        record = self._store.find(public_id)
        if record is None:
            raise _not_found()
        return record


def _not_found() -> KeyNotFound:
    return KeyNotFound("No key has this public id; an account's page lists its keys.")


def any_key_facts(
    records: Sequence[KeyRecord], statements: Statements, now_ms: int, usual: Allowance
) -> list[AnyKeyFacts]:
    """Return keys as administrators see them; as `key_facts`."""
    return [
        AnyKeyFacts(
            **asdict(own),
            account=record.terms.account_id,
            priority=record.terms.limits.has_priority,
            suspended=record.suspended,
        )
        for record, own in zip(records, key_facts(records, statements, now_ms, usual), strict=True)
    ]


def _changes(before: KeyLimits, after: KeyLimits) -> dict[str, Any]:
    """Return what of a key's limits is another one now, and under `before` what it was."""
    was, now = _by_name(before), _by_name(after)
    changed = [name for name in now if now[name] != was[name]]
    if not changed:
        return {}
    facts: dict[str, Any] = {name: now[name] for name in changed}
    return {**facts, "before": {name: was[name] for name in changed}}


def _by_name(limits: KeyLimits) -> dict[str, int | bool | None]:
    numbers = {name: getattr(limits.operator, name) for name in LIMIT_NAMES}
    return {"priority": limits.has_priority, **numbers}


def _limits(body: KeyAllowance, so_far: KeyLimits) -> KeyLimits:
    given: dict[str, Any] = {
        name: value for name in LIMIT_NAMES if (value := getattr(body, name)) is not UNSET
    }
    limits = replace(so_far, operator=replace(so_far.operator, **given))
    if body.priority is not UNSET:
        limits = replace(limits, has_priority=body.priority)
    return limits
