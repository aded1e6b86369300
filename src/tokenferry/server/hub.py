"""The hub: every open client connection, what they share, and the one sweep over all of them.

One timer serves all connections: pings, heartbeats, authentication time-outs and lost keys are
found by walking the connections a few times a second, not by timers of each.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Coroutine
from dataclasses import dataclass
from typing import Any, Protocol

from tokenferry.config.server_settings import ServerSettings
from tokenferry.domain.ledger import OPERATOR
from tokenferry.domain.money import format_dollars
from tokenferry.engine.dispatcher import Dispatcher
from tokenferry.engine.guests import Guests
from tokenferry.engine.keys import Authenticator, Key, StoreUnusable
from tokenferry.errors import LoginRequired, Overloaded, TokenferryError, TooManyConnections
from tokenferry.server.metrics import Metrics
from tokenferry.server.request_body import Room
from tokenferry.server.tickets import Tickets

log = logging.getLogger(__name__)

SWEEP_INTERVAL_S = 1.0
REVOCATION_INTERVAL_S = 0.2
LOGINS_INTERVAL_S = 1.0
# Nobody knows when a connection closes; a client that is not told anything comes back sooner.
FULL_RETRY_MS = 1_000
COMING_BYTES_MIN = 64 * 1024
# No account, and not all guests together, have more than one of so many parts of all connections.
SHARES = 4


class Swept(Protocol):
    """An open connection."""

    key: Key | None

    @property
    def coming_bytes(self) -> int:
        """What has come of a message that is not complete."""

    def sweep(self, now_s: float) -> None:
        """Do what is due at this time."""

    def credit_low(self, account_id: str, balance: str) -> None:
        """Tell the client that its account's credit runs low, if it is that account's."""

    def revoke(self, error: TokenferryError) -> None:
        """Close, because the key is no longer good."""


@dataclass(frozen=True, slots=True)
class Shared:
    """What all connections work with."""

    settings: ServerSettings
    dispatcher: Dispatcher
    authenticator: Authenticator
    tickets: Tickets
    metrics: Metrics
    guests: Guests | None = None


class Hub:
    """The open connections.

    Args:
        shared: What they work with.
        loop: The event loop.

    Attributes:
        connections: All that are open.
        logins: Which of them were opened by a login, and by which.
        room: What bodies of requests may take while they arrive.
        strangers: How many have not said yet whose they are.
        trusted_proxies: How many proxies of one's own are in front.
        low_balance_nanos: Below it an account's clients are told so.
    """

    def __init__(self, shared: Shared, loop: asyncio.AbstractEventLoop) -> None:
        self.shared = shared
        self.loop = loop
        self.connections: set[Swept] = set()
        self.logins: dict[Swept, bytes] = {}
        self.room = Room(shared.settings.body_bytes_max)
        self.strangers = 0
        self.low_balance_nanos = 0
        self.trusted_proxies = 0
        self.now_s = time.monotonic()
        self._per_key: Counter[str] = Counter()
        self._per_owner: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()

    def admit(self, key: Key, *, was_stranger: bool = False) -> None:
        """Count a connection of a key.

        Args:
            key: The key.
            was_stranger: Whether the connection was open before it said whose it is.

        Raises:
            TooManyConnections: If the key has as many as it may, or its account.
        """
        share = -(-self.shared.settings.connections_max // SHARES)
        owner = _owner(key)
        if owner != OPERATOR and self._per_owner[owner] >= share:
            raise TooManyConnections(
                f"One account may have {share} connections open at once, a part of all that this "
                "server has.",
                retry_after_ms=FULL_RETRY_MS,
            )
        limit = self.shared.settings.connections_per_key_max
        if self._per_key[key.public_id] >= limit:
            raise TooManyConnections(
                f"This key may have {limit} connections open at once.",
                retry_after_ms=FULL_RETRY_MS,
            )
        self._per_key[key.public_id] += 1
        self._per_owner[owner] += 1
        if was_stranger:
            self.strangers -= 1

    def check_room(self) -> None:
        """Make sure that there is room for one more connection.

        Raises:
            Overloaded: If the server has as many as it may.
        """
        limit = self.shared.settings.connections_max
        if len(self.connections) >= limit:
            raise Overloaded(f"This server has its {limit} connections; try again later.")

    def check_strangers(self) -> None:
        """Make sure that there is room for one more connection that is to say whose it is.

        Raises:
            Overloaded: If half of all connections have not said so yet: the rest is for others.
        """
        if self.strangers >= -(-self.shared.settings.connections_max // 2):
            raise Overloaded(
                "Too many connections have not authenticated; try again in a moment, or "
                "authenticate by a header or a ticket.",
                retry_after_ms=FULL_RETRY_MS,
            )

    def leave(self, key: Key) -> None:
        """Count a connection of a key that has closed."""
        for counter, name in ((self._per_key, key.public_id), (self._per_owner, _owner(key))):
            counter[name] -= 1
            if not counter[name]:
                del counter[name]

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something that a connection cannot wait for, such as a close handshake."""
        task = self.loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (exc := task.exception()) is not None:
            log.error("a connection's task failed", exc_info=exc)

    def charged(self, account_id: str, before_nanos: int, after_nanos: int) -> None:
        """Tell an account's clients when a charge takes its balance below the mark."""
        mark = self.low_balance_nanos
        if account_id != OPERATOR and after_nanos < mark <= before_nanos:
            balance = format_dollars(after_nanos)
            for connection in list(self.connections):
                connection.credit_low(account_id, balance)

    async def sweep_forever(self) -> None:
        """Walk the connections until cancelled."""
        while True:
            await asyncio.sleep(SWEEP_INTERVAL_S)
            self.now_s = now_s = time.monotonic()
            for connection in list(self.connections):
                connection.sweep(now_s)
            self._shed()

    def _shed(self) -> None:
        """Close what has more unfinished messages under way than an account has room for.

        Whoever has not said yet who they are count as one. Small ones are left alone.
        """
        coming: dict[str, list[Swept]] = {}
        for connection in self.connections:
            if connection.coming_bytes > COMING_BYTES_MIN:
                owner = "" if connection.key is None else _owner(connection.key)
                coming.setdefault(owner, []).append(connection)
        for owner, connections in coming.items():
            total = sum(each.coming_bytes for each in connections)
            if owner != OPERATOR and total > self.room.each_max:
                error = Overloaded("Too many large messages are arriving at once; send fewer.")
                for connection in connections:
                    connection.revoke(error)

    async def watch_revocations(self) -> None:
        """Close the connections and streams of keys that are good no longer, until cancelled."""
        while True:
            await asyncio.sleep(REVOCATION_INTERVAL_S)
            try:
                lost = dict(self.shared.authenticator.lost_since_last_poll())
            except StoreUnusable as exc:
                log.error("cannot read revocations: %s", exc)  # noqa: TRY400 -- the message says all
                continue
            if lost:
                for public_id, error in lost.items():
                    self.shared.dispatcher.abort_owned(public_id, error)
                for connection in list(self.connections):
                    if connection.key is not None and connection.key.public_id in lost:
                        connection.revoke(lost[connection.key.public_id])

    async def watch_logins(
        self, lasting: Callable[[Collection[bytes]], Awaitable[Collection[bytes]]]
    ) -> None:
        """Close the connections whose login has ended, until cancelled.

        A login ends for its owner, who logs out or has a new password, and for whoever else had it.

        Args:
            lasting: Returns those of some logins that have not ended.
        """
        while True:
            await asyncio.sleep(LOGINS_INTERVAL_S)
            asked = frozenset(self.logins.values())
            try:
                ended = asked.difference(await lasting(asked)) if asked else asked
            except (StoreUnusable, TokenferryError) as exc:
                log.error("cannot read logins: %s", exc)  # noqa: TRY400 -- the message says all
                continue
            for connection, login in list(self.logins.items()):
                if login in ended:
                    del self.logins[connection]
                    connection.revoke(LoginRequired("The login has ended. Log in again."))

    async def close(self) -> None:
        """Wait for what was spawned, a second at most."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=1.0)


def _owner(key: Key) -> str:
    """Return whose connections are counted together; the operator's keys have no limit together."""
    return "guests" if key.is_guest else key.account_id
