import unicodedata

import pytest

from tokenferry.domain.password import CHARACTERS_MAX, normalise_password, password_fault

EMAIL = "chulsoo.kim@example.com"


@pytest.mark.parametrize(
    "password",
    ["x7" * 5, "correct horse battery staple", "가나다라마바사아자차", "ab" * 128, "🔑" * 9 + "a"],
)
def test_passwords_that_will_do(password):
    assert password_fault(password, EMAIL) is None


@pytest.mark.parametrize(
    ("password", "why"),
    [
        ("", "10 to 256"),
        ("x7" * 4 + "x", "10 to 256"),
        ("ab" * 128 + "c", "10 to 256"),
        ("Password123", "tried first"),
        ("aaaaaaaaaa", "tried first"),
        ("AaAaAaAaAa", "tried first"),
        ("비밀번호1234", "10 to 256"),
        ("안녕하세요1234", "10 to 256"),
        ("dkssudgktpdy", "tried first"),
        (EMAIL, "e-mail address"),
        ("Chulsoo.Kim", "e-mail address"),
        ("abcdefgh\ud800j", "character that is none"),
    ],
)
def test_passwords_that_will_not(password, why):
    fault = password_fault(password, EMAIL)
    assert fault is not None
    assert why in fault


def test_hangul_is_composed():
    typed = unicodedata.normalize("NFD", "가나다라마바사아자차")
    assert len(typed) > 10
    assert normalise_password(typed) == "가나다라마바사아자차"


def test_the_longest_is_counted_after_composing():
    typed = unicodedata.normalize("NFD", "가나" * (CHARACTERS_MAX // 2))
    assert password_fault(normalise_password(typed), EMAIL) is None
