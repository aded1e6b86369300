"""The settings of the server: each default is one of the values that are allowed."""

from dataclasses import fields
from pathlib import Path

import pytest

from tokenferry.config import ServerSettings
from tokenferry.config.rules import Surroundings
from tokenferry.config.spec import spec_of


@pytest.mark.parametrize(
    "setting",
    [setting for setting in fields(ServerSettings) if setting.default not in (None, ())],
    ids=lambda setting: setting.name,
)
def test_every_default_is_allowed(setting: object) -> None:
    spec = spec_of(setting)  # type: ignore[arg-type]
    default = setting.default  # type: ignore[attr-defined]
    value = str(default) if isinstance(default, Path) else default
    assert spec.rule.read(value, Surroundings({}, Path())) == default


def test_the_database_is_in_the_data_directory() -> None:
    assert ServerSettings(data_dir=Path("/x")).database == Path("/x/tokenferry.db")
