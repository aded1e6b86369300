from contracts.test_archive import FULL
from tokenferry.stores.memory_archive import MemoryArchive


def test_closing_keeps_what_was_saved() -> None:
    archive = MemoryArchive()
    archive.save([FULL])
    archive.close()
    assert archive.find("key", "st_1") == FULL
