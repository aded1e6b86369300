"""Whether an answer that a dead process has begun can be gone on with, and from what text.

Only what is text of one choice alone can: a provider takes back text as the beginning of its
answer, and neither reasoning nor half of a tool call. What would have to fit the beginning in
form, not in words alone, cannot: JSON (a provider's grammar starts anew), log probabilities. Nor
can an answer to a conversation that ends with the client's own beginning of it.

An answer of which nothing was shown is asked for anew: the client said `continue`, and loses
nothing by it.

Weakness: a finish reason is in no record before the end, so an answer that had just been completed
is gone on with as well; providers answer that with little or nothing. A stop sequence that begins
in the one part and ends in the other is not seen.
"""

from collections.abc import Iterable
from itertools import pairwise

from tokenferry.domain import journal
from tokenferry.domain.usage import estimate
from tokenferry.engine.attempt import Beginning
from tokenferry.engine.book import StreamMeta
from tokenferry.engine.ports import Recovered
from tokenferry.protocol.chat import ChatRequest
from tokenferry.protocol.completion import folded

# Each takeover may cost a provider call; a stream that outlives three of them may be what kills
# the server.
TAKEOVERS_MAX = 3

_TEXT_ONLY = frozenset((journal.HEAD, journal.TEXT))


def may_continue(found: Recovered, meta: StreamMeta) -> bool:
    """Say whether a stream is to be gone on with, as far as its meta tells.

    A client that said to end the stream with its connection has lost that with the process.
    """
    return (
        meta.recovery == "continue"
        and not meta.on_disconnect_cancel
        and meta.orphan_timeout_s > 0
        and len(found.epochs) <= TAKEOVERS_MAX
    )


def read_beginning(
    found: Recovered, meta: StreamMeta, request: ChatRequest, records: Iterable[bytes]
) -> Beginning | None:
    """Return what there is of an answer, or None if it cannot be gone on with.

    Args:
        found: The stream; it has records.
        meta: What its owner left.
        request: What its client asked for.
        records: All its records.
    """
    if not _fits(request):
        return None
    kept = list(records)
    if any(record[0] not in _TEXT_ONLY for record in kept):
        return None
    text = folded(found.stream_id, kept).output_text()
    calls = _calls(found)
    lost = estimate(meta.prompt_tokens * calls, text, output_tokens_max=meta.output_tokens_max)
    return Beginning(text, found.head, sum(map(len, kept)), lost)


def _fits(request: ChatRequest) -> bool:
    """Say whether an answer to this request could be gone on with at all."""
    form = request.response_format
    return (
        request.choice_count == 1
        and not request.logprobs
        and (form is None or form.type == "text")
        and request.modalities in (None, ["text"])
        and request.messages[-1].role != "assistant"
    )


def _calls(found: Recovered) -> int:
    """Return how many provider calls have given something: owners that wrote records."""
    firsts = [*(first_seq for _, first_seq in found.epochs), found.head + 1]
    return sum(after > first for first, after in pairwise(firsts))
