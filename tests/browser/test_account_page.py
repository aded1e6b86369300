"""The links of mails in a browser, against a real gateway and a real mail server."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from playwright.async_api import expect

from harness.accounts import PASSWORD, call, log_in, sign_up
from harness.gateway import SERVER, Gateway
from harness.mail import SmtpServer, smtp_server

pytestmark = [pytest.mark.needs("chromium"), pytest.mark.asyncio(loop_scope="module")]

NEW = "가나다라마바사아자차"


@pytest.fixture(scope="module")
def smtp() -> Iterator[SmtpServer]:
    with smtp_server() as server:
        yield server


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(
    tmp_path_factory: pytest.TempPathFactory, smtp: SmtpServer
) -> AsyncIterator[Gateway]:
    mail = {
        "smtp_host": "127.0.0.1",
        "smtp_port": smtp.port,
        "security": "none",
        "sender": "gateway@example.com",
    }
    running = Gateway(
        tmp_path_factory.mktemp("account"),
        server={**SERVER, "public_url": "https://gateway.example"},
        tables={"accounts": {"signup": "open"}, "mail": mail},
    )
    await running.start()
    try:
        yield running
        await running.stop()
    finally:
        await running.kill()


async def link(gateway: Gateway, smtp: SmtpServer, count: int) -> str:
    """Return the link of the mail with this number, at the gateway's own address."""
    text = (await asyncio.to_thread(smtp.next_mail, count)).text
    (line,) = [line for line in text.splitlines() if "/account#" in line]
    return line.replace("https://gateway.example", gateway.url)


async def test_an_address_is_proven_and_a_password_replaced(
    gateway: Gateway, smtp: SmtpServer, open_page, watch
) -> None:
    email = "browser@example.com"
    await sign_up(gateway, email)
    address = await link(gateway, smtp, 1)
    page = await open_page(address)
    # Looking at it uses nothing up, and the token does not stay in the address bar.
    assert page.url == f"{gateway.url}/account"
    await page.fill("#password", PASSWORD)
    await page.click("#go")
    await expect(page.locator("#outcome")).to_have_text(
        "Done. The account is open: you can log in."
    )
    await log_in(gateway, email)

    watch.expected = ("400",)
    page = await open_page(address)
    await page.fill("#password", NEW)
    await page.click("#go")
    await expect(page.locator("#outcome")).to_contain_text("The link is unknown, used")

    await call(gateway, "POST", "/api/password-resets", {"email": email})
    page = await open_page(await link(gateway, smtp, 2), language="ko")
    await page.fill("#password", "password123")
    await page.click("#go")
    await expect(page.locator("#outcome")).to_contain_text("다른 비밀번호를 정해 주세요")
    await page.fill("#password", NEW)
    await page.press("#password", "Enter")
    await expect(page.locator("#outcome")).to_contain_text("완료되었습니다.")
    await log_in(gateway, email, NEW)
    request = {"email": email, "password": PASSWORD}
    assert (await call(gateway, "POST", "/api/sessions", request)).status == 401


async def test_without_a_link_there_is_nothing_to_do(gateway: Gateway, open_page) -> None:
    page = await open_page(f"{gateway.url}/account")
    await expect(page.locator("#outcome")).to_contain_text("There is no link here.")
    await expect(page.locator("#mail-link")).to_be_hidden()
