import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenferry.protocol.surrogates import REPLACEMENT, SurrogateJoiner, loads, well_formed

HIGH, LOW = "\ud83d", "\ude00"

anything = st.text(
    st.sampled_from(["a", "한", "😀", HIGH, LOW, "\udbff", "\udfff", "\ud800", "\udc00"])
)


def whole(text: str) -> str:
    """Say with the codec alone what the joined text must be."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def joined(*fragments: str) -> str:
    joiner = SurrogateJoiner()
    return "".join([*map(joiner.push, fragments), joiner.flush()])


@pytest.mark.parametrize(
    ("fragments", "expected"),
    [
        (["안녕", " 세상"], ["안녕", " 세상", ""]),
        ([f"a{HIGH}", f"{LOW}b"], ["a", "😀b", ""]),
        ([HIGH, "", LOW], ["", "", "😀", ""]),
        ([f"{HIGH}{LOW}"], ["😀", ""]),
        ([f"😀{HIGH}"], ["😀", REPLACEMENT]),
        ([HIGH, "b"], ["", f"{REPLACEMENT}b", ""]),
        ([HIGH, HIGH, LOW], ["", REPLACEMENT, "😀", ""]),
        ([LOW], [REPLACEMENT, ""]),
        ([f"{LOW}{HIGH}"], [REPLACEMENT, REPLACEMENT]),
        ([HIGH], ["", REPLACEMENT]),
        # The ends of both ranges.
        (["\udbff", "\udfff"], ["", "\U0010ffff", ""]),
        (["\ud800", "\udc00"], ["", "\U00010000", ""]),
        (["\ud7ff\ue000"], ["\ud7ff\ue000", ""]),
    ],
)
def test_vectors(fragments: list[str], expected: list[str]) -> None:
    joiner = SurrogateJoiner()
    assert [*map(joiner.push, fragments), joiner.flush()] == expected


def test_pending_says_whether_a_half_is_held() -> None:
    joiner = SurrogateJoiner()
    assert not joiner.pending
    joiner.push(HIGH)
    assert joiner.pending
    joiner.push(LOW)
    assert not joiner.pending


def test_a_joiner_can_be_used_again_after_its_flush() -> None:
    joiner = SurrogateJoiner()
    joiner.push(HIGH)
    assert joiner.flush() == REPLACEMENT
    assert joiner.push(LOW) + joiner.flush() == REPLACEMENT


@given(st.lists(anything))
def test_the_text_does_not_depend_on_where_it_is_cut(fragments: list[str]) -> None:
    assert joined(*fragments) == joined("".join(fragments))


@given(st.lists(anything))
def test_what_comes_out_is_unicode_and_nothing_is_lost(fragments: list[str]) -> None:
    text = joined(*fragments)
    text.encode()
    assert text == whole_by_units("".join(fragments))


def whole_by_units(text: str) -> str:
    """Join by walking the code units, an independent reading of the rule."""
    units = [unit for char in text for unit in _units(char)]
    out, at = [], 0
    while at < len(units):
        unit = units[at]
        after = units[at + 1] if at + 1 < len(units) else 0
        if 0xD800 <= unit < 0xDC00 and 0xDC00 <= after < 0xE000:
            out.append(chr(0x10000 + ((unit - 0xD800) << 10) + (after - 0xDC00)))
            at += 1
        elif 0xD800 <= unit < 0xE000:
            out.append(REPLACEMENT)
        else:
            out.append(chr(unit))
        at += 1
    return "".join(out)


def _units(char: str) -> list[int]:
    code = ord(char)
    if code < 0x10000:
        return [code]
    return [0xD800 + ((code - 0x10000) >> 10), 0xDC00 + ((code - 0x10000) & 0x3FF)]


@given(st.text(st.characters(exclude_categories=["Cs"])), st.data())
def test_a_valid_text_cut_between_code_units_comes_out_as_it_was(
    text: str, data: st.DataObject
) -> None:
    units = text.encode("utf-16-le")
    cut = 2 * data.draw(st.integers(0, len(units) // 2))
    halves = [part.decode("utf-16-le", "surrogatepass") for part in (units[:cut], units[cut:])]
    assert joined(*halves) == text == whole(text)


def test_loads_keeps_the_halves() -> None:
    assert loads(b'{"text":"\\ud83d"}') == {"text": HIGH}
    assert loads(b'"\\ud83d\\ude00"') == "😀"


def test_loads_reads_halves_that_came_as_bytes() -> None:
    assert loads(b'"\xed\xa0\xbd"') == HIGH


@pytest.mark.parametrize("data", [b"", b"{", b'"\xff"', b"[" * 100_000, b'{"a":1}x'])
def test_loads_refuses_what_is_no_json(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        loads(data)


def test_well_formed_replaces_halves_at_any_depth() -> None:
    value = {HIGH: [f"{HIGH}{LOW}", {"a": f"b{LOW}"}], "n": [1, None, True, 0.5]}
    assert well_formed(value) == {
        REPLACEMENT: ["😀", {"a": f"b{REPLACEMENT}"}],
        "n": [1, None, True, 0.5],
    }
    json.dumps(well_formed(value), ensure_ascii=False).encode()


def test_well_formed_refuses_what_is_nested_too_deeply() -> None:
    value: list[object] = []
    for _ in range(100_000):
        value = [value]
    with pytest.raises(ValueError, match="nested too deeply"):
        well_formed(value)
