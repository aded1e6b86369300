"""Who may begin a stream: all limits together, or none; and everything is given back."""

import copy
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.virtual import (
    KEY,
    Bench,
    RecordingOutlet,
    ScriptedCall,
    ScriptedProvider,
    VirtualTimers,
    request,
)
from tokenferry.domain.allowance import Allowance, GivenLimits, KeyLimits
from tokenferry.domain.ledger import Refusal
from tokenferry.domain.price_form import read_terms
from tokenferry.domain.pricing import Price, PriceBook
from tokenferry.domain.rate_limit import Standing
from tokenferry.domain.routing import Catalog
from tokenferry.domain.usage import Usage
from tokenferry.engine import admission as module
from tokenferry.engine.admission import Admission, Admissions, Rates, Subject, Tokens
from tokenferry.engine.dispatcher import _tokens
from tokenferry.engine.keys import Key
from tokenferry.engine.ledger import Charged, Held, Hold
from tokenferry.engine.options import Limits, Options
from tokenferry.engine.ports import JournalUnavailable
from tokenferry.errors import (
    LimitError,
    ProviderCutOff,
    ProviderUnreachable,
    RateLimited,
    RequestError,
    StorageUnavailable,
    TokenferryError,
    TokensOverLimit,
    TooManyStreams,
    UnsupportedParameter,
)
from tokenferry.protocol.chat import Delta
from tokenferry.stores.memory import MemoryJournal

CATALOG = Catalog(
    [("p", "m"), ("q", "m"), ("q", "big")],
    [("fast", (("p", "m"), ("q", "big"))), ("slow", (("q", "big"),))],
)
MEMBER, OTHER, THIRD = Key("a1", "a1", "a"), Key("a2", "a2", "a"), Key("b1", "b1", "b")
FREE = Tokens(0, 0)
MINUTE_S = 60.0


def admissions(
    key: Allowance | None = None,
    account: Allowance | None = None,
    **models: Allowance,
) -> Admissions:
    rates = Rates(key or Allowance(), account or Allowance(), models)
    return Admissions(rates, CATALOG, VirtualTimers())


def advance(made: Admissions, seconds: float) -> None:
    made._timers.advance(seconds)  # type: ignore[attr-defined] -- they are virtual


def everybody(made: Admissions) -> list[Subject]:
    return [*made._keys.values(), *made._accounts.values(), *made._models.values()]


def state(made: Admissions) -> list[tuple[int, int, int]]:
    return [(each.arrival_ns, each.tokens.arrival_ns, each.running) for each in everybody(made)]


def refused(made: Admissions, key: Key = MEMBER, model: str = "m", tokens: Tokens = FREE) -> Any:
    """Ask, be refused, and see that nothing has changed."""
    made._held(key, model)  # those that were never asked for are not there yet
    before = state(made)
    with pytest.raises((LimitError, TokensOverLimit)) as caught:
        made.admit(key, model, tokens)
    assert state(made) == before
    return caught.value


# -- which limits apply ------------------------------------------------------------------------


def test_nothing_is_limited_unless_somebody_says_so() -> None:
    made = admissions()
    for _ in range(1000):
        made.admit(MEMBER, "m", Tokens(10**9, 10**9))
    assert made.standings(MEMBER, "m") == []


def test_each_key_has_its_own() -> None:
    made = admissions(Allowance(requests_per_minute=2))
    for key in (MEMBER, OTHER, THIRD, KEY):
        made.admit(key, "m", FREE)
        made.admit(key, "m", FREE)
        assert refused(made, key).limit == "key_requests"


def test_the_keys_of_an_account_share_one_and_the_operators_do_not() -> None:
    made = admissions(account=Allowance(requests_per_minute=2))
    made.admit(MEMBER, "m", FREE)
    made.admit(OTHER, "m", FREE)
    assert refused(made, OTHER).limit == "account_requests"
    made.admit(THIRD, "m", FREE)
    for _ in range(10):
        made.admit(KEY, "m", FREE)
    assert KEY.account_id not in made._accounts


@pytest.mark.parametrize(
    ("asked", "counts"),
    [("m", True), ("p/m", True), ("fast", True), ("q/m", False), ("big", False), ("slow", False)],
)
def test_a_model_is_limited_by_whatever_name_it_is_asked_for(asked: str, *, counts: bool) -> None:
    made = admissions(**{"p/m": Allowance(requests_per_minute=1)})
    made.admit(MEMBER, "m", FREE)
    if counts:
        error = refused(made, THIRD, asked)
        assert error.limit == "model_requests"
        assert error.details["limit"] == {
            "scope": "model",
            "name": "requests_per_minute",
            "value": 1,
        }
    else:
        made.admit(THIRD, asked, FREE)


