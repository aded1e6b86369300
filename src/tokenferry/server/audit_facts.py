"""An entry of the audit trail as the API and the command show it."""

from typing import Any

import msgspec
from msgspec import Struct

from tokenferry.engine.audit_trail import AuditEntry

MS_PER_S = 1000


class AuditEntryFacts(Struct):
    """One change by an administrator.

    `account` is whose the target is, null for what is no account's; `by` is the administrator's
    account and `by_email` its address then. `details` says how, and depends on the action.
    """

    number: int
    created: int
    action: str
    target: str
    account: str | None
    by: str
    by_email: str | None
    details: dict[str, Any]


def entry_facts(number: int, entry: AuditEntry) -> AuditEntryFacts:
    """Return an entry as it is shown."""
    return AuditEntryFacts(
        number,
        entry.moment_ms // MS_PER_S,
        entry.action,
        entry.target,
        entry.account_id,
        entry.by_account,
        entry.by_email,
        msgspec.json.decode(entry.details, type=dict[str, Any]),
    )
