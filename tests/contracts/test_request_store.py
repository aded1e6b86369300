"""What every request log does, whatever it is made of."""

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.test_request_record import HOUR_MS, charge, record
from engine.virtual import request
from tokenferry.domain import journal
from tokenferry.domain.request_page import Wanted, position
from tokenferry.domain.request_record import Content
from tokenferry.domain.service_status import DayCount, FirstTokens, HourCount
from tokenferry.engine.request_log import Draft, Periods, RequestStore
from tokenferry.protocol.frames import Head, Terminal, encode
from tokenferry.stores.memory_requests import MemoryRequests
from tokenferry.stores.sqlite_requests import SqliteRequests

STORES: dict[str, Callable[[Path], RequestStore]] = {
    "memory": lambda _: MemoryRequests(),
    "sqlite": lambda directory: SqliteRequests(directory / "requests.db"),
}
NUMBERS = count(1)
PERIODS = Periods(100, 50, 24 * HOUR_MS)


def answer(text: str) -> list[bytes]:
    head = Head("m", 1, ["reasoning_content"], None, None, None)
    return [
        journal.pack(journal.HEAD, encode(head)),
        b"t" + encode(text),
        journal.pack(journal.FINISH, encode(Terminal(finish_reasons=["stop"]))),
    ]


def drafts(*records) -> list[Draft]:
    return [Draft(each) for each in records]


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RequestStore]:
    store = STORES[request.param](tmp_path)
    yield store
    store.close()


def test_a_new_one_is_empty(store):
    assert store.find("st_1", None) is None
    assert store.content("st_1") is None
    assert [list(each) for each in (store.hours(0, 0), store.days(0), store.first_tokens(0))] == [
        [],
        [],
        [],
    ]
    assert store.refused(Wanted(10)) == ([], None)
    store.write([])
    assert store.expire(1_000, PERIODS) is False


def test_what_was_written_is_found_by_its_account_alone(store):
    full = record(model="한국어 모델")
    bare = record("st_2", 3, is_charged=False, cost_nanos=None, first_token_ms=None, tries="")
    bare = bare._replace(queued_ms=None, drops=None, resumes=None, request_id="")
    store.write(drafts(full, bare))
    assert store.find("st_1", "a") == store.find("st_1", None) == full
    assert store.find("st_2", "a") == bare
    assert store.find("st_1", "b") is None
    assert store.find("ST_1", None) is None


def test_one_is_written_and_counted_once(store):
    store.write(drafts(record()))
    store.write(drafts(record(finish="error", error_code="upstream_lost"), record("st_2", 600)))
    assert store.find("st_1", None) == record()
    assert list(store.hours(0, 0)) == [HourCount(0, "m", 2, 0)]
    assert list(store.first_tokens(0)) == [FirstTokens(0, "m", 3, 2)]


def test_counts_grow_and_are_asked_for_from_a_moment_on(store):
    for n in range(3):
        store.write(drafts(record(f"a{n}", 5), record(f"b{n}", HOUR_MS * 24 + 5)))
    assert sorted(store.hours(0, 0)) == [HourCount(0, "m", 3, 0), HourCount(24, "m", 3, 0)]
    assert list(store.hours(1, 0)) == [HourCount(24, "m", 3, 0)]
    assert sorted(store.days(0)) == [DayCount(0, "m", 3, 0), DayCount(1, "m", 3, 0)]
    assert list(store.days(1)) == [DayCount(1, "m", 3, 0)]
    assert list(store.first_tokens(1)) == [FirstTokens(1, "m", 3, 3)]


def test_of_older_hours_only_those_that_may_be_bad(store):
    for hour, failures in ((0, 2), (1, 3), (2, 0)):
        rows = [record(f"{hour}-ok", hour * HOUR_MS + 5)]
        rows += [
            record(f"{hour}-{n}", hour * HOUR_MS + 5, finish="error", error_code="upstream_lost")
            for n in range(failures)
        ]
        store.write(drafts(*rows))
    assert sorted(store.hours(0, 2)) == [HourCount(1, "m", 1, 3), HourCount(2, "m", 1, 0)]
    assert list(store.days(0)) == [DayCount(0, "m", 3, 5)]


