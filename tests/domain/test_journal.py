import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenferry.domain import journal

KINDS = {
    "HEAD": b"h",
    "TEXT": b"t",
    "REASONING": b"r",
    "DELTA": b"d",
    "BARE_DELTA": b"b",
    "FINISH": b"f",
    "ERROR": b"e",
}
payloads = st.binary(max_size=300)


@pytest.mark.parametrize(("name", "letter"), KINDS.items())
def test_the_kinds_are_what_stores_already_hold(name: str, letter: bytes) -> None:
    assert getattr(journal, name) == letter[0]
    assert journal.pack(letter[0], b'"x"') == letter + b'"x"'


def test_kinds_are_distinct() -> None:
    assert len(set(KINDS.values())) == len(KINDS)


@pytest.mark.parametrize("letter", KINDS.values())
def test_only_finish_and_error_end_a_stream(letter: bytes) -> None:
    assert journal.is_terminal(letter + b"{}") == (letter in (b"f", b"e"))


@pytest.mark.parametrize(
    ("record", "unpacked"),
    [
        (b'd0 15 {"content":"a"}', (0, b'{"content":"a"}', b"")),
        (b'd12 15 {"content":"a"}{"content":[]}', (12, b'{"content":"a"}', b'{"content":[]}')),
        (b"b1 2 {}", (1, b"{}", b"")),
        (b'b0 13 {"refusal":1} 2 3', (0, b'{"refusal":1}', b" 2 3")),
    ],
)  # fmt: skip
def test_delta_vectors(record: bytes, unpacked: tuple[int, bytes, bytes]) -> None:
    assert journal.unpack_delta(record) == unpacked
    index, delta, logprobs = unpacked
    has_content = record[0] == journal.DELTA
    assert journal.pack_delta(index, delta, logprobs, has_content=has_content) == record


@given(index=st.integers(0, 10**6), delta=payloads, logprobs=payloads, has_content=st.booleans())
def test_a_delta_comes_back_whatever_is_in_it(
    index: int, delta: bytes, logprobs: bytes, *, has_content: bool
) -> None:
    record = journal.pack_delta(index, delta, logprobs, has_content=has_content)
    assert record[0] == (journal.DELTA if has_content else journal.BARE_DELTA)
    assert journal.unpack_delta(record) == (index, delta, logprobs)
    assert not journal.is_terminal(record)
