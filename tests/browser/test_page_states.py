"""The page against a gateway that does what a test tells it to: every state, every failure."""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from browser.fake_gateway import KEY, FakeGateway, Talk, greet, unknown

pytestmark = [pytest.mark.needs("chromium"), pytest.mark.asyncio(loop_scope="module")]

REFUSED = "Failed to load resource"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[FakeGateway]:
    async with FakeGateway().serve() as running:
        yield running


@pytest.fixture
def gateway(server: FakeGateway) -> FakeGateway:
    """The module's gateway as it was at first."""
    fresh = FakeGateway()
    server.script, server.models, server.models_error = greet, fresh.models, None
    server.talks, server.paths, server.sockets = [], [], 0
    server.resume_script, server.resumes = unknown, []
    return server


async def enter_key(page: Page, key: str = KEY) -> None:
    await page.fill("#key", key)
    await expect(page.locator("#model")).to_be_enabled()


async def ask(page: Page, text: str = "안녕하세요") -> None:
    await page.fill("#message", text)
    await page.click("#send")


def answers(page: Page):
    return page.locator(".answer > .text")


async def until_at_end(page: Page) -> None:
    """Wait until the conversation is scrolled to its end; by asking, since the page bans eval."""
    left_px = (
        "(t => t.scrollHeight - t.clientHeight - t.scrollTop)"
        "(document.getElementById('transcript'))"
    )
    async with asyncio.timeout(10):
        while await page.evaluate(left_px) > 1:
            await asyncio.sleep(0.02)


