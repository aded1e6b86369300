"""The pages of administrators in a browser, against a real gateway: what they show and do."""

import asyncio
import re
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Page, Route, expect

from harness import axe, websocket
from harness.accounts import Member, logged_in, member
from harness.answers import body
from harness.dialects import opening, token
from harness.gateway import SERVER, Gateway, provider_entry
from harness.providers import Exchange, ScriptedProvider

pytestmark = [pytest.mark.needs("chromium", "web"), pytest.mark.asyncio(loop_scope="module")]

MODEL = "m-openai"
ADMIN = "/console/admin"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(
    tmp_path_factory: pytest.TempPathFactory, provider: ScriptedProvider
) -> AsyncIterator[Gateway]:
    running = Gateway(
        tmp_path_factory.mktemp("admin"),
        server=SERVER,
        providers=[provider_entry("openai", provider.url, streams_max=1)],
        tables={
            "accounts": {"signup": "open", "signups_per_ip_per_hour": 0},
            "billing": {"signup_credit": "9.00"},
        },
    )
    await running.start()
    try:
        yield running
        await running.stop()
    finally:
        await running.kill()


async def endless(exchange: Exchange) -> None:
    exchange.head()
    for part in (*opening("openai"), token("openai", "아직")):
        exchange.chunk(part)
    await exchange.until_gone()


async def go(page: Page, name: str) -> None:
    """Go to a page by the navigation."""
    await page.get_by_role("navigation").get_by_role("link", name=name, exact=True).click()
    await expect(page.get_by_role("heading", level=1, name=name)).to_be_visible()


def row_of(page: Page, table: str, text: str) -> Any:
    return page.get_by_role("table", name=table).get_by_role("row").filter(has_text=text)


async def test_credit_is_given_once_though_its_answer_was_lost(
    gateway: Gateway, chief: Member, open_page, watch
) -> None:
    somebody = await member(gateway, "chulsoo@example.com")
    page = await open_page(f"{gateway.url}{ADMIN}/accounts", **logged_in(chief))
    await page.get_by_label("E-mail address, account or key").fill("ChulSoo")
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(re.compile(r"search=ChulSoo"))
    await page.get_by_role("link", name=somebody.email).click()
    await expect(page.get_by_role("heading", level=1, name=somebody.email)).to_be_focused()

    lost: list[str] = []

    async def lose(route: Route) -> None:
        # The first one arrives, and its answer does not.
        lost.append((route.request.post_data_json or {})["reference"])
        if len(lost) == 1:
            await route.fetch()
            await route.abort()
        else:
            await route.continue_()

    await page.route("**/grants", lose)
    watch.expected = ("net::ERR_FAILED",)
    await page.get_by_role("button", name="Give or take credit").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_role("button", name="Book it").click()
    await expect(dialog.get_by_role("alert")).to_contain_text("amount of USD above zero")
    await dialog.get_by_label("Amount").fill("2.50")
    await dialog.get_by_label("Reason").fill("버그 제보")
    await dialog.get_by_role("button", name="Book it").click()
    await expect(dialog.get_by_role("alert")).to_contain_text("cannot be reached")
    await dialog.get_by_role("button", name="Book it").click()
    await expect(dialog).to_be_hidden()
    await expect(row_of(page, "Ledger", "버그 제보")).to_contain_text("$2.50")
    await expect(page.locator(".figure").first).to_contain_text("$11.50")
    assert lost[0] == lost[1]
    assert (await somebody.call("GET", "/api/balance")).json["balance"] == "11.50"
    await page.get_by_role("button", name="Give or take credit").click()
    await dialog.get_by_label("What").select_option("Take back")
    await dialog.get_by_label("Amount").fill("11.51")
    await dialog.get_by_label("Reason").fill("too much")
    await dialog.get_by_role("button", name="Book it").click()
    await expect(dialog.get_by_role("alert")).to_contain_text("$11.50 are available")


