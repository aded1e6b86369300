import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenferry.domain.voucher import (
    ALPHABET,
    CODE_CHARACTERS_MAX,
    RANDOM_BYTES,
    code_from_random,
    hash_code,
    parse_code,
)

randoms = st.binary(min_size=RANDOM_BYTES, max_size=RANDOM_BYTES)
ZERO = "TF-0000-0000-0000-0000-0000"


def test_a_code_of_nothing_but_zeros() -> None:
    assert code_from_random(bytes(RANDOM_BYTES)) == ZERO
    assert parse_code(ZERO) == ZERO
    assert hash_code(ZERO) == hashlib.sha256(ZERO.encode()).digest()


@pytest.mark.parametrize("text", ["tf0000 0000 0000 0000 0000", "TF-OOOO-0o00-0000-0000-0000"])
def test_what_people_write_for_it(text: str) -> None:
    assert parse_code(text) == ZERO


@pytest.mark.parametrize(
    "text", ["", "TF", ZERO + "0", ZERO[:-1], "XX" + ZERO[2:], ZERO[:-1] + "1", ZERO[:-1] + "U",
             ZERO[:-1] + "\uff10", "TF" + "-" * CODE_CHARACTERS_MAX],
)  # fmt: skip
def test_what_is_no_code(text: str) -> None:
    assert parse_code(text) is None


def test_random_bytes_are_counted() -> None:
    with pytest.raises(ValueError, match="12 random bytes"):
        code_from_random(bytes(RANDOM_BYTES + 1))


@given(randoms)
def test_every_code_is_read_back(random: bytes) -> None:
    code = code_from_random(random)
    assert parse_code(code) == parse_code(code.lower().replace("-", " ")) == code


@given(randoms, st.integers(0, 19), st.sampled_from(ALPHABET))
def test_every_single_wrong_character_is_found(random: bytes, at: int, letter: str) -> None:
    body = code_from_random(random).replace("-", "")[2:]
    wrong = body[:at] + letter + body[at + 1 :]
    assert (parse_code(f"TF{wrong}") is None) == (wrong != body)
