"""Providers that are known by name, and those that the environment alone adds."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from tokenferry.config import ConfigError, Fault, Secret, load
from tokenferry.config.presets import KEY_VARIABLES, KIND_URLS, PRESETS, demo_provider


@pytest.fixture(autouse=True)
def _in_an_empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def faults_of(environ: Mapping[str, str]) -> tuple[Fault, ...]:
    with pytest.raises(ConfigError) as caught:
        load(None, environ)
    return caught.value.faults


def test_one_address_a_kind_where_there_is_only_one() -> None:
    assert set(KIND_URLS) == {"anthropic", "gemini"}
    assert KEY_VARIABLES["https://api.deepseek.com/v1"] == "DEEPSEEK_API_KEY"


def test_each_key_adds_its_provider() -> None:
    environ = {preset.key_variable: f"key-{name}" for name, preset in PRESETS.items()}
    *found, demo = load(None, environ).providers
    assert demo == demo_provider()
    assert [
        (one.name, one.kind, one.base_url, one.api_key.reveal(), one.models) for one in found
    ] == [
        (name, preset.kind, preset.base_url, f"key-{name}", preset.models)
        for name, preset in PRESETS.items()
    ]


def test_the_default_models_are_served_today() -> None:
    # Shut down on 2026-10-23.
    assert "gpt-4.1-nano" not in PRESETS["openai"].models
    for name in ("gpt-4.1", "claude-sonnet-4-5", "gemini-2.5-flash", "deepseek-v3.2"):
        assert any(name in preset.models for preset in PRESETS.values())


def test_a_provider_of_the_same_name_in_the_file_wins() -> None:
    Path("tokenferry.toml").write_text('[[providers]]\nname = "openai"\nmodels = ["gpt-4.1"]\n')
    settings = load(None, {"OPENAI_API_KEY": "sk-1"})
    assert [provider.name for provider in settings.providers] == ["openai", "demo"]
    openai = settings.providers[0]
    assert openai.models == ("gpt-4.1",)
    assert (openai.kind, openai.base_url) == ("openai", "https://api.openai.com/v1")
    assert openai.api_key == Secret("sk-1")


def test_openai_base_url_is_honoured() -> None:
    environ = {"OPENAI_API_KEY": "sk-1", "OPENAI_BASE_URL": "https://proxy.example/v1/"}
    assert load(None, environ).providers[0].base_url == "https://proxy.example/v1"
    Path("tokenferry.toml").write_text('[[providers]]\nname = "openai"\nmodels = ["m"]\n')
    provider = load(None, environ).providers[0]
    assert provider.base_url == "https://proxy.example/v1"
    assert provider.api_key == Secret("sk-1")
    del environ["OPENAI_API_KEY"]
    assert load(None, environ).providers[0].api_key == Secret("")


def test_a_known_name_at_another_address_does_not_get_the_key() -> None:
    Path("tokenferry.toml").write_text(
        '[[providers]]\nname = "openai"\nbase_url = "http://localhost/v1"\nmodels = ["m"]\n'
    )
    provider = load(None, {"OPENAI_API_KEY": "sk-1"}).providers[0]
    assert provider.api_key == Secret("")


def test_a_header_may_hold_the_credential() -> None:
    Path("tokenferry.toml").write_text(
        '[[providers]]\nname = "claude"\nkind = "anthropic"\nmodels = ["m"]\n'
        'headers = { x-api-key = "env:MY_KEY" }\n'
    )
    provider = load(None, {"MY_KEY": "sk-1"}).providers[0]
    assert provider.extra_headers() == (("x-api-key", "sk-1"),)
    assert provider.base_url == "https://api.anthropic.com"


def test_a_header_beside_a_known_name_leaves_the_key_alone() -> None:
    Path("tokenferry.toml").write_text(
        '[[providers]]\nname = "openai"\nmodels = ["m"]\n'
        'headers = { openai-organization = "org-1" }\n'
    )
    provider = load(None, {"OPENAI_API_KEY": "sk-1"}).providers[0]
    assert provider.api_key == Secret("sk-1")


@pytest.mark.parametrize("key", ["", "  ", "tf_AbCdEf012345_x_y"])
def test_no_key_and_our_own_key_add_nothing(key: str) -> None:
    environ = {"OPENAI_API_KEY": key, "OPENAI_BASE_URL": "http://127.0.0.1:8000/v1"}
    assert load(None, environ).providers == (demo_provider(),)


def test_it_can_be_turned_off() -> None:
    environ = {"OPENAI_API_KEY": "sk-1", "TOKENFERRY_ENVIRONMENT_PROVIDERS": "false"}
    assert load(None, environ).providers == (demo_provider(),)


@pytest.mark.parametrize(
    ("environ", "subject"),
    [
        ({"OPENAI_API_KEY": "sk hidden"}, "the environment variable OPENAI_API_KEY has"),
        (
            {"OPENAI_API_KEY": "sk-1", "OPENAI_BASE_URL": "nonsense"},
            "the environment variable OPENAI_BASE_URL is no URL",
        ),
    ],
)
def test_a_wrong_variable_is_named(environ: dict[str, str], subject: str) -> None:
    (fault,) = faults_of(environ)
    assert fault.line is None
    assert fault.message.startswith(subject)
    assert "hidden" not in fault.message
    Path("tokenferry.toml").write_text('[[providers]]\nname = "openai"\nmodels = ["m"]\n')
    faults = faults_of(environ)
    assert faults[-1].message.startswith(subject)


def test_an_alias_may_lead_to_one_and_to_the_demo() -> None:
    Path("tokenferry.toml").write_text(
        '[[models]]\nname = "fast"\ncandidates = ["deepseek/deepseek-flash", "demo/demo"]\n'
    )
    catalog = load(None, {"DEEPSEEK_API_KEY": "sk-1"}).catalog()
    assert catalog.resolve("fast") == (("deepseek", "deepseek-flash"), ("demo", "demo"))
