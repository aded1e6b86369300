import json
from typing import Any

import msgspec
import pytest
from msgspec import Raw

from tokenferry.domain.rate_limit import Standing
from tokenferry.errors import InvalidFrame, ModelNotFound, RateLimited
from tokenferry.protocol import messages
from tokenferry.protocol.messages import (
    Ack,
    Auth,
    Cancel,
    Create,
    Credit,
    Detach,
    Hello,
    Ping,
    Resume,
    client_decoder,
)


def read(frame: bytes) -> Any:
    """Read one text frame of up to 65,535 bytes."""
    assert frame[0] == 0x81
    start = 4 if frame[1] == 126 else 2
    length = int.from_bytes(frame[2:4], "big") if start == 4 else frame[1]
    assert len(frame) == start + length
    return json.loads(frame[start:])


# From the client.


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ('{"type":"auth","token":"tf_x"}', Auth("tf_x")),
        ('{"type":"hello"}', Hello(1, [], None)),
        (
            '{"type":"hello","version":2,"caps":["hb","새것"],"window_bytes":9,"x":1}',
            Hello(2, ["hb", "새것"], 9),
        ),
        (
            '{"type":"resume","stream_id":"s","epoch":1,"after":0}',
            Resume("s", epoch=1, after=0, ref=None),
        ),
        (
            '{"ref":7,"after":4,"epoch":2,"stream_id":"s","type":"resume"}',
            Resume("s", epoch=2, after=4, ref=7),
        ),
        ('{"type":"detach","stream_id":"s"}', Detach("s")),
        ('{"type":"cancel","stream_id":"s"}', Cancel("s")),
        ('{"type":"credit","bytes":5}', Credit(5, None)),
        ('{"type":"credit","bytes":5,"stream_id":"s"}', Credit(5, "s")),
        ('{"type":"ack","stream_id":"s","seq":3}', Ack("s", 3)),
    ],
)
def test_client_messages(data: str, message: object) -> None:
    assert client_decoder.decode(data) == message


def test_create_keeps_the_request_as_it_came() -> None:
    request = '{ "model" : "m",\n "messages":[] }'
    message = client_decoder.decode('{"type":"create","request":' + request + ',"ref":"내것"}')
    assert isinstance(message, Create)
    assert bytes(message.request).decode() == request
    assert (message.ref, message.idempotency_key) == ("내것", None)
    options = message.options
    assert (options.on_disconnect, options.orphan_timeout_s) == ("continue", None)
    assert (options.coalesce_ms, options.recovery) == (None, None)


def test_create_with_options() -> None:
    message = client_decoder.decode(
        '{"type":"create","request":{},"idempotency_key":"k","options":'
        '{"on_disconnect":"cancel","orphan_timeout_s":1.5,"coalesce_ms":20,"recovery":"continue"}}'
    )
    assert isinstance(message, Create)
    assert message.idempotency_key == "k"
    assert msgspec.structs.astuple(message.options) == ("cancel", 1.5, 20, "continue")


@pytest.mark.parametrize("t", ["null", "1", '"x"', '{"a": [1.50]}'])
def test_a_ping_comes_back_as_it_was(t: str) -> None:
    message = client_decoder.decode('{"type":"ping","t":' + t + "}")
    assert isinstance(message, Ping)
    assert messages.pong(message.t)[2:].decode() == '{"type":"pong","t":' + t + "}"


def test_a_ping_without_t() -> None:
    message = client_decoder.decode('{"type":"ping"}')
    assert isinstance(message, Ping)
    assert read(messages.pong(message.t)) == {"type": "pong", "t": None}


