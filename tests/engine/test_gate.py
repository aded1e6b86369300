"""Places at a provider are taken and given back, whoever waits and however it ends."""

import random

import pytest

from engine.virtual import VirtualTimers
from tokenferry.domain.capacity_headers import Capacity, Left
from tokenferry.engine.gate import NEWS_S, Ask, Gate, Place
from tokenferry.engine.options import GateTerms
from tokenferry.errors import QueueFull, QueueTimeout


class Caller:
    """Somebody who wants a place, and notes what is said."""

    def __init__(self, gate: Gate, name: str, service_class="default", account="a", tokens=1,
                 model="m"):  # fmt: skip
        self.gate = gate
        self.said: list = []
        self.went = False
        self.place: Place | None = None
        self.place = gate.enter(Ask(name, service_class, account, tokens), model, self)
        if self.place.is_in:
            self.went = True

    def go(self) -> None:
        # Not from within `enter`, nor from within whoever gave the place back.
        assert self.place is not None
        assert self.place.is_in
        self.went = True
        self.said.append("go")

    def stands(self, position, eta_s) -> None:
        self.said.append((position, eta_s))

    def refused(self, error) -> None:
        self.said.append(error)

    def leave(self, used=None) -> None:
        self.place.leave(used)


@pytest.fixture
def timers():
    return VirtualTimers()


def gate(timers, **terms) -> Gate:
    return Gate(GateTerms(**terms), timers)


