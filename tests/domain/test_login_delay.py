from hypothesis import given
from hypothesis import strategies as st

from tokenferry.domain.login_delay import NONE, Patience, failed, succeeded, wait_ns

PATIENCE = Patience(free=2, first_ns=10, longest_ns=100, forgotten_ns=1_000)


def after(count, now_ns=0):
    state = NONE
    for _ in range(count):
        state = failed(state, PATIENCE, now_ns)
    return state


def test_the_wait_grows_up_to_its_limit():
    waits = [wait_ns(after(count), 0) for count in range(9)]
    assert waits == [0, 0, 0, 10, 20, 40, 80, 100, 100]


def test_the_wait_passes():
    state = after(4)
    assert [wait_ns(state, now_ns) for now_ns in (0, 19, 20, 21)] == [20, 1, 0, 0]


def test_all_is_forgotten_in_time():
    state = after(5)
    assert failed(state, PATIENCE, 999).times == 6
    assert failed(state, PATIENCE, 1_000).times == 1


def test_a_success_takes_its_own_attempt_back():
    state = succeeded(after(3), 0)
    assert (state.times, wait_ns(state, 0)) == (2, 0)
    assert succeeded(NONE, 0).times == 0


@given(st.integers(0, 10_000))
def test_no_count_is_too_large(count):
    state = failed(NONE._replace(times=count), PATIENCE, 0)
    assert 0 <= wait_ns(state, 0) <= PATIENCE.longest_ns
