"""The commands that administer keys and look into the configuration."""

import re
import time
from contextlib import closing
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

from tokenferry.cli import admin
from tokenferry.config.reference import settings_page
from tokenferry.domain.allowance import GivenLimits, KeyLimits
from tokenferry.domain.api_key import KeyTerms, parse_key
from tokenferry.engine.keys import Authenticator
from tokenferry.errors import InvalidKey
from tokenferry.server.keys_api import SECONDS_MAX
from tokenferry.stores.sqlite import SqliteKeys


class TestKeys:
    def test_create_prints_the_key_alone(self, run) -> None:
        result = run("keys", "create", "김철수")
        assert result.code == 0
        assert result.err == ""
        assert result.out.count("\n") == 1
        assert parse_key(result.out.strip()) is not None

    def test_a_created_key_comes_in_until_it_is_revoked(self, run, tmp_path: Path) -> None:
        token = run("keys", "create", "n").out.strip()
        store = SqliteKeys(tmp_path / "tokenferry-data" / "tokenferry.db")
        # Each look at the clock finds a second gone, and so looks at the file again.
        authenticator = Authenticator(store, count().__next__)
        public_id = authenticator.authenticate(token).public_id
        result = run("keys", "revoke", public_id)
        assert (result.code, result.out) == (0, f"{public_id} is revoked\n")
        with pytest.raises(InvalidKey):
            authenticator.authenticate(token)
        assert run("keys", "revoke", public_id).code == 0
        store.close()

    def test_two_keys_are_different(self, run) -> None:
        assert run("keys", "create", "n").out != run("keys", "create", "n").out

    def test_a_whole_key_can_be_revoked_and_is_not_repeated(self, run) -> None:
        token = run("keys", "create", "n").out.strip()
        result = run("keys", "revoke", token)
        assert result.code == 0
        assert token not in result.out

    def test_revoking_an_unknown_key(self, run) -> None:
        run("keys", "create", "n")
        result = run("keys", "revoke", "AAAAAAAAAAAA")
        assert (result.code, result.out) == (1, "")
        assert result.err == (
            "tokenferry: no key has that public id; `tokenferry keys list` shows all\n"
        )

    def test_the_list(self, run, monkeypatch: pytest.MonkeyPatch) -> None:
        moments = iter([1_700_000_000_000, 1_700_000_060_000, 1_700_000_120_000])
        monkeypatch.setattr(admin, "now_ms", lambda: next(moments))
        first = _public_id(run("keys", "create", "김철수의 노트북").out)
        second = _public_id(run("keys", "create", "ci").out)
        run("keys", "revoke", second)
        result = run("keys", "list")
        assert result.code == 0
        header, *rows = result.out.splitlines()
        created, later, last = map(
            admin.local_time, (1_700_000_000_000, 1_700_000_060_000, 1_700_000_120_000)
        )
        assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d", created)
        assert header.split("  ")[0] == "PUBLIC ID"
        assert rows == [
            f"{first}  김철수의 노트북  operator  {created}  active",
            f"{second}  ci               operator  {later}  revoked {last}",
        ]

    @pytest.mark.parametrize("zone", ["Asia/Seoul", "Pacific/Kiritimati", "America/New_York"])
    def test_the_list_shows_the_last_day_of_all_wherever_one_is(
        self, run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, zone: str
    ) -> None:
        """Whoever owns a key names its last day; it must not take the operator's list away."""
        with monkeypatch.context() as here:
            here.setenv("TZ", zone)
            time.tzset()
            run("keys", "create", "n")
            with closing(SqliteKeys(tmp_path / "tokenferry-data" / "tokenferry.db")) as store:
                terms = KeyTerms(expires_at_ms=SECONDS_MAX * 1000)
                store.create("last", "A" * 12, bytes(32), 0, terms)
            out = run("keys", "list").out
        time.tzset()
        assert "until 9999-12-3" in out

    def test_a_key_is_given_limits_of_its_own(self, run, tmp_path: Path) -> None:
        def limits() -> KeyLimits:
            with closing(SqliteKeys(tmp_path / "tokenferry-data" / "tokenferry.db")) as store:
                found = store.find(name)
            assert found is not None
            return found.terms.limits

        name = _public_id(run("keys", "create", "n", "--rpm", "600", "--streams", "0").out)
        assert limits() == KeyLimits(GivenLimits(600, None, 0))
        assert "600 requests/min, no limit of streams" in run("keys", "list").out
        result = run("keys", "limit", name, "--rpm", "default", "--tpm", "50000")
        assert result.out == f"{name}: 50000 tokens/min, no limit of streams\n"
        assert limits() == KeyLimits(GivenLimits(None, 50_000, 0))
        assert run("keys", "limit", name).code == 0
        assert limits() == KeyLimits(GivenLimits(None, 50_000, 0))
        assert run("keys", "limit", "AAAAAAAAAAAA", "--rpm", "1").code == 1

    def test_of_an_account_s_key_it_is_said_who_has_set_what(self, run, tmp_path: Path) -> None:
        run("accounts", "create", "a@b.kr")
        name = _public_id(run("keys", "create", "n", "--account", "a@b.kr").out)
        with closing(SqliteKeys(tmp_path / "tokenferry-data" / "tokenferry.db")) as store:
            found = store.find(name)
            assert found is not None
            own = KeyLimits(owner=GivenLimits(60, None, 2))
            store.change(name, "n", replace(found.terms, limits=own))
        assert "60 requests/min set by its owner, 2 streams set by its owner" in (
            run("keys", "list").out
        )
        words = (
            "600 requests/min set by the operator, 60 requests/min set by its owner, "
            "no limit of streams set by the operator, 2 streams set by its owner, priority"
        )
        limits = ("--rpm", "600", "--streams", "0", "--priority")
        assert run("keys", "limit", name, *limits).out == f"{name}: {words}\n"
        assert f"  active, {words}\n" in run("keys", "list").out
        # What the operator takes back is what he has set, and nothing of the owner's.
        lifted = ("--rpm", "default", "--streams", "default", "--no-priority")
        assert run("keys", "limit", name, *lifted).out == (
            f"{name}: 60 requests/min set by its owner, 2 streams set by its owner\n"
        )

    def test_a_new_key_has_none(self, run) -> None:
        name = _public_id(run("keys", "create", "n").out)
        assert run("keys", "limit", name).out == f"{name}: as other keys\n"
        assert "requests" not in run("keys", "list").out

    @pytest.mark.parametrize(
        "option", [("--rpm", "x"), ("--rpm", "-1"), ("--rpm", "1000001"), ("--streams", "1.5")]
    )
    def test_a_limit_that_is_none(self, run, option: tuple[str, str]) -> None:
        name = _public_id(run("keys", "create", "n").out)
        for command in (("create", "n"), ("limit", name)):
            result = run("keys", *command, "=".join(option))
            assert (result.code, result.out) == (2, "")
            assert f"{option[0]} is a number 0.." in result.err

    @pytest.mark.parametrize("name", ["", " ", "a\nb", "x" * 65])
    def test_a_name_that_is_none(self, run, name: str, tmp_path: Path) -> None:
        result = run("keys", "create", name)
        assert (result.code, result.out) == (2, "")
        assert "1..64 printable characters" in result.err
        assert not (tmp_path / "tokenferry-data").exists()

    @pytest.mark.parametrize("command", [["list"], ["revoke", "AAAAAAAAAAAA"]])
    def test_without_a_database_nothing_is_created(
        self, run, tmp_path: Path, command: list[str]
    ) -> None:
        result = run("keys", *command, "--data-dir", "elsewhere")
        assert (result.code, result.out) == (1, "")
        assert "there are no keys in elsewhere; name the server's directory" in result.err
        assert list(tmp_path.iterdir()) == []

    def test_where_the_data_directory_comes_from(
        self, run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "my.toml").write_text('[server]\ndata_dir = "from-file"\n')
        run("keys", "create", "n", "--config", "my.toml")
        monkeypatch.setenv("TOKENFERRY_DATA_DIR", "from-variable")
        run("keys", "create", "n", "--config", "my.toml")
        run("keys", "create", "n", "--config", "my.toml", "--data-dir", "from-option")
        for name in ("file", "variable", "option"):
            store = SqliteKeys(tmp_path / f"from-{name}" / "tokenferry.db")
            assert len(store.all()) == 1
            store.close()

    def test_a_damaged_database_is_told_without_a_traceback(self, run, tmp_path: Path) -> None:
        directory = tmp_path / "tokenferry-data"
        directory.mkdir()
        (directory / "tokenferry.db").write_text("nonsense" * 100)
        for command in (["list"], ["create", "n"], ["revoke", "x"]):
            result = run("keys", *command)
            assert (result.code, result.out) == (1, "")
            assert result.err.startswith("tokenferry: tokenferry-data/tokenferry.db is damaged")
            assert result.err.count("\n") == 1

    def test_a_faulty_configuration_is_told(self, run, tmp_path: Path) -> None:
        (tmp_path / "tokenferry.toml").write_text("[server]\ndata_dir = 5\n")
        result = run("keys", "create", "n")
        assert (result.code, result.out) == (1, "")
        assert "tokenferry.toml:2: `data_dir` of [server] is an integer" in result.err


