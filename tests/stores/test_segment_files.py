from collections.abc import Iterator
from pathlib import Path

import pytest

from tokenferry.engine.keys import StoreUnusable
from tokenferry.engine.ports import JournalUnavailable
from tokenferry.protocol.segment import MAGIC
from tokenferry.stores.segment_files import SegmentFiles


def open_files() -> int:
    return len([*Path("/proc/self/fd").iterdir()])


@pytest.fixture(params=["process", "disk"])
def durability(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def files(tmp_path: Path, durability: str) -> Iterator[SegmentFiles]:
    files = SegmentFiles(tmp_path, disk=durability == "disk")
    yield files
    files.close()


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the names of what is synced from now on."""
    names: list[str] = []

    def note(fd: int) -> None:
        names.append(Path(f"/proc/self/fd/{fd}").readlink().name)

    monkeypatch.setattr("os.fdatasync", note)
    monkeypatch.setattr("os.fsync", note)
    return names


def test_segments_are_numbered_and_counted(files: SegmentFiles, tmp_path: Path) -> None:
    (tmp_path / "00000041.damaged").write_bytes(b"")
    (tmp_path / "00000007.seg").write_bytes(b"x" * 9)
    (tmp_path / "notes.seg").write_bytes(b"")
    assert files.found() == [7]
    files.keep(7)
    files.create()
    assert files.active == 42
    files.write(b"12345")
    assert files.sizes == {7: 9, 42: len(MAGIC) + 5}
    files.unlink(7)
    assert files.sizes == {42: len(MAGIC) + 5}
    assert [path.name for path in tmp_path.glob("0*.seg")] == ["00000042.seg"]


def test_a_sync_reaches_what_was_written(
    files: SegmentFiles, durability: str, tmp_path: Path, synced: list[str]
) -> None:
    files.create()
    files.write(b"1")
    files.sync()
    files.sync()
    files.create()
    files.write(b"2")
    files.create()
    files.sync()
    files.sync()
    expected = [
        *("00000001.seg", tmp_path.name),
        "00000001.seg",
        *("00000001.seg", "00000002.seg", "00000003.seg", tmp_path.name),
        "00000003.seg",
    ]
    assert synced == (expected if durability == "disk" else [])


def test_letting_go_syncs_what_was_not(
    files: SegmentFiles, durability: str, tmp_path: Path, synced: list[str]
) -> None:
    files.create()
    files.close()
    files.close()
    assert synced == (["00000001.seg", tmp_path.name] if durability == "disk" else [])
    SegmentFiles(tmp_path, disk=False).close()


def test_a_sync_that_fails_is_told_and_leaves_no_file_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = SegmentFiles(tmp_path, disk=True)
    before = open_files()
    files.create()
    files.create()

    def fail(fd: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr("os.fdatasync", fail)
        with pytest.raises(JournalUnavailable, match="Input/output error"):
            files.sync()
    files.retire()
    files.sync()
    assert open_files() == before
    files.close()


def test_a_new_segment_s_directory_is_synced_though_a_sync_failed(
    tmp_path: Path, synced: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    files = SegmentFiles(tmp_path, disk=True)
    files.create()

    def fail(fd: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr("os.fdatasync", fail)
        with pytest.raises(JournalUnavailable):
            files.sync()
    files.sync()
    assert synced == ["00000001.seg", tmp_path.name]
    files.close()


def test_the_lock_is_let_go_of(tmp_path: Path) -> None:
    files = SegmentFiles(tmp_path, disk=False)
    with pytest.raises(StoreUnusable, match="Another Tokenferry uses"):
        SegmentFiles(tmp_path, disk=False)
    files.close()
    SegmentFiles(tmp_path, disk=False).close()


def test_an_index_that_cannot_be_written_is_no_failure(
    files: SegmentFiles, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "00000001.idx").mkdir()
    files.write_index(1, b"x")
    assert "Is a directory" in caplog.text


def test_what_a_dead_process_left_is_synced_before_anybody_reads_it(
    files: SegmentFiles, durability: str, synced: list[str], tmp_path: Path
) -> None:
    for number in (1, 2):
        (tmp_path / f"{number:08d}.seg").write_bytes(b"x")
        files.keep(number)
    files.sync_kept()
    expected = ["00000001.seg", "00000002.seg", tmp_path.name] if durability == "disk" else []
    assert synced == expected
