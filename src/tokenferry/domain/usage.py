"""Token usage in one normal form, whatever the provider's way of counting.

Normal form (that of OpenAI's chat completions): cached and cache-write tokens are *inside*
`prompt_tokens`, reasoning tokens are *inside* `completion_tokens`. Adapters convert into it.

Weakness: the estimate, for streams whose provider never reported, knows characters, not any
provider's tokenizer. It is bounded by the output limit and flagged.
"""

from typing import NamedTuple


class Usage(NamedTuple):
    """What one generation consumed, in tokens.

    Attributes:
        prompt_tokens: All input tokens, cached ones and cache writes included.
        completion_tokens: All output tokens, reasoning included.
        cached_tokens: Input tokens read from the provider's cache.
        cache_write_tokens: Input tokens written to the provider's cache.
        cache_write_1h_tokens: Those of them that were written for an hour.
        reasoning_tokens: Output tokens spent on reasoning.
        prompt_audio_tokens: Input tokens that were audio.
        completion_audio_tokens: Output tokens that are audio.
        accepted_prediction_tokens: Predicted output tokens that were used.
        rejected_prediction_tokens: Predicted output tokens that were not used.
        estimated: True when we counted ourselves, for a provider that did not report it all.
    """

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    prompt_audio_tokens: int = 0
    completion_audio_tokens: int = 0
    accepted_prediction_tokens: int = 0
    rejected_prediction_tokens: int = 0
    estimated: bool = False
    cache_write_1h_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        """Input and output together."""
        return self.prompt_tokens + self.completion_tokens

    @property
    def is_possible(self) -> bool:
        """Whether anything can have consumed that; what cannot is a provider's mistake."""
        return min(self) >= 0 and max(self) <= TOKENS_MAX


# No context is near this; more is a mistake, which nobody should pay for and no book can hold.
TOKENS_MAX = 10**12
# ASCII prose runs at about four characters a token in current tokenizers.
ASCII_CHARACTERS_PER_TOKEN = 4


def estimate_tokens(text: str) -> int:
    """Return a token count for text that no provider counted.

    ASCII counts a quarter of a token a character, everything else (Hangul, Han, Kana, emoji)
    one token a character: high for Korean, whose syllables often share a token, and never zero
    for text that is not empty.
    """
    if not text:
        return 0
    other = len(text) - len(text.encode("ascii", "ignore"))
    ascii_count = len(text) - other
    return other + -(-ascii_count // ASCII_CHARACTERS_PER_TOKEN)


def with_lost(lost: Usage, rest: Usage | None, *, output_tokens_max: int | None = None) -> Usage:
    """Return the usage of an answer whose beginning was never reported.

    Args:
        lost: The estimate of the beginning.
        rest: What the rest consumed; None for nothing.
        output_tokens_max: The request's output limit; the estimate never lifts the sum above it.
    """
    if rest is None:
        return lost
    completion = lost.completion_tokens
    if output_tokens_max is not None:
        completion = min(completion, max(0, output_tokens_max - rest.completion_tokens))
    return rest._replace(
        prompt_tokens=lost.prompt_tokens + rest.prompt_tokens,
        completion_tokens=completion + rest.completion_tokens,
        estimated=True,
    )


def with_unreported(
    report: Usage | None, since: Usage | None, *, output_tokens_max: int | None = None
) -> Usage | None:
    """Return the usage of an answer that went on after its latest report.

    Args:
        report: What the provider has reported; None if it has not.
        since: The estimate of what came after that; None for nothing.
        output_tokens_max: The request's output limit; the estimate never lifts the sum above it.
    """
    if report is None or since is None or not since.completion_tokens:
        return report or since
    completion = report.completion_tokens + since.completion_tokens
    if output_tokens_max is not None:
        completion = max(report.completion_tokens, min(completion, output_tokens_max))
    return report._replace(completion_tokens=completion, estimated=True)


def estimate(
    prompt_tokens: int, output_text: str, *, output_tokens_max: int | None = None
) -> Usage:
    """Return a flagged estimate for a stream whose provider never reported its usage.

    Args:
        prompt_tokens: The estimate of the request, made when it came.
        output_text: The text that was delivered to the journal, reasoning included.
        output_tokens_max: The request's output limit; the estimate never exceeds it.
    """
    completion = estimate_tokens(output_text)
    if output_tokens_max is not None:
        completion = min(completion, output_tokens_max)
    return Usage(prompt_tokens, completion, estimated=True)
