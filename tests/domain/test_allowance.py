import pytest

from tokenferry.domain.allowance import EVERYTHING, NO_OWN_LIMITS, Allowance, KeyLimits

USUAL = Allowance(60, 1000, 0)


@pytest.mark.parametrize(
    ("own", "result"),
    [
        (NO_OWN_LIMITS, USUAL),
        # Its owner lowers what there is, and limits what is not.
        (KeyLimits(10, None, 3), Allowance(10, 1000, 3)),
        (KeyLimits(60, 1000), USUAL),
        (KeyLimits(61, 1001), USUAL),
        (KeyLimits(0, 0, 0), USUAL),
        # The operator sets any.
        (KeyLimits(600, None, None, is_granted=True), Allowance(600, 1000, 0)),
        (KeyLimits(0, 0, 5, is_granted=True), Allowance(0, 0, 5)),
        (KeyLimits(1, 2, 3, is_granted=True), Allowance(1, 2, 3)),
        (KeyLimits(is_granted=True), USUAL),
    ],
)
def test_what_a_key_may_have(own: KeyLimits, result: Allowance) -> None:
    assert own.within(USUAL) == result


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
