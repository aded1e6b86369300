"""The commands for accounts, and keys of accounts."""

import io
from contextlib import closing
from pathlib import Path

import pytest

from harness.terminal import on_terminal
from tokenferry.server import passwords
from tokenferry.server.passwords import hasher
from tokenferry.stores.sqlite_accounts import SqliteAccounts

EMAIL = "chulsoo@example.com"
PASSWORD = "correct horse"
SOURCE = str(Path(passwords.__file__).parents[2])


@pytest.fixture
def store(tmp_path: Path):
    with closing(SqliteAccounts(tmp_path / "tokenferry-data" / "tokenferry.db")) as store:
        yield store


def type_in(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(text))


class TestCreate:
    def test_the_id_is_printed_alone(self, run, store) -> None:
        result = run("accounts", "create", " Chulsoo@Example.com", "--credit", "5.00")
        assert (result.code, result.err) == (0, "")
        account = store.find_by_email(EMAIL)
        assert result.out == f"{account.account_id}\n"
        assert (account.role, account.state, account.language) == ("member", "active", "en")
        assert store.balance_nanos(account.account_id) == 5 * 10**9
        assert store.password_hash(account.account_id) is None

    def test_an_administrator_with_a_password(self, run, store, monkeypatch) -> None:
        type_in(monkeypatch, f"{PASSWORD}\nrest")
        assert (
            run("accounts", "create", EMAIL, "--admin", "--language", "ko", "--password-stdin").code
            == 0
        )
        account = store.find_by_email(EMAIL)
        assert (account.role, account.language) == ("admin", "ko")
        assert hasher().verify(store.password_hash(account.account_id), PASSWORD)

    def test_an_address_is_given_once(self, run) -> None:
        run("accounts", "create", EMAIL)
        result = run("accounts", "create", EMAIL.upper())
        assert (result.code, result.out) == (1, "")
        assert result.err == f"tokenferry: there is an account {EMAIL} already\n"

    @pytest.mark.parametrize(
        ("arguments", "why"),
        [
            (["nobody"], "no e-mail address"),
            ([EMAIL, "--credit", "5,00"], "no amount"),
            ([EMAIL, "--credit", "-1"], "below zero"),
            ([EMAIL, "--password-stdin"], "10 to 256 characters"),
            ([EMAIL, "--language", "fr"], "invalid choice"),
        ],
    )
    def test_wrong_usage(self, run, tmp_path, monkeypatch, arguments, why) -> None:
        type_in(monkeypatch, "short\n")
        result = run("accounts", "create", *arguments)
        assert (result.code, result.out) == (2, "")
        assert why in result.err
        assert not (tmp_path / "tokenferry-data").exists()


class TestOthers:
    @pytest.fixture(autouse=True)
    def account(self, run, store):
        run("accounts", "create", EMAIL, "--credit", "5")
        return store.find_by_email(EMAIL)

    def test_the_list(self, run, account) -> None:
        run("accounts", "suspend", EMAIL, "--reason", "도용")
        header, row = run("accounts", "list").out.splitlines()
        assert header.split() == ["ACCOUNT", "ID", "EMAIL", "ROLE", "CREATED", "BALANCE", "STATE"]
        assert row.startswith(f"{account.account_id}  {EMAIL}  member  ")
        assert row.endswith("  5.00     suspended: 도용")

    def test_suspending(self, run, store, account) -> None:
        assert run("accounts", "suspend", EMAIL).out == f"{EMAIL} is suspended\n"
        assert store.find(account.account_id).state == "suspended"
        assert run("accounts", "unsuspend", EMAIL).out == f"{EMAIL} is not suspended\n"
        assert store.find(account.account_id).state == "active"

    def test_a_password(self, run, store, account, monkeypatch) -> None:
        store.open_session(account.account_id, bytes(32), 1, 10**15)
        type_in(monkeypatch, f"{PASSWORD}\r\n")
        assert run("accounts", "password", EMAIL).code == 0
        assert hasher().verify(store.password_hash(account.account_id), PASSWORD)
        assert store.session(bytes(32), 2) is None
        type_in(monkeypatch, f"{EMAIL}\n")
        assert run("accounts", "password", EMAIL).code == 2
        assert hasher().verify(store.password_hash(account.account_id), PASSWORD)

    async def test_a_password_that_is_typed_is_not_shown(self, store, account, tmp_path) -> None:
        command = ["-m", "tokenferry", "accounts", "password", EMAIL]
        async with on_terminal(command, {"PYTHONPATH": SOURCE}, tmp_path) as terminal:
            await terminal.until("Password: ")
            terminal.type(f"{PASSWORD}\n")
            await terminal.until("has a new password")
            assert await terminal.ended() == 0
        assert PASSWORD not in terminal.raw
        async with on_terminal(command, {"PYTHONPATH": SOURCE}, tmp_path) as terminal:
            await terminal.until("Password: ")
            terminal.type("\4")
            await terminal.until("10 to 256 characters")
            assert await terminal.ended() == 2
        assert hasher().verify(store.password_hash(account.account_id), PASSWORD)

    def test_grants_and_withdrawals(self, run, store, account) -> None:
        assert run("accounts", "grant", EMAIL, "0.5", "--reason", "버그 제보").out == "5.50\n"
        assert run("accounts", "grant", EMAIL, "-5.500000001", "--reason", "x").code == 1
        assert run("accounts", "balance", EMAIL).out == "5.50\n"
        assert run("accounts", "grant", EMAIL, "-5.50", "--reason", "x").out == "0.00\n"
        rows = store._connection.execute(
            "SELECT kind, debit, credit, amount_nanos, note FROM ledger_transfer"
        ).fetchall()
        book = f"account:{account.account_id}"
        assert rows == [
            ("signup", "issued:signup", book, 5 * 10**9, ""),
            ("grant", "issued:grant", book, 5 * 10**8, "버그 제보"),
            ("withdrawal", book, "issued:grant", 55 * 10**8, "x"),
        ]

    @pytest.mark.parametrize(
        "arguments",
        [
            ["grant", EMAIL, "0", "--reason", "x"],
            ["grant", EMAIL, "1.0.0", "--reason", "x"],
            ["grant", EMAIL, "1"],
            ["grant", EMAIL, "1", "--reason", "x" * 201],
            ["suspend", EMAIL, "--reason", "a\nb"],
            ["balance"],
            ["frobnicate"],
        ],
    )
    def test_wrong_usage(self, run, arguments) -> None:
        result = run("accounts", *arguments)
        assert (result.code, result.out) == (2, "")
        assert result.err

    @pytest.mark.parametrize(
        "command", [["suspend"], ["unsuspend"], ["balance"], ["password"], ["grant"]]
    )
    def test_an_unknown_address(self, run, command) -> None:
        more = ["1", "--reason", "x"] if command == ["grant"] else []
        result = run("accounts", *command, "other@example.com", *more)
        assert (result.code, result.out) == (1, "")
        assert "no account has that address" in result.err


