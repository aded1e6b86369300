"""What every archive does, whatever it is made of."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tokenferry.engine.archive import Archive, Summary
from tokenferry.stores.memory_archive import MemoryArchive
from tokenferry.stores.sqlite_archive import SqliteArchive

ARCHIVES: dict[str, Callable[[Path], Archive]] = {
    "memory": lambda _: MemoryArchive(),
    "sqlite": lambda directory: SqliteArchive(directory / "tokenferry.db"),
}
FULL = Summary(
    stream_id="st_1",
    owner="key",
    idempotency_key="주문-1",
    request_hash=bytes(range(32)),
    epoch=2,
    head=57,
    state="done",
    finish_reason="stop",
    error=None,
    message='{"choices":[{"message":{"content":"안녕하세요 😀"}}]}',
    usage='{"total_tokens":7}',
    cost="0.000012",
    model="demo",
    created_ms=1_700_000_000_000,
    ended_ms=1_700_000_000_500,
)
BARE = Summary(
    stream_id="st_2",
    owner="key",
    idempotency_key=None,
    request_hash=None,
    epoch=1,
    head=0,
    state="error",
    finish_reason=None,
    error='{"code":"upstream_lost"}',
    message=None,
    usage=None,
    cost=None,
    model="demo",
    created_ms=1,
    ended_ms=2,
)


@pytest.fixture(params=ARCHIVES)
def archive(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Archive]:
    archive = ARCHIVES[request.param](tmp_path)
    yield archive
    archive.close()


def test_a_new_archive_is_empty(archive: Archive) -> None:
    assert archive.find("key", "st_1") is None
    assert archive.find_idempotent("key", "k") is None
    assert archive.recent("key", 10) == []
    archive.save([])
    archive.expire(1, 1, 1)


def test_what_was_saved_is_found_by_its_owner_alone(archive: Archive) -> None:
    archive.save([FULL, BARE])
    assert archive.find("key", "st_1") == FULL
    assert archive.find("key", "st_2") == BARE
    assert archive.find("other", "st_1") is None
    assert archive.find("key", "ST_1") is None


@pytest.mark.parametrize("state", ["done", "error", "cancelled"])
def test_every_state_is_kept(archive: Archive, state: str) -> None:
    summary = replace(BARE, state=state)
    archive.save([summary])
    assert archive.find("key", "st_2") == summary


def test_a_stream_is_saved_once(archive: Archive) -> None:
    archive.save([FULL])
    archive.save([replace(FULL, message="later"), BARE, replace(BARE, head=9)])
    assert archive.find("key", "st_1") == FULL
    assert archive.find("key", "st_2") == BARE
    assert len(archive.recent("key", 10)) == 2


def test_an_idempotency_key_stands_for_the_first_of_its_owner_s_streams(archive: Archive) -> None:
    archive.save([FULL])
    again = replace(FULL, stream_id="st_3")
    others = replace(FULL, stream_id="st_4", owner="other")
    archive.save([again, others])
    assert archive.find_idempotent("key", "주문-1") == FULL
    assert archive.find_idempotent("other", "주문-1") == others
    assert archive.find_idempotent("key", "주문-2") is None
    # The other stream is kept all the same.
    assert archive.find("key", "st_3") == replace(again, idempotency_key=None)


def test_streams_without_an_idempotency_key_do_not_exclude_each_other(archive: Archive) -> None:
    archive.save([BARE, replace(BARE, stream_id="st_3")])
    assert len(archive.recent("key", 10)) == 2


def test_the_recent_ones_come_first(archive: Archive) -> None:
    archive.save(
        [
            replace(BARE, stream_id=f"st_{number}", ended_ms=ended_ms)
            for number, ended_ms in enumerate([5, 9, 7, 7, 1])
        ]
    )
    archive.save([replace(BARE, stream_id="st_other", owner="other", ended_ms=8)])

    def ids(limit: int, before_ms: int | None = None) -> list[str]:
        return [each.stream_id for each in archive.recent("key", limit, before_ms)]

    assert ids(10) == ["st_1", "st_3", "st_2", "st_0", "st_4"]
    assert ids(2) == ["st_1", "st_3"]
    assert ids(0) == []
    assert ids(10, 7) == ["st_0", "st_4"]
    assert ids(1, 8) == ["st_3"]
    assert ids(10, 1) == []


def test_a_list_has_no_messages(archive: Archive) -> None:
    archive.save([FULL])
    assert archive.recent("key", 1) == [replace(FULL, message=None)]


def test_messages_go_first_and_the_rest_later(archive: Archive) -> None:
    archive.save(
        [
            replace(FULL, stream_id=f"st_{ms}", idempotency_key=f"{ms}", ended_ms=ms)
            for ms in (9, 10, 11)
        ]
    )
    archive.expire(110, 100, 1_000)
    assert [getattr(archive.find("key", f"st_{ms}"), "message", "") for ms in (9, 10, 11)] == [
        None,
        FULL.message,
        FULL.message,
    ]
    assert archive.find("key", "st_9") == replace(
        FULL, stream_id="st_9", idempotency_key="9", ended_ms=9, message=None
    )
    archive.expire(1_010, 100, 1_000)
    assert [each.stream_id for each in archive.recent("key", 10)] == ["st_11", "st_10"]
    assert archive.find_idempotent("key", "9") is None
    archive.save([replace(FULL, stream_id="st_12", idempotency_key="9", ended_ms=12)])
    assert archive.find_idempotent("key", "9") is not None


def test_any_number_of_streams_expires(archive: Archive) -> None:
    archive.save([replace(BARE, stream_id=f"st_{number}", message="m") for number in range(1001)])
    archive.expire(100, 50, 1_000)
    assert {each.message for each in archive.recent("key", 2000)} == {None}
    archive.expire(10_000, 50, 1_000)
    assert archive.recent("key", 2000) == []


def test_closing_twice_is_allowed(archive: Archive) -> None:
    archive.close()
    archive.close()
