"""What can be bought, by whom, and what is said when something for that is missing."""

from pathlib import Path

import pytest

from tokenferry.config import ConfigError, load

SERVER = '[server]\npublic_url = "https://g.example"\n'
WON = '[payments]\npackages_krw = ["10000"]\nkrw_per_usd = "1450.5"\nkrw_rate_date = "2026-11-27"\n'
DOLLARS = '[payments]\npackages_usd = ["5.00", "20"]\n'
TOSS = '[toss]\nclient_key = "ck"\nsecret_key = "test_sk_1"\n'
STRIPE = '[stripe]\nsecret_key = "sk_test_1"\nwebhook_secret = "whsec_1"\n'
PORTONE = (
    '[portone]\napi_secret = "s"\nwebhook_secret = "whsec_1"\nstore_id = "store-1"\n'
    'channel_key = "channel-key-1"\n'
)


def read(directory: Path, text: str):
    path = directory / "tokenferry.toml"
    path.write_text(text, encoding="utf-8")
    return load(path, {})


def faults(directory: Path, text: str) -> list[str]:
    with pytest.raises(ConfigError) as raised:
        read(directory, text)
    return [f"{fault.line}: {fault.message}" for fault in raised.value.faults]


def test_all_of_it(tmp_path):
    text = SERVER + WON + 'packages_usd = ["5.00"]\n' + TOSS + STRIPE + PORTONE
    settings = read(tmp_path, text)
    assert settings.payments.packages_krw == ("10000",)
    assert settings.payments.krw_per_usd == 1_450_500_000
    secrets = settings.secrets()
    assert {"test_sk_1", "sk_test_1", "whsec_1", "s"} <= set(secrets)
    assert "sk_test_1" not in repr(settings)


def test_nothing_of_it_is_fine(tmp_path):
    settings = read(tmp_path, "")
    assert not settings.toss.secret_key
    assert settings.payments.packages_usd == ()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (SERVER + WON + TOSS.replace('client_key = "ck"\n', ""), "[toss] has no `client_key`"),
        (WON + TOSS, "[toss] is set without `public_url`, where buyers come back to"),
        (
            SERVER + WON + TOSS.replace('"ck"', '"live_ck_1"'),
            "[toss] has a key for tests beside one for real money",
        ),
        (
            SERVER + WON + TOSS.replace('"ck"', '"test_gck_1"').replace("test_sk", "test_gsk"),
            "[toss] has a key of the payment widget",
        ),
        (SERVER + DOLLARS + TOSS, "[toss] takes won, and nothing is sold for won"),
        (SERVER + STRIPE, "[stripe] is set, and nothing is sold"),
        (
            SERVER + DOLLARS + STRIPE.replace('webhook_secret = "whsec_1"\n', ""),
            "[stripe] has no `webhook_secret`",
        ),
        (
            SERVER + WON + PORTONE.replace('store_id = "store-1"\n', ""),
            "[portone] has no `store_id`",
        ),
        (
            '[payments]\npackages_krw = ["10000"]\nkrw_per_usd = "1450"\n',
            "[payments] sells for won without a rate and its day",
        ),
        (
            '[payments]\npackages_krw = ["10000"]\nkrw_rate_date = "2026-11-27"\n',
            "[payments] sells for won without a rate and its day",
        ),
    ],
)
def test_what_is_missing_is_said(tmp_path, text, told):
    assert any(told in fault for fault in faults(tmp_path, text))


@pytest.mark.parametrize(
    "line",
    [
        'packages_usd = ["0.00"]',
        'packages_usd = ["5.0"]',
        'packages_usd = ["5.000"]',
        'packages_usd = ["-5.00"]',
        "packages_usd = [5]",
        'packages_usd = ["100001"]',
        'packages_usd = ["5.00", "5.00"]',
        'packages_usd = ["\uff15.00"]',
        'packages_krw = ["10000.00"]',
        'packages_krw = ["만원"]',
        'krw_per_usd = "0"',
        'krw_per_usd = "-1"',
        "krw_per_usd = 1450",
        'krw_per_usd = "1,450"',
        'krw_rate_date = "2026-02-30"',
        'krw_rate_date = "오늘"',
    ],
)
def test_what_is_no_price_rate_or_day_is_refused(tmp_path, line):
    [fault] = faults(tmp_path, f"[payments]\n{line}\n")
    assert fault.startswith("2: ")


def test_a_day_may_be_a_date_of_toml(tmp_path):
    text = "[payments]\nkrw_rate_date = 2026-11-27\n"
    assert read(tmp_path, text).payments.krw_rate_date == "2026-11-27"
