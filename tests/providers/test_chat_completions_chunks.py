import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET, Raw

from tokenferry.errors import ProviderAuthFailed, ProviderInvalidResponse
from tokenferry.protocol.surrogates import well_formed
from tokenferry.providers.chat_completions_chunks import (
    ERROR_CHARACTERS_MAX,
    Chunk,
    ErrorObject,
    FirstChunk,
    Message,
    Part,
    decode_leniently,
    passed_on,
    read_error,
    reported,
    split_parts,
)

HIGH = "\ud83d"
strict = msgspec.json.Decoder(FirstChunk)


# Errors.


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            {"error": {"message": "m", "type": "t", "param": "p", "code": "c", "new": 1}},
            ErrorObject("m", "t", "p", "c"),
        ),
        ({"error": {"message": None, "code": 5}}, ErrorObject(None, None, None, 5)),
        ({"error": "말"}, ErrorObject("말")),
        ({"error": "m", "code": 7, "type": "t"}, ErrorObject("m", "t", None, 7)),
        ({"message": "m", "type": "t", "code": "c"}, ErrorObject("m", "t", None, "c")),
        ({"detail": "Not Found"}, ErrorObject("Not Found")),
        ({"object": "error", "message": "m", "code": 404}, ErrorObject("m", None, None, 404)),
        ([{"error": {"message": "구글", "code": 400}}], ErrorObject("구글", None, None, 400)),
        ([], ErrorObject()),
        ({}, ErrorObject()),
        ({"error": None}, ErrorObject()),
    ],
)
def test_bodies_of_errors(body: Any, expected: ErrorObject) -> None:
    assert read_error(json.dumps(body).encode()) == expected


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", None),
        (b"  \n", None),
        (b"upstream is down\n", "upstream is down"),
        ("점검 중입니다".encode(), "점검 중입니다"),
        (b"<html><h1>502</h1></html>", "<html><h1>502</h1></html>"),
        (b"\xff!", "\ufffd!"),
        (b"[1]", "[1]"),
        (b'{"detail":[{"loc":["body"],"msg":"x"}]}', '{"detail":[{"loc":["body"],"msg":"x"}]}'),
        (b'{"error":{"message":{"a":1}}}', '{"error":{"message":{"a":1}}}'),
    ],
)
def test_errors_of_another_form_are_quoted(body: bytes, message: str | None) -> None:
    assert read_error(body) == ErrorObject(message)


@pytest.mark.parametrize("character", ["a", "가", "😀"])
def test_a_quotation_is_cut_between_characters(character: str) -> None:
    assert ERROR_CHARACTERS_MAX == 200
    for length in (199, 200, 201, 5000):
        message = read_error((character * length).encode()).message
        assert message == character * min(length, 200)


def test_an_error_that_is_nested_too_deeply() -> None:
    assert read_error(b'{"error":' + b"[" * 100_000).message


@pytest.mark.parametrize(("code", "status"), [(400, 400), ("599", 599), (40, 502), ("4x0", 502)])
def test_a_reported_errors_status(code: Any, status: int) -> None:
    error = reported(Chunk(), Raw(json.dumps({"code": code}).encode()))
    assert (error.http_status, error.code) == (status, str(code))


@pytest.mark.parametrize("code", [401, "401", 403])
def test_a_reported_refusal_of_the_operators_key_is_none_of_the_clients(code: Any) -> None:
    said = {"code": code, "message": "Incorrect API key provided: sk-operators"}
    error = reported(Chunk(), Raw(json.dumps(said).encode()))
    assert isinstance(error, ProviderAuthFailed)
    assert "sk-operators" not in error.message


def test_a_reported_lack_of_credit_is_no_402_for_the_client() -> None:
    said = {"code": 402, "message": "Insufficient credits"}
    error = reported(Chunk(), Raw(json.dumps(said).encode()))
    assert (error.http_status, error.code) == (503, "provider_quota_exhausted")
    assert "the gateway's account" in error.message.lower()
    assert "Insufficient credits" in error.message


def test_without_an_error_the_chunk_itself_is_one() -> None:
    for nothing in (UNSET, Raw(b"null"), Raw(b"{}")):
        error = reported(Chunk(message="m", code=503), nothing)
        assert (error.message, error.http_status, error.code) == ("m", 503, "503")


@pytest.mark.parametrize(
    ("data", "is_error"),
    [
        (b"{}", False),
        (b'{"error":null}', False),
        (b'{"error":{}}', False),
        (b'{"error":""}', False),
        (b'{"error":[]}', False),
        (b'{"error":false}', False),
        (b'{"error":"x"}', True),
        (b'{"error":{"message":null}}', True),
        (b'{"error":true}', True),
        (b'{"object":"chat.completion.chunk"}', False),
        (b'{"object":"error"}', True),
    ],
)
def test_what_is_an_error(data: bytes, *, is_error: bool) -> None:
    assert strict.decode(data).is_error() is is_error
    assert decode_leniently(data).is_error() is is_error


# What is passed on.