async def test_an_account_is_limited_suspended_and_let_go_on(
    gateway: Gateway, chief: Member, open_page
) -> None:
    somebody = await member(gateway, "younghee@example.com")
    public_id = (await somebody.key("노트북")).split("_")[1]
    path = f"{ADMIN}/accounts/{somebody.account_id}"
    page = await open_page(f"{gateway.url}{path}", **logged_in(chief))
    await expect(row_of(page, "API keys", "노트북")).to_contain_text("as other keys")
    dialog = page.get_by_role("dialog")
    await page.get_by_role("button", name="Change limits of 노트북").click()
    await dialog.get_by_label("Requests a minute").fill("600")
    # What another administrator has changed since the dialog was opened stays.
    meanwhile = {"streams_max": 7, "priority": True}
    assert (await chief.call("PATCH", f"/api/admin/keys/{public_id}", meanwhile)).status == 200
    await dialog.get_by_role("button", name="Save").click()
    for limit in ("600 requests/min", "7 streams", "priority"):
        await expect(row_of(page, "API keys", "노트북")).to_contain_text(limit)
    await page.get_by_role("button", name="Suspend").click()
    await dialog.get_by_label("Reason").fill("a stolen card")
    await dialog.get_by_role("button", name="Suspend").click()
    await expect(page.locator(".facts")).to_contain_text("a stolen card")
    assert (await somebody.call("GET", "/api/balance")).status == 403
    await page.get_by_role("button", name="End the suspension").click()
    await dialog.get_by_role("button", name="End the suspension").click()
    await expect(page.get_by_role("button", name="Suspend")).to_be_visible()
    assert (await somebody.call("GET", "/api/balance")).status == 200


async def test_an_odd_price_is_asked_about_and_can_be_removed(
    gateway: Gateway, chief: Member, open_page, watch
) -> None:
    page = await open_page(f"{gateway.url}{ADMIN}/models", **logged_in(chief))
    await expect(row_of(page, "Models", MODEL)).to_contain_text("no price is known")
    await page.get_by_role("button", name=f"Set a price of openai/{MODEL}").click()
    dialog = page.get_by_role("dialog")
    for label, amount in (("Input", "1.00"), ("Output", "2.00"), ("Cached input", "1.50")):
        await dialog.get_by_label(label, exact=label != "Cached input").fill(amount)
    watch.expected = ("400 (Bad Request)",)
    await dialog.get_by_role("button", name="Set price").click()
    await expect(dialog.get_by_role("alert")).to_contain_text("cached input is dearer than input")
    await dialog.get_by_label("Set it all the same").check()
    await dialog.get_by_role("button", name="Set price").click()
    await expect(dialog).to_be_hidden()
    row = row_of(page, "Models", MODEL)
    for text in ("$1.00", "$1.50", "$2.00", "yours"):
        await expect(row).to_contain_text(text)
    await expect(row_of(page, "Your own prices", MODEL)).to_contain_text("Counts now")
    await page.get_by_role("button", name=f"Remove the price of {MODEL}").click()
    await dialog.get_by_role("button", name="Remove").click()
    await expect(row).to_contain_text("no price is known")
    assert (await chief.call("GET", "/api/admin/prices")).json["total"] == 0


async def test_a_stream_is_stopped_and_another_has_its_place(
    gateway: Gateway, chief: Member, provider: ScriptedProvider, open_page
) -> None:
    page = await open_page(f"{gateway.url}{ADMIN}/providers", **logged_in(chief))
    await expect(row_of(page, "Models of openai", MODEL)).to_contain_text("Working")
    await go(page, "Queue & live streams")
    await expect(page.get_by_text("Nothing is running.")).to_be_visible()
    aware = websocket.connect(gateway.port, gateway.key, subprotocols=[websocket.SUBPROTOCOL])
    async with aware as socket:
        started = []
        for _ in range(2):
            prompt = provider.play(endless)
            socket.send_json({"type": "create", "ref": prompt, "request": body(MODEL, prompt)})
            started.append((await socket.receive_type("started"))["stream_id"])
        first, second = started
        # The page asks by itself.
        await expect(row_of(page, "Live streams", first)).to_contain_text("Answering")
        await expect(row_of(page, "Live streams", second)).to_contain_text("Waiting")
        await expect(row_of(page, "Queue", "openai")).to_contain_text("1 / 1")
        await page.get_by_role("button", name=f"Stop {first}").click()
        await page.get_by_role("dialog").get_by_role("button", name="Stop").click()
        done = await socket.receive_type("done")
        assert (done["stream_id"], done["finish_reason"]) == (first, "cancelled")
        await expect(row_of(page, "Live streams", first)).to_have_count(0)
        await expect(row_of(page, "Live streams", second)).to_contain_text("Answering")
        socket.send_json({"type": "cancel", "stream_id": second})
        await socket.receive_type("done")


