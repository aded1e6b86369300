"""Guests: browsers without key and login, which may talk to the built-in demo model.

A guest is known by a random text that the server has given to the browser; its streams belong to
the hash of that. Nothing is stored: whoever brings the text again is the same guest, also after a
restart, and nobody else is.

Source: docs/decisions/0019-chat-page.md.
Weakness: a program can pretend to be any number of guests. What one network may do is limited by
its connections, what one guest may do by `GUEST_LIMITS`, and what all may do by `GUESTS_TOGETHER`;
the state of these is in memory.
"""

import hashlib
import re
from collections.abc import Callable

from tokenferry.domain.allowance import Allowance, GivenLimits, KeyLimits
from tokenferry.domain.rate_limit import Allowed, check, per_minute, whole_ms
from tokenferry.engine.keys import Key
from tokenferry.engine.throttle import NS_PER_S, Remembered
from tokenferry.errors import RateLimited

# No key's public id has an underscore.
PREFIX = "guest_"
SECRET_BYTES = 16
_SECRET = re.compile(rf"[0-9a-f]{{{2 * SECRET_BYTES}}}")
_ID_CHARACTERS = 24
_ID = re.compile(rf"{PREFIX}[0-9a-f]{{{_ID_CHARACTERS}}}")
# A conversation by hand is far below; a flood by machine is not worth its trouble. Tokens bound
# what guests can make the journal hold.
GUEST_LIMITS = KeyLimits(
    owner=GivenLimits(requests_per_minute=20, tokens_per_minute=20_000, streams_max=4)
)
# What all of them may have together. With it the disk holds what programs do that pretend to be any
# number of guests, from any number of networks.
GUESTS_TOGETHER = Allowance(requests_per_minute=600, tokens_per_minute=600_000, streams_max=400)
MS_PER_S = 1_000


class Guests:
    """Tells guests apart, and holds off networks that have too many.

    Args:
        model: The only model that they may ask for; it must cost nobody anything.
        per_minute_max: Connections a minute and network; 0 for no limit.
        clock: Monotonic seconds.
    """

    def __init__(self, model: str, per_minute_max: int, clock: Callable[[], float]) -> None:
        self._models = frozenset({model})
        self._limit = per_minute(per_minute_max) if per_minute_max else None
        self._clock = clock
        self._arrivals_ns = Remembered(0)

    def count(self, network: str) -> None:
        """Count a connection that a guest is about to open.

        Raises:
            RateLimited: If its network has opened too many.
        """
        if self._limit is None:
            return
        now_ns = round(self._clock() * NS_PER_S)
        decision = check(self._limit, arrival_ns=self._arrivals_ns[network], now_ns=now_ns)
        if isinstance(decision, Allowed):
            self._arrivals_ns[network] = decision.arrival_ns
            return
        wait_ms = whole_ms(decision.retry_after_ns)
        raise RateLimited(
            "Too many guests came from your network. Log in, use an API key, or try again in "
            f"{wait_ms / MS_PER_S:g} seconds.",
            retry_after_ms=wait_ms,
        )

    @property
    def anybody(self) -> Key:
        """What all guests may do, without a name."""
        return self._key("")

    def known(self, public_id: str) -> Key | None:
        """Return the guest of this public id; None if it is the id of a key."""
        return self._key(public_id) if is_guest(public_id) else None

    def of_secret(self, secret: str | None) -> Key | None:
        """Return the guest who was given this text; None if nobody was given such a one."""
        if secret is None or not _SECRET.fullmatch(secret):
            return None
        return self._key(_public_id(secret))

    def newcomer(self, random: bytes) -> tuple[str, Key]:
        """Return what to give to a new guest, made from `SECRET_BYTES` random bytes, and who it is.

        The text is the only thing that tells this guest from others.
        """
        if len(random) != SECRET_BYTES:
            raise ValueError(f"a guest takes {SECRET_BYTES} random bytes, not {len(random)}")
        secret = random.hex()
        return secret, self._key(_public_id(secret))

    def _key(self, public_id: str) -> Key:
        return Key(public_id, "guest", models=self._models, limits=GUEST_LIMITS, is_guest=True)


def is_guest(public_id: str) -> bool:
    """Say whether this is the public id of a guest."""
    return _ID.fullmatch(public_id) is not None


def _public_id(secret: str) -> str:
    return PREFIX + hashlib.sha256(secret.encode()).hexdigest()[:_ID_CHARACTERS]