class TestRefused:
    """What the books do not have."""

    def test_only_what_was_not_charged(self, store):
        refused = record("st_2", is_charged=False)
        store.write(drafts(record(), refused))
        assert store.refused(Wanted(10)).rows == [refused.charge]

    @settings(
        max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
    )
    @given(data=st.data())
    def test_filters_and_pages_find_what_is_wanted_and_nothing_else(self, store, data):
        rows = [
            charge(
                f"st_{next(NUMBERS)}",
                data.draw(st.integers(600, 605)),
                account_id=data.draw(st.sampled_from("ab")),
                model=data.draw(st.sampled_from(["m", "n"])),
                key_id=data.draw(st.sampled_from(["k", "l"])),
                finish=data.draw(st.sampled_from(["stop", "error", "cancelled"])),
            )
            for _ in range(data.draw(st.integers(0, 8)))
        ]
        # A world of its own: the store is the same in all examples.
        account = f"acc_{next(NUMBERS)}"
        rows = [row._replace(account_id=account + row.account_id) for row in rows]
        store.write(drafts(*(record()._replace(charge=row, is_charged=False) for row in rows)))
        wanted = Wanted(
            data.draw(st.integers(1, 4)),
            f"{account}a",
            data.draw(st.sampled_from([None, "m"])),
            data.draw(st.sampled_from([None, "k"])),
            data.draw(st.sampled_from([None, "ok", "failed", "stopped"])),
            data.draw(st.sampled_from([None, 602])),
            data.draw(st.sampled_from([None, 604])),
        )
        finishes = {"ok": "stop", "failed": "error", "stopped": "cancelled"}
        expected = [
            row
            for row in rows
            if row.account_id == wanted.account_id
            and wanted.model in (None, row.model)
            and wanted.key_id in (None, row.key_id)
            and (wanted.status is None or row.finish == finishes[wanted.status])
            and (wanted.from_ms is None or row.ended_ms >= wanted.from_ms)
            and (wanted.until_ms is None or row.ended_ms < wanted.until_ms)
        ]
        found: list[object] = []
        part = store.refused(wanted)
        found += part.rows
        while part.reached is not None:
            part = store.refused(wanted._replace(before=part.reached))
            assert len(part.rows) <= wanted.limit
            found += part.rows
        assert found == sorted(expected, key=position, reverse=True)


class TestContent:
    """Prompts and answers, where they are kept."""

    def test_what_was_asked_and_answered(self, store):
        store.write([Draft(record(), request(), answer("안녕하세요"), 10_000)])
        content = store.content("st_1")
        assert '"content": "\\uc548\\ub155"' in content.prompt
        assert '"content":"안녕하세요"' in content.answer
        assert content.is_cut is False

    def test_what_is_too_long_is_cut_between_characters(self, store):
        whole = Draft(record(), None, answer("한" * 100), 1 << 20).content().answer
        limit = whole.encode().index("한".encode()) + 4
        store.write([Draft(record(), None, answer("한" * 100), limit)])
        content = store.content("st_1")
        assert content == Content("", whole[: whole.index("한") + 1], is_cut=True)

    def test_nothing_is_kept_without_being_asked_to(self, store):
        store.write(drafts(record()))
        assert store.content("st_1") is None


class TestRetention:
    """What is older than it is kept."""

    def test_content_goes_first_and_the_record_later(self, store):
        store.write([Draft(record(f"st_{ms}", ms), None, answer("네"), 99) for ms in (9, 10, 11)])
        store.expire(60, PERIODS)
        assert [store.content(f"st_{ms}") is None for ms in (9, 10, 11)] == [True, False, False]
        assert store.find("st_9", None) is not None
        store.expire(110, PERIODS)
        assert [store.find(f"st_{ms}", None) is None for ms in (9, 10, 11)] == [True, False, False]

    def test_content_never_outlives_its_record(self, store):
        store.write([Draft(record("st_1", 10), None, answer("네"), 99)])
        store.expire(200, Periods(50, 1_000, 1_000))
        assert store.find("st_1", None) is None
        assert store.content("st_1") is None

    def test_counts_outlive_records_and_go_in_time(self, store):
        store.write(drafts(record("st_1", 10), record("st_2", 48 * HOUR_MS)))
        store.expire(24 * HOUR_MS, PERIODS)
        assert (len(store.hours(0, 0)), len(store.first_tokens(0))) == (2, 2)
        store.expire(48 * HOUR_MS, PERIODS)
        assert list(store.hours(0, 0)) == [HourCount(48, "m", 1, 0)]
        assert list(store.first_tokens(0)) == [FirstTokens(2, "m", 3, 1)]

    def test_any_number_goes_step_by_step(self, store):
        store.write(drafts(*(record(f"st_{n}", n) for n in range(1_001))))
        steps = 1
        while store.expire(10_000, PERIODS):
            steps += 1
        assert steps <= 4
        assert all(store.find(f"st_{n}", None) is None for n in range(1_001))
