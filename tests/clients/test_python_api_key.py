"""The form of a key: clients and server agree, and the client says what is wrong with one."""

import json
from pathlib import Path
from typing import Any

import pytest

from tokenferry.domain.api_key import format_key, parse_key
from tokenferry_client.api_key import check
from tokenferry_client.errors import InvalidKeyError

VECTORS = Path(__file__).parents[2] / "spec" / "vectors" / "api_key.json"
CASES = [
    pytest.param(case, id=case["name"]) for case in json.loads(VECTORS.read_text("utf-8"))["cases"]
]
KEY = format_key("AbCdEf012345", "0123456789ABCDEFGHIJabcdefghijZx")


@pytest.mark.parametrize("case", CASES)
def test_client_and_server_say_the_same(case: dict[str, Any]) -> None:
    assert (parse_key(case["key"]) is not None) is case["valid"]
    if case["valid"]:
        check(case["key"])
        return
    with pytest.raises(InvalidKeyError) as caught:
        check(case["key"])
    assert len(case["key"]) < 10 or case["key"] not in caught.value.message


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("", "TOKENFERRY_API_KEY"),
        (f"{KEY}\n", "line's end"),
        ("sk-proj-123", "begin with `tf_`"),
        (KEY[:-1], "54 characters"),
        (KEY[:-1] + "0", "mistyped"),
    ],
)
def test_what_is_said(key: str, said: str) -> None:
    with pytest.raises(InvalidKeyError, match=said):
        check(key)
