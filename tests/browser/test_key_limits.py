"""Limits of a key that the operator and its owner have set, as the console shows them to both."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from harness import axe
from harness.accounts import Member, logged_in, member
from harness.gateway import SERVER, Gateway

pytestmark = [pytest.mark.needs("chromium", "web"), pytest.mark.asyncio(loop_scope="module")]

LOOKS = [(language, width) for language in ("en", "ko") for width in (360, 1280)]
LABELS = {
    "en": ("Requests a minute", "Tokens a minute", "Requests at a time"),
    "ko": ("분당 요청 수", "분당 토큰 수", "동시 요청 수"),
}
EDIT = {"en": "Edit laptop", "ko": "laptop 수정"}
SAVE = {"en": "Save", "ko": "저장"}
# What the row says while the owner has set nothing.
BEFORE = {
    "en": (
        "5 requests/min (set by the operator)",
        "any number of tokens/min (set by the operator)",
    ),
    "ko": ("분당 요청 5건(운영자 지정)", "분당 토큰 제한 없음(운영자 지정)"),
}
HINTS = {
    "en": (
        "Set by the operator: 5. Only a lower number takes effect.",
        "Set by the operator: no limit. A number of yours takes effect.",
        "Empty: what keys have as a rule. More than that has no effect.",
    ),
    "ko": (
        "운영자 지정: 5. 이보다 작은 값만 적용됩니다.",
        "운영자 지정: 제한 없음. 입력한 값이 적용됩니다.",
        "비워 두면 기본값을 따릅니다. 기본값보다 큰 값은 적용되지 않습니다.",
    ),
}
OWN = ("10", "2000", "9")
AFTER = {
    "en": (
        "5 requests/min (set by the operator, your 10 has no effect)",
        "2,000 tokens/min (the operator allows any number)",
        "4 at a time (as keys have as a rule, your 9 has no effect)",
    ),
    "ko": (
        "분당 요청 5건(운영자 지정, 내 설정 10: 적용 안 됨)",
        "분당 토큰 2,000개(운영자 지정 한도: 제한 없음)",
        "동시 4건(기본값, 내 설정 9: 적용 안 됨)",
    ),
}
FOR_ADMINISTRATORS = {
    "en": (
        "5 requests/min (set by the operator)",
        "10 requests/min (set by its owner)",
        "Tokens a minute: no limit (set by the operator)",
        "9 streams (set by its owner)",
    ),
    "ko": (
        "분당 요청 5건(운영자 지정)",
        "분당 요청 10건(소유자 설정)",
        "분당 토큰 제한 없음(운영자 지정)",
        "동시 스트림 9개(소유자 설정)",
    ),
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gateway]:
    running = Gateway(
        tmp_path_factory.mktemp("key_limits"),
        server=SERVER,
        tables={
            "accounts": {"signup": "open", "signups_per_ip_per_hour": 0},
            "limits": {"streams_max": 4},
        },
    )
    await running.start()
    try:
        yield running
        await running.stop()
    finally:
        await running.kill()


async def says(page: Page, words: tuple[str, ...]) -> None:
    row = page.get_by_role("row").filter(has_text="laptop")
    for part in words:
        await expect(row).to_contain_text(part)
    assert await axe.excess_px(page) <= 0


@pytest.mark.parametrize(("language", "width"), LOOKS)
async def test_each_sees_whose_a_limit_is(
    gateway: Gateway, chief: Member, open_page: Any, language: str, width: int
) -> None:
    somebody = await member(gateway, f"{language}{width}@example.com")
    public_id = (await somebody.key("laptop")).split("_")[1]
    await gateway.administer("keys", "limit", public_id, "--rpm", "5", "--tpm", "0")
    look = {"language": language, "width": width}
    page = await open_page(f"{gateway.url}/console/keys", **look, **logged_in(somebody))
    await says(page, BEFORE[language])
    await page.get_by_role("button", name=EDIT[language]).click()
    dialog = page.get_by_role("dialog")
    for label, hint, number in zip(LABELS[language], HINTS[language], OWN, strict=True):
        field = dialog.get_by_label(label)
        await expect(field).to_have_accessible_description(hint)
        # What the operator has set is no number of the owner's.
        await expect(field).to_have_value("")
        await field.fill(number)
    await axe.examine(page, "the dialog of a key with limits of the operator's")
    await dialog.get_by_role("button", name=SAVE[language]).click()
    await expect(dialog).to_be_hidden()
    await says(page, AFTER[language])
    await axe.examine(page, "a key with limits of both")
    admin = f"{gateway.url}/console/admin/accounts/{somebody.account_id}"
    page = await open_page(admin, **look, **logged_in(chief))
    await says(page, FOR_ADMINISTRATORS[language])


async def test_an_owner_lifts_his_own_number_and_not_the_operator_s(
    gateway: Gateway, open_page: Any
) -> None:
    somebody = await member(gateway, "lifts@example.com")
    key = await somebody.key("laptop", requests_per_minute=3)
    page = await open_page(f"{gateway.url}/console/keys", **logged_in(somebody))
    await says(page, ("3 requests/min",))
    await gateway.administer("keys", "limit", key.split("_")[1], "--rpm", "5")
    await page.reload()
    await says(page, ("3 requests/min (the operator allows 5)",))
    await page.get_by_role("button", name="Edit laptop").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("Requests a minute").fill("")
    await dialog.get_by_role("button", name="Save").click()
    await expect(dialog).to_be_hidden()
    await says(page, ("5 requests/min (set by the operator)",))
    (facts,) = (await somebody.call("GET", "/api/keys")).json["data"]
    assert facts["effective_limits"]["requests_per_minute"] == 5