class TestPlaces:
    def test_without_limits_all_go_at_once(self, timers):
        open_gate = gate(timers)
        callers = [Caller(open_gate, f"{number}") for number in range(500)]
        assert all(caller.went for caller in callers)
        assert open_gate.running == 500
        for caller in callers:
            caller.leave()
            caller.leave()
        assert open_gate.running == 0

    def test_who_finds_no_place_waits_for_one(self, timers):
        narrow = gate(timers, streams_max=2)
        first, second, third, fourth = (Caller(narrow, f"{n}") for n in range(4))
        assert [c.went for c in (first, second, third, fourth)] == [True, True, False, False]
        assert narrow.is_full("m")
        first.leave()
        assert not third.went
        timers.tick()
        assert third.said[-1] == "go"
        assert not fourth.went
        second.leave()
        third.leave()
        timers.tick()
        assert fourth.went
        fourth.leave()
        timers.tick()
        assert narrow.state() == (0, 2, {"priority": 0, "default": 0, "flex": 0})

    def test_nobody_overtakes_by_coming_when_a_place_gets_free(self, timers):
        narrow = gate(timers, streams_max=1)
        first, second = Caller(narrow, "1"), Caller(narrow, "2")
        first.leave()
        third = Caller(narrow, "3")
        timers.tick()
        assert (second.went, third.went) == (True, False)

    def test_who_leaves_the_line_takes_no_place(self, timers):
        narrow = gate(timers, streams_max=1)
        first, second, third = (Caller(narrow, f"{n}") for n in range(3))
        second.leave()
        second.leave()
        first.leave()
        timers.tick()
        assert (second.went, third.went, narrow.running) == (False, True, 1)

    def test_who_leaves_the_line_does_not_keep_the_others_behind(self, timers):
        slow = gate(timers, tokens_per_minute=1_000)
        Caller(slow, "1", tokens=900)
        large, small = Caller(slow, "2", tokens=1_000), Caller(slow, "3", tokens=50)
        timers.tick()
        large.leave()
        timers.tick()
        assert small.went

    def test_one_that_gives_up_as_it_is_its_turn(self, timers):
        """A place that is taken for somebody who has left in the same tick comes back."""
        narrow = gate(timers, streams_max=1)
        first, second, third = (Caller(narrow, f"{n}") for n in range(3))
        first.leave()
        timers.tick()
        assert second.went
        second.leave()
        timers.tick()
        assert third.went
        assert narrow.running == 1

    def test_classes_and_accounts(self, timers):
        narrow = gate(timers, streams_max=1)
        running = Caller(narrow, "r")
        flood = [Caller(narrow, f"f{n}", account="flood") for n in range(50)]
        light = Caller(narrow, "l", account="light")
        first = Caller(narrow, "p", "priority", account="light")
        order = []
        for _ in range(3):
            running.leave()
            timers.tick()
            [running] = [c for c in (*flood, light, first) if c.went and c not in order]
            order.append(running)
        assert order[0] is first
        assert light in order[1:3]

    def test_a_full_line_refuses_with_the_time_it_takes(self, timers):
        narrow = gate(timers, streams_max=1, line_max=2)
        turned_away = []
        narrow.on_turned_away = turned_away.append
        callers = [Caller(narrow, "0")]
        for number in range(1, 9):
            timers.advance(2)
            callers.append(Caller(narrow, f"{number}"))
            callers[-2].leave()
            timers.tick()
            assert callers[-1].went
        Caller(narrow, "w1"), Caller(narrow, "w2")
        with pytest.raises(QueueFull) as refused:
            Caller(narrow, "w3")
        assert turned_away == ["full"]
        # Two are in front, and one went every two seconds.
        assert 3_000 <= refused.value.retry_after_ms <= 5_000
        assert refused.value.retryable

    def test_a_line_that_one_account_has_filled_has_room_for_another(self, timers):
        narrow = gate(timers, streams_max=1, line_max=4)
        turned_away = []
        narrow.on_turned_away = turned_away.append
        running = Caller(narrow, "r", account="flood")
        flood = [Caller(narrow, f"f{n}", account="flood") for n in range(4)]
        light = Caller(narrow, "l1", account="light")
        assert not flood[3].said, "nobody is told from within `enter`"
        timers.tick()
        assert isinstance(flood[3].said[-1], QueueFull)
        assert flood[3].said[-1].retry_after_ms
        # Now they have 3 and 1: room for one more of who has fewer, and then as many each.
        second = Caller(narrow, "l2", account="light")
        timers.tick()
        assert isinstance(flood[2].said[-1], QueueFull)
        for account in ("flood", "light"):
            with pytest.raises(QueueFull):
                Caller(narrow, f"{account} more", account=account)
        assert turned_away == ["full"] * 4
        order = [flood[0], light, flood[1], second]
        for _ in range(4):
            running.leave()
            timers.tick()
            [running] = [c for c in order if c.went]
            order.remove(running)
        running.leave()
        timers.tick()
        assert (narrow.running, narrow.state().waiting["default"]) == (0, 0)

    @pytest.mark.parametrize(
        ("waits", "comes", "has_room"),
        [
            ("default", "priority", True),
            ("flex", "default", True),
            ("priority", "default", False),
            ("default", "flex", False),
        ],
    )
    def test_room_is_made_in_the_same_class_and_below(self, timers, waits, comes, has_room):
        narrow = gate(timers, streams_max=1, line_max=3)
        Caller(narrow, "r")
        flood = [Caller(narrow, f"f{n}", waits, account="flood") for n in range(3)]
        if has_room:
            assert not Caller(narrow, "l", comes, account="light").went
        else:
            with pytest.raises(QueueFull):
                Caller(narrow, "l", comes, account="light")
        timers.tick()
        assert [isinstance((c.said or [0])[-1], QueueFull) for c in flood] == [
            False,
            False,
            has_room,
        ]

    def test_who_has_left_before_it_was_told_hears_it_all_the_same(self, timers):
        """And leaves nothing behind: whoever waits knows whether it still does."""
        narrow = gate(timers, streams_max=1, line_max=2)
        Caller(narrow, "r", account="flood")
        flood = [Caller(narrow, f"f{n}", account="flood") for n in range(2)]
        light = Caller(narrow, "l", account="light")
        flood[1].leave()
        timers.tick()
        assert narrow.state().waiting["default"] == 2
        flood[0].leave()
        light.leave()
        timers.tick()
        assert narrow.state().waiting["default"] == 0

    def test_who_waits_too_long_is_told_so(self, timers):
        narrow = gate(timers, streams_max=1, wait_max_s=10)
        first, second = Caller(narrow, "1"), Caller(narrow, "2")
        timers.advance(9.9)
        third = Caller(narrow, "3")
        assert not any(isinstance(said, QueueTimeout) for said in second.said)
        timers.advance(0.2)
        assert isinstance(second.said[-1], QueueTimeout)
        assert second.said[-1].retry_after_ms
        second.leave()
        first.leave()
        timers.tick()
        assert third.went

    def test_nobody_may_wait_where_the_operator_says_so(self, timers):
        narrow = gate(timers, streams_max=1, line_max=0)
        Caller(narrow, "1")
        with pytest.raises(QueueFull):
            Caller(narrow, "2")


