import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenferry.domain.credit_window import (
    CREDIT_BYTES_MAX,
    WINDOW_BYTES,
    WINDOW_BYTES_MAX,
    Window,
    granted_bytes,
    stream_bytes,
)


@pytest.mark.parametrize(
    ("asked", "granted", "of_stream"),
    [
        (None, 262_144, 65_536),
        (1, 1, 1),
        (3, 3, 1),
        (8, 8, 2),
        (WINDOW_BYTES_MAX - 1, WINDOW_BYTES_MAX - 1, 4_194_303),
        (WINDOW_BYTES_MAX, WINDOW_BYTES_MAX, 4_194_304),
        (WINDOW_BYTES_MAX + 1, WINDOW_BYTES_MAX, 4_194_304),
        (1 << 62, WINDOW_BYTES_MAX, 4_194_304),
    ],
)
def test_what_is_granted(asked: int | None, granted: int, of_stream: int) -> None:
    assert granted_bytes(asked) == granted
    assert stream_bytes(granted) == of_stream


@pytest.mark.parametrize(
    ("left", "count", "fits"),
    [
        (0, CREDIT_BYTES_MAX - 1, True),
        (0, CREDIT_BYTES_MAX, True),
        (0, CREDIT_BYTES_MAX + 1, False),
        (1, CREDIT_BYTES_MAX, False),
        (-1, CREDIT_BYTES_MAX + 1, True),
        (WINDOW_BYTES, 1, True),
    ],
)
def test_the_most_there_can_be(left: int, count: int, *, fits: bool) -> None:
    window = Window(left)
    assert window.add(count) is fits
    assert window.left == left + (count if fits else 0)


@given(
    st.integers(1, WINDOW_BYTES_MAX),
    st.lists(st.tuples(st.sampled_from(["send", "credit"]), st.integers(1, 1 << 20))),
)
def test_no_more_is_sent_than_was_given_and_a_chunk(
    size: int, steps: list[tuple[str, int]]
) -> None:
    window, given_bytes, sent = Window(size), size, 0
    for step, count in steps:
        if step == "credit":
            given_bytes += count if window.add(count) else 0
        elif window.left > 0:
            assert sent < given_bytes
            window.spend(count)
            sent += count
    assert window.left == given_bytes - sent
