from engine.virtual import VirtualTimers
from stores.test_sqlite_ledger import charge, hold
from tokenferry.domain.ledger import Refusal
from tokenferry.engine.keys import StoreUnusable
from tokenferry.engine.ledger import Charged, Held, Unbookable
from tokenferry.engine.settlement import BATCH_MAX, CHARGE_DELAY_S, RETRY_S, Settlement


class Books:
    """Takes commits, and answers when it is told to."""

    def __init__(self):
        self.batches = []
        self.answers = []

    def __call__(self, work, committed):
        self.batches.append(work)
        self.answers.append(committed)

    def answer(self, *results):
        is_error = bool(results) and isinstance(results[0], StoreUnusable)
        self.answers.pop(0)(results[0] if is_error else results)


def bench():
    timers, books, changes = VirtualTimers(), Books(), []
    return timers, books, changes, Settlement(books, timers, lambda *change: changes.append(change))


def test_what_a_tick_brings_is_one_commit_and_what_comes_meanwhile_the_next():
    timers, books, _, settlement = bench()
    answers = []
    settlement.reserve(hold("s1", 1), answers.append)
    settlement.reserve(hold("s2", 1), answers.append)
    timers.tick()
    settlement.charge(charge("s0", 3))
    settlement.reserve(hold("s3", 1), answers.append)
    timers.tick()
    assert [len(batch) for batch in books.batches] == [2]
    assert not settlement.is_idle
    books.answer(Held(1, 10), Refusal("insufficient_credit", 1, 0))
    assert answers == [Held(1, 10), Refusal("insufficient_credit", 1, 0)]
    assert [len(batch) for batch in books.batches] == [2, 2]
    books.answer(Charged(7, 0), Held(1, 7))
    assert settlement.is_idle


def test_charges_wait_for_others_and_go_with_a_hold():
    timers, books, _, settlement = bench()
    for number in range(3):
        settlement.charge(charge(f"s{number}", 1))
        timers.tick()
    assert books.batches == []
    timers.advance(CHARGE_DELAY_S)
    assert [len(batch) for batch in books.batches] == [3]
    settlement.charge(charge("s3", 1))
    books.answer(*[Charged(7, 0)] * 3)
    assert [len(batch) for batch in books.batches] == [3]
    settlement.reserve(hold("s4", 1), lambda _: None)
    timers.tick()
    assert [len(batch) for batch in books.batches] == [3, 2]
    books.answer(Charged(7, 0), Held(1, 7))
    timers.advance(CHARGE_DELAY_S)
    assert settlement.is_idle


def test_charges_that_came_during_a_commit_follow():
    timers, books, _, settlement = bench()
    settlement.charge(charge("s1", 1))
    timers.advance(CHARGE_DELAY_S)
    settlement.charge(charge("s2", 1))
    timers.advance(CHARGE_DELAY_S)
    books.answer(Charged(7, 0))
    timers.advance(CHARGE_DELAY_S)
    assert [len(batch) for batch in books.batches] == [1, 1]
    books.answer(Charged(7, 0))
    assert settlement.is_idle


def test_a_balance_counts_what_is_not_booked_yet():
    timers, books, changes, settlement = bench()
    assert settlement.balance("a") is None
    settlement.reserve(hold("s1", 5), lambda _: None)
    timers.tick()
    books.answer(Held(5, 10))
    settlement.charge(charge("s1", 3))
    settlement.charge(charge("s2", 0))
    assert settlement.balance("a") == 7
    timers.advance(CHARGE_DELAY_S)
    books.answer(Charged(7, 0), Charged(7, 0))
    assert settlement.balance("a") == 7
    assert changes == [("a", 10, 7)]


def test_a_hold_that_cannot_be_committed_is_refused_and_a_charge_tried_again():
    timers, books, _, settlement = bench()
    answers = []
    settlement.reserve(hold("s1", 1), answers.append)
    settlement.charge(charge("s0", 3))
    timers.tick()
    error = StoreUnusable("full")
    books.answer(error)
    assert answers == [error]
    assert not settlement.is_idle
    timers.advance(RETRY_S)
    assert [work.stream_id for work in books.batches[-1]] == ["s0"]
    books.answer(Charged(7, 0))
    assert settlement.is_idle


def test_while_it_fails_nobody_waits_for_a_hold():
    timers, books, _, settlement = bench()
    answers = []
    settlement.charge(charge("s0", 1))
    timers.advance(CHARGE_DELAY_S)
    settlement.reserve(hold("s1", 1), answers.append)
    error = StoreUnusable("full")
    books.answer(error)
    assert answers == [error]
    settlement.reserve(hold("s2", 1), answers.append)
    timers.tick()
    assert answers == [error, error]
    # As soon as something was booked, holds are, too.
    timers.advance(RETRY_S)
    books.answer(Charged(0, 0))
    settlement.reserve(hold("s3", 1), answers.append)
    timers.tick()
    books.answer(Held(1, 1))
    assert answers[2:] == [Held(1, 1)]


