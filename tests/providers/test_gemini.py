"""The wire format as a whole: paths, headers, and where the pieces meet."""

import json

import pytest

from tokenferry.errors import InvalidRequest, ProviderRejected, UnsupportedParameter
from tokenferry.protocol.chat import ChatRequest, parse_request
from tokenferry.providers.gemini import PARAMETERS, GeminiFormat


def request(**fields) -> ChatRequest:
    body = {"model": "any", "messages": [{"role": "user", "content": "안녕"}], **fields}
    return parse_request(json.dumps(body).encode())


@pytest.mark.parametrize(
    ("model", "stream", "path"),
    [
        (
            "gemini-2.5-flash",
            True,
            "/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse",
        ),
        ("gemini-2.5-flash", False, "/v1beta/models/gemini-2.5-flash:generateContent"),
        ("gemini-2.5-flash", None, "/v1beta/models/gemini-2.5-flash:generateContent"),
        ("models/gemini-2.5-flash", False, "/v1beta/models/gemini-2.5-flash:generateContent"),
        ("tunedModels/mine", False, "/v1beta/tunedModels/mine:generateContent"),
        (
            "a/../b?key=1#x:y z",
            False,
            "/v1beta/models/a%2F..%2Fb%3Fkey%3D1%23x%3Ay%20z:generateContent",
        ),
        ("제미니", False, "/v1beta/models/%EC%A0%9C%EB%AF%B8%EB%8B%88:generateContent"),
    ],
)
def test_path(*, model: str, stream: bool | None, path: str):
    assert GeminiFormat("key").encode(request(stream=stream), model).path == path


def test_credential_travels_in_the_header_only():
    wire = GeminiFormat("secret-key-1").encode(request(stream=True), "gemini-2.5-flash")
    assert wire.headers == (("x-goog-api-key", "secret-key-1"),)
    assert "secret-key-1" not in wire.path
    assert b"secret-key-1" not in wire.body


def test_no_key_no_header():
    assert GeminiFormat("").encode(request(), "gemini-2.5-flash").headers == ()


def test_korean_travels_as_utf8():
    body = GeminiFormat("key").encode(request(), "gemini-2.5-flash").body
    assert body == '{"contents":[{"role":"user","parts":[{"text":"안녕"}]}]}'.encode()


def test_refusals_come_before_anything_is_sent():
    with pytest.raises(InvalidRequest) as caught:
        GeminiFormat("key").encode(request(stop=list("abcdef")), "gemini-2.5-flash")
    assert caught.value.param == "stop"


def test_error_is_translated_with_the_headers():
    error = GeminiFormat("key").error(
        429,
        {"retry-after": "3"},
        b'{"error":{"code":429,"message":"slow","status":"RESOURCE_EXHAUSTED"}}',
    )
    assert isinstance(error, ProviderRejected)
    assert (error.http_status, error.code, error.retry_after_ms) == (
        429,
        "RESOURCE_EXHAUSTED",
        3000,
    )


def test_every_parameter_has_one_of_three_fates():
    assert {fate.partition(":")[0] for fate in PARAMETERS.values()} == {
        "mapped",
        "dropped",
        "refused",
    }


def test_gemini_goes_on_with_nothing() -> None:
    asked = parse_request(b'{"model":"g","messages":[{"role":"user","content":"q"}]}')
    with pytest.raises(UnsupportedParameter):
        GeminiFormat("k").encode_continuation(asked, "gemini-2.5-flash", "a")