def test_an_alias_can_have_a_limit_that_its_models_do_not_have() -> None:
    made = admissions(fast=Allowance(requests_per_minute=1))
    made.admit(MEMBER, "fast", FREE)
    assert refused(made, model="fast").limit == "model_requests"
    made.admit(MEMBER, "m", FREE)


def test_an_unknown_model_has_none_of_its_own() -> None:
    made = admissions(Allowance(requests_per_minute=1), fast=Allowance(streams_max=1))
    made.admit(MEMBER, "nope", FREE)
    assert refused(made, model="nope").limit == "key_requests"


def test_a_key_may_have_more_or_less_than_others() -> None:
    made = admissions(Allowance(requests_per_minute=2))
    rich = Key("r", "r", limits=KeyLimits(GivenLimits(5)))
    poor = Key("p", "p", limits=KeyLimits(owner=GivenLimits(1)))
    for key, count in ((rich, 5), (poor, 1)):
        for _ in range(count):
            made.admit(key, "m", FREE)
        assert str(count) in refused(made, key).message
    free = Key("f", "f", limits=KeyLimits(GivenLimits(0)))
    for _ in range(100):
        made.admit(free, "m", FREE)
    assert made.allowance(free) == Allowance()


def test_what_a_key_may_have_is_computed_when_it_is_read_anew_and_not_for_each_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    computed = []
    within = KeyLimits.within

    def counted(self: KeyLimits, usual: Allowance) -> Allowance:
        computed.append(self)
        return within(self, usual)

    monkeypatch.setattr(KeyLimits, "within", counted)
    made = admissions(Allowance(requests_per_minute=100))
    first = KeyLimits(GivenLimits(50), GivenLimits(20))
    for _ in range(3):
        made.admit(Key("k", "k", limits=first), "m", FREE)
        made.standings(Key("k", "k", limits=first), "m")
    assert computed == [first]
    # Its owner lifts his: what the operator has set holds from the next request on.
    second = KeyLimits(GivenLimits(50))
    made.admit(Key("k", "k", limits=second), "m", FREE)
    assert computed == [first, second]
    assert made.standings(Key("k", "k", limits=second), "m")[0].limit == 50


# -- what a refusal says -----------------------------------------------------------------------


def test_it_says_which_limit_it_was_and_when_to_come_back() -> None:
    made = admissions(Allowance(requests_per_minute=40))
    for _ in range(40):
        made.admit(MEMBER, "m", FREE)
    error = refused(made)
    assert isinstance(error, RateLimited)
    assert error.retry_after_ms == 1500
    assert error.message == "This key may use 40 requests a minute. Try again in 1.5 seconds."
    assert error.details == {
        "limit": {"scope": "key", "name": "requests_per_minute", "value": 40},
        "rate_limits": [{"name": "requests", "limit": 40, "remaining": 0, "reset_ms": 60_000}],
    }


def test_of_several_it_names_the_one_that_takes_longest() -> None:
    made = admissions(
        Allowance(requests_per_minute=60, tokens_per_minute=600, streams_max=1),
        Allowance(requests_per_minute=30),
    )
    for _ in range(30):
        made.admit(MEMBER, "m", Tokens(10, 10)).close(20)
    assert refused(made).limit == "account_requests"
    error = refused(made, tokens=Tokens(30, 0))
    assert (error.limit, error.retry_after_ms) == ("key_tokens", 3000)
    made._keys["a1"].running = 1
    assert refused(made, tokens=Tokens(30, 0)).limit == "key_tokens"
    assert refused(made).retry_after_ms == 2000


def test_streams_are_counted_while_they_run() -> None:
    made = admissions(Allowance(streams_max=2))
    first, _ = made.admit(MEMBER, "m", FREE), made.admit(MEMBER, "m", FREE)
    error = refused(made)
    assert isinstance(error, TooManyStreams)
    assert error.details["limit"] == {"scope": "key", "name": "streams_max", "value": 2}
    assert (error.retry_after_ms, error.retryable, error.http_status) == (1000, True, 429)
    first.close(0)
    first.close(0)
    made.admit(MEMBER, "m", FREE)
    refused(made)


