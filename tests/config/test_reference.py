"""What is written down of the settings for people."""

from dataclasses import fields, replace
from pathlib import Path

import pytest

from tokenferry.config import AliasSettings, ProviderSettings, Secret, ServerSettings, Settings
from tokenferry.config.presets import demo_provider
from tokenferry.config.reference import describe, hints, settings_page
from tokenferry.config.tables import SECTIONS

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "settings.md"
PROVIDER = ProviderSettings(
    name="p", kind="openai", base_url="https://api.example/v1", models=("m",), api_key=Secret("k")
)


def test_the_committed_page_is_what_the_code_says() -> None:
    assert PAGE.read_text(encoding="utf-8") == settings_page(), (
        "run: tokenferry config reference > docs/reference/settings.md"
    )


def test_every_setting_is_described() -> None:
    rows = list(describe())
    assert [(row.table, row.name) for row in rows] == [
        (table, setting.name)
        for table, kind in (
            ("[server]", ServerSettings),
            ("[[providers]]", ProviderSettings),
            ("[[models]]", AliasSettings),
            *((f"[{name}]", kind) for name, kind in SECTIONS.items()),
        )
        for setting in fields(kind)
    ]
    for row in rows:
        assert row.kind
        assert row.default
        assert row.range
        assert row.doc.endswith(".")


def test_a_row() -> None:
    (port,) = [row for row in describe() if row.name == "port"]
    assert port[:5] == ("[server]", "port", "integer", "`8000`", "0..65535")


def found(settings: Settings, environ: dict[str, str] | None = None) -> str:
    return "\n".join(hints(settings, environ or {}))


def with_server(**changes: object) -> Settings:
    return Settings(server=ServerSettings(**changes), providers=(PROVIDER,))  # type: ignore[arg-type]


def test_nothing_to_hint_at() -> None:
    assert found(with_server()) == ""


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "8.8.8.8", "gateway.example"])
def test_an_open_door_without_tls(host: str) -> None:
    settings = with_server(host=host)
    assert "keys travel unencrypted to" in found(settings)
    tls = replace(settings.server, tls_cert=Path("c"), tls_key=Path("k"))
    assert found(replace(settings, server=tls)) == ""


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "10.0.0.5", "gateway"])
def test_a_private_address_needs_no_tls(host: str) -> None:
    assert found(with_server(host=host)) == ""


@pytest.mark.parametrize(
    ("kind", "base_url", "hint"),
    [
        ("openai", "https://api.example", "most servers need /v1"),
        ("openai", "https://api.example/v1", ""),
        ("anthropic", "https://api.anthropic.com/v1", "leave it out"),
        ("anthropic", "https://api.anthropic.com", ""),
        ("gemini", "https://generativelanguage.googleapis.com/v1beta", "leave it out"),
        ("openai", "http://api.example/v1", "its key travels unencrypted"),
        ("openai", "http://10.0.0.5:8000/v1", ""),
        ("openai", "http://vllm:8000/v1", ""),
    ],
)
def test_addresses_that_may_not_be_meant(kind: str, base_url: str, hint: str) -> None:
    text = found(Settings(providers=(replace(PROVIDER, kind=kind, base_url=base_url),)))
    assert hint in text
    assert bool(text) == bool(hint)


def test_no_provider_but_the_demo() -> None:
    assert "there is no provider yet" in found(Settings(providers=(demo_provider(),)))


def test_our_own_key_in_a_provider_s_variable() -> None:
    text = found(with_server(), {"OPENAI_API_KEY": "tf_abc", "ANTHROPIC_API_KEY": "sk-ant"})
    assert text == "OPENAI_API_KEY is a key of Tokenferry, not of openai: it was left out"


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("TOKENFERRY_PROT", "TOKENFERRY_PROT has no effect; did you mean TOKENFERRY_PORT?"),
        (
            "TOKENFERRY_DATADIR",
            "TOKENFERRY_DATADIR has no effect; did you mean TOKENFERRY_DATA_DIR?",
        ),
        ("TOKENFERRY_PORT", ""),
        ("TOKENFERRY_API_KEY", ""),
        ("TOKENFERRY_URL", ""),
        ("TOKENFERRY_SERVICE_HOST", ""),
    ],
)
def test_a_mistyped_variable(name: str, hint: str) -> None:
    assert found(with_server(), {name: "x"}) == hint
