"""The chat page against a gateway that does what a test tells it to: every state, every failure."""

import asyncio
import base64
import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from browser.chat_page import UNKNOWN, answers, ask, compose, figures, new_chat, ready, use_key
from browser.conftest import Watch
from browser.fake_gateway import KEY, FakeGateway, Talk, greet, unknown

pytestmark = [pytest.mark.needs("chromium", "web"), pytest.mark.asyncio(loop_scope="module")]

REFUSED = "Failed to load resource"
UNKNOWN_KEY = "tf_zzzzzzzzzzzz_0123456789abcdefghijklmnopqrstuv_4aiXw9"
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJg"
    "gg=="
)
# Until the page is left, whatever writes to the database waits for this.
HOLD_DATABASE = """() => new Promise((held) => {
  const opening = indexedDB.open("tokenferry-chat");
  opening.onsuccess = () => {
    const work = opening.result.transaction("conversations", "readwrite");
    const store = work.objectStore("conversations");
    const hold = () => { store.getKey("nothing").onsuccess = hold; };
    store.getKey("nothing").onsuccess = () => { hold(); held(); };
  };
})"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[FakeGateway]:
    async with FakeGateway().serve() as running:
        yield running


@pytest.fixture
def gateway(server: FakeGateway) -> FakeGateway:
    """The module's gateway as it was at first."""
    fresh = FakeGateway()
    server.script, server.models, server.models_error = greet, fresh.models, None
    server.who, server.talks, server.paths, server.sockets = "guest", [], [], 0
    server.resume_script, server.resumes = unknown, []
    server.models_come.set()
    return server


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(browser, server: FakeGateway) -> AsyncIterator[Page]:
    """A page for many tests, which must not complain; each begins with a new chat."""
    context = await browser.new_context(locale="en-US", viewport={"width": 1280, "height": 760})
    page = await context.new_page()
    page.set_default_timeout(15_000)
    watch = Watch()
    watch.follow(page)
    await page.goto(server.url)
    await ready(page)
    yield page
    await context.close()
    assert not watch.complaints
    assert len(watch.hosts) == 1


@pytest_asyncio.fixture(loop_scope="module")
async def page(shared: Page, gateway: FakeGateway) -> Page:
    await new_chat(shared)
    await shared.fill("#message", "")
    return shared


def contents(talk: Talk) -> list[str]:
    return [message["content"] for message in talk.create["request"]["messages"]]


KEPT_DRAFTS = """new Promise((resolve) => {
  indexedDB.open("tokenferry-chat").onsuccess = ({ target }) => {
    const all = target.result.transaction("drafts").objectStore("drafts").getAll();
    all.onsuccess = () => resolve(all.result);
  };
})"""