def test_what_can_never_fit_is_not_told_to_wait() -> None:
    made = admissions(Allowance(tokens_per_minute=100))
    error = refused(made, tokens=Tokens(60, 41))
    assert isinstance(error, TokensOverLimit)
    assert (error.http_status, error.retryable, error.retry_after_ms) == (400, False, None)
    assert "101" in error.message
    assert error.details["limit"] == {"scope": "key", "name": "tokens_per_minute", "value": 100}
    made.admit(MEMBER, "m", Tokens(60, 40))


def test_an_answer_without_a_limit_of_its_own_fits_if_its_prompt_does() -> None:
    made = admissions(Allowance(tokens_per_minute=100))
    assert isinstance(refused(made, tokens=Tokens(101, None)), TokensOverLimit)
    made.admit(MEMBER, "m", Tokens(90, None)).close(95)
    assert made.standings(MEMBER, "m")[0].remaining == 5
    big = admissions(Allowance(tokens_per_minute=10_000))
    big.admit(MEMBER, "m", Tokens(90, None))
    assert big.standings(MEMBER, "m")[0].remaining == 10_000 - 90 - module.OUTPUT_TOKENS_USUAL


def test_the_tightest_limit_is_shown() -> None:
    made = admissions(
        Allowance(requests_per_minute=60, tokens_per_minute=1000),
        Allowance(requests_per_minute=10, tokens_per_minute=6000),
    )
    made.admit(MEMBER, "m", Tokens(400, 200))
    assert made.standings(MEMBER, "m") == [
        Standing("requests", 10, 9, 6000),
        Standing("tokens", 1000, 400, 36_000),
    ]
    made.admit(OTHER, "m", Tokens(400, 200))
    assert made.standings(OTHER, "m")[0] == Standing("requests", 10, 8, 12_000)


# -- what is given back ------------------------------------------------------------------------


@pytest.mark.parametrize(("used", "remaining"), [(0, 1000), (100, 900), (600, 400), (900, 100)])
def test_tokens_are_reconciled_with_what_was_used(used: int, remaining: int) -> None:
    made = admissions(Allowance(tokens_per_minute=1000), Allowance(tokens_per_minute=1000))
    held = made.admit(MEMBER, "m", Tokens(100, 500))
    assert made.standings(MEMBER, "m")[0].remaining == 400
    held.close(used)
    for found in everybody(made):
        assert found.tokens.arrival_ns == 10**12 + used * 60_000_000
    assert made.standings(MEMBER, "m")[0].remaining == remaining


def test_what_was_used_beyond_it_is_paid_for_later() -> None:
    made = admissions(Allowance(tokens_per_minute=1000))
    made.admit(MEMBER, "m", Tokens(100, None)).close(3000)
    error = refused(made, tokens=Tokens(1, 0))
    assert error.retry_after_ms == 2000 * 60 + 60
    assert made.standings(MEMBER, "m") == [Standing("tokens", 1000, 0, 180_000)]


def test_a_limit_that_is_changed_meanwhile_leaves_no_trace() -> None:
    made = admissions()
    before = Key("k", "k", limits=KeyLimits(GivenLimits(None, 600, 1)))
    after = Key("k", "k", limits=KeyLimits(GivenLimits(None, 6000, 1)))
    held = made.admit(before, "m", Tokens(100, 500))
    refused(made, after)
    held.close(0)
    assert made.standings(after, "m") == [Standing("tokens", 6000, 6000, 0)]
    made.admit(after, "m", FREE).close(0)
    # Without a limit it is counted all the same: one may come while it runs.
    free = Key("k", "k")
    running = made.admit(free, "m", FREE)
    refused(made, after)
    running.close(0)
    made.admit(after, "m", FREE)


def test_those_that_were_not_seen_for_longest_are_forgotten_unless_they_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "SUBJECTS_MAX", 3)
    made = admissions(Allowance(requests_per_minute=1, streams_max=1))
    running = made.admit(Key("0", "0"), "m", FREE)
    for number in range(1, 10):
        made.admit(Key(str(number), "n"), "m", FREE).close(0)
    assert len(made._keys) == 3
    refused(made, Key("0", "0"))
    refused(made, Key("9", "9"))
    made.admit(Key("1", "1"), "m", FREE)
    running.close(0)
    assert made._keys["0"].running == 0


def test_where_all_are_running_nobody_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SUBJECTS_MAX", 3)
    made = admissions(Allowance(streams_max=1))
    held = [made.admit(Key(str(number), "n"), "m", FREE) for number in range(20)]
    assert len(made._keys) == 20
    for each in held:
        each.close(0)
    assert {each.running for each in everybody(made)} == {0}


