"""The status page in a browser: what axe finds in every language and theme."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import expect

from harness import axe
from harness.answers import ask, body
from harness.gateway import SERVER, Gateway, provider_entry
from harness.providers import ScriptedProvider, answer

pytestmark = [pytest.mark.needs("chromium", "web"), pytest.mark.asyncio(loop_scope="module")]

MODEL = "m-openai"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(
    tmp_path_factory: pytest.TempPathFactory, provider: ScriptedProvider
) -> AsyncIterator[Gateway]:
    running = Gateway(
        tmp_path_factory.mktemp("status"),
        server=SERVER,
        providers=[provider_entry("openai", provider.url)],
    )
    await running.start()
    try:
        # One that fails, so that there is something to tell.
        failing = provider.play(answer("500 Broken", b'{"error":{"message":"broken"}}'))
        await ask(running, "sse", body(MODEL, failing))
        # What was recorded is written before the server ends.
        await running.stop()
        await running.start()
        yield running
        await running.stop()
    finally:
        await running.kill()


@pytest.mark.parametrize("look", axe.LOOKS, ids=str)
async def test_axe_has_nothing_to_say_and_nothing_scrolls_sideways(
    gateway: Gateway, open_page, look: tuple[str, str, int]
) -> None:
    language, theme, width = look
    page = await open_page(
        f"{gateway.url}/status", language=language, color_scheme=theme, width=width
    )
    await expect(page.get_by_role("heading", level=1)).to_have_text(
        {"en": "Service status", "ko": "서비스 상태"}[language]
    )
    await page.locator("summary").click()
    await axe.examine(page, "status")
