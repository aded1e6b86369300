from dataclasses import FrozenInstanceError

import pytest

from contracts.test_archive import FULL


def test_a_summary_does_not_change() -> None:
    with pytest.raises(FrozenInstanceError):
        FULL.message = None  # type: ignore[misc]