async def test_a_page_that_nobody_sees_asks_nothing(
    gateway: Gateway, chief: Member, open_page, watch
) -> None:
    page = await open_page("about:blank", **logged_in(chief))
    await page.clock.install()
    await page.add_init_script(
        "Object.defineProperty(document, 'visibilityState',"
        " {configurable: true, get: () => window.seen ?? 'visible'})"
    )
    await page.goto(f"{gateway.url}{ADMIN}/live")
    await expect(row_of(page, "Queue", "openai")).to_be_visible()

    def asked() -> int:
        return sum("/api/admin/queue" in address for address in watch.addresses)

    async with page.expect_response("**/api/admin/queue"):
        await page.clock.run_for(2_000)
    await expect(page.locator("[aria-busy=true]")).to_have_count(0)
    await page.evaluate("window.seen = 'hidden'")
    before = asked()
    await page.clock.run_for(60_000)
    assert asked() == before
    async with page.expect_response("**/api/admin/queue"):
        await page.evaluate(
            "window.seen = 'visible'; document.dispatchEvent(new Event('visibilitychange'))"
        )
    watch.hosts.discard("")


async def test_vouchers_are_shown_once_and_good(gateway: Gateway, chief: Member, open_page) -> None:
    page = await open_page(f"{gateway.url}{ADMIN}/vouchers", language="ko", **logged_in(chief))
    await page.get_by_role("button", name="쿠폰 만들기").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("장당 금액").fill("5.00")
    await dialog.get_by_label("장수").fill("2")
    await dialog.get_by_label("묶음 이름").fill("가을 행사")
    await dialog.get_by_role("button", name="쿠폰 만들기").click()
    codes = await page.get_by_label("쿠폰 번호").inner_text()
    await page.keyboard.press("Escape")
    await expect(dialog).to_be_visible()
    assert len(set(codes.split())) == 2
    somebody = await member(gateway, "redeems@example.com")
    redeemed = await somebody.call("POST", "/api/vouchers/redeem", {"code": codes.split()[0]})
    assert redeemed.json["credited"] == "5.00"
    await dialog.get_by_role("button", name="보관했습니다").click()
    await page.get_by_role("searchbox", name="묶음 이름").fill("가을 행사")
    await page.keyboard.press("Enter")
    await expect(row_of(page, "쿠폰 발행", "사용됨")).to_contain_text(somebody.account_id)
    await expect(row_of(page, "쿠폰 발행", "사용 가능")).to_have_count(1)
    content = await page.content()
    assert not any(code in content for code in codes.split())


async def test_the_check_of_the_books_reads_zero_unless_they_are_wrong(
    gateway: Gateway, chief: Member, open_page
) -> None:
    def change(by: int) -> None:
        with closing(sqlite3.connect(gateway.data_dir / "tokenferry.db")) as database:
            changed = database.execute(
                "UPDATE ledger_book SET debits_nanos = debits_nanos + ? WHERE book = ?",
                (by, "issued:signup"),
            )
            assert changed.rowcount == 1
            database.commit()

    await member(gateway, "books@example.com")  # whose sign-up credit makes that book
    page = await open_page(f"{gateway.url}{ADMIN}/ledger", language="ko", **logged_in(chief))
    await expect(page.get_by_text("아직 점검하지 않았습니다")).to_be_visible()
    await page.get_by_role("button", name="지금 점검").click()
    await expect(page.get_by_role("status")).to_contain_text("장부가 정확합니다.")
    figure = page.locator(".figure").first
    await expect(figure).to_have_text(re.compile(r"^차이\s*0\s*다른 곳 0건$"))
    await asyncio.to_thread(change, 2_000_000_007)
    try:
        await page.get_by_role("button", name="지금 점검").click()
        await expect(page.get_by_role("status")).to_contain_text("장부가 맞지 않습니다.")
    finally:
        await asyncio.to_thread(change, -2_000_000_007)
    await expect(figure).to_contain_text("$2.000000007")
    await expect(row_of(page, "장부", "issued:signup")).to_contain_text("$2.000000007")
    await expect(page.get_by_text("the balance of issued:signup")).to_be_visible()


