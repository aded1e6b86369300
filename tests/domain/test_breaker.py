from hypothesis import given
from hypothesis import strategies as st

from tokenferry.domain.breaker import Breaker, BreakerTerms

TERMS = BreakerTerms(
    window_s=10, calls_min=4, failures_percent=50, open_s=5, open_max_s=20, probes=2
)


def call(breaker: Breaker, now_s: float, *, works: bool) -> None:
    ticket = breaker.begin(now_s)
    (breaker.succeeded if works else breaker.failed)(ticket, now_s)


def opened(now_s: float = 100.0) -> Breaker:
    breaker = Breaker(TERMS)
    for _ in range(4):
        call(breaker, now_s, works=False)
    return breaker


def test_it_opens_at_the_share_and_not_below_the_least_count() -> None:
    breaker = Breaker(TERMS)
    for _ in range(3):
        call(breaker, 100, works=False)
        assert breaker.state(100) == "closed"
    call(breaker, 100, works=True)
    assert breaker.state(100) == "closed"  # only a failure opens
    assert breaker.counts(100) == (4, 3)
    call(breaker, 100, works=False)
    assert breaker.state(100) == "open"
    assert not breaker.admits(104.9)
    assert (breaker.opened_s, breaker.until_s) == (100, 105)


def test_below_the_share_it_stays_closed() -> None:
    breaker = Breaker(TERMS)
    for number in range(300):
        call(breaker, 100 + number / 100, works=number % 3 != 2)
        assert breaker.state(100 + number / 100) == "closed"


def test_what_is_older_than_the_window_does_not_count() -> None:
    breaker = Breaker(TERMS)
    for _ in range(3):
        call(breaker, 100, works=False)
    assert breaker.counts(104.9) == (3, 3)
    assert breaker.counts(110) == (0, 0)
    call(breaker, 110, works=False)
    assert breaker.state(110) == "closed"


def test_the_half_before_counts_and_the_one_before_that_does_not() -> None:
    breaker = Breaker(TERMS)
    for at_s in (100, 101, 106, 107):
        call(breaker, at_s, works=True)
    assert breaker.counts(109) == (4, 0)
    assert breaker.counts(111) == (2, 0)


def test_as_many_probes_as_allowed_and_all_must_succeed() -> None:
    breaker = opened()
    assert breaker.state(105) == "half_open"
    first = breaker.begin(105)
    assert breaker.admits(105)
    second = breaker.begin(105)
    assert not breaker.admits(105)
    breaker.succeeded(first, 106)
    assert breaker.state(106) == "half_open"
    assert not breaker.admits(106)
    breaker.succeeded(second, 106)
    assert breaker.state(106) == "closed"
    assert breaker.counts(106) == (0, 0)


def test_each_opening_is_twice_as_long_up_to_the_longest() -> None:
    breaker = opened()
    lengths = []
    for _ in range(4):
        lengths.append(breaker.until_s - breaker.opened_s)
        call(breaker, breaker.until_s, works=False)
    assert lengths == [5, 10, 20, 20]
    for _ in range(2):
        call(breaker, breaker.until_s, works=True)
    now_s = breaker.opened_s + 100
    for _ in range(4):
        call(breaker, now_s, works=False)
    assert breaker.until_s - breaker.opened_s == 5  # it was closed in between


def test_a_probe_that_says_nothing_gives_its_place_back() -> None:
    breaker = opened()
    probes = [breaker.begin(105), breaker.begin(105)]
    assert not breaker.admits(105)
    for probe in probes:
        breaker.abandoned(probe)
    assert breaker.admits(105)
    assert breaker.state(105) == "half_open"


def test_a_call_of_before_says_nothing_of_the_time_after() -> None:
    breaker = Breaker(TERMS)
    late = [breaker.begin(100), breaker.begin(100), breaker.begin(100)]
    for _ in range(4):
        call(breaker, 100, works=False)
    breaker.succeeded(late[0], 101)
    assert breaker.state(101) == "open"
    breaker.failed(late[1], 106)
    breaker.abandoned(late[2])
    assert breaker.until_s == 105
    assert breaker.admits(106)


def test_who_is_called_though_it_is_open_and_answers_is_there_again() -> None:
    breaker = opened()
    forced = breaker.begin(101)
    assert not forced.is_probe
    breaker.failed(forced, 101)
    assert breaker.until_s == 105  # it was known
    breaker.succeeded(breaker.begin(102), 103)
    assert breaker.state(103) == "closed"


ACTS = st.sampled_from(["begin", "succeed", "fail", "abandon", "wait", "wait long"])


@given(st.lists(ACTS, max_size=200))
def test_whatever_happens_places_are_given_back_and_the_state_is_one_of_three(
    acts: list[str],
) -> None:
    breaker, now_s, under_way = Breaker(TERMS), 100.0, []
    for act in acts:
        if act.startswith("wait"):
            now_s += 6 if act == "wait" else 30
        elif act == "begin":
            admitted = breaker.admits(now_s)
            ticket = breaker.begin(now_s)
            assert admitted or not ticket.is_probe
            under_way.append(ticket)
        elif under_way:
            ticket = under_way.pop(0)
            if act == "abandon":
                breaker.abandoned(ticket)
            else:
                (breaker.succeeded if act == "succeed" else breaker.failed)(ticket, now_s)
        probing = [t for t in under_way if t.is_probe and t.turn == breaker._turn]
        assert breaker._probing == len(probing) <= TERMS.probes
        assert breaker.state(now_s) in ("closed", "open", "half_open")
        assert breaker.until_s - breaker.opened_s <= TERMS.open_max_s
        calls, failures = breaker.counts(now_s)
        assert 0 <= failures <= calls
    for ticket in under_way:
        breaker.abandoned(ticket)
    # However it was left, it is tried again in time.
    assert breaker.admits(now_s + TERMS.open_max_s) or breaker._proven
