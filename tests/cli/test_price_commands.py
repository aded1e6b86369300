"""The commands for prices."""

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from tokenferry.cli import price_commands
from tokenferry.config.prices import day_ms
from tokenferry.domain.pricing import Price
from tokenferry.stores.sqlite_prices import SqlitePrices

TODAY = "2026-11-26"
DATABASE = Path("tokenferry-data") / "tokenferry.db"
FLAT = {"input_cost_per_token": 4e-07, "output_cost_per_token": 1.6e-06, "mode": "chat"}


@pytest.fixture(autouse=True)
def _today(monkeypatch: pytest.MonkeyPatch) -> None:
    now_ms = day_ms(date.fromisoformat(TODAY)) + 12 * 3_600_000
    monkeypatch.setattr(price_commands, "_now_ms", lambda: now_ms)


def stored() -> list[Price]:
    store = SqlitePrices(DATABASE)
    try:
        return store.all()
    finally:
        store.close()


def rows_of(out: str) -> list[list[str]]:
    return [line.split() for line in out.splitlines()[1:]]


class TestList:
    def test_of_what_comes_along(self, run) -> None:
        result = run("prices", "list")
        assert (result.code, result.err) == (0, "")
        header, *lines = result.out.splitlines()
        assert " ".join(header.split()) == "MODEL INPUT CACHED WRITE OUTPUT FROM SOURCE MORE"
        (line,) = (line for line in lines if line.startswith("gpt-4.1-mini "))
        assert " ".join(line.split()) == (
            "gpt-4.1-mini 0.40 0.10 0.40 1.60 Tokenferry, 2026-11-26 "
            "priority; ends 2027-01-14, then gpt-6-luna"
        )
        assert not DATABASE.exists(), "looking writes nothing"

    def test_one_s_own_price_stands_in_place_of_ours_and_what_begins_later_below(self, run) -> None:
        run("prices", "set", "demo", "--input", "2", "--output", "3")
        run("prices", "set", "demo", "--input", "4", "--output", "5", "--valid-from", "2026-12-01")
        found = [row for row in rows_of(run("prices", "list").out) if row[0] == "demo"]
        assert found == [
            ["demo", "2.00", "2.00", "2.00", "3.00", TODAY, "set", TODAY],
            ["demo", "4.00", "4.00", "4.00", "5.00", "2026-12-01", "set", TODAY],
        ]

    def test_everything_about_one(self, run) -> None:
        lines = run("prices", "list", "claude-sonnet-4-5").out.splitlines()
        assert [line.split("  ")[0] or line.split("  ")[1] for line in lines[1:]] == [
            "claude-sonnet-4-5",
            "cache write 1h",
            "above 200000 tokens",
        ]
        assert lines[2].split()[-1] == "6.00"
        hours = run("prices", "list", "deepseek-flash").out.splitlines()
        assert "01:00-04:00 UTC mon-fri" in hours[2]
        tiers = run("prices", "list", "gpt-6.1-terra").out.splitlines()
        assert "flex above 272000 tokens" in tiers[4]
        assert "audio input" in run("prices", "list", "gemini-2.5-flash").out

    def test_a_provider_s_own_price_is_found_by_the_model(self, run) -> None:
        run("prices", "set", "mine/demo", "--input", "2", "--output", "3")
        names = [row[0] for row in rows_of(run("prices", "list", "demo").out)]
        assert names == ["mine/demo", "demo"]

    def test_what_is_not_there(self, run) -> None:
        result = run("prices", "list", "nope")
        assert (result.code, result.out) == (1, "")
        assert "no price of 'nope' is known; `tokenferry prices list` shows all" in result.err


