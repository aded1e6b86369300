import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenferry.errors import InvalidRequest
from tokenferry.protocol.chat import parse_request
from tokenferry.providers.anthropic_models import family_of
from tokenferry.providers.anthropic_thinking import (
    BUDGETS_TOKENS,
    OUTPUT_TOKENS_DEFAULT,
    OUTPUT_TOKENS_DEFAULT_THINKING,
    plan_thinking,
)

BUDGET, ADAPTIVE = "claude-sonnet-4-5", "claude-opus-4-8"


def plan(
    model: str, *, forced_tool: bool = False, unsigned_tool_turn: bool = False, **fields: Any
) -> tuple[int, Any, str | None, bool]:
    body = {"model": "m", "messages": [{"role": "user", "content": "안녕"}], **fields}
    result = plan_thinking(
        parse_request(json.dumps(body).encode()),
        family_of(model),
        forced_tool=forced_tool,
        unsigned_tool_turn=unsigned_tool_turn,
    )
    thinking = None if result.thinking is None else json.loads(bytes(result.thinking))
    return result.output_tokens_max, thinking, result.effort, result.thinks


def test_defaults_are_the_documented_ones() -> None:
    assert (OUTPUT_TOKENS_DEFAULT, OUTPUT_TOKENS_DEFAULT_THINKING) == (8_192, 32_768)
    assert BUDGETS_TOKENS == {
        "minimal": 1_024,
        "low": 2_048,
        "medium": 8_192,
        "high": 16_384,
        "xhigh": 24_576,
        "max": 32_000,
    }


@pytest.mark.parametrize(
    ("model", "fields", "output_tokens_max"),
    [
        (BUDGET, {}, 8_192),
        ("claude-3-haiku-20240307", {}, 4_096),
        (ADAPTIVE, {}, 8_192),
        # Thinks without being asked, inside the limit.
        ("claude-sonnet-5", {}, 32_768),
        (BUDGET, {"max_tokens": 7}, 7),
        (BUDGET, {"max_completion_tokens": 9}, 9),
        (BUDGET, {"max_completion_tokens": 9, "max_tokens": 7}, 9),
        ("claude-sonnet-5", {"max_tokens": 7}, 7),
    ],
)
def test_output_limit_without_reasoning_effort(
    model: str, fields: dict[str, int], output_tokens_max: int
) -> None:
    assert plan(model, **fields) == (output_tokens_max, None, None, False)


@pytest.mark.parametrize(
    ("fields", "output_tokens_max", "budget_tokens"),
    [
        ({"reasoning_effort": "minimal"}, 8_192 + 1_024, 1_024),
        ({"reasoning_effort": "low"}, 8_192 + 2_048, 2_048),
        ({"reasoning_effort": "medium"}, 8_192 + 8_192, 8_192),
        ({"reasoning_effort": "high"}, 8_192 + 16_384, 16_384),
        ({"reasoning_effort": "xhigh"}, 8_192 + 24_576, 24_576),
        ({"reasoning_effort": "max"}, 8_192 + 32_000, 32_000),
        # The older limit is the visible answer's: raised by the budget.
        ({"reasoning_effort": "high", "max_tokens": 100}, 100 + 16_384, 16_384),
        # But not beyond what the model can: the budget gives way, at most by half.
        ({"reasoning_effort": "high", "max_tokens": 60_000}, 64_000, 4_000),
        ({"reasoning_effort": "high", "max_tokens": 62_976}, 64_000, 1_024),
        ({"reasoning_effort": "high", "max_tokens": 62_977}, 64_000, 16_384),
        ({"reasoning_effort": "high", "max_tokens": 64_000}, 64_000, 16_384),
        # The newer limit counts reasoning: never raised.
        ({"reasoning_effort": "high", "max_completion_tokens": 40_000}, 40_000, 16_384),
        ({"reasoning_effort": "high", "max_completion_tokens": 4_000}, 4_000, 2_000),
        ({"reasoning_effort": "high", "max_completion_tokens": 2_048}, 2_048, 1_024),
    ],
)
def test_budgets(fields: dict[str, Any], output_tokens_max: int, budget_tokens: int) -> None:
    thinking = {"type": "enabled", "budget_tokens": budget_tokens}
    assert plan(BUDGET, **fields) == (output_tokens_max, thinking, None, True)


def test_a_limit_without_room_for_the_least_budget_leaves_thinking_out() -> None:
    fields = {"reasoning_effort": "high", "max_completion_tokens": 2_047}
    assert plan(BUDGET, **fields) == (2_047, None, None, False)


@pytest.mark.parametrize(
    ("model", "effort", "expected"),
    [
        ("claude-opus-4-6", "medium", (32_768, {"type": "adaptive"}, "medium", True)),
        ("claude-opus-4-6", "xhigh", (32_768, {"type": "adaptive"}, "high", True)),
        ("claude-opus-4-6", "max", (32_768, {"type": "adaptive"}, "max", True)),
        *(
            (model, effort, (32_768, {"type": "adaptive", "display": "summarized"}, word, True))
            for model in ("claude-opus-4-8", "claude-sonnet-5-5", "claude-opus-5-5")
            for effort, word in [
                ("minimal", "low"),
                ("low", "low"),
                ("medium", "medium"),
                ("high", "high"),
                ("xhigh", "xhigh"),
                ("max", "max"),
            ]
        ),
    ],
)
def test_adaptive_thinking(model: str, effort: str, expected: tuple[Any, ...]) -> None:
    assert plan(model, reasoning_effort=effort) == expected


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("claude-3-5-haiku-20241022", (8_192, None, None, False)),
        ("claude-sonnet-4-5", (8_192, None, None, False)),
        ("claude-opus-4-8", (8_192, None, None, False)),
        ("claude-opus-5", (8_192, {"type": "disabled"}, None, False)),
        ("claude-haiku-5-5", (8_192, {"type": "disabled"}, None, False)),
        ("claude-sonnet-5-5", (8_192, {"type": "between_tools"}, None, False)),
        ("claude-opus-5-5", (32_768, None, "low", False)),
        ("deepseek-v4-pro", (8_192, {"type": "disabled"}, None, False)),
    ],
)
def test_effort_none(model: str, expected: tuple[Any, ...]) -> None:
    assert plan(model, reasoning_effort="none") == expected


