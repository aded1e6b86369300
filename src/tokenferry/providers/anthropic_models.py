"""What each family of Claude models accepts, as one dated table.

Anthropic answers 400 to a thinking form, a sampling parameter or a forced tool that the model does
not know, and the forms changed with nearly every generation; the table keeps a client's one request
valid for all of them.

Source: platform.claude.com, "Thinking", "Effort" and the migration guides of Claude 4.6 to 5.5,
read November 2026. Weakness: a snapshot. A name that is not in the table counts as the newest
generation when it says "claude", and otherwise as what Anthropic-compatible servers of others take.
"""

import re
from dataclasses import dataclass
from typing import Final, Literal

EFFORTS: Final = ("low", "medium", "high", "xhigh", "max")
_EFFORTS_4_6 = ("low", "medium", "high", "max")


@dataclass(frozen=True, slots=True)
class Family:
    """What the models of a family accept.

    Attributes:
        thinking: The form that asks for thinking: a `budget` of tokens, `adaptive` with an effort,
            or `never` for models that cannot.
        thinks_by_default: Whether it thinks when the request says nothing.
        off: How a request asks for no thinking: `omit` the field, `disabled`, `between_tools`, or,
            where nothing turns it off, the `lowest` effort.
        hides_thinking: Whether it returns empty thinking unless asked for a summary.
        efforts: The levels of `output_config.effort`.
        sampling: Whether temperature and top_p are accepted: `both`, `one` of them at a time, or
            `none`, as of 4.7.
        forced_tools: Whether a tool choice may be `any` or a named tool.
        output_tokens_max: The most that `max_tokens` may be.
        prefill: Whether a last assistant message is the beginning of the answer; from 4.6 on it
            is refused. Of servers of others nobody knows.
    """

    thinking: Literal["never", "budget", "adaptive"]
    output_tokens_max: int
    thinks_by_default: bool = False
    off: Literal["omit", "disabled", "between_tools", "lowest"] = "omit"
    hides_thinking: bool = False
    efforts: tuple[str, ...] = ()
    sampling: Literal["both", "one", "none"] = "both"
    forced_tools: bool = True
    prefill: bool = False


def _adaptive(
    off: Literal["omit", "disabled", "between_tools", "lowest"], *, forced_tools: bool = True
) -> Family:
    """Return a family of 4.7 or later, which differ in little else."""
    return Family(
        "adaptive",
        128_000,
        thinks_by_default=off != "omit",
        off=off,
        hides_thinking=True,
        efforts=EFFORTS,
        sampling="none",
        forced_tools=forced_tools,
    )


# Family names and the first version of the row; the first row that fits counts.
_ROWS: Final[tuple[tuple[tuple[str, ...], tuple[int, int], Family], ...]] = (
    (("sonnet",), (5, 5), _adaptive("between_tools", forced_tools=False)),
    (("opus",), (5, 5), _adaptive("lowest", forced_tools=False)),
    (("fable", "mythos"), (5, 1), _adaptive("lowest", forced_tools=False)),
    (("fable", "mythos"), (0, 0), _adaptive("lowest")),
    (("haiku", "opus", "sonnet"), (5, 0), _adaptive("disabled")),
    (("opus",), (4, 7), _adaptive("omit")),
    (
        ("opus", "sonnet"),
        (4, 6),
        Family("adaptive", 128_000, efforts=_EFFORTS_4_6, sampling="one"),
    ),
    (("haiku", "opus", "sonnet"), (4, 5), Family("budget", 64_000, sampling="one", prefill=True)),
    (("opus",), (4, 0), Family("budget", 32_000, prefill=True)),
    (("sonnet",), (4, 0), Family("budget", 64_000, prefill=True)),
    (("sonnet",), (3, 7), Family("budget", 64_000, prefill=True)),
    (("haiku", "sonnet"), (3, 5), Family("never", 8_192, prefill=True)),
    (("haiku", "instant", "opus", "sonnet", ""), (0, 0), Family("never", 4_096, prefill=True)),
)
_UNKNOWN_CLAUDE: Final = _adaptive("lowest")
# DeepSeek, Moonshot, Zhipu and others serve the Messages form with the classic parameters.
_OTHERS: Final = Family("budget", 32_000, off="disabled")

# claude-opus-4-5-20251101, claude-sonnet-4@20250514, anthropic.claude-haiku-5-5; a date is no
# version. Before the fourth generation the version stood first: claude-3-7-sonnet-20250219.
_NEW = re.compile(r"claude-(?P<name>[a-z]+)(?:-(?P<major>\d+)(?:[-.](?P<minor>\d{1,2}))?(?!\d))?")
_OLD = re.compile(r"claude-(?P<major>\d+)(?:[-.](?P<minor>\d{1,2}))?(?:-(?P<name>[a-z]+))?")


def family_of(model: str) -> Family:
    """Return what a model accepts, by the provider's own name for it."""
    match = _OLD.search(model) or _NEW.search(model)
    if match is None or match["major"] is None:  # an alias such as claude-sonnet-latest
        return _UNKNOWN_CLAUDE if "claude" in model else _OTHERS
    version = (int(match["major"]), int(match["minor"] or 0))
    for names, first, family in _ROWS:
        if (match["name"] or "") in names and version >= first:
            return family
    return _UNKNOWN_CLAUDE