class TestNews:
    def test_who_waits_is_told_where_and_for_how_long(self, timers):
        narrow = gate(timers, streams_max=1)
        callers = [Caller(narrow, f"{n}") for n in range(4)]
        timers.advance(0)
        assert [c.said for c in callers] == [[], [(0, None)], [(1, None)], [(2, None)]]
        timers.advance(3 * NEWS_S)
        callers[0].leave()
        timers.tick()
        timers.advance(NEWS_S)
        position, eta_s = callers[2].said[-1]
        assert position == 0
        assert 0 < eta_s < 10
        assert callers[1].said[-1] == "go"

    def test_nobody_is_told_when_nobody_waits(self, timers):
        narrow = gate(timers, streams_max=1)
        first, second = Caller(narrow, "1"), Caller(narrow, "2")
        first.leave()
        timers.advance(5 * NEWS_S)
        told = len(second.said)
        timers.advance(5 * NEWS_S)
        assert len(second.said) == told

    def test_how_long_somebody_has_waited_is_counted(self, timers):
        narrow = gate(timers, streams_max=1)
        waited = []
        narrow.on_waited = lambda *seen: waited.append(seen)
        first = Caller(narrow, "1")
        Caller(narrow, "2", "flex")
        timers.advance(7)
        first.leave()
        timers.tick()
        assert waited == [("flex", pytest.approx(7))]


class TestRates:
    def test_so_many_calls_a_minute(self, timers):
        slow = gate(timers, requests_per_minute=60, wait_max_s=3600)
        callers = [Caller(slow, f"{n}") for n in range(70)]
        assert sum(c.went for c in callers) == 60
        timers.advance(5.1)
        assert sum(c.went for c in callers) == 65
        timers.advance(10)
        assert all(c.went for c in callers)

    def test_tokens_are_taken_and_given_back(self, timers):
        slow = gate(timers, tokens_per_minute=1_000)
        first = Caller(slow, "1", tokens=900)
        second = Caller(slow, "2", tokens=900)
        timers.advance(1)
        assert not second.went
        # It has used a tenth: there is room at once.
        first.leave(90)
        timers.advance(0.1)
        assert second.went

    def test_what_was_used_beyond_is_taken_then(self, timers):
        slow = gate(timers, tokens_per_minute=1_000)
        Caller(slow, "1", tokens=100).leave(1_000)
        second = Caller(slow, "2", tokens=500)
        timers.advance(25)
        assert not second.went
        timers.advance(10)
        assert second.went

    def test_more_than_a_minute_has_goes_alone(self, timers):
        slow = gate(timers, tokens_per_minute=1_000)
        assert Caller(slow, "1", tokens=50_000).went


class TestLearning:
    def test_after_a_refusal_fewer_go(self, timers):
        learning = gate(timers)
        callers = [Caller(learning, f"{n}") for n in range(9)]
        learning.limited("m", 0)
        assert learning.state().limit == 6
        late = Caller(learning, "late")
        for caller in callers[:3]:
            caller.leave(0)
        timers.tick()
        assert not late.went
        callers[3].leave(0)
        timers.tick()
        assert late.went

    def test_a_model_rests_as_long_as_it_was_told_and_others_go(self, timers):
        learning = gate(timers)
        first = Caller(learning, "1")
        learning.limited("m", timers.time() + 5)
        first.leave(0)
        resting = Caller(learning, "2")
        other = Caller(learning, "3", model="n")
        assert (resting.went, learning.is_full("m")) == (False, True)
        timers.tick()
        assert other.went
        other.leave()
        timers.advance(4.9)
        assert not resting.went
        timers.advance(0.2)
        assert resting.went

    def test_a_rest_that_is_too_long_is_waited_for_by_nobody(self, timers):
        """A daily quota is used up: the provider's own words say more than a line could."""
        learning = gate(timers)
        Caller(learning, "1").leave(0)
        learning.limited("m", timers.time() + 3600)
        assert Caller(learning, "2").went

    def test_who_does_not_want_it_learns_nothing(self, timers):
        stubborn = gate(timers, is_adaptive=False)
        Caller(stubborn, "1")
        stubborn.limited("m", timers.time() + 5)
        assert Caller(stubborn, "2").went


