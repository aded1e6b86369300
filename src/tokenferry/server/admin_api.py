"""What administrators do with the accounts of others.

GET  /api/admin/accounts                 accounts, the newest first; by address, id, key or state
GET  /api/admin/accounts/{id}            one of them, with its keys
POST /api/admin/accounts/{id}/suspend    its keys stop working, at once
POST /api/admin/accounts/{id}/unsuspend  they work again

Who is an administrator is said by the command line alone (`tokenferry accounts role`): a stolen
login makes no others.
"""

from typing import Annotated, Any

from msgspec import Meta, Struct

from tokenferry.domain.account import (
    REASON_CHARACTERS_MAX,
    Language,
    Role,
    State,
    clean_reason,
)
from tokenferry.domain.allowance import Allowance
from tokenferry.domain.money import format_dollars
from tokenferry.engine.accounts import LISTED_MAX, AccountFilter, AccountRow, AccountStore
from tokenferry.engine.audit_trail import Action, AuditEntry
from tokenferry.engine.keys import KeyStore
from tokenferry.engine.links import World
from tokenferry.engine.statement import Statements
from tokenferry.engine.workers import Workers
from tokenferry.errors import AccountNotFound, InvalidRequest
from tokenferry.server import audit_log
from tokenferry.server.api_routes import Body, Call, NoBody, Route
from tokenferry.server.cursors import cursor_of, moment_of
from tokenferry.server.key_admin_api import AnyKeyFacts, any_key_facts

MS_PER_S = 1000
SEARCH_CHARACTERS_MAX = 320


class AccountPage(Body):
    """Which part of the list: a part of an address, a whole id of an account or key, a state."""

    search: Annotated[str, Meta(max_length=SEARCH_CHARACTERS_MAX)] = ""
    state: State | None = None
    limit: Annotated[int, Meta(ge=1, le=LISTED_MAX)] = 100
    before: Annotated[str, Meta(max_length=100, description="The `next` of the page before.")] = ""


class Suspension(Body):
    """Why an account is suspended; administrators see it."""

    reason: Annotated[str, Meta(max_length=4 * REASON_CHARACTERS_MAX)] = ""


class AnyAccountFacts(Struct):
    """An account, as administrators see it.

    Amounts are USD; `available` is the balance less what is held for running streams. `last_used`
    is when its latest stream ended, null if it had none.
    """

    id: str
    email: str | None
    role: Role
    state: State
    suspended_reason: str | None
    language: Language
    created: int
    balance: str
    available: str
    last_used: int | None


class AccountList(Struct):
    """Accounts, the newest first; `next` asks for those before, null at the end."""

    data: list[AnyAccountFacts]
    next: str | None


class AccountDetail(AnyAccountFacts, kw_only=True):
    """An account with its keys, oldest first, revoked ones included."""

    keys: list[AnyKeyFacts]


class AdminApi:
    """The routes of administrators.

    Args:
        store: Where accounts are kept.
        keys: Where keys are kept; used by `disk` alone.
        statements: What keys were used for; likewise.
        disk: A single thread.
        world: The clock.
        usual: What keys may have as a rule.
    """

    def __init__(
        self,
        store: AccountStore,
        keys: KeyStore,
        statements: Statements,
        disk: Workers,
        world: World,
        usual: Allowance,
    ) -> None:
        self._usual = usual
        self._store = store
        self._keys = keys
        self._statements = statements
        self._world = world
        self._disk = disk

    def routes(self) -> list[Route]:
        """Return the routes."""
        one = "/api/admin/accounts/{id}"
        return [
            Route("GET", "/api/admin/accounts", self._list, "List accounts",
                  query=AccountPage, answer=AccountList, access="admin"),
            Route("GET", one, self._show, "Show an account with its keys",
                  answer=AccountDetail, access="admin"),
            Route("POST", f"{one}/suspend", self._suspend, "Suspend an account",
                  body=Suspension, answer=AccountDetail, access="admin"),
            Route("POST", f"{one}/unsuspend", self._unsuspend, "End a suspension",
                  body=NoBody, answer=AccountDetail, access="admin"),
        ]  # fmt: skip

    async def _list(self, call: Call[Any]) -> AccountList:
        page: AccountPage = call.query
        before = moment_of(page.before)
        wanted = AccountFilter(page.search.strip(), page.state, page.limit, before)
        rows = await self._disk.run(lambda: self._store.listing(wanted))
        last = rows[-1].account if len(rows) == page.limit else None
        return AccountList(
            [AnyAccountFacts(**_facts(row)) for row in rows],
            None if last is None else cursor_of(last.created_ms, last.account_id),
        )

    async def _show(self, call: Call[Any]) -> AccountDetail:
        return await self._detail(call.request.match_info["id"])

    async def _suspend(self, call: Call[Suspension]) -> AccountDetail:
        reason = clean_reason(call.body.reason)
        if reason is None:
            raise InvalidRequest(
                f"`reason` must have {REASON_CHARACTERS_MAX} printable characters at most.",
                param="reason",
            )
        account_id = call.request.match_info["id"]
        if account_id == call.account.account_id:
            raise InvalidRequest(
                "You would lock yourself out. Another administrator can, or the command "
                "`tokenferry accounts suspend`."
            )
        entry = self._entry(call, "account.suspend", account_id, reason=reason)
        changed = await self._disk.run(lambda: self._store.suspend(account_id, reason, entry))
        return await self._told(entry, changed=changed)

    async def _unsuspend(self, call: Call[NoBody]) -> AccountDetail:
        account_id = call.request.match_info["id"]
        entry = self._entry(call, "account.unsuspend", account_id)
        changed = await self._disk.run(lambda: self._store.unsuspend(account_id, entry))
        return await self._told(entry, changed=changed)

    async def _told(self, entry: AuditEntry, *, changed: bool | None) -> AccountDetail:
        if changed is None:
            raise account_not_found()
        if changed:
            audit_log.tell(entry)
        return await self._detail(entry.target)

    def _entry(
        self, call: Call[Any], action: Action, account_id: str, **facts: object
    ) -> AuditEntry:
        now_ms = self._world.wall_ms()
        return audit_log.entry_of(call, now_ms, action, account_id, account=account_id, **facts)

    async def _detail(self, account_id: str) -> AccountDetail:
        def detail() -> AccountDetail:
            rows = self._store.listing(AccountFilter(account_id=account_id))
            if not rows:
                raise account_not_found()
            records = self._keys.of_account(account_id)
            now_ms = self._world.wall_ms()
            keys = any_key_facts(records, self._statements, now_ms, self._usual)
            return AccountDetail(**_facts(rows[0]), keys=keys)

        return await self._disk.run(detail)


def account_not_found() -> AccountNotFound:
    """Return the error for an id that no account has."""
    return AccountNotFound("No account has this id; GET /api/admin/accounts lists all.")


def _facts(row: AccountRow) -> dict[str, Any]:
    account = row.account
    return {
        "id": account.account_id,
        "email": account.email,
        "role": account.role,
        "state": account.state,
        "suspended_reason": account.suspended_reason,
        "language": account.language,
        "created": account.created_ms // MS_PER_S,
        "balance": format_dollars(row.balance_nanos),
        "available": format_dollars(row.balance_nanos - row.held_nanos),
        "last_used": None if row.last_used_ms is None else row.last_used_ms // MS_PER_S,
    }
