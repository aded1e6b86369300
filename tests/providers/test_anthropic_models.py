import pytest

from tokenferry.providers.anthropic_models import family_of

# Model → thinking, off, sampling, forced tools, output tokens at most; each row from the page of
# that model, November 2026.
ROWS = [
    ("claude-sonnet-5-5", "adaptive", "between_tools", "none", False, 128_000),
    ("claude-opus-5-5", "adaptive", "lowest", "none", False, 128_000),
    ("claude-haiku-5-5", "adaptive", "disabled", "none", True, 128_000),
    ("claude-fable-5-2", "adaptive", "lowest", "none", False, 128_000),
    ("claude-fable-5-1", "adaptive", "lowest", "none", False, 128_000),
    ("claude-fable-5", "adaptive", "lowest", "none", True, 128_000),
    ("claude-mythos-5-1", "adaptive", "lowest", "none", False, 128_000),
    ("claude-mythos-preview", "adaptive", "lowest", "none", True, 128_000),
    ("claude-sonnet-5", "adaptive", "disabled", "none", True, 128_000),
    ("claude-opus-5", "adaptive", "disabled", "none", True, 128_000),
    ("claude-opus-4-8", "adaptive", "omit", "none", True, 128_000),
    ("claude-opus-4-7", "adaptive", "omit", "none", True, 128_000),
    ("claude-opus-4-6", "adaptive", "omit", "one", True, 128_000),
    ("claude-sonnet-4-6", "adaptive", "omit", "one", True, 128_000),
    ("claude-opus-4-5-20251101", "budget", "omit", "one", True, 64_000),
    ("claude-sonnet-4-5-20250929", "budget", "omit", "one", True, 64_000),
    ("claude-haiku-4-5", "budget", "omit", "one", True, 64_000),
    ("claude-opus-4-1-20250805", "budget", "omit", "both", True, 32_000),
    ("claude-opus-4-20250514", "budget", "omit", "both", True, 32_000),
    ("claude-sonnet-4@20250514", "budget", "omit", "both", True, 64_000),
    ("claude-3-7-sonnet-20250219", "budget", "omit", "both", True, 64_000),
    ("claude-3-5-haiku-20241022", "never", "omit", "both", True, 8_192),
    ("claude-3-haiku-20240307", "never", "omit", "both", True, 4_096),
    ("claude-2.1", "never", "omit", "both", True, 4_096),
    ("claude-instant-1.2", "never", "omit", "both", True, 4_096),
]


@pytest.mark.parametrize(("model", "thinking", "off", "sampling", "forced", "tokens_max"), ROWS)
def test_table(
    model: str, thinking: str, off: str, sampling: str, *, forced: bool, tokens_max: int
) -> None:
    family = family_of(model)
    assert (family.thinking, family.off, family.sampling) == (thinking, off, sampling)
    assert family.forced_tools is forced
    assert family.output_tokens_max == tokens_max


@pytest.mark.parametrize(
    ("model", "thinks_by_default"),
    [
        ("claude-opus-4-8", False),
        ("claude-opus-5", True),
        ("claude-haiku-5-5", True),
        ("claude-sonnet-4-6", False),
        ("claude-sonnet-4-5", False),
    ],
)
def test_what_thinks_without_being_asked(model: str, *, thinks_by_default: bool) -> None:
    assert family_of(model).thinks_by_default is thinks_by_default


@pytest.mark.parametrize(
    ("model", "same_as"),
    [
        ("anthropic.claude-opus-4-6-v1", "claude-opus-4-6"),
        ("anthropic/claude-haiku-5.5", "claude-haiku-5-5"),
        ("us.anthropic.claude-3-7-sonnet-20250219-v1:0", "claude-3-7-sonnet-20250219"),
        ("claude-opus-6", "claude-opus-5-5"),
        ("claude-opus-5-20260724", "claude-opus-5"),
        # Names that no table can know count as the newest generation.
        ("claude-sonnet-latest", "claude-fable-5"),
        ("claude-cantata-9", "claude-fable-5"),
    ],
)
def test_other_spellings(model: str, same_as: str) -> None:
    assert family_of(model) == family_of(same_as)


@pytest.mark.parametrize("model", ["deepseek-v4-pro", "kimi-k3", "glm-5", ""])
def test_models_of_others_take_the_classic_parameters(model: str) -> None:
    family = family_of(model)
    assert (family.thinking, family.sampling, family.off) == ("budget", "both", "disabled")
