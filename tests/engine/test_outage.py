import pytest

from tokenferry.engine.outage import SAY_AGAIN_S, TRY_S, JournalWatch, Outage
from tokenferry.engine.ports import JournalUnavailable
from tokenferry.stores.memory import MemoryJournal


class Clock:
    """A clock that stands still until it is set."""

    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


class Disk(MemoryJournal):
    """A journal that is tried, and fails when it is full."""

    is_full = False
    tries = 0

    def try_commit(self) -> None:
        self.tries += 1
        if self.is_full:
            raise JournalUnavailable("full")


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [f"{each.levelname} {each.getMessage()}" for each in caplog.records]


def test_the_log_has_its_beginning_its_end_and_a_line_a_minute(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = Clock()
    outage = Outage("the store", clock)
    outage.ended()
    for second in range(2 * int(SAY_AGAIN_S)):
        clock.now_s = float(second)
        outage.failed("full", refused=second % 2)
    clock.now_s += 1
    outage.ended()
    outage.ended()
    assert said(caplog) == [
        "ERROR the store takes nothing: full",
        "ERROR the store still takes nothing (after 60 s, requests refused: 30): full",
        "WARNING the store takes what it is given again (after 120 s, requests refused: 60)",
    ]
    assert (outage.why, outage.refused) == (None, 0)
    caplog.clear()
    outage.failed("gone")
    clock.now_s += 3
    outage.ended()
    assert said(caplog) == [
        "ERROR the store takes nothing: gone",
        "WARNING the store takes what it is given again (after 3 s)",
    ]


def test_a_journal_is_tried_when_it_is_asked_about_once_a_second(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock, disk = Clock(), Disk(1 << 20)
    watch = JournalWatch(disk, clock)
    assert not watch.is_failing
    disk.is_full = True
    assert not watch.is_failing
    assert disk.tries == 1
    clock.now_s = TRY_S
    assert watch.is_failing
    # Nobody was refused: the load balancer has gone before.
    assert said(caplog) == ["ERROR the journal takes nothing: full"]
    disk.is_full = False
    assert watch.is_failing
    clock.now_s += TRY_S
    assert not watch.is_failing
    assert disk.tries == 3


def test_what_requests_found_out_holds_until_a_trial_says_otherwise() -> None:
    clock, disk = Clock(), Disk(1 << 20)
    watch = JournalWatch(disk, clock)
    assert not watch.is_failing
    watch.failed(JournalUnavailable("full"), refused=1)
    assert watch.is_failing
    clock.now_s = TRY_S
    assert not watch.is_failing


async def test_the_end_is_found_though_nobody_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, disk = Clock(), Disk(1 << 20)
    watch = JournalWatch(disk, clock)
    watch.failed(JournalUnavailable("full"))
    disk.is_full = True
    rounds = 0

    async def sleep(delay_s: float) -> None:
        nonlocal rounds
        rounds += 1
        disk.is_full = rounds < 3
        if rounds == 5:
            raise InterruptedError

    monkeypatch.setattr("asyncio.sleep", sleep)
    with pytest.raises(InterruptedError):
        await watch.run()
    # Tried until it took something, and not after that.
    assert disk.tries == 3
    assert not watch.is_failing
