"""The links of mails in a browser, against a real gateway and a real mail server."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from playwright.async_api import expect

from harness.accounts import PASSWORD, call, log_in, sign_up
from harness.gateway import SERVER, Gateway
from harness.mail import SmtpServer, smtp_server

pytestmark = [pytest.mark.needs("chromium", "web"), pytest.mark.asyncio(loop_scope="module")]

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


async def link(gateway: Gateway, smtp: SmtpServer, to: str, count: int) -> str:
    """Return the link of somebody's mail with this number, at the gateway's own address."""
    text = (await asyncio.to_thread(smtp.next_mail, count, to)).text
    (line,) = [line for line in text.splitlines() if "/account#" in line]
    return line.replace("https://gateway.example", gateway.url)


async def test_an_address_is_proven_and_a_password_replaced(
    gateway: Gateway, smtp: SmtpServer, open_page, watch
) -> None:
    email = "browser@example.com"
    # Nobody has logged in, and the link is used twice.
    watch.expected = ("401", "400")
    await sign_up(gateway, email)
    address = await link(gateway, smtp, email, 1)
    page = await open_page(address)
    # Looking at it uses nothing up, and the token does not stay in the address bar.
    assert page.url == f"{gateway.url}/account"
    await page.get_by_label("New password").fill(PASSWORD)
    await page.get_by_role("button", name="Confirm").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("The account is open.")
    await page.get_by_role("link", name="Log in").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Log in")
    await log_in(gateway, email)

    page = await open_page(address)
    await page.get_by_label("New password").fill(NEW)
    await page.get_by_role("button", name="Confirm").click()
    await expect(page.get_by_role("alert")).to_contain_text("The link is unknown, used")

    await call(gateway, "POST", "/api/password-resets", {"email": email})
    page = await open_page(await link(gateway, smtp, email, 2), language="ko")
    await page.get_by_label("새 비밀번호").fill("password123")
    await page.get_by_role("button", name="확인").click()
    await expect(page.get_by_role("alert")).to_contain_text("다른 비밀번호를 정해 주세요")
    await page.get_by_label("새 비밀번호").fill(NEW)
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", level=1)).to_have_text("비밀번호를 변경했습니다.")
    await log_in(gateway, email, NEW)
    request = {"email": email, "password": PASSWORD}
    assert (await call(gateway, "POST", "/api/sessions", request)).status == 401


async def test_without_a_link_there_is_nothing_to_do(gateway: Gateway, open_page, watch) -> None:
    watch.expected = ("401",)
    page = await open_page(f"{gateway.url}/account")
    await expect(page.get_by_role("heading", level=1)).to_have_text("There is no link here")
    await expect(page.locator("form")).to_have_count(0)


async def test_a_sign_up_and_a_forgotten_password_lead_to_mails(
    gateway: Gateway, smtp: SmtpServer, open_page, watch
) -> None:
    watch.expected = ("401",)
    page = await open_page(f"{gateway.url}/console/sign-up")
    await page.get_by_label("E-mail address").fill("new@example.com")
    await page.get_by_label("Password").fill(PASSWORD)
    await page.get_by_role("button", name="Sign up").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("A mail is on its way")
    await page.goto(await link(gateway, smtp, "new@example.com", 1))
    await page.get_by_label("New password").fill(PASSWORD)
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", level=1)).to_have_text("The account is open.")
    await page.goto(f"{gateway.url}/console/forgotten")
    await page.get_by_label("E-mail address").fill("new@example.com")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("status")).to_contain_text("a mail is on its way")
    assert "#reset=" in await link(gateway, smtp, "new@example.com", 2)
