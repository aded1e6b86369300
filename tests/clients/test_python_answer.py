"""What chunks make of an answer, and what is taken back."""

from typing import Any

import pytest

from tokenferry_client.answer import Answer, ToolCall
from tokenferry_client.errors import (
    AuthenticationError,
    BadRequestError,
    ClientClosedError,
    InsufficientCreditError,
    NotFoundError,
    PermissionDeniedError,
    PositionAhead,
    RateLimitError,
    ServerError,
    StreamExpired,
    TokenferryError,
    UnprocessableEntityError,
    UpstreamError,
    of,
    type_of_status,
)
from tokenferry_client.events import (
    TOOL_CALLS_MAX,
    Chunk,
    ErrorInfo,
    Failed,
    Position,
    Snapshot,
    ToolCallDelta,
)


def chunk(text: str, seq: int, index: int = 0, **delta: Any) -> Chunk:
    return Chunk("a", text, {"content": text, **delta}, index, 1, seq)


def test_choices_stay_apart() -> None:
    answer = Answer()
    for piece in (chunk("가", 1), chunk("b", 2, 1), chunk("나", 3), chunk("d", 4, 3)):
        answer.add(piece)
    assert answer.texts == ("가나", "b", "", "d")
    assert answer.text() == "가나"
    assert answer.text(3) == "d"


def test_what_is_taken_back_takes_calls_and_reasoning_with_it() -> None:
    answer = Answer()
    call = [{"index": 0, "id": "c", "function": {"name": "f", "arguments": "{"}}]
    more = [{"index": 0, "function": {"arguments": "}"}}]
    answer.add(chunk("a", 1, reasoning_content="r"))
    answer.add(chunk("", 2, tool_calls=call))
    answer.add(chunk("b", 5, tool_calls=more, reasoning="s", refusal="no"))
    assert answer.tool_calls == (ToolCall("c", "f", "{}"),)
    assert (answer.reasoning, answer.refusal) == ("rs", "no")
    # The last one was merged: of it nothing stays.
    answer.rewind(4)
    assert answer.tool_calls == (ToolCall("c", "f", "{"),)
    assert (answer.text(), answer.reasoning, answer.refusal) == ("a", "r", "")
    answer.rewind(0)
    assert answer.texts == ("",)


def test_a_snapshot_is_everything() -> None:
    answer = Answer()
    answer.add(chunk("half", 1))
    calls = [{"id": "c", "function": {"name": "f", "arguments": "{}"}}]
    message = {"content": "whole", "reasoning_content": "r", "tool_calls": calls}
    answer.replace(Snapshot("a", 1, 9, message))
    assert (answer.text(), answer.reasoning) == ("whole", "r")
    assert answer.tool_calls == (ToolCall("c", "f", "{}"),)


def test_a_custom_tool_is_called_with_any_text() -> None:
    answer = Answer()
    for seq, custom in enumerate(
        ({"name": "sql", "input": ""}, {"input": "SELECT "}, {"input": "1"})
    ):
        first = {"id": "c1", "type": "custom"} if seq == 0 else {}
        answer.add(chunk("", seq + 1, tool_calls=[{"index": 0, **first, "custom": custom}]))
    whole = ToolCall("c1", "sql", "SELECT 1", is_custom=True)
    assert answer.tool_calls == (whole,)
    # What it is shown as, and sent back as, is read as the same again.
    (again,) = answer.standing(1, "r", 1, 3)
    assert again.delta["tool_calls"] == [
        {"index": 0, "id": "c1", "type": "custom", "custom": {"name": "sql", "input": "SELECT 1"}}
    ]
    answer.replace(Snapshot("r", 1, 9, {"tool_calls": [whole.message()]}))
    assert answer.tool_calls == (whole,)


@pytest.mark.parametrize(
    ("call", "delta"),
    [
        ({}, ToolCallDelta(7, "", "", "")),
        ({"index": -1, "function": None, "id": 4}, ToolCallDelta(7, "", "", "")),
        ({"index": TOOL_CALLS_MAX - 1}, ToolCallDelta(TOOL_CALLS_MAX - 1, "", "", "")),
        ({"index": TOOL_CALLS_MAX}, ToolCallDelta(7, "", "", "")),
    ],
)
def test_odd_calls_of_tools(call: dict[str, Any], delta: ToolCallDelta) -> None:
    assert ToolCallDelta.of(call, 7) == delta


@pytest.mark.parametrize("text", ["st_1@2-30", "a@0-0"])
def test_positions_are_text(text: str) -> None:
    assert str(Position.parse(text)) == text


@pytest.mark.parametrize("text", ["", "st_1", "st_1@1", "@1-1", "st@1-" + "9" * 16, "s t@1-1"])
def test_what_is_no_position(text: str) -> None:
    with pytest.raises(ValueError, match="no position"):
        Position.parse(text)


@pytest.mark.parametrize(
    ("code", "kind", "error"),
    [
        ("invalid_api_key", "authentication_error", AuthenticationError),
        ("insufficient_credit", "payment_error", InsufficientCreditError),
        ("model_not_priced", "permission_error", PermissionDeniedError),
        ("model_not_found", "invalid_request_error", NotFoundError),
        ("model_retired", "invalid_request_error", NotFoundError),
        ("expired", "invalid_request_error", StreamExpired),
        ("position_ahead", "invalid_request_error", PositionAhead),
        ("invalid_value", "invalid_request_error", BadRequestError),
        ("idempotency_key_reused", "invalid_request_error", UnprocessableEntityError),
        ("too_many_streams", "rate_limit_error", RateLimitError),
        ("internal_error", "server_error", ServerError),
        ("upstream_lost", "server_error", UpstreamError),
        ("provider_timeout", "provider_error", UpstreamError),
        ("overloaded", "a_providers_own", UpstreamError),
        ("client_closed", "", ClientClosedError),
        ("client_defect", "", TokenferryError),
        ("origin_not_allowed", "authentication_error", PermissionDeniedError),
    ],
)
def test_each_code_has_its_class(code: str, kind: str, error: type[TokenferryError]) -> None:
    found = of(Failed("a", ErrorInfo(code, "said", kind)))
    assert type(found) is error
    assert (found.code, found.message) == (code, "said")


def test_what_an_error_carries() -> None:
    info = ErrorInfo("rate_limit_exceeded", "m", "rate_limit_error", "p", retryable=True)
    limit = {"scope": "key"}
    failed = Failed("a", info, "st_1", 2, 3, {"t": 1}, "0.1", None, 50, limit, "9")
    error = of(failed, "c_1")
    assert isinstance(error, RateLimitError)
    assert error.position == Position("st_1", 2, 3)
    assert (error.usage, error.cost, error.balance) == ({"t": 1}, "0.1", "9")
    assert (error.retry_after_ms, error.limit, error.param) == (50, limit, "p")
    assert (error.request_id, error.retryable, error.status) == ("st_1", True, 429)
    assert of(Failed("a", info), "c_1").request_id == "c_1"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (402, "payment_error"),
        (403, "permission_error"),
        (429, "rate_limit_error"),
        (499, "invalid_request_error"),
        (500, "server_error"),
    ],
)
def test_statuses_without_a_word(status: int, kind: str) -> None:
    assert type_of_status(status) == kind