@pytest.mark.parametrize(
    "data",
    [
        '{"type":"none such"}',
        '{"type":1}',
        '{"type":null}',
        "{}",
        "[]",
        '{"type":"auth"}',
        '{"type":"auth","token":1}',
        '{"type":"hello","caps":"hb"}',
        '{"type":"hello","version":"1"}',
        '{"type":"create"}',
        '{"type":"create","request":{},"ref":1.5}',
        '{"type":"create","request":{},"options":[]}',
        '{"type":"resume","stream_id":"s","epoch":1}',
        '{"type":"resume","stream_id":"s","epoch":"1","after":0}',
        '{"type":"resume","stream_id":"s","epoch":1,"after":-1}',
        '{"type":"cancel"}',
        '{"type":"ack","stream_id":"s","seq":null}',
        '{"type":"credit"}',
    ],
)
def test_what_is_no_message(data: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        client_decoder.decode(data)


# To the client.


def test_ready() -> None:
    assert read(messages.ready("conn_1", 15.0, {"streams": 32})) == {
        "type": "ready",
        "version": 1,
        "connection_id": "conn_1",
        "heartbeat_s": 15.0,
        "caps": ["hb", "coalesce", "credit"],
        "limits": {"streams": 32},
    }


def test_ready_for_a_client_that_counts_bytes() -> None:
    windows = {"window_bytes": 8, "stream_window_bytes": 2}
    assert read(messages.ready("conn_1", 15.0, {}, windows)).items() >= windows.items()


@pytest.mark.parametrize("ref", [None, "내 것", 7])
def test_started(ref: str | int | None) -> None:
    assert read(messages.started(ref, "s", 1, 600)) == {
        "type": "started",
        "ref": ref,
        "stream_id": "s",
        "epoch": 1,
        "seq": 0,
        "resume_for_s": 600,
    }


@pytest.mark.parametrize(("done", "state"), [(False, "live"), (True, "done")])
def test_resumed(*, done: bool, state: str) -> None:
    assert read(messages.resumed("r", "s", 2, 3, 9, done=done)) == {
        "type": "resumed",
        "ref": "r",
        "stream_id": "s",
        "epoch": 2,
        "from": 3,
        "head": 9,
        "state": state,
    }


def test_small_messages() -> None:
    assert read(messages.caught_up("s", 9)) == {"type": "caught_up", "stream_id": "s", "seq": 9}
    assert read(messages.heartbeat(1_790_000_000_000)) == {"type": "hb", "t": 1_790_000_000_000}
    assert read(messages.pong(Raw(b'"x"'))) == {"type": "pong", "t": "x"}
    assert read(messages.going_away(250, 30_000)) == {
        "type": "going_away",
        "reconnect_after_ms": 250,
        "deadline_ms": 30_000,
    }


ERROR = {
    "message": "그런 모델은 없습니다.",
    "type": "invalid_request_error",
    "param": "model",
    "code": "model_not_found",
    "retryable": False,
}


def test_an_error() -> None:
    exc = ModelNotFound("그런 모델은 없습니다.", param="model")
    assert read(messages.error(exc)) == {"type": "error", "error": ERROR}


@pytest.mark.parametrize("ref", ["", "r", 0])
def test_an_error_says_what_it_answers(ref: str | int) -> None:
    exc = RateLimited("wait", retry_after_ms=0)
    frame = read(messages.error(exc, ref=ref, stream_id="s"))
    assert (frame["ref"], frame["stream_id"], frame["retry_after_ms"]) == (ref, "s", 0)
    assert "done" not in frame


def test_a_plain_error_is_a_last_frame_that_any_loop_understands() -> None:
    exc = ModelNotFound("그런 모델은 없습니다.", param="model")
    assert read(messages.plain_error(exc)) == {
        "error": ERROR,
        "object": "chat.completion.chunk",
        "choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "error"}],
        "stream_id": None,
        "epoch": 0,
        "seq": 0,
        "done": True,
    }
    waiting = read(messages.plain_error(RateLimited("wait", retry_after_ms=250)))
    assert waiting["retry_after_ms"] == 250


def test_what_is_beside_an_error_is_so_in_both_manners() -> None:
    exc = RateLimited("wait", retry_after_ms=250)
    exc.details["limit"] = limit = {"scope": "key", "name": "requests_per_minute", "value": 60}
    assert read(messages.plain_error(exc))["limit"] == limit
    assert read(messages.error(exc))["limit"] == limit


@pytest.mark.parametrize("ref", [None, "r", 0])
def test_how_a_client_stands_with_its_limits(ref: str | int | None) -> None:
    standings = [Standing("requests", 60, 59, 1000), Standing("tokens", 5000, 0, 61_000)]
    assert read(messages.rate_limits(ref, standings)) == {
        "type": "rate_limits",
        "ref": ref,
        "rate_limits": [
            {"name": "requests", "limit": 60, "remaining": 59, "reset_ms": 1000},
            {"name": "tokens", "limit": 5000, "remaining": 0, "reset_ms": 61_000},
        ],
    }


def test_a_long_error_is_one_frame() -> None:
    assert len(read(messages.error(InvalidFrame("가" * 1000)))["error"]["message"]) == 1000


def test_the_names_of_the_protocol() -> None:
    assert (messages.VERSION, messages.SUBPROTOCOL) == (1, "tokenferry.v1")
    assert messages.TICKET_PREFIX == "ticket."
    assert messages.REF_CHARACTERS_MAX == 128
