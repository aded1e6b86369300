import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenferry.domain.usage import (
    TOKENS_MAX,
    Usage,
    estimate,
    estimate_tokens,
    with_lost,
    with_unreported,
)

texts = st.text(max_size=200)
limits = st.none() | st.integers(1, 200)


def test_the_total_is_input_and_output() -> None:
    usage = Usage(7, 5, cached_tokens=3, cache_write_tokens=2, reasoning_tokens=4)
    assert usage.total_tokens == 12
    assert not usage.estimated


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("", 0),
        ("a", 1),
        ("abcd", 1),
        ("abcde", 2),
        ("abcdefgh", 2),
        ("한", 1),
        ("안녕하세요", 5),
        ("안녕 abc", 3),
        ("안녕 abcd", 4),
        ("😀", 1),
        ("\x7f\x80", 2),  # the last of ASCII, and the first beyond
    ],
)
def test_estimated_tokens(text: str, tokens: int) -> None:
    assert estimate_tokens(text) == tokens


@given(texts)
def test_an_estimate_is_between_a_quarter_and_one_a_character(text: str) -> None:
    tokens = estimate_tokens(text)
    assert len(text) <= 4 * tokens
    assert tokens <= len(text)


@given(texts, texts)
def test_more_text_is_never_fewer_tokens(text: str, more: str) -> None:
    assert estimate_tokens(text) <= estimate_tokens(text + more)


def test_half_of_an_emoji_is_counted_and_no_error() -> None:
    assert estimate_tokens("\ud83d") == 1


@pytest.mark.parametrize(
    ("limit", "completion"), [(None, 3), (4, 3), (3, 3), (2, 2), (1, 1)]
)  # fmt: skip
def test_an_estimate_never_passes_the_output_limit(limit: int | None, completion: int) -> None:
    usage = estimate(estimate_tokens("안녕하세요"), "세마디", output_tokens_max=limit)
    assert usage == Usage(5, completion, estimated=True)


@given(texts, texts, limits)
def test_estimates_are_flagged_and_bounded(prompt: str, output: str, limit: int | None) -> None:
    usage = estimate(estimate_tokens(prompt), output, output_tokens_max=limit)
    assert usage.estimated
    assert usage.prompt_tokens == estimate_tokens(prompt)
    assert 0 <= usage.completion_tokens <= min(len(output), limit or len(output))
    assert usage.cached_tokens == usage.reasoning_tokens == 0


def test_nothing_delivered_is_nothing_charged_for() -> None:
    assert estimate(estimate_tokens("질문"), "", output_tokens_max=1).completion_tokens == 0


LOST = Usage(10, 6, estimated=True)


@pytest.mark.parametrize(
    ("limit", "completion"), [(None, 9), (10, 9), (9, 9), (8, 8), (3, 3), (2, 3)]
)
def test_what_was_lost_is_added_within_the_output_limit(limit: int | None, completion: int) -> None:
    rest = Usage(20, 3, cached_tokens=5, reasoning_tokens=1)
    assert with_lost(LOST, rest, output_tokens_max=limit) == Usage(
        30, completion, cached_tokens=5, reasoning_tokens=1, estimated=True
    )


def test_without_a_rest_only_what_was_lost_counts() -> None:
    assert with_lost(LOST, None, output_tokens_max=1) == LOST


@pytest.mark.parametrize(
    ("report", "since", "limit", "usage"),
    [
        (None, None, 5, None),
        (Usage(9, 4), None, 5, Usage(9, 4)),
        (None, Usage(2, 3, estimated=True), 5, Usage(2, 3, estimated=True)),
        # What was delivered without text, such as the head alone, changes nothing.
        (Usage(9, 0), Usage(2, 0, estimated=True), 5, Usage(9, 0)),
        (Usage(9, 1), Usage(2, 3, estimated=True), None, Usage(9, 4, estimated=True)),
        (Usage(9, 1), Usage(2, 30, estimated=True), 5, Usage(9, 5, estimated=True)),
        # A provider's own word may be above the limit.
        (Usage(9, 8), Usage(2, 30, estimated=True), 5, Usage(9, 8, estimated=True)),
    ],
)
def test_what_came_after_a_report(
    report: Usage | None, since: Usage | None, limit: int | None, usage: Usage | None
) -> None:
    assert with_unreported(report, since, output_tokens_max=limit) == usage


def test_what_can_be() -> None:
    assert Usage(0, 0).is_possible
    assert Usage(TOKENS_MAX, TOKENS_MAX).is_possible
    for name in ("prompt_tokens", "completion_tokens", "cached_tokens", "cache_write_1h_tokens"):
        for count in (-1, TOKENS_MAX + 1):
            assert not Usage(
                **{"prompt_tokens": 1, "completion_tokens": 1, name: count}
            ).is_possible