class TestWho:
    async def test_models_and_the_choice_are_kept_and_the_key_is_in_this_tab_only(
        self, open_page, gateway, watch
    ):
        page = await open_page(gateway.url)
        await ready(page)
        await page.click("#model")
        names = page.locator("[role=option] .model-name")
        assert await names.all_text_contents() == gateway.models
        await page.get_by_role("option", name="gpt-6.1-terra").click()
        await use_key(page, KEY)
        await ask(page)
        await expect(answers(page)).to_have_text("안녕하세요!")
        assert gateway.talks[0].create["request"]["model"] == "gpt-6.1-terra"
        await page.reload()
        await expect(page.locator("#model")).to_contain_text("gpt-6.1-terra")
        await expect(page.locator(".visitor .who")).to_have_text("Key 0123456789AB")
        assert not [address for address in watch.addresses if KEY in address]
        kept = "JSON.stringify(localStorage) + document.cookie"
        assert KEY not in await page.evaluate(kept)
        assert KEY in await page.evaluate("JSON.stringify(sessionStorage)")
        other = await page.context.new_page()
        await other.goto(gateway.url)
        await expect(other.locator(".visitor .who")).to_have_text("Guest · demo model")
        # What was asked with the key is not shown to whoever comes without it.
        await expect(other.locator(".entry")).to_have_count(0)

    async def test_wrong_keys_and_nobody(self, open_page, gateway, watch):
        watch.expected = (REFUSED,)
        gateway.who = ""
        page = await open_page(gateway.url)
        await expect(page.locator(".empty h2")).to_have_text("Log in, or enter an API key")
        await ask(page, "draft")
        alert = page.locator(".composer-area [role=alert]")
        await expect(alert).to_have_text("Enter an API key first.")
        await expect(page.locator("#message")).to_have_value("draft")
        await page.locator(".empty #key").fill("sk-something")
        await expect(page.locator(".empty [role=alert]")).to_contain_text("not a Tokenferry key")
        await page.locator(".empty #key").fill(UNKNOWN_KEY)
        await expect(page.locator(".empty [role=alert]")).to_contain_text("does not know this key")
        await page.locator(".empty #key").fill(KEY)
        await ready(page)
        await expect(page.get_by_role("alert")).to_have_count(0)
        await expect(page.locator("#message")).to_have_value("draft")

    async def test_words_of_the_server_and_request_id(self, open_page, gateway, watch):
        watch.expected = (REFUSED,)
        gateway.models_error = (500, "toString", {})
        page = await open_page(gateway.url, language="ko")
        alert = page.get_by_role("alert")
        await expect(alert).to_contain_text("요청을 처리하지 못했습니다.")
        await expect(alert).to_contain_text("The server's words for toString.")
        await expect(alert).to_contain_text("요청 ID req_42")
        gateway.models_error = None
        await page.get_by_role("button", name="다시 시도").click()
        await ready(page)

    async def test_what_is_sent_before_the_models_have_come_is_sent_then(self, open_page, gateway):
        gateway.models_come.clear()
        page = await open_page(gateway.url)
        await ask(page, "early")
        await expect(page.locator("#message")).to_have_value("early")
        gateway.models_come.set()
        await expect(answers(page)).to_have_text("안녕하세요!")
        await expect(page.locator("#message")).to_have_value("")

    async def test_impatience_before_the_models_have_come_sends_once(self, open_page, gateway):
        gateway.models_come.clear()
        page = await open_page(gateway.url)
        await page.set_input_files(
            "#images", {"name": "dot.png", "mimeType": "image/png", "buffer": PIXEL}
        )
        await expect(page.locator(".composer .images img")).to_have_count(1)
        await page.click("#send")
        await page.click("#send")
        gateway.models_come.set()
        await expect(figures(page)).to_be_visible()
        await expect(page.locator(".question")).to_have_count(1)
        assert len(gateway.talks) == 1


