"""Hashes passwords with Argon2id, in threads of their own.

Source: OWASP Password Storage Cheat Sheet, November 2026: 19 MiB, 2 passes, 1 lane at least. That
takes some 20 ms of a core; two threads need 40 MiB.
"""

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError, VerifyMismatchError

from tokenferry.engine.workers import Workers

MEMORY_KIB = 19_456
PASSES = 2
LANES = 1
THREADS = 2
# Beyond two seconds of waiting nobody logs in who is not trying to do harm.
WAITING_MAX = 100


def hasher() -> PasswordHasher:
    """Return what hashes with today's effort."""
    return PasswordHasher(time_cost=PASSES, memory_cost=MEMORY_KIB, parallelism=LANES)


class Argon2Passwords:
    """The hashing of passwords; see `Passwords`."""

    def __init__(self) -> None:
        self._workers = Workers("passwords", THREADS, WAITING_MAX)
        self._hasher = hasher()
        # Verified in place of the hash that an unknown address has not.
        self._no_hash = self._hasher.hash("nobody's password")

    async def hash(self, password: str) -> str:
        """Return the hash of a (normalised) password."""
        return await self._workers.run(lambda: self._hasher.hash(password))

    async def verify(self, password_hash: str | None, password: str) -> bool:
        """Return whether a password is the hashed one; without a hash, False, as slowly."""
        same = await self._workers.run(
            lambda: self._verify(
                self._no_hash if password_hash is None else password_hash, password
            )
        )
        return same and password_hash is not None

    def is_weak(self, password_hash: str) -> bool:
        """Return whether a hash was made with less effort than one is today."""
        return self._hasher.check_needs_rehash(password_hash)

    def close(self) -> None:
        """Let go of the threads."""
        self._workers.close()

    def _verify(self, password_hash: str, password: str) -> bool:
        try:
            return self._hasher.verify(password_hash, password)
        except VerifyMismatchError:
            return False
        except (VerificationError, InvalidHashError, UnicodeEncodeError):
            return False  # a damaged hash, or half of a character: nobody's password
