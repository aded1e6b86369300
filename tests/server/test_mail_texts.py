"""What mails say."""

import re

import pytest

from tokenferry.engine.links import Letter
from tokenferry.server.mail_texts import text_of

HANGUL = re.compile("[가-힣]")


@pytest.mark.parametrize("language", ["en", "ko"])
@pytest.mark.parametrize(
    ("kind", "what"), [("verify", "verify"), ("reset", "reset"), ("known", "reset")]
)
def test_every_mail(kind: str, what: str, language: str) -> None:
    text = text_of(Letter(kind, "a@b.kr", language, "tr_x"), "https://x.kr/ai")  # type: ignore[arg-type]
    assert f"\nhttps://x.kr/ai/account#{what}=tr_x\n" in text.body
    assert "{" not in text.body
    assert "\n" not in text.subject
    for part in text:
        assert bool(HANGUL.search(part)) == (language == "ko")
    assert all(len(line) <= 78 for line in text.body.splitlines())