@pytest.mark.parametrize("command", [["list"], ["balance", EMAIL], ["suspend", EMAIL]])
def test_without_a_database_nothing_is_created(run, tmp_path, command) -> None:
    result = run("accounts", *command, "--data-dir", "elsewhere")
    assert (result.code, result.out) == (1, "")
    assert "there are no accounts in elsewhere" in result.err
    assert list(tmp_path.iterdir()) == []


class TestKeys:
    def test_a_key_of_an_account_with_terms(self, run) -> None:
        run("accounts", "create", EMAIL)
        run("keys", "create", "own")
        assert run(
            "keys", "create", "theirs", "--account", EMAIL, "--budget", "10.00",
            "--models", "a, 한국/b", "--expires", "2099-01-01",
        ).code == 0  # fmt: skip
        header, *rows = run("keys", "list").out.splitlines()
        assert header.split() == ["PUBLIC", "ID", "NAME", "ACCOUNT", "CREATED", "STATE"]
        by_name = {row.split()[1]: row for row in rows}
        assert "  operator " in by_name["own"]
        assert f"  {EMAIL}  " in by_name["theirs"]
        assert by_name["theirs"].endswith("until 2099-01-01 00:00, 10.00 a month, for a, 한국/b")
        run("accounts", "suspend", EMAIL)
        assert "suspended, 10.00" in run("keys", "list").out

    def test_a_key_of_nobody(self, run, tmp_path) -> None:
        result = run("keys", "create", "x", "--account", EMAIL)
        assert (result.code, result.out) == (1, "")
        assert "no account has that address" in result.err
        assert not (tmp_path / "tokenferry-data").exists()

    @pytest.mark.parametrize(
        ("options", "why"),
        [
            (["--budget", "ten"], "a budget is an amount"),
            (["--budget", "-1"], "a budget is an amount"),
            (["--models", ","], "models are names"),
            (["--models", "a\nb"], "models are names"),
            (["--expires", "soon"], "expires at a day or time"),
            (["--expires", "2020-01-01"], "expires in the future"),
        ],
    )
    def test_wrong_usage(self, run, tmp_path, options, why) -> None:
        result = run("keys", "create", "x", *options)
        assert (result.code, result.out) == (2, "")
        assert why in result.err
        assert not (tmp_path / "tokenferry-data").exists()


def test_a_role_is_given_and_taken(run, store) -> None:
    run("accounts", "create", "chief@example.com")
    result = run("accounts", "role", "Chief@example.com", "admin")
    assert (result.code, result.out) == (0, "chief@example.com is an administrator\n")
    assert store.find_by_email("chief@example.com").role == "admin"
    result = run("accounts", "role", "chief@example.com", "member")
    assert result.out == "chief@example.com is no administrator\n"
    assert store.find_by_email("chief@example.com").role == "member"
    result = run("accounts", "role", "nobody@example.com", "admin")
    assert (result.code, result.out) == (1, "")
    assert "no account has that address" in result.err
    assert run("accounts", "role", "chief@example.com", "owner").code == 2
