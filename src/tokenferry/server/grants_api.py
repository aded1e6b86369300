"""An account's money, for administrators.

GET  /api/admin/accounts/{id}/ledger   its transfers, one by one
POST /api/admin/accounts/{id}/grants   give credit, or take some back, with a reason

A grant is one entry of the books, from `issued:grant` to the account's book; what is taken back
goes the other way, and never below what is free. A request that names itself (`reference`) is
booked once, however often it comes.
"""

from typing import Annotated, Any, Protocol

from msgspec import Meta

from tokenferry.domain.account import REASON_CHARACTERS_MAX, Account, clean_reason
from tokenferry.domain.ledger import Transfer, grant
from tokenferry.domain.money import format_dollars, parse_dollars
from tokenferry.engine.accounts import AccountStore
from tokenferry.engine.audit_trail import AuditEntry
from tokenferry.engine.ledger import BookFull, Overdrawn, ReferenceReused
from tokenferry.engine.links import World
from tokenferry.engine.statement import Balance, Statements
from tokenferry.engine.workers import Workers
from tokenferry.errors import IdempotencyKeyReused, InvalidRequest
from tokenferry.server import audit_log
from tokenferry.server.admin_api import account_not_found
from tokenferry.server.api_routes import Body, Call, Route
from tokenferry.server.usage_api import (
    BalanceFacts,
    Page,
    TransferList,
    balance_facts,
    transfer_page,
)

_REFERENCE_BYTES = 12


class Book(Protocol):
    """What books a transfer, with its entry of the audit trail; see `SqliteAccounts.book`."""

    def __call__(self, transfer: Transfer, entry: AuditEntry | None = None, /) -> bool:
        """Return False if it was booked before."""


class Grant(Body):
    """Credit from the operator; below zero it is taken back, as far as it is there."""

    amount: Annotated[str, Meta(max_length=30)]
    reason: Annotated[str, Meta(min_length=1, max_length=4 * REASON_CHARACTERS_MAX)]
    reference: (
        Annotated[
            str,
            Meta(
                pattern=r"^[0-9A-Za-z_-]{1,64}$",
                description="What the request calls itself: with the same one it is booked once.",
            ),
        ]
        | None
    ) = None


class GrantsApi:
    """The routes of an account's money.

    Args:
        statements: Reads the books.
        accounts: Where accounts are.
        book: Books a transfer; raises `Overdrawn` if there is not that much.
        disk: The single thread that uses all three.
        world: Clock and randomness.
    """

    def __init__(
        self,
        statements: Statements,
        accounts: AccountStore,
        book: Book,
        disk: Workers,
        world: World,
    ) -> None:
        self._statements = statements
        self._accounts = accounts
        self._book = book
        self._disk = disk
        self._world = world

    def routes(self) -> list[Route]:
        """Return the routes."""
        one = "/api/admin/accounts/{id}"
        return [
            Route("GET", f"{one}/ledger", self._ledger, "List an account's transfers",
                  query=Page, answer=TransferList, access="admin"),
            Route("POST", f"{one}/grants", self._grant, "Give credit, or take it back",
                  body=Grant, answer=BalanceFacts, access="admin"),
        ]  # fmt: skip

    async def _ledger(self, call: Call[Any]) -> TransferList:
        account = await self._account(call)
        return await transfer_page(self._statements, self._disk, account.account_id, call.query)

    async def _grant(self, call: Call[Grant]) -> BalanceFacts:
        nanos, reason = parse_dollars(call.body.amount), clean_reason(call.body.reason)
        if not nanos:
            raise InvalidRequest("`amount` is USD such as `5.00`, and not zero.", param="amount")
        if not reason:
            raise InvalidRequest(
                f"`reason` must have 1 to {REASON_CHARACTERS_MAX} printable characters.",
                param="reason",
            )
        account = await self._account(call)
        own = call.body.reference or self._world.random(_REFERENCE_BYTES).hex()
        # Whose it is stands in the books, and two administrators cannot be in each other's way.
        reference = f"{call.account.account_id}:{own}"
        account_id, now_ms = account.account_id, self._world.wall_ms()
        transfer = grant(account_id, nanos, reference, now_ms, reason)
        entry = audit_log.entry_of(
            call,
            now_ms,
            "account.grant",
            account_id,
            account=account_id,
            amount=format_dollars(nanos),
            reason=reason,
            reference=reference,
        )
        is_new, balance = await self._disk.run(lambda: self._booked(transfer, account_id, entry))
        if is_new:
            audit_log.tell(entry)
        return balance_facts(balance)

    def _booked(
        self, transfer: Transfer, account_id: str, entry: AuditEntry
    ) -> tuple[bool, Balance]:
        """Book a transfer, and return whether it is new, and the balance; in the disk's thread."""
        known = self._statements.transfer(("grant", "withdrawal"), transfer.reference)
        if known is not None and known._replace(created_ms=transfer.created_ms) != transfer:
            raise _reused()
        try:
            is_new = known is None and self._book(transfer, entry)
        except ReferenceReused:
            # Another process was faster.
            raise _reused() from None
        except BookFull as exc:
            raise InvalidRequest(str(exc), param="amount") from None
        except Overdrawn:
            raise InvalidRequest(
                "The account has not that much to take back.", param="amount"
            ) from None
        return is_new, self._statements.balance(account_id)

    async def _account(self, call: Call[Any]) -> Account:
        account_id = call.request.match_info["id"]
        found = await self._disk.run(lambda: self._accounts.find(account_id))
        if found is None:
            raise account_not_found()
        return found


def _reused() -> IdempotencyKeyReused:
    return IdempotencyKeyReused(
        "This reference stands for another grant. Use a new one for each, and the same one only "
        "to repeat it.",
        param="reference",
    )