class TestSet:
    def test_everything(self, run) -> None:
        result = run(
            "prices", "set", "mine/한글 모델", "--input", "1.00", "--output", "5",
            "--cached-input", "0.1", "--cache-write", "1.25", "--cache-write-1h", "2",
            "--reasoning", "6", "--valid-from", "2026-12-01", "--context", "1000",
            "--output-max", "100", "--shutdown", "2027-01-01", "--successor", "next",
        )  # fmt: skip
        assert (result.code, result.err) == (0, "")
        assert "ends 2027-01-01, then next" in result.out
        (price,) = stored()
        assert (price.model, price.valid_from_ms) == ("mine/한글 모델", day_ms(date(2026, 12, 1)))
        rates, terms = price.terms.scale.rates, price.terms
        shown = (rates.input, rates.cached_input, rates.cache_write, rates.cache_write_1h)
        assert shown == (10**9, 10**8, 125 * 10**7, 2 * 10**9)
        assert (rates.output, rates.reasoning) == (5 * 10**9, 6 * 10**9)
        assert (terms.context_tokens_max, terms.output_tokens_max) == (1000, 100)
        assert (terms.shutdown_ms, terms.successor) == (day_ms(date(2027, 1, 1)), "next")

    def test_it_holds_from_today_and_can_be_set_again(self, run) -> None:
        run("prices", "set", "m", "--input", "1", "--output", "2")
        run("prices", "set", "m", "--input", "3", "--output", "4")
        (price,) = stored()
        assert price.valid_from_ms == day_ms(date.fromisoformat(TODAY))
        assert price.terms.scale.rates.input == 3 * 10**9
        assert price.source == f"set {TODAY}"

    @pytest.mark.parametrize(
        ("argv", "message"),
        [
            (["m", "--input", "x", "--output", "1"], "--input is 'x', not an amount in USD"),
            (["m", "--input", "1e-6", "--output", "1"], "--input is '1e-6', not an amount"),
            (["m", "--input", "1", "--output", "-1"], "--output is '-1', not an amount"),
            (["m", "--input", "1000000.01", "--output", "1"], "of 0..1000000"),
            (
                ["m", "--input", "1", "--output", "1", "--valid-from", "tomorrow"],
                "--valid-from is 'tomorrow', not a day such as 2026-12-01",
            ),
            (["m", "--input", "1", "--output", "1", "--valid-from", "20261201"], "not a day"),
            (["m", "--input", "1", "--output", "1", "--shutdown", "2026-02-30"], "not a day"),
            (["m", "--input", "1", "--output", "1", "--successor", "n"], "needs --shutdown DATE"),
            (["", "--input", "1", "--output", "1"], "1..265 printable characters"),
            ([" m", "--input", "1", "--output", "1"], "1..265 printable characters"),
            (["m\n", "--input", "1", "--output", "1"], "1..265 printable characters"),
            (["x" * 266, "--input", "1", "--output", "1"], "1..265 printable characters"),
            (
                ["m", "--input", "1", "--output", "1", "--cached-input", "2"],
                "m: cached input is dearer than input",
            ),
            (["m", "--input", "0", "--output", "1"], "input costs nothing while other tokens do"),
            # USD per token, where USD per million tokens are meant.
            (
                ["gpt-4.1", "--input", "0.000002", "--output", "8"],
                "gpt-4.1: input is 0.000002 and was 2.00 so far, a factor of more than 100;",
            ),
            (["mine/gpt-4.1", "--input", "0.000002", "--output", "8"], "a factor of more than 100"),
            (["m", "--input", "1", "--output", "1", "--context", "0"], "1..99999999"),
            (["m", "--input", "1", "--output", "1", "--output-max", "1k"], "1..99999999"),
            (["m", "--output", "1"], "--input"),
            (["m", "--input", "1"], "--output"),
            ([], "MODEL"),
        ],
    )  # fmt: skip
    def test_what_is_wrong_is_named_and_nothing_is_stored(self, run, argv, message) -> None:
        result = run("prices", "set", *argv)
        assert (result.code, result.out) == (2, "")
        assert message in result.err
        assert not DATABASE.exists()

    def test_whoever_types_a_price_may_know_better(self, run) -> None:
        argv = ("prices", "set", "m", "--input", "1", "--cached-input", "0", "--output", "1")
        assert "--force takes it all the same" in run(*argv).err
        assert run(*argv, "--force").code == 0

    def test_force(self, run) -> None:
        argv = ("prices", "set", "gpt-4.1", "--input", "0.01", "--output", "0.01", "--force")
        result = run(*argv)
        assert result.code == 0
        assert len(stored()) == 1

    def test_what_is_lost_is_told(self, run) -> None:
        result = run("prices", "set", "gpt-6.1-terra", "--input", "1", "--output", "5")
        assert result.err == (
            "The price so far has tiers, hours or service tiers; this one has none.\n"
        )


class TestRemove:
    def test_of_a_day_or_all(self, run) -> None:
        for day in ("2026-12-01", "2026-12-02", "2026-12-03"):
            run("prices", "set", "m", "--input", "1", "--output", "1", "--valid-from", day)
        result = run("prices", "remove", "m", "--valid-from", "2026-12-02")
        assert (result.code, result.out) == (0, "1 removed\n")
        assert run("prices", "remove", "m").out == "2 removed\n"
        result = run("prices", "remove", "m")
        assert (result.code, result.out) == (1, "")
        assert "no price of 'm' was set here" in result.err

    def test_ours_cannot_be_removed(self, run) -> None:
        assert run("prices", "remove", "demo").code == 1
        assert not DATABASE.exists()

    def test_a_day_that_is_none(self, run) -> None:
        assert run("prices", "remove", "demo", "--valid-from", "x").code == 2


def write(rows: Any) -> str:
    Path("list.json").write_text(
        rows if isinstance(rows, str) else json.dumps(rows), encoding="utf-8"
    )
    return "list.json"


