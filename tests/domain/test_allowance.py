import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenferry.domain.allowance import (
    EVERYTHING,
    LIMIT_NAMES,
    NO_OWN_LIMITS,
    Allowance,
    GivenLimits,
    KeyLimits,
)

USUAL = Allowance(60, 1000, 0)


@pytest.mark.parametrize(
    ("own", "result"),
    [
        (NO_OWN_LIMITS, USUAL),
        (KeyLimits(has_priority=True), USUAL),
        # Its owner lowers what there is, and limits what is not.
        (KeyLimits(owner=GivenLimits(10, None, 3)), Allowance(10, 1000, 3)),
        (KeyLimits(owner=GivenLimits(60, 1000)), USUAL),
        (KeyLimits(owner=GivenLimits(61, 1001)), USUAL),
        # The operator sets any.
        (KeyLimits(operator=GivenLimits(600)), Allowance(600, 1000, 0)),
        (KeyLimits(operator=GivenLimits(0, 0, 5)), Allowance(0, 0, 5)),
        (KeyLimits(operator=GivenLimits(1, 2, 3)), Allowance(1, 2, 3)),
        # Both: each number by itself.
        (KeyLimits(GivenLimits(5, 600, 0), GivenLimits(10, 500, 4)), Allowance(5, 500, 4)),
        (KeyLimits(GivenLimits(600), GivenLimits(300, 300, 300)), Allowance(300, 300, 300)),
        (KeyLimits(GivenLimits(None, 0), GivenLimits(100, 2000)), Allowance(60, 2000, 0)),
    ],
)
def test_what_a_key_may_have(own: KeyLimits, result: Allowance) -> None:
    assert own.within(USUAL) == result


# Small ones, so that they meet each other and zero.
counts = st.integers(0, 5)
usual_ones = st.builds(Allowance, counts, counts, counts)
operators = st.builds(GivenLimits, *[st.none() | counts] * 3)
owners = st.builds(GivenLimits, *[st.none() | st.integers(1, 5)] * 3)


def is_as_strict(one: int, other: int) -> bool:
    """Return whether the first lets nobody have more than the second; 0 is no limit."""
    return other == 0 or 0 < one <= other


@given(operator=operators, owner=owners, usual=usual_ones)
def test_of_each_number_the_stricter_holds_and_no_other(
    operator: GivenLimits, owner: GivenLimits, usual: Allowance
) -> None:
    held = KeyLimits(operator, owner).within(usual)
    for name in LIMIT_NAMES:
        given_by_operator, own = getattr(operator, name), getattr(owner, name)
        most = getattr(usual, name) if given_by_operator is None else given_by_operator
        number = getattr(held, name)
        assert is_as_strict(number, most)
        assert own is None or is_as_strict(number, own)
        assert number in (most, own)


@given(operator=operators, owner=owners, usual=usual_ones)
def test_no_owner_loosens_what_the_operator_has_set(
    operator: GivenLimits, owner: GivenLimits, usual: Allowance
) -> None:
    held = KeyLimits(operator, owner).within(usual)
    without = KeyLimits(operator).within(usual)
    for name in LIMIT_NAMES:
        assert is_as_strict(getattr(held, name), getattr(without, name))


@given(operator=operators, owner=owners, usual=usual_ones)
def test_what_an_owner_lifts_leaves_what_the_operator_has_set(
    operator: GivenLimits, owner: GivenLimits, usual: Allowance
) -> None:
    """Each of the three stands for itself: a number of one says nothing of the others."""
    held = KeyLimits(operator, owner).within(usual)
    for name in LIMIT_NAMES:
        alone = KeyLimits(
            GivenLimits(**{name: getattr(operator, name)}),
            GivenLimits(**{name: getattr(owner, name)}),
        )
        assert getattr(alone.within(usual), name) == getattr(held, name)


@pytest.mark.parametrize(
    ("allowance", "is_limited"),
    [
        (EVERYTHING, False),
        (Allowance(1), True),
        (Allowance(0, 1), True),
        (Allowance(0, 0, 1), True),
    ],
)
def test_a_zero_is_no_limit(allowance: Allowance, *, is_limited: bool) -> None:
    assert allowance.is_limited is is_limited