async def test_what_was_changed_is_listed_by_account_kind_and_page(
    gateway: Gateway, chief: Member, open_page
) -> None:
    somebody = await member(gateway, "audited@example.com")
    account = f"/api/admin/accounts/{somebody.account_id}"
    for number in range(51):
        grant = {"amount": "0.01", "reason": f"감사 {number}"}
        assert (await chief.call("POST", f"{account}/grants", grant)).status == 200
    key = (await somebody.key()).split("_")[1]
    limits = {"streams_max": 0, "requests_per_minute": 600}
    assert (await chief.call("PATCH", f"/api/admin/keys/{key}", limits)).status == 200
    page = await open_page(f"{gateway.url}{ADMIN}/accounts", language="ko", **logged_in(chief))
    await go(page, "변경 기록")
    table = page.get_by_role("table", name="변경 기록")
    newest = table.locator("tbody tr").first
    before = "변경 전: 분당 요청 기본 한도 · 동시 스트림 기본 한도"
    now = ("분당 요청: 600", "동시 스트림: 제한 없음", before)
    for text in (key, somebody.account_id, *now, chief.email):
        await expect(newest).to_contain_text(text)
    await page.get_by_label("변경", exact=True).select_option("크레딧 지급·회수")
    await page.get_by_role("searchbox", name="계정").fill(somebody.account_id)
    await page.keyboard.press("Enter")
    await expect(page).to_have_url(re.compile(rf"account={somebody.account_id}"))
    await expect(table.locator("tbody tr")).to_have_count(50)
    await expect(newest).to_contain_text("감사 50")
    await expect(newest).to_contain_text("$0.01")
    await page.get_by_role("button", name="더 보기").click()
    await expect(table.locator("tbody tr")).to_have_count(51)
    await expect(table.locator("tbody tr").last).to_contain_text("감사 0")
    await page.get_by_label("종료일").fill("2020-01-01")
    await expect(page.get_by_text("해당하는 변경이 없습니다.")).to_be_visible()
    # From an account to what was changed of it.
    await page.goto(f"{gateway.url}{ADMIN}/accounts/{somebody.account_id}")
    await page.locator(".facts").get_by_role("link", name="보기").last.click()
    await expect(table.locator("tbody tr")).to_have_count(50)
    await expect(newest).to_contain_text("키 한도 변경")


async def test_members_are_told_that_it_is_not_for_them(gateway: Gateway, open_page) -> None:
    somebody = await member(gateway, "curious@example.com")
    page = await open_page(f"{gateway.url}{ADMIN}/ledger", **logged_in(somebody))
    await expect(page.get_by_role("heading", level=1)).to_have_text(
        "Only administrators see this page"
    )
    await expect(page.get_by_role("link", name="Ledger check")).to_have_count(0)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lengthy(gateway: Gateway) -> Member:
    somebody = await member(gateway, "somebody.with.a.long.address@subdomain.example.com")
    await somebody.key("가" * 64, models=["m/" + "x" * 200])
    return somebody


@pytest.mark.parametrize("look", axe.LOOKS, ids=str)
async def test_axe_has_nothing_to_say_and_nothing_scrolls_sideways(
    gateway: Gateway, chief: Member, lengthy: Member, open_page, look: tuple[str, str, int]
) -> None:
    language, theme, width = look
    page = await open_page(
        f"{gateway.url}{ADMIN}/accounts",
        language=language,
        width=width,
        color_scheme=theme,
        **logged_in(chief),
    )
    dialogs = {
        "en": {"models": "Set a price", "vouchers": "Make vouchers"},
        "ko": {"models": "가격 설정", "vouchers": "쿠폰 만들기"},
    }[language]
    one = f"accounts/{lengthy.account_id}"
    for name in ("accounts", one, "providers", "models", "live", "vouchers", "ledger", "audit"):
        await page.goto(f"{gateway.url}{ADMIN}/{name}")
        await expect(page.get_by_role("heading", level=1)).to_be_visible()
        await expect(page.locator(".loading")).to_have_count(0)
        await axe.examine(page, name)
        if (button := dialogs.get(name)) is not None:
            await page.locator(".page-actions").get_by_role("button", name=button).click()
            await expect(page.get_by_role("dialog")).to_be_visible()
            await axe.examine(page, button)