class TestAnswer:
    async def test_request_and_conversation(self, page, gateway):
        await ask(page, "첫 질문")
        await expect(figures(page)).to_contain_text(f"5 tokens · cost {UNKNOWN} · first token")
        await ask(page, "둘째 질문")
        await expect(answers(page)).to_have_text(["안녕하세요!", "안녕하세요!"])
        await expect(page.locator("#send")).to_be_visible()
        first, second = (talk.create for talk in gateway.talks)
        assert first["request"] == {
            "model": "demo",
            "messages": [{"role": "user", "content": "첫 질문"}],
            "stream": True,
        }
        assert contents(gateway.talks[1]) == ["첫 질문", "안녕하세요!", "둘째 질문"]
        assert first["idempotency_key"] != second["idempotency_key"]
        assert first["ref"] != second["ref"]
        assert gateway.sockets <= 1
        await new_chat(page)
        await ask(page, "새 질문")
        await expect(answers(page)).to_have_text(["안녕하세요!"])
        assert contents(gateway.talks[-1]) == ["새 질문"]

    async def test_states_in_words(self, page, gateway):
        steps: asyncio.Queue[None] = asyncio.Queue()

        async def slowly(talk: Talk) -> None:
            await talk.started()
            await steps.get()
            await talk.send("queued", position=3, eta_s=5)
            await steps.get()
            await talk.delta(role="assistant", content="")
            await talk.text("one")
            await steps.get()
            await talk.text(" two")
            await talk.done("length", cost="0.000123")

        gateway.script = slowly
        await ask(page)
        phase = page.locator(".phase")
        status = page.locator("#app > [role=status]")
        await expect(phase).to_have_text("Waiting for the first token…")
        await expect(page.locator(".answer")).to_have_attribute("aria-busy", "true")
        steps.put_nowait(None)
        await expect(phase).to_have_text("Waiting · 3 ahead · about 5 s")
        await expect(status).to_have_text("Waiting · 3 ahead")
        steps.put_nowait(None)
        await expect(phase).to_have_text("Answering")
        await expect(answers(page)).to_have_text("one")
        steps.put_nowait(None)
        await expect(page.locator(".note")).to_have_text("Ended at the output limit")
        await expect(figures(page)).to_have_text(
            re.compile(
                r"^4 tokens · \$0\.000123 · first token .+ s · total .+ s · demo$|^4 tokens · "
                r"\$0\.000123 · first token \d+ ms · total .+ · demo$"
            )
        )
        await expect(page.locator(".answer")).to_have_attribute("aria-busy", "false")
        await expect(status).to_have_text("The answer is complete.")

    async def test_reasoning_is_folded(self, page, gateway):
        async def think(talk: Talk) -> None:
            await talk.started()
            await talk.delta(content="", reasoning_content="먼저 ")
            await talk.delta(content="", reasoning="생각합니다")
            await talk.text("답")
            await talk.done()

        gateway.script = think
        await ask(page)
        await expect(answers(page)).to_have_text("답")
        thoughts = page.locator("details .text")
        await expect(thoughts).to_be_hidden()
        await page.get_by_text("Reasoning", exact=True).click()
        await expect(thoughts).to_have_text("먼저 생각합니다")
        await page.reload()
        await page.get_by_text("Reasoning", exact=True).click()
        await expect(thoughts).to_have_text("먼저 생각합니다")

    async def test_stop(self, page, gateway):
        begin, over = asyncio.Event(), asyncio.Event()

        async def until_stopped(talk: Talk) -> None:
            await talk.started()
            await begin.wait()
            await talk.text("some")
            await talk.cancelled.wait()
            await over.wait()
            await talk.done("cancelled", usage={"completion_tokens": 1, "estimated": True})

        gateway.script = until_stopped
        await ask(page, "first")
        begin.set()
        await expect(answers(page)).to_have_text("some")
        await page.fill("#message", "typed meanwhile")
        await page.press("#message", "Enter")
        await page.keyboard.press("Escape")
        # Until the server has confirmed it, and what it costs.
        await expect(page.locator(".phase")).to_have_text("Stopping…")
        await expect(page.locator("#stop")).to_have_text("Stopping…")
        over.set()
        await expect(page.locator(".note")).to_have_text("Stopped, billed for what was produced")
        await expect(figures(page)).to_contain_text("about 1 tokens ·")
        await expect(page.locator("#message")).to_have_value("typed meanwhile")
        await expect(page.locator("#message")).to_be_focused()
        assert len(gateway.talks) == 1

    async def test_stop_before_the_stream_is_known(self, page, gateway):
        begin = asyncio.Event()

        async def late(talk: Talk) -> None:
            await begin.wait()
            await talk.started()
            await talk.cancelled.wait()
            await talk.done("cancelled", usage=None)

        gateway.script = late
        await ask(page, "not so fast")
        await expect(page.locator("#stop")).to_be_visible()
        await page.click("#stop")
        await expect(page.locator(".phase")).to_have_text("Stopping…")
        begin.set()
        await expect(page.locator(".note")).to_have_text("Stopped, billed for what was produced")
        await expect(figures(page)).to_contain_text(f"{UNKNOWN} tokens · cost {UNKNOWN}")
        await expect(page.locator(".question .text")).to_have_text("not so fast")

    async def test_seen_and_merged_chunks_and_those_of_others(self, page, gateway):
        async def repeat(talk: Talk) -> None:
            await talk.started()
            await talk.text("a", "b")
            talk.seq = 1
            await talk.text("b")
            choices = [{"index": 0, "delta": {"content": "cde"}}]
            await talk.send("chunk", epoch=1, seq=5, choices=choices, **{"from": 3})
            talk.seq = 5
            other = Talk(talk.socket, talk.create, 999)
            other.seq = 1
            await other.text("theirs")
            await other.done()
            await talk.text("f")
            await talk.send("unknown_in_version_1")
            await talk.done()

        gateway.script = repeat
        await ask(page)
        await expect(figures(page)).to_be_visible()
        await expect(answers(page)).to_have_text("abcdef")

    async def test_branches(self, page, gateway):
        await ask(page, "one")
        await expect(figures(page)).to_be_visible()
        await page.get_by_role("button", name="Regenerate").click()
        await expect(page.locator(".answer .figure")).to_have_text("2/2")
        await expect(figures(page)).to_be_visible()
        await page.get_by_role("button", name="Edit", exact=True).click()
        editor = page.locator(".editor textarea")
        await expect(editor).to_be_focused()
        await editor.fill("two")
        await editor.press("Enter")
        await expect(page.locator(".question .figure")).to_have_text("2/2")
        await expect(page.locator(".question .text")).to_have_text("two")
        await expect(figures(page)).to_be_visible()
        assert [contents(talk) for talk in gateway.talks] == [["one"], ["one"], ["two"]]
        await page.get_by_role("button", name="Earlier version").click()
        await expect(page.locator(".question .text")).to_have_text("one")
        await expect(page.locator(".answer .figure")).to_have_text("2/2")
        await page.locator(".answer").get_by_role("button", name="Earlier version").click()
        await expect(page.locator(".answer .figure")).to_have_text("1/2")
        await page.reload()
        await expect(page.locator(".answer .figure")).to_have_text("1/2")
        await expect(page.locator(".question .figure")).to_have_text("1/2")

    async def test_a_version_that_was_chosen_outlives_a_page_that_the_database_keeps_waiting(
        self, page, gateway
    ):
        await ask(page, "one")
        await expect(figures(page)).to_be_visible()
        await page.get_by_role("button", name="Regenerate").click()
        await expect(page.locator(".answer .figure")).to_have_text("2/2")
        await expect(figures(page)).to_be_visible()
        await page.evaluate(HOLD_DATABASE)
        await page.locator(".answer").get_by_role("button", name="Earlier version").click()
        await expect(page.locator(".answer .figure")).to_have_text("1/2")
        await page.reload()
        await expect(page.locator(".answer .figure")).to_have_text("1/2")

    async def test_conversations_drafts_and_names(self, page, gateway):
        await ask(page, "about ships")
        await expect(figures(page)).to_be_visible()
        await page.fill("#message", "half a question")
        await new_chat(page)
        await expect(page.locator("#message")).to_have_value("")
        entry = page.locator(".entry", has_text="about ships")
        await entry.locator(".name").click()
        await expect(page.locator("#message")).to_have_value("half a question")
        await expect(answers(page)).to_have_text("안녕하세요!")
        await entry.hover()
        await entry.get_by_role("button", name="Rename").click()
        await page.locator("dialog input").fill("배 이야기")
        await page.keyboard.press("Enter")
        renamed = page.locator(".entry", has_text="배 이야기")
        await expect(renamed).to_have_count(1)
        await renamed.hover()
        await renamed.get_by_role("button", name="Delete").click()
        await page.locator("dialog").get_by_role("button", name="Delete").click()
        await expect(renamed).to_have_count(0)
        await expect(page.locator(".turn")).to_have_count(0)

    async def test_drafts_survive_haste_and_go_with_their_conversation(self, page, gateway):
        await ask(page, "about ships")
        await expect(figures(page)).to_be_visible()
        await page.fill("#message", "half a question")
        # The first of the two is still being opened when the second one is asked for.
        await page.evaluate(
            """() => {
              document.querySelector(".new-chat").click();
              document.querySelector(".entry .name").click();
              document.querySelector(".new-chat").click();
            }"""
        )
        await expect(page.locator(".turn")).to_have_count(0)
        await expect(page.locator("#message")).to_have_value("")
        await page.locator(".entry", has_text="about ships").locator(".name").click()
        await expect(page.locator("#message")).to_have_value("half a question")
        await page.locator(".entry", has_text="about ships").hover()
        await page.locator(".entry.current").get_by_role("button", name="Delete").click()
        await page.locator("dialog").get_by_role("button", name="Delete").click()
        await expect(page.locator(".turn")).to_have_count(0)
        await expect(page.locator("#message")).to_have_value("")
        assert "half a question" not in await page.evaluate(KEPT_DRAFTS)

    async def test_an_image_goes_along(self, page, gateway):
        await page.set_input_files(
            "#images", {"name": "dot.png", "mimeType": "image/png", "buffer": PIXEL}
        )
        await expect(page.locator(".composer .images img")).to_have_count(1)
        await ask(page, "what is this?")
        await expect(figures(page)).to_be_visible()
        image, text = gateway.talks[0].create["request"]["messages"][0]["content"]
        assert image["image_url"]["url"].startswith("data:image/jpeg;base64,")
        assert text == {"type": "text", "text": "what is this?"}
        await expect(page.locator(".question .images img")).to_have_count(1)
        await expect(page.locator(".composer .images img")).to_have_count(0)
        await page.set_input_files(
            "#images", {"name": "x.png", "mimeType": "image/png", "buffer": b"no image"}
        )
        await expect(page.locator(".composer .fault")).to_contain_text("is no image")

    async def test_copying_without_a_clipboard(self, page, gateway):
        await page.evaluate(
            "() => Object.defineProperty(navigator, 'clipboard', { value: undefined,"
            " configurable: true })"
        )
        await page.evaluate(
            "() => document.addEventListener('copy', () => {"
            " window.copied = document.activeElement.value })"
        )
        await ask(page)
        await expect(figures(page)).to_be_visible()
        button = page.locator(".answer").get_by_role("button", name="Copy")
        await button.click()
        await expect(page.locator(".answer").get_by_role("button", name="Copied")).to_be_visible()
        assert await page.evaluate("window.copied") == "안녕하세요!"
        await page.evaluate("() => { delete navigator.clipboard }")


