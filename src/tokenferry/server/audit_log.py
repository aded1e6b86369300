"""What every change by an administrator leaves: an entry of the audit trail, and a line in the log.

The entry is for the store that makes the change, see `engine.audit_trail`. The line has the same
facts, and follows when the change was made. Its logger is `tokenferry.audit`, and its fields stand
by themselves in JSON: a collector of logs can keep these lines, and elsewhere than the database.
"""

import logging
from typing import Any

import msgspec

from tokenferry.engine.audit_trail import Action, AuditEntry
from tokenferry.server.api_routes import Call

log = logging.getLogger("tokenferry.audit")


def entry_of(
    call: Call[Any],
    moment_ms: int,
    action: Action,
    target: str,
    *,
    account: str | None = None,
    **facts: object,
) -> AuditEntry:
    """Return what there is to say of a change.

    Args:
        call: The request that asked for it.
        moment_ms: Unix time.
        action: What is done, such as `account.suspend`.
        target: What it is done to: an account's id, a model's name.
        account: Whose that is; None for what is no account's.
        facts: How; nothing that is secret.
    """
    by = call.account
    details = msgspec.json.encode(facts).decode()
    return AuditEntry(moment_ms, action, target, account, by.account_id, by.email, details)


def tell(entry: AuditEntry) -> None:
    """Write into the log that an administrator has changed something."""
    owner = {} if entry.account_id in (None, entry.target) else {"account": entry.account_id}
    log.info(
        "an administrator's change",
        extra={
            "action": entry.action,
            "target": entry.target,
            "by": entry.by_account,
            "by_email": entry.by_email,
            **owner,
            **msgspec.json.decode(entry.details),
        },
    )
