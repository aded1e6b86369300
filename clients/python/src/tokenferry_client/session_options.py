"""How a session behaves."""

import ssl
from dataclasses import dataclass

from tokenferry_client.clock import milliseconds
from tokenferry_client.link_options import LinkOptions


@dataclass(frozen=True, slots=True)
class SessionOptions:
    """How a session behaves.

    Attributes:
        connect_timeout_s: How long one attempt to connect may take.
        connect_attempts: How many may fail before the first one that succeeds.
        reconnect_for_s: How long a lost connection is tried to be made again.
        max_retries: How often one request may be refused by a limit, and wait; 0: never.
        queue_max: How many requests may wait for that.
        max_wait_s: How long one may wait in all.
        tls: Whom to trust, if not whom the system trusts.
    """

    connect_timeout_s: float = 10.0
    connect_attempts: int = 3
    reconnect_for_s: float = 300.0
    max_retries: int = 10
    queue_max: int = 1000
    max_wait_s: float = 120.0
    tls: ssl.SSLContext | None = None

    def of_link(self) -> LinkOptions:
        """Return what of it the link is made with."""
        return LinkOptions(
            notices=True,
            outage_ms_max=milliseconds(self.reconnect_for_s),
            retries_max=self.connect_attempts - 1,
            wait_ms_max=milliseconds(self.max_wait_s),
        )