@pytest.mark.parametrize("seed", range(5))
def test_nothing_leaks_in_ten_thousand_lives(timers, seed):
    """Whoever comes, goes, gives up, is refused or is told off: at the end nothing is held."""
    dice = random.Random(seed)  # noqa: S311 -- dice, no secrets
    busy = gate(
        timers,
        streams_max=5,
        requests_per_minute=dice.choice([0, 6_000]),
        tokens_per_minute=dice.choice([0, 600_000]),
        line_max=20,
        wait_max_s=3,
    )
    alive: list[Caller] = []
    refusals = lives = 0
    most = 0
    while lives < 2_000:
        what = dice.random()
        if what < 0.5:
            lives += 1
            try:
                alive.append(
                    Caller(
                        busy,
                        f"{lives}",
                        dice.choice(["priority", "default", "flex"]),
                        dice.choice("abc"),
                        dice.randrange(1, 2_000),
                        dice.choice("mn"),
                    )
                )
            except QueueFull:
                refusals += 1
        elif what < 0.8 and alive:
            alive.pop(dice.randrange(len(alive))).leave(dice.choice([None, 0, 5, 3_000]))
        elif what < 0.82:
            busy.limited(dice.choice("mn"), timers.time() + dice.random())
        elif what < 0.9:
            busy.served()
        else:
            timers.advance(dice.random())
        timers.tick()
        most = max(most, busy.running)
        gone = (QueueTimeout, QueueFull)
        for caller in [c for c in alive if c.said and isinstance(c.said[-1], gone)]:
            alive.remove(caller)
        assert busy.running == sum(c.went for c in alive) <= 5
        assert sum(busy.state().waiting.values()) == sum(not c.went for c in alive)
    assert refusals
    assert most == 5
    for caller in alive:
        caller.leave()
    timers.advance(120)
    assert busy.running == 0
    assert sum(busy.state().waiting.values()) == 0
    assert Caller(busy, "last").went


def spent(limit: int, reset_ms: int) -> Capacity:
    return Capacity(Left(limit, 0, reset_ms), None)


class Taker(Caller):
    """Takes of what is left, as a call that is begun does."""

    def go(self) -> None:
        super().go()
        self.gate.rests.took(0, "m", 1, self.gate._timers.time())


class TestLearned:
    def test_no_call_goes_before_the_reset_and_all_go_then(self, timers):
        told = gate(timers)
        told.heard(0, "m", spent(0, 2_500))
        callers = [Caller(told, f"{number}") for number in range(5)]
        other = Caller(told, "other", model="n")
        timers.advance(2.49)
        assert not any(caller.went for caller in callers)
        # Not for a limit of another model's.
        assert other.went
        timers.advance(0.02)
        assert all(caller.went for caller in callers)

    def test_what_is_refilled_goes_one_by_one(self, timers):
        """A limit of 60 a minute of which nothing is left: one call a second."""
        told = gate(timers)
        told.heard(0, "m", spent(60, 60_000))
        callers = [Taker(told, f"{number}") for number in range(4)]
        for number in range(1, 5):
            timers.advance(0.98)
            assert sum(caller.went for caller in callers) == number - 1
            timers.advance(0.02 + 0.002)
            assert sum(caller.went for caller in callers) == number

    def test_an_answer_that_says_there_is_room_lets_them_go_at_once(self, timers):
        told = gate(timers)
        told.heard(0, "m", spent(0, 30_000))
        caller = Caller(told, "1")
        timers.advance(1)
        assert not caller.went
        told.heard(0, "m", Capacity(Left(60, 5, 55_000), None))
        timers.tick()
        assert caller.went

    def test_nonsense_is_waited_for_a_minute_and_no_longer_than_anybody_waits(self, timers):
        patient = gate(timers, wait_max_s=100)
        patient.heard(0, "m", spent(0, 86_400_000))
        caller = Caller(patient, "1")
        timers.advance(59.9)
        assert not caller.went
        timers.advance(0.2)
        assert caller.went
        hasty = gate(timers, wait_max_s=5)
        hasty.heard(0, "m", spent(0, 86_400_000))
        late = Caller(hasty, "2")
        timers.advance(5.1)
        assert isinstance(late.said[-1], QueueTimeout)

    def test_without_learning_nobody_waits_for_what_is_said(self, timers):
        deaf = gate(timers, is_adaptive=False)
        deaf.heard(0, "m", spent(0, 5_000))
        assert Caller(deaf, "1").went

    def test_another_key_serves_meanwhile(self, timers):
        two = Gate(GateTerms(), timers, 2)
        two.heard(0, "m", spent(0, 5_000))
        assert Caller(two, "1").went
        two.heard(1, "m", spent(0, 3_000))
        assert two.is_full("m")
        late = Caller(two, "2")
        timers.advance(2.9)
        assert not late.went
        timers.advance(0.2)
        assert late.went
