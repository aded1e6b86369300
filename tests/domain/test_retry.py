import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenferry.domain.retry import (
    BLAMED,
    BUDGET_BURST,
    Again,
    RetryBudget,
    RetryTerms,
    Standing,
    backoff_s,
    decide,
    fault_of,
)
from tokenferry.errors import (
    InternalError,
    ProviderAuthFailed,
    ProviderCutOff,
    ProviderError,
    ProviderInvalidResponse,
    ProviderRejected,
    ProviderTimeout,
    ProviderUnreachable,
    TokenferryError,
)

TERMS = RetryTerms(retries=2, backoff_s=0.2, wait_max_s=2.0, deadline_s=10.0)
ALONE = Standing(0, has_other=False, has_key=False, age_s=0.0)
BACKED = ALONE._replace(has_other=True)
KEYED = ALONE._replace(has_key=True)


def rejected(status: int, code: str | None = None) -> ProviderRejected:
    return ProviderRejected("no", status=status, code=code)


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (rejected(400), "client"),
        (rejected(402), "client"),
        (rejected(404), "unknown"),
        (rejected(400, "model_not_found"), "unknown"),
        (rejected(408), "passing"),
        (rejected(409), "passing"),
        (rejected(413), "client"),
        (rejected(422), "client"),
        (rejected(429), "limited"),
        (rejected(500), "passing"),
        (rejected(503), "passing"),
        (rejected(529), "passing"),
        (rejected(503, "provider_quota_exhausted"), "credential"),
        (ProviderAuthFailed("no"), "credential"),
        (ProviderUnreachable("no"), "passing"),
        (ProviderCutOff("no"), "passing"),
        (ProviderTimeout("no"), "silent"),
        (ProviderInvalidResponse("no"), "broken"),
        (ProviderError("no"), "passing"),
        (InternalError("no"), "own"),
    ],
)
def test_what_an_error_is(error: TokenferryError, fault: str) -> None:
    assert fault_of(error) == fault


@pytest.mark.parametrize(
    ("fault", "standing", "verdict"),
    [
        # A fault that may pass: again, and then the next one.
        ("passing", ALONE, Again(0.1)),
        ("passing", BACKED, Again(0.1)),
        ("passing", BACKED._replace(retries=1), Again(0.2)),
        ("passing", BACKED._replace(retries=2), "next"),
        ("passing", ALONE._replace(retries=2), "stop"),
        # A wait that the provider asks for, up to the longest, and within the deadline.
        ("passing", ALONE._replace(retry_after_s=1.5), Again(1.5)),
        ("passing", ALONE._replace(retry_after_s=0.0), Again(0.1)),
        ("passing", ALONE._replace(retry_after_s=2.0), Again(2.0)),
        ("passing", ALONE._replace(retry_after_s=2.001), "stop"),
        ("passing", BACKED._replace(retry_after_s=2.001), "next"),
        ("passing", ALONE._replace(age_s=9.9), Again(0.1)),
        ("passing", ALONE._replace(age_s=9.91), "stop"),
        ("passing", BACKED._replace(age_s=9.91), "next"),
        # A limit: another key at once, another candidate at once, and only then a wait.
        ("limited", KEYED, Again(0.0, is_free=True)),
        ("limited", KEYED._replace(has_other=True), Again(0.0, is_free=True)),
        ("limited", BACKED._replace(retry_after_s=0.5), "next"),
        ("limited", ALONE._replace(retry_after_s=0.5), Again(0.5)),
        ("limited", ALONE._replace(retry_after_s=7.0), "stop"),
        # Whoever waited once for a silence does not wait twice, if there is a choice.
        ("silent", BACKED, "next"),
        ("silent", ALONE, Again(0.1)),
        ("silent", ALONE._replace(age_s=600.0), "stop"),
        # What the operator has to mend.
        ("credential", KEYED, Again(0.0, is_free=True)),
        ("credential", BACKED, "next"),
        ("credential", ALONE, "stop"),
        ("unknown", BACKED, "next"),
        ("unknown", KEYED, "stop"),
        ("broken", BACKED, "next"),
        ("broken", ALONE, "stop"),
        # What is wrong with the request is wrong everywhere, and so is what is wrong with us.
        ("client", BACKED, "stop"),
        ("client", KEYED._replace(has_other=True), "stop"),
        ("own", BACKED, "stop"),
        # But for the rest of an answer: one provider takes back what another does not.
        ("client", BACKED._replace(takes_any=True), "next"),
        ("client", ALONE._replace(takes_any=True), "stop"),
    ],
)
def test_what_is_done(fault, standing, verdict) -> None:
    assert decide(TERMS, fault, standing, 0.5) == verdict


def test_who_is_to_be_blamed() -> None:
    assert sorted(BLAMED) == ["broken", "passing", "silent", "unknown"]


@given(
    st.integers(0, 10_000),
    st.floats(0, 1, exclude_max=True),
    st.floats(0, 100),
    st.floats(0, 100),
)
def test_a_wait_is_within_its_bounds(
    retries: int, dice: float, base_s: float, longest_s: float
) -> None:
    terms = RetryTerms(backoff_s=base_s, wait_max_s=longest_s)
    assert 0 <= backoff_s(terms, retries, dice) <= min(longest_s, base_s * 2.0 ** min(retries, 30))


@given(
    st.sampled_from(["passing", "limited", "silent", "credential", "unknown", "broken", "client"]),
    st.builds(
        Standing,
        st.integers(0, 5),
        st.booleans(),
        st.booleans(),
        st.floats(0, 1000),
        st.none() | st.floats(0, 1000),
        st.booleans(),
    ),
    st.floats(0, 1, exclude_max=True),
)
def test_nothing_is_tried_again_beyond_the_terms(fault, standing, dice) -> None:
    verdict = decide(TERMS, fault, standing, dice)
    if isinstance(verdict, Again) and not verdict.is_free:
        assert standing.retries < TERMS.retries
        assert verdict.wait_s <= TERMS.wait_max_s
        assert standing.age_s + verdict.wait_s <= TERMS.deadline_s
        assert verdict.wait_s >= (standing.retry_after_s or 0)
    elif isinstance(verdict, Again):
        assert standing.has_key
    else:
        assert verdict == "stop" or standing.has_other


@given(st.integers(0, 100), st.lists(st.booleans(), max_size=2_000))
def test_retries_are_a_share_of_the_requests(percent: int, acts: list[bool]) -> None:
    budget = RetryBudget(percent)
    requests = retries = 0
    for is_request in acts:
        if is_request:
            budget.earn()
            requests += 1
        else:
            retries += budget.spend()
        assert retries <= BUDGET_BURST + requests * percent / 100


def test_a_budget_of_nothing_has_no_retry_in_it() -> None:
    budget = RetryBudget(0)
    budget.earn()
    assert not budget.spend()


def test_a_budget_that_is_empty_fills_up_again() -> None:
    budget = RetryBudget(20)
    assert [budget.spend() for _ in range(BUDGET_BURST + 1)] == [True] * BUDGET_BURST + [False]
    for _ in range(4):
        budget.earn()
    assert not budget.spend()
    budget.earn()
    assert budget.spend()