@pytest.mark.parametrize(
    ("data", "opening", "expected"),
    [
        (b'{"a": 1.50}', b"{", b'{"a": 1.50}'),
        (b"[1, 2]", b"[", b"[1, 2]"),
        ('["한😀"]'.encode(), b"[", '["한😀"]'.encode()),
        (b'{"a":\n 1,\r\n "b": "\\n"}', b"{", b'{"a":1,"b":"\\n"}'),
        (b"[1,\r2]", b"[", b"[1,2]"),
        (b'["\xff"]', b"[", b'["\xef\xbf\xbd"]'),
        (b"null", b"{", None),
        (b"{}", b"{", None),
        (b"[]", b"[", None),
        (b"[1]", b"{", None),
        (b'{"a":1}', b"[", None),
        (b'"x"', b"{", None),
    ],
)
def test_passed_on(data: bytes, opening: bytes, expected: bytes | None) -> None:
    raw = passed_on(Raw(data), opening)
    assert (None if raw is None else bytes(raw)) == expected


# Messages.


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, True),
        ({"content": "a", "reasoning": "b", "role": "assistant"}, True),
        ({"refusal": None, "tool_calls": None, "annotations": None, "audio": {}}, True),
        ({"refusal": "", "tool_calls": [], "images": [], "function_call": None}, True),
        ({"reasoning_details": []}, True),
        ({"refusal": "x"}, False),
        ({"tool_calls": [{}]}, False),
        ({"annotations": [1]}, False),
        ({"function_call": {"name": "f"}}, False),
        ({"audio": {"id": "a"}}, False),
        ({"reasoning_details": [1]}, False),
        ({"images": [1]}, False),
    ],
)
def test_has_text_only(fields: Any, *, expected: bool) -> None:
    message = msgspec.json.decode(json.dumps(fields), type=Message)
    assert message.has_text_only() is expected


def test_split_parts() -> None:
    parts = [Part("a"), Part(thinking="b"), Part(thinking=[Part("c"), Part()]), Part(), Part("d")]
    assert split_parts(parts) == ("ad", "bc")
    assert split_parts([]) == ("", "")


# The lenient reader.


def test_halves_stay_in_fragments_of_text_alone() -> None:
    delta = {
        "content": HIGH,
        "reasoning": HIGH,
        "refusal": HIGH,
        "tool_calls": [{"id": HIGH, "function": {"arguments": HIGH}}],
        "annotations": [HIGH],
        "audio": {HIGH: 1},
        "images": [HIGH],
        "reasoning_details": [HIGH],
        "function_call": {"name": HIGH},
    }
    choice = {"delta": delta, "message": delta, "logprobs": {"content": [HIGH]}, "error": HIGH}
    event = {"choices": [choice], "model": HIGH, "error": {"message": HIGH}, "message": HIGH}
    chunk = decode_leniently(json.dumps(event).encode())
    assert (chunk.model, chunk.message) == ("\ufffd", "\ufffd")
    assert chunk.choices is not None
    (found,) = chunk.choices
    for message in (found.delta, found.message):
        assert message is not None
        assert (message.content, message.reasoning, message.refusal) == (HIGH, HIGH, HIGH)
        for name in ("annotations", "audio", "images", "reasoning_details", "function_call"):
            raw = getattr(message, name)
            assert json.loads(bytes(raw)) == well_formed(delta[name])
    for raw in (chunk.error, found.logprobs, found.error):
        assert isinstance(raw, Raw)
        assert "\\u" not in bytes(raw).decode()


def plain(value: Any) -> Any:
    """Return structs and raw JSON as what json.loads gives, to compare by."""
    if isinstance(value, Raw):
        return json.loads(bytes(value))
    if isinstance(value, msgspec.Struct):
        return {name: plain(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"choices": None, "usage": None, "error": None, "x_groq": {"usage": None}},
        {"choices": []},
        {"choices": [{"index": 0, "delta": {"content": "null"}, "logprobs": None}]},
        {"choices": [{"delta": None, "message": None, "finish_reason": None, "logprobs": {}}]},
        {
            "choices": [
                {
                    "delta": {
                        "content": [{"type": "text", "text": "a"}],
                        "tool_calls": [{"index": None, "function": {"arguments": {"a": [1.5]}}}],
                        "annotations": [{"a": None}],
                    },
                    "logprobs": {"content": [{"logprob": -1e-9}]},
                }
            ],
            "usage": {"prompt_tokens": 1, "prompt_tokens_details": {"cached_tokens": 2}},
            "code": 5,
        },
    ],
)
def test_it_reads_what_the_strict_reader_reads(event: Any) -> None:
    data = json.dumps(event).encode()
    assert plain(decode_leniently(data)) == plain(strict.decode(data))


def test_it_reads_numbers_of_another_type() -> None:
    data = b'{"choices":[{"index":1.0}],"usage":{"prompt_tokens":3.0,"completion_tokens":"2"}}'
    chunk = decode_leniently(data)
    assert chunk.choices is not None
    assert chunk.choices[0].index == 1
    assert chunk.usage is not None
    assert (chunk.usage.prompt_tokens, chunk.usage.completion_tokens) == (3, 2)


@given(st.binary(max_size=50) | st.from_regex(r'\{"(choices|usage|error)":[\[\]{}"0-9a-z]*\}').map(
    lambda text: text.encode()))  # fmt: skip
def test_any_data_is_a_chunk_or_the_providers_fault(data: bytes) -> None:
    try:
        chunk = decode_leniently(data)
    except ProviderInvalidResponse as error:
        assert error.message.encode()  # noqa: PT017
        assert len(error.message) < 2000  # noqa: PT017
    else:
        assert isinstance(chunk, FirstChunk)


def test_what_is_quoted_is_short() -> None:
    with pytest.raises(ProviderInvalidResponse) as caught:
        decode_leniently("가".encode() * 10_000)
    assert "가" * 200 in caught.value.message
    assert "가" * 201 not in caught.value.message
