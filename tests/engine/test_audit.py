"""One check of the books at a time, in a thread, with an end."""

import asyncio
import threading
from collections.abc import Callable, Iterator

import pytest

from tokenferry.engine import audit as audit_module
from tokenferry.engine.audit import Audit, AuditStopped, BookCheck, LedgerCheck
from tokenferry.engine.keys import StoreUnusable

RIGHT = Audit([], 0, 3, 2, 1, [BookCheck("revenue", 1, 5, 5, 0)])


class Books:
    """Books whose check takes until it is let go."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.may_end = threading.Event()
        self.threads: list[int] = []
        self.result: Audit | Exception = RIGHT
        self.now_s = 50.0
        self.takes_s = 1.0

    def verify(self, is_over: Callable[[], bool]) -> Audit:
        self.threads.append(threading.get_ident())
        self.begun.set()
        self.now_s += self.takes_s
        while not self.may_end.wait(0.001):
            if is_over():
                raise AuditStopped
        if isinstance(self.result, Exception):
            raise self.result
        return self.result


@pytest.fixture
def books() -> Books:
    return Books()


@pytest.fixture
def check(books: Books) -> Iterator[LedgerCheck]:
    check = LedgerCheck(books.verify, lambda: 7_000, lambda: books.now_s)
    yield check
    check.close()


async def ended(check: LedgerCheck) -> None:
    async with asyncio.timeout(10):
        while check.running_since_ms is not None:
            await asyncio.sleep(0)


async def test_it_runs_elsewhere_and_once_at_a_time(check: LedgerCheck, books: Books) -> None:
    assert check.last is None
    assert check.start("chief")
    assert check.running_since_ms == 7_000
    assert not check.start("somebody else")
    books.may_end.set()
    await ended(check)
    assert check.last == (RIGHT, "", 7_000, 1_000, "chief")
    assert check.start("somebody else")
    await ended(check)
    assert len(books.threads) == 2
    assert threading.get_ident() not in books.threads


@pytest.mark.parametrize(
    ("failure", "told"),
    [
        (StoreUnusable("The disk is gone."), "The disk is gone."),
        (RuntimeError("a defect"), "server's log"),
    ],
)
async def test_one_that_fails_says_so_and_the_next_may_begin(
    check: LedgerCheck, books: Books, failure: Exception, told: str
) -> None:
    books.result = failure
    books.may_end.set()
    check.start("chief")
    await ended(check)
    assert check.last is not None
    assert check.last.audit is None
    assert told in check.last.fault
    assert check.start("chief")
    await ended(check)


async def test_it_is_stopped_at_its_limit(
    check: LedgerCheck, books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_module, "RUN_MAX_S", 3.0)
    books.takes_s = 3.5
    check.start("chief")
    await ended(check)
    assert check.last is not None
    assert check.last.audit is None
    assert "stopped after 3 seconds" in check.last.fault


async def test_the_server_s_end_stops_it(books: Books) -> None:
    check = LedgerCheck(books.verify, lambda: 0, lambda: 0.0)
    check.start("chief")
    await asyncio.to_thread(books.begun.wait, 10)
    await asyncio.to_thread(check.close)
    await ended(check)
    assert check.last is not None
    assert check.last.audit is None


async def test_differences_are_an_error_in_the_log(
    check: LedgerCheck, books: Books, caplog: pytest.LogCaptureFixture
) -> None:
    books.result = RIGHT._replace(found=2)
    books.may_end.set()
    check.start("chief")
    await ended(check)
    assert "differences in the books: 2" in caplog.text