# -- properties --------------------------------------------------------------------------------

allowances = st.builds(
    Allowance,
    st.sampled_from([0, 0, 1, 3, 7, 60]),
    st.sampled_from([0, 0, 50, 1000]),
    st.sampled_from([0, 0, 1, 4]),
)
asks = st.tuples(
    st.sampled_from([0.0, 0.0, 0.001, 0.5, 8.0, 70.0]),
    st.sampled_from([MEMBER, OTHER, THIRD, KEY]),
    st.sampled_from(["m", "fast", "slow", "big", "nope"]),
    st.integers(0, 30),
    st.sampled_from([None, 0, 5, 20]),
    # Which of the running ones ends before this, and how much of what was reserved it used.
    st.integers(0, 20),
    st.integers(0, 8),
)


class Run:
    """Requests in an order, and what was let through."""

    def __init__(self, made: Admissions) -> None:
        self.made = made
        self.let_through: dict[int, list[tuple[int, int]]] = {}
        self.running: list[tuple[Admission, list[tuple[int, int]], int]] = []

    def now_ns(self) -> int:
        return module._now_ns(self.made._timers)

    def ask(self, key: Key, model: str, tokens: Tokens) -> None:
        held = self.made._held(key, model)
        before = state(self.made)
        try:
            got = self.made.admit(key, model, tokens)
        except (LimitError, TokensOverLimit) as error:
            assert state(self.made) == before
            self.check_wait(error, key, model, tokens)
            return
        marks = []
        for number, each in enumerate(held):
            known = self.let_through.setdefault(id(each.subject), [])
            cost = module._cost(tokens, each.allowance.tokens_per_minute or 10**9)
            marks.append((id(each.subject), len(known)))
            known.append((self.now_ns(), cost))
            assert not each.allowance.streams_max or (
                each.subject.running <= each.allowance.streams_max
            ), number
        self.running.append((got, marks, tokens.prompt))

    def check_wait(self, error: Exception, key: Key, model: str, tokens: Tokens) -> None:
        """See that asking exactly then succeeds if nobody came, and a millisecond sooner not."""
        if not isinstance(error, RateLimited) or any(
            each.allowance.streams_max for each in self.made._held(key, model)
        ):
            return
        assert error.retry_after_ms is not None
        for change_ms, succeeds in ((-1, False), (0, True)):
            later = Admissions(self.made.rates, CATALOG, VirtualTimers())
            for name in ("_keys", "_accounts", "_models"):
                setattr(later, name, copy.deepcopy(getattr(self.made, name)))
            later._timers.now_s = (
                self.made._timers.time() + (error.retry_after_ms + change_ms) / 1000
            )
            try:
                later.admit(key, model, tokens)
            except RateLimited:
                assert not succeeds
            else:
                assert succeeds

    def end(self, which: int, eighths: int) -> None:
        if not self.running:
            return
        got, marks, prompt = self.running.pop(which % len(self.running))
        reserved = min(
            (self.let_through[subject][place][1] for subject, place in marks), default=prompt
        )
        used = reserved * eighths // 8
        got.close(used)
        for subject, place in marks:
            at_ns, _ = self.let_through[subject][place]
            self.let_through[subject][place] = (at_ns, used)

    def check_windows(self, held: list[Any]) -> None:
        for each in held:
            known = self.let_through.get(id(each.subject), [])
            for first, (start_ns, _) in enumerate(known):
                together = 0
                for count, (at_ns, used) in enumerate(known[first:], 1):
                    together += used
                    window_ns = at_ns - start_ns
                    self.check_window(each.allowance, window_ns, count, together)

    def check_window(self, allowance: Allowance, window_ns: int, count: int, tokens: int) -> None:
        for limit, found in (
            (allowance.requests_per_minute, count),
            (allowance.tokens_per_minute, tokens),
        ):
            if limit:
                assert found <= limit + window_ns * limit // 60_000_000_000


@settings(max_examples=150)
@given(allowances, allowances, allowances, st.lists(asks, max_size=50))
def test_any_window_under_any_interleaving(
    key: Allowance, account: Allowance, model: Allowance, asked: list[Any]
) -> None:
    made = admissions(key, account, m=model, fast=model)
    run = Run(made)
    for wait_s, who, name, prompt, output, which, eighths in asked:
        advance(made, wait_s)
        run.ask(who, name, Tokens(prompt, output))
        if which < 10:
            run.end(which, eighths)
    for who in (MEMBER, OTHER, THIRD, KEY):
        for name in ("m", "fast"):
            run.check_windows(made._held(who, name))
    while run.running:
        run.end(0, 8)
    assert {each.running for each in everybody(made)} <= {0}


