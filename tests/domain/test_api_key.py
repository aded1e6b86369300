"""The form of an API key, and the header that carries it."""

import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenferry.domain.api_key import (
    ALPHABET,
    NAME_CHARACTERS_MAX,
    RANDOM_BYTES,
    ParsedKey,
    bearer_token,
    clean_name,
    format_key,
    hash_secret,
    key_from_random,
    parse_key,
    require_key,
)
from tokenferry.errors import MalformedKey, MissingKey

PUBLIC_ID = "AbCdEf012345"
SECRET = "0123456789ABCDEFGHIJabcdefghijZx"
# 4031209320, which gzip writes behind the part before it, in base62.
KEY = f"tf_{PUBLIC_ID}_{SECRET}_4OoXhA"

VECTORS = Path(__file__).parents[2] / "spec" / "vectors" / "api_key.json"

parts = st.tuples(
    st.text(ALPHABET, min_size=12, max_size=12), st.text(ALPHABET, min_size=32, max_size=32)
)


def test_a_key_is_written_in_one_way() -> None:
    assert format_key(PUBLIC_ID, SECRET) == KEY
    assert parse_key(KEY) == ParsedKey(PUBLIC_ID, SECRET)


def test_a_checksum_of_nothing_is_padded() -> None:
    # The shortest CRC has leading zeros; the key's length never varies.
    lengths = {len(format_key(f"{number:012}", SECRET)) for number in range(200)}
    assert lengths == {len(KEY)}
    assert len(KEY) == 55


@pytest.mark.parametrize(
    "case", json.loads(VECTORS.read_text("utf-8"))["cases"], ids=lambda case: case["name"]
)
def test_vectors(case: dict[str, object]) -> None:
    assert (parse_key(str(case["key"])) is not None) == case["valid"]


@given(parts)
def test_every_key_reads_back(key: tuple[str, str]) -> None:
    text = format_key(*key)
    assert parse_key(text) == key
    assert not text.startswith("sk-")


@given(parts, st.data())
def test_any_changed_character_is_noticed(key: tuple[str, str], data: st.DataObject) -> None:
    text = format_key(*key)
    at = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.characters().filter(lambda character: character != text[at]))
    assert parse_key(text[:at] + other + text[at + 1 :]) is None


@given(parts, st.data())
def test_any_missing_or_added_character_is_noticed(
    key: tuple[str, str], data: st.DataObject
) -> None:
    text = format_key(*key)
    at = data.draw(st.integers(0, len(text) - 1))
    assert parse_key(text[:at] + text[at + 1 :]) is None
    assert parse_key(text[:at] + data.draw(st.characters()) + text[at:]) is None


@given(parts, st.data())
def test_two_swapped_neighbours_are_noticed(key: tuple[str, str], data: st.DataObject) -> None:
    text = format_key(*key)
    at = data.draw(st.integers(0, len(text) - 2))
    swapped = text[:at] + text[at + 1] + text[at] + text[at + 2 :]
    assert (parse_key(swapped) is None) == (swapped != text)


@given(st.text(max_size=80))
def test_other_text_is_no_key(text: str) -> None:
    assert parse_key(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "tf_abc",
        "undefined",
        "sk-proj-0123456789",
        f"{KEY}\n",
        f" {KEY}",
        KEY.lower(),
        KEY.replace("_", "-"),
        KEY.replace("A", "\uff21"),
    ],
)
def test_a_text_of_another_form_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(MalformedKey) as caught:
        require_key(text)
    assert "does not have the form" in caught.value.message
    if text:
        assert text not in caught.value.message
    assert caught.value.http_status == 401


def test_a_parsed_key_does_not_show_its_secret() -> None:
    assert SECRET not in repr(parse_key(KEY))
    assert SECRET not in f"{[parse_key(KEY)]}"


def test_a_new_key_uses_all_its_random_bytes() -> None:
    zeros = key_from_random(bytes(RANDOM_BYTES))
    assert zeros == ParsedKey("0" * 12, "0" * 32)
    for at in (0, 15):
        changed = key_from_random(bytes(at) + b"\1" + bytes(RANDOM_BYTES - at - 1))
        assert changed.public_id != zeros.public_id
        assert changed.secret == zeros.secret
    for at in (16, RANDOM_BYTES - 1):
        changed = key_from_random(bytes(at) + b"\1" + bytes(RANDOM_BYTES - at - 1))
        assert changed.public_id == zeros.public_id
        assert changed.secret != zeros.secret
    for count in (0, RANDOM_BYTES - 1, RANDOM_BYTES + 1):
        with pytest.raises(ValueError, match="random bytes"):
            key_from_random(bytes(count))


@given(st.binary(min_size=RANDOM_BYTES, max_size=RANDOM_BYTES))
def test_every_new_key_has_the_form(random: bytes) -> None:
    key = key_from_random(random)
    assert parse_key(format_key(*key)) == key


def test_the_stored_hash_is_sha_256() -> None:
    assert hash_secret(SECRET) == hashlib.sha256(SECRET.encode()).digest()


@pytest.mark.parametrize("header", [f"Bearer {KEY}", f"bearer {KEY}", f"BEARER   {KEY} "])
def test_the_token_follows_bearer(header: str) -> None:
    assert bearer_token(header) == KEY


@pytest.mark.parametrize("header", [None, "", "  ", "Bearer", "Bearer "])
def test_without_a_key_the_remedy_is_the_header(header: str | None) -> None:
    with pytest.raises(MissingKey) as caught:
        bearer_token(header)
    assert "`Authorization: Bearer YOUR_KEY`" in caught.value.message


@pytest.mark.parametrize(
    ("header", "shape"),
    [
        (KEY, "one word, without `Bearer `"),
        (f"Basic {KEY}", "the scheme `Basic`"),
        (f"Token {KEY}", "the scheme `Token`"),
        (f"{KEY} {SECRET}", "2 words, of which the first is not `Bearer`"),
        (f"Bearer Bearer {KEY}", "2 words after `Bearer`"),
        (f"Bearer: {KEY}", "2 words, of which the first is not `Bearer`"),
        (f"Bearer{KEY}", "one word, without `Bearer `"),
    ],
)
def test_another_header_is_told_by_its_shape_alone(header: str, shape: str) -> None:
    with pytest.raises(MalformedKey) as caught:
        bearer_token(header)
    assert shape in caught.value.message
    assert SECRET not in caught.value.message
    assert PUBLIC_ID not in caught.value.message


@pytest.mark.parametrize(
    ("given_name", "stored"),
    [
        ("김철수의 노트북", "김철수의 노트북"),
        ("  build server ", "build server"),
        ("\u1100\u1175\u11b7", "김"),  # decomposed, as macOS has it
        ("가" * NAME_CHARACTERS_MAX, "가" * NAME_CHARACTERS_MAX),
        ("가" * (NAME_CHARACTERS_MAX + 1), None),
        ("", None),
        ("   ", None),
        ("two\nlines", None),
        ("\x1b[31mred", None),
    ],
)
def test_a_name_is_one_printable_line(given_name: str, stored: str | None) -> None:
    assert clean_name(given_name) == stored
