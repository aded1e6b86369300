"""The line that every change by an administrator leaves in the log: who, what, of what, and how.

Its logger is `tokenferry.audit`, and its fields stand by themselves in JSON: a collector of logs
can keep these lines for longer than others.

Weakness: it is a log and no store. Who may write to the log's file can change it.
"""

import logging
from typing import Any

from tokenferry.server.api_routes import Call

log = logging.getLogger("tokenferry.audit")


def record(call: Call[Any], action: str, target: str, **facts: object) -> None:
    """Write that an administrator has changed something.

    Args:
        call: The request that asked for it.
        action: What was done, such as `account.suspend`.
        target: What it was done to: an account's id, a model's name.
        facts: How; nothing that is secret.
    """
    account = call.account
    log.info(
        "an administrator's change",
        extra={
            "action": action,
            "target": target,
            "by": account.account_id,
            "by_email": account.email,
            **facts,
        },
    )
