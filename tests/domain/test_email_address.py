import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenferry.domain.email_address import domain_to_ascii, email_part, normalise_email


@pytest.mark.parametrize(
    ("typed", "stored"),
    [
        ("a@b.kr", "a@b.kr"),
        ("  Chulsoo.Kim+x@Example.COM\n", "chulsoo.kim+x@example.com"),
        ("철수@example.com", "철수@example.com"),
        (unicodedata.normalize("NFD", "철수@한국.kr"), "철수@한국.kr"),
        ("a@XN--3E0B707E.kr", "a@한국.kr"),
        ("a@한국.한국", "a@한국.한국"),
        ("O'Brien!#$%&*/=?^_`{|}~-@x.io", "o'brien!#$%&*/=?^_`{|}~-@x.io"),
        ("İ@x.io", "i̇@x.io"),
        ("a" * 64 + "@x.io", "a" * 64 + "@x.io"),
        ("a@" + "b" * 63 + ".com", "a@" + "b" * 63 + ".com"),
    ],
)
def test_addresses(typed, stored):
    assert normalise_email(typed) == stored


@pytest.mark.parametrize(
    "typed",
    [
        "", "a", "@", "a@", "@b.kr", "a@b", "a@@b.kr", "a b@c.kr", "a@b c.kr", ".a@b.kr", "a.@b.kr",
        "a..b@c.kr", "a@.b.kr", "a@b..kr", "a@b.kr.", "a@-b.kr", "a@b-.kr", "a@b.1", "a@1.2.3.4",
        "a@[1.2.3.4]", '"a"@b.kr', "a\nb@c.kr", "a\u200bb@c.kr", "a\u00a0b@c.kr", "a\x00@b.kr",
        "a,b@c.kr", "a<b@c.kr", "a" * 65 + "@x.io", "가" * 22 + "@x.io", "a@" + "b" * 64 + ".com",
        "a@" + "b." * 127 + "kr", "a@xn--zzzzzzzzzzzz.kr", "a@b.kr\ra", "a\r\nBcc: x@c.kr",
        "x" * 100_000 + "@b.kr", "a@b_c.kr", "\ud800@b.kr", "a@\ud800.kr",
    ],
)  # fmt: skip
def test_what_is_no_address(typed):
    assert normalise_email(typed) is None


@given(st.text(max_size=20), st.text(max_size=20))
def test_normalising_again_changes_nothing(local, domain):
    once = normalise_email(f"{local}@{domain}.kr")
    if once is not None:
        assert normalise_email(once) == once
        assert unicodedata.is_normalized("NFC", once)


def test_a_part_is_found_in_a_stored_address():
    stored = normalise_email("\u1112\u1161\u11ab.Kim@Example.com")
    assert stored is not None
    for part in (" \ud55c", "\u1112\u1161\u11ab", "KIM@EX", ""):
        assert email_part(part) in stored


def test_domains_in_ascii():
    assert domain_to_ascii("한국.kr") == "xn--3e0b707e.kr"
    assert domain_to_ascii("Example.COM") == "example.com"
    assert domain_to_ascii("localhost") is None
