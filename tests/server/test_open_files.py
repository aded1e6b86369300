"""The limit of open files is raised to what the connections need, where that is allowed."""

import resource

import pytest

from tokenferry.server.open_files import FILES_APART, allow_open_files, clients_max

INFINITE = resource.RLIM_INFINITY


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Return the limits as a list; what is set last counts."""
    limits: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: limits[-1])
    monkeypatch.setattr(resource, "setrlimit", lambda _, pair: limits.append(pair))
    return limits


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((1024, 524288), (2000 + FILES_APART, 524288)),
        ((1024, INFINITE), (2000 + FILES_APART, INFINITE)),
        ((1024, 1500), (1500, 1500)),
        ((65536, 524288), (65536, 524288)),
        ((INFINITE, INFINITE), (INFINITE, INFINITE)),
    ],
)
def test_it_is_raised(
    limits: list[tuple[int, int]],
    caplog: pytest.LogCaptureFixture,
    before: tuple[int, int],
    after: tuple[int, int],
) -> None:
    limits.append(before)
    allow_open_files(1000)
    assert limits[-1] == after
    assert not caplog.records


def test_a_limit_below_the_connections_is_said(
    limits: list[tuple[int, int]], caplog: pytest.LogCaptureFixture
) -> None:
    limits.append((256, 512))
    allow_open_files(1000)
    assert limits[-1] == (512, 512)
    assert "have 512 files open, which is less than connections_max (1000)" in caplog.text


@pytest.mark.parametrize("failure", [ValueError, OSError])
def test_a_system_that_allows_less_than_it_says(
    limits: list[tuple[int, int]],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    failure: type[Exception],
) -> None:
    def refuse(*_: object) -> None:
        raise failure

    monkeypatch.setattr(resource, "setrlimit", refuse)
    limits.append((256, INFINITE))
    allow_open_files(1000)
    assert "have 256 files open" in caplog.text


@pytest.mark.parametrize(
    ("files", "clients"), [(None, None), (65_536, 65_280), (1_024, 768), (256, 192), (3, 3)]
)
def test_some_files_are_kept_for_the_servers_own(files: int | None, clients: int | None) -> None:
    assert clients_max(files) == clients
