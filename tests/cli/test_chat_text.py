"""What a terminal would obey does not get through."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenferry.cli.chat_text import harmless


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("안녕 👩‍👩‍👧\n\tdef", "안녕 👩‍👩‍👧\n\tdef"),
        ("\x1b[31m", "␛[31m"),
        ("\x00\x07\x08\r\x7f", "␀␇␈␍␡"),
        ("\x9b31m\x85", "�31m�"),
        ("a\u202eb\u2066c", "a�b�c"),
        ("a\u2028b", "a\nb"),
        ("\ud800", "�"),
        ("\u200e\u200d", "\u200e\u200d"),
    ],
)
def test_what_is_shown(text: str, shown: str) -> None:
    assert harmless(text) == shown


@given(st.text(st.characters(exclude_categories=())))
def test_no_control_is_left(text: str) -> None:
    shown = harmless(text)
    assert all(c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cs") for c in shown)
    assert harmless(shown) == shown
    shown.encode()


@given(st.text(), st.text())
def test_pieces_may_be_given_one_by_one(first: str, second: str) -> None:
    assert harmless(first) + harmless(second) == harmless(first + second)