class TestFailures:
    async def test_a_refused_request_can_be_sent_again(self, page, gateway):
        async def refuse(talk: Talk) -> None:
            await talk.refuse("model_not_found")

        gateway.script = refuse
        await ask(page, "질문입니다")
        alert = page.get_by_role("alert")
        await expect(alert).to_contain_text("This model is not available. Choose another one.")
        await page.get_by_role("button", name="Choose another model").click()
        gateway.script = greet
        await page.get_by_role("option", name="gpt-6.1-terra").click()
        await page.get_by_role("button", name="Regenerate").click()
        await expect(answers(page)).to_have_text("안녕하세요!")
        await expect(alert).to_have_count(0)
        assert contents(gateway.talks[-1]) == ["질문입니다"]
        assert gateway.talks[-1].create["request"]["model"] == "gpt-6.1-terra"
        await page.click("#model")
        await page.get_by_role("option", name="demo").click()

    @pytest.mark.parametrize(
        ("code", "text", "words", "button"),
        [
            ("provider_cut_off", "Half", "The answer was cut off. You pay only for", "Try again"),
            ("provider_timeout", "", "demo is not responding. Nothing was charged.", "Try again"),
            ("toString", "", "The request failed.", "Choose another model"),
            ("insufficient_credit", "", "Balance too low. Top up or pick", "Top up"),
        ],
    )
    async def test_an_answer_that_fails(self, page, gateway, code, text, words, button):
        async def fail(talk: Talk) -> None:
            await talk.started()
            if text:
                await talk.text(text)
            await talk.error(code, f"About {code}.", done=True)

        gateway.script = fail
        await page.fill("#message", "")
        await ask(page, "질문입니다")
        alert = page.get_by_role("alert")
        await expect(alert).to_contain_text(words)
        await expect(alert).to_contain_text("Request ID st_")
        if code == "toString":
            await expect(alert).to_contain_text("About toString.")
        await expect(answers(page)).to_have_text(text)
        failure = page.locator(".failure")
        await expect(failure.get_by_text(button, exact=True)).to_be_visible()
        await expect(page.locator("#send")).to_be_visible()
        await expect(page.locator(".question .text")).to_have_text("질문입니다")

    async def test_a_limit_says_when_and_lets_nobody_come_sooner(self, page, gateway):
        async def refuse(talk: Talk) -> None:
            error = {"message": "slow", "code": "rate_limit_exceeded", "type": "rate_limit_error"}
            await talk.socket.send_json(
                {
                    "type": "error",
                    "ref": talk.create["ref"],
                    "error": {**error, "retryable": True},
                    "retry_after_ms": 1500,
                }
            )

        gateway.script = refuse
        await ask(page, "again and again")
        await expect(page.get_by_role("alert")).to_contain_text(
            "Too many requests. Try again in 2 s."
        )
        await expect(page.get_by_role("button", name="Try again in")).to_be_disabled()
        gateway.script = greet
        await page.get_by_role("button", name="Try again", exact=True).click()
        await expect(answers(page)).to_have_text("안녕하세요!")
        assert contents(gateway.talks[-1]) == ["again and again"]

    @pytest.mark.parametrize(
        ("code", "words"),
        [
            (4001, "does not know this key"),
            (4003, "does not accept connections"),
        ],
    )
    async def test_a_closed_connection_and_a_new_one(self, page, gateway, code, words):
        async def close(talk: Talk) -> None:
            await talk.started()
            await talk.text("Half")
            await talk.socket.close(code=code, message=b"reason")

        gateway.script = close
        await ask(page)
        await expect(page.get_by_role("alert")).to_contain_text(words)
        await expect(answers(page)).to_have_text("Half")
        gateway.script = greet
        await ask(page)
        await expect(answers(page)).to_have_text(["Half", "안녕하세요!"])

    async def test_too_many_connections_are_told_when_no_attempt_helps(self, page, gateway):
        async def close(talk: Talk) -> None:
            await talk.socket.close(code=4029, message=b"reason")

        gateway.script = close
        await ask(page)
        # Three attempts, between which it backs off for up to six seconds.
        await expect(page.get_by_role("alert")).to_contain_text(
            "Too many connections", timeout=60_000
        )
        assert len(gateway.talks) == 3
        gateway.script = greet
        await page.get_by_role("button", name="Try again", exact=True).click()
        await expect(answers(page)).to_have_text("안녕하세요!")

    async def test_a_server_that_leaves_is_asked_on_a_new_connection(self, page, gateway):
        async def leave(talk: Talk) -> None:
            await talk.started()
            await talk.socket.send_json({"type": "going_away", "reconnect_after_ms": 1})
            await talk.text("last")
            await talk.done()

        gateway.script = leave
        await ask(page)
        await expect(answers(page)).to_have_text("last")
        await expect(page.locator("#send")).to_be_visible()
        gateway.script = greet
        await ask(page)
        await expect(answers(page)).to_have_text(["last", "안녕하세요!"])


