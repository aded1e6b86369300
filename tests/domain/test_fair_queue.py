"""Who is next: classes in order, accounts alike by their work, nobody for ever."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tokenferry.domain.fair_queue import (
    CLASSES,
    LOWER_TURN,
    NS_PER_S,
    PATIENCE_NS,
    Entry,
    FairQueue,
)


def entry(name: str, account: str = "a", cost: int = 1, since_ns: int = 0, until_ns=None) -> Entry:
    return Entry(name, account, cost, since_ns, until_ns)


def drained(queue: FairQueue, now_ns: int = 0) -> list[str]:
    names = []
    while (head := queue.peek(now_ns)) is not None:
        popped = queue.pop(now_ns)
        assert popped == head
        names.append(popped.entry_id)
    assert len(queue) == 0
    return names


def test_one_account_is_served_in_its_order():
    queue = FairQueue()
    for number in range(5):
        queue.push("default", entry(f"{number}", cost=5 - number))
    assert drained(queue) == ["0", "1", "2", "3", "4"]


def test_classes_come_in_their_order():
    queue = FairQueue()
    for name in reversed(CLASSES):
        queue.push(name, entry(name, since_ns=1))
    assert drained(queue) == ["priority", "default", "flex"]


def test_priority_is_next_whatever_is_lined_up():
    queue = FairQueue()
    for number in range(1_000):
        queue.push("default", entry(f"d{number}", f"a{number % 7}"))
    queue.push("priority", entry("p", since_ns=1))
    assert queue.position("p") == 0
    assert queue.pop(1).entry_id == "p"


def test_a_flood_delays_another_account_by_one():
    queue = FairQueue()
    for number in range(100):
        queue.push("default", entry(f"a{number}", "flood"))
    queue.pop(0)
    queue.push("default", entry("b0", "light", since_ns=5))
    queue.push("default", entry("b1", "light", since_ns=6))
    order = drained(queue)
    assert order.index("b0") <= 1
    assert order.index("b1") <= 3


def test_work_counts_and_not_requests():
    queue = FairQueue()
    for number in range(20):
        queue.push("default", entry(f"big{number}", "big", cost=10))
        queue.push("default", entry(f"small{number}", "small", cost=1))
    first = [queue.pop(0).entry_id for _ in range(11)]
    assert sum(name.startswith("small") for name in first) == 10


def test_who_was_just_served_does_not_start_anew():
    """Somebody who brings much work, one request after the other, gets no more than others."""
    queue = FairQueue()
    for number in range(20):
        queue.push("default", entry(f"other{number}", "other", cost=10))
    served = []
    for number in range(10):
        queue.push("default", entry(f"one{number}", "one", cost=50))
        while (popped := queue.pop(0).entry_id) != f"one{number}":
            served.append(popped)
        if len(queue) == 0:
            break
    assert len(served) >= 15


def test_a_lower_class_gets_a_turn_once_its_patience_is_over():
    queue = FairQueue()
    patient_ns = PATIENCE_NS["flex"]
    queue.push("flex", entry("f"))
    for number in range(3 * LOWER_TURN):
        queue.push("priority", entry(f"p{number}"))
    early = [queue.pop(patient_ns - 1).entry_id for _ in range(LOWER_TURN + 3)]
    assert "f" not in early
    # It has waited for its turn already: the next slot is its own.
    assert queue.pop(patient_ns).entry_id == "f"
    assert queue.pop(patient_ns).entry_id.startswith("p")


def test_nobody_starves_below_an_endless_stream():
    queue = FairQueue()
    queue.push("flex", entry("f"))
    for number in range(1_000):
        queue.push("priority", entry(f"p{number}", since_ns=number * NS_PER_S))
        if queue.pop(number * NS_PER_S).entry_id == "f":
            break
    assert number <= PATIENCE_NS["flex"] // NS_PER_S + LOWER_TURN


def test_of_two_lower_classes_the_one_beyond_its_patience_the_longest():
    queue = FairQueue()
    queue.push("flex", entry("f", since_ns=0))
    queue.push("default", entry("d", since_ns=0))
    for number in range(2 * LOWER_TURN):
        queue.push("priority", entry(f"p{number}"))
    now_ns = PATIENCE_NS["flex"]
    order = [queue.pop(now_ns).entry_id for _ in range(2 * LOWER_TURN)]
    assert [name for name in order if name in "fd"] == ["d", "f"]


def test_who_leaves_makes_room():
    queue = FairQueue()
    for number in range(3):
        queue.push("default", entry(f"{number}", cost=100))
    queue.push("default", entry("b", "b"))
    assert queue.remove("1")
    assert not queue.remove("1")
    assert "1" not in queue
    assert (len(queue), queue.length("default"), queue.length("flex")) == (3, 3, 0)
    assert drained(queue) == ["0", "b", "2"]


def test_since_when_the_first_of_a_class_has_waited():
    queue = FairQueue()
    assert queue.oldest_ns("default") is None
    for name, account, since_ns in (("1", "a", 7), ("2", "b", 5), ("3", "b", 9), ("4", "a", 11)):
        queue.push("default", entry(name, account, since_ns=since_ns))
    queue.push("flex", entry("f", since_ns=1))
    assert (queue.oldest_ns("default"), queue.oldest_ns("flex")) == (5, 1)
    queue.remove("2")
    assert queue.oldest_ns("default") == 7
    queue.remove("1")
    assert queue.oldest_ns("default") == 9


def test_who_has_waited_too_long():
    queue = FairQueue()
    queue.push("default", entry("never"))
    queue.push("flex", entry("soon", until_ns=10))
    assert queue.expired(9) == []
    assert [one.entry_id for one in queue.expired(10)] == ["soon"]
    assert "soon" in queue


def test_nobody_waits_twice():
    queue = FairQueue()
    queue.push("default", entry("a"))
    with pytest.raises(ValueError, match="waits already"):
        queue.push("flex", entry("a"))
    with pytest.raises(KeyError):
        queue.position("b")


@given(
    st.lists(
        st.tuples(st.sampled_from("abcd"), st.integers(1, 20), st.sampled_from(CLASSES)),
        max_size=40,
    )
)
def test_positions_are_the_order(arrivals):
    queue = FairQueue()
    for number, (account, cost, name) in enumerate(arrivals):
        queue.push(name, entry(f"{number}", account, cost, since_ns=number))
    positions = {f"{n}": queue.position(f"{n}") for n in range(len(arrivals))}
    assert sorted(positions.values()) == list(range(len(arrivals)))
    # Nobody's patience is over, so that no turn of a lower class comes between.
    order = drained(queue, now_ns=len(arrivals))
    assert [positions[name] for name in order] == list(range(len(arrivals)))


@given(
    st.lists(st.integers(1, 20), min_size=1, max_size=60),
    st.lists(st.integers(1, 20), min_size=1, max_size=60),
)
def test_while_both_wait_accounts_get_the_same_work(costs_a, costs_b):
    """The bound of start-time fair queueing: the largest cost of each."""
    queue = FairQueue()
    for account, costs in (("a", costs_a), ("b", costs_b)):
        for number, cost in enumerate(costs):
            queue.push("default", entry(f"{account}{number}", account, cost))
    left = {"a": len(costs_a), "b": len(costs_b)}
    done = {"a": 0, "b": 0}
    while all(left.values()):
        served = queue.pop(0)
        done[served.account] += served.cost
        left[served.account] -= 1
        assert abs(done["a"] - done["b"]) <= max(costs_a) + max(costs_b)


class Anything(RuleBasedStateMachine):
    """Nobody is lost, nobody is served twice, and each account in its own order."""

    def __init__(self):
        super().__init__()
        self.queue = FairQueue()
        self.now_ns = 0
        self.waiting: dict[str, tuple[str, Entry]] = {}
        self.number = 0

    @rule(account=st.sampled_from("abc"), cost=st.integers(1, 1_000), name=st.sampled_from(CLASSES))
    def arrives(self, account, cost, name):
        self.number += 1
        one = entry(f"{self.number}", account, cost, self.now_ns)
        self.queue.push(name, one)
        self.waiting[one.entry_id] = (name, one)

    @rule(seconds=st.integers(0, 40))
    def time_passes(self, seconds):
        self.now_ns += seconds * NS_PER_S

    @rule(which=st.integers(0, 10))
    def gives_up(self, which):
        if self.waiting:
            entry_id = sorted(self.waiting)[which % len(self.waiting)]
            del self.waiting[entry_id]
            assert self.queue.remove(entry_id)

    @rule()
    def is_served(self):
        served = self.queue.pop(self.now_ns)
        assert (served is None) == (not self.waiting)
        if served is None:
            return
        name, one = self.waiting.pop(served.entry_id)
        assert one == served
        before = [
            other
            for its_class, other in self.waiting.values()
            if its_class == name and other.account == served.account
        ]
        assert all(int(other.entry_id) > int(served.entry_id) for other in before)
        above = [c for c, _ in self.waiting.values() if CLASSES.index(c) < CLASSES.index(name)]
        if above:
            assert self.now_ns - served.since_ns >= 0
            assert any(
                self.now_ns - other.since_ns >= PATIENCE_NS[name]
                for other in [served, *(o for c, o in self.waiting.values() if c == name)]
            )

    @invariant()
    def counts_agree(self):
        assert len(self.queue) == len(self.waiting)
        assert set(self.waiting) == {name for name in self.waiting if name in self.queue}
        for name in CLASSES:
            mine = sum(its_class == name for its_class, _ in self.waiting.values())
            assert self.queue.length(name) == mine


TestAnything = Anything.TestCase
