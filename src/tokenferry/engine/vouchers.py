"""Vouchers: made by the operator, redeemed by accounts, each once.

Tries are counted for each account before a code is looked up, so that nobody can go on guessing.
"""

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, Protocol

from tokenferry.domain import voucher
from tokenferry.domain.money import parse_dollars
from tokenferry.engine.audit_trail import AuditEntry
from tokenferry.engine.throttle import NS_PER_MS, HourlyLimit
from tokenferry.engine.workers import Workers
from tokenferry.errors import RateLimited, VoucherExpired, VoucherNotFound, VoucherRedeemed

# More than anybody has to redeem, and nothing to somebody who guesses 95 bits.
TRIES_PER_HOUR = 60
VOUCHERS_MAX = 10_000
BATCH_CHARACTERS_MAX = 64


class NewVoucher(NamedTuple):
    """A voucher as it is stored first.

    Attributes:
        code_hash: See `domain.voucher`.
        voucher_id: Names it in lists and in the books.
        batch: What it was made with.
        amount_nanos: What it is worth.
        created_ms: Unix time.
        expires_ms: Unix time from which it is worth nothing; None for never.
    """

    code_hash: bytes
    voucher_id: str
    batch: str
    amount_nanos: int
    created_ms: int
    expires_ms: int | None


class VoucherRow(NamedTuple):
    """A voucher in a list; `redeemed_ms` and `account_id` are None while it is good."""

    voucher_id: str
    batch: str
    amount_nanos: int
    created_ms: int
    expires_ms: int | None
    redeemed_ms: int | None
    account_id: str | None


Redemption = int | Literal["unknown", "redeemed", "expired"]


class VoucherStore(Protocol):
    """Where vouchers are kept. Every method may raise `StoreUnusable`."""

    def add(self, vouchers: Sequence[NewVoucher], entry: AuditEntry | None = None) -> None:
        """Store new vouchers and the entry, all or none."""

    def redeem(self, code_hash: bytes, account_id: str, now_ms: int) -> Redemption:
        """Credit an account with a voucher, once, and return its nano-dollars or why not."""

    def listing(self, batch: str | None) -> list[VoucherRow]:
        """Return vouchers, oldest first."""

    def latest(
        self, batch: str | None, limit: int, before: tuple[int, str] | None
    ) -> list[VoucherRow]:
        """Return vouchers, the newest first, those before a (moment, id)."""

    def close(self) -> None:
        """Let go of the store; idempotent."""


class Redeemer:
    """Redeems vouchers.

    Args:
        store: Where they are.
        disk: The thread that uses it.
        wall_ms: The wall clock, Unix time.
        clock_ns: A monotonic clock.
    """

    def __init__(
        self,
        store: VoucherStore,
        disk: Workers,
        wall_ms: Callable[[], int],
        clock_ns: Callable[[], int],
    ) -> None:
        self._store = store
        self._disk = disk
        self._wall_ms = wall_ms
        self._tries = HourlyLimit(TRIES_PER_HOUR, clock_ns)

    async def redeem(self, account_id: str, text: str) -> int:
        """Credit an account with a voucher and return its nano-dollars.

        Raises:
            RateLimited: If the account has tried too often.
            VoucherNotFound: If there is no such code.
            VoucherRedeemed: If it was redeemed before, by whomever.
            VoucherExpired: If it is too old.
            StoreUnusable: If the store fails; nothing was redeemed.
        """
        if wait_ns := self._tries.wait_ns(account_id):
            raise RateLimited(
                "Too many voucher codes were tried. Wait before you try another one.",
                retry_after_ms=-(-wait_ns // NS_PER_MS),
            )
        code = voucher.parse_code(text)
        if code is None:
            raise VoucherNotFound(
                "The code does not have the form of a voucher, TF-XXXX-XXXX-XXXX-XXXX-XXXX, or a "
                "character of it is wrong. Check every character.",
                param="code",
            )
        code_hash, now_ms = voucher.hash_code(code), self._wall_ms()
        outcome = await self._disk.run(lambda: self._store.redeem(code_hash, account_id, now_ms))
        if outcome == "unknown":
            raise VoucherNotFound("There is no such voucher. Check every character.", param="code")
        if outcome == "redeemed":
            raise VoucherRedeemed("This voucher has been redeemed already.", param="code")
        if outcome == "expired":
            raise VoucherExpired("This voucher has expired.", param="code")
        return outcome


def wanted_voucher(
    amount: str, batch: str, made_ms: int, expires_ms: int | None = None
) -> NewVoucher:
    """Return what new vouchers are to be like, for `new_vouchers`.

    Args:
        amount: What each is worth, decimal USD.
        batch: What they are made for.
        made_ms: Unix time.
        expires_ms: Unix time from which they are worth nothing; None for never.

    Raises:
        ValueError: If there can be no such vouchers: the field's name, and what is wrong.
    """
    amount_nanos = parse_dollars(amount)
    if amount_nanos is None or amount_nanos <= 0:
        raise ValueError("amount", "a voucher is worth an amount of USD above zero, such as 5.00")
    if not 1 <= len(batch) <= BATCH_CHARACTERS_MAX or not batch.isprintable():
        raise ValueError(
            "batch", f"a batch's name has 1 to {BATCH_CHARACTERS_MAX} printable characters"
        )
    if expires_ms is not None and expires_ms <= made_ms:
        raise ValueError("expires", "a voucher expires in the future; name a later day")
    return NewVoucher(b"", "", batch, amount_nanos, made_ms, expires_ms)


def new_vouchers(
    store: VoucherStore,
    wanted: NewVoucher,
    count: int,
    token_source: Callable[[int], bytes],
    entry: AuditEntry | None = None,
) -> list[str]:
    """Make vouchers and return their codes, which cannot be had again.

    Args:
        store: Where they are kept.
        wanted: What each is like; its hash and id are made here.
        count: How many, at most `VOUCHERS_MAX`.
        token_source: Returns that many random bytes, as `secrets.token_bytes` does.
        entry: What the audit trail is to say of it.

    Raises:
        StoreUnusable: If the store fails; then there is none of them.
    """
    codes = [voucher.code_from_random(token_source(voucher.RANDOM_BYTES)) for _ in range(count)]
    store.add(
        [
            wanted._replace(
                code_hash=voucher.hash_code(code),
                voucher_id=f"v_{token_source(voucher.VOUCHER_ID_BYTES).hex()}",
            )
            for code in codes
        ],
        entry,
    )
    return codes
