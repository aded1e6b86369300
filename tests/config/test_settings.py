"""What the settings themselves can tell."""

from dataclasses import FrozenInstanceError

import pytest

from tokenferry.config import AliasSettings, ProviderSettings, Secret, Settings


def provider(base_url: str = "https://api.example/v1", **more: object) -> ProviderSettings:
    return ProviderSettings(
        name="p",
        kind="openai",
        base_url=base_url,
        models=("m",),
        **more,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    ("base_url", "drains"),
    [
        ("https://api.openai.com/v1", False),
        ("https://api.anthropic.com", False),
        ("https://generativelanguage.googleapis.com", True),
        ("https://api.groq.com/openai/v1", True),
        ("https://api.mistral.ai/v1", True),
        ("https://notgroq.com/v1", False),
        ("http://localhost:11434/v1", False),
    ],
)
def test_what_happens_on_cancel_depends_on_who_charges(base_url: str, *, drains: bool) -> None:
    assert provider(base_url).drains is drains
    assert provider(base_url, on_cancel="close").drains is False
    assert provider(base_url, on_cancel="drain").drains is True


@pytest.mark.parametrize(
    ("base_url", "takes_max_tokens"),
    [
        ("https://api.openai.com/v1", False),
        ("https://my-resource.openai.azure.com/openai/v1", False),
        ("https://api.deepseek.com/v1", True),
        ("https://notopenai.com/v1", True),
        ("http://localhost:11434/v1", True),
    ],
)
def test_by_which_name_a_provider_is_told_the_output_limit(
    base_url: str, *, takes_max_tokens: bool
) -> None:
    assert provider(base_url).takes_max_tokens is takes_max_tokens
    assert provider(base_url, output_limit="as_sent").takes_max_tokens is False
    assert provider(base_url, output_limit="max_tokens").takes_max_tokens is True


def test_no_secret_in_the_representation() -> None:
    settings = Settings(
        providers=(
            provider(
                api_key=Secret("sk-hidden"),
                headers=(("x-key", Secret("hidden-too")),),
                proxy="http://user:hidden-password@proxy:3128",
            ),
        )
    )
    assert "hidden" not in repr(settings)
    assert settings.secrets() == ["sk-hidden", "hidden-too", "hidden-password"]
    assert Settings(providers=(provider(),)).secrets() == []


def test_a_model_s_own_name_may_have_slashes() -> None:
    alias = AliasSettings(name="a", candidates=("p/meta/llama", "q/m"))
    assert list(alias.pairs()) == [("p", "meta/llama"), ("q", "m")]


def test_the_catalog_has_everything() -> None:
    settings = Settings(
        providers=(provider(),), models=(AliasSettings(name="fast", candidates=("p/m",)),)
    )
    assert [entry.id for entry in settings.catalog().listing()] == ["fast", "m"]


def test_settings_do_not_change() -> None:
    with pytest.raises(FrozenInstanceError):
        Settings().server.port = 1  # type: ignore[misc]
