"""POST /api/vouchers/redeem: a voucher becomes credit, once."""

from typing import Annotated

from msgspec import Meta, Struct

from tokenferry.domain.money import format_dollars
from tokenferry.domain.voucher import CODE_CHARACTERS_MAX
from tokenferry.engine.statement import Statements
from tokenferry.engine.vouchers import Redeemer
from tokenferry.engine.workers import Workers
from tokenferry.server.api_routes import Body, Call, Route


class VoucherCode(Body):
    """The code on the voucher; case, blanks and hyphens do not matter."""

    code: Annotated[str, Meta(min_length=1, max_length=CODE_CHARACTERS_MAX)]


class Redeemed(Struct):
    """What the voucher was worth, and what the account has now, in USD."""

    credited: str
    balance: str


class VouchersApi:
    """The route for vouchers.

    Args:
        redeemer: Redeems them.
        statements: Reads balances.
        disk: The thread for that.
    """

    def __init__(self, redeemer: Redeemer, statements: Statements, disk: Workers) -> None:
        self._redeemer = redeemer
        self._statements = statements
        self._disk = disk

    def routes(self) -> list[Route]:
        """Return the routes."""
        path = "/api/vouchers/redeem"
        return [
            Route("POST", path, self._redeem, "Redeem a voucher", body=VoucherCode, answer=Redeemed)
        ]

    async def _redeem(self, call: Call[VoucherCode]) -> Redeemed:
        account_id = call.account.account_id
        nanos = await self._redeemer.redeem(account_id, call.body.code)
        balance = await self._disk.run(lambda: self._statements.balance(account_id))
        return Redeemed(format_dollars(nanos), format_dollars(balance.balance_nanos))
