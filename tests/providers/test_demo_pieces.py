"""The demo simulator's tokens: what joins back, and what is never divided."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenferry.providers.demo.pieces import (
    COUNTED_CHARACTERS_MAX,
    clusters,
    count_tokens,
    pieces,
    quote,
)

GRAPHEMES = [
    "a",
    " ",
    "\n",
    "\r\n",
    "한",
    "글",
    "ㅋ",
    "각",  # conjoining jamo
    "각",  # a syllable and a final consonant
    "漢",
    "か",
    "か゚",
    "ﾊﾟ",
    "é",
    "ñ̃",
    "👍",
    "👍🏽",
    "❤️",
    "1️⃣",
    "👨‍👩‍👧‍👦",
    "🏳️‍🌈",
    "🇰🇷",
    "🏴󠁧󠁢󠁥󠁮󠁧󠁿",
    "क्षि",
    "น้ำ",
    "!",
    "**",
]


class TestPieces:
    @pytest.mark.parametrize("grapheme", GRAPHEMES[:-1])
    def test_a_grapheme_is_one_cluster(self, grapheme):
        assert list(clusters(grapheme)) == [grapheme]

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("", []),
            ("ab", ["a", "b"]),
            ("한글", ["한", "글"]),
            ("ㅋㅋ", ["ㅋ", "ㅋ"]),
            ("각각", ["각", "각"]),
            ("🇰🇷🇯🇵", ["🇰🇷", "🇯🇵"]),
            ("👍👍🏽", ["👍", "👍🏽"]),
            ("\r\n\n", ["\r\n", "\n"]),
            ("अआ", ["अ", "आ"]),
        ],
    )
    def test_clusters(self, text, expected):
        assert list(clusters(text)) == expected

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("Hello, world!", ["Hello", ",", " world", "!"]),
            ("a  b", ["a", "  ", "b"]),
            ("```sh\n\n\nx", ["```", "sh", "\n\n", "\n", "x"]),
            ("extraordinarily", ["extraordin", "arily"]),
            ("👨‍👩‍👧‍👦🇰🇷", ["👨‍👩‍👧‍👦", "🇰🇷"]),
            (" 🙂", [" 🙂"]),
        ],
    )
    def test_pieces(self, text, expected):
        assert pieces(text) == expected

    @given(st.lists(st.sampled_from(GRAPHEMES), max_size=60))
    def test_pieces_never_divide_a_grapheme(self, graphemes):
        text = "".join(graphemes)
        cut = pieces(text)
        assert "".join(cut) == text
        inside = {
            start + offset
            for start, grapheme in zip(
                itertools.accumulate(map(len, graphemes), initial=0), graphemes, strict=False
            )
            if grapheme != "**"
            for offset in range(1, len(grapheme))
        }
        assert not inside & set(itertools.accumulate(map(len, cut)))

    @given(st.text(max_size=200))
    def test_any_text_joins_back(self, text):
        cut = pieces(text)
        assert "".join(cut).encode() == text.encode()
        assert all(cut)

    @given(st.text(alphabet=st.characters(min_codepoint=0xAC00, max_codepoint=0xD7A3)))
    def test_hangul_comes_in_one_to_three_syllables(self, text):
        assert all(1 <= len(piece) <= 3 for piece in pieces(text))

    @pytest.mark.parametrize("off", [-1, 0, 1])
    def test_counting_is_exact_up_to_its_limit(self, off):
        text = "가 " * (COUNTED_CHARACTERS_MAX // 2) + "끝"
        text = text[: COUNTED_CHARACTERS_MAX + off]
        assert abs(count_tokens([text]) - len(pieces(text))) <= (off > 0)

    def test_counting_is_projected_beyond(self):
        assert count_tokens(["가나 " * 100_000, "가나 " * 100_000]) == pytest.approx(
            2 * 100_000 * len(pieces("가나 " * 1_000)) / 1_000, rel=0.01
        )
        assert count_tokens([]) == 0

    def test_quoting(self):
        assert quote("  짧은 글 ", 10) == "짧은 글"
        assert quote("12345", 5) == "12345"
        assert quote("123456", 5) == "12345…"
        assert quote("ab👨‍👩‍👧‍👦c", 5) == "ab…"
        assert quote("e" + "\u0301" * 1_000, 5) == "…"
