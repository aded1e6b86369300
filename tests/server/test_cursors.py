"""Cursors say where a page ends, and nothing else is taken for one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenferry.errors import InvalidRequest
from tokenferry.server.cursors import cursor_of, moment_of, number_of


@given(st.integers(0, 10**18 - 1), st.text())
def test_a_cursor_comes_back_as_it_was(moment_ms: int, name: str) -> None:
    assert moment_of(cursor_of(moment_ms, name)) == (moment_ms, name)


def test_the_first_page_has_none() -> None:
    assert moment_of("") is None


@pytest.mark.parametrize("text", ["x", "-1.a", "1e3.a", ".a", "\uff11.a", "9" * 19])
def test_what_is_none(text: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        moment_of(text)
    assert refusal.value.param == "before"


def test_the_largest_number_fits_the_database() -> None:
    assert number_of("9" * 18) < 2**63
    with pytest.raises(InvalidRequest):
        number_of("9" * 19)