class TestComingBack:
    async def half(self, talk: Talk) -> None:
        await talk.started()
        await talk.text("one ", "two ", "three ")

    async def begin(self, page: Page, gateway: FakeGateway) -> None:
        gateway.script = self.half
        await ask(page, "Count, please")
        await expect(answers(page)).to_have_text("one two three ")

    async def test_a_reload_goes_on_at_the_last_record(self, page, gateway):
        async def rest(talk: Talk) -> None:
            await talk.resumed(3)
            await talk.text("four")
            await talk.done()

        gateway.resume_script = rest
        await self.begin(page, gateway)
        await page.reload()
        await expect(answers(page)).to_have_text("one two three four")
        await expect(page.locator(".question .text")).to_have_text("Count, please")
        (talk,) = gateway.resumes
        position = talk.create["stream_id"], talk.create["epoch"], talk.create["after"]
        assert position == (gateway.talks[0].stream_id, 1, 3)
        await expect(figures(page)).to_be_visible()
        await page.reload()
        await expect(answers(page)).to_have_text("one two three four")
        assert (len(gateway.talks), len(gateway.resumes)) == (1, 1)

    async def test_a_reload_before_started_repeats_the_create_with_its_key(self, page, gateway):
        async def silent(_talk: Talk) -> None:
            return

        gateway.script = silent
        await ask(page)
        await expect(page.locator(".phase")).to_be_visible()
        async with asyncio.timeout(10):
            while not gateway.talks:
                await asyncio.sleep(0.02)
        gateway.script = greet
        await page.reload()
        await expect(answers(page)).to_have_text("안녕하세요!")
        first, second = (talk.create for talk in gateway.talks)
        assert first["idempotency_key"] == second["idempotency_key"]
        assert first["request"] == second["request"]

    async def test_a_reset_takes_back_what_the_new_owner_does_not_have(self, page, gateway):
        async def taken_over(talk: Talk) -> None:
            await talk.reset(2, 1)
            await talk.text("TWO")
            await talk.done()

        gateway.resume_script = taken_over
        await self.begin(page, gateway)
        await page.reload()
        await expect(answers(page)).to_have_text("one TWO")
        await expect(figures(page)).to_be_visible()

    async def test_a_snapshot_takes_the_place_of_the_text(self, page, gateway):
        async def final(talk: Talk) -> None:
            message = {"role": "assistant", "content": "the whole", "reasoning": "why"}
            end = {"finish_reason": "stop", "usage": None, "cost": "0.01", "done": True}
            await talk.send(
                "snapshot", ref=talk.create["ref"], epoch=1, through=9, message=message, **end
            )

        gateway.resume_script = final
        await self.begin(page, gateway)
        await page.reload()
        await expect(answers(page)).to_have_text("the whole")
        await expect(figures(page)).to_contain_text(f"{UNKNOWN} tokens · $0.01 · first token")
        await expect(page.locator("summary")).to_have_text("Reasoning")

    @pytest.mark.parametrize(
        ("code", "words"),
        [
            ("expired", "Too old to resume. Showing the saved part."),
            ("stream_not_found", "The server does not have this answer"),
        ],
    )
    async def test_a_stream_that_is_gone_leaves_its_text(self, page, gateway, code, words):
        async def gone(talk: Talk) -> None:
            await talk.refuse(code)

        gateway.resume_script = gone
        await self.begin(page, gateway)
        await page.reload()
        await expect(page.get_by_role("alert")).to_contain_text(words)
        await expect(answers(page)).to_have_text("one two three ")
        await expect(page.locator("#send")).to_be_visible()

    async def test_a_gap_is_asked_for_and_duplicates_are_dropped(self, page, gateway):
        async def gap(talk: Talk) -> None:
            await talk.started()
            await talk.text("one ")
            talk.seq = 2
            await talk.text("three ")

        async def replay(talk: Talk) -> None:
            await talk.resumed(talk.create["after"])
            talk.seq = 0
            await talk.text("one ", "two ", "three")
            await talk.done()

        gateway.script, gateway.resume_script = gap, replay
        await ask(page)
        await expect(answers(page)).to_have_text("one two three")
        assert [talk.create["after"] for talk in gateway.resumes] == [1]