# -- in the engine -----------------------------------------------------------------------------

TERMS = read_terms({"rates": {"input": "1", "output": "1"}})
EVERY_LIMIT = Limits(
    1 << 20,
    rates=Rates(
        Allowance(100_000, 100_000_000, 50),
        Allowance(100_000, 100_000_000, 100),
        {"m": Allowance(100_000, 100_000_000, 150)},
    ),
)


class Ledger:
    """Books that refuse, fail or take their time, as the dice say."""

    def __init__(self, dice: random.Random) -> None:
        self.dice = dice
        self.waiting: list[Any] = []

    def __call__(self, work: Any, committed: Any) -> None:
        self.waiting.append((work, committed))

    def settle(self) -> None:
        while self.waiting:
            work, committed = self.waiting.pop(0)
            committed([self.result(each) for each in work])

    def result(self, work: Any) -> Any:
        if not isinstance(work, Hold):
            return Charged(0, 0)
        if self.dice.random() < 0.2:
            return Refusal("insufficient_credit", 5, 1)
        return Held(work.wanted_nanos, 0)


class FaultyJournal(MemoryJournal):
    def __init__(self) -> None:
        super().__init__(1 << 24)
        self.is_full = False

    def open(self, *args: Any) -> None:
        if self.is_full:
            raise JournalUnavailable("no space left")
        super().open(*args)


@pytest.mark.parametrize("seed", range(10))
def test_ten_thousand_lifecycles_leave_nothing_behind(seed: int) -> None:
    """KNOWN-FAILURES C15: whatever becomes of a request, its slot and its tokens come back."""
    dice = random.Random(seed)  # noqa: S311 -- dice, not secrets
    providers = [ScriptedProvider("p"), ScriptedProvider("q", drains=True)]
    ledger, journal = Ledger(dice), FaultyJournal()
    bench = Bench(
        providers,
        limits=EVERY_LIMIT,
        journal=journal,
        ledger=ledger,
        prices=PriceBook([Price("m", 0, TERMS)]),
    )
    made = bench.dispatcher.admissions
    keys = [KEY, MEMBER, OTHER, THIRD]
    refusals = 0
    for number in range(1000):
        journal.is_full = dice.random() < 0.05
        refuses = dice.random() < 0.05
        providers[0].refusal = providers[1].refusal = (
            UnsupportedParameter("no") if refuses else None
        )
        providers[0].failure = RuntimeError("bug") if dice.random() < 0.05 else None
        options = Options(
            on_disconnect_cancel=dice.random() < 0.5,
            orphan_timeout_s=5.0,
            idempotency_key=dice.choice([None, f"key-{number // 3}"]),
        )
        fields = dice.choice([{}, {"max_tokens": 50}, {"max_tokens": 50, "n": 2}])
        try:
            stream = bench.create(options, dice.choice(keys), **fields)
        except (TokenferryError, AssertionError):
            refusals += 1
        else:
            _, subscription = bench.follow(stream)
            live(bench, ledger, dice, stream.id, subscription)
        assert all(each.running >= 0 for each in everybody(made))
    # Whatever still goes on ends now.
    ledger.settle()
    bench.timers.advance(10)
    bench.dispatcher.abort_all(ProviderCutOff("the end"))
    for provider in providers:
        for call in provider.calls:
            call.sink.end()
    ledger.settle()
    bench.timers.advance(10)
    assert refusals > 20
    assert bench.dispatcher.book.live_count == 0
    assert [each.running for each in everybody(made)] == [0] * len(everybody(made))
    bench.timers.advance(MINUTE_S)
    for key in keys:
        assert [each.remaining for each in made.standings(key, "m")] == [100_000, 100_000_000]


def speak(call: ScriptedCall, dice: random.Random) -> None:
    """Have a provider say something."""
    match dice.randrange(6):
        case 0:
            call.sink.text("안녕")
        case 1:
            call.sink.fail(ProviderUnreachable("gone"))
        case 2:
            call.sink.text("x")
            call.sink.usage(Usage(dice.randrange(100), dice.randrange(5000)))
            call.sink.finish(0, "stop")
            call.sink.end()
        case 3:
            call.sink.finish(0, "stop")
        case _:
            pass


