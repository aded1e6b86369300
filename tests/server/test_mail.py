"""Mails over a real SMTP server: what arrives, and what is tried again."""

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trustme

from harness.mail import SmtpServer, smtp_server
from tokenferry.config.account_settings import MailSettings
from tokenferry.config.web_rules import Secret
from tokenferry.engine.links import Letter
from tokenferry.server.mail import SmtpMailer, compose

URL = "https://gateway.example"
LETTER = Letter("reset", "chulsoo@example.com", "ko", "tr_" + "A" * 43)


def settings(server: SmtpServer, security: str = "none", **more: object) -> MailSettings:
    return MailSettings(
        smtp_host="localhost",
        smtp_port=server.port,
        security=security,
        sender="gateway@example.com",
        **more,  # type: ignore[arg-type]
    )


@asynccontextmanager
async def mailer(
    wanted: MailSettings, tls: ssl.SSLContext | None = None
) -> AsyncIterator[SmtpMailer]:
    made = SmtpMailer(wanted, URL, (0.0, 0.0), tls)
    try:
        yield made
    finally:
        await made.close()


async def sent(made: SmtpMailer, *letters: Letter) -> None:
    for letter in letters:
        made.send(letter)
    await asyncio.wait(made._tasks, timeout=15)


async def test_a_mail_arrives_as_it_was_written() -> None:
    with smtp_server() as server:
        async with mailer(settings(server)) as made:
            await sent(made, LETTER)
        (mail,) = server.mails
    assert (mail.sender, mail.recipients) == ("gateway@example.com", ["chulsoo@example.com"])
    message = mail.message
    assert message["Subject"] == "새 비밀번호를 정해 주세요"
    assert (message["From"], message["To"]) == ("gateway@example.com", "chulsoo@example.com")
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Message-ID"].endswith("@example.com>")
    assert message.get_content_type() == "text/plain"
    assert message.get_content_charset() == "utf-8"
    assert "비밀번호 재설정 요청이 있었습니다" in mail.text
    assert f"{URL}/account#reset={LETTER.token}" in mail.text


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_encrypted_and_logged_in(security: str) -> None:
    authority = trustme.CA()
    own = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(own)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    login = ("user", "secret 비밀"[:6])
    starttls = security == "starttls"
    with smtp_server(tls=own, starttls=starttls, login=login) as server:
        wanted = settings(server, security, username=login[0], password=Secret(login[1]))
        async with mailer(wanted, trusting) as made:
            await sent(made, LETTER)
        (mail,) = server.mails
        assert mail.encrypted
        assert mail.authenticated
        # Nobody but the server with the right name is told anything.
        async with mailer(wanted) as made:
            await sent(made, LETTER)
        assert len(server.mails) == 1


async def test_without_encryption_nothing_is_sent_that_should_be_encrypted() -> None:
    with smtp_server() as server:
        async with mailer(settings(server, "starttls")) as made:
            await sent(made, LETTER)
        assert server.tries == 0


async def test_later_is_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    with smtp_server() as server, caplog.at_level(logging.WARNING):
        server.answers += ["451 later", "421 later"]
        async with mailer(settings(server)) as made:
            await sent(made, LETTER)
        assert (server.tries, len(server.mails)) == (3, 1)
    assert caplog.text.count("could not be sent yet") == 2


@pytest.mark.parametrize("answers", [["550 no"], ["451 later"] * 3])
async def test_it_is_given_up_in_the_end(
    answers: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    with smtp_server() as server, caplog.at_level(logging.WARNING):
        server.answers += answers
        async with mailer(settings(server)) as made:
            await sent(made, LETTER)
        assert (server.tries, server.mails) == (len(answers), [])
    assert "a mail was given up" in caplog.text
    for secret in (LETTER.to, LETTER.token):
        assert secret not in caplog.text


async def test_a_server_that_is_not_there(caplog: pytest.LogCaptureFixture) -> None:
    with smtp_server() as server:
        pass
    with caplog.at_level(logging.WARNING):
        async with mailer(settings(server)) as made:
            await sent(made, LETTER)
    assert caplog.text.count("could not be sent yet") == 2
    assert caplog.text.count("given up") == 1


async def test_a_local_part_beyond_ascii() -> None:
    with smtp_server() as server:
        async with mailer(settings(server)) as made:
            await sent(made, LETTER._replace(to="철수@한국.kr"))
        (mail,) = server.mails
    assert mail.recipients == ["철수@xn--3e0b707e.kr"]
    assert "SMTPUTF8" in mail.options
    assert mail.message["To"] == "철수@xn--3e0b707e.kr"


async def test_so_many_may_wait(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("tokenferry.server.mail.WAITING_MAX", 2)
    with smtp_server() as server, caplog.at_level(logging.ERROR):
        async with mailer(settings(server)) as made:
            await sent(made, *[LETTER] * 3)
        assert len(server.mails) == 2
    assert "2 wait already" in caplog.text


@pytest.mark.parametrize("to", ["o'brien!#$%&*/=?^_`{|}~-@example.com", "a+b@example.com"])
def test_odd_addresses_stay_what_they_are(to: str) -> None:
    message = compose(LETTER._replace(to=to), "gateway@example.com", URL)
    assert message["To"].addresses[0].addr_spec == to