class TestKeyboard:
    async def test_enter_sends_and_shift_enter_does_not_and_nothing_is_not_sent(
        self, page, gateway
    ):
        await page.fill("#message", " \n ")
        await page.press("#message", "Enter")
        await page.fill("#message", "")
        await page.keyboard.type("one")
        await page.keyboard.press("Shift+Enter")
        await page.keyboard.type("two")
        await page.keyboard.press("Enter")
        await expect(figures(page)).to_be_visible()
        await expect(page.locator("#message")).to_have_value("")
        assert [contents(talk) for talk in gateway.talks] == [["one\ntwo"]]

    @pytest.mark.parametrize("end_first", [False, True])
    async def test_the_enter_that_ends_hangul_sends_once(self, page, gateway, end_first):
        """Check 5, with the echo that some systems add."""
        await page.focus("#message")
        await compose(page, "안녕하세요", end_first=end_first)
        await page.keyboard.press("Enter")
        await expect(figures(page)).to_be_visible()
        assert [contents(talk) for talk in gateway.talks] == [["안녕하세요"]]
        await expect(page.locator("#message")).to_have_value("")

    @pytest.mark.parametrize("end_first", [False, True])
    async def test_for_other_scripts_it_only_ends_the_composition(self, page, gateway, end_first):
        await page.focus("#message")
        await compose(page, "こんにちは", end_first=end_first)
        await expect(page.locator("#message")).to_have_value("こんにちは")
        await page.keyboard.press("Enter")
        await expect(figures(page)).to_be_visible()
        assert [contents(talk) for talk in gateway.talks] == [["こんにちは"]]

    async def test_models_and_new_chats_by_the_keyboard(self, page, gateway):
        await page.keyboard.press("Control+k")
        await expect(page.get_by_role("listbox")).to_be_focused()
        await page.keyboard.press("End")
        await page.keyboard.press("Enter")
        await expect(page.locator("#model")).to_contain_text("gpt-6.1-terra")
        await expect(page.locator("#model")).to_be_focused()
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("listbox")).to_be_focused()
        await page.keyboard.press("Home")
        await page.keyboard.press("ArrowDown")
        await page.keyboard.press("Space")
        await expect(page.locator("#model")).to_contain_text("demo")
        await page.keyboard.press("Control+/")
        await expect(page.locator("#message")).to_be_focused()
        await page.keyboard.type("hello")
        await page.keyboard.press("Enter")
        await expect(figures(page)).to_be_visible()
        await page.keyboard.press("Control+Shift+o")
        await expect(page.locator(".turn")).to_have_count(0)
        await expect(page.locator("#message")).to_be_focused()

    async def test_everything_can_be_reached_by_tab_in_order(self, page, gateway):
        await ask(page)
        await expect(figures(page)).to_be_visible()
        await page.reload()
        await ready(page)
        await page.focus(".skip")
        reached = ["skip"]
        for _ in range(200):
            await page.keyboard.press("Tab")
            reached.append(
                await page.evaluate("document.activeElement.id || document.activeElement.className")
            )
            if reached[-1] == "send":
                break
        order = ["button new-chat", "name", "model", "transcript", "message", "send"]
        places = [reached.index(name) for name in order]
        assert places == sorted(places), reached

    async def test_on_a_phone_enter_is_a_new_line(self, open_page, gateway):
        page = await open_page(gateway.url, width=390, has_touch=True, is_mobile=True)
        await ready(page)
        await page.focus("#message")
        await page.keyboard.type("one")
        await page.keyboard.press("Enter")
        await page.keyboard.type("two")
        await expect(page.locator("#message")).to_have_value("one\ntwo")
        await page.tap("#send")
        await expect(answers(page)).to_have_count(1)
        # Targets for fingers, and fields that are not zoomed into.
        small = await page.evaluate(
            """() => [...document.querySelectorAll("button, a.button, textarea")]
              .map((each) => [each.className, each.getBoundingClientRect()])
              .filter(([, box]) => box.width > 0 && (box.width < 44 || box.height < 44))
              .map(([name]) => name)"""
        )
        assert small == []
        size = "parseFloat(getComputedStyle(document.querySelector('#message')).fontSize)"
        assert await page.evaluate(size) >= 16
        await page.get_by_role("button", name="Open conversations").tap()
        await expect(page.locator(".entry .name")).to_be_visible()
        await page.keyboard.press("Escape")
        await expect(page.get_by_role("button", name="Open conversations")).to_be_focused()
