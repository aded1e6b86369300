"""The server's own certificate: loaded with a sentence for what is wrong, and anew on SIGHUP.

Certificates are renewed every few weeks, and a restart for it would end every connection. A
context of `ssl` takes another chain while it is used: handshakes from then on have that one.

Source: https://docs.python.org/3/library/ssl.html#ssl.SSLContext.load_cert_chain (2026-11).
Weakness: between two writes of a tool that renews, files may not belong together; the signal is to
come after both.
"""

import asyncio
import contextlib
import logging
import signal
import ssl
from collections.abc import Iterator
from pathlib import Path

log = logging.getLogger(__name__)


class CertificateUnusable(Exception):
    """The server's certificate or its key cannot be used; the message says why and what to do."""


class _Encrypted(Exception):
    """The key has a passphrase."""


def server_context(chain: Path, key: Path) -> ssl.SSLContext:
    """Return the context with which clients are served.

    Raises:
        CertificateUnusable: If the files cannot be used.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(chain, key, password=_no_passphrase)
    except (OSError, _Encrypted) as exc:
        raise CertificateUnusable(_fault(chain, key, exc)) from exc
    return context


@contextlib.contextmanager
def renewed_on_signal(context: ssl.SSLContext, chain: Path, key: Path) -> Iterator[None]:
    """Load the files again whenever SIGHUP comes; what cannot be used is not taken."""

    def renew() -> None:
        try:
            server_context(chain, key)  # a fault would leave `context` without a certificate
            context.load_cert_chain(chain, key, password=_no_passphrase)
        except (CertificateUnusable, OSError, _Encrypted) as exc:
            log.error("SIGHUP: the earlier certificate stays. %s", exc)  # noqa: TRY400
        else:
            log.info("SIGHUP: new connections get the certificate that is in %s now", chain)

    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, renew)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGHUP)


def _no_passphrase() -> str:
    # Otherwise OpenSSL asks at the terminal, where a service has none.
    raise _Encrypted


def _fault(chain: Path, key: Path, exc: Exception) -> str:
    if isinstance(exc, _Encrypted):
        return (
            f"The key {key} has a passphrase, which a service cannot be asked for. Write it "
            f"without one: openssl pkey -in {key} -out FILE"
        )
    if not isinstance(exc, ssl.SSLError):
        reason = getattr(exc, "strerror", None) or exc
        return f"The certificate {chain} or its key {key} cannot be read: {reason}."
    if exc.reason == "KEY_VALUES_MISMATCH":
        return (
            f"{key} is not the key of the certificate {chain}. Name the two that belong together."
        )
    return (
        f"{chain} and {key} are not a certificate chain and its key in PEM form "
        f"({exc.reason or exc}). Name two such files."
    )