def test_a_model_that_cannot_think_is_not_asked_to() -> None:
    assert plan("claude-3-haiku-20240307", reasoning_effort="high") == (4_096, None, None, False)


@pytest.mark.parametrize(
    ("model", "reason", "expected"),
    [
        # A budget and a forced tool, or a call without the thinking behind it: 400 there.
        (BUDGET, "forced_tool", (8_192, None, None, False)),
        (BUDGET, "unsigned_tool_turn", (8_192, None, None, False)),
        # Adaptive thinking bears the second, and what thinks anyway bears both.
        (ADAPTIVE, "forced_tool", (32_768, None, "high", False)),
        (
            ADAPTIVE,
            "unsigned_tool_turn",
            (32_768, {"type": "adaptive", "display": "summarized"}, "high", True),
        ),
        (
            "claude-opus-5",
            "forced_tool",
            (32_768, {"type": "adaptive", "display": "summarized"}, "high", True),
        ),
    ],
)
def test_thinking_gives_way(model: str, reason: str, expected: tuple[Any, ...]) -> None:
    assert plan(model, reasoning_effort="high", **{reason: True}) == expected


@pytest.mark.parametrize(
    ("model", "fields", "expected"),
    [
        (BUDGET, {"thinking": {"type": "disabled"}}, (8_192, None, False)),
        (BUDGET, {"thinking": {"type": "enabled", "budget_tokens": 2_000}}, (10_192, None, True)),
        (BUDGET, {"thinking": {"type": "enabled", "budget_tokens": 60_000}}, (64_000, None, True)),
        (BUDGET, {"thinking": {"type": "enabled", "budget_tokens": 64_000}}, (64_001, None, True)),
        # A limit of the client's own is the client's business.
        (
            BUDGET,
            {"thinking": {"type": "enabled", "budget_tokens": 2_000}, "max_tokens": 50},
            (50, None, True),
        ),
        # It wins over the effort; only adaptive thinking has a use for both.
        (
            BUDGET,
            {"thinking": {"type": "disabled"}, "reasoning_effort": "high"},
            (8_192, None, False),
        ),
        (
            ADAPTIVE,
            {"thinking": {"type": "adaptive", "display": "omitted"}, "reasoning_effort": "max"},
            (32_768, "max", True),
        ),
        (
            "claude-opus-4-6",
            {
                "thinking": {"type": "enabled", "budget_tokens": 2_000},
                "reasoning_effort": "high",
            },
            (10_192, None, True),
        ),
        (
            ADAPTIVE,
            {"thinking": {"type": "adaptive"}, "reasoning_effort": "none"},
            (32_768, None, True),
        ),
        ("claude-opus-5-5", {"thinking": {"type": "later", "x": [1]}}, (32_768, None, False)),
    ],
)
def test_own_thinking_goes_through_untouched(
    model: str, fields: dict[str, Any], expected: tuple[Any, ...]
) -> None:
    output_tokens_max, thinking, effort, thinks = plan(
        model, forced_tool=True, unsigned_tool_turn=True, **fields
    )
    assert thinking == fields["thinking"]
    assert (output_tokens_max, effort, thinks) == expected


def test_null_is_no_thinking_of_ones_own() -> None:
    assert plan(BUDGET, thinking=None, reasoning_effort="low")[1]["type"] == "enabled"


@pytest.mark.parametrize("thinking", [True, "enabled", 5, ["enabled"], {"budget_tokens": "x"}])
def test_thinking_that_is_no_such_object_is_refused(thinking: Any) -> None:
    with pytest.raises(InvalidRequest) as caught:
        plan(BUDGET, thinking=thinking)
    assert caught.value.param == "thinking"


def test_an_unknown_effort_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="none, minimal, low") as caught:
        plan(BUDGET, reasoning_effort="very")
    assert caught.value.param == "reasoning_effort"


@given(
    st.sampled_from([BUDGET, "claude-opus-4-1", "claude-3-7-sonnet-20250219", "kimi-k3"]),
    st.sampled_from(list(BUDGETS_TOKENS)),
    st.none() | st.integers(1, 80_000),
    st.none() | st.integers(1, 80_000),
)
def test_a_budget_always_fits(
    model: str, effort: str, max_tokens: int | None, max_completion_tokens: int | None
) -> None:
    fields = {"max_tokens": max_tokens, "max_completion_tokens": max_completion_tokens}
    output_tokens_max, thinking, _, thinks = plan(model, reasoning_effort=effort, **fields)
    assert thinks is (thinking is not None)
    if thinking is not None:
        assert 1_024 <= thinking["budget_tokens"] < output_tokens_max
    if max_completion_tokens is not None:
        assert output_tokens_max == max_completion_tokens
    elif max_tokens is not None:
        assert output_tokens_max >= max_tokens
        assert output_tokens_max <= max(max_tokens, family_of(model).output_tokens_max)
