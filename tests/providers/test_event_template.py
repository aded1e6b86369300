"""One form of event. How forms are found is tested with the decoder that finds them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenferry.providers.event_template import EventTemplate

PREFIX = b'data: {"choices":[{"delta":{"content":"'
SUFFIX = b'"}}]}\n\n'


def taken(event: bytes) -> list[str] | None:
    texts: list[str] = []
    return texts if EventTemplate(PREFIX, SUFFIX, texts.append).take(event) else None


@pytest.mark.parametrize(
    ("inner", "text"),
    [
        (b"a", ["a"]),
        (b"", []),
        ("한🙂".encode(), ["한🙂"]),
        (b'\\"', ['"']),
        (rb"\ud55c\n", ["한\n"]),
    ],
)
def test_one_string(inner: bytes, text: list[str]) -> None:
    assert taken(PREFIX + inner + SUFFIX) == text


@pytest.mark.parametrize(
    "event",
    [
        b"",
        PREFIX,
        SUFFIX,
        PREFIX + SUFFIX[1:],  # one quote for both ends
        PREFIX + b"a" + SUFFIX[:-1],
        b" " + PREFIX + b"a" + SUFFIX,
        PREFIX + b'a"b' + SUFFIX,
        PREFIX + b"\\" + SUFFIX,
        PREFIX + b"\n" + SUFFIX,
        PREFIX + "한".encode()[:2] + SUFFIX,
        PREFIX + b"a" + SUFFIX + PREFIX + b"b" + SUFFIX,
    ],
)
def test_anything_else(event: bytes) -> None:
    assert taken(event) is None


@given(st.text(st.characters(exclude_categories=["Cs"])), st.booleans())
def test_any_string(text: str, ascii_only: bool) -> None:  # noqa: FBT001 -- Hypothesis gives it so
    inner = json.dumps(text, ensure_ascii=ascii_only)[1:-1].encode()
    assert taken(PREFIX + inner + SUFFIX) == ([text] if text else [])
