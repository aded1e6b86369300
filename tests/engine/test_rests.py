"""Which models are asked nothing, and for how long."""

from tokenferry.domain.capacity_headers import Capacity, Left
from tokenferry.engine.rests import NS_PER_S, REST_MAX_S, WAKE_MIN_NS, Rests

NOW_S = 1_000.0
NOW_NS = 1_000 * NS_PER_S
SPENT = Capacity(Left(0, 0, 4_000), None)


def test_a_refused_model_rests_as_long_as_it_was_told_if_that_is_not_long() -> None:
    rests = Rests(1, is_adaptive=True)
    rests.refused("m", NOW_S + REST_MAX_S, NOW_S)
    rests.refused("other", NOW_S + REST_MAX_S + 0.01, NOW_S)
    assert rests.wait_ns("m", 1, NOW_NS) == REST_MAX_S * NS_PER_S
    assert rests.wait_ns("other", 1, NOW_NS) == 0
    assert rests.wait_ns("m", 1, NOW_NS + 5 * NS_PER_S) == 0


def test_of_a_refusal_and_a_limit_the_longer_one_counts() -> None:
    rests = Rests(1, is_adaptive=True)
    rests.refused("m", NOW_S + 1, NOW_S)
    assert not rests.is_learned
    rests.heard(0, "m", SPENT, NOW_NS)
    assert rests.is_learned
    assert rests.spent("m", NOW_S) == {0}
    assert rests.wait_ns("m", 1, NOW_NS) == 4 * NS_PER_S
    rests.refused("m", NOW_S + 5, NOW_S)
    assert rests.wait_ns("m", 1, NOW_NS) == 5 * NS_PER_S
    assert rests.soonest_ns([("m", 1)], NOW_NS) == 5 * NS_PER_S
    assert rests.soonest_ns([("m", 1), ("free", 1)], NOW_NS) == WAKE_MIN_NS
    [state] = rests.states(NOW_S)
    assert (state.position, state.model, state.hold_ms) == (1, "m", 4_000)


def test_without_learning_nobody_waits() -> None:
    rests = Rests(1, is_adaptive=False)
    rests.refused("m", NOW_S + 1, NOW_S)
    rests.heard(0, "m", SPENT, NOW_NS)
    assert rests.wait_ns("m", 1, NOW_NS) == 0
    assert rests.states(NOW_S) == []
