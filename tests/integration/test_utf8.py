"""Text beyond ASCII: Korean, emoji, cut inside characters on every side of the gateway."""

import asyncio
import json

import pytest

from harness import websocket
from harness.answers import MANNERS, ask, body, plain_frames, text_of
from harness.dialects import KINDS, closing, opening, token, whole
from harness.gateway import Gateway
from harness.providers import ScriptedProvider, cut, replay, response_bytes
from harness.sse import PATH

pytestmark = pytest.mark.asyncio(loop_scope="module")

# One to four bytes a character, joined emoji, a flag, decomposed Hangul, a right-to-left word.
TEXT = "aé한🙂 뷁👩‍👩‍👧‍👦🇰🇷 한글 שלום 𝄞"
PIECES = ["안녕 ", "하세요 🙂", "👩‍👩‍👧", "‍👦 끝", "\u1112\u1161\u11ab"]


def inside_characters(data: bytes) -> list[int]:
    """Return the places between the bytes of one character."""
    return [place for place in range(1, len(data)) if 0x80 <= data[place] < 0xC0]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("manner", MANNERS)
async def test_an_answer_cut_inside_every_character(
    gateway: Gateway, provider: ScriptedProvider, kind: str, manner: str
) -> None:
    blocks = whole(kind, PIECES)
    at = inside_characters(response_bytes(blocks))
    assert len(at) > 30
    prompt = provider.play(replay(blocks, at=at))
    answer = await ask(gateway, manner, body(f"m-{kind}", prompt))
    assert answer.text == "".join(PIECES)


@pytest.mark.parametrize("kind", KINDS)
async def test_an_answer_whose_chunks_end_inside_characters(
    gateway: Gateway, provider: ScriptedProvider, kind: str
) -> None:
    # Here the HTTP chunks themselves, not only the reads, end inside characters.
    data = b"".join(whole(kind, PIECES))
    parts = cut(data, inside_characters(data))
    prompt = provider.play(replay(parts, at=range(1, len(response_bytes(parts)), 7)))
    answer = await ask(gateway, "plain", body(f"m-{kind}", prompt))
    assert answer.text == "".join(PIECES)


def escaped_halves(kind: str) -> list[bytes]:
    """Return an answer in which one emoji's two surrogates are the escapes of two events."""
    first, second = (token(kind, half) for half in ("웃음 HIGH", "LOW 끝"))
    return [
        *opening(kind),
        first.replace(b"HIGH", rb"\ud83d"),
        second.replace(b"LOW", rb"\ude00"),
        *closing(kind, 2),
    ]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("manner", MANNERS)
async def test_an_emoji_whose_halves_come_in_two_events(
    gateway: Gateway, provider: ScriptedProvider, kind: str, manner: str
) -> None:
    prompt = provider.play(replay(escaped_halves(kind)))
    answer = await ask(gateway, manner, body(f"m-{kind}", prompt))
    assert answer.text == "웃음 😀 끝"


@pytest.mark.parametrize("kind", KINDS)
async def test_a_half_that_stays_alone_never_reaches_a_client(
    gateway: Gateway, provider: ScriptedProvider, kind: str
) -> None:
    blocks = [*opening(kind), token(kind, "끝HIGH").replace(b"HIGH", rb"\ud83d")]
    prompt = provider.play(replay([*blocks, *closing(kind, 1)]))
    answer = await ask(gateway, "plain", body(f"m-{kind}", prompt))
    assert answer.text == "끝\ufffd"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("manner", MANNERS)
async def test_a_question_reaches_the_provider_as_it_was_asked(
    gateway: Gateway, provider: ScriptedProvider, kind: str, manner: str
) -> None:
    prompt = provider.play(replay(whole(kind, ["네"])))
    await ask(gateway, manner, body(f"m-{kind}", f"{TEXT} {prompt}"))
    (exchange,) = provider.exchanges(prompt)
    sent = json.dumps(exchange.request.json, ensure_ascii=False)
    assert f"{TEXT} {prompt}" in sent
    assert exchange.request.headers["content-type"].startswith("application/json")


async def test_a_frame_fragmented_inside_characters(
    gateway: Gateway, provider: ScriptedProvider
) -> None:
    prompt = provider.play(replay(whole("openai", ["네"])))
    data = json.dumps(body("m-openai", f"{TEXT} {prompt}"), ensure_ascii=False).encode()
    async with websocket.connect(gateway.port, gateway.key) as socket:
        first, *rest = (data[place : place + 1] for place in range(len(data)))
        socket.send_frame(websocket.TEXT, first, fin=False)
        for index, byte in enumerate(rest, 1):
            last = index == len(rest)
            socket.send_frame(websocket.CONTINUATION, byte, fin=last)
        assert text_of(await plain_frames(socket)) == "네"
    (exchange,) = provider.exchanges(prompt)
    assert f"{TEXT} {prompt}" in json.dumps(exchange.request.json, ensure_ascii=False)


async def test_a_frame_that_is_no_utf8_ends_the_connection_as_the_rfc_says(
    gateway: Gateway,
) -> None:
    async with websocket.connect(gateway.port, gateway.key) as socket:
        socket.send_frame(websocket.TEXT, b'{"model":"\xed\xa0\x80"}')
        assert (await socket.closed()).code == 1007
    assert await gateway.is_up()


@pytest.mark.parametrize(
    "data",
    [
        b'{"model":"m-openai","messages":[{"role":"user","content":"\xff"}]}',
        b'{"model":"m-openai","messages":[{"role":"user","content":"\xed\x95"}]}',
        rb'{"model":"m-openai","messages":[{"role":"user","content":"\ud83d"}]}',
    ],
    ids=["no-utf8", "cut-character", "half-a-surrogate-pair"],
)
async def test_a_body_that_is_no_unicode_is_refused(gateway: Gateway, data: bytes) -> None:
    response = await gateway.post(PATH, data, gateway.key)
    assert (response.status, response.error["code"]) == (400, "invalid_json")


async def test_bytes_that_are_no_utf8_in_an_answer_stay_the_provider_s_fault(
    gateway: Gateway, provider: ScriptedProvider
) -> None:
    bad = token("openai", "네BAD").replace(b"BAD", b"\xff\xfe")
    blocks = [*opening("openai"), bad, *closing("openai", 1)]
    prompts = [provider.play(replay(blocks)) for _ in MANNERS]
    answers = await asyncio.gather(
        *(
            ask(gateway, manner, body("m-openai", prompt))
            for manner, prompt in zip(MANNERS, prompts, strict=True)
        )
    )
    for answer in answers:
        assert answer.error
        assert answer.error["code"] == "provider_invalid_response"
    assert await gateway.is_up()
