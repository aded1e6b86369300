"""The port of the audit trail: what administrators have changed, by whom and when.

An entry is written by the store that makes the change, in the same transaction: neither is there
without the other, whenever the process ends. Stores therefore take an entry beside what they are
to change, and write none where nothing was to be changed.

Source: docs/decisions/0020-audit-trail.md.
Weakness: whoever can write to the database's file can change what it says; the log's line is
elsewhere.
"""

from typing import Final, Literal, NamedTuple, Protocol, get_args

Action = Literal[
    "account.grant",
    "account.suspend",
    "account.unsuspend",
    "key.limit",
    "key.revoke",
    "price.set",
    "price.remove",
    "vouchers.make",
    "topup.refund",
    "topup.accept",
    "topup.close",
    "topup.abandon",
    "stream.stop",
    "stream.stopped",
    "ledger.check",
]
ACTIONS: Final[tuple[str, ...]] = get_args(Action)


class AuditEntry(NamedTuple):
    """One change.

    Attributes:
        moment_ms: Unix time.
        action: What was done, such as `account.suspend`.
        target: What it was done to: an account's id, a model's name.
        account_id: Whose that is; None for what is no account's.
        by_account: The administrator's account.
        by_email: Its address then.
        details: How, as a JSON object; nothing that is secret.
    """

    moment_ms: int
    action: str
    target: str
    account_id: str | None
    by_account: str
    by_email: str | None
    details: str


class AuditFilter(NamedTuple):
    """Which entries; what is None is not asked about.

    Attributes:
        limit: How many at most.
        account_id: Those about this account, and those by it.
        action: Those of this kind.
        from_ms: Of this moment or later.
        until_ms: Of before this moment.
        before: Those with lower numbers.
    """

    limit: int
    account_id: str | None = None
    action: str | None = None
    from_ms: int | None = None
    until_ms: int | None = None
    before: int | None = None


class AuditTrail(Protocol):
    """Where entries are kept for ever. Every method may raise `StoreUnusable`."""

    def append(self, entry: AuditEntry) -> None:
        """Store an entry about what is not in the database itself; it is durable on return."""

    def entries(self, wanted: AuditFilter) -> list[tuple[int, AuditEntry]]:
        """Return entries with their numbers, the newest first."""

    def close(self) -> None:
        """Let go of the store; idempotent."""