async def compose(page: Page, text: str, *, end_first: bool = False) -> None:
    """Type through an input method and end with Enter, in the order of Chrome or of Safari."""
    devtools = await page.context.new_cdp_session(page)
    for end in range(1, len(text) + 1):
        part = {"text": text[:end], "selectionStart": end, "selectionEnd": end}
        await devtools.send("Input.imeSetComposition", part)
    enter = {"key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 229}
    if end_first:
        await devtools.send("Input.insertText", {"text": text})
    await devtools.send("Input.dispatchKeyEvent", {"type": "rawKeyDown", **enter})
    if not end_first:
        await devtools.send("Input.insertText", {"text": text})
    await devtools.send("Input.dispatchKeyEvent", {"type": "keyUp", **enter})


class TestKeyAndModels:
    async def test_models_are_those_of_the_key_and_the_choice_is_kept(self, open_page, gateway):
        page = await open_page(gateway.url)
        await expect(page.locator("#status")).to_have_text("Enter an API key to begin.")
        await enter_key(page)
        assert await page.locator("#model option").all_text_contents() == gateway.models
        await expect(page.locator("#model")).to_have_value("demo")
        await expect(page.locator("#status")).to_have_text("Ready · models: 3")
        await page.select_option("#model", "gpt-6.1-terra")
        await page.reload()
        await expect(page.locator("#model")).to_have_value("gpt-6.1-terra")
        await expect(page.locator("#key")).to_have_value(KEY)

    async def test_the_key_is_in_no_address_and_in_this_tab_only(self, open_page, gateway, watch):
        page = await open_page(gateway.url)
        await enter_key(page)
        await ask(page)
        await expect(page.locator("#status")).to_contain_text("Done")
        assert not [address for address in watch.addresses if KEY in address]
        assert await page.evaluate("localStorage.length + document.cookie.length") == 0
        stored = await page.evaluate("JSON.stringify(sessionStorage)")
        assert KEY in stored
        other = await page.context.new_page()
        await other.goto(gateway.url)
        await expect(other.locator("#key")).to_have_value("")

    @pytest.mark.parametrize(
        ("key", "words"),
        [("tf_wrong", "does not know this key"), ("한글 키", "not a Tokenferry key")],
    )
    async def test_a_wrong_key(self, open_page, gateway, watch, key, words):
        watch.expected = (REFUSED,)
        page = await open_page(gateway.url)
        await page.fill("#key", key)
        await expect(page.get_by_role("alert")).to_contain_text(words)
        await expect(page.locator("#model")).to_be_disabled()
        await enter_key(page)
        await expect(page.get_by_role("alert")).to_be_hidden()

    async def test_words_of_the_server_and_request_id_stand_below(self, open_page, gateway, watch):
        watch.expected = (REFUSED,)
        gateway.models_error = (429, "rate_limit_exceeded", {"retry-after": "7"})
        page = await open_page(gateway.url, language="ko")
        await page.fill("#key", KEY)
        alert = page.get_by_role("alert")
        await expect(alert).to_contain_text("7초 후 다시 시도해 주세요.")
        await expect(alert).to_contain_text("The server's words for rate_limit_exceeded.")
        await expect(alert).to_contain_text("요청 ID: req_42")

    async def test_sending_without_a_key(self, open_page, gateway):
        page = await open_page(gateway.url)
        await ask(page, "draft")
        await expect(page.get_by_role("alert")).to_have_text("Enter an API key first.")
        await expect(page.locator("#key")).to_be_focused()
        await expect(page.locator("#message")).to_have_value("draft")


class TestAnswer:
    async def test_request_and_conversation(self, open_page, gateway):
        page = await open_page(gateway.url, language="ko")
        await enter_key(page)
        await ask(page, "첫 질문")
        await expect(answers(page)).to_have_text(["안녕하세요!"])
        await expect(page.locator("#status")).to_contain_text("완료 · 토큰 5개 · 첫 토큰")
        await ask(page, "둘째 질문")
        await expect(answers(page)).to_have_text(["안녕하세요!", "안녕하세요!"])
        await expect(page.locator("#send")).to_be_visible()
        first, second = (talk.create for talk in gateway.talks)
        assert first["request"] == {
            "model": "demo",
            "messages": [{"role": "user", "content": "첫 질문"}],
            "stream": True,
        }
        assert second["request"]["messages"] == [
            {"role": "user", "content": "첫 질문"},
            {"role": "assistant", "content": "안녕하세요!"},
            {"role": "user", "content": "둘째 질문"},
        ]
        assert first["idempotency_key"] != second["idempotency_key"]
        assert first["ref"] != second["ref"]
        assert gateway.sockets == 1
        await page.click("#restart")
        await expect(answers(page)).to_have_count(0)
        await ask(page, "새 질문")
        await expect(answers(page)).to_have_text(["안녕하세요!"])
        assert len(gateway.talks[-1].create["request"]["messages"]) == 1

    async def test_states_in_words(self, open_page, gateway):
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
            await talk.done("length")

        gateway.script = slowly
        page = await open_page(gateway.url)
        status = page.get_by_role("status")
        await enter_key(page)
        await ask(page)
        await expect(status).to_have_text("Waiting for the first token…")
        await expect(page.locator(".answer")).to_have_attribute("aria-busy", "true")
        steps.put_nowait(None)
        await expect(status).to_have_text("Waiting · 3 ahead")
        steps.put_nowait(None)
        await expect(status).to_have_text("Answering…")
        await expect(answers(page)).to_have_text("one")
        steps.put_nowait(None)
        await expect(status).to_contain_text("Done, cut at the output limit · tokens: 4 · first")
        await expect(page.locator(".answer")).to_have_attribute("aria-busy", "false")

    async def test_reasoning_is_folded(self, open_page, gateway):
        async def think(talk: Talk) -> None:
            await talk.started()
            await talk.delta(content="", reasoning_content="먼저 ")
            await talk.delta(content="", reasoning="생각합니다")
            await talk.text("답")
            await talk.done()

        gateway.script = think
        page = await open_page(gateway.url)
        await enter_key(page)
        await ask(page)
        await expect(answers(page)).to_have_text("답")
        thoughts = page.locator("details .text")
        await expect(thoughts).to_be_hidden()
        await page.get_by_text("Reasoning").click()
        await expect(thoughts).to_be_visible()
        await expect(thoughts).to_have_text("먼저 생각합니다")

    async def test_stop(self, open_page, gateway):
        async def until_stopped(talk: Talk) -> None:
            await talk.started()
            await talk.text("some")
            await talk.cancelled.wait()
            await talk.done("cancelled", usage={"completion_tokens": 1, "estimated": True})

        gateway.script = until_stopped
        page = await open_page(gateway.url)
        await enter_key(page)
        await ask(page)
        await expect(answers(page)).to_have_text("some")
        await page.fill("#message", "typed meanwhile")
        await page.press("#message", "Enter")
        await page.click("#stop")
        await expect(page.locator("#status")).to_contain_text("Stopped · tokens: about 1 ·")
        await expect(page.locator("#send")).to_be_visible()
        await expect(page.locator("#message")).to_have_value("typed meanwhile")
        await expect(page.locator("#message")).to_be_focused()
        assert len(gateway.talks) == 1

    async def test_stop_before_the_stream_is_known(self, open_page, gateway):
        begin = asyncio.Event()

        async def late(talk: Talk) -> None:
            await begin.wait()
            await talk.started()
            await talk.cancelled.wait()
            await talk.done("cancelled", usage=None)

        gateway.script = late
        page = await open_page(gateway.url)
        await enter_key(page)
        await ask(page, "not so fast")
        await expect(page.locator("#status")).to_have_text("Waiting for the first token…")
        await page.click("#stop")
        await expect(page.locator("#status")).to_have_text("Stopping…")
        begin.set()
        await expect(page.locator("#status")).to_contain_text("Stopped")
        await expect(page.locator("#message")).to_have_value("not so fast")
        await expect(page.locator(".turn")).to_have_count(0)

    async def test_markup_stays_text(self, open_page, gateway):
        hostile = (
            "<img src=x onerror=alert(1)><script>alert(2)</script>\n**a** &amp; [b](javascript:1)"
        )

        async def attack(talk: Talk) -> None:
            await talk.started()
            await talk.text(*hostile)
            await talk.delta(content="", reasoning_content=hostile)
            await talk.done()

        gateway.script = attack
        gateway.models = ["demo", "<img src=x onerror=alert(3)>"]
        page = await open_page(gateway.url)
        await enter_key(page)
        await ask(page, hostile)
        await expect(page.locator("#send")).to_be_visible()
        assert await answers(page).text_content() == hostile
        assert await page.locator(".question .text").text_content() == hostile
        assert await page.locator("main img, main script, main a").count() == 0

    async def test_seen_and_merged_chunks(self, open_page, gateway):
        async def repeat(talk: Talk) -> None:
            await talk.started()
            await talk.text("a", "b")
            talk.seq = 1
            await talk.text("b")
            choices = [{"index": 0, "delta": {"content": "cde"}}]
            await talk.send("chunk", epoch=1, seq=5, choices=choices, **{"from": 3})
            talk.seq = 5
            await talk.text("f")
            await talk.send("unknown_in_version_1")
            await talk.done()

        gateway.script = repeat
        page = await open_page(gateway.url)
        await enter_key(page)
        await ask(page)
        await expect(page.locator("#status")).to_contain_text("Done")
        await expect(answers(page)).to_have_text("abcdef")

    async def test_frames_of_another_stream_are_not_mixed_in(self, open_page, gateway):
        async def two(talk: Talk) -> None:
            await talk.started()
            await talk.text("mine")
            other = Talk(talk.socket, talk.create, 999)
            other.seq = 1
            await other.text("theirs")
            await other.done()
            await talk.text(" only")
            await talk.done()

        gateway.script = two
        page = await open_page(gateway.url)
        await enter_key(page)
        await ask(page)
        await expect(page.locator("#status")).to_contain_text("Done")
        await expect(answers(page)).to_have_text("mine only")


class TestFailures:
    async def fail(self, open_page, gateway, script, language="en") -> Page:
        gateway.script = script
        page = await open_page(gateway.url, language=language)
        await enter_key(page)
        await ask(page, "질문입니다")
        await expect(page.get_by_role("alert")).to_be_visible()
        await expect(page.locator("#send")).to_be_visible()
        return page

    async def test_a_refused_request_gives_the_draft_back(self, open_page, gateway):
        async def refuse(talk: Talk) -> None:
            error = {"message": "No such model.", "code": "model_not_found"}
            await talk.socket.send_json(
                {"type": "error", "ref": talk.create["ref"], "error": error}
            )

        page = await self.fail(open_page, gateway, refuse)
        await expect(page.locator("#problem-text")).to_have_text(
            "This model is not available. Choose another one."
        )
        await expect(page.locator("#problem-detail")).to_have_text("No such model.")
        await expect(page.locator("#message")).to_have_value("질문입니다")
        await expect(page.locator(".turn")).to_have_count(0)
        gateway.script = greet
        await page.click("#send")
        await expect(answers(page)).to_have_text("안녕하세요!")
        await expect(page.get_by_role("alert")).to_be_hidden()
        assert len(gateway.talks[-1].create["request"]["messages"]) == 1

    async def test_an_answer_that_is_cut_off_keeps_what_came(self, open_page, gateway):
        async def cut(talk: Talk) -> None:
            await talk.started()
            await talk.text("Half")
            await talk.error("provider_cut_off", "The provider hung up.", done=True)

        page = await self.fail(open_page, gateway, cut, "ko")
        await expect(page.locator("#problem-text")).to_have_text(
            "답변이 중간에 끊겼습니다. 메시지를 다시 보내 주세요."
        )
        await expect(page.locator("#problem-detail")).to_contain_text("요청 ID: st_")
        await expect(answers(page)).to_have_text("Half")
        await expect(page.locator("#status")).to_have_text("실패")

    async def test_a_silent_provider_is_named(self, open_page, gateway):
        async def silent(talk: Talk) -> None:
            await talk.started()
            await talk.error("provider_timeout", "Nothing came for 60 s.", done=True)

        page = await self.fail(open_page, gateway, silent)
        await expect(page.locator("#problem-text")).to_contain_text("demo is not responding.")

    async def test_an_unknown_code_shows_the_servers_words(self, open_page, gateway):
        async def strange(talk: Talk) -> None:
            await talk.started()
            await talk.error("toString", "Something new.", done=True)

        page = await self.fail(open_page, gateway, strange)
        await expect(page.locator("#problem-text")).to_contain_text("The request failed.")
        await expect(page.locator("#problem-detail")).to_contain_text("Something new.")

    @pytest.mark.parametrize(
        ("code", "words"),
        [
            (1009, "The request failed."),
            (4001, "does not know this key"),
            (4003, "does not accept connections"),
            (4029, "Too many connections"),
        ],
    )
    async def test_a_closed_connection_and_a_new_one(self, open_page, gateway, code, words):
        async def close(talk: Talk) -> None:
            await talk.started()
            await talk.text("Half")
            await talk.socket.close(code=code, message=b"reason")

        page = await self.fail(open_page, gateway, close)
        await expect(page.locator("#problem-text")).to_contain_text(words)
        await expect(page.locator("#problem-detail")).to_have_text("reason")
        gateway.script = greet
        await ask(page)
        await expect(answers(page)).to_have_text(["Half", "안녕하세요!"])
        assert gateway.sockets == 2

    async def test_a_server_that_leaves_is_asked_on_a_new_connection(self, open_page, gateway):
        async def leave(talk: Talk) -> None:
            await talk.started()
            await talk.socket.send_json({"type": "going_away", "reconnect_after_ms": 1})
            await talk.text("last")
            await talk.done()

        gateway.script = leave
        page = await open_page(gateway.url)
        await enter_key(page)
        await ask(page)
        await expect(page.locator("#status")).to_contain_text("Done")
        gateway.script = greet
        await ask(page)
        await expect(answers(page)).to_have_text(["last", "안녕하세요!"])
        assert gateway.sockets == 2

    async def test_a_server_that_is_gone(self, open_page, watch):
        watch.expected = (REFUSED,)
        async with FakeGateway().serve() as server:
            page = await open_page(server.url)
            await enter_key(page)
        await ask(page, "Anybody?")
        await expect(page.locator("#problem-text")).to_contain_text("The server does not answer.")
        await expect(page.locator("#message")).to_have_value("Anybody?")


class TestKeyboard:
    async def test_enter_sends_and_shift_enter_does_not(self, open_page, gateway):
        page = await open_page(gateway.url)
        await enter_key(page)
        await page.focus("#message")
        await page.keyboard.type("one")
        await page.keyboard.press("Shift+Enter")
        await page.keyboard.type("two")
        await page.keyboard.press("Enter")
        await expect(page.locator("#status")).to_contain_text("Done")
        await expect(page.locator("#message")).to_have_value("")
        assert gateway.talks[0].create["request"]["messages"][0]["content"] == "one\ntwo"

    async def test_nothing_is_sent_for_nothing(self, open_page, gateway):
        page = await open_page(gateway.url)
        await enter_key(page)
        await page.fill("#message", " \n ")
        await page.press("#message", "Enter")
        await expect(page.locator(".turn")).to_have_count(0)
        assert gateway.talks == []

    @pytest.mark.parametrize("echoes", [0, 1])
    @pytest.mark.parametrize("end_first", [False, True])
    @pytest.mark.parametrize("text", ["안녕하세요", "ㅋ"])
    async def test_the_enter_that_ends_hangul_sends_once(
        self, open_page, gateway, text, end_first, echoes
    ):
        page = await open_page(gateway.url, language="ko")
        await enter_key(page)
        await page.focus("#message")
        await compose(page, text, end_first=end_first)
        for _ in range(echoes):
            await page.keyboard.press("Enter")  # some systems report the key once more
        await expect(page.locator("#status")).to_contain_text("완료")
        await page.wait_for_timeout(200)
        assert [talk.create["request"]["messages"][-1]["content"] for talk in gateway.talks] == [
            text
        ]
        await expect(page.locator("#message")).to_have_value("")

    async def test_the_enter_that_ends_hangul_breaks_no_line(self, open_page, gateway):
        page = await open_page(gateway.url, language="ko")
        await enter_key(page)
        await page.evaluate(
            """() => {
              const field = document.getElementById("message");
              const init = { inputType: "insertLineBreak", cancelable: true };
              window.breaks = [];
              const attempt = () =>
                window.breaks.push(field.dispatchEvent(new InputEvent("beforeinput", init)));
              attempt();
              field.addEventListener("compositionend", () => {
                attempt();
                setTimeout(attempt, 120);
              });
            }"""
        )
        await page.focus("#message")
        await compose(page, "안녕")
        await expect(page.locator("#status")).to_contain_text("완료")
        await page.wait_for_timeout(200)
        assert await page.evaluate("window.breaks") == [True, False, True]

    @pytest.mark.parametrize("end_first", [False, True])
    @pytest.mark.parametrize("text", ["こんにちは", "你好"])
    async def test_for_other_scripts_it_only_ends_the_composition(
        self, open_page, gateway, end_first, text
    ):
        page = await open_page(gateway.url)
        await enter_key(page)
        await page.focus("#message")
        await compose(page, text, end_first=end_first)
        await page.wait_for_timeout(200)
        assert gateway.talks == []
        await expect(page.locator("#message")).to_have_value(text)
        await page.keyboard.press("Enter")
        await expect(page.locator("#status")).to_contain_text("Done")
        assert [talk.create["request"]["messages"][-1]["content"] for talk in gateway.talks] == [
            text
        ]

    async def test_after_an_echo_enter_works_again(self, open_page, gateway):
        page = await open_page(gateway.url)
        await enter_key(page)
        await page.focus("#message")
        await compose(page, "처음")
        await expect(page.locator("#status")).to_contain_text("Done")
        await page.wait_for_timeout(100)
        await page.keyboard.type("next")
        await page.keyboard.press("Enter")
        await expect(answers(page)).to_have_count(2)

    async def test_on_a_phone_enter_is_a_new_line(self, open_page, gateway):
        page = await open_page(gateway.url, width=390, has_touch=True, is_mobile=True)
        await enter_key(page)
        await page.focus("#message")
        await page.keyboard.type("one")
        await page.keyboard.press("Enter")
        await page.keyboard.type("two")
        await expect(page.locator("#message")).to_have_value("one\ntwo")
        await page.tap("#send")
        await expect(answers(page)).to_have_count(1)

    async def test_everything_can_be_reached_by_tab_in_order(self, open_page, gateway):
        page = await open_page(gateway.url)
        await enter_key(page)
        await page.reload()
        await expect(page.locator("#model")).to_be_enabled()
        reached = []
        for _ in range(8):
            await page.keyboard.press("Tab")
            reached.append(await page.evaluate("document.activeElement.id"))
        assert reached[:3] == ["language", "key", "model"]
        assert reached.index("transcript") < reached.index("message") < reached.index("send")


class TestLook:
    async def test_language_follows_the_browser_and_can_be_switched(self, open_page, gateway):
        page = await open_page(gateway.url, language="ko")
        await enter_key(page)
        assert await page.get_attribute("html", "lang") == "ko"
        await expect(page.locator("#send")).to_have_text("보내기")
        await page.get_by_role("button", name="English").click()
        assert await page.get_attribute("html", "lang") == "en"
        await expect(page.locator("#status")).to_have_text("Ready · models: 3")
        await expect(page.get_by_label("Your message")).to_be_visible()
        await ask(page)
        await expect(page.locator("#status")).to_contain_text("Done")
        await page.get_by_role("button", name="한국어").click()
        await expect(page.locator("#status")).to_contain_text("완료")
        await expect(page.locator(".question .who")).to_have_text("내 질문")
        await page.reload()
        assert await page.get_attribute("html", "lang") == "ko"

    @pytest.mark.parametrize("language", ["en", "ko"])
    async def test_no_sideways_scrolling_at_360_px(self, open_page, gateway, language):
        async def wide(talk: Talk) -> None:
            await talk.started()
            await talk.text("x" * 500, "\n", "가" * 500, "\n", "| a " * 100)
            await talk.error("other", "y" * 300, done=True)

        gateway.script = wide
        page = await open_page(gateway.url, language=language, width=360)
        await enter_key(page)
        await ask(page, "z" * 300)
        await expect(page.get_by_role("alert")).to_be_visible()
        for selector in ("html", "#transcript", "footer"):
            excess_px = await page.evaluate(
                "(s) => document.querySelector(s).scrollWidth"
                " - document.querySelector(s).clientWidth",
                selector,
            )
            assert excess_px <= 0, selector
        assert await page.evaluate("document.documentElement.scrollHeight <= innerHeight")

    async def test_fields_are_large_enough_not_to_be_zoomed(self, open_page, gateway):
        page = await open_page(gateway.url)
        for selector in ("#key", "#model", "#message"):
            size = await page.evaluate(
                "(s) => parseFloat(getComputedStyle(document.querySelector(s)).fontSize)", selector
            )
            assert size >= 16

    async def test_korean_breaks_between_words(self, open_page, gateway):
        page = await open_page(gateway.url, language="en")
        await enter_key(page)
        await ask(page, "안녕하세요")
        await expect(answers(page)).to_have_attribute("lang", "ko")
        style = "getComputedStyle(document.querySelector('.answer > .text')).wordBreak"
        assert await page.evaluate(style) == "keep-all"

    async def test_focus_can_be_seen(self, open_page, gateway):
        page = await open_page(gateway.url)
        for _ in range(2):
            await page.keyboard.press("Tab")
        style = "getComputedStyle(document.activeElement)"
        assert await page.evaluate(f"{style}.outlineStyle") == "solid"
        assert await page.evaluate(f"parseFloat({style}.outlineWidth)") >= 2

    async def test_dark_and_light(self, open_page, gateway):
        colours = []
        for scheme in ("light", "dark"):
            page = await open_page(gateway.url, color_scheme=scheme)
            colours.append(await page.evaluate("getComputedStyle(document.body).backgroundColor"))
        assert colours == ["rgb(255, 255, 255)", "rgb(15, 18, 22)"]

    async def test_reading_back_is_not_disturbed(self, open_page, gateway):
        more: asyncio.Queue[str] = asyncio.Queue()

        async def long(talk: Talk) -> None:
            await talk.started()
            await talk.text("line\n" * 100)
            while text := await more.get():
                await talk.text(text)
            await talk.done()

        gateway.script = long
        page = await open_page(gateway.url)
        await enter_key(page)
        await ask(page)
        await expect(answers(page)).to_contain_text("line")
        await until_at_end(page)
        await page.hover("#transcript")
        await page.mouse.wheel(0, -40)
        await expect(page.locator("#latest")).to_be_visible()
        before = await page.evaluate("document.getElementById('transcript').scrollTop")
        more.put_nowait("more\n" * 20)
        await expect(answers(page)).to_contain_text("more")
        assert await page.evaluate("document.getElementById('transcript').scrollTop") == before
        await page.click("#latest")
        await until_at_end(page)
        more.put_nowait("end\n" * 20)
        await expect(answers(page)).to_contain_text("end")
        await until_at_end(page)
        more.put_nowait("")
        await expect(page.locator("#status")).to_contain_text("Done")

    async def test_every_control_has_a_name(self, open_page, gateway):
        page = await open_page(gateway.url)
        devtools = await page.context.new_cdp_session(page)
        tree = await devtools.send("Accessibility.getFullAXTree")
        named = {
            node["role"]["value"]: node.get("name", {}).get("value")
            for node in tree["nodes"]
            if node.get("role", {}).get("value") in ("textbox", "combobox", "button", "main")
        }
        assert set(named) == {"textbox", "combobox", "button", "main"}
        assert all(named.values()), json.dumps(named)
