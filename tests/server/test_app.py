"""How the server's end is told when it cannot begin; all else needs a running gateway."""

import pytest

from tokenferry.config.settings import Settings
from tokenferry.engine.keys import StoreUnusable
from tokenferry.engine.ports import JournalUnavailable
from tokenferry.server import app


@pytest.mark.parametrize("failure", [StoreUnusable, JournalUnavailable])
def test_a_disk_that_takes_nothing_at_the_start_is_said_in_one_line(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, failure: type[Exception]
) -> None:
    async def failing(*_: object) -> None:
        raise failure("No space left on device. Make room on its disk.")

    monkeypatch.setattr(app, "_serve", failing)
    assert app.run(Settings(), lambda *_: None) == 1
    (record,) = caplog.records
    assert record.getMessage() == "No space left on device. Make room on its disk."
    assert record.exc_info is None
