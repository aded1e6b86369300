"""Sends mails by SMTP, in a thread of its own.

A server that is not there, or says "later", is asked again a few times; then the mail is given
up, which the log tells. No log has an address or a link.

Source: RFC 5321, section 4.2.1 (4yz is worth another try); RFC 6531 for addresses beyond ASCII;
RFC 3834, section 5 (`Auto-Submitted`).
Weakness: what waits is in memory.
"""

import asyncio
import logging
import smtplib
import ssl
from collections.abc import Sequence
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from email.utils import format_datetime, make_msgid

from tokenferry.config.account_settings import MailSettings
from tokenferry.domain.email_address import domain_to_ascii
from tokenferry.engine.links import Letter
from tokenferry.engine.workers import Workers
from tokenferry.errors import Overloaded
from tokenferry.server.mail_texts import text_of

log = logging.getLogger(__name__)

WAITING_MAX = 1_000
TIMEOUT_S = 30.0
RETRY_DELAYS_S = (5.0, 60.0, 300.0)
_TEMPORARY = range(400, 500)


class SmtpMailer:
    """Sends mails; see `Mailer`.

    Args:
        settings: The table `[mail]`.
        public_url: What links begin with.
        retry_delays_s: How long to wait before each further try.
        tls: What certificates are checked against; None for the system's.
    """

    def __init__(
        self,
        settings: MailSettings,
        public_url: str,
        retry_delays_s: Sequence[float] = RETRY_DELAYS_S,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._settings = settings
        self._public_url = public_url
        self._retry_delays_s = retry_delays_s
        self._tls = tls
        self._workers = Workers("mail", 1, WAITING_MAX)
        self._tasks: set[asyncio.Task[None]] = set()

    def send(self, letter: Letter) -> None:
        """Send a mail, some time soon; what becomes of it is told to the log alone."""
        if len(self._tasks) >= WAITING_MAX:
            log.error("a mail was given up: %d wait already", len(self._tasks))
            return
        task = asyncio.get_running_loop().create_task(self._deliver(letter))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Give what is on its way a moment, and drop the rest."""
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=1.0)
            for task in late:
                task.cancel()
        await asyncio.to_thread(self._workers.close)

    async def _deliver(self, letter: Letter) -> None:
        message = compose(letter, self._settings.sender, self._public_url)
        for delay_s in (*self._retry_delays_s, None):
            try:
                await self._workers.run(lambda: self._send(message))
            except (OSError, smtplib.SMTPException, Overloaded) as exc:
                if delay_s is None or not _is_temporary(exc):
                    log.error("a mail was given up: %s", _explain(exc))  # noqa: TRY400 -- the message says all
                    return
                log.warning("a mail could not be sent yet: %s", _explain(exc))
                await asyncio.sleep(delay_s)
            else:
                return

    def _send(self, message: EmailMessage) -> None:
        settings = self._settings
        tls = self._tls or ssl.create_default_context()
        host, port = settings.smtp_host, settings.smtp_port
        client: smtplib.SMTP
        if settings.security == "tls":
            client = smtplib.SMTP_SSL(host, port, timeout=TIMEOUT_S, context=tls)
        else:
            client = smtplib.SMTP(host, port, timeout=TIMEOUT_S)
        with client:
            if settings.security == "starttls":
                client.starttls(context=tls)
            if settings.username:
                client.login(settings.username, settings.password.reveal())
            client.send_message(message)


def compose(letter: Letter, sender: str, public_url: str) -> EmailMessage:
    """Return a mail as it is sent."""
    text = text_of(letter, public_url)
    ascii_only = letter.to.rpartition("@")[0].isascii() and sender.rpartition("@")[0].isascii()
    message = EmailMessage(policy=SMTP if ascii_only else SMTPUTF8)
    message["From"] = _header_address(sender)
    message["To"] = _header_address(letter.to)
    message["Subject"] = text.subject
    message["Date"] = format_datetime(datetime.now(UTC))
    message["Message-ID"] = make_msgid(domain=_header_address(sender).domain)
    message["Auto-Submitted"] = "auto-generated"
    message["Content-Language"] = letter.language
    # Base64 passes every server unchanged; 8bit would need one that says so.
    message.set_content(text.body, cte="base64")
    return message


def _header_address(email: str) -> Address:
    local, _, domain = email.rpartition("@")
    return Address(username=local, domain=domain_to_ascii(domain) or domain)


def _is_temporary(exc: Exception) -> bool:
    if isinstance(exc, smtplib.SMTPRecipientsRefused):
        return all(code in _TEMPORARY for code, _ in exc.recipients.values())
    if isinstance(exc, smtplib.SMTPResponseException):
        return exc.smtp_code in _TEMPORARY
    # A server without STARTTLS or without SMTPUTF8 will not have it in a minute.
    return not isinstance(exc, smtplib.SMTPNotSupportedError | ssl.SSLCertVerificationError)


def _explain(exc: Exception) -> str:
    """Return what went wrong, without the address, which servers like to repeat."""
    if isinstance(exc, smtplib.SMTPRecipientsRefused):
        codes = sorted({str(code) for code, _ in exc.recipients.values()})
        return f"the recipient was refused ({', '.join(codes)})"
    if isinstance(exc, smtplib.SMTPResponseException):
        return f"{type(exc).__name__} ({exc.smtp_code})"
    return f"{type(exc).__name__}: {exc}"
