"""What administrators do with the accounts of others.

GET  /api/admin/accounts                 all accounts
POST /api/admin/accounts/{id}/suspend    its keys stop working, at once
POST /api/admin/accounts/{id}/unsuspend  they work again
"""

import logging
from typing import Annotated, Any

from msgspec import Meta, Struct

from tokenferry.domain.account import (
    REASON_CHARACTERS_MAX,
    Account,
    Language,
    Role,
    State,
    clean_reason,
)
from tokenferry.engine.accounts import LISTED_MAX, AccountStore
from tokenferry.engine.workers import Workers
from tokenferry.errors import AccountNotFound, InvalidRequest
from tokenferry.server.api_routes import Body, Call, Route

log = logging.getLogger(__name__)


class AccountPage(Body):
    """Which part of the list."""

    limit: Annotated[int, Meta(ge=1, le=LISTED_MAX)] = 100
    after: Annotated[str, Meta(max_length=100)] = ""


class Suspension(Body):
    """Why an account is suspended; administrators see it."""

    reason: Annotated[str, Meta(max_length=4 * REASON_CHARACTERS_MAX)] = ""


class Nothing(Body):
    """Nothing."""


class AnyAccountFacts(Struct):
    """An account, as administrators see it."""

    id: str
    email: str | None
    role: Role
    state: State
    suspended_reason: str | None
    language: Language
    created: int


class AccountList(Struct):
    """Accounts by their ids; `after` is what to ask for next, null at the end."""

    data: list[AnyAccountFacts]
    after: str | None


class AdminApi:
    """The routes of administrators.

    Args:
        store: Where accounts are kept.
        disk: The thread that uses it.
    """

    def __init__(self, store: AccountStore, disk: Workers) -> None:
        self._store = store
        self._disk = disk

    def routes(self) -> list[Route]:
        """Return the routes."""
        one = "/api/admin/accounts/{id}"
        return [
            Route("GET", "/api/admin/accounts", self._list, "List all accounts",
                  query=AccountPage, answer=AccountList, access="admin"),
            Route("POST", f"{one}/suspend", self._suspend, "Suspend an account",
                  body=Suspension, answer=AnyAccountFacts, access="admin"),
            Route("POST", f"{one}/unsuspend", self._unsuspend, "End a suspension",
                  body=Nothing, answer=AnyAccountFacts, access="admin"),
        ]  # fmt: skip

    async def _list(self, call: Call[Any]) -> AccountList:
        page: AccountPage = call.query
        accounts = await self._disk.run(lambda: self._store.all(page.limit, page.after))
        after = accounts[-1].account_id if len(accounts) == page.limit else None
        return AccountList([_facts(account) for account in accounts], after)

    async def _suspend(self, call: Call[Suspension]) -> AnyAccountFacts:
        reason = clean_reason(call.body.reason)
        if reason is None:
            raise InvalidRequest(
                f"`reason` must have {REASON_CHARACTERS_MAX} printable characters at most.",
                param="reason",
            )
        account_id = call.request.match_info["id"]
        if not await self._disk.run(lambda: self._store.suspend(account_id, reason)):
            raise _not_found()
        log.info("account %s was suspended by %s", account_id, call.account.account_id)
        return await self._show(account_id)

    async def _unsuspend(self, call: Call[Nothing]) -> AnyAccountFacts:
        account_id = call.request.match_info["id"]
        if not await self._disk.run(lambda: self._store.unsuspend(account_id)):
            raise _not_found()
        log.info("account %s was unsuspended by %s", account_id, call.account.account_id)
        return await self._show(account_id)

    async def _show(self, account_id: str) -> AnyAccountFacts:
        account = await self._disk.run(lambda: self._store.find(account_id))
        if account is None:
            raise _not_found()
        return _facts(account)


def _not_found() -> AccountNotFound:
    return AccountNotFound("No account has this id; GET /api/admin/accounts lists all.")


def _facts(account: Account) -> AnyAccountFacts:
    return AnyAccountFacts(
        account.account_id,
        account.email,
        account.role,
        account.state,
        account.suspended_reason,
        account.language,
        account.created_ms // 1000,
    )