def live(bench: Bench, ledger: Ledger, dice: random.Random, name: str, subscription: Any) -> None:
    """Let something happen to a stream, and to others with it."""
    if dice.random() < 0.8:
        ledger.settle()
    bench.timers.tick()
    calls = [call for provider in bench.providers for call in provider.calls[-3:]]
    for call in dice.sample(calls, min(len(calls), 2)):
        speak(call, dice)
    entry = bench.dispatcher.book._entries.get(name)
    match dice.randrange(5):
        case 0:
            bench.dispatcher.book.leave(subscription, lost=True)
        case 1 if entry is not None and entry.generation is not None:
            entry.generation.cancel()
        case 2:
            bench.dispatcher.abort_owned(dice.choice(["k", "a1"]), StorageUnavailable("no"))
        case _:
            pass
    bench.timers.advance(dice.choice([0.0, 0.1, 3.0]))


def one_slot() -> Bench:
    return Bench(limits=Limits(1 << 20, rates=Rates(Allowance(streams_max=1))))


def test_a_request_that_nobody_can_serve_holds_nothing() -> None:
    bench = one_slot()
    bench.provider.refusal = UnsupportedParameter("no")
    for _ in range(3):
        with pytest.raises(RequestError):
            bench.create()
    bench.provider.refusal = None
    bench.create()
    with pytest.raises(TooManyStreams):
        bench.create()


def test_a_repeated_request_is_not_counted_again() -> None:
    rates = Rates(Allowance(requests_per_minute=2, streams_max=2))
    bench = Bench(limits=Limits(1 << 20, rates=rates))
    options = Options(on_disconnect_cancel=False, orphan_timeout_s=60.0, idempotency_key="i")
    first = bench.create(options)
    for _ in range(10):
        assert bench.create(options) is first
        bench.follow(first, resumes=True)
    assert bench.dispatcher.admissions.standings(KEY, "m")[0].remaining == 1
    bench.create()


def test_a_client_that_does_not_read_holds_its_slot_no_longer_than_the_answer_takes() -> None:
    bench = one_slot()
    stream = bench.create()
    bench.follow(stream, RecordingOutlet(room=1))
    bench.sink.text("a")
    bench.timers.tick()
    bench.sink.text("b")
    with pytest.raises(TooManyStreams):
        bench.create()
    bench.sink.finish(0, "stop")
    bench.sink.end()
    bench.create()


def test_tokens_are_those_of_the_request_and_then_of_the_answer() -> None:
    rates = Rates(Allowance(tokens_per_minute=1000))
    bench = Bench(limits=Limits(1 << 20, rates=rates))
    made = bench.dispatcher.admissions

    def remaining() -> int:
        return made.standings(KEY, "m")[0].remaining

    bench.create(max_tokens=100, n=3)
    prompt = 1000 - 300 - remaining()
    assert prompt > 0
    bench.sink.delta(0, Delta(content="x"))
    bench.sink.usage(Usage(7, 33))
    for index in range(3):
        bench.sink.finish(index, "stop")
    bench.sink.end()
    assert remaining() == 1000 - 40
    # A failure before anything came used nothing.
    bench.create(max_tokens=100)
    bench.sink.fail(ProviderUnreachable("gone"))
    assert remaining() == 1000 - 40
    with pytest.raises(TokensOverLimit):
        bench.create(max_tokens=1000)


def test_the_engine_asks_with_what_a_request_may_use() -> None:
    assert _tokens(request(max_tokens=5, n=2)).output == 10
    assert _tokens(request()).output is None
    assert _tokens(request()).prompt > 0


def test_all_guests_together_have_a_limit_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever pretends to be any number of guests; nobody else has less for it."""
    monkeypatch.setattr(module, "GUESTS_TOGETHER", Allowance(3, 1_000, 2))
    made = admissions()
    guests = [Key(f"guest_{number}", "guest", is_guest=True) for number in range(9)]
    first = made.admit(guests[0], "m", FREE)
    made.admit(guests[1], "m", FREE)
    error = refused(made, guests[2])
    assert error.details["limit"] == {"scope": "guests", "name": "streams_max", "value": 2}
    assert error.message.startswith("All guests together may")
    first.close(0)
    made.admit(guests[3], "m", FREE).close(0)
    error = refused(made, guests[4])
    assert error.details["limit"] == {
        "scope": "guests",
        "name": "requests_per_minute",
        "value": 3,
    }
    for key in (KEY, MEMBER):
        made.admit(key, "m", FREE)
