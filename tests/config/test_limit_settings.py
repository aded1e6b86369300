from pathlib import Path

import pytest

from tokenferry.config import ConfigError, Settings, load
from tokenferry.domain.allowance import Allowance
from tokenferry.engine.admission import Rates

PROVIDER = """
[[providers]]
name = "p"
kind = "openai"
base_url = "https://p.example/v1"
models = ["m", "모델"]

[[models]]
name = "fast"
candidates = ["p/m"]
"""


def read(tmp_path: Path, text: str) -> Settings:
    path = tmp_path / "tokenferry.toml"
    path.write_text(text + PROVIDER, encoding="utf-8")
    return load(path, {})


def test_a_key_has_sixty_requests_and_many_reads_a_minute_and_nothing_else_is_limited(
    tmp_path: Path,
) -> None:
    settings = read(tmp_path, "")
    assert settings.rates() == Rates(Allowance(60, 0, 0), reads_per_minute=6_000)
    assert settings.limits.bad_keys_per_minute == 60


def test_the_table_is_read(tmp_path: Path) -> None:
    settings = read(
        tmp_path,
        """
[limits]
requests_per_minute = 0
tokens_per_minute = 100_000
streams_max = 10
account_requests_per_minute = 600
account_tokens_per_minute = 1_000_000
account_streams_max = 50
reads_per_minute = 5

[limits.models."p/m"]
requests_per_minute = 1_000

[limits.models.fast]
tokens_per_minute = 1_000_000_000
streams_max = 3

[limits.models."모델"]
""",
    )
    assert settings.rates() == Rates(
        Allowance(0, 100_000, 10),
        Allowance(600, 1_000_000, 50),
        {"p/m": Allowance(1_000), "fast": Allowance(0, 10**9, 3), "모델": Allowance()},
        5,
    )


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("[limits]\nrequests_per_minute = -1\n", 2, "out of range"),
        ("[limits]\ntokens_per_minute = 1_000_000_001\n", 2, "out of range"),
        ("[limits]\nstreams = 1\n", 2, "did you mean `streams_max`"),
        ("[limits]\nmodels = 3\n", 2, "not a table"),
        ("[limits.models]\nm = 3\n", 2, "not a table"),
        ("[limits.models.m]\nrequests_per_minute = 1.5\n", 2, "not an integer"),
        ("[limits.models.m]\n\nrequest_per_minute = 1\n", 3, "did you mean `requests_per_minute`"),
        ("[limits.models.mm]\nstreams_max = 1\n", 1, "did you mean `m`"),
        ("[limits.models.nothing-like-it]\nstreams_max = 1\n", 1, "[limits] has no model"),
        (
            "[server]\ncreates_per_minute = 5\n",
            2,
            "write requests_per_minute below a line [limits]",
        ),
    ],
)
def test_faults_have_their_line(tmp_path: Path, text: str, line: int, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text)
    (fault,) = caught.value.faults
    assert fault.line == line
    assert words in str(caught.value)
