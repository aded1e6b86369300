"""Both languages say the same, and the right one is chosen."""

import re
from dataclasses import fields

import pytest

from tokenferry.cli.chat_words import WORDS, language_of

HANGUL = re.compile("[가-힣]")


@pytest.mark.parametrize(
    ("environment", "language"),
    [
        ({}, "en"),
        ({"LANG": "ko_KR.UTF-8"}, "ko"),
        ({"LANG": "ko_KR.UTF-8", "LC_ALL": "C.UTF-8"}, "en"),
        ({"LANG": "en_US", "LC_MESSAGES": "ko_KR"}, "ko"),
        ({"LC_ALL": "", "LANG": "KO"}, "ko"),
    ],
)
def test_the_language_of_a_terminal(environment: dict[str, str], language: str) -> None:
    assert language_of(environment) == language


@pytest.mark.parametrize("name", [f.name for f in fields(WORDS["en"]) if f.name != "remedies"])
def test_both_say_it_with_the_same_names(name: str) -> None:
    english, korean = (getattr(WORDS[language], name) for language in ("en", "ko"))
    assert sorted(re.findall(r"{\w+", english)) == sorted(re.findall(r"{\w+", korean))
    assert HANGUL.search(korean)
    assert not HANGUL.search(english)
    assert "이(가)" not in korean


def test_both_have_the_same_remedies() -> None:
    english, korean = (WORDS[language].remedies for language in ("en", "ko"))
    assert english.keys() == korean.keys()
    assert all(HANGUL.search(text) for text in korean.values())
