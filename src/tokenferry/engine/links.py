"""Links that are sent by mail: proof that an address is somebody's, good once and for a while.

Weakness: a mail that waits to be sent when the server stops is lost; another one can be asked for.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, Literal, NamedTuple, Protocol

from tokenferry.domain.account import (
    MAIL_PREFIXES,
    RANDOM_BYTES,
    Account,
    Language,
    Purpose,
    token_from_random,
    token_hash,
)
from tokenferry.engine.accounts import AccountStore
from tokenferry.engine.keys import StoreUnusable
from tokenferry.engine.throttle import HourlyLimit
from tokenferry.engine.workers import Workers
from tokenferry.errors import InvalidLink, TokenferryError

log = logging.getLogger(__name__)

MS_PER_HOUR = 3_600_000
VERIFY_MS = 48 * MS_PER_HOUR
RESET_MS = MS_PER_HOUR
# Nobody is sent more, whoever asks for it.
MAILS_PER_ADDRESS_PER_HOUR = 5

Kind = Literal["verify", "reset", "known"]


class Letter(NamedTuple):
    """A mail to be written.

    Attributes:
        kind: What it says: `known` is for who signs up and has an account already.
        to: The address.
        language: In which language.
        token: What its link carries.
    """

    kind: Kind
    to: str
    language: Language
    token: str


class Mailer(Protocol):
    """Where mails go."""

    def send(self, letter: Letter) -> None:
        """Send a mail, some time soon; what becomes of it is told to the log alone."""


class World(NamedTuple):
    """Clocks and dice.

    Attributes:
        wall_ms: Unix time.
        clock_ns: A monotonic clock.
        random: Returns that many random bytes.
    """

    wall_ms: Callable[[], int]
    clock_ns: Callable[[], int]
    random: Callable[[int], bytes]


class Links:
    """Makes links, sends them, and reads them again.

    Args:
        store: Where they are kept.
        disk: The thread that uses it.
        mailer: Where mails go; None where there is no mail.
        world: Clocks and dice.
    """

    def __init__(
        self, store: AccountStore, disk: Workers, mailer: Mailer | None, world: World
    ) -> None:
        self._store = store
        self._disk = disk
        self._mailer = mailer
        self._world = world
        self._mails_to = HourlyLimit(MAILS_PER_ADDRESS_PER_HOUR, world.clock_ns)
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def has_mail(self) -> bool:
        """Whether links can be sent at all."""
        return self._mailer is not None

    async def send(self, kind: Kind, account: Account) -> None:
        """Send an account a link, unless it was sent too many already."""
        address = account.email or ""
        if self._mailer is None or self._mails_to.wait_ns(address):
            return
        purpose: Purpose = "verify" if kind == "verify" else "reset"
        life_ms = VERIFY_MS if purpose == "verify" else RESET_MS
        token = token_from_random(MAIL_PREFIXES[purpose], self._world.random(RANDOM_BYTES))
        hashed = link_hash(token, purpose)
        expires_ms = self._world.wall_ms() + life_ms
        await self._disk.run(
            lambda: self._store.add_mail_token(account.account_id, purpose, hashed, expires_ms)
        )
        self._mailer.send(Letter(kind, address, account.language, token))

    def send_reset(self, address: str) -> None:
        """Send a link to the account with this address, if there is one; do not wait for it.

        How long it takes would tell what is not to be told.
        """
        self._spawn(self._send_reset(address))

    async def close(self) -> None:
        """Wait for what was begun, a second at most."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=1.0)

    async def _send_reset(self, address: str) -> None:
        account = await self._disk.run(lambda: self._store.find_by_email(address))
        if account is not None:
            await self.send("verify" if account.state == "unverified" else "reset", account)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled() or (exc := task.exception()) is None:
            return
        if isinstance(exc, StoreUnusable | TokenferryError):
            log.error("a link could not be sent: %s", exc)
        else:
            log.error("a link could not be sent", exc_info=exc)


def link_hash(token: str, purpose: Purpose) -> bytes:
    """Return the hash of a link's token.

    Raises:
        InvalidLink: If it has not the form of one.
    """
    hashed = token_hash(token, MAIL_PREFIXES[purpose])
    if hashed is None:
        raise invalid_link()
    return hashed


def invalid_link() -> InvalidLink:
    """Return the error for a link that is not good; why not is not told."""
    return InvalidLink(
        "The link is unknown, used, replaced by a newer one, or expired. Ask for another one.",
        param="token",
    )
