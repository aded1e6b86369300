import hashlib

import pytest

from tokenferry.domain import account
from tokenferry.domain.account import (
    ID_BYTES,
    RANDOM_BYTES,
    clean_reason,
    id_from_random,
    token_from_random,
    token_hash,
)


def test_a_token_has_its_form_and_its_hash():
    token = token_from_random("ts_", bytes(RANDOM_BYTES))
    assert token == "ts_" + "A" * 43
    assert token_hash(token, "ts_") == hashlib.sha256(token.encode()).digest()
    assert token_from_random("tr_", b"\xff" * RANDOM_BYTES) == "tr_" + "_" * 42 + "8"


@pytest.mark.parametrize(
    "text", ["", "ts_", "ts_" + "A" * 42, "ts_" + "A" * 44, "ts_" + "A" * 42 + "=",
             "tv_" + "A" * 43, "tx_" + "A" * 43, "ts_" + "가" * 43, "ts_" + "A" * 43 + "\n"]
)  # fmt: skip
def test_what_is_no_login(text):
    assert token_hash(text, "ts_") is None


def test_randomness_has_its_length():
    with pytest.raises(ValueError, match="32 random bytes"):
        token_from_random("ts_", bytes(31))
    with pytest.raises(ValueError, match="9 random bytes"):
        id_from_random(bytes(10))
    assert id_from_random(bytes(ID_BYTES)) == "acc_" + "00" * 9


def test_reasons():
    assert clean_reason(" 도용 신고 ") == "도용 신고"
    assert clean_reason("x" * account.REASON_CHARACTERS_MAX) is not None
    assert clean_reason("x" * (account.REASON_CHARACTERS_MAX + 1)) is None
    assert clean_reason("a\nb") is None
