"""Which answers can be gone on with, and from what."""

from typing import Any

import pytest

from engine.virtual import request
from tokenferry.domain import journal
from tokenferry.engine.book import StreamMeta
from tokenferry.engine.continuation import TAKEOVERS_MAX, may_continue, read_beginning
from tokenferry.engine.ports import Recovered
from tokenferry.protocol.chat import Delta
from tokenferry.protocol.frames import Head, encode

HEAD = journal.pack(journal.HEAD, encode(Head("m", 1, ["reasoning"])))


def text(words: str) -> bytes:
    return journal.pack(journal.TEXT, encode(words))


def found(*records: bytes, epochs: tuple[tuple[int, int], ...] = ((1, 1),)) -> Recovered:
    return Recovered("st_1", b"", epochs, len(records), None, 1)


def meta(**changes: Any) -> StreamMeta:
    fields: dict[str, Any] = {"recovery": "continue", "prompt_tokens": 10} | changes
    return StreamMeta("k", "m", "p", "m", 1, fields.pop("orphan_timeout_s", 60.0), **fields)


def test_text_is_what_can_be_gone_on_with() -> None:
    records = (HEAD, text("하나 "), text("둘"))
    beginning = read_beginning(found(*records), meta(), request(), records)
    assert beginning is not None
    assert (beginning.text, beginning.head) == ("하나 둘", 3)
    assert beginning.record_bytes == sum(map(len, records))
    assert (beginning.usage.prompt_tokens, beginning.usage.completion_tokens) == (10, 4)
    assert beginning.usage.estimated


@pytest.mark.parametrize(
    "fields",
    [
        {"n": 2},
        {"logprobs": True},
        {"response_format": {"type": "json_object"}},
        {"response_format": {"type": "json_schema"}},
        {"modalities": ["text", "audio"]},
        {
            "messages": [
                {"role": "user", "content": "?"},
                {"role": "assistant", "content": "The answer is"},
            ]
        },
    ],
)
def test_what_was_asked_for_may_rule_it_out(fields: dict[str, Any]) -> None:
    records = (HEAD, text("a"))
    assert read_beginning(found(*records), meta(), request(**fields), records) is None


@pytest.mark.parametrize(
    "fields", [{"n": 1}, {"logprobs": False}, {"response_format": {"type": "text"}}]
)
def test_what_says_the_default_does_not(fields: dict[str, Any]) -> None:
    records = (HEAD, text("a"))
    assert read_beginning(found(*records), meta(), request(**fields), records) is not None


@pytest.mark.parametrize(
    "record",
    [
        journal.pack(journal.REASONING, encode("hm")),
        journal.pack_delta(0, encode(Delta(refusal="no")), b"", has_content=False),
        journal.pack_delta(0, encode(Delta(content="b")), b"{}", has_content=True),
        journal.pack_delta(1, encode(Delta(content="b")), b"", has_content=True),
    ],
)
def test_what_is_more_than_text_cannot(record: bytes) -> None:
    records = (HEAD, record, text("a"))
    assert read_beginning(found(*records), meta(), request(), records) is None


def test_each_owner_that_wrote_something_has_sent_the_prompt() -> None:
    records = (HEAD, text("a"), text("b"), text("c"))
    epochs = ((1, 1), (2, 3), (3, 3), (4, 5))
    beginning = read_beginning(found(*records, epochs=epochs), meta(), request(), records)
    assert beginning is not None
    assert beginning.usage.prompt_tokens == 20


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, True),
        ({"recovery": "fail"}, False),
        ({"on_disconnect_cancel": True}, False),
        ({"orphan_timeout_s": 0.0}, False),
    ],
)
def test_the_client_decides(changes: dict[str, Any], expected: bool) -> None:  # noqa: FBT001 -- a column of the table
    assert may_continue(found(), meta(**changes)) is expected


@pytest.mark.parametrize(
    ("owners", "expected"), [(TAKEOVERS_MAX, True), (TAKEOVERS_MAX + 1, False)]
)
def test_takeovers_are_limited(owners: int, expected: bool) -> None:  # noqa: FBT001 -- as above
    epochs = tuple((number + 1, 1) for number in range(owners))
    assert may_continue(found(epochs=epochs), meta()) is expected