def _public_id(token: str) -> str:
    parsed = parse_key(token.strip())
    assert parsed is not None
    return parsed.public_id


class TestConfig:
    def test_check_of_nothing(self, run) -> None:
        result = run("config", "check")
        assert result.code == 0
        assert result.out.splitlines() == [
            "OK",
            "provider demo (demo): demo",
            "hint: there is no provider yet: set OPENAI_API_KEY, say, or add [[providers]]",
        ]

    def test_check_prints_what_is_served(self, run, tmp_path: Path) -> None:
        (tmp_path / "my.toml").write_text(
            '[[providers]]\nname = "내서버"\nkind = "openai"\nbase_url = "http://localhost/v1"\n'
            'api_key = "sk-hidden"\nmodels = ["a", "b"]\n'
            '[[models]]\nname = "fast"\ncandidates = ["내서버/a", "demo/demo"]\n',
            encoding="utf-8",
        )
        result = run("config", "check", "--config", "my.toml")
        assert result.code == 0
        assert result.out.splitlines() == [
            "OK",
            "provider 내서버 (openai at http://localhost/v1): a, b",
            "provider demo (demo): demo",
            "alias fast: 내서버/a, demo/demo",
        ]

    def test_check_prints_all_faults(self, run, tmp_path: Path) -> None:
        (tmp_path / "tokenferry.toml").write_text("[server]\nport = -1\nhots = 1\n")
        result = run("config", "check")
        assert result.code == 1
        first, second = result.out.splitlines()
        assert first.startswith("tokenferry.toml:2: `port` of [server] is -1, out of range -> ")
        assert second.startswith("tokenferry.toml:3: `hots` is no setting of [server] -> ")

    def test_reference(self, run) -> None:
        result = run("config", "reference")
        assert (result.code, result.out) == (0, settings_page())