def test_after_holds_alone_failed_it_is_tried_without_any_whether_the_books_take_something(caplog):
    timers, books, _, settlement = bench()
    answers = []
    assert not settlement.is_refusing
    settlement.reserve(hold("s1", 1), answers.append)
    timers.tick()
    books.answer(StoreUnusable("full"))
    assert settlement.is_refusing
    for _ in range(2):
        timers.advance(RETRY_S)
        assert books.batches[-1] == []
        books.answer(StoreUnusable("full"))
        assert settlement.is_refusing
    timers.advance(RETRY_S)
    books.answer()
    assert not settlement.is_refusing
    settlement.reserve(hold("s2", 1), answers.append)
    timers.tick()
    books.answer(Held(1, 1))
    assert answers[1:] == [Held(1, 1)]
    assert settlement.is_idle
    assert [record.getMessage() for record in caplog.records] == [
        "the ledger takes nothing: full",
        "the ledger takes what it is given again (after 3 s, requests refused: 1)",
    ]


def test_books_that_refuse_nobody_do_not_count_as_refusing():
    timers, books, _, settlement = bench()
    settlement.charge(charge("s0", 1))
    timers.advance(CHARGE_DELAY_S)
    books.answer(StoreUnusable("full"))
    assert not settlement.is_refusing
    settlement.reserve(hold("s1", 1), lambda _: None)
    assert settlement.is_refusing


def test_a_stream_that_fails_on_its_hold_does_not_stop_the_others(caplog):
    timers, books, _, settlement = bench()
    answers = []

    def fail(_):
        raise RuntimeError("a defect")

    settlement.reserve(hold("s1", 1), fail)
    settlement.reserve(hold("s2", 1), answers.append)
    timers.tick()
    books.answer(Held(1, 2), Held(1, 2))
    assert answers == [Held(1, 2)]
    assert "what follows a reservation failed" in caplog.text


def test_while_it_fails_one_is_tried_at_a_time_so_that_none_stops_the_others():
    timers, books, _, settlement = bench()
    for number in range(3):
        settlement.charge(charge(f"s{number}", 1))
    timers.advance(CHARGE_DELAY_S)
    books.answer(StoreUnusable("no"))
    timers.advance(RETRY_S)
    assert [work.stream_id for work in books.batches[-1]] == ["s0"]
    books.answer(StoreUnusable("no"))
    timers.advance(RETRY_S)
    assert [work.stream_id for work in books.batches[-1]] == ["s1"]
    books.answer(Charged(0, 0))
    timers.advance(CHARGE_DELAY_S)
    assert [work.stream_id for work in books.batches[-1]] == ["s2", "s0"]


def test_a_charge_that_no_book_can_hold_is_set_aside_and_stops_nobody(caplog):
    timers, books, _, settlement = bench()
    answers = []
    settlement.charge(charge("bad", 5))
    settlement.charge(charge("good", 1))
    timers.advance(CHARGE_DELAY_S)
    settlement.reserve(hold("s1", 1), answers.append)
    # They are tried one by one, at once, and in their order.
    books.answer(Unbookable("too much"))
    assert [work.stream_id for work in books.batches[-1]] == ["bad"]
    books.answer(Unbookable("too much"))
    assert "the charge of bad cannot be booked" in caplog.text
    assert [work.stream_id for work in books.batches[-1]] == ["good"]
    books.answer(Charged(9, 0))
    assert [work.stream_id for work in books.batches[-1]] == ["s1"]
    books.answer(Held(1, 9))
    assert answers == [Held(1, 9)]
    # Nothing of it is left but the line in the log.
    assert settlement.balance("a") == 9
    assert settlement.is_idle


def test_a_hold_that_no_book_can_hold_stops_nobody_either():
    timers, books, _, settlement = bench()
    answers = []
    settlement.reserve(hold("bad", 1), answers.append)
    timers.tick()
    books.answer(Unbookable("no"))
    settlement.reserve(hold("s1", 1), answers.append)
    timers.tick()
    books.answer(Held(1, 9))
    assert [type(answer) for answer in answers] == [Unbookable, Held]


def test_a_batch_has_its_limit():
    timers, books, _, settlement = bench()
    for number in range(BATCH_MAX + 1):
        settlement.charge(charge(f"s{number}", 0))
    timers.advance(CHARGE_DELAY_S)
    books.answer(*[Charged(0, 0)] * BATCH_MAX)
    timers.advance(CHARGE_DELAY_S)
    assert [len(batch) for batch in books.batches] == [BATCH_MAX, 1]
