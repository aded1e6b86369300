"""What is written of a new stream before anything else, for a later process to find."""

import hashlib

import msgspec
from msgspec import Raw

from tokenferry.domain.request_record import Transport
from tokenferry.engine.attempt import Attempt
from tokenferry.engine.bill import Bill
from tokenferry.engine.book import NO_REQUEST, StreamMeta
from tokenferry.engine.options import Options
from tokenferry.protocol.chat import ChatRequest

encode = msgspec.json.Encoder().encode
_sorted = msgspec.json.Encoder(order="sorted")


def stream_meta(
    bill: Bill,
    request: ChatRequest,
    options: Options,
    request_hash: bytes | None,
    first: Attempt,
    prompt_tokens: int,
) -> StreamMeta:
    """Return what a later process must know of a new stream; the prompt's tokens are estimated."""
    return StreamMeta(
        bill.key_id,
        request.model,
        first.provider,
        first.model,
        bill.created_ms,
        options.orphan_timeout_s,
        on_disconnect_cancel=options.on_disconnect_cancel,
        include_usage=request.include_usage,
        prompt_tokens=prompt_tokens,
        output_tokens_max=first.all_output_tokens_max(request),
        idempotency_key=options.idempotency_key,
        request_hash=request_hash,
        recovery=options.recovery,
        request=_kept(request) if options.recovery == "continue" else NO_REQUEST,
        account=bill.account_id,
        transport=_transport(request, options),
        request_id=options.request_id,
    )


def fingerprint(request: ChatRequest) -> bytes:
    """Return what tells one request from another: its fields as they came, in any order."""
    return hashlib.sha256(_sorted.encode(request.fields)).digest()


def _transport(request: ChatRequest, options: Options) -> Transport:
    if not options.request_id:
        return "websocket"
    return "sse" if request.stream else "http"


def _kept(request: ChatRequest) -> Raw:
    """Return a request for a later process; what an absent `stream` means depends on the manner."""
    return Raw(encode(request.fields | {"stream": Raw(encode(bool(request.stream)))}))
