"""A provider that refuses, stalls, cuts off, sends garbage or says no gives the documented error.

Before the first visible token the error is an HTTP status; after it, an event or a frame. In no
case is an end invented, a call repeated in secret, or a client left waiting.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import pytest_asyncio

from harness.answers import MANNERS, WHOLE, Answer, ask, body
from harness.dialects import KINDS, error_body, error_event, whole
from harness.faults import (
    IN_A_STREAM,
    SHOWN,
    WITHOUT_A_STREAM,
    InStream,
    NoStream,
    Trouble,
    ends_without_a_finish,
    reports_an_error,
    resets_at_once,
    writes_a_plain_error,
)
from harness.gateway import SERVER, Gateway, provider_entry
from harness.providers import (
    Exchange,
    Script,
    ScriptedProvider,
    answer,
    closed_port,
    replay,
    silent_port,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

# Long enough for a loaded machine to answer in, short enough to wait for.
PATIENCE_S = 0.6
# For what must not seem silent: a loaded machine pauses between two signs of life.
LONG_PATIENCE_S = 1.6
IMPATIENT = {
    "connect_timeout_s": PATIENCE_S,
    "first_byte_timeout_s": PATIENCE_S,
    "idle_timeout_s": PATIENCE_S,
}


@pytest.fixture(scope="module")
def ports() -> Iterator[dict[str, int]]:
    with closed_port() as closed, silent_port() as silent:
        yield {"closed": closed, "silent": silent}


@pytest.fixture(scope="module")
def gateway_options(provider: ScriptedProvider, ports: dict[str, int]) -> dict[str, Any]:
    providers = [provider_entry(kind, provider.url) for kind in KINDS]
    for kind in KINDS:
        providers.append(provider_entry(kind, provider.url, f"impatient-{kind}", **IMPATIENT))
        patient = provider_entry(
            kind, provider.url, f"patient-{kind}", idle_timeout_s=LONG_PATIENCE_S
        )
        providers.append(patient)
        for name, port in ports.items():
            root = f"http://127.0.0.1:{port}"
            providers.append(provider_entry(kind, root, f"{name}-{kind}", **IMPATIENT))
    # A provider that has said 429 is not the first any more for a while.
    firsts = ("first", *(f"first-{manner}" for manner in MANNERS))
    providers += [provider_entry("openai", provider.url, name) for name in firsts]
    return {
        "server": SERVER,
        "providers": providers,
        "aliases": {
            "backup": ["first/m-first", "anthropic/m-anthropic"],
            **{f"backup-{m}": [f"first-{m}/m-first-{m}", "anthropic/m-anthropic"] for m in MANNERS},
            "dead-first": ["closed-openai/m-closed-openai", "gemini/m-gemini"],
        },
        # A fault is to be seen as it comes: not tried again, and no provider given up for it.
        "tables": {"routing": {"retries": 0, "breaker_calls_min": 100_000}},
    }


@pytest_asyncio.fixture(loop_scope="module", autouse=True)
async def the_server_stays_up(gateway: Gateway) -> AsyncIterator[None]:
    yield
    assert await gateway.is_up()


each_case = pytest.mark.parametrize("case", IN_A_STREAM, ids=lambda case: case.trouble.__name__)
each_kind = pytest.mark.parametrize("kind", KINDS)
each_manner = pytest.mark.parametrize("manner", MANNERS)


def check_error(got: Answer, code: str, status: int, manner: str) -> None:
    """Check an error that came before the first token."""
    assert got.error is not None, got
    assert got.error["code"] == code, got.error
    assert got.text == ""
    if manner in ("sse", WHOLE):
        assert got.status == status, got


def check_no_invented_end(got: Answer) -> None:
    """Check that nothing says the answer is complete."""
    for frame in got.frames:
        for choice in frame.get("choices", []):
            assert choice["finish_reason"] in (None, "error"), frame
        assert frame.get("finish_reason") in (None, "error"), frame


# -- in a stream ----------------------------------------------------------------------------------


@each_kind
@each_manner
@each_case
async def test_before_the_first_token(
    gateway: Gateway, provider: ScriptedProvider, case: InStream, manner: str, kind: str
) -> None:
    prompt = provider.play(case.script(kind, shown=False))
    got = await ask(gateway, manner, body(f"m-impatient-{kind}", prompt))
    check_error(got, case.code, case.status, manner)
    check_no_invented_end(got)
    assert len(provider.exchanges(prompt)) == 1


@each_kind
@each_manner
@each_case
async def test_after_some_tokens(
    gateway: Gateway, provider: ScriptedProvider, case: InStream, manner: str, kind: str
) -> None:
    prompt = provider.play(case.script(kind, shown=True))
    got = await ask(gateway, manner, body(f"m-impatient-{kind}", prompt))
    assert got.status == 200
    assert got.text == "".join(SHOWN)
    assert got.error is not None
    assert got.error["code"] == case.code, got.error
    check_no_invented_end(got)
    assert len(provider.exchanges(prompt)) == 1
    if case.trouble is not ends_without_a_finish:
        # An answer may be cut off in good HTTP; any other connection is not kept.
        await provider.exchanges(prompt)[0].until_gone()


@each_kind
@each_manner
@pytest.mark.parametrize("trouble", [reports_an_error, writes_a_plain_error])
@pytest.mark.parametrize("shown", [False, True])
async def test_an_error_event_in_a_good_stream(
    gateway: Gateway,
    provider: ScriptedProvider,
    manner: str,
    kind: str,
    trouble: Trouble,
    *,
    shown: bool,
) -> None:
    prompt = provider.play(InStream(trouble, "").script(kind, shown=shown))
    got = await ask(gateway, manner, body(f"m-{kind}", prompt))
    assert got.error is not None
    assert "과부하입니다" in got.error["message"]
    assert got.text == ("".join(SHOWN) if shown else "")
    check_no_invented_end(got)
    if manner == "sse":
        assert (got.status == 200) == shown, got


@each_kind
@each_manner
async def test_no_event_in_what_is_called_an_event_stream(
    gateway: Gateway, provider: ScriptedProvider, manner: str, kind: str
) -> None:
    error = error_body(kind, 503, "과부하입니다")
    prompt = provider.play(answer("200 OK", error, content_type="text/event-stream"))
    got = await ask(gateway, manner, body(f"m-{kind}", prompt))
    assert got.error is not None
    assert got.error["message"] == "과부하입니다"
    assert got.error["code"] not in ("provider_cut_off", "provider_invalid_response")
    check_no_invented_end(got)
    page = "<!doctype html><title>점검 중입니다</title>".encode()
    prompt = provider.play(answer("200 OK", page, content_type="text/event-stream"))
    got = await ask(gateway, manner, body(f"m-{kind}", prompt))
    check_error(got, "provider_invalid_response", 502, manner)
    assert got.error is not None
    assert "점검 중입니다" in got.error["message"]


# -- before a stream ------------------------------------------------------------------------------


@each_kind
@pytest.mark.parametrize("manner", [*MANNERS, WHOLE])
async def test_a_provider_that_refuses_connections(
    gateway: Gateway, manner: str, kind: str
) -> None:
    got = await ask(gateway, manner, body(f"m-closed-{kind}", "안녕"))
    check_error(got, "provider_unreachable", 502, manner)


@each_kind
@pytest.mark.parametrize("manner", [*MANNERS, WHOLE])
async def test_a_provider_that_never_accepts(gateway: Gateway, manner: str, kind: str) -> None:
    got = await ask(gateway, manner, body(f"m-silent-{kind}", "안녕"))
    check_error(got, "provider_timeout", 504, manner)


@each_kind
@pytest.mark.parametrize("manner", [*MANNERS, WHOLE])
@pytest.mark.parametrize("case", WITHOUT_A_STREAM, ids=lambda case: case.script.__name__)
async def test_no_stream_at_all(
    gateway: Gateway,
    provider: ScriptedProvider,
    case: NoStream,
    manner: str,
    kind: str,
) -> None:
    provider.close_idle_connections()
    prompt = provider.play(case.script)
    got = await ask(gateway, manner, body(f"m-impatient-{kind}", prompt))
    check_error(got, case.code, case.status, manner)
    assert len(provider.exchanges(prompt)) == 1


@each_kind
@pytest.mark.parametrize("manner", ["sse", "plain", WHOLE])
@pytest.mark.parametrize("status", [400, 404, 409, 422, 429, 500, 503, 529])
async def test_a_provider_s_status_and_words_are_passed_on(
    gateway: Gateway, provider: ScriptedProvider, status: int, manner: str, kind: str
) -> None:
    words = f"거절: {status}"
    prompt = provider.play(
        answer(
            f"{status} No",
            error_body(kind, status, words),
            headers={"Retry-After": "7"},
        )
    )
    got = await asyncio.wait_for(ask(gateway, manner, body(f"m-{kind}", prompt)), 5)
    assert got.error is not None
    assert words in got.error["message"], got.error
    if manner != "plain":
        assert got.status == status
        assert got.headers["retry-after"] == "7"
    # Nothing was tried again in secret.
    assert len(provider.exchanges(prompt)) == 1


@each_kind
@pytest.mark.parametrize("manner", [*MANNERS, WHOLE])
@pytest.mark.parametrize("status", [401, 403])
async def test_the_operator_s_credential_is_refused(
    gateway: Gateway, provider: ScriptedProvider, status: int, manner: str, kind: str
) -> None:
    words = "Incorrect API key provided: provider-secret-1234567890"
    prompt = provider.play(answer(f"{status} No", error_body(kind, status, words)))
    got = await ask(gateway, manner, body(f"m-{kind}", prompt))
    # A 401 would tell the client's SDK that its own key is wrong.
    check_error(got, "provider_auth_failed", 502, manner)
    assert got.error is not None
    assert "provider-secret" not in got.error["message"]


@each_kind
async def test_an_error_without_words(
    gateway: Gateway, provider: ScriptedProvider, kind: str
) -> None:
    prompt = provider.play(answer("503 No", b"<html>upstream</html>", content_type="text/html"))
    got = await ask(gateway, "sse", body(f"m-{kind}", prompt))
    assert got.status == 503
    assert got.error is not None
    assert got.error["message"]


# -- fallback -------------------------------------------------------------------------------------


def two_providers(first: Script) -> Script:
    """Return a script in which OpenAI's wire format does `first` and Anthropic's answers."""
    good = replay(whole("anthropic", ["대신 ", "답합니다"]))

    async def run(exchange: Exchange) -> None:
        is_first = exchange.request.path.endswith("/chat/completions")
        await (first if is_first else good)(exchange)

    return run


@pytest.mark.parametrize("manner", [*MANNERS])
@pytest.mark.parametrize(
    ("first", "alias"),
    [
        (answer("503 No", b"{}"), "backup"),
        (answer("429 No", b"{}", headers={"Retry-After": "7"}), "backup-{manner}"),
        (resets_at_once, "backup"),
        (InStream(ends_without_a_finish, "").script("openai", shown=False), "backup"),
        (
            answer("200 OK", error_body("openai", 503, "x"), content_type="text/event-stream"),
            "backup",
        ),
    ],
    ids=["503", "429", "reset", "cut-off", "no-event"],
)
async def test_another_candidate_serves_before_the_first_token(
    gateway: Gateway, provider: ScriptedProvider, first: Script, alias: str, manner: str
) -> None:
    provider.close_idle_connections()
    prompt = provider.play(two_providers(first))
    got = await ask(gateway, manner, body(alias.format(manner=manner), prompt))
    assert got.error is None
    assert got.text == "대신 답합니다"
    assert len(provider.exchanges(prompt)) == 2


async def test_what_is_left_of_a_failed_candidate_does_not_harm_the_next(
    gateway: Gateway, provider: ScriptedProvider
) -> None:
    first_is_gone = asyncio.Event()

    async def run(exchange: Exchange) -> None:
        if exchange.request.path.endswith("/chat/completions"):
            exchange.head()
            exchange.chunk(error_event("openai", "busy"))
            await exchange.until_gone()
            first_is_gone.set()
        else:
            await first_is_gone.wait()
            await replay(whole("anthropic", ["대신 ", "답합니다"]))(exchange)

    got = await ask(gateway, "sse", body("backup", provider.play(run)))
    assert (got.error, got.text) == (None, "대신 답합니다")


@each_manner
async def test_no_other_candidate_after_the_first_token(
    gateway: Gateway, provider: ScriptedProvider, manner: str
) -> None:
    first = InStream(ends_without_a_finish, "").script("openai", shown=True)
    prompt = provider.play(two_providers(first))
    got = await ask(gateway, manner, body("backup", prompt))
    assert got.error is not None
    assert got.error["code"] == "provider_cut_off"
    assert got.text == "".join(SHOWN)
    assert len(provider.exchanges(prompt)) == 1


async def test_a_request_that_is_wrong_everywhere_is_not_tried_elsewhere(
    gateway: Gateway, provider: ScriptedProvider
) -> None:
    first = answer("400 No", error_body("openai", 400, "temperature is too high"))
    prompt = provider.play(two_providers(first))
    got = await ask(gateway, "sse", body("backup", prompt))
    assert got.status == 400
    assert len(provider.exchanges(prompt)) == 1


async def test_a_candidate_that_is_down_is_passed_over(
    gateway: Gateway, provider: ScriptedProvider
) -> None:
    prompt = provider.play(replay(whole("gemini", ["네"])))
    got = await ask(gateway, "plain", body("dead-first", prompt))
    assert (got.text, got.error) == ("네", None)


# -- life signs and connections -------------------------------------------------------------------


@each_kind
async def test_comments_are_a_sign_of_life_and_no_token(
    gateway: Gateway, provider: ScriptedProvider, kind: str
) -> None:
    async def run(exchange: Exchange) -> None:
        exchange.head()
        # Together beyond the patience that plain silence would get.
        for _ in range(5):
            exchange.chunk(b": keep-alive\n\n")
            await asyncio.sleep(LONG_PATIENCE_S / 4)
        for part in whole(kind, SHOWN):
            exchange.chunk(part)
        exchange.end()

    prompt = provider.play(run)
    got = await ask(gateway, "sse", body(f"m-patient-{kind}", prompt))
    assert got.error is None
    assert got.text == "".join(SHOWN)


@each_kind
async def test_a_connection_is_kept_and_a_dead_one_is_not_used(
    gateway: Gateway, provider: ScriptedProvider, kind: str
) -> None:
    async def once() -> int:
        prompt = provider.play(replay(whole(kind, SHOWN)))
        got = await ask(gateway, "sse", body(f"m-{kind}", prompt))
        assert got.text == "".join(SHOWN)
        assert len(provider.exchanges(prompt)) == 1
        return provider.connection_count

    before = await once()
    assert await once() == before
    provider.close_idle_connections()
    assert await once() == before + 1


@each_kind
@pytest.mark.parametrize("times", [1, 3])
async def test_a_kept_connection_that_ends_under_a_request_is_replaced_once(
    gateway: Gateway, provider: ScriptedProvider, kind: str, times: int
) -> None:
    # A server's keep-alive timeout can cross our request on the way; nothing came back by then.
    left = times

    async def run(exchange: Exchange) -> None:
        nonlocal left
        left -= 1
        if left >= 0:
            exchange.close()
        else:
            await replay(whole(kind, SHOWN))(exchange)

    kept = provider.play(replay(whole(kind, SHOWN)))
    await ask(gateway, "plain", body(f"m-{kind}", kept))
    prompt = provider.play(run)
    got = await ask(gateway, "plain", body(f"m-{kind}", prompt))
    assert len(provider.exchanges(prompt)) == 2
    if times == 1:
        assert got.text == "".join(SHOWN)
    else:
        assert got.error is not None
        assert got.error["code"] == "provider_cut_off"


@each_kind
async def test_a_large_event_is_no_fault(
    gateway: Gateway, provider: ScriptedProvider, kind: str
) -> None:
    text = "한" * 300_000
    prompt = provider.play(replay(whole(kind, [text])))
    got = await ask(gateway, "plain", body(f"m-{kind}", prompt))
    assert got.text == text


async def test_usage_is_always_asked_for_and_shown_only_when_wanted(
    gateway: Gateway, provider: ScriptedProvider
) -> None:
    for options in ({}, {"stream_options": {"include_usage": False}}):
        prompt = provider.play(replay(whole("openai", SHOWN)))
        asked = body("m-openai", prompt, **options)
        response = await gateway.post(
            "/v1/chat/completions", json.dumps(asked).encode(), gateway.key
        )
        assert b'"usage"' not in response.body
        (exchange,) = provider.exchanges(prompt)
        assert exchange.request.json["stream_options"]["include_usage"] is True
