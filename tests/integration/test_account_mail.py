"""Proving an address and replacing a forgotten password, with real mails."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from harness.accounts import PASSWORD, call, log_in, sign_up
from harness.gateway import SERVER, Gateway
from harness.http_client import Response
from harness.mail import SmtpServer, smtp_server

pytestmark = pytest.mark.asyncio(loop_scope="module")

URL = "https://gateway.example"
NEW = "another horse"
GIVEN = "2.00"


@pytest.fixture(scope="module")
def smtp() -> Iterator[SmtpServer]:
    with smtp_server() as server:
        yield server


@pytest.fixture(autouse=True)
def _empty(smtp: SmtpServer) -> None:
    smtp.mails.clear()


@pytest.fixture(scope="module")
def gateway_options(smtp: SmtpServer) -> dict[str, Any]:
    return {
        "server": {**SERVER, "public_url": URL},
        "tables": {
            "accounts": {"signup": "open", "signups_per_ip_per_hour": 0, "signups_per_hour": 0},
            "billing": {"signup_credit": GIVEN},
            "mail": {
                "smtp_host": "127.0.0.1",
                "smtp_port": smtp.port,
                "security": "none",
                "sender": "gateway@example.com",
            },
        },
    }


async def redeem(gateway: Gateway, token: str) -> Response:
    return await call(
        gateway, "POST", "/api/accounts/verify", {"token": token, "password": PASSWORD}
    )


async def reset(gateway: Gateway, token: str, password: str = NEW) -> Response:
    request = {"token": token, "password": password}
    return await call(gateway, "POST", "/api/password-resets/confirm", request)


async def verified(gateway: Gateway, smtp: SmtpServer, email: str) -> None:
    """Sign up, and follow the link."""
    await sign_up(gateway, email)
    mail = await asyncio.to_thread(smtp.next_mail)
    assert (await redeem(gateway, mail.token)).status == 200
    smtp.mails.clear()


async def balance(gateway: Gateway, email: str) -> str:
    return (await gateway.administer("accounts", "balance", email)).strip()


async def test_an_account_is_opened_by_the_link(gateway: Gateway, smtp: SmtpServer) -> None:
    email = "opened@example.com"
    request = {"email": email, "password": PASSWORD, "language": "ko"}
    answer = await call(gateway, "POST", "/api/accounts", request)
    assert (answer.status, answer.json) == (201, {"state": "unverified"})
    mail = await asyncio.to_thread(smtp.next_mail)
    assert mail.recipients == [email]
    assert mail.message["Subject"] == "이메일 주소를 확인해 주세요"
    assert f"{URL}/account#verify={mail.token}" in mail.text
    login = {"email": email, "password": PASSWORD}
    answer = await call(gateway, "POST", "/api/sessions", login)
    assert (answer.status, answer.error["code"]) == (403, "email_not_verified")
    assert await balance(gateway, email) == "0.00"
    answer = await redeem(gateway, mail.token)
    assert (answer.status, answer.json["state"]) == (200, "active")
    assert await balance(gateway, email) == GIVEN
    await log_in(gateway, email)
    answer = await redeem(gateway, mail.token)
    assert (answer.status, answer.error["code"]) == (400, "invalid_link")
    assert await balance(gateway, email) == GIVEN


async def test_a_link_is_good_once_however_often_it_comes_at_once(
    gateway: Gateway, smtp: SmtpServer
) -> None:
    email = "raced@example.com"
    await sign_up(gateway, email)
    token = (await asyncio.to_thread(smtp.next_mail)).token
    answers = await asyncio.gather(*(redeem(gateway, token) for _ in range(8)))
    assert sorted(answer.status for answer in answers) == [200] + [400] * 7
    assert await balance(gateway, email) == GIVEN


async def test_a_known_address_has_the_same_answer(gateway: Gateway, smtp: SmtpServer) -> None:
    email = "twice@example.com"
    first = await sign_up(gateway, email)
    await redeem(gateway, (await asyncio.to_thread(smtp.next_mail)).token)
    request = {"email": email, "password": NEW}
    second = await call(gateway, "POST", "/api/accounts", request)
    assert (second.status, second.body) == (first.status, first.body)
    mail = await asyncio.to_thread(smtp.next_mail, 2)
    assert mail.message["Subject"] == "You have an account already"
    await log_in(gateway, email)


async def test_a_forgotten_password(gateway: Gateway, smtp: SmtpServer) -> None:
    email = "forgotten@example.com"
    await verified(gateway, smtp, email)
    session = await log_in(gateway, email)
    known, unknown = [
        await call(gateway, "POST", "/api/password-resets", {"email": address})
        for address in (email, "nobody@example.com")
    ]
    assert known.status == unknown.status == 202
    assert known.body == unknown.body
    token = (await asyncio.to_thread(smtp.next_mail)).token
    assert (await reset(gateway, token, "short")).status == 400
    answers = await asyncio.gather(*(reset(gateway, token, f"{NEW} {n}") for n in range(4)))
    assert sorted(answer.status for answer in answers) == [204, 400, 400, 400]
    (winner,) = [n for n, answer in enumerate(answers) if answer.status == 204]
    answer = await session.call("GET", "/api/account")
    assert (answer.status, answer.error["code"]) == (401, "login_required")
    await log_in(gateway, email, f"{NEW} {winner}")
    # Nobody else was written to.
    assert len(smtp.mails) == 1


async def test_a_link_of_one_kind_is_no_good_as_the_other(
    gateway: Gateway, smtp: SmtpServer
) -> None:
    await sign_up(gateway, "kinds@example.com")
    token = (await asyncio.to_thread(smtp.next_mail)).token
    assert (await reset(gateway, token)).status == 400
    assert (await redeem(gateway, token)).status == 200


async def test_the_cookie_is_for_tls_alone_where_people_come_by_tls(
    gateway: Gateway, smtp: SmtpServer
) -> None:
    email = "secure@example.com"
    await verified(gateway, smtp, email)
    request = {"email": email, "password": PASSWORD}
    answer = await call(gateway, "POST", "/api/sessions", request)
    cookie, *attributes = answer.headers["set-cookie"].split("; ")
    assert "Secure" in attributes
    # The proxy in front may call the server by another name.
    answer = await call(gateway, "POST", "/api/keys", {"name": "k"}, Cookie=cookie, Origin=URL)
    assert answer.status == 201


async def test_a_mail_server_that_says_later_is_asked_again(
    gateway: Gateway, smtp: SmtpServer
) -> None:
    smtp.answers.append("451 later")
    await sign_up(gateway, "later@example.com")
    mail = await asyncio.to_thread(smtp.next_mail)
    assert (await redeem(gateway, mail.token)).status == 200


async def test_the_log_has_no_address_no_link_and_no_password(gateway: Gateway) -> None:
    log = gateway.log()
    for secret in ('example.com"', PASSWORD, "tv_", "tr_", "ts_"):
        assert secret not in log
