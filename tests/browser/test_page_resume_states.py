"""How the page goes on with an answer, against a gateway that does what a test tells it to."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from browser.fake_gateway import KEY, FakeGateway, Talk

pytestmark = [pytest.mark.needs("chromium"), pytest.mark.asyncio(loop_scope="module")]

ANSWER = ".answer > .text"


@pytest_asyncio.fixture(loop_scope="module")
async def gateway() -> AsyncIterator[FakeGateway]:
    async with FakeGateway().serve() as running:
        yield running


async def half(talk: Talk) -> None:
    await talk.started()
    await talk.text("one ", "two ", "three ")


async def begin(open_page, gateway: FakeGateway, script=half, language: str = "en") -> Page:
    gateway.script = script
    page = await open_page(gateway.url, language=language)
    await page.fill("#key", KEY)
    await expect(page.locator("#model")).to_be_enabled()
    await page.fill("#message", "Count, please")
    await page.click("#send")
    return page


def position(talk: Talk) -> tuple[str, int, int]:
    return talk.create["stream_id"], talk.create["epoch"], talk.create["after"]


async def test_a_reload_resumes_at_the_last_record(open_page, gateway):
    async def rest(talk: Talk) -> None:
        await talk.resumed(3)
        await talk.text("four")
        await talk.done()

    gateway.resume_script = rest
    page = await begin(open_page, gateway)
    await expect(page.locator(ANSWER)).to_have_text("one two three ")
    await page.reload()
    await expect(page.locator("#status")).to_contain_text("Done")
    await expect(page.locator(ANSWER)).to_have_text("one two three four")
    await expect(page.locator(".question .text")).to_have_text("Count, please")
    assert [position(talk) for talk in gateway.resumes] == [(gateway.talks[0].stream_id, 1, 3)]
    await page.reload()
    await expect(page.locator(ANSWER)).to_have_text("one two three four")
    assert (len(gateway.talks), len(gateway.resumes)) == (1, 1)


async def test_a_reload_before_started_repeats_the_create_with_its_key(open_page, gateway):
    async def silent(_talk: Talk) -> None:
        return

    page = await begin(open_page, gateway, silent)
    await expect(page.locator("#status")).to_have_text("Waiting for the first token…")

    async def short(talk: Talk) -> None:
        await talk.started()
        await talk.text("four")
        await talk.done()

    gateway.script = short
    await page.reload()
    await expect(page.locator(ANSWER)).to_have_text("four")
    await expect(page.locator("#status")).to_contain_text("Done")
    first, second = (talk.create for talk in gateway.talks)
    assert first["idempotency_key"] == second["idempotency_key"]
    assert first["request"] == second["request"]


async def test_models_that_come_late_do_not_take_the_end_s_place(open_page, gateway):
    async def rest(talk: Talk) -> None:
        await talk.resumed(3)
        await talk.done()

    gateway.resume_script = rest
    page = await begin(open_page, gateway)
    await expect(page.locator(ANSWER)).to_have_text("one two three ")
    gateway.models_come.clear()
    await page.reload()
    await expect(page.locator("#status")).to_contain_text("Done")
    gateway.models_come.set()
    await expect(page.locator("#model")).to_be_enabled()
    await expect(page.locator("#status")).to_contain_text("Done")


async def test_a_reset_takes_back_what_the_new_owner_does_not_have(open_page, gateway):
    async def taken_over(talk: Talk) -> None:
        await talk.reset(2, 1)
        await talk.text("TWO")
        await talk.done()

    gateway.resume_script = taken_over
    page = await begin(open_page, gateway)
    await expect(page.locator(ANSWER)).to_have_text("one two three ")
    await page.reload()
    await expect(page.locator("#status")).to_contain_text("Done")
    await expect(page.locator(ANSWER)).to_have_text("one TWO")


async def test_a_reset_within_a_merged_chunk_asks_for_less(open_page, gateway):
    async def merged(talk: Talk) -> None:
        await talk.started()
        await talk.text("a")
        choices = [{"index": 0, "delta": {"content": "bcd"}}]
        await talk.send("chunk", epoch=1, seq=4, choices=choices, **{"from": 2})

    async def taken_over(talk: Talk) -> None:
        if talk.create["epoch"] == 1:
            await talk.reset(2, 3)
            return
        talk.epoch = 2
        await talk.resumed(1)
        await talk.text("b", "c", "X")
        await talk.done()

    gateway.resume_script = taken_over
    page = await begin(open_page, gateway, merged)
    await expect(page.locator(ANSWER)).to_have_text("abcd")
    await page.reload()
    await expect(page.locator("#status")).to_contain_text("Done")
    await expect(page.locator(ANSWER)).to_have_text("abcX")
    assert [position(talk)[1:] for talk in gateway.resumes] == [(1, 4), (2, 1)]


async def test_a_snapshot_takes_the_place_of_the_text(open_page, gateway):
    async def final(talk: Talk) -> None:
        message = {"role": "assistant", "content": "the whole"}
        end = {"finish_reason": "stop", "usage": None, "cost": None, "done": True}
        await talk.send(
            "snapshot", ref=talk.create["ref"], epoch=1, through=9, message=message, **end
        )

    gateway.resume_script = final
    page = await begin(open_page, gateway)
    await expect(page.locator(ANSWER)).to_have_text("one two three ")
    await page.reload()
    await expect(page.locator("#status")).to_contain_text("Done")
    await expect(page.locator(ANSWER)).to_have_text("the whole")


@pytest.mark.parametrize(
    ("language", "code", "words"),
    [
        ("en", "expired", "Too old to resume. Showing the saved part."),
        ("ko", "expired", "이어받기 기간이 지났습니다. 저장된 부분만 표시합니다."),
        ("en", "stream_not_found", "The server does not have this answer"),
        ("ko", "stream_not_found", "서버에 없거나 다른 키에 속한 답변입니다."),
    ],
)
async def test_a_stream_that_is_gone_leaves_its_text(open_page, gateway, language, code, words):
    async def gone(talk: Talk) -> None:
        await talk.refuse(code)

    gateway.resume_script = gone
    page = await begin(open_page, gateway, language=language)
    await expect(page.locator(ANSWER)).to_have_text("one two three ")
    await page.reload()
    await expect(page.locator("#problem-text")).to_contain_text(words)
    await expect(page.locator(ANSWER)).to_have_text("one two three ")
    await expect(page.locator("#send")).to_be_visible()


async def test_a_gap_is_asked_for_and_duplicates_are_dropped(open_page, gateway):
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

    gateway.resume_script = replay
    page = await begin(open_page, gateway, gap)
    await expect(page.locator("#status")).to_contain_text("Done")
    await expect(page.locator(ANSWER)).to_have_text("one two three")
    assert [position(talk)[2] for talk in gateway.resumes] == [1]
    assert gateway.sockets == 1


@pytest.mark.parametrize("code", [1011, 1012, 4100, 4108, 4200])
async def test_a_connection_that_closes_is_opened_again(open_page, gateway, code):
    async def close(talk: Talk) -> None:
        await half(talk)
        await talk.socket.close(code=code)

    async def rest(talk: Talk) -> None:
        await talk.resumed(3)
        await talk.text("four")
        await talk.done()

    gateway.resume_script = rest
    page = await begin(open_page, gateway, close)
    await expect(page.locator("#status")).to_contain_text("Done", timeout=10_000)
    await expect(page.locator(ANSWER)).to_have_text("one two three four")
    assert gateway.sockets == 2
    assert len(gateway.talks) == 1
