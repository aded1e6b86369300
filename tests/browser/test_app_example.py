"""The page of docs/guides/browser-apps.md with its backend and a real gateway, and what a browser
says when it cannot reach one."""

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import pytest_asyncio
from playwright.async_api import Browser, ConsoleMessage, Page, expect

from browser.chat_page import until_true
from harness.gateway import ROOT, SERVER, Gateway, environment, free_port, provider_entry
from harness.providers import ScriptedProvider, scripted_provider
from harness.relay import Steps

pytestmark = [
    pytest.mark.needs("chromium"),
    pytest.mark.needs("node"),
    pytest.mark.asyncio(loop_scope="module"),
]

EXAMPLE = ROOT / "docs" / "examples" / "browser"
GUIDES = ROOT / "docs" / "guides"
# The page asks for the model `demo`, whose pace no test can wait for: here somebody else serves it.
TEXTS = ("안녕", "하세요", " 🙂", " 반갑", "습니다.")
SHOWN = 2


@dataclass(frozen=True, slots=True)
class App:
    """The example, running."""

    gateway: Gateway
    provider: ScriptedProvider
    url: str


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def app(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[App]:
    port = free_port()
    origin = f"http://127.0.0.1:{port}"
    directory = tmp_path_factory.mktemp("gateway")
    async with scripted_provider() as provider:
        gateway = Gateway(
            directory,
            server={**SERVER, "origins": [origin], "demo": False},
            providers=[provider_entry("openai", provider.url)],
            aliases={"demo": ["openai/m-openai"]},
        )
        await gateway.start()
        variables = {"TOKENFERRY_API_KEY": gateway.key, "PORT": str(port), "GATEWAY": gateway.url}
        backend = await asyncio.create_subprocess_exec(
            "node", str(EXAMPLE / "backend.mjs"),
            env=environment(**variables), stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            assert backend.stdout is not None
            # Its own word that it listens.
            assert await backend.stdout.readline() == f"Open {origin}/\n".encode()
            yield App(gateway, provider, f"{origin}/")
            await gateway.stop()
        finally:
            backend.kill()
            await backend.wait()
            await gateway.kill()


@pytest_asyncio.fixture(loop_scope="module")
async def page(browser: Browser) -> AsyncIterator[Page]:
    context = await browser.new_context()
    yield await context.new_page()
    await context.close()


async def test_an_answer_outlives_a_reload_and_no_key_reaches_the_page(
    app: App, page: Page
) -> None:
    seen: list[str] = []
    page.on("request", lambda request: seen.append(f"{request.url} {request.headers}"))
    page.on("websocket", lambda socket: socket.on("framesent", lambda data: seen.append(str(data))))
    steps = Steps(TEXTS)
    await page.goto(app.url)
    await page.fill("#question", app.provider.play(steps))
    await page.click("button")
    steps.give(SHOWN)
    answer = page.locator("#answer")
    await expect(answer).to_have_text("".join(TEXTS[:SHOWN]))
    await page.reload()
    await expect(answer).to_have_text("".join(TEXTS[:SHOWN]))
    steps.give(len(TEXTS) - SHOWN)
    await expect(answer).to_have_text("".join(TEXTS))
    await page.wait_for_function("() => !sessionStorage.asked")
    assert await page.inner_text("#state") == ""
    streams = (await app.gateway.get("/v1/streams?limit=10", app.gateway.key)).json["data"]
    assert len(streams) == 1, "the reload began another answer"
    assert seen
    assert app.gateway.key not in await page.content() + "".join(seen)


async def test_a_page_of_another_origin_says_what_to_set(app: App, page: Page) -> None:
    other = app.url.replace("127.0.0.1", "localhost")
    # The backend asks for tickets in the name of its own origin; this page has another one.
    await page.goto(other)
    await page.fill("#question", "안녕하세요")
    await page.click("button")
    await expect(page.locator("#state")).to_contain_text("origins")


def normal(text: str) -> str:
    """Return a text in which all numbers are alike, and with them all addresses."""
    return re.sub(r"\d+", "0", text)


async def test_the_guides_quote_the_console(app: App, page: Page) -> None:
    said: list[str] = []

    def heard(message: ConsoleMessage) -> None:
        if "404" not in message.text:  # the browser's own: /favicon.ico
            said.append(message.text)

    page.on("console", heard)
    await page.goto(app.url)
    dead = f"127.0.0.1:{free_port()}"
    outcome = await page.evaluate(
        """async ([dead, gateway]) => {
          const closed = (url, protocols) => new Promise((done) => {
            new WebSocket(url, protocols).onclose = ({ code, reason }) => done(`${code} ${reason}`);
          });
          return {
            fetch: await fetch(`http://${dead}/v1/models`).catch(String),
            dead: await closed(`ws://${dead}/v1/stream`),
            unauthorized: await closed(
              `${gateway}/v1/stream`, ["tokenferry.v1", "ticket.nonsense"]),
          };
        }""",
        [dead, app.gateway.url.replace("http", "ws")],
    )
    # What the console is told comes after what the page is told, and not to the next page.
    await until_true(lambda: len(said) == 2)
    await page.goto(app.url.replace("127.0.0.1", "localhost"))
    await page.evaluate("(url) => fetch(url).catch(String)", f"{app.gateway.url}/v1/models")
    *sockets, unauthorized = outcome["fetch"], outcome["dead"], outcome["unauthorized"]
    await until_true(lambda: len(said) == 4)
    for guide, texts in {
        "cannot-connect": [*said, *sockets],
        "unauthorized": [unauthorized],
    }.items():
        for name in (f"{guide}.md", f"{guide}.ko.md"):
            page_text = normal((GUIDES / name).read_text("utf-8"))
            missing = [text for text in texts if normal(text.strip()) not in page_text]
            assert not missing, name