class TestImport:
    ROWS = {  # noqa: RUF012 -- read only
        "sample_spec": {"mode": "one of"},
        "a": FLAT,
        "b": {**FLAT, "deprecation_date": "2027-01-14", "litellm_provider": "openai"},
        "c": {**FLAT, "output_cost_per_token": 0},
        "d": {"mode": "embedding"},
        "demo": {"input_cost_per_token": 2e-4, "output_cost_per_token": 5e-06},
        "odd": {"input_cost_per_token": 2e-6, "output_cost_per_token": 1e-06},
    }

    def test_a_list(self, run) -> None:
        result = run("prices", "import", write(self.ROWS))
        assert result.code == 0
        assert result.out == (
            "3 imported, 0 known already, 2 refused, 1 for something else than text\n"
        )
        refused, leapt, odd = result.err.splitlines()
        assert refused == "refused: 'c': output costs nothing while other tokens do"
        assert leapt.startswith("refused: 'demo': input is 200.00 and was 1.00 so far, a factor")
        assert odd == "odd: 'odd': output is cheaper than input"
        prices = {price.model: price for price in stored()}
        assert list(prices) == ["a", "b", "odd"]
        assert prices["a"].terms.scale.rates.input == 400_000_000
        assert prices["a"].valid_from_ms == day_ms(date.fromisoformat(TODAY))
        assert prices["a"].source == f"list.json, {TODAY}"
        assert prices["b"].terms.shutdown_ms == day_ms(date(2027, 1, 14))
        assert prices["b"].terms.vendor == "openai"

    def test_what_is_known_already_is_not_written_again(self, run) -> None:
        run("prices", "import", write(self.ROWS))
        self_again = run("prices", "import", "list.json", "--valid-from", "2026-12-01")
        assert self_again.out.startswith("0 imported, 3 known already,")
        assert len(stored()) == 3

    def test_a_new_price_leaves_the_old_one(self, run) -> None:
        run("prices", "import", write({"a": FLAT}))
        write({"a": {**FLAT, "input_cost_per_token": 5e-7}})
        run("prices", "import", "list.json", "--valid-from", "2026-12-01")
        assert [price.terms.scale.rates.input for price in stored()] == [400_000_000, 500_000_000]

    def test_only_some(self, run) -> None:
        result = run("prices", "import", write(self.ROWS), "--only", "[ab]")
        assert result.out.startswith("2 imported, 0 known already, 0 refused, 0 for")

    def test_a_dry_run_shows_and_writes_nothing(self, run) -> None:
        result = run("prices", "import", write(self.ROWS), "--dry-run")
        assert result.code == 0
        assert [row[0] for row in rows_of(result.out)[:3]] == ["a", "b", "odd"]
        assert "3 would be imported" in result.out
        assert not DATABASE.exists()

    def test_force(self, run) -> None:
        run("prices", "import", write(self.ROWS), "--force", "--only", "demo")
        assert [price.model for price in stored()] == ["demo"]

    def test_an_end_that_is_no_day_is_left_out(self, run) -> None:
        run("prices", "import", write({"a": {**FLAT, "deprecation_date": "soon"}}))
        assert stored()[0].terms.shutdown_ms is None

    @pytest.mark.parametrize(
        ("rows", "code", "message"),
        [
            ("{", 2, "list.json: it is no JSON"),
            ({}, 2, "list.json: it has 0 models"),
            ({"m": 1}, 2, "list.json: it is no object"),
            ({"c": {**FLAT, "mode": "embedding"}}, 1, ""),
        ],
    )
    def test_what_is_no_list(self, run, rows, code, message) -> None:
        result = run("prices", "import", write(rows))
        assert result.code == code
        assert message in result.err
        assert not DATABASE.exists()

    def test_files_that_cannot_be_read(self, run, monkeypatch: pytest.MonkeyPatch) -> None:
        assert "cannot read nope.json: No such file" in run("prices", "import", "nope.json").err
        Path("list.json").write_bytes(b"\xff")
        assert "list.json is no UTF-8 text" in run("prices", "import", "list.json").err
        monkeypatch.setattr(price_commands, "FILE_BYTES_MAX", len(json.dumps({"a": FLAT})))
        assert run("prices", "import", write({"a": FLAT})).code == 0
        result = run("prices", "import", write(json.dumps({"a": FLAT}) + " "))
        assert result.code == 2
        assert "that is no price list" in result.err

    def test_a_byte_order_mark_is_no_fault(self, run) -> None:
        assert run("prices", "import", write("\ufeff" + json.dumps({"a": FLAT}))).code == 0


@pytest.mark.parametrize(
    "argv", [["list"], ["set", "m", "--input", "1", "--output", "1"], ["remove", "m"]]
)
def test_a_database_that_is_none_is_told(run, argv: list[str]) -> None:
    DATABASE.parent.mkdir()
    DATABASE.write_bytes(b"no database" * 100)
    result = run("prices", *argv)
    assert (result.code, result.out) == (1, "")
    assert "is damaged or no database" in result.err


def test_a_data_directory_can_be_named(run, tmp_path: Path) -> None:
    argv = ("set", "m", "--input", "1", "--output", "1", "--data-dir", str(tmp_path / "there"))
    assert run("prices", *argv).code == 0
    assert (tmp_path / "there" / "tokenferry.db").exists()
    assert not DATABASE.exists()
