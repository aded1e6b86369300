"""A real SMTP server, aiosmtpd's, that keeps what it was sent.

Weakness: it runs in a thread of its own; `mails` is read by the test's.
"""

import email
import email.policy
import re
import ssl
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope, LoginPassword, Session

from harness.gateway import free_port

WAIT_S = 15.0
POLL_S = 0.01
LINK = re.compile(r"(?P<url>https?://\S+)#(?P<what>verify|reset)=(?P<token>t[vr]_[\w-]+)")


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail as the server got it."""

    sender: str
    recipients: Sequence[str]
    options: Sequence[str]
    message: EmailMessage
    encrypted: bool
    authenticated: bool

    @property
    def text(self) -> str:
        return self.message.get_content()

    @property
    def token(self) -> str:
        match = LINK.search(self.text)
        assert match, self.text
        return match["token"]


class SmtpServer:
    """The handler, and what came to it; `answers` come before anything is taken."""

    def __init__(self) -> None:
        self.mails: list[Mail] = []
        self.answers: list[str] = []
        self.tries = 0
        self.port = 0
        self.speaks_tls = False

    async def handle_DATA(self, _: Any, session: Session, envelope: Envelope) -> str:  # noqa: N802 -- aiosmtpd's name
        self.tries += 1
        if self.answers:
            return self.answers.pop(0)
        content = envelope.content
        assert isinstance(content, bytes)
        message = email.message_from_bytes(content, policy=email.policy.default)
        assert isinstance(message, EmailMessage)
        self.mails.append(
            Mail(
                str(envelope.mail_from),
                list(envelope.rcpt_tos),
                list(envelope.mail_options),
                message,
                session.ssl is not None or self.speaks_tls,
                bool(session.authenticated),
            )
        )
        return "250 OK"

    def next_mail(self, count: int = 1, to: str | None = None) -> Mail:
        """Wait until so many mails have come, all in all or to somebody; return the last."""
        end_s = time.monotonic() + WAIT_S
        while len(mails := [one for one in self.mails if to in (None, *one.recipients)]) < count:
            assert time.monotonic() < end_s, f"{len(mails)} mails have come"
            time.sleep(POLL_S)
        return mails[count - 1]


@contextmanager
def smtp_server(
    *,
    tls: ssl.SSLContext | None = None,
    starttls: bool = False,
    login: tuple[str, str] | None = None,
) -> Iterator[SmtpServer]:
    """Run a server on a free port of 127.0.0.1.

    Args:
        tls: Its certificate; without `starttls`, it speaks TLS from the beginning.
        starttls: Whether it speaks TLS after STARTTLS, and requires that.
        login: Who has to log in.
    """
    server = SmtpServer()
    server.port = free_port()
    # aiosmtpd itself knows of STARTTLS only.
    server.speaks_tls = tls is not None and not starttls

    def authenticate(*arguments: Any) -> AuthResult:
        data = arguments[-1]
        assert isinstance(data, LoginPassword)
        pair = (data.login.decode(), data.password.decode())
        return AuthResult(success=pair == login, handled=False)

    options: dict[str, Any] = {}
    if starttls:
        options |= {"tls_context": tls, "require_starttls": True}
    if login:
        options |= {
            "authenticator": authenticate,
            "auth_required": starttls,
            "auth_require_tls": starttls,
        }
    controller = Controller(
        server,
        hostname="127.0.0.1",
        port=server.port,
        ssl_context=None if starttls else tls,
        enable_SMTPUTF8=True,
        **options,
    )
    controller.start()
    try:
        yield server
    finally:
        controller.stop()
