"""How much a request lets Claude think, and the output limit that goes with it.

OpenAI's one word, `reasoning_effort`, becomes what the model's family knows: a budget of tokens up
to 4.5, adaptive thinking with an effort from 4.6 on. A `thinking` object of the client's own goes
through untouched and wins.

Source: platform.claude.com, "Thinking", "Extended thinking" and "Effort", November 2026. Weakness:
the budgets are ours; Anthropic names none for OpenAI's words.
"""

from typing import Final, NamedTuple

import msgspec
from msgspec import Raw, Struct

from tokenferry.errors import InvalidRequest
from tokenferry.protocol.chat import ChatRequest
from tokenferry.providers.anthropic_models import Family

# Anthropic requires max_tokens. OpenAI's dialect has no limit unless the client sets one, but a
# limit is also what the client's credit is reserved for: 8192 is what the first models took at
# most, and more than nearly every answer.
OUTPUT_TOKENS_DEFAULT: Final = 8_192
# Where thinking counts inside max_tokens, the above can be used up before the answer begins.
OUTPUT_TOKENS_DEFAULT_THINKING: Final = 32_768

# Anthropic's own minimum.
BUDGET_TOKENS_MIN: Final = 1_024
# Each step about doubles; above 32,000 Anthropic advises batches instead of live requests.
BUDGETS_TOKENS: Final = {
    "minimal": BUDGET_TOKENS_MIN,
    "low": 2_048,
    "medium": 8_192,
    "high": 16_384,
    "xhigh": 24_576,
    "max": 32_000,
}

_NONE = "none"
_THINKING_TYPES = ("enabled", "adaptive")


class Plan(NamedTuple):
    """What goes into the request.

    Attributes:
        output_tokens_max: The value of `max_tokens`.
        thinking: The `thinking` object, None to leave it out.
        effort: The value of `output_config.effort`, None to leave it out.
        thinks: Whether thinking is asked for, which rules out the sampling parameters.
    """

    output_tokens_max: int
    thinking: Raw | None = None
    effort: str | None = None
    thinks: bool = False


class _Thinking(Struct, omit_defaults=True):
    type: str | None = None
    budget_tokens: int | None = None
    display: str | None = None


def plan_thinking(
    request: ChatRequest, family: Family, *, forced_tool: bool, unsigned_tool_turn: bool
) -> Plan:
    """Decide on thinking and on the output limit.

    Thinking that only `reasoning_effort` asks for is left out of a request that Anthropic would
    refuse for it: one that forces a tool, or, with a budget, one whose last assistant turn calls
    tools without the signed thinking that led to the call.

    Raises:
        InvalidRequest: If `thinking` is no object or `reasoning_effort` no known word.
    """
    effort = request.reasoning_effort
    if effort is not None and effort != _NONE and effort not in BUDGETS_TOKENS:
        raise InvalidRequest(
            f"`reasoning_effort` must be one of {', '.join([_NONE, *BUDGETS_TOKENS])}.",
            param="reasoning_effort",
        )
    own = request.fields.get("thinking")
    if own is not None and bytes(own) != b"null":
        return _plan_own(request, family, own)
    if effort is None or family.thinking == "never":
        return Plan(_limit(request, family, thinks=family.thinks_by_default))
    if effort == _NONE:
        return _plan_none(request, family)
    if family.thinking == "adaptive":
        return _plan_adaptive(request, family, effort, forced_tool=forced_tool)
    limit = _limit(request, family, thinks=False)
    if forced_tool or unsigned_tool_turn:
        return Plan(limit)
    return _plan_budget(request, family, BUDGETS_TOKENS[effort], limit)


def _plan_own(request: ChatRequest, family: Family, own: Raw) -> Plan:
    try:
        read = msgspec.json.decode(own, type=_Thinking)
    except msgspec.ValidationError:
        raise InvalidRequest(
            "`thinking` must be an object such as "
            '{"type": "enabled", "budget_tokens": 4096} or {"type": "adaptive"}.',
            param="thinking",
        ) from None
    limit = _limit(request, family, thinks=read.type == "adaptive" or family.thinks_by_default)
    if request.output_tokens_max is None and read.budget_tokens:
        # The limit is ours, so it makes room for the client's budget.
        limit = max(limit, read.budget_tokens + OUTPUT_TOKENS_DEFAULT)
        limit = max(min(limit, family.output_tokens_max), read.budget_tokens + 1)
    effort = request.reasoning_effort
    if read.type != "adaptive" or effort == _NONE:
        effort = None
    return Plan(limit, own, effort and _effort(family, effort), read.type in _THINKING_TYPES)


def _plan_none(request: ChatRequest, family: Family) -> Plan:
    limit = _limit(request, family, thinks=family.off == "lowest")
    if family.off == "lowest":
        return Plan(limit, effort=family.efforts[0])
    if family.off == "omit":
        return Plan(limit)
    return Plan(limit, _encode(_Thinking(family.off)))


def _plan_adaptive(request: ChatRequest, family: Family, effort: str, *, forced_tool: bool) -> Plan:
    level = _effort(family, effort)
    limit = _limit(request, family, thinks=True)
    if forced_tool and not family.thinks_by_default:
        return Plan(limit, effort=level)
    display = "summarized" if family.hides_thinking else None
    return Plan(limit, _encode(_Thinking("adaptive", display=display)), level, thinks=True)


def _plan_budget(request: ChatRequest, family: Family, budget: int, limit: int) -> Plan:
    """Fit a budget and the output limit into each other.

    `max_completion_tokens` counts reasoning by OpenAI's definition: the budget gets at most half of
    it. `max_tokens` is the older limit of the visible answer: it is raised by the budget.
    """
    total = limit
    if request.max_completion_tokens is None:
        total = max(limit, min(limit + budget, family.output_tokens_max))
    room = total - limit
    budget = min(budget, room if room >= BUDGET_TOKENS_MIN else total // 2)
    if budget < BUDGET_TOKENS_MIN:
        return Plan(limit)
    thinking = _Thinking("enabled", budget_tokens=budget)
    return Plan(total, _encode(thinking), thinks=True)


def _limit(request: ChatRequest, family: Family, *, thinks: bool) -> int:
    default = OUTPUT_TOKENS_DEFAULT_THINKING if thinks else OUTPUT_TOKENS_DEFAULT
    return request.output_tokens_max or min(default, family.output_tokens_max)


def _effort(family: Family, effort: str) -> str | None:
    """Return the family's word for an effort, None if it has none."""
    if not family.efforts:
        return None
    if effort == "minimal":
        return family.efforts[0]
    return effort if effort in family.efforts else "high"


def _encode(thinking: _Thinking) -> Raw:
    return Raw(msgspec.json.encode(thinking))
